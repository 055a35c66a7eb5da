// Key pairs as decimal numbers, the form in which Vault's backups keep them.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <vector>

#include "base/check.h"
#include "crypto/key_pair.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Result;
using Number = std::unique_ptr<BIGNUM, decltype(&BN_clear_free)>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)>;
using Params = std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

constexpr size_t kDigitsMax = 2'500;  // of one number; RSA-4096 has 1,234

std::unexpected<base::Error> unreadable() {
  ERR_clear_error();
  return base::fail(ErrorKind::kInvalid, "a key's numbers can't be read");
}

// Null for what is not a decimal number.
Number parse(const std::string& digits) {
  Number number(nullptr, &BN_clear_free);
  if (digits.empty() || digits.size() > kDigitsMax) return number;
  if (digits.find_first_not_of("0123456789") != std::string::npos) return number;
  BIGNUM* parsed = nullptr;
  if (BN_dec2bn(&parsed, digits.c_str()) == 0) return number;
  number.reset(parsed);
  return number;
}

std::string digits_of(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  REKEY_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const Number number(raw, &BN_clear_free);
  char* text = BN_bn2dec(raw);
  REKEY_CHECK(text != nullptr);
  std::string out(text);
  OPENSSL_clear_free(text, out.size());
  return out;
}

struct Curve {
  const char* name;
  size_t bytes;
};

Curve curve_of(KeyPairKind kind) {
  switch (kind) {
    case KeyPairKind::kP256:
      return {"prime256v1", 32};
    case KeyPairKind::kP384:
      return {"secp384r1", 48};
    default:
      return {"secp521r1", 66};
  }
}

// Null, and nothing in the error queue, where the parameters make no key.
EVP_PKEY* build(const char* type, OSSL_PARAM_BLD* builder, bool with_private) {
  const Params params(OSSL_PARAM_BLD_to_param(builder), &OSSL_PARAM_free);
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr), &EVP_PKEY_CTX_free);
  REKEY_CHECK(params != nullptr && context != nullptr);
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, with_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                        params.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return key;
}

}  // namespace

EcNumbers KeyPair::ec_numbers() const {
  REKEY_CHECK(!is_rsa() && kind_ != KeyPairKind::kEd25519);
  EcNumbers out{.x = digits_of(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X),
                .y = digits_of(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y)};
  if (has_private_) out.d = digits_of(key_.get(), OSSL_PKEY_PARAM_PRIV_KEY);
  return out;
}

RsaNumbers KeyPair::rsa_numbers() const {
  REKEY_CHECK(is_rsa());
  RsaNumbers out{.n = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_N),
                 .e = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_E)};
  if (!has_private_) return out;
  out.d = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_D);
  out.p = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_FACTOR1);
  out.q = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_FACTOR2);
  out.dp = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_EXPONENT1);
  out.dq = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_EXPONENT2);
  out.qinv = digits_of(key_.get(), OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
  return out;
}

Result<KeyPair> KeyPair::from_numbers(KeyPairKind kind, const EcNumbers& numbers) {
  const Curve curve = curve_of(kind);
  const Number x = parse(numbers.x), y = parse(numbers.y), d = parse(numbers.d);
  const bool with_private = !numbers.d.empty();
  if (x == nullptr || y == nullptr || (with_private && d == nullptr)) return unreadable();
  std::vector<unsigned char> point(1 + 2 * curve.bytes);
  point[0] = POINT_CONVERSION_UNCOMPRESSED;
  const int size = static_cast<int>(curve.bytes);
  if (BN_bn2binpad(x.get(), point.data() + 1, size) != size ||
      BN_bn2binpad(y.get(), point.data() + 1 + curve.bytes, size) != size) {
    return unreadable();
  }
  const Builder builder(OSSL_PARAM_BLD_new(), &OSSL_PARAM_BLD_free);
  REKEY_CHECK(builder != nullptr);
  bool ok = OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.name,
                                            0) == 1;
  ok = ok && OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                              point.size()) == 1;
  if (with_private) {
    ok = ok && OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()) == 1;
  }
  REKEY_CHECK(ok);
  EVP_PKEY* key = build("EC", builder.get(), with_private);
  if (key == nullptr) return unreadable();
  return adopt(key, with_private);
}

Result<KeyPair> KeyPair::from_numbers(const RsaNumbers& numbers) {
  const bool with_private = !numbers.d.empty();
  std::vector<std::pair<const char*, const std::string*>> parts = {
      {OSSL_PKEY_PARAM_RSA_N, &numbers.n}, {OSSL_PKEY_PARAM_RSA_E, &numbers.e}};
  if (with_private) {
    parts.insert(parts.end(), {{OSSL_PKEY_PARAM_RSA_D, &numbers.d},
                               {OSSL_PKEY_PARAM_RSA_FACTOR1, &numbers.p},
                               {OSSL_PKEY_PARAM_RSA_FACTOR2, &numbers.q},
                               {OSSL_PKEY_PARAM_RSA_EXPONENT1, &numbers.dp},
                               {OSSL_PKEY_PARAM_RSA_EXPONENT2, &numbers.dq},
                               {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, &numbers.qinv}});
  }
  const Builder builder(OSSL_PARAM_BLD_new(), &OSSL_PARAM_BLD_free);
  REKEY_CHECK(builder != nullptr);
  std::vector<Number> kept;  // the builder only points to them
  for (const auto& [name, digits] : parts) {
    kept.push_back(parse(*digits));
    if (kept.back() == nullptr) return unreadable();
    REKEY_CHECK(OSSL_PARAM_BLD_push_BN(builder.get(), name, kept.back().get()) == 1);
  }
  EVP_PKEY* key = build("RSA", builder.get(), with_private);
  if (key == nullptr) return unreadable();
  return adopt(key, with_private);
}

}  // namespace rekey::crypto
