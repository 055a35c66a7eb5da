// How entities, groups and aliases look in answers, and what their routes share. Pure but for the
// request's Txn.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "identity/entity_store.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"

namespace rekey::engine::identity {

namespace store = rekey::identity;

inline store::EntityStore entities_of(pipeline::CallContext& call) {
  return store::EntityStore(*call.txn, call.clock, call.random);
}

base::Result<logical::Response> show_entity(pipeline::CallContext& call,
                                            const store::Entity& entity);
base::Result<logical::Response> show_group(pipeline::CallContext& call, const store::Group& group);
// Of a read of its own: with its namespace.
logical::Response show_alias(const pipeline::CallContext& call, const store::Alias& alias,
                             std::string_view owner);
// As in lists and within entities.
base::JsonObject describe_alias(const pipeline::CallContext& call, const store::Alias& alias,
                                std::string_view owner);

// {"keys": [...], "key_info": {...}} of the ids under `folder` of the identity store; `info` makes
// one entry, and says false to leave an id out.
using Info = std::function<base::Result<bool>(const std::string& id, base::JsonObject& info)>;
base::Result<logical::Response> list_ids(pipeline::CallContext& call, std::string_view folder,
                                         const Info& info);
// {"keys": [names]}, as they were written.
base::Result<logical::Response> list_names(pipeline::CallContext& call, std::string_view folder);

// Fields "policies" and "metadata", where sent.
base::Result<void> read_policies(const logical::Fields& fields, std::vector<std::string>& into);
base::Result<void> read_metadata(const logical::Fields& fields, logical::StringPairs& into);

// Before an entity is removed: its keys of second factors go with it.
base::Result<void> forget_factors(pipeline::CallContext& call, std::string_view entity_id);
// When `from` is merged into `to`. Failure: kInvalid where both have a key for one method, unless
// the one that comes is to replace the other.
base::Result<void> move_factors(pipeline::CallContext& call, std::string_view from,
                                std::string_view to, bool replace);

// Failure: kInvalid, `invalid mount accessor "x"`.
base::Result<void> check_accessor(const pipeline::CallContext& call, std::string_view accessor);

}  // namespace rekey::engine::identity
