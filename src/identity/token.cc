#include "identity/token.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/codec.h"
#include "base/json.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;

struct Network {
  std::array<unsigned char, 16> address{};
  int family = 0;
  int bits = 0;
};

bool parse_network(std::string_view text, Network& out) {
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  out.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  const int all_bits = out.family == AF_INET ? 32 : 128;
  if (inet_pton(out.family, address.c_str(), out.address.data()) != 1) return false;
  out.bits = all_bits;
  if (slash == std::string_view::npos) return true;
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), out.bits);
  return problem == std::errc() && end == digits.data() + digits.size() && !digits.empty() &&
         out.bits >= 0 && out.bits <= all_bits;
}

bool contains(const Network& network, const Network& host) {
  if (network.family != host.family) return false;
  const auto whole = static_cast<size_t>(network.bits / 8);
  if (std::memcmp(network.address.data(), host.address.data(), whole) != 0) return false;
  const int rest = network.bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<unsigned char>(0xff << (8 - rest));
  return (network.address[whole] & mask) == (host.address[whole] & mask);
}

int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

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
  JsonObject row;
  row.set("id", token.id);
  row.set("accessor", token.accessor);
  row.set("policies", Json::strings(token.policies));
  row.set("path", token.path);
  row.set("mount", token.mount_accessor);
  JsonObject meta;
  for (const auto& [key, value] : token.meta) meta.set(key, value);
  if (!meta.empty()) row.set("meta", std::move(meta));
  row.set("display_name", token.display_name);
  if (!token.role.empty()) row.set("role", token.role);
  if (!token.entity_id.empty()) row.set("entity_id", token.entity_id);
  row.set("type", token.type == logical::TokenType::kBatch ? "batch" : "service");
  row.set("num_uses", token.num_uses);
  row.set("created", token.created_s);
  row.set("creation_ttl", token.creation_ttl_s);
  row.set("expires", token.expires_s);
  row.set("explicit_max_ttl", token.explicit_max_ttl_s);
  row.set("period", token.period_s);
  row.set("last_renewal", token.last_renewal_s);
  row.set("renewable", token.renewable);
  row.set("orphan", token.orphan);
  if (!token.bound_cidrs.empty()) row.set("bound_cidrs", Json::strings(token.bound_cidrs));
  if (!token.ancestors.empty()) row.set("ancestors", Json::strings(token.ancestors));
  if (!token.ancestor_paths.empty()) {
    row.set("ancestor_paths", Json::strings(token.ancestor_paths));
  }
  row.set("issued_at", token.issued_at);
  if (token.type == logical::TokenType::kBatch && !token.hash.empty()) {
    row.set("parent", base::hex_encode(token.hash));
  }
  return Json(std::move(row)).dump();
}

base::Result<Token> decode_token(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(ErrorKind::kCorrupt, "a token's row can't be read");
  }
  Token token;
  token.id = row->string_or("id", "");
  token.accessor = row->string_or("accessor", "");
  token.policies = strings(*row, "policies");
  token.path = row->string_or("path", "");
  token.mount_accessor = row->string_or("mount", "");
  if (const Json* meta = row->find("meta"); meta != nullptr && meta->as_object()) {
    for (const auto& [key, value] : *meta->as_object()) {
      if (const std::string* member = value.as_string()) token.meta.emplace_back(key, *member);
    }
  }
  token.display_name = row->string_or("display_name", "");
  token.role = row->string_or("role", "");
  token.entity_id = row->string_or("entity_id", "");
  token.type = row->string_or("type", "") == "batch" ? logical::TokenType::kBatch
                                                     : logical::TokenType::kService;
  token.num_uses = integer(*row, "num_uses");
  token.created_s = integer(*row, "created");
  token.creation_ttl_s = integer(*row, "creation_ttl");
  token.expires_s = integer(*row, "expires");
  token.explicit_max_ttl_s = integer(*row, "explicit_max_ttl");
  token.period_s = integer(*row, "period");
  token.last_renewal_s = integer(*row, "last_renewal");
  const Json* renewable = row->find("renewable");
  token.renewable = renewable != nullptr && renewable->as_bool() && *renewable->as_bool();
  const Json* orphan = row->find("orphan");
  token.orphan = orphan != nullptr && orphan->as_bool() && *orphan->as_bool();
  token.bound_cidrs = strings(*row, "bound_cidrs");
  token.ancestors = strings(*row, "ancestors");
  token.ancestor_paths = strings(*row, "ancestor_paths");
  token.issued_at = static_cast<uint64_t>(integer(*row, "issued_at"));
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

bool address_allowed(std::string_view address, const std::vector<std::string>& cidrs) {
  if (cidrs.empty()) return true;
  // An IPv4 peer of a dual-stack socket shows as ::ffff:10.0.0.1.
  if (address.starts_with("::ffff:") && address.find('.') != std::string_view::npos) {
    address.remove_prefix(7);
  }
  Network host;
  if (!parse_network(address, host)) return false;
  return std::ranges::any_of(cidrs, [&](const std::string& cidr) {
    Network network;
    return parse_network(cidr, network) && contains(network, host);
  });
}

base::Result<std::string> parse_cidr(std::string_view text) {
  Network network;
  if (!parse_network(text, network)) {
    return base::fail(ErrorKind::kInvalid, "not an IP address or CIDR block");
  }
  char address[INET6_ADDRSTRLEN];
  inet_ntop(network.family, network.address.data(), address, sizeof address);
  const int all_bits = network.family == AF_INET ? 32 : 128;
  if (network.bits == all_bits) return std::string(address);
  return std::string(address) + "/" + std::to_string(network.bits);
}

}  // namespace rekey::identity
