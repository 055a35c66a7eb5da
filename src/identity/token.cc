#include "identity/token.h"

#include <algorithm>

#include "base/codec.h"
#include "base/json.h"
#include "logical/row.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Json;
using logical::int_at;
using logical::strings_at;

constexpr size_t kUsualRowBytes = 768;

void write_strings(base::JsonWriter& row, std::string_view name,
                   const std::vector<std::string>& items) {
  row.key(name);
  row.begin_array();
  for (const std::string& item : items) row.value(item);
  row.end_array();
}

int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

}  // namespace

void Token::hang_below(const Token& parent) {
  ancestors = parent.ancestors;
  ancestors.insert(ancestors.begin(), parent.id);
  ancestor_paths = parent.ancestor_paths;
  ancestor_paths.insert(ancestor_paths.begin(), parent.path);
}

bool Token::is_root() const {
  return std::ranges::find(policies, std::string_view("root")) != policies.end();
}

int64_t Token::ttl_left_s(base::WallTime now) const {
  if (expires_s == 0) return 0;
  return std::max<int64_t>(0, expires_s - seconds_of(now));
}

bool Token::expired(base::WallTime now) const {
  return expires_s != 0 && seconds_of(now) >= expires_s;
}

std::string encode_token(const Token& token) {
  std::string out;
  out.reserve(kUsualRowBytes);
  base::JsonWriter row(out);
  row.begin_object();
  row.member("id", token.id);
  row.member("accessor", token.accessor);
  write_strings(row, "policies", token.policies);
  row.member("path", token.path);
  row.member("mount", token.mount_accessor);
  if (!token.meta.empty()) row.member("meta", Json(logical::object_of(token.meta)));
  row.member("display_name", token.display_name);
  if (!token.role.empty()) row.member("role", token.role);
  if (!token.entity_id.empty()) row.member("entity_id", token.entity_id);
  row.member("type", token.type == logical::TokenType::kBatch ? "batch" : "service");
  row.member("num_uses", token.num_uses);
  row.member("created", token.created_s);
  row.member("creation_ttl", token.creation_ttl_s);
  row.member("expires", token.expires_s);
  row.member("explicit_max_ttl", token.explicit_max_ttl_s);
  row.member("period", token.period_s);
  row.member("last_renewal", token.last_renewal_s);
  row.member("renewable", token.renewable);
  row.member("orphan", token.orphan);
  if (!token.bound_cidrs.empty()) write_strings(row, "bound_cidrs", token.bound_cidrs);
  if (!token.ancestors.empty()) write_strings(row, "ancestors", token.ancestors);
  if (!token.ancestor_paths.empty()) write_strings(row, "ancestor_paths", token.ancestor_paths);
  if (!token.login_role.empty()) row.member("login_role", token.login_role);
  if (!token.alias_id.empty()) row.member("alias_id", token.alias_id);
  if (token.max_ttl_s != 0) row.member("max_ttl", token.max_ttl_s);
  if (!token.internal.empty()) row.member("internal", Json(token.internal));
  row.member("issued_at", token.issued_at);
  if (token.type == logical::TokenType::kBatch && !token.hash.empty()) {
    row.member("parent", base::hex_encode(token.hash));
  }
  row.end_object();
  return out;
}

base::Result<Token> decode_token(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "a token's row can't be read");
  }
  Token token;
  token.id = row->string_or("id", "");
  token.accessor = row->string_or("accessor", "");
  token.policies = strings_at(*row, "policies");
  token.path = row->string_or("path", "");
  token.mount_accessor = row->string_or("mount", "");
  token.meta = logical::pairs_at(*row, "meta");
  token.display_name = row->string_or("display_name", "");
  token.role = row->string_or("role", "");
  token.entity_id = row->string_or("entity_id", "");
  token.type = row->string_or("type", "") == "batch" ? logical::TokenType::kBatch
                                                     : logical::TokenType::kService;
  token.num_uses = int_at(*row, "num_uses");
  token.created_s = int_at(*row, "created");
  token.creation_ttl_s = int_at(*row, "creation_ttl");
  token.expires_s = int_at(*row, "expires");
  token.explicit_max_ttl_s = int_at(*row, "explicit_max_ttl");
  token.period_s = int_at(*row, "period");
  token.last_renewal_s = int_at(*row, "last_renewal");
  token.renewable = logical::flag_at(*row, "renewable");
  token.orphan = logical::flag_at(*row, "orphan");
  token.login_role = row->string_or("login_role", "");
  token.alias_id = row->string_or("alias_id", "");
  token.max_ttl_s = int_at(*row, "max_ttl");
  if (const Json* internal = row->find("internal"); internal != nullptr && internal->as_object()) {
    token.internal = *internal->as_object();
  }
  token.bound_cidrs = strings_at(*row, "bound_cidrs");
  token.ancestors = strings_at(*row, "ancestors");
  token.ancestor_paths = strings_at(*row, "ancestor_paths");
  token.issued_at = static_cast<uint64_t>(int_at(*row, "issued_at"));
  // A batch token has no row of its own: it hangs from its parent's.
  auto parent_hash = base::hex_decode(row->string_or("parent", ""));
  if (!parent_hash) return base::fail(ErrorKind::kCorrupt, "a token's row can't be read");
  if (token.type == logical::TokenType::kBatch) token.hash = std::move(*parent_hash);
  // A batch token is its own row and has no id.
  if (token.id.empty() && token.type != logical::TokenType::kBatch) {
    return base::fail(ErrorKind::kCorrupt, "a token's row can't be read");
  }
  return token;
}

std::string TokenKeys::hash(std::string_view token) const {
  const auto mac = hmac_.mac(token);
  return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}

}  // namespace rekey::identity
