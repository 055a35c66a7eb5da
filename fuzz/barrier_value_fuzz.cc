// rooms: barrier
// Stored bytes are whatever an attacker left there. First byte: length of the key path; then the
// path; then the stored value, which is also XORed over a good one.
#include <cstdint>
#include <string>
#include <string_view>

#include "barrier/keyring.h"
#include "base/check.h"

namespace barrier = rekey::barrier;
namespace base = rekey::base;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  base::SeededRandom random(7);
  const auto keyring = barrier::Keyring::generate(random, base::WallTime());
  keyring->extend_reserve(1);
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view path = rest.substr(0, data[0]);
  const std::string_view bytes = rest.substr(path.size());
  const std::string good = *keyring->encrypt(path, "plaintext", random);
  // The fuzzer does find the good one: it watches the comparison below.
  REKEY_CHECK(keyring->decrypt(path, bytes).has_value() == (bytes == good));

  std::string changed = good;
  for (size_t i = 0; i < bytes.size(); i++) {
    changed[i % changed.size()] = static_cast<char>(changed[i % changed.size()] ^ bytes[i]);
  }
  const auto opened = keyring->decrypt(path, changed);
  REKEY_CHECK(opened.has_value() == (changed == good));
  if (opened) REKEY_CHECK(*opened == "plaintext");
  return 0;
}
