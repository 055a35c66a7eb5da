// Text as Vault's command prints it: wrapped paragraphs, columns, values of a table's cells,
// durations, JSON and YAML.
//
// Knows nothing of commands or the API. Pure; any thread.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace rekey::cli {

inline constexpr size_t kLineColumnsMax = 78;

// Breaks each line of `text` at blanks so that with `indent` it is at most kLineColumnsMax wide;
// every line starts with `indent` blanks. No line break at the end.
std::string wrap_text(std::string_view text, size_t indent = 0);

// Help is written with "$ rekey ..."; this puts the name in under which the program was called.
std::string under_program_name(std::string text, std::string_view program);

using Row = std::vector<std::string>;
// Cells in columns, four blanks apart, each as wide as its widest. An empty cell is `empty`. Ends
// with a line break. Widths count UTF-8 characters.
std::string format_columns(std::span<const Row> rows, std::string_view empty = "n/a");
// The same with a header and a line of dashes under each of its names.
std::string format_table(const Row& header, std::span<const Row> rows);
// "Key  Value".
std::string format_pairs(std::span<const Row> rows);

// A value in one cell: text as it is, map[a:1 b:2], [x y], <nil>.
std::string format_cell(const base::Json& value);
// ["a" "b"]; "[]" for null.
std::string format_quoted_list(const base::Json* list);

// "768h", "1h30m", "0s": Go's form without the zero parts at its end.
std::string format_short_duration(base::Duration duration);
// Whether Vault shows a number under this name as a duration.
bool is_duration_name(std::string_view name);

// In which order the members of an object are printed: those named first, the rest by name. "*" in
// `inside` is for every member that isn't named there.
struct Layout {
  std::vector<std::string_view> first;
  std::map<std::string_view, Layout> inside;
};
// Two blanks of indentation, no line break at the end, and <, > and & escaped, as Go prints JSON.
std::string format_json(const base::Json& value, const Layout& layout = {});
// Ends with a line break.
std::string format_yaml(const base::Json& value);

}  // namespace rekey::cli
