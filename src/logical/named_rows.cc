#include "logical/named_rows.h"

#include <algorithm>

#include "logical/answer.h"

namespace rekey::logical {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

bool is_name(std::string_view text, size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max && is_word(text.front()) &&
         is_word(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

base::Result<Response> list_rows(Context& context, std::string_view folder) {
  auto page = read_page(context.fields);
  if (!page) return base::forward(page);
  auto names = context.storage->list(folder, page->after, page->limit);
  if (!names) return base::forward(names);
  return with_keys(*names);
}

}  // namespace rekey::logical
