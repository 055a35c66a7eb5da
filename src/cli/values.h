// Data on a command line: KEY=VALUE words, and JSON from a file or standard input.
//
//   key=value        a string            key=@file   the file's content
//   key=-            standard input      key=\@x     the text "@x"
//   @file  or  -     a JSON object whose members are added
// A key given twice becomes a list. One thread.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/json.h"

namespace rekey::cli {

inline constexpr size_t kValueFileBytesMax = 64 << 20;

// Fails with kInvalid and a message that quotes the word, as Vault's does. `read_input` gives what
// comes on standard input; it is called at most once.
base::Result<base::JsonObject> parse_values(std::span<const std::string> words,
                                            const std::function<std::string()>& read_input);

// A file's bytes. Fails with kInvalid and a message like "open x: no such file or directory".
base::Result<std::string> read_file(const std::string& path);

// "a,b" as a list, as -pgp-keys takes it.
base::Json comma_list(std::string_view text);

}  // namespace rekey::cli
