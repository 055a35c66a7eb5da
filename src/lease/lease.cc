#include "lease/lease.h"

#include <algorithm>

#include "base/codec.h"
#include "base/json.h"
#include "lease/keys.h"

namespace rekey::lease {
namespace {

using base::Json;
using base::JsonObject;

int64_t integer(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  return member == nullptr ? 0 : member->as_int().value_or(0);
}

std::vector<std::string> strings(const Json& row, std::string_view name) {
  std::vector<std::string> out;
  const Json* member = row.find(name);
  if (member == nullptr || member->as_array() == nullptr) return out;
  for (const Json& item : *member->as_array()) {
    if (const std::string* text = item.as_string()) out.push_back(*text);
  }
  return out;
}

void set_text(JsonObject& row, std::string_view name, const std::string& text) {
  if (!text.empty()) row.set(name, text);
}

Json encode_holder(const identity::Token& token) {
  JsonObject row;
  set_text(row, "id", token.id);
  set_text(row, "hash", base::hex_encode(token.hash));
  set_text(row, "path", token.path);
  set_text(row, "mount", token.mount_accessor);
  set_text(row, "role", token.role);
  set_text(row, "entity_id", token.entity_id);
  if (token.type == logical::TokenType::kBatch) row.set("batch", true);
  if (!token.ancestors.empty()) {
    row.set("ancestors", Json::strings(token.ancestors));
    row.set("ancestor_paths", Json::strings(token.ancestor_paths));
  }
  row.set("issued_at", token.issued_at);
  return row;
}

identity::Token decode_holder(const Json& row) {
  identity::Token token;
  token.id = row.string_or("id", "");
  token.hash = base::hex_decode(row.string_or("hash", "")).value_or("");
  token.path = row.string_or("path", "");
  token.mount_accessor = row.string_or("mount", "");
  token.role = row.string_or("role", "");
  token.entity_id = row.string_or("entity_id", "");
  if (row.find("batch") != nullptr) token.type = logical::TokenType::kBatch;
  token.ancestors = strings(row, "ancestors");
  token.ancestor_paths = strings(row, "ancestor_paths");
  token.issued_at = static_cast<uint64_t>(std::max<int64_t>(0, integer(row, "issued_at")));
  return token;
}

}  // namespace

int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

std::string_view state_name(State state) {
  switch (state) {
    case State::kIntent:
      return "intent";
    case State::kActive:
      return "active";
    case State::kQueued:
      return "queued";
    case State::kStuck:
      return "stuck";
  }
  return "active";
}

bool Lease::expired(base::WallTime now) const { return seconds_of(now) >= expires_s; }

int64_t Lease::ttl_left_s(base::WallTime now) const {
  return std::max<int64_t>(0, expires_s - seconds_of(now));
}

std::string encode_lease(const Lease& lease) {
  JsonObject row;
  row.set("id", lease.id);
  row.set("path", lease.path);
  row.set("mount", lease.mount_uuid);
  row.set("accessor", lease.mount_accessor);
  set_text(row, "role", lease.role);
  set_text(row, "target", lease.target);
  set_text(row, "data", lease.data);
  row.set("holder", encode_holder(lease.holder));
  row.set("issued", lease.issued_s);
  row.set("expires", lease.expires_s);
  if (lease.last_renewal_s != 0) row.set("last_renewal", lease.last_renewal_s);
  row.set("ttl", lease.ttl_s);
  row.set("max_ttl", lease.max_ttl_s);
  row.set("renewable", lease.renewable);
  row.set("issued_at", lease.issued_at);
  row.set("state", state_name(lease.state));
  if (lease.queued_s != 0) {
    row.set("queued", lease.queued_s);
    row.set("next_attempt", lease.next_attempt_s);
    row.set("attempts", lease.attempts);
    set_text(row, "last_error", lease.last_error);
  }
  return Json(std::move(row)).dump();
}

base::Result<Lease> decode_lease(std::string_view text) {
  const auto row = Json::parse(text);
  const Json* holder = row ? row->find("holder") : nullptr;
  if (holder == nullptr || row->string_or("id", "").empty()) {
    return base::fail(base::ErrorKind::kCorrupt, "a lease's row can't be read");
  }
  Lease lease;
  lease.id = row->string_or("id", "");
  lease.path = row->string_or("path", "");
  lease.mount_uuid = row->string_or("mount", "");
  lease.mount_accessor = row->string_or("accessor", "");
  lease.role = row->string_or("role", "");
  lease.target = row->string_or("target", "");
  lease.data = row->string_or("data", "");
  lease.holder = decode_holder(*holder);
  lease.issued_s = integer(*row, "issued");
  lease.expires_s = integer(*row, "expires");
  lease.last_renewal_s = integer(*row, "last_renewal");
  lease.ttl_s = integer(*row, "ttl");
  lease.max_ttl_s = integer(*row, "max_ttl");
  const Json* renewable = row->find("renewable");
  lease.renewable = renewable != nullptr && renewable->as_bool() && *renewable->as_bool();
  lease.issued_at = static_cast<uint64_t>(std::max<int64_t>(0, integer(*row, "issued_at")));
  const std::string state = row->string_or("state", "");
  for (State each : {State::kIntent, State::kActive, State::kQueued, State::kStuck}) {
    if (state_name(each) == state) lease.state = each;
  }
  lease.queued_s = integer(*row, "queued");
  lease.next_attempt_s = integer(*row, "next_attempt");
  lease.attempts = integer(*row, "attempts");
  lease.last_error = row->string_or("last_error", "");
  return lease;
}

bool revoked(const identity::CutoffTable& cutoffs, const Lease& lease) {
  using identity::CutoffTable;
  if (cutoffs.empty()) return false;
  return cutoffs.revokes(lease.holder) ||
         cutoffs.cuts(CutoffTable::scope_of_mount(lease.mount_accessor), lease.issued_at) ||
         cutoffs.cuts(CutoffTable::scope_of_role(lease.mount_accessor, lease.role),
                      lease.issued_at) ||
         cutoffs.cuts_path(lease.path, lease.issued_at);
}

std::string queue_name(const Lease& lease) { return lease.mount_uuid + ":" + lease.target; }

std::string place_key(const Lease& lease) {
  switch (lease.state) {
    case State::kIntent:
    case State::kActive:
      return std::string(kDuePrefix) + time_text(lease.expires_s) + "/" + lease.id;
    case State::kQueued:
      return std::string(kQueuePrefix) + queue_name(lease) + "/" + time_text(lease.next_attempt_s) +
             "/" + lease.id;
    case State::kStuck:
      return std::string(kStuckPrefix) + time_text(lease.next_attempt_s) + "/" + lease.id;
  }
  return {};
}

std::string time_text(int64_t seconds) {
  std::string bytes;
  base::append_u64(bytes, static_cast<uint64_t>(seconds));
  return base::hex_encode(bytes);
}

}  // namespace rekey::lease
