// sys/config/auditing/request-headers: which request headers the record and the devices keep.
#include <algorithm>

#include "base/codec.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"
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
using pipeline::AuditedHeader;
using pipeline::CallContext;

constexpr size_t kAuditedHeadersMax = 64;    // headers that can be configured
constexpr size_t kHeaderNameBytesMax = 256;  // of one of them

// Those that are in force; empty where there are none.
pipeline::AuditedHeaders configured(Context& context) {
  const auto& headers = CallContext::of(context).state->audited_headers;
  return headers == nullptr ? pipeline::AuditedHeaders{} : *headers;
}

Result<Response> list(Context& context) {
  JsonObject headers;
  for (const AuditedHeader& header : configured(context)) {
    headers.set(header.name, JsonObject{{"hmac", header.hmac}});
  }
  return logical::with_data({{"headers", std::move(headers)}});
}

Result<Response> read(Context& context) {
  const std::string_view asked = context.fields.text("header");
  for (const AuditedHeader& header : configured(context)) {
    if (header.name != base::to_lower(asked)) continue;
    JsonObject data;
    data.set(asked, JsonObject{{"hmac", header.hmac}});
    return logical::with_data(std::move(data));
  }
  return logical::bad_request("Could not find header in config");
}

// A field name of HTTP (RFC 9110 section 5.1).
bool is_field_name(std::string_view name) {
  return !name.empty() && name.size() <= kHeaderNameBytesMax &&
         std::ranges::all_of(name, [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) !=
                      std::string_view::npos;
         });
}

Result<Response> write(Context& context, pipeline::Keeper& keeper) {
  const std::string name = base::to_lower(context.fields.text("header"));
  if (!is_field_name(name)) return logical::bad_request("this can't be the name of a header");
  const auto known = configured(context);
  const bool is_new = std::ranges::find(known, name, &AuditedHeader::name) == known.end();
  if (is_new && known.size() >= kAuditedHeadersMax) {
    return logical::bad_request("there are " + std::to_string(kAuditedHeadersMax) +
                                " audited headers already");
  }
  const JsonObject row{{"hmac", context.fields.flag("hmac")}};
  CallContext::of(context).txn->put(std::string(pipeline::kAuditedHeaderPrefix) + name,
                                    Json(row).dump());
  context.after_commit.push_back([&keeper] { return keeper.reload_audited_headers(); });
  return Response{};
}

Result<Response> erase(Context& context, pipeline::Keeper& keeper) {
  const std::string name = base::to_lower(context.fields.text("header"));
  CallContext::of(context).txn->erase(std::string(pipeline::kAuditedHeaderPrefix) + name);
  context.after_commit.push_back([&keeper] { return keeper.reload_audited_headers(); });
  return Response{};
}

}  // namespace

void SystemBackend::add_audited_header_routes() {
  pipeline::Keeper& keeper = parts_.keeper;
  routes_.add({.pattern = "config/auditing/request-headers",
               .handlers = {{Operation::kRead, list}},
               .synopsis = "The request headers that are kept in the record and by audit devices.",
               .sudo = true});
  routes_.add({.pattern = "config/auditing/request-headers/{header}",
               .fields = {{"hmac", FieldType::kBoolean, "Keep a keyed hash, not the value."}},
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate,
                             [&keeper](Context& context) { return write(context, keeper); }},
                            {Operation::kDelete,
                             [&keeper](Context& context) { return erase(context, keeper); }}},
               .synopsis = "A request header that is kept.",
               .sudo = true});
}

}  // namespace rekey::system
