#include "crypto/x509_chain.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/codec.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using std::chrono::days;

// A certificate and its key, as a CA of the test's own makes them.
struct Made {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
};

struct Wanted {
  std::string name = "leaf";
  long serial = 1;
  std::vector<std::pair<int, std::string>> extensions;  // in OpenSSL's own language
  std::vector<std::pair<std::string, std::string>> more_of_subject = {};
  int from_days = -1, to_days = 30;
  EVP_PKEY* key = nullptr;  // null: a new one
  const EVP_MD* digest = EVP_sha256();
};

const std::vector<std::pair<int, std::string>> kAuthority = {
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_key_usage, "critical,keyCertSign,cRLSign"},
    {NID_subject_key_identifier, "hash"}};
const std::vector<std::pair<int, std::string>> kClient = {{NID_basic_constraints, "CA:FALSE"},
                                                          {NID_ext_key_usage, "clientAuth"},
                                                          {NID_subject_key_identifier, "hash"},
                                                          {NID_authority_key_identifier, "keyid"}};

class X509ChainTest : public ::testing::Test {
 protected:
  ~X509ChainTest() override {
    for (const Made& made : made_) {
      X509_free(made.certificate);
      EVP_PKEY_free(made.key);
    }
  }

  Made make(const Wanted& wanted, const Made* issuer = nullptr) {
    Made made{X509_new(), wanted.key};
    if (made.key == nullptr)
      made.key = EVP_EC_gen("P-256");
    else
      EVP_PKEY_up_ref(made.key);
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), wanted.serial);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), 0);
    set_time(X509_getm_notBefore(made.certificate), wanted.from_days);
    set_time(X509_getm_notAfter(made.certificate), wanted.to_days);
    X509_NAME* subject = X509_get_subject_name(made.certificate);
    add(subject, "CN", wanted.name);
    for (const auto& [field, value] : wanted.more_of_subject) add(subject, field, value);
    const X509* by = issuer == nullptr ? made.certificate : issuer->certificate;
    X509_set_issuer_name(made.certificate, X509_get_subject_name(by));
    X509_set_pubkey(made.certificate, made.key);
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, const_cast<X509*>(by), made.certificate, nullptr, nullptr, 0);
    for (const auto& [nid, value] : wanted.extensions) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
      EXPECT_NE(extension, nullptr) << value;
      X509_add_ext(made.certificate, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(made.certificate, issuer == nullptr ? made.key : issuer->key, wanted.digest);
    made_.push_back(made);
    return made;
  }

  // An extension of an OID of one's own with a text in it.
  static std::vector<std::pair<int, std::string>> with_own(
      std::vector<std::pair<int, std::string>> extensions, const char* oid,
      const std::string& value) {
    int nid = OBJ_txt2nid(oid);
    if (nid == NID_undef) nid = OBJ_create(oid, oid, oid);
    X509V3_EXT_add_alias(nid, NID_netscape_comment);  // an IA5String, which its text form makes
    extensions.emplace_back(nid, value);
    return extensions;
  }

  static void add(X509_NAME* name, const std::string& field, const std::string& value) {
    X509_NAME_add_entry_by_txt(name, field.c_str(), MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  }

  void set_time(ASN1_TIME* time, int in_days) {
    const auto at = std::chrono::floor<std::chrono::seconds>(clock_.wall() + days(in_days));
    ASN1_TIME_set(time, at.time_since_epoch().count());
  }

  static std::string der(const Made& made) {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(made.certificate, &bytes);
    std::string out(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
    OPENSSL_free(bytes);
    return out;
  }

  static std::string pem(const Made& made) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, made.certificate);
    return take(bio);
  }

  static std::string take(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<size_t>(size));
    BIO_free(bio);
    return out;
  }

  std::string crl(const Made& issuer, const std::vector<long>& serials, bool as_der = false) {
    X509_CRL* list = X509_CRL_new();
    X509_CRL_set_version(list, 1);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer.certificate));
    ASN1_TIME* time = ASN1_TIME_new();
    set_time(time, -1);
    X509_CRL_set1_lastUpdate(list, time);
    set_time(time, 7);
    X509_CRL_set1_nextUpdate(list, time);
    for (const long serial : serials) {
      X509_REVOKED* entry = X509_REVOKED_new();
      ASN1_INTEGER* number = ASN1_INTEGER_new();
      ASN1_INTEGER_set(number, serial);
      X509_REVOKED_set_serialNumber(entry, number);
      X509_REVOKED_set_revocationDate(entry, time);
      X509_CRL_add0_revoked(list, entry);
      ASN1_INTEGER_free(number);
    }
    ASN1_TIME_free(time);
    X509_CRL_sign(list, issuer.key, EVP_sha256());
    BIO* bio = BIO_new(BIO_s_mem());
    if (as_der) {
      i2d_X509_CRL_bio(bio, list);
    } else {
      PEM_write_bio_X509_CRL(bio, list);
    }
    X509_CRL_free(list);
    return take(bio);
  }

  PresentedChain present(const Made& leaf, const std::vector<Made>& others = {}) {
    std::vector<std::string> intermediates;
    for (const Made& other : others) intermediates.push_back(der(other));
    auto chain = PresentedChain::parse(der(leaf), intermediates);
    EXPECT_TRUE(chain) << chain.error().describe();
    return std::move(*chain);
  }

  // What verifying says: "" for good, "untrusted", or the reason.
  std::string verdict(const Made& anchor, const PresentedChain& presented) {
    const auto trust = TrustedCertificates::parse(pem(anchor));
    EXPECT_TRUE(trust);
    const auto links = trust->verify(presented, clock_.wall());
    if (links) return "";
    return links.error().kind() == ErrorKind::kNotFound ? "untrusted" : links.error().message();
  }

  base::FakeClock clock_;
  std::vector<Made> made_;
};

TEST_F(X509ChainTest, AChainLeadsToItsRootAndToNoOther) {
  const Made root = make({.name = "root", .extensions = kAuthority});
  const Made other = make({.name = "root", .extensions = kAuthority});  // same name, other key
  const Made middle = make({.name = "middle", .serial = 2, .extensions = kAuthority}, &root);
  const Made leaf = make({.serial = 77, .extensions = kClient}, &middle);
  EXPECT_EQ(verdict(root, present(leaf, {middle})), "");
  EXPECT_EQ(verdict(root, present(leaf)), "untrusted");
  EXPECT_NE(verdict(other, present(leaf, {middle})), "");
  // Whatever is trusted ends the chain: no root is needed.
  EXPECT_EQ(verdict(middle, present(leaf)), "");

  const auto trust = TrustedCertificates::parse(pem(root));
  const auto links = trust->verify(present(leaf, {middle}), clock_.wall());
  ASSERT_EQ(links->size(), 3u);
  EXPECT_EQ((*links)[0].serial, "77");
  EXPECT_EQ((*links)[1].serial, "2");
}

TEST_F(X509ChainTest, TimesAreThoseOfTheClockThatIsGiven) {
  const Made root = make({.name = "root", .extensions = kAuthority, .to_days = 100});
  const Made leaf = make({.extensions = kClient, .from_days = 1, .to_days = 30}, &root);
  EXPECT_EQ(verdict(root, present(leaf)), "certificate is not yet valid");
  clock_.advance(days(2));
  EXPECT_EQ(verdict(root, present(leaf)), "");
  clock_.advance(days(29));
  EXPECT_EQ(verdict(root, present(leaf)), "certificate has expired");
}

TEST_F(X509ChainTest, AnExpiredAuthorityVouchesForNobody) {
  const Made root = make({.name = "root", .extensions = kAuthority, .to_days = 10});
  const Made leaf = make({.extensions = kClient, .to_days = 30}, &root);
  clock_.advance(days(11));
  EXPECT_EQ(verdict(root, present(leaf)), "certificate has expired");
}

TEST_F(X509ChainTest, OnlyAuthoritiesIssueAndOnlyClientsLogIn) {
  const Made root = make({.name = "root", .extensions = kAuthority});
  const Made leaf = make({.extensions = kClient}, &root);
  const Made below_leaf = make({.name = "admin", .serial = 9, .extensions = kClient}, &leaf);
  EXPECT_NE(verdict(root, present(below_leaf, {leaf})), "");

  const Made server =
      make({.extensions = {{NID_basic_constraints, "CA:FALSE"}, {NID_ext_key_usage, "serverAuth"}}},
           &root);
  EXPECT_NE(verdict(root, present(server)), "");
  const Made plain = make({.extensions = {{NID_basic_constraints, "CA:FALSE"}}}, &root);
  EXPECT_EQ(verdict(root, present(plain)), "");  // what isn't said isn't forbidden

  auto short_path = kAuthority;
  short_path[0].second = "critical,CA:TRUE,pathlen:0";
  const Made narrow = make({.name = "narrow", .extensions = short_path});
  const Made middle = make({.name = "middle", .extensions = kAuthority}, &narrow);
  const Made deep = make({.extensions = kClient}, &middle);
  EXPECT_NE(verdict(narrow, present(deep, {middle})), "");
}

TEST_F(X509ChainTest, NameConstraintsAndWeakSignaturesCount) {
  auto constrained = kAuthority;
  constrained.emplace_back(NID_name_constraints, "critical,permitted;DNS:example.org");
  const Made root = make({.name = "root", .extensions = constrained});
  const auto with_dns = [&](const char* name) {
    auto extensions = kClient;
    extensions.emplace_back(NID_subject_alt_name, std::string("DNS:") + name);
    return make({.extensions = extensions}, &root);
  };
  EXPECT_EQ(verdict(root, present(with_dns("a.example.org"))), "");
  EXPECT_NE(verdict(root, present(with_dns("a.example.com"))), "");

  const Made good = make({.name = "good", .extensions = kAuthority});
  const Made weak = make({.extensions = kClient, .digest = EVP_sha1()}, &good);
  EXPECT_NE(verdict(good, present(weak)), "");
}

TEST_F(X509ChainTest, ChainsHaveLimits) {
  Made last = make({.name = "0", .extensions = kAuthority});
  const Made root = last;
  std::vector<Made> between;
  for (int i = 1; i <= kChainDepthMax + 1; i++) {
    last = make({.name = std::to_string(i), .extensions = kAuthority}, &last);
    between.insert(between.begin(), last);
  }
  const Made leaf = make({.extensions = kClient}, &last);
  EXPECT_NE(verdict(root, present(leaf, between)), "");
  EXPECT_EQ(verdict(between[kChainDepthMax / 2], present(leaf, between)), "");

  const std::vector<std::string> many(kChainCertificatesMax, der(last));
  EXPECT_EQ(PresentedChain::parse(der(leaf), many).error().kind(), ErrorKind::kTooLarge);
  EXPECT_FALSE(PresentedChain::parse(std::string(kCertificateBytesMax + 1, '0'), {}));
  EXPECT_FALSE(PresentedChain::parse(der(leaf) + "x", {}));
}

TEST_F(X509ChainTest, APinnedLeafIsThatCertificateAndNoOther) {
  const Made root = make({.name = "root", .extensions = kAuthority});
  const Made leaf = make({.serial = 5, .extensions = kClient}, &root);
  const auto pinned = TrustedCertificates::parse(pem(leaf));
  ASSERT_TRUE(pinned);
  EXPECT_FALSE(pinned->is_authority());
  EXPECT_TRUE(pinned->may_be_client());
  EXPECT_EQ(pinned->compare(present(leaf)), TrustedCertificates::Pinned::kSame);
  EXPECT_TRUE(pinned->verify_pinned(present(leaf), clock_.wall()));
  EXPECT_FALSE(pinned->verify_pinned(present(leaf), clock_.wall() + days(31)));

  const Made forged = make({.serial = 5, .extensions = kClient}, &root);
  EXPECT_EQ(pinned->compare(present(forged)), TrustedCertificates::Pinned::kOtherKey);
  // The holder of the key makes itself one that lives longer or has another name.
  const Made longer =
      make({.serial = 5, .extensions = kClient, .to_days = 3000, .key = leaf.key}, &root);
  EXPECT_EQ(pinned->compare(present(longer)), TrustedCertificates::Pinned::kOther);
  const Made next = make({.serial = 6, .extensions = kClient}, &root);
  EXPECT_EQ(pinned->compare(present(next)), TrustedCertificates::Pinned::kOther);

  const Made server = make({.extensions = {{NID_ext_key_usage, "serverAuth"}}});
  EXPECT_FALSE(TrustedCertificates::parse(pem(server))->may_be_client());
}

TEST_F(X509ChainTest, ReadsWhatRulesLookAt) {
  auto extensions = with_own(kClient, "1.2.3.45.6", "team-a");
  extensions.emplace_back(NID_subject_alt_name,
                          "DNS:a.example.org,email:a@example.org,URI:spiffe://example.org/a");
  const Made root = make({.name = "root", .extensions = kAuthority});
  const Made made = make({.name = "Users",
                          .serial = 4097,
                          .extensions = extensions,
                          .more_of_subject = {{"OU", "ops"}, {"OU", "web"}, {"CN", "alice"}}},
                         &root);
  const PresentedChain chain = present(made);
  const CertificateFacts& facts = chain.leaf();
  EXPECT_EQ(facts.info.common_name, "alice");  // the last one, as Go has it
  EXPECT_EQ(facts.serial, "4097");
  EXPECT_EQ(facts.organizational_units, (std::vector<std::string>{"ops", "web"}));
  EXPECT_EQ(facts.info.uris, std::vector<std::string>{"spiffe://example.org/a"});
  EXPECT_EQ(facts.subject_key_id.size(), 20u);
  EXPECT_EQ(facts.authority_key_id, present(root).leaf().subject_key_id);
  const auto own = std::ranges::find(facts.extensions, "1.2.3.45.6", &CertificateExtension::oid);
  ASSERT_NE(own, facts.extensions.end());
  EXPECT_EQ(own->text, "team-a");
  EXPECT_EQ(base::hex_encode(own->value), "16067465616d2d61");
  const auto usage = std::ranges::find(facts.extensions, "2.5.29.37", &CertificateExtension::oid);
  ASSERT_NE(usage, facts.extensions.end());
  EXPECT_EQ(usage->text, "");  // no text
}

TEST_F(X509ChainTest, RefusesNamesWithANulByte) {
  const Made made = make({.name = std::string("admin\0.example", 14), .extensions = kClient});
  EXPECT_FALSE(PresentedChain::parse(der(made), {}));
}

TEST_F(X509ChainTest, ATimeBeyondOurClockIsItsEnd) {
  const Made made = make({.name = "for ever", .extensions = kAuthority});
  ASN1_TIME_set_string(X509_getm_notAfter(made.certificate), "99991231235959Z");
  X509_sign(made.certificate, made.key, EVP_sha256());
  EXPECT_GT(parse_certificate_der(der(made))->not_after, clock_.wall() + days(36'500));
}

TEST_F(X509ChainTest, TrustIsReadWholeOrNotAtAll) {
  const Made a = make({.name = "a", .extensions = kAuthority});
  const Made b = make({.name = "b", .extensions = kAuthority});
  const Made leaf = make({.extensions = kClient}, &b);
  const auto both = TrustedCertificates::parse("as sent:\n" + pem(a) + "\n\n" + pem(b) + "end\n");
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->is_authority());
  EXPECT_TRUE(both->verify(present(leaf), clock_.wall()));
  EXPECT_FALSE(TrustedCertificates::parse(""));
  EXPECT_FALSE(TrustedCertificates::parse("x"));
  std::string broken = pem(b);
  broken[broken.size() / 2] = '!';
  EXPECT_FALSE(TrustedCertificates::parse(pem(a) + broken));
  std::string many;
  for (size_t i = 0; i <= kTrustCertificatesMax; i++) many += pem(a);
  EXPECT_EQ(TrustedCertificates::parse(many).error().kind(), ErrorKind::kTooLarge);
}

TEST_F(X509ChainTest, ReadsCrls) {
  const Made root = make({.name = "root", .extensions = kAuthority});
  const std::string text = crl(root, {300, 7, 7, 12});
  const auto list = parse_revocation_list(text);
  ASSERT_TRUE(list) << list.error().describe();
  EXPECT_EQ(list->serials, (std::vector<std::string>{"12", "300", "7"}));
  EXPECT_FALSE(list->indirect);
  EXPECT_EQ(list->next_update, std::chrono::floor<std::chrono::seconds>(clock_.wall() + days(7)));
  const std::string raw = crl(root, {7}, true);
  EXPECT_EQ(parse_revocation_list(raw)->serials, std::vector<std::string>{"7"});
  EXPECT_EQ(parse_revocation_list(base::base64_encode(raw) + "\n")->serials,
            std::vector<std::string>{"7"});
  EXPECT_TRUE(parse_revocation_list(crl(root, {}))->serials.empty());
  EXPECT_FALSE(parse_revocation_list(raw + "x"));
  EXPECT_FALSE(parse_revocation_list(text + text));
  EXPECT_FALSE(parse_revocation_list(""));
  EXPECT_FALSE(parse_revocation_list(pem(root)));
}

TEST_F(X509ChainTest, NamesAreEqualWhereRfc5280SaysSo) {
  const auto issuer = [&](const char* name) {
    const Made root = make({.name = name, .extensions = kAuthority});
    return parse_revocation_list(crl(root, {}))->issuer_der;
  };
  EXPECT_TRUE(same_x509_name(issuer("Example  CA"), issuer("example ca")));
  EXPECT_FALSE(same_x509_name(issuer("Example CA"), issuer("Example CB")));
  EXPECT_FALSE(same_x509_name("", issuer("a")));
}

}  // namespace
}  // namespace rekey::crypto
