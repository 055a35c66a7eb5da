// Username templates: what a database's user is called, in the part of Go's template language that
// Vault's configurations use.
//
//   {{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20)
//      (unix_time) | truncate 63 }}
//
// Fields: .DisplayName, .RoleName. Functions: random, truncate, truncate_sha256, uppercase,
// lowercase, replace, sha256, base64, unix_time, unix_time_millis, timestamp, uuid, printf (%s, %v,
// %d, %%). What comes from a client can't leave the name: see safe_username(). Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

namespace rekey::engine::database {

constexpr size_t kTemplateBytesMax = 2048;
constexpr size_t kUsernameBytesMax = 320;
constexpr int kTemplateDepthMax = 16;       // nested parentheses
constexpr size_t kTemplateTextMax = 4096;   // bytes that evaluating may make at any step
constexpr size_t kTemplateRandomMax = 256;  // characters of one call of random

struct NameParts {
  std::string_view display_name, role_name;
  base::WallTime now{};
};

// Failure: kInvalid, saying what is wrong with the template.
base::Result<std::string> expand_username(std::string_view text, const NameParts& parts,
                                          base::Random& random);

// What a username may hold: letters, digits and _ . @ -, and a letter, digit or underscore first.
// No quote, no blank, nothing that could mean something in a statement.
bool safe_username(std::string_view name);

}  // namespace rekey::engine::database
