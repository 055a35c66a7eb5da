// Keyring: the keys under which rows of the store are encrypted, and sub-keys derived for others.
//
// Immutable apart from counting, so any thread may use one without a lock. Old terms stay, so that
// what they encrypted can be read; new values are encrypted under the active term. Knows nothing
// of the store, of seals or of who reads. When the last reference goes, every key is wiped.
// The layout of a value and of the keyring row: docs/formats/barrier.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"
#include "crypto/aead.h"

namespace rekey::barrier {

// A random nonce of 96 bits is safe for 2^32 messages under one key (NIST SP 800-38D, 8.3). A new
// term is due at nine tenths of that, as in Vault; at the bound itself nothing more is encrypted.
inline constexpr uint64_t kTermEncryptionsDue = 3'865'470'566;
inline constexpr uint64_t kTermEncryptionsMax = uint64_t{1} << 32;
// Encryptions are counted in memory and paid for in advance on disk, this many at a time: a crash
// loses the rest of one reserve, never counts too few.
inline constexpr uint64_t kEncryptionReserve = uint64_t{1} << 22;

inline constexpr size_t kBarrierKeyBytes = 32;
inline constexpr uint8_t kValueVersion = 1;
// version, term, nonce, tag: what a stored value is longer than its plaintext.
inline constexpr size_t kValueOverheadBytes = 1 + 4 + 12 + 16;

class Ledger;

class Keyring {
 public:
  class Passkey;  // only this class's own functions make keyrings
  explicit Keyring(Passkey);

  // A first term with new keys.
  static std::shared_ptr<const Keyring> generate(base::Random& random, base::WallTime now);
  // From the plaintext of the keyring row; kCorrupt if it isn't one.
  static base::Result<std::shared_ptr<const Keyring>> parse(std::string_view row_plaintext);
  ~Keyring();
  Keyring(const Keyring&) = delete;
  Keyring& operator=(const Keyring&) = delete;

  // The stored form of `plaintext` under `key_path`, the full key of the row, which is bound into
  // it. kUnavailable when the reserve of encryptions is used up (see Barrier::tend).
  base::Result<std::string> encrypt(std::string_view key_path, std::string_view plaintext,
                                    base::Random& random) const;
  // The same for a row of the ledger, and without a reserve: the commit that pays for the next one
  // needs one too. Counted like all others.
  base::Result<std::string> encrypt_ledger(std::string_view key_path, std::string_view plaintext,
                                           base::Random& random) const;
  // kCorrupt for anything but exactly what encrypt() made for this key path under one of the terms.
  // Allocates nothing but the plaintext.
  base::Result<std::string> decrypt(std::string_view key_path, std::string_view stored) const;

  // 32 bytes for `purpose`, the same for the whole life of the store: they survive rotation. A name
  // for each use, "token-hash" say; nothing else may ever use the same name.
  base::SecretBytes derive(std::string_view purpose) const;

  uint32_t active_term() const;
  base::WallTime install_time() const;  // of the active term
  uint64_t encryptions() const;         // under the active term; never too few
  uint64_t encryptions_reserved() const;
  size_t term_count() const;

  // What knows the present value of each row; null where nobody asked for one. It goes with the
  // keyring: sealing ends both.
  const std::shared_ptr<Ledger>& ledger() const { return ledger_; }
  std::shared_ptr<const Keyring> with_ledger(std::shared_ptr<Ledger> ledger) const;
  // The same keys and a new active term.
  std::shared_ptr<const Keyring> with_new_term(base::Random& random, base::WallTime now) const;
  // The plaintext of the keyring row, with `encryptions_reserved` for the active term.
  base::SecretBytes serialize(uint64_t encryptions_reserved) const;
  // After the row with that reserve is durable; never lowers it.
  void extend_reserve(uint64_t encryptions_reserved) const;

 private:
  struct Term;
  const Term* find(uint32_t number) const;
  const Term& active() const { return *terms_.back(); }

  base::Result<std::string> encrypt_counted(std::string_view key_path, std::string_view plaintext,
                                            base::Random& random, uint64_t most) const;

  base::SecretBytes derivation_root_;
  std::shared_ptr<Ledger> ledger_;
  std::vector<std::shared_ptr<const Term>> terms_;  // by number; the last one is active
  mutable std::atomic<uint64_t> used_{0};           // encryptions under the active term
};

}  // namespace rekey::barrier
