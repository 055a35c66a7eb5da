#include "crypto/testing/memory_scan.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <vector>

#include "base/check.h"
#include "base/secret_bytes.h"

namespace rekey::crypto::testing {
namespace {

constexpr size_t kWindowBytes = 1 << 20;

struct Region {
  uint64_t begin = 0;
  uint64_t end = 0;
};

std::vector<Region> writable_regions() {
  std::vector<Region> regions;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Region region;
    const char* last = line.data() + line.size();
    const auto first = std::from_chars(line.data(), last, region.begin, 16);
    const auto second = std::from_chars(first.ptr + 1, last, region.end, 16);
    if (second.ptr + 2 < last && second.ptr[2] == 'w') regions.push_back(region);
  }
  REKEY_CHECK(!regions.empty());
  return regions;
}

}  // namespace

bool memory_scan_works() {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return false;
#else
  return true;
#endif
}

Needle::Needle(std::string_view secret) : inverted_(secret) {
  for (char& c : inverted_) c = static_cast<char>(~c);
}

size_t Needle::count_in_memory() const {
  const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  REKEY_CHECK(fd >= 0);
  std::vector<char> window(kWindowBytes);
  const auto window_at = reinterpret_cast<uint64_t>(window.data());
  const auto is_inverse = [](char in_memory, char inverted) {
    return in_memory == static_cast<char>(~inverted);
  };
  size_t found = 0;
  for (const Region& region : writable_regions()) {
    for (uint64_t at = region.begin; at < region.end; at += kWindowBytes - size()) {
      const uint64_t wanted = std::min<uint64_t>(kWindowBytes, region.end - at);
      const ssize_t got = pread(fd, window.data(), wanted, static_cast<off_t>(at));
      const auto end = window.begin() + std::max<ssize_t>(got, 0);
      auto hit = std::search(window.begin(), end, inverted_.begin(), inverted_.end(), is_inverse);
      while (hit != end) {
        // The window is memory too: what it shows of itself is what it showed before.
        const uint64_t address = at + static_cast<uint64_t>(hit - window.begin());
        if (address < window_at || address >= window_at + kWindowBytes) found++;
        hit = std::search(hit + 1, end, inverted_.begin(), inverted_.end(), is_inverse);
      }
    }
  }
  base::wipe(window.data(), window.size());
  close(fd);
  return found;
}

}  // namespace rekey::crypto::testing
