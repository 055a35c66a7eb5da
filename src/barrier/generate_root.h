// GenerateRoot: making a root token by a quorum of share holders, with no token at hand. The token
// goes back XORed with a one-time password that only who started it knows. A state machine with no
// HTTP in it, for sys/generate-root/attempt and update; behaviour and texts are OpenBao 2.7.2's,
// lengths Vault's. Used by one thread at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "barrier/share_collector.h"
#include "base/error.h"
#include "base/random.h"
#include "base/secret_bytes.h"

namespace rekey::barrier {

// A root token is "hvs." and 24 characters; the password is as long.
inline constexpr size_t kRootTokenBytes = 28;

// pgp_fingerprint is always empty in the bodies, encoded_root_token the same as encoded_token.
struct GenerateRootStatus {
  bool started = false;
  std::string nonce;
  int progress = 0;
  bool complete = false;
  std::string encoded_token;
  std::string otp;  // only in the answer to a start for which we made it
};

class GenerateRoot {
 public:
  explicit GenerateRoot(base::Random& random) : random_(random) {}

  GenerateRootStatus status() const;
  // With the caller's password of kRootTokenBytes bytes, or, if it is empty, with one of ours:
  // base62, returned this once. kInvalid for another length, and while one is in progress.
  base::Result<GenerateRootStatus> start(std::string otp);
  void cancel();
  bool is_nonce(std::string_view nonce) const { return started_ && nonce == nonce_; }

  struct Actions {
    // Whether a combined key is the present unseal or recovery key.
    std::function<base::Result<void>(const base::SecretBytes& key)> authorise;
    // A new root token, already stored: kRootTokenBytes characters.
    std::function<base::Result<std::string>()> make_token;
  };
  // One share; `required` is how many make the key. Complete, with the encoded token, once there
  // are enough. kInvalid: none in progress, wrong nonce, share given twice or of impossible length;
  // a wrong key, after which the progress is 0.
  base::Result<GenerateRootStatus> update(base::SecretBytes share, std::string_view nonce,
                                          int required, const Actions& actions);

 private:
  base::Random& random_;
  bool started_ = false;
  std::string nonce_;
  base::SecretBytes otp_;
  ShareCollector collector_;
};

// Token XOR password, in base64 without padding; and back, for `operator generate-root -decode`.
// kInvalid unless both have one length.
base::Result<std::string> encode_root_token(std::string_view token, std::string_view otp);
base::Result<std::string> decode_root_token(std::string_view encoded, std::string_view otp);

}  // namespace rekey::barrier
