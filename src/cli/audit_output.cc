#include "cli/audit_output.h"

#include <ostream>

#include "base/json.h"

namespace rekey::cli {

using base::Json;

namespace {

constexpr size_t kTableRowsMax = 1'000;  // laid out together
constexpr size_t kTimeSecondsBytes = 19;

const Row kTableHeader = {"Index", "Time", "Operation", "Path", "Identity", "Address", "Status"};
const Row kCsvHeader = {"index", "time",     "operation", "path",      "entity_id",
                        "name",  "accessor", "address",   "forwarded", "status",
                        "rule",  "error",    "id"};

std::string inner(const Json& entry, std::string_view object, std::string_view name) {
  const Json* found = entry.find(object);
  return found == nullptr ? std::string() : found->string_or(name, "");
}

std::string cell(const Json& entry, std::string_view name) {
  const Json* found = entry.find(name);
  return found == nullptr ? std::string() : format_cell(*found);
}

// Text from clients: nothing that moves a terminal's cursor.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

Row table_row(uint64_t index, const Json& entry) {
  std::string who = inner(entry, "auth", "display_name");
  if (who.empty()) who = inner(entry, "auth", "entity_id");
  std::string time = entry.string_or("time", "").substr(0, kTimeSecondsBytes);
  if (!time.empty()) time += 'Z';
  return {
      std::to_string(index),          time,           printable(cell(entry, "operation")),
      printable(cell(entry, "path")), printable(who), printable(inner(entry, "remote", "address")),
      cell(entry, "status")};
}

Row csv_row(uint64_t index, const Json& entry) {
  return {std::to_string(index),
          entry.string_or("time", ""),
          cell(entry, "operation"),
          cell(entry, "path"),
          inner(entry, "auth", "entity_id"),
          inner(entry, "auth", "display_name"),
          inner(entry, "auth", "accessor"),
          inner(entry, "remote", "address"),
          inner(entry, "remote", "forwarded"),
          cell(entry, "status"),
          inner(entry, "auth", "rule"),
          cell(entry, "error"),
          cell(entry, "id")};
}

std::string csv_line(const Row& row) {
  std::string line;
  for (const std::string& field : row) {
    if (&field != &row.front()) line += ',';
    line += csv_field(field);
  }
  return line + "\r\n";
}

}  // namespace

std::string csv_field(std::string_view text) {
  constexpr std::string_view kFormula = "=+-@\t\r";
  std::string out(text);
  if (!text.empty() && kFormula.find(text[0]) != kFormula.npos) out.insert(0, "'");
  if (out.find_first_of("\",\r\n") == out.npos) return out;
  std::string quoted = "\"";
  for (char c : out) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::optional<EntryPrinter> EntryPrinter::make(std::ostream& out, std::string_view format) {
  if (format.empty() || format == "table") return EntryPrinter(out, Format::kTable);
  if (format == "json") return EntryPrinter(out, Format::kJson);
  if (format == "jsonl") return EntryPrinter(out, Format::kLines);
  if (format == "yaml" || format == "yml") return EntryPrinter(out, Format::kYaml);
  if (format == "csv") return EntryPrinter(out, Format::kCsv);
  return std::nullopt;
}

void EntryPrinter::print(uint64_t index, std::string_view entry) {
  ++printed_;
  const base::Result<Json> parsed = Json::parse(entry);
  const Json shown = parsed ? *parsed : Json(entry);
  switch (format_) {
    case Format::kTable:
      rows_.push_back(table_row(index, shown));
      if (rows_.size() >= kTableRowsMax) flush();
      break;
    case Format::kCsv:
      if (!has_header_) *out_ << csv_line(kCsvHeader);
      has_header_ = true;
      *out_ << csv_line(csv_row(index, shown));
      break;
    case Format::kYaml:  // a list of one after the other is one list
      *out_ << format_yaml(
          base::JsonArray{Json(base::JsonObject{{"entry", shown}, {"index", index}})});
      break;
    case Format::kLines:
    case Format::kJson: {
      const std::string text = Json(base::JsonObject{{"entry", shown}, {"index", index}}).dump();
      if (format_ == Format::kLines) {
        *out_ << text << '\n';
      } else {
        *out_ << (printed_ == 1 ? "[\n" : ",\n") << text;
      }
    }
  }
}

void EntryPrinter::flush() {
  if (!rows_.empty()) {
    *out_ << (has_header_ ? format_columns(rows_) : format_table(kTableHeader, rows_));
    has_header_ = true;
    rows_.clear();
  }
  out_->flush();
}

void EntryPrinter::end() {
  if (format_ == Format::kJson) *out_ << (printed_ == 0 ? "[]\n" : "\n]\n");
  if (format_ == Format::kYaml && printed_ == 0) *out_ << "[]\n";
  flush();
}

}  // namespace rekey::cli
