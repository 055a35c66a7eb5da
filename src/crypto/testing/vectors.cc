#include "crypto/testing/vectors.h"

#include <fstream>
#include <sstream>

#include "base/check.h"
#include "base/codec.h"
#include "base/testing/source_dir.h"

namespace rekey::crypto::testing {

std::vector<std::vector<std::string>> read_vectors(const std::string& path) {
  std::ifstream file(base::testing::source_dir() + "/src/" + path);
  REKEY_CHECK(file.is_open());
  std::vector<std::vector<std::string>> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::vector<std::string>& fields = cases.emplace_back();
    for (std::string word; words >> word;) fields.push_back(word == "-" ? "" : word);
  }
  REKEY_CHECK(!cases.empty());
  return cases;
}

std::string from_hex(std::string_view text) {
  base::Result<std::string> bytes = base::hex_decode(text);
  REKEY_CHECK(bytes.has_value());
  return *bytes;
}

}  // namespace rekey::crypto::testing
