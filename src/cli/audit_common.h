// What the commands over the record share.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "audit/entry_source.h"
#include "cli/command.h"

namespace rekey::cli {

inline constexpr FlagSpec kAuditFolderFlag = {
    .name = "log", .help = "The record's folder: read it instead of asking a server."};

inline constexpr FlagSpec kAuditArchiveFlag = {
    .name = "archive", .help = "With -log: the folder to which retention moved older entries."};

// The folder given with -log; empty: over the API.
inline std::string folder_of(const Context& context) { return context.flags().text("log"); }

inline base::Result<std::unique_ptr<audit::FolderSource>> open_folder(const Context& context) {
  return audit::FolderSource::open(folder_of(context), context.flags().text("archive"));
}

inline bool read_number(std::string_view text, uint64_t& out) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && read.ec == std::errc() && read.ptr == text.data() + text.size();
}

// Here the one who asks is the operator.
inline std::string with_detail(const base::Error& error) {
  return error.detail().empty() ? error.message() : error.message() + ": " + error.detail();
}

inline int cannot_read(Context& context, const base::Error& error) {
  return context.fail(2, "Error reading the record: " + with_detail(error));
}

}  // namespace rekey::cli
