#include "api/vault/translate.h"

#include "base/codec.h"

namespace rekey::api::vault {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using logical::Operation;

std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
  return content_type;
}

base::Result<JsonObject> parse_form(std::string_view text) {
  JsonObject out;
  size_t count = 0;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    if (++count > kQueryParametersMax)
      return base::fail(ErrorKind::kInvalid, "too many parameters");
    const size_t equals = pair.find('=');
    auto key = percent_decode(pair.substr(0, equals), true);
    if (!key) return forward(key);
    auto value = percent_decode(
        equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!value) return forward(value);
    Json* known = out.find(*key);
    if (known == nullptr) {
      out.set(*key, std::move(*value));
    } else if (base::JsonArray* several = known->as_array()) {
      several->emplace_back(std::move(*value));
    } else {
      *known = base::JsonArray{std::move(*known), Json(std::move(*value))};
    }
  }
  return out;
}

// No C0 and C1 control characters; `text` is valid UTF-8.
bool printable(std::string_view text) {
  for (size_t i = 0; i < text.size(); i++) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return false;
    if (byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return false;
  }
  return true;
}

// "/v1/secret//data/x" is "secret/data/x". A relative segment is refused: what a proxy made of it
// is not for us to guess.
base::Result<std::string> logical_path(std::string_view encoded) {
  if (!encoded.starts_with("/v1/")) return base::fail(ErrorKind::kNotFound, "");
  auto decoded = percent_decode(encoded.substr(4), false);
  if (!decoded) return decoded;
  std::string path = std::move(*decoded);
  size_t kept = 0;
  for (char c : path) {
    if (c == '/' && (kept == 0 || path[kept - 1] == '/')) continue;
    path[kept++] = c;
  }
  path.resize(kept);
  if (path.size() > kPathBytesMax) return base::fail(ErrorKind::kTooLarge, "the path is too long");
  if (!printable(path)) {
    return base::fail(ErrorKind::kInvalid, "the path must not hold control characters");
  }
  const std::string_view view = path;
  for (size_t at = 0; at <= view.size();) {
    const size_t end = std::min(view.find('/', at), view.size());
    const std::string_view segment = view.substr(at, end - at);
    if (segment == "." || segment == "..") {
      return base::fail(ErrorKind::kInvalid, "relative paths not supported");
    }
    at = end + 1;
  }
  return path;
}

// A form's repeated fields are one string with commas, as in Vault; a query's are a list.
void join_repeated(JsonObject& fields) {
  for (auto& [name, value] : fields) {
    const base::JsonArray* several = value.as_array();
    if (several == nullptr) continue;
    std::string joined;
    for (const Json& item : *several) joined.append(*item.as_string()).append(",");
    joined.pop_back();
    value = Json(std::move(joined));
  }
}

base::Result<void> read_body(const net::Request& http, logical::Request& out) {
  out.body_bytes = http.body.size();
  std::string_view body = http.body;
  while (!body.empty() &&
         (body[0] == ' ' || body[0] == '\n' || body[0] == '\r' || body[0] == '\t')) {
    body.remove_prefix(1);
  }
  if (body.empty()) return {};
  const std::string_view type = media_type(out.content_type);
  const bool form = type == "application/x-www-form-urlencoded" && body[0] != '{' && body[0] != '[';
  if (form) {
    auto parsed = parse_form(body);
    if (!parsed) return forward(parsed);
    join_repeated(*parsed);
    out.data = Json(std::move(*parsed));
    return {};
  }
  auto parsed = Json::parse(body, {.depth_max = kJsonDepthMax, .members_max = kJsonMembersMax});
  if (!parsed) {
    return base::fail(ErrorKind::kInvalid,
                      "failed to parse JSON input: " + parsed.error().message());
  }
  if (!parsed->is_object() && !parsed->is_null()) {
    return base::fail(ErrorKind::kInvalid,
                      "failed to parse JSON input: the body must be a JSON object");
  }
  out.data = std::move(*parsed);
  return {};
}

bool truthy(const JsonObject& query, std::string_view name) {
  const Json* value = query.find(name);
  if (value == nullptr || value->as_string() == nullptr) return false;
  const std::string& text = *value->as_string();
  return text == "true" || text == "1" || text == "t" || text == "TRUE" || text == "True";
}

base::Result<void> choose_operation(const net::Request& http, logical::Request& out) {
  auto query = parse_form(http.query);
  if (!query) return forward(query);
  const std::string_view method = http.method;
  if (method == "HELP" || (method == "GET" && truthy(*query, "help"))) {
    out.operation = Operation::kHelp;
    return {};
  }
  if (method == "POST" || method == "PUT" || method == "PATCH") {
    out.operation = method == "PATCH" ? Operation::kPatch : Operation::kUpdate;
    if (method == "PATCH" && media_type(out.content_type) != "application/merge-patch+json") {
      return base::fail(ErrorKind::kMediaType,
                        "PATCH requires Content-Type of application/merge-patch+json" +
                            (out.content_type.empty()
                                 ? std::string()
                                 : ", provided " + std::string(media_type(out.content_type))));
    }
    return read_body(http, out);
  }
  if (method == "LIST" || (method == "GET" && truthy(*query, "list"))) {
    out.operation = Operation::kList;
    if (!out.path.empty() && !out.path.ends_with('/')) out.path += '/';
    query->erase("list");
  } else if (method == "GET" || (method == "HEAD" && out.path == "sys/health")) {
    out.operation = Operation::kRead;
  } else if (method == "DELETE") {
    out.operation = Operation::kDelete;
    // The only deletions with a body: cancelling these takes the operation's nonce.
    if (out.path.starts_with("sys/rekey") || out.path.starts_with("sys/generate-root")) {
      auto body = read_body(http, out);
      if (!body) return body;
    }
  } else {
    return base::fail(ErrorKind::kUnsupported, "");
  }
  if (!query->empty()) out.data = Json(std::move(*query));
  return {};
}

base::Result<void> read_headers(const net::Request& http, logical::Request& out) {
  out.token = http.header("X-Vault-Token");
  if (out.token.empty()) {
    const std::string_view authorization = http.header("Authorization");
    constexpr std::string_view kBearer = "Bearer ";
    if (authorization.starts_with(kBearer)) out.token = authorization.substr(kBearer.size());
  }
  out.content_type = http.header("Content-Type");
  out.accept = http.header("Accept");
  const std::string_view wrap = http.header("X-Vault-Wrap-TTL");
  if (!wrap.empty()) {
    const auto ttl = base::parse_duration(wrap);
    if (!ttl || ttl->count() < 0) {
      return base::fail(ErrorKind::kInvalid, "error parsing X-Vault-Wrap-TTL: not a duration");
    }
    if (ttl->count() > 0) out.wrap_ttl = *ttl;
    out.wrap_as_jwt = http.header("X-Vault-Wrap-Format") == "jwt";
  }
  return {};
}

// What belongs to the whole server, in Vault too.
bool outside_namespaces(std::string_view path) {
  if (!path.starts_with("sys/")) return false;
  path.remove_prefix(4);
  const std::string_view first = path.substr(0, path.find('/'));
  for (std::string_view name :
       {"init", "seal", "unseal", "step-down", "health", "rekey", "rekey-recovery-key",
        "generate-root", "raw", "storage", "metrics", "pprof"}) {
    if (first == name) return true;
  }
  return false;
}

base::Result<void> check_namespace(const net::Request& http, std::string_view path) {
  const std::string_view name_space = http.header("X-Vault-Namespace");
  if (!name_space.empty() && name_space != "root" && name_space != "root/" && name_space != "/") {
    if (outside_namespaces(path)) {
      return base::fail(ErrorKind::kInvalid, "operation unavailable in namespaces");
    }
    return base::fail(ErrorKind::kInvalid,
                      "namespaces are not supported by Rekey: leave X-Vault-Namespace "
                      "(VAULT_NAMESPACE, -namespace) empty or use root");
  }
  return {};
}

}  // namespace

base::Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (text.size() - i < 3) {
        return base::fail(ErrorKind::kInvalid, "bad percent-encoding");
      }
      auto byte = base::hex_decode(text.substr(i + 1, 2));
      if (!byte) return base::fail(ErrorKind::kInvalid, "bad percent-encoding");
      out += *byte;
      i += 2;
    }
  }
  if (out.find('\0') != std::string::npos || !base::is_valid_utf8(out)) {
    return base::fail(ErrorKind::kInvalid, "the path or query is not valid UTF-8 text");
  }
  return out;
}

base::Result<void> translate(const net::Request& http, logical::Request& out) {
  out.origin = {.address = http.client_address(),
                .port = http.peer().port,
                .forwarded_for = http.forwarded_address,
                .user_agent = http.header("User-Agent"),
                .client_certificate_der = http.peer().client_certificate_der,
                .client_intermediates_der = http.peer().client_intermediates_der};
  out.values_named = [&http](std::string_view name) {
    std::vector<std::string_view> values;
    for (const net::Header& header : http.headers) {
      if (net::equal_ignoring_case(header.name, name)) values.push_back(header.value);
    }
    return values;
  };
  auto headers = read_headers(http, out);
  auto path = logical_path(http.path);
  if (!path) return forward(path);
  out.path = std::move(*path);
  if (!headers) return headers;
  auto root = check_namespace(http, out.path);
  if (!root) return root;
  return choose_operation(http, out);
}

}  // namespace rekey::api::vault
