// rooms: crypto
// A key set and a signed text, from anywhere: the first line is the set, the rest the text. Reading
// ends; what is taken says the same after being written; nothing is proved without a key.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/jws.h"

namespace base = rekey::base;
namespace crypto = rekey::crypto;

namespace {

void try_keys(const std::vector<crypto::Jwk>& keys) {
  for (const crypto::Jwk& jwk : keys) {
    const auto again = crypto::parse_jwk(base::Json(crypto::to_jwk(jwk)));
    REKEY_CHECK(again.has_value() && again->key.same_public(jwk.key));
    REKEY_CHECK(again->key_id == jwk.key_id && !again->key.has_private());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t line = all.find('\n');
  const auto keys = crypto::parse_jwks(all.substr(0, line));
  if (keys) try_keys(*keys);
  const auto jws = crypto::parse_jws(line == std::string_view::npos ? all : all.substr(line + 1));
  if (!jws) return 0;
  REKEY_CHECK(crypto::jws_algorithm_name(jws->algorithm) ==
              base::Json(jws->header).string_or("alg", ""));
  REKEY_CHECK(base::base64url_encode(jws->payload) ==
              jws->signing_input.substr(jws->signing_input.find('.') + 1));
  REKEY_CHECK(crypto::find_signer(*jws, {}) == nullptr);
  if (!keys) return 0;
  if (const crypto::Jwk* signer = crypto::find_signer(*jws, *keys)) {
    REKEY_CHECK(crypto::jws_algorithm_fits(jws->algorithm, signer->key.kind()));
  }
  return 0;
}
