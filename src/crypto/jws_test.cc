#include "crypto/jws.h"

#include <gtest/gtest.h>

#include "base/codec.h"
#include "crypto/digest.h"
#include "crypto/testing/vectors.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;

constexpr JwsAlgorithm kAll[] = {JwsAlgorithm::kRs256, JwsAlgorithm::kRs384, JwsAlgorithm::kRs512,
                                 JwsAlgorithm::kPs256, JwsAlgorithm::kPs384, JwsAlgorithm::kPs512,
                                 JwsAlgorithm::kEs256, JwsAlgorithm::kEs384, JwsAlgorithm::kEs512,
                                 JwsAlgorithm::kEdDsa};

// One key of each kind for all tests: RSA keys take their time.
const KeyPair& key_for(JwsAlgorithm algorithm) {
  static const KeyPair rsa = KeyPair::generate(KeyPairKind::kRsa2048);
  static const KeyPair p256 = KeyPair::generate(KeyPairKind::kP256);
  static const KeyPair p384 = KeyPair::generate(KeyPairKind::kP384);
  static const KeyPair p521 = KeyPair::generate(KeyPairKind::kP521);
  static const KeyPair ed25519 = KeyPair::generate(KeyPairKind::kEd25519);
  for (const KeyPair* key : {&rsa, &p256, &p384, &p521, &ed25519}) {
    if (jws_algorithm_fits(algorithm, key->kind())) return *key;
  }
  return rsa;
}

std::string encoded(std::string_view text) { return base::base64url_encode(text); }

std::string set_of(std::initializer_list<JsonObject> keys) {
  base::JsonArray list;
  for (const JsonObject& key : keys) list.emplace_back(key);
  return Json(JsonObject{{"keys", std::move(list)}}).dump();
}

TEST(Jws, VerifiesTheExamplesOfTheRfcs) {
  for (const auto& f : testing::read_vectors("crypto/testdata/rfc_jws.txt")) {
    ASSERT_EQ(f.size(), 3u);
    const auto json = Json::parse(f[1]);
    ASSERT_TRUE(json.has_value());
    const auto jwk = parse_jwk(*json);
    ASSERT_TRUE(jwk.has_value()) << f[0] << jwk.error().describe();
    EXPECT_EQ(Json(to_jwk(*jwk)), *json) << f[0];
    auto jws = parse_jws(f[2]);
    ASSERT_TRUE(jws.has_value()) << f[0] << jws.error().describe();
    EXPECT_EQ(jws->key_id, jwk->key_id);
    EXPECT_TRUE(jws_signed_by(*jws, jwk->key)) << f[0];
    const auto keys = parse_jwks("{\"keys\":[" + f[1] + "]}");
    ASSERT_TRUE(keys.has_value());
    EXPECT_EQ(find_signer(*jws, *keys), &keys->front()) << f[0];
    jws->signing_input.back() ^= 1;
    EXPECT_FALSE(jws_signed_by(*jws, jwk->key)) << f[0];
    jws->signing_input.back() ^= 1;
    jws->signature.back() ^= 1;
    EXPECT_FALSE(jws_signed_by(*jws, jwk->key)) << f[0];
  }
}

// RFC 8037 A.4: Ed25519 signatures have no randomness in them.
TEST(Jws, SignsTheExampleOfRfc8037) {
  const auto seed = base::base64url_decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
  const auto key = KeyPair::from_seed(base::SecretBytes::copy_of(*seed));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(
      *sign_jws(*key, JwsAlgorithm::kEdDsa, "Example of Ed25519 signing"),
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
}

TEST(Jws, SignsAndVerifiesWithEachAlgorithmAndNoOther) {
  for (const JwsAlgorithm algorithm : kAll) {
    const KeyPair& key = key_for(algorithm);
    const auto text = sign_jws(key, algorithm, "{\"iss\":\"me\"}", "k1", "JWT");
    ASSERT_TRUE(text.has_value()) << jws_algorithm_name(algorithm);
    const auto jws = parse_jws(*text);
    ASSERT_TRUE(jws.has_value());
    EXPECT_EQ(jws->algorithm, algorithm);
    EXPECT_EQ(jws->payload, "{\"iss\":\"me\"}");
    EXPECT_EQ(Json(jws->header).string_or("typ", ""), "JWT");
    EXPECT_TRUE(jws_signed_by(*jws, key));
    for (const JwsAlgorithm other : kAll) {
      Jws renamed = *jws;
      renamed.algorithm = other;
      EXPECT_EQ(jws_signed_by(renamed, key), other == algorithm)
          << jws_algorithm_name(algorithm) << " as " << jws_algorithm_name(other);
      if (!jws_algorithm_fits(other, key.kind())) {
        EXPECT_FALSE(sign_jws(key, other, "{}").has_value());
      }
    }
    EXPECT_EQ(jws_algorithm_named(jws_algorithm_name(algorithm)), algorithm);
    EXPECT_TRUE(jws_algorithm_fits(algorithm, jws_key_kind(algorithm)));
  }
}

// An algorithm of elliptic curves means one curve: what another one signed under its name is good
// as a signature and refused all the same.
TEST(Jws, ACurveIsPartOfTheAlgorithm) {
  const KeyPair& key = key_for(JwsAlgorithm::kEs384);
  auto jws = parse_jws(*sign_jws(key, JwsAlgorithm::kEs384, "{}"));
  ASSERT_TRUE(jws.has_value());
  const auto message = digest("sha2-256", jws->signing_input);
  const auto der = key.sign({.hash = "sha2-256"}, *message);
  ASSERT_TRUE(der.has_value());
  EXPECT_TRUE(*key.verify({.hash = "sha2-256"}, *message, *der));
  jws->signature = *ecdsa_to_fixed(key.kind(), *der);
  jws->algorithm = JwsAlgorithm::kEs256;
  EXPECT_FALSE(jws_signed_by(*jws, key));
}

TEST(Jws, SignsWithAPrivateKeyOnly) {
  const auto known = KeyPair::from_public_pem(key_for(JwsAlgorithm::kEs256).public_pem());
  ASSERT_TRUE(known.has_value());
  EXPECT_FALSE(sign_jws(*known, JwsAlgorithm::kEs256, "{}").has_value());
}

TEST(Jws, HasNoUnsignedTextsAndNoSharedSecrets) {
  for (const char* name : {"none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS1",
                           "rs256", "A128KW", "dir"}) {
    EXPECT_FALSE(jws_algorithm_named(name).has_value()) << name;
    for (const std::string signature : {"", ".", ".AAAA"}) {
      const std::string header = std::string(R"({"alg":")") + name + R"(","typ":"JWT"})";
      EXPECT_FALSE(parse_jws(encoded(header) + "." + encoded("{}") + signature).has_value());
    }
  }
}

// The attack on servers that take the algorithm from the text: a public key, which everybody has,
// as the secret of an HMAC.
TEST(Jws, NeverTakesAPublicKeyForASecret) {
  const KeyPair& key = key_for(JwsAlgorithm::kRs256);
  const std::string body = encoded(R"({"alg":"HS256"})") + "." + encoded(R"({"sub":"root"})");
  for (const std::string& secret : {key.public_pem(), key.public_der()}) {
    const auto mac = hmac("sha2-256", base::SecretBytes::copy_of(secret), body);
    ASSERT_TRUE(mac.has_value());
    EXPECT_FALSE(parse_jws(body + "." + encoded(*mac)).has_value());
    // Nor where the header says that it were an RSA signature.
    const std::string renamed =
        encoded(R"({"alg":"RS256"})") + "." + encoded(R"({"sub":"root"})") + "." + encoded(*mac);
    EXPECT_FALSE(jws_signed_by(*parse_jws(renamed), key));
  }
}

// CVE-2022-21449 and its like: r and s of zero, and signatures of the wrong length or form.
TEST(Jws, RefusesEcdsaSignaturesThatProveNothing) {
  const KeyPair& key = key_for(JwsAlgorithm::kEs256);
  const auto good = parse_jws(*sign_jws(key, JwsAlgorithm::kEs256, "{}"));
  ASSERT_TRUE(good.has_value());
  for (const std::string& signature :
       {std::string(64, '\0'), std::string(64, '\xff'), std::string(63, '\1'),
        std::string(65, '\1'), good->signature + '\0', good->signature.substr(0, 32),
        std::string("0\x06\x02\x01\0\x02\x01\0", 8),
        *ecdsa_to_der(KeyPairKind::kP256, good->signature)}) {
    Jws forged = *good;
    forged.signature = signature;
    EXPECT_FALSE(jws_signed_by(forged, key)) << base::hex_encode(signature);
  }
}

TEST(Jws, RefusesWhatIsNoCompactText) {
  const std::string header = encoded(R"({"alg":"ES256"})"), body = encoded("{}");
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("..."), header + "." + body,
        header + "." + body + ".", header + "." + body + ".AAAA.AAAA",
        header + "." + body + ".AA==", header + "." + body + ".AB", header + "=." + body + ".AAAA",
        header + ".e30\n.AAAA", header + ".!!.AAAA", encoded("[]") + "." + body + ".AAAA",
        encoded("{") + "." + body + ".AAAA", encoded(R"({"alg":1})") + "." + body + ".AAAA",
        encoded(R"({"alg":"ES256","crit":["b64"],"b64":false})") + "." + body + ".AAAA",
        encoded(R"({"alg":"ES256","crit":[]})") + "." + body + ".AAAA"}) {
    const auto jws = parse_jws(text);
    ASSERT_FALSE(jws.has_value()) << text;
    EXPECT_EQ(jws.error().kind(), ErrorKind::kInvalid);
  }
  EXPECT_TRUE(parse_jws(header + "." + body + ".AAAA").has_value());
  const auto large = parse_jws(header + "." + std::string(kJwsBytesMax, 'A') + ".AAAA");
  EXPECT_EQ(large.error().kind(), ErrorKind::kTooLarge);
  const std::string wide = R"({"alg":"ES256","x":")" + std::string(kJwsHeaderBytesMax, 'x') + "\"}";
  EXPECT_EQ(parse_jws(encoded(wide) + "." + body + ".AAAA").error().kind(), ErrorKind::kTooLarge);
}

TEST(Jws, FindsTheSignerByItsIdUseAndAlgorithm) {
  const KeyPair& mine = key_for(JwsAlgorithm::kEs256);
  const KeyPair other = KeyPair::generate(KeyPairKind::kP256);
  const auto named = parse_jws(*sign_jws(mine, JwsAlgorithm::kEs256, "{}", "mine"));
  const auto nameless = parse_jws(*sign_jws(mine, JwsAlgorithm::kEs256, "{}"));
  const auto finds = [](const Jws& jws, std::initializer_list<JsonObject> keys) {
    const auto set = parse_jwks(set_of(keys));
    return find_signer(jws, *set) != nullptr;
  };
  EXPECT_TRUE(finds(*named, {to_jwk(other, "other", ""), to_jwk(mine, "mine", "ES256")}));
  EXPECT_TRUE(finds(*nameless, {to_jwk(other, "other", ""), to_jwk(mine, "mine", "ES256")}));
  EXPECT_TRUE(finds(*nameless, {to_jwk(mine, "", "", "")}));
  // Two keys of one id, as after a rotation that kept it.
  EXPECT_TRUE(finds(*named, {to_jwk(other, "mine", ""), to_jwk(mine, "mine", "")}));
  EXPECT_FALSE(finds(*named, {to_jwk(mine, "renamed", "ES256")}));
  EXPECT_FALSE(finds(*named, {to_jwk(other, "mine", "ES256")}));
  EXPECT_FALSE(finds(*named, {to_jwk(mine, "mine", "ES256", "enc")}));
  EXPECT_FALSE(finds(*named, {to_jwk(mine, "mine", "ES384")}));
  EXPECT_FALSE(finds(*named, {}));
  for (const std::string id : {"../mine", "mine\0", "MINE", "mine' OR '1'='1", "/dev/null"}) {
    Jws renamed = *named;
    renamed.key_id = id + "?";
    EXPECT_EQ(find_signer(renamed, *parse_jwks(set_of({to_jwk(mine, "mine", "")}))), nullptr);
  }
}

TEST(Jwk, LeavesOutWhatItDoesNotKnowAndRefusesWhatIsNoSet) {
  const std::string good = Json(to_jwk(key_for(JwsAlgorithm::kEs384), "k", "")).dump();
  const auto mixed =
      parse_jwks(R"({"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"EC","crv":"secp256k1"},
      {"kty":"OKP","crv":"X25519","x":"AAAA"},{},7,null,)" +
                 good + "],\"more\":1}");
  ASSERT_TRUE(mixed.has_value());
  ASSERT_EQ(mixed->size(), 1u);
  EXPECT_EQ(mixed->front().key_id, "k");
  for (const char* text : {"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[", "<html>"}) {
    EXPECT_FALSE(parse_jwks(text).has_value()) << text;
  }
  EXPECT_EQ(parse_jwks(std::string(kJwksBytesMax + 1, ' ')).error().kind(), ErrorKind::kTooLarge);
  std::string many = "{\"keys\":[{}";
  for (size_t i = 0; i < kJwksKeysMax; i++) many += ",{}";
  EXPECT_EQ(parse_jwks(many + "]}").error().kind(), ErrorKind::kTooLarge);
}

TEST(Jwk, RefusesNumbersThatAreNoKey) {
  JsonObject rsa = to_jwk(key_for(JwsAlgorithm::kRs256), "", "");
  // Exponents: 0, 1, 1 with zeros before it, 2, none, too long.
  for (const char* e : {"AA", "AQ", "AAAB", "Ag", "", "AQAAAAAAAAAB"}) {
    rsa.set("e", e);
    EXPECT_FALSE(parse_jwk(Json(rsa)).has_value()) << e;
  }
  rsa.set("e", "AQAB");
  EXPECT_TRUE(parse_jwk(Json(rsa)).has_value());
  rsa.set("n", "AQAB");
  EXPECT_FALSE(parse_jwk(Json(rsa)).has_value());
  rsa.set("n", encoded(std::string(2048, '\x7f')));
  EXPECT_FALSE(parse_jwk(Json(rsa)).has_value());
  const JsonObject ec = to_jwk(key_for(JwsAlgorithm::kEs256), "", "");
  for (const auto& [member, value] : std::initializer_list<std::pair<const char*, std::string>>{
           {"x", encoded(std::string(32, '\1'))},
           {"x", encoded(std::string(31, '\1'))},
           {"y", encoded(std::string(33, '\0'))},
           {"y", ""},
           {"crv", "P-384"}}) {
    JsonObject changed = ec;
    changed.set(member, value);
    EXPECT_FALSE(parse_jwk(Json(changed)).has_value()) << member;
  }
}

TEST(Jwk, ShowsTheSameKeyAgainWithoutItsPrivateHalf) {
  for (const JwsAlgorithm algorithm : kAll) {
    const KeyPair& key = key_for(algorithm);
    const JsonObject json = to_jwk(key, "id", jws_algorithm_name(algorithm));
    for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "k"}) {
      EXPECT_FALSE(json.contains(secret));
    }
    const auto again = parse_jwk(Json(json));
    ASSERT_TRUE(again.has_value());
    EXPECT_TRUE(again->key.same_public(key));
    EXPECT_FALSE(again->key.has_private());
  }
}

}  // namespace
}  // namespace rekey::crypto
