// Small helpers for handlers: the answers that every backend gives in the same words.
#pragma once

#include "base/json.h"
#include "logical/request.h"

namespace rekey::logical {

inline Response with_json(const base::Json& data) {
  Response response;
  response.data = data.dump();
  return response;
}

inline Response with_data(base::JsonObject data) { return with_json(base::Json(std::move(data))); }

// A list answer: {"keys": [...]}. No keys is the 404 that Vault's clients expect.
base::Result<Response> with_keys(const std::vector<std::string>& keys);

inline std::unexpected<base::Error> bad_request(
    std::string message, std::source_location where = std::source_location::current()) {
  return base::fail(base::ErrorKind::kInvalid, std::move(message), {}, where);
}

// The text that Vault makes of an error that came to it as a list of one: "1 error occurred:" and
// so on. Clients show it, and some look for it.
std::string listed(std::string_view message);

// A bare 404: {"errors":[]}.
inline std::unexpected<base::Error> nothing_there(
    std::source_location where = std::source_location::current()) {
  return base::fail(base::ErrorKind::kNotFound, "", {}, where);
}

// `after` and `limit` of a list request; limit is bounded by kListPageMax.
constexpr size_t kListPageMax = 100'000;  // names in one list answer
struct Page {
  std::string_view after;
  size_t limit = kListPageMax;
};
class Fields;
base::Result<Page> read_page(const Fields& fields);
// The two fields that read_page reads, for a route's declaration.
struct Field;
const Field& after_field();
const Field& limit_field();

}  // namespace rekey::logical
