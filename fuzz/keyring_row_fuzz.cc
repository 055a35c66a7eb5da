// rooms: barrier
// The rows that are read before any key is known to be right, and the keyring inside its row:
// nothing crashes, and what is accepted comes back the same after being written.
#include <cstdint>
#include <string_view>

#include "barrier/keyring.h"
#include "barrier/seal.h"
#include "barrier/sealed_blob.h"
#include "base/check.h"

namespace barrier = rekey::barrier;
namespace base = rekey::base;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto keyring = barrier::Keyring::parse(bytes)) {
    const base::SecretBytes row = (*keyring)->serialize((*keyring)->encryptions_reserved());
    REKEY_CHECK(row.reveal() == bytes);
  }
  if (const auto config = barrier::SealConfig::parse(bytes)) {
    const auto again = barrier::SealConfig::parse(config->dump());
    REKEY_CHECK(again.has_value() && again->dump() == config->dump());
    REKEY_CHECK(again->meaning() == config->meaning());
    REKEY_CHECK(!barrier::ShamirSeal().unwrap(*config, base::SecretBytes(32)).has_value());
  }
  REKEY_CHECK(!barrier::open_blob(base::SecretBytes(32), "meaning", bytes).has_value());
  return 0;
}
