// sys/locked-users: names that too many wrong passwords have locked.
#include <cctype>

#include "base/codec.h"
#include "logical/answer.h"
#include "logical/lockout.h"
#include "pipeline/call_context.h"
#include "pipeline/login.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

JsonObject of_mount(const std::string& accessor, const std::vector<std::string>& names) {
  return {{"mount_accessor", accessor},
          {"counts", static_cast<int64_t>(names.size())},
          {"alias_identifiers", names.empty() ? Json() : Json::strings(names)}};
}

Result<Response> list(Context& context) {
  const auto& state = *CallContext::of(context).state;
  const auto locked = context.lockout->locked_names(
      [&](std::string_view accessor) { return pipeline::mount_by_accessor(state, accessor); },
      context.clock.wall());
  const std::string wanted(context.fields.text("mount_accessor"));
  JsonArray mounts;
  int64_t total = 0;
  for (const auto& [accessor, names] : locked) {
    if (!wanted.empty() && accessor != wanted) continue;
    total += static_cast<int64_t>(names.size());
    mounts.emplace_back(of_mount(accessor, names));
  }
  if (!wanted.empty() && mounts.empty()) mounts.emplace_back(of_mount(wanted, {}));
  JsonArray namespaces;
  namespaces.emplace_back(JsonObject{{"namespace_id", "root"},
                                     {"namespace_path", ""},
                                     {"counts", total},
                                     {"mount_accessors", std::move(mounts)}});
  return logical::with_data({{"by_namespace", std::move(namespaces)}, {"total", total}});
}

// Unlocking who isn't locked succeeds, as in Vault: it is what was asked for.
Result<Response> unlock(Context& context) {
  const std::string accessor(context.fields.text("mount_accessor"));
  std::string name(context.fields.text("alias_identifier"));
  const auto mount = pipeline::mount_by_accessor(*CallContext::of(context).state, accessor);
  if (mount != nullptr && mount->type == "userpass") {
    name = base::to_lower(name);
  }
  context.lockout->unlock(accessor, name);
  return Response{};
}

}  // namespace

void SystemBackend::add_lockout_routes() {
  routes_.add({.pattern = "locked-users",
               .fields = {{"mount_accessor", FieldType::kString, "Only those of this mount."}},
               .handlers = {{Operation::kRead, list}},
               .synopsis = "The names that are locked after too many failed logins.",
               .blocking = true});
  routes_.add({.pattern = "locked-users/{mount_accessor}/unlock/{alias_identifier*}",
               .handlers = {{Operation::kUpdate, unlock}},
               .synopsis = "Lets a name try again."});
}

}  // namespace rekey::system
