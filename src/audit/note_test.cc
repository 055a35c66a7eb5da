#include "audit/note.h"

#include <gtest/gtest.h>

#include "audit/proof.h"
#include "audit/tiles.h"
#include "base/codec.h"

namespace rekey::audit {
namespace {

// The example of c2sp.org/signed-note. Its key is not in the text, so only its form is checked.
constexpr std::string_view kSample =
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed \xc3\xa8 subito sera.\n"
    "\n"
    "\xe2\x80\x94 quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/"
    "5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

crypto::Ed25519PrivateKey key(char fill) {
  return *crypto::Ed25519PrivateKey::from_seed(base::SecretBytes::copy_of(std::string(32, fill)));
}

TEST(Note, ParsesTheSpecificationsExample) {
  const auto note = parse_note(kSample);
  ASSERT_TRUE(note) << note.error().describe();
  EXPECT_TRUE(note->text.ends_with("sera.\n"));
  ASSERT_EQ(note->signatures.size(), 1u);
  EXPECT_EQ(note->signatures[0].name, "quasimodo.example/salvatore");
  EXPECT_EQ(note->signatures[0].id, 0x367ba04bu);
  EXPECT_EQ(note->signatures[0].signature.size(), 64u);
}

// Key and note of the Go project's own documentation of golang.org/x/mod/sumdb/note.
TEST(Note, VerifiesWhatGoSigned) {
  const auto verifier =
      VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
  ASSERT_TRUE(verifier);
  const std::string text =
      "If you think cryptography is the answer to your problem,\n"
      "then you don't know what your problem is.\n";
  const std::string signature =
      "\xe2\x80\x94 PeterNeumann "
      "x08go/ZJkuBS9UG/"
      "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
  const auto note = parse_note(text + "\n" + signature);
  ASSERT_TRUE(note) << note.error().describe();
  EXPECT_TRUE(verify_note(*note, *verifier));
  Note altered = *note;
  altered.text[3] ^= 1;
  EXPECT_FALSE(verify_note(altered, *verifier));
  EXPECT_EQ(verifier->text(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
}

TEST(Note, SignsAndVerifies) {
  const auto verifier = *VerifierKey::make("rekey.test/log", key('a').public_key());
  const TreeHead head{"rekey.test/log", 1234, leaf_hash("x")};
  const std::string bytes = sign_note(head.text(), verifier, key('a'));
  const auto note = parse_note(bytes);
  ASSERT_TRUE(note);
  EXPECT_TRUE(verify_note(*note, verifier));
  EXPECT_FALSE(verify_note(*note, *VerifierKey::make("rekey.test/other", key('a').public_key())));
  EXPECT_FALSE(verify_note(*note, *VerifierKey::make("rekey.test/log", key('b').public_key())));
  const auto back = parse_tree_head(note->text);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->size, 1234u);
  EXPECT_EQ(back->root, head.root);
  // A cosignature by someone unknown is ignored; a bad second one by the known key is not.
  const auto other = *VerifierKey::make("witness.test", key('w').public_key());
  const std::string cosigned = sign_note(head.text(), other, key('w'));
  const std::string line = cosigned.substr(cosigned.rfind("\xe2\x80\x94"));
  EXPECT_TRUE(verify_note(*parse_note(bytes + line), verifier));
  Note twice = *note;
  twice.signatures.push_back(twice.signatures[0]);
  twice.signatures[1].signature[0] ^= 1;
  EXPECT_FALSE(verify_note(twice, verifier));
}

TEST(Note, MalformedNotesAreRefused) {
  const std::string good(kSample);
  for (const std::string& bad :
       {std::string(), std::string("\n\n"), std::string("text\n"), good.substr(0, good.size() - 1),
        good + "x\n", good + "\n", "a\r\n\n" + good,
        std::string("text\n\n\xe2\x80\x94 name AAAA\n"),
        std::string("text\n\n\xe2\x80\x94 na+me AAAAAAAA\n"),
        std::string("text\n\n\xe2\x80\x94  AAAAAAAA\n"), std::string("\xff\n\n") + good,
        std::string("text\n\n- name AAAAAAAA\n"), std::string(kNoteBytesMax, 'x')}) {
    EXPECT_FALSE(parse_note(bad)) << bad.substr(0, 60);
  }
  std::string many = "text\n\n";
  for (size_t i = 0; i <= kNoteSignaturesMax; ++i) many += "\xe2\x80\x94 name AAAAAAAA\n";
  EXPECT_FALSE(parse_note(many));
}

TEST(Note, MalformedHeadsAndKeysAreRefused) {
  const std::string root = base::base64_encode(std::string(32, 'r'));
  EXPECT_TRUE(parse_tree_head("o\n0\n" + root + "\n"));
  EXPECT_TRUE(parse_tree_head("o\n12\n" + root + "\nextension\n"));
  for (const std::string& bad :
       {std::string(), std::string("o\n"), std::string("o\n1\n"), "o\n01\n" + root + "\n",
        "o\n-1\n" + root + "\n", "\n1\n" + root + "\n", "o\n1\n" + root,
        std::string("o\n1\nAAAA\n"), "o\n99999999999999999999\n" + root + "\n",
        "o\n1\n" + root.substr(0, 43) + "\n"}) {
    EXPECT_FALSE(parse_tree_head(bad)) << bad;
  }
  const std::string good = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
  for (const std::string& bad :
       {std::string(), good.substr(1), good.substr(0, good.size() - 4), "x" + good,
        std::string("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")}) {
    EXPECT_FALSE(VerifierKey::parse(bad)) << bad;
  }
  EXPECT_FALSE(VerifierKey::make("with space", std::string(32, 'k')));
  EXPECT_FALSE(VerifierKey::make("with\xc2\xa0space", std::string(32, 'k')));
  EXPECT_FALSE(VerifierKey::make("", std::string(32, 'k')));
}

TEST(Proof, TextFormRoundTripsAndRefusesNonsense) {
  const auto verifier = *VerifierKey::make("rekey.test/log", key('a').public_key());
  const Hash left = leaf_hash("left"), right = leaf_hash("right");
  const TreeHead head{"rekey.test/log", 2, node_hash(left, right)};
  const TlogProof proof{"right", 1, {left}, sign_note(head.text(), verifier, key('a'))};
  const std::string text = proof.text();
  EXPECT_TRUE(text.starts_with("c2sp.org/tlog-proof@v1\nextra cmlnaHQ=\nindex 1\n"));
  const auto back = TlogProof::parse(text);
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(back->text(), text);
  EXPECT_TRUE(verify_proof(*back, "right", verifier));
  EXPECT_FALSE(verify_proof(*back, "left", verifier));
  EXPECT_FALSE(verify_proof(*back, "right", *VerifierKey::make("x", key('a').public_key())));
  for (size_t cut = 0; cut + 1 < text.size(); ++cut) {
    EXPECT_FALSE(TlogProof::parse(text.substr(0, cut)));
  }
}

TEST(Tiles, PathsAsInTheSpecification) {
  EXPECT_EQ(tile_path(0, 1234067), "log/tile/0/x001/x234/067");
  EXPECT_EQ(tile_path(1, 5, 17), "log/tile/1/005.p/17");
  EXPECT_EQ(bundle_path(999), "log/tile/entries/999");
  EXPECT_EQ(bundle_path(1000, 1), "log/tile/entries/x001/000.p/1");
}

// The specification's example: a tree of 70,000 entries.
TEST(Tiles, WidthsAsInTheSpecification) {
  EXPECT_EQ(tile_width(0, 272, 70'000), 256u);
  EXPECT_EQ(tile_width(0, 273, 70'000), 112u);
  EXPECT_EQ(tile_width(0, 274, 70'000), 0u);
  EXPECT_EQ(tile_width(1, 0, 70'000), 256u);
  EXPECT_EQ(tile_width(1, 1, 70'000), 17u);
  EXPECT_EQ(tile_width(2, 0, 70'000), 1u);
  EXPECT_EQ(tile_width(3, 0, 70'000), 0u);
}

}  // namespace
}  // namespace rekey::audit
