#include "crypto/jwk.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>

#include "base/check.h"
#include "base/codec.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;

constexpr size_t kModulusBytesMax = 1024;  // more than any kind of KeyPair has
constexpr size_t kExponentBytesMax = 8;

std::unexpected<base::Error> unusable(std::string message) {
  return base::fail(ErrorKind::kInvalid, std::move(message));
}

// KeyPair's numbers are decimal texts, a JWK's are bytes.
std::string decimal_of(std::string_view bytes) {
  const Number number(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()), nullptr),
                      &BN_free);
  REKEY_CHECK(number != nullptr);
  char* text = BN_bn2dec(number.get());
  REKEY_CHECK(text != nullptr);
  std::string out(text);
  OPENSSL_free(text);
  return out;
}

// Big-endian, without leading zeros but for what fills it up to `width`.
std::string bytes_of(const std::string& decimal, size_t width = 0) {
  BIGNUM* parsed = nullptr;
  REKEY_CHECK(BN_dec2bn(&parsed, decimal.c_str()) != 0);
  const Number number(parsed, &BN_free);
  const size_t size = std::max(width, static_cast<size_t>(BN_num_bytes(parsed)));
  std::string out(size, '\0');
  REKEY_CHECK(BN_bn2binpad(parsed, reinterpret_cast<unsigned char*>(out.data()),
                           static_cast<int>(size)) == static_cast<int>(size));
  return out;
}

struct Curve {
  std::string_view name;
  KeyPairKind kind;
  size_t bytes;
};
constexpr Curve kCurves[] = {{"P-256", KeyPairKind::kP256, 32},
                             {"P-384", KeyPairKind::kP384, 48},
                             {"P-521", KeyPairKind::kP521, 66}};

// The bytes of a member in base64url; kInvalid where it is absent, padded or over `bytes_max`.
Result<std::string> member_bytes(const Json& json, std::string_view name, size_t bytes_max) {
  const Json* member = json.find(name);
  const std::string* text = member == nullptr ? nullptr : member->as_string();
  if (text == nullptr || text->empty() || text->size() > bytes_max * 2 || text->ends_with('=')) {
    return unusable("a JWK's member " + std::string(name) + " can't be read");
  }
  auto bytes = base::base64url_decode(*text);
  if (!bytes || bytes->size() > bytes_max) {
    return unusable("a JWK's member " + std::string(name) + " can't be read");
  }
  return std::move(*bytes);
}

// With the exponent 1 everything is its own signature, an even one has no inverse.
bool proves_something(std::string_view exponent) {
  const size_t first = exponent.find_first_not_of('\0');
  if (first == std::string_view::npos) return false;
  const auto last = static_cast<unsigned char>(exponent.back());
  return last % 2 == 1 && (last != 1 || first != exponent.size() - 1);
}

Result<KeyPair> parse_rsa(const Json& json) {
  auto n = member_bytes(json, "n", kModulusBytesMax);
  if (!n) return forward(n);
  auto e = member_bytes(json, "e", kExponentBytesMax);
  if (!e) return forward(e);
  if (!proves_something(*e)) return unusable("a JWK's RSA exponent is unusable");
  RsaNumbers numbers;
  numbers.n = decimal_of(*n);
  numbers.e = decimal_of(*e);
  return KeyPair::from_numbers(numbers);
}

Result<KeyPair> parse_ec(const Json& json) {
  const std::string name = json.string_or("crv", "");
  for (const Curve& curve : kCurves) {
    if (name != curve.name) continue;
    auto x = member_bytes(json, "x", curve.bytes);
    if (!x) return forward(x);
    auto y = member_bytes(json, "y", curve.bytes);
    if (!y) return forward(y);
    if (x->size() != curve.bytes || y->size() != curve.bytes) {
      return unusable("a JWK's coordinates don't have the curve's length");
    }
    return KeyPair::from_numbers(curve.kind, EcNumbers{.x = decimal_of(*x), .y = decimal_of(*y)});
  }
  return unusable("JWKs on this curve are not supported");
}

Result<KeyPair> parse_okp(const Json& json) {
  if (json.string_or("crv", "") != "Ed25519") {
    return unusable("JWKs on this curve are not supported");
  }
  auto x = member_bytes(json, "x", 32);
  if (!x) return forward(x);
  return KeyPair::from_ed25519_public(*x);
}

Result<KeyPair> parse_key(const Json& json) {
  const std::string type = json.string_or("kty", "");
  if (type == "RSA") return parse_rsa(json);
  if (type == "EC") return parse_ec(json);
  if (type == "OKP") return parse_okp(json);
  return unusable("JWKs of this type are not supported");
}

}  // namespace

JsonObject to_jwk(const KeyPair& key, std::string_view key_id, std::string_view algorithm,
                  std::string_view use) {
  JsonObject out;
  if (key.is_rsa()) {
    const RsaNumbers numbers = key.rsa_numbers();
    out.set("kty", "RSA");
    out.set("n", base::base64url_encode(bytes_of(numbers.n)));
    out.set("e", base::base64url_encode(bytes_of(numbers.e)));
  } else if (key.kind() == KeyPairKind::kEd25519) {
    out.set("kty", "OKP");
    out.set("crv", "Ed25519");
    out.set("x", base::base64url_encode(key.ed25519_public()));
  } else {
    const EcNumbers numbers = key.ec_numbers();
    for (const Curve& curve : kCurves) {
      if (curve.kind != key.kind()) continue;
      out.set("kty", "EC");
      out.set("crv", curve.name);
      out.set("x", base::base64url_encode(bytes_of(numbers.x, curve.bytes)));
      out.set("y", base::base64url_encode(bytes_of(numbers.y, curve.bytes)));
    }
  }
  if (!key_id.empty()) out.set("kid", key_id);
  if (!algorithm.empty()) out.set("alg", algorithm);
  if (!use.empty()) out.set("use", use);
  return out;
}

JsonObject to_jwk(const Jwk& jwk) { return to_jwk(jwk.key, jwk.key_id, jwk.algorithm, jwk.use); }

Result<Jwk> parse_jwk(const Json& json) {
  if (!json.is_object()) return unusable("a JWK is not a JSON object");
  auto key = parse_key(json);
  if (!key) return forward(key);
  return Jwk{json.string_or("kid", ""), json.string_or("alg", ""), json.string_or("use", ""),
             std::move(*key)};
}

Result<std::vector<Jwk>> parse_jwks(std::string_view text) {
  if (text.size() > kJwksBytesMax) {
    return base::fail(ErrorKind::kTooLarge, "the key set is too large");
  }
  auto json = Json::parse(text, {.depth_max = 16, .members_max = 64 * kJwksKeysMax});
  if (!json) return unusable("the key set is not JSON");
  const Json* keys = json->find("keys");
  if (keys == nullptr || keys->as_array() == nullptr) {
    return unusable("the key set has no list of keys");
  }
  if (keys->as_array()->size() > kJwksKeysMax) {
    return base::fail(ErrorKind::kTooLarge, "the key set has too many keys");
  }
  std::vector<Jwk> out;
  for (const Json& item : *keys->as_array()) {
    auto jwk = parse_jwk(item);
    if (jwk) out.push_back(std::move(*jwk));
  }
  return out;
}

}  // namespace rekey::crypto
