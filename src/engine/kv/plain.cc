#include "engine/kv/plain.h"

#include "logical/answer.h"
#include "logical/context.h"
#include "logical/named_rows.h"

namespace rekey::engine::kv {
namespace {

using base::Json;
using base::Result;
using logical::Context;
using logical::Operation;
using logical::Response;

std::string row_of(std::string_view path) { return std::string(kPlainRows) + std::string(path); }

// A "ttl" or "lease" among the fields is a hint to clients how long they may keep the value.
int64_t lease_hint_s(const Json& object, const Context& context) {
  for (std::string_view name : {"lease", "ttl"}) {
    const Json* hint = object.find(name);
    if (hint == nullptr) continue;
    std::string text = hint->as_string() ? *hint->as_string() : std::string();
    if (const base::JsonNumber* number = hint->as_number()) text = number->text;
    if (const auto duration = base::parse_duration(text)) {
      return std::chrono::duration_cast<std::chrono::seconds>(*duration).count();
    }
  }
  return std::chrono::duration_cast<std::chrono::seconds>(context.lease_limits.default_lease_ttl)
      .count();
}

Result<Response> read(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) return logical::nothing_there();  // a folder
  auto row = context.storage->peek(row_of(path));
  if (!row) return forward(row);
  if (!*row) return logical::nothing_there();
  Response response;
  // Few values name a lease; only those are worth reading as JSON here.
  if ((*row)->find("\"ttl\"") != std::string::npos ||
      (*row)->find("\"lease\"") != std::string::npos) {
    auto object = Json::parse(**row);
    if (!object) return base::fail(base::ErrorKind::kCorrupt, "the stored value is not JSON");
    response.lease_duration_s = lease_hint_s(*object, context);
  } else {
    response.lease_duration_s = lease_hint_s(Json(), context);
  }
  response.data = std::move(**row);
  return response;
}

Result<Response> write(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) {
    return logical::bad_request("cannot write to a path ending in '/'");
  }
  if (!context.request.data.is_object() || context.request.data.as_object()->empty()) {
    return logical::bad_request("missing data fields");
  }
  auto put = context.storage->put(row_of(path), context.request.data.dump());
  if (!put) return forward(put);
  return Response{};
}

Result<Response> erase(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty()) return logical::bad_request("missing path");
  auto erased = context.storage->erase(row_of(path));
  if (!erased) return forward(erased);
  return Response{};
}

Result<Response> list(Context& context) {
  std::string folder = row_of(context.fields.text("path"));
  if (!folder.ends_with('/')) folder += '/';
  return logical::list_rows(context, folder);
}

Result<bool> exists(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) return false;
  auto row = context.storage->peek(row_of(context.fields.text("path")));
  if (!row) return forward(row);
  return row->has_value();
}

}  // namespace

PlainEngine::PlainEngine() {
  routes_.add({.pattern = "{path*}",
               .fields = {{"path", logical::FieldType::kString, "Location of the secret."},
                          logical::after_field(),
                          logical::limit_field()},
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase},
                            {Operation::kList, list}},
               .synopsis = "Keeps one JSON object at a path, without versions.",
               .description = "Write any fields; read them back as they were. What is overwritten "
                              "or deleted is gone.",
               .exists = exists,
               .any_input = true});
}

}  // namespace rekey::engine::kv
