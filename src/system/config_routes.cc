// sys/config: CORS, headers of the console, the configuration without its secrets.
#include <algorithm>

#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "pipeline/settings.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr size_t kCorsItemsMax = 100;       // origins, and headers
constexpr size_t kCorsItemBytesMax = 256;   // of one of them
constexpr size_t kUiHeadersMax = 64;        // headers of the console
constexpr size_t kUiHeaderValuesMax = 16;   // values of one of them
constexpr size_t kUiHeaderBytesMax = 4096;  // of one value
constexpr std::string_view kUiHeaderPrefix = "core/ui-header/";

// What a page may always send, as Vault has it.
constexpr std::string_view kCorsHeaders[] = {"Content-Type",
                                             "X-Requested-With",
                                             "X-Vault-AWS-IAM-Server-ID",
                                             "X-Vault-MFA",
                                             "X-Vault-No-Request-Forwarding",
                                             "X-Vault-Wrap-Format",
                                             "X-Vault-Wrap-TTL",
                                             "X-Vault-Policy-Override",
                                             "Authorization",
                                             "X-Vault-Token"};

// A field name, RFC 9110 section 5.1.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return isalnum(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// These come back in a header, so nothing that could end one.
bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

Result<Response> read_cors(Context& context) {
  const auto& cors = CallContext::of(context).state->cors;
  if (cors == nullptr) return logical::with_data({{"enabled", false}});
  return logical::with_data({{"enabled", true},
                             {"allowed_origins", Json::strings(cors->origins)},
                             {"allowed_headers", Json::strings(cors->headers)}});
}

Result<Response> write_cors(Context& context, pipeline::Keeper& keeper) {
  pipeline::Cors cors;
  cors.origins = context.fields.strings("allowed_origins");
  for (std::string_view name : kCorsHeaders) cors.headers.emplace_back(name);
  for (std::string& name : context.fields.strings("allowed_headers")) {
    if (!is_token(name) || name.size() > kCorsItemBytesMax) {
      return logical::bad_request("allowed_headers must be names of headers");
    }
    if (std::ranges::find(cors.headers, name) == cors.headers.end()) {
      cors.headers.push_back(std::move(name));
    }
  }
  if (cors.origins.empty()) {
    return logical::bad_request("at least one origin or the wildcard must be provided");
  }
  if (cors.origins.size() > kCorsItemsMax || cors.headers.size() > kCorsItemsMax) {
    return logical::bad_request("at most " + std::to_string(kCorsItemsMax) +
                                " origins and headers");
  }
  for (const std::string& origin : cors.origins) {
    if (origin == "*" && cors.origins.size() > 1) {
      return logical::bad_request(
          "to allow all origins the '*' must be the only value for allowed_origins");
    }
    if (origin.empty() || origin.size() > kCorsItemBytesMax || !printable(origin)) {
      return logical::bad_request("an origin looks like https://host:port");
    }
  }
  CallContext::of(context).txn->put(pipeline::kCorsRow, pipeline::encode(cors));
  context.after_commit.push_back([&keeper] { return keeper.reload_settings(); });
  return Response{};
}

Result<Response> erase_cors(Context& context, pipeline::Keeper& keeper) {
  CallContext::of(context).txn->erase(pipeline::kCorsRow);
  context.after_commit.push_back([&keeper] { return keeper.reload_settings(); });
  return Response{};
}

// "x-custom-header" is X-Custom-Header, as Go writes it.
std::string canonical(std::string_view name) {
  std::string out;
  bool upper = true;
  for (unsigned char c : name) {
    out += static_cast<char>(upper ? toupper(c) : tolower(c));
    upper = c == '-';
  }
  return out;
}

std::string ui_row(std::string_view name) { return std::string(kUiHeaderPrefix) + canonical(name); }

Result<Response> list_ui_headers(Context& context) {
  auto names = CallContext::of(context).txn->list(std::string(kUiHeaderPrefix), "", kUiHeadersMax);
  if (!names) return forward(names);
  return logical::with_keys(*names);
}

Result<Response> read_ui_header(Context& context) {
  auto row = CallContext::of(context).txn->get(ui_row(context.fields.text("header")));
  if (!row) return forward(row);
  if (!*row) return logical::nothing_there();
  const auto values = Json::parse(**row);
  if (!values || values->as_array() == nullptr || values->as_array()->empty()) {
    return base::fail(base::ErrorKind::kCorrupt, "a header of the console can't be read");
  }
  if (context.fields.flag("multivalue")) return logical::with_data({{"values", *values}});
  return logical::with_data({{"value", values->as_array()->front()}});
}

Result<Response> write_ui_header(Context& context) {
  const std::string name = canonical(context.fields.text("header"));
  const std::vector<std::string> values = context.fields.strings("values");
  if (name.empty() || values.empty()) {
    return logical::bad_request("header and values must be specified");
  }
  if (name.starts_with("X-Vault-")) return logical::bad_request("X-Vault headers cannot be set");
  if (!is_token(name) || name.size() > kCorsItemBytesMax || values.size() > kUiHeaderValuesMax) {
    return logical::bad_request("not the name of a header, or too many values");
  }
  for (const std::string& value : values) {
    const bool clean = std::ranges::none_of(value, [](unsigned char c) { return c < 0x20; });
    if (!clean || value.size() > kUiHeaderBytesMax) {
      return logical::bad_request("a header's value must be one line");
    }
  }
  CallContext& call = CallContext::of(context);
  auto names = call.txn->list(std::string(kUiHeaderPrefix), "", kUiHeadersMax);
  if (!names) return forward(names);
  if (names->size() >= kUiHeadersMax && std::ranges::find(*names, name) == names->end()) {
    return logical::bad_request("at most " + std::to_string(kUiHeadersMax) + " headers");
  }
  call.txn->put(ui_row(name), Json::strings(values).dump());
  Response response;
  response.status = 200;
  return response;
}

Result<Response> erase_ui_header(Context& context) {
  CallContext::of(context).txn->erase(ui_row(context.fields.text("header")));
  return Response{};
}

}  // namespace

void SystemBackend::add_config_routes() {
  pipeline::Keeper& keeper = parts_.keeper;
  routes_.add(
      {.pattern = "config/cors",
       .fields = {{"allowed_origins", FieldType::kStrings, "Origins, or * alone for any."},
                  {"allowed_headers", FieldType::kStrings, "Headers beside the usual ones."},
                  {"enable", FieldType::kBoolean, "Has no meaning; writing enables."}},
       .handlers = {{Operation::kRead, read_cors},
                    {Operation::kUpdate, [&keeper](Context& c) { return write_cors(c, keeper); }},
                    {Operation::kDelete, [&keeper](Context& c) { return erase_cors(c, keeper); }}},
       .synopsis = "Which pages of browsers may ask this server.",
       .sudo = true});
  routes_.add({.pattern = "config/ui/headers",
               .handlers = {{Operation::kList, list_ui_headers}},
               .synopsis = "Lists the headers that the console sends.",
               .sudo = true});
  routes_.add({.pattern = "config/ui/headers/{header}",
               .fields = {{"values", FieldType::kStrings, "The header's values."},
                          {"multivalue", FieldType::kBoolean, "Show all values, not the first."}},
               .handlers = {{Operation::kRead, read_ui_header},
                            {Operation::kUpdate, write_ui_header},
                            {Operation::kDelete, erase_ui_header}},
               .synopsis = "A header that the console sends.",
               .sudo = true});
  routes_.add({.pattern = "config/state/sanitized",
               .handlers = {{Operation::kRead,
                             [this](Context&) -> Result<Response> {
                               JsonObject shown;
                               if (const JsonObject* kept = parts_.configuration.as_object()) {
                                 shown = *kept;
                               }
                               shown.set("log_level",
                                         base::log_level_name(parts_.log.configured_level()));
                               return logical::with_data(std::move(shown));
                             }}},
               .synopsis = "The configuration that the server runs with, without secrets."});
}

}  // namespace rekey::system
