// Seals: how the root key, which encrypts the keyring, is itself kept.
//
// A seal wraps the root key into the seal-config row (plaintext JSON; docs/formats/barrier.md) and
// unwraps it at start. The Shamir seal needs people with shares; the static seal reads a key file
// and opens by itself. Seals hold no state between calls but the static seal's keys; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::barrier {

inline constexpr size_t kRootKeyBytes = 32;
inline constexpr int kSharesMax = 255;
inline constexpr size_t kShareBytesMin = 16;
inline constexpr size_t kShareBytesMax = kRootKeyBytes + 1;

struct ShareCounts {
  int shares = 0;
  int threshold = 0;
  bool operator==(const ShareCounts&) const = default;
};

// kInvalid with Vault's text: "threshold cannot be larger than shares" and so on. Callers put
// "invalid seal configuration: " or the like in front.
base::Result<void> check_share_counts(const ShareCounts& counts);

// A share as people send it, in hex or base64 (Vault takes both; hex is tried first). kInvalid
// "'key' must be a valid hex or base64 string".
base::Result<base::SecretBytes> decode_share(std::string_view text);
// What Vault refuses at once, before it counts the share. kInvalid.
base::Result<void> check_share_length(const base::SecretBytes& share);

// The seal-config row.
struct SealConfig {
  std::string type;  // "shamir" or "static"
  ShareCounts counts;
  std::string nonce;   // a UUID, new with every wrapping: tells one set of shares from the next
  std::string key_id;  // of the static key; empty for shamir
  std::string wrapped_root_key;

  // Everything but the wrapped key, in the form that is authenticated together with it.
  std::string meaning() const;
  std::string dump() const;
  static base::Result<SealConfig> parse(std::string_view row);  // kCorrupt
};

struct WrappedRootKey {
  SealConfig config;
  std::vector<base::SecretBytes> shares;  // of the unseal key; none for a seal that needs none
};

class Seal {
 public:
  virtual ~Seal() = default;
  virtual std::string_view type() const = 0;
  // True if unwrap needs an unseal key put together from shares.
  virtual bool needs_shares() const = 0;
  // Wraps under a new unseal key where the seal has one. kInvalid for bad counts.
  virtual base::Result<WrappedRootKey> wrap(const base::SecretBytes& root_key,
                                            const ShareCounts& counts,
                                            base::Random& random) const = 0;
  // kInvalid "..." if the unseal key is not the one; kPrecondition if the row is of another seal.
  // `unseal_key` is ignored by a seal that needs no shares.
  virtual base::Result<base::SecretBytes> unwrap(const SealConfig& config,
                                                 const base::SecretBytes& unseal_key) const = 0;
  // True if unwrap() opens the row by a key that is being replaced: it is to be wrapped anew.
  virtual bool is_outdated(const SealConfig&) const { return false; }
};

// The root key under an unseal key that is split. With one share, the share is the unseal key.
class ShamirSeal final : public Seal {
 public:
  std::string_view type() const override { return "shamir"; }
  bool needs_shares() const override { return true; }
  base::Result<WrappedRootKey> wrap(const base::SecretBytes& root_key, const ShareCounts& counts,
                                    base::Random& random) const override;
  base::Result<base::SecretBytes> unwrap(const SealConfig& config,
                                         const base::SecretBytes& unseal_key) const override;
};

// The root key under a 32-byte key in a file of the operator's.
class StaticKeySeal final : public Seal {
 public:
  class Passkey;  // only open() and create() make one
  StaticKeySeal(Passkey, base::SecretBytes key);

  // Reads `path`: 32 bytes, raw or as hex or base64 text. Refuses a file that others than its owner
  // may read or write, that isn't a regular file, or that belongs to neither us nor root.
  static base::Result<std::unique_ptr<StaticKeySeal>> open(const std::string& path);
  // Makes the file (0600, must not exist, synced) with a new key and opens it.
  static base::Result<std::unique_ptr<StaticKeySeal>> create(const std::string& path,
                                                             base::Random& random);

  std::string_view type() const override { return "static"; }
  bool needs_shares() const override { return false; }
  const std::string& key_id() const { return key_id_; }  // a digest of the key, safe to show
  // The key that this one replaces: it still unwraps, and is_outdated() says that it did.
  void set_previous(std::unique_ptr<StaticKeySeal> previous) { previous_ = std::move(previous); }
  base::Result<WrappedRootKey> wrap(const base::SecretBytes& root_key, const ShareCounts& counts,
                                    base::Random& random) const override;
  base::Result<base::SecretBytes> unwrap(const SealConfig& config,
                                         const base::SecretBytes& unseal_key) const override;
  bool is_outdated(const SealConfig& config) const override;

 private:
  base::SecretBytes key_;
  std::string key_id_;
  std::unique_ptr<StaticKeySeal> previous_;  // may be null
};

// The secret that `threshold` shares stand for: Shamir's combination, or the share itself when the
// threshold is one.
base::Result<base::SecretBytes> combine_shares(std::span<const base::SecretBytes> shares,
                                               int threshold);
// Shares of a secret for `counts`; one share is the secret itself.
base::Result<std::vector<base::SecretBytes>> split_secret(const base::SecretBytes& secret,
                                                          const ShareCounts& counts,
                                                          base::Random& random);

}  // namespace rekey::barrier
