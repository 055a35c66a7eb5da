// Settings that operators change through sys/ while the server runs, as rows of the store: which
// pages of browsers may ask (sys/config/cors), when the encryption key is rotated
// (sys/rotate/config). Values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "barrier/barrier.h"
#include "base/error.h"
#include "base/json.h"

namespace rekey::pipeline {

inline constexpr std::string_view kCorsRow = "core/cors";          // absent: off
inline constexpr std::string_view kRotationRow = "core/rotation";  // absent: the default

struct Cors {
  std::vector<std::string> origins;  // "https://one.example", or "*" alone
  std::vector<std::string> headers;  // that a page may send beside the usual ones

  bool any_origin() const { return origins.size() == 1 && origins[0] == "*"; }
};

std::string encode(const Cors& cors);
base::Result<Cors> decode_cors(std::string_view row);  // kCorrupt

std::string encode(const barrier::RotationPolicy& policy);
base::Result<barrier::RotationPolicy> decode_rotation(std::string_view row);  // kCorrupt

}  // namespace rekey::pipeline
