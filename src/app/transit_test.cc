// Transit in the whole server below the network.
#include <gtest/gtest.h>

#include "app/testing/harness.h"
#include "base/codec.h"
#include "crypto/key_pair.h"
#include "crypto/key_wrap.h"
#include "crypto/testing/vectors.h"
#include "storage/memory_store.h"

namespace rekey::app {
namespace {

using base::Json;
using base::JsonObject;
using logical::Operation;
using testing::Harness;

class TransitTest : public ::testing::Test {
 protected:
  TransitTest() : server_(store_) {
    server_.set_up();
    EXPECT_TRUE(server_.write("sys/mounts/transit", R"({"type":"transit"})"));
  }

  // A member of an answer's data, as text; the error's message where there is none.
  static std::string member(const Harness::Answer& answer, std::string_view name) {
    if (!answer) return answer.error().message();
    const auto data = Json::parse(answer->data);
    const Json* found = data ? data->find(name) : nullptr;
    if (found == nullptr) return "none";
    return found->as_string() ? *found->as_string() : found->dump();
  }
  Harness::Answer write(const std::string& path, JsonObject body) {
    return server_.write("transit/" + path, Json(std::move(body)).dump());
  }
  std::string encrypt(const std::string& key, const std::string& plaintext) {
    return member(write("encrypt/" + key, {{"plaintext", plaintext}}), "ciphertext");
  }
  std::string decrypt(const std::string& key, const std::string& ciphertext) {
    return member(write("decrypt/" + key, {{"ciphertext", ciphertext}}), "plaintext");
  }
  // Whether one key accepts what the other one made.
  bool do_alike(const std::string& one, const std::string& other) {
    const std::string ciphertext = encrypt(one, "AAAA");
    if (ciphertext.starts_with("vault:")) return decrypt(other, ciphertext) == "AAAA";
    const auto signature = member(write("sign/" + one, {{"input", "AAAA"}}), "signature");
    if (signature.starts_with("vault:")) {
      return member(write("verify/" + other, {{"input", "AAAA"}, {"signature", signature}}),
                    "valid") == "true";
    }
    const auto mac = member(write("hmac/" + one, {{"input", "AAAA"}}), "hmac");
    return mac == member(write("hmac/" + other, {{"input", "AAAA"}}), "hmac");
  }
  // The key wrapped as clients do it for import.
  std::string wrapped(base::SecretBytes key) {
    const auto pem = member(server_.read("transit/wrapping_key"), "public_key");
    const auto wrapping = crypto::KeyPair::from_public_pem(pem);
    EXPECT_TRUE(wrapping.has_value());
    const base::SecretBytes ephemeral = random_.secret(crypto::kKeyWrapKeyBytes);
    return base::base64_encode(*wrapping->encrypt_oaep("sha2-256", ephemeral.reveal()) +
                               crypto::key_wrap(ephemeral, key));
  }

  void import_and_hand_over_each_kind();
  void refuse_wrapped_keys_that_are_not();
  void take_the_private_half_later();

  storage::MemoryStore store_;
  Harness server_;
  base::SeededRandom random_{7};
};

struct Form {
  std::string hash, algorithm, salt, marshaling;
};
Form form_of(const std::string& label) {
  Form form;
  std::string* const parts[] = {&form.hash, &form.algorithm, &form.salt, &form.marshaling};
  size_t at = 0;
  for (const char c : label) {
    if (c == ':')
      at++;
    else
      *parts[at] += c;
  }
  return form;
}

// What OpenBao encrypted, signed and authenticated, with its keys restored here.
TEST_F(TransitTest, GoesOnWhereOpenBaoStopped) {
  size_t number = 0;
  for (const auto& f : crypto::testing::read_vectors("engine/transit/testdata/openbao.txt")) {
    const std::string key = "k" + std::to_string(number++);
    ASSERT_TRUE(write("restore/" + key, {{"backup", f[2]}})) << f[1];
    const std::string &context = f[3], &input = f[4], &text = f[5], &extra = f[6];
    if (f[0] == "encrypt" || f[0] == "too-old") {
      const auto opened =
          write("decrypt/" + key,
                {{"ciphertext", text}, {"context", context}, {"associated_data", extra}});
      if (f[0] == "too-old") {
        EXPECT_FALSE(opened.has_value());
        continue;
      }
      EXPECT_EQ(member(opened, "plaintext"), input) << f[1];
      const auto again =
          member(write("encrypt/" + key,
                       {{"plaintext", input}, {"context", context}, {"associated_data", extra}}),
                 "ciphertext");
      EXPECT_EQ(again == text, f[1].starts_with("convergent")) << f[1];
    } else if (f[0] == "hmac") {
      EXPECT_EQ(member(write("hmac/" + key + "/" + extra, {{"input", input}}), "hmac"), text);
    } else {
      const Form form = form_of(extra);
      JsonObject body{{"input", input},           {"signature", text},
                      {"context", context},       {"hash_algorithm", form.hash},
                      {"salt_length", form.salt}, {"signature_algorithm", form.algorithm}};
      if (!form.marshaling.empty()) body.set("marshaling_algorithm", form.marshaling);
      EXPECT_EQ(member(write("verify/" + key, body), "valid"), "true") << f[1] << " " << extra;
      body.set("input", "AAAA");
      EXPECT_EQ(member(write("verify/" + key, body), "valid"), "false") << f[1] << " " << extra;
      body.set("input", input);
      body.set("signature", member(write("sign/" + key, body), "signature"));
      EXPECT_EQ(member(write("verify/" + key, body), "valid"), "true") << f[1] << " " << extra;
    }
  }
}

void TransitTest::import_and_hand_over_each_kind() {
  const auto pair_der = [](crypto::KeyPairKind kind) {
    return crypto::KeyPair::generate(kind).private_der();
  };
  struct Case {
    const char* type;
    base::SecretBytes key;
  };
  std::vector<Case> cases;
  cases.push_back({"aes128-gcm96", random_.secret(16)});
  cases.push_back({"aes256-gcm96", random_.secret(32)});
  cases.push_back({"chacha20-poly1305", random_.secret(32)});
  cases.push_back({"hmac", random_.secret(48)});
  cases.push_back({"ed25519", pair_der(crypto::KeyPairKind::kEd25519)});
  cases.push_back({"ecdsa-p256", pair_der(crypto::KeyPairKind::kP256)});
  cases.push_back({"ecdsa-p521", pair_der(crypto::KeyPairKind::kP521)});
  cases.push_back({"rsa-2048", pair_der(crypto::KeyPairKind::kRsa2048)});
  // Wrapped for this mount's own wrapping key, what is handed over can be imported again.
  const auto pem = member(server_.read("transit/wrapping_key"), "public_key");
  ASSERT_TRUE(write("keys/holder/import", {{"type", "rsa-4096"}, {"public_key", pem}}));
  for (Case& c : cases) {
    const std::string key = std::string("in-") + c.type;
    const auto imported =
        write("keys/" + key + "/import",
              {{"type", c.type}, {"exportable", true}, {"ciphertext", wrapped(c.key.clone())}});
    ASSERT_TRUE(imported) << c.type << ": " << imported.error().message();
    EXPECT_EQ(member(server_.read("transit/keys/" + key), "imported_key"), "true");
    EXPECT_FALSE(write("keys/" + key + "/rotate", {}));
    const auto handed = server_.read("transit/byok-export/holder/" + key + "/latest");
    ASSERT_TRUE(handed) << handed.error().message();
    const auto blob = Json::parse(member(handed, "keys"))->string_or("1", "");
    const std::string back = std::string("back-") + c.type;
    ASSERT_TRUE(write("keys/" + back + "/import", {{"type", c.type}, {"ciphertext", blob}}));
    EXPECT_TRUE(do_alike(key, back)) << c.type;
    EXPECT_FALSE(write("keys/" + key + "/import",
                       {{"type", c.type}, {"ciphertext", wrapped(c.key.clone())}}));
    if (std::string(c.type) == "aes256-gcm96") {
      EXPECT_EQ(member(server_.read("transit/export/encryption-key/" + key), "keys"),
                "{\"1\":\"" + base::base64_encode(c.key.reveal()) + "\"}");
    }
  }
}

void TransitTest::refuse_wrapped_keys_that_are_not() {
  const std::string good = wrapped(random_.secret(32));
  std::string bytes = *base::base64_decode(good);
  for (const size_t at : {size_t{5}, size_t{520}, bytes.size() - 1}) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_FALSE(write("keys/bad/import", {{"ciphertext", base::base64_encode(bad)}}));
  }
  EXPECT_FALSE(write("keys/bad/import", {{"ciphertext", wrapped(random_.secret(31))}}));
  EXPECT_FALSE(write("keys/bad/import", {{"ciphertext", good}, {"hash_function", "SHA1"}}));
  EXPECT_FALSE(write("keys/bad/import", {{"ciphertext", good}, {"type", "ed25519"}}));
  EXPECT_FALSE(server_.read("transit/keys/bad"));
  EXPECT_TRUE(write("keys/bad/import", {{"ciphertext", good}}));  // none of it was kept
}

void TransitTest::take_the_private_half_later() {
  const auto pair = crypto::KeyPair::generate(crypto::KeyPairKind::kP256);
  const auto other = crypto::KeyPair::generate(crypto::KeyPairKind::kP256);
  ASSERT_TRUE(
      write("keys/half/import", {{"type", "ecdsa-p256"}, {"public_key", pair.public_pem()}}));
  EXPECT_FALSE(write("sign/half", {{"input", "AAAA"}}));
  EXPECT_FALSE(write("keys/half/import_version", {{"ciphertext", wrapped(other.private_der())}}));
  ASSERT_TRUE(write("keys/half/import_version", {{"ciphertext", wrapped(pair.private_der())}}));
  EXPECT_EQ(member(server_.read("transit/keys/half"), "latest_version"), "1");
  EXPECT_TRUE(write("sign/half", {{"input", "AAAA"}}));
  ASSERT_TRUE(write("keys/half/import_version", {{"ciphertext", wrapped(other.private_der())}}));
  EXPECT_EQ(member(server_.read("transit/keys/half"), "latest_version"), "2");
}

// One test, because its wrapping key takes seconds to make.
TEST_F(TransitTest, ImportsKeysThatWereWrapped) {
  import_and_hand_over_each_kind();
  refuse_wrapped_keys_that_are_not();
  take_the_private_half_later();
}

TEST_F(TransitTest, RotatesByItselfWhenUsedAndNotBefore) {
  ASSERT_TRUE(write("keys/a", {{"auto_rotate_period", "24h"}}));
  const std::string first = encrypt("a", "AAAA");
  server_.clock().advance(std::chrono::hours(23));
  EXPECT_TRUE(encrypt("a", "AAAA").starts_with("vault:v1:"));
  server_.clock().advance(std::chrono::hours(1));
  EXPECT_TRUE(encrypt("a", "AAAA").starts_with("vault:v2:"));
  EXPECT_TRUE(encrypt("a", "AAAA").starts_with("vault:v2:"));
  EXPECT_EQ(decrypt("a", first), "AAAA");
  server_.clock().advance(std::chrono::hours(50));
  EXPECT_EQ(member(server_.read("transit/keys/a"), "latest_version"), "3");
  // RSA is made on the pool, whoever was the first to find that it is due.
  ASSERT_TRUE(write("keys/r", {{"type", "rsa-2048"}, {"auto_rotate_period", "1h"}}));
  server_.clock().advance(std::chrono::hours(1));
  EXPECT_TRUE(encrypt("r", "AAAA").starts_with("vault:v2:"));
  ASSERT_TRUE(write("keys/a/config", {{"auto_rotate_period", 0}}));
  server_.clock().advance(std::chrono::hours(500));
  EXPECT_TRUE(encrypt("a", "AAAA").starts_with("vault:v3:"));
}

// A key is decoded once for each lane; no lane may use what another one changed.
TEST_F(TransitTest, WhatIsKeptDecodedIsNeverStale) {
  ASSERT_TRUE(write("keys/a", {}));
  const std::string first = encrypt("a", "AAAA");
  ASSERT_TRUE(write("keys/a/rotate", {}));
  EXPECT_TRUE(encrypt("a", "AAAA").starts_with("vault:v2:"));
  ASSERT_TRUE(write("keys/a/config", {{"min_decryption_version", 2}}));
  EXPECT_NE(decrypt("a", first), "AAAA");
  ASSERT_TRUE(write("keys/a/config", {{"min_decryption_version", 1}}));
  EXPECT_EQ(decrypt("a", first), "AAAA");
  ASSERT_TRUE(write("keys/a/config", {{"deletion_allowed", true}}));
  ASSERT_TRUE(server_.ask(
      {.operation = Operation::kDelete, .path = "transit/keys/a", .token = server_.root()}));
  EXPECT_EQ(decrypt("a", first), "encryption key not found");
  ASSERT_TRUE(write("keys/a", {}));  // of the same name, but another one
  EXPECT_EQ(decrypt("a", first), "cipher: message authentication failed");
  const std::string second = encrypt("a", "AAAA");
  ASSERT_TRUE(
      server_.ask({.operation = Operation::kUpdate, .path = "sys/seal", .token = server_.root()}));
  EXPECT_EQ(decrypt("a", second), "Vault is sealed");
  server_.unseal();
  EXPECT_EQ(decrypt("a", second), "AAAA");
}

TEST_F(TransitTest, TwoThatMakeOneKeyAtOnceMakeOne) {
  std::vector<std::string> texts;
  for (int i = 0; i < 4; i++) {
    server_.begin({.operation = Operation::kUpdate,
                   .path = "transit/encrypt/fresh",
                   .body = R"({"plaintext":"AAAA"})",
                   .token = server_.root()},
                  [&](Harness::Answer answer) { texts.push_back(member(answer, "ciphertext")); });
  }
  server_.pump();
  ASSERT_EQ(texts.size(), 4u);
  for (const std::string& text : texts) EXPECT_EQ(decrypt("fresh", text), "AAAA") << text;
}

TEST_F(TransitTest, LongBodiesAreWorkedOnElsewhereWithTheSameAnswer) {
  const std::string plaintext = base::base64_encode(std::string(3'000'000, 'x'));
  ASSERT_TRUE(write("keys/a", {}));
  const std::string ciphertext = encrypt("a", plaintext);
  EXPECT_GT(ciphertext.size(), plaintext.size());
  EXPECT_EQ(decrypt("a", ciphertext), plaintext);
}

TEST_F(TransitTest, TrimmedVersionsAreGone) {
  ASSERT_TRUE(write("keys/a", {{"exportable", true}, {"allow_plaintext_backup", true}}));
  for (int i = 0; i < 3; i++) ASSERT_TRUE(write("keys/a/rotate", {}));
  ASSERT_TRUE(
      write("keys/a/config", {{"min_decryption_version", 3}, {"min_encryption_version", 4}}));
  ASSERT_TRUE(write("keys/a/trim", {{"min_available_version", 3}}));
  const auto backup = member(server_.read("transit/backup/a"), "backup");
  ASSERT_TRUE(write("restore/b", {{"backup", backup}}));
  EXPECT_EQ(member(server_.read("transit/keys/b"), "min_available_version"), "3");
  EXPECT_FALSE(server_.read("transit/export/encryption-key/b/2"));
  EXPECT_TRUE(server_.read("transit/export/encryption-key/b/3"));
}

}  // namespace
}  // namespace rekey::app
