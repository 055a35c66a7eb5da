#include "logical/answer.h"

#include "logical/route.h"

namespace rekey::logical {

base::Result<Response> with_keys(const std::vector<std::string>& keys) {
  if (keys.empty()) return nothing_there();
  Response response;
  base::JsonWriter json(response.data);
  json.begin_object();
  json.key("keys");
  json.begin_array();
  for (const std::string& key : keys) json.value(key);
  json.end_array();
  json.end_object();
  return response;
}

std::string listed(std::string_view message) {
  return "1 error occurred:\n\t* " + std::string(message) + "\n\n";
}

base::Result<Page> read_page(const Fields& fields) {
  Page page;
  page.after = fields.text("after");
  const int64_t limit = fields.integer("limit", 0);
  if (limit > 0) page.limit = std::min<size_t>(static_cast<size_t>(limit), kListPageMax);
  return page;
}

const Field& after_field() {
  static const Field field{"after", FieldType::kString,
                           "List only names that come after this one."};
  return field;
}

const Field& limit_field() {
  static const Field field{"limit", FieldType::kInteger, "Return at most this many names."};
  return field;
}

}  // namespace rekey::logical
