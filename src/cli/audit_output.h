// Entries of the record as a person or another program wants them: a table, JSON, JSON lines, CSV.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/text.h"

namespace rekey::cli {

class EntryPrinter {
 public:
  // Nothing for a format that isn't table, json, jsonl, yaml or csv. `out` outlives it.
  static std::optional<EntryPrinter> make(std::ostream& out, std::string_view format);
  void print(uint64_t index, std::string_view entry);
  // Prints what waits to be laid out.
  void flush();
  void end();
  uint64_t printed() const { return printed_; }

 private:
  enum class Format { kTable, kJson, kLines, kYaml, kCsv };
  EntryPrinter(std::ostream& out, Format format) : out_(&out), format_(format) {}

  std::ostream* out_;
  Format format_;
  std::vector<Row> rows_;
  bool has_header_ = false;
  uint64_t printed_ = 0;
};

// A CSV field (RFC 4180). One that a spreadsheet would take for a formula gets a quote before it.
std::string csv_field(std::string_view text);

}  // namespace rekey::cli
