// What the backends do alike with their named rows (roles, users, configurations): list them, read
// one, and say what can be a name.
#pragma once

#include <optional>
#include <string_view>
#include <type_traits>

#include "logical/context.h"

namespace rekey::logical {

// Vault's usual pattern for names in paths: word characters, '-' and '.', beginning and ending with
// a word character; at most `bytes_max` of them.
bool is_name(std::string_view text, size_t bytes_max);

// The page of names under `folder` (with its slash) that the request asks for, as a list answer.
base::Result<Response> list_rows(Context& context, std::string_view folder);

// What `decode`, a function from the row's text to a Result, makes of the row; nothing where there
// is none.
template <class Decode>
auto read_row(Context& context, std::string_view key, Decode decode) -> base::Result<
    std::optional<typename std::invoke_result_t<Decode, std::string_view>::value_type>> {
  auto row = context.storage->get(key);
  if (!row) return base::forward(row);
  if (!*row) return std::nullopt;
  auto decoded = decode(std::string_view(**row));
  if (!decoded) return base::forward(decoded);
  return std::move(*decoded);
}

}  // namespace rekey::logical
