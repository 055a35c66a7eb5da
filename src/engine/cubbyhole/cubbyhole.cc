#include "engine/cubbyhole/cubbyhole.h"

#include "logical/answer.h"
#include "logical/context.h"
#include "logical/named_rows.h"

namespace rekey::engine::cubbyhole {
namespace {

using base::Result;
using logical::Context;
using logical::Operation;
using logical::Response;

// Batch tokens have no place of their own: nothing of theirs is stored.
Result<std::string> row_of(const Context& context, std::string_view path) {
  if (context.caller.token_id.empty()) {
    return logical::bad_request("cubbyhole operations are only supported by service tokens");
  }
  return std::string(context.caller.token_id) + "/" + std::string(path);
}

Result<Response> read(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty()) return base::fail(base::ErrorKind::kUnsupported, "unsupported operation");
  auto row = row_of(context, path);
  if (!row) return forward(row);
  auto value = context.storage->peek(*row);
  if (!value) return forward(value);
  if (!*value) return logical::nothing_there();
  Response response;
  response.data = std::move(**value);
  return response;
}

Result<Response> write(Context& context) {
  const std::string_view path = context.fields.text("path");
  if (path.empty() || path.ends_with('/')) return logical::bad_request("missing path");
  if (!context.request.data.is_object() || context.request.data.as_object()->empty()) {
    return logical::bad_request("missing data fields");
  }
  auto row = row_of(context, path);
  if (!row) return forward(row);
  auto put = context.storage->put(*row, context.request.data.dump());
  if (!put) return forward(put);
  return Response{};
}

Result<Response> erase(Context& context) {
  auto row = row_of(context, context.fields.text("path"));
  if (!row) return forward(row);
  if (row->ends_with('/')) return logical::bad_request("missing path");
  auto erased = context.storage->erase(*row);
  if (!erased) return forward(erased);
  return Response{};
}

Result<Response> list(Context& context) {
  auto folder = row_of(context, context.fields.text("path"));
  if (!folder) return forward(folder);
  if (!folder->ends_with('/')) *folder += '/';
  return logical::list_rows(context, *folder);
}

Result<bool> exists(Context& context) {
  auto row = row_of(context, context.fields.text("path"));
  if (!row) return forward(row);
  auto value = context.storage->peek(*row);
  if (!value) return forward(value);
  return value->has_value();
}

}  // namespace

Engine::Engine() {
  routes_.add({.pattern = "{path*}",
               .fields = {{"path", logical::FieldType::kString, "Location of the value."},
                          logical::after_field(),
                          logical::limit_field()},
               .handlers = {{Operation::kRead, read},
                            {Operation::kUpdate, write},
                            {Operation::kDelete, erase},
                            {Operation::kList, list}},
               .synopsis = "Values that only this token can see and that end with it.",
               .exists = exists,
               .any_input = true});
}

}  // namespace rekey::engine::cubbyhole
