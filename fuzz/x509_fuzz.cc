// rooms: crypto
// Certificates, trusted PEM texts and revocation lists from anywhere: reading ends, nothing that is
// taken breaks the limits, and what doesn't lead to a trusted certificate isn't taken for one that
// does.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "crypto/x509_chain.h"

namespace crypto = rekey::crypto;

namespace {

const rekey::base::WallTime kNow(std::chrono::seconds(1'790'000'000));

void read_chain(std::string_view der) {
  auto chain = crypto::PresentedChain::parse(der, {});
  if (!chain) return;
  const crypto::CertificateFacts& facts = chain->leaf();
  REKEY_CHECK(!facts.serial.empty());
  REKEY_CHECK(facts.extensions.size() <= crypto::kCertificateExtensionsMax);
  REKEY_CHECK(facts.info.common_name.find('\0') == std::string::npos);
  // Presented again beside itself it says the same.
  const std::string copy(der);
  REKEY_CHECK(crypto::PresentedChain::parse(der, std::span(&copy, 1)).has_value());
}

void read_trust(std::string_view pem) {
  const auto trust = crypto::TrustedCertificates::parse(pem);
  if (!trust) return;
  (void)trust->is_authority();
  (void)trust->may_be_client();
  (void)crypto::parse_certificate_pem(pem);
}

// The first half of the input as what is trusted, the second as what is presented.
void verify(std::string_view input) {
  const size_t end = input.find("-----END CERTIFICATE-----");
  if (end == std::string_view::npos) return;
  const size_t split = end + sizeof("-----END CERTIFICATE-----") - 1;
  const auto trust = crypto::TrustedCertificates::parse(input.substr(0, split));
  const auto presented = crypto::PresentedChain::parse(input.substr(split), {});
  if (!trust || !presented) return;
  const auto links = trust->verify(*presented, kNow);
  if (links) REKEY_CHECK(!links->empty() && links->front().serial == presented->leaf().serial);
  if (trust->compare(*presented) == crypto::TrustedCertificates::Pinned::kSame) {
    (void)trust->verify_pinned(*presented, kNow);
  }
}

void read_crl(std::string_view text) {
  const auto list = crypto::parse_revocation_list(text);
  if (!list) return;
  REKEY_CHECK(list->serials.size() <= crypto::kCrlEntriesMax);
  REKEY_CHECK(std::ranges::is_sorted(list->serials));
  REKEY_CHECK(crypto::same_x509_name(list->issuer_der, list->issuer_der));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  read_chain(input);
  read_trust(input);
  verify(input);
  read_crl(input);
  return 0;
}
