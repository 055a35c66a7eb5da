#include "barrier/keyring.h"

#include <chrono>
#include <utility>

#include "barrier/ledger.h"
#include "base/check.h"
#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::barrier {

using base::ErrorKind;
using base::SecretBytes;

namespace {

constexpr uint8_t kRowVersion = 1;
constexpr uint32_t kTermsMax = 65'535;
constexpr size_t kTermBytes = 4 + 8 + 8 + kBarrierKeyBytes;
constexpr size_t kValueHeaderBytes = 1 + 4;  // version and term: authenticated as they stand
constexpr std::string_view kDerivePrefix = "rekey/v1/";

std::unexpected<base::Error> corrupt_row(
    std::string detail, std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kCorrupt, "the keyring can't be read", std::move(detail), where);
}

// One message for every way in which a value can be wrong; the operator is told which row it is.
std::unexpected<base::Error> corrupt_value(
    std::string_view key_path, std::string_view why,
    std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kCorrupt, "stored data failed its integrity check",
                    "row " + std::string(key_path) + ": " + std::string(why), where);
}

}  // namespace

class Keyring::Passkey {};

struct Keyring::Term {
  Term(uint32_t number, base::WallTime install_time, SecretBytes key)
      : number(number), install_time(install_time), key(std::move(key)), aead(this->key) {}

  const uint32_t number;
  const base::WallTime install_time;
  const SecretBytes key;  // for the keyring row
  const crypto::Aead aead;
  // What the row says; grows while this is the active term.
  mutable std::atomic<uint64_t> reserved{0};
};

Keyring::Keyring(Passkey) {}
Keyring::~Keyring() = default;

std::shared_ptr<const Keyring> Keyring::generate(base::Random& random, base::WallTime now) {
  auto keyring = std::make_shared<Keyring>(Passkey{});
  keyring->derivation_root_ = random.secret(kBarrierKeyBytes);
  keyring->terms_.push_back(std::make_shared<const Term>(1, now, random.secret(kBarrierKeyBytes)));
  return keyring;
}

base::Result<std::shared_ptr<const Keyring>> Keyring::parse(std::string_view row_plaintext) {
  base::ByteReader reader(row_plaintext);
  uint8_t version = 0;
  std::string_view root;
  uint32_t count = 0;
  if (!reader.u8(version) || version != kRowVersion) return corrupt_row("unknown version");
  if (!reader.bytes(kBarrierKeyBytes, root) || !reader.u32(count)) return corrupt_row("too short");
  if (count == 0 || count > kTermsMax) return corrupt_row("bad number of terms");
  if (reader.rest().size() != count * kTermBytes) return corrupt_row("wrong length");
  auto keyring = std::make_shared<Keyring>(Passkey{});
  keyring->derivation_root_ = SecretBytes::copy_of(root);
  uint32_t last = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t number = 0;
    uint64_t installed = 0;
    uint64_t reserved = 0;
    std::string_view key;
    REKEY_CHECK(reader.u32(number) && reader.u64(installed) && reader.u64(reserved) &&
                reader.bytes(kBarrierKeyBytes, key));
    if (number <= last) return corrupt_row("terms out of order");
    last = number;
    const base::WallTime install_time{base::Duration(static_cast<int64_t>(installed))};
    auto term = std::make_shared<const Term>(number, install_time, SecretBytes::copy_of(key));
    term->reserved = reserved;
    keyring->terms_.push_back(std::move(term));
  }
  // Nobody knows how much of the last reserve was used: all of it counts.
  keyring->used_ = keyring->active().reserved.load();
  return keyring;
}

SecretBytes Keyring::serialize(uint64_t encryptions_reserved) const {
  std::string out;
  out.reserve(1 + kBarrierKeyBytes + 4 + terms_.size() * kTermBytes);
  out += static_cast<char>(kRowVersion);
  out += derivation_root_.reveal();
  base::append_u32(out, static_cast<uint32_t>(terms_.size()));
  for (const auto& term : terms_) {
    base::append_u32(out, term->number);
    base::append_u64(out, static_cast<uint64_t>(term->install_time.time_since_epoch().count()));
    const bool is_active = term == terms_.back();
    base::append_u64(out, is_active ? encryptions_reserved : term->reserved.load());
    out += term->key.reveal();
  }
  return SecretBytes::copy_of(out);  // the heap wipes `out`
}

const Keyring::Term* Keyring::find(uint32_t number) const {
  // Nearly every value is of the active term; terms are consecutive unless rows were merged.
  if (active().number == number) return &active();
  for (const auto& term : terms_) {
    if (term->number == number) return term.get();
  }
  return nullptr;
}

base::Result<std::string> Keyring::encrypt(std::string_view key_path, std::string_view plaintext,
                                           base::Random& random) const {
  return encrypt_counted(key_path, plaintext, random,
                         active().reserved.load(std::memory_order_relaxed));
}

base::Result<std::string> Keyring::encrypt_ledger(std::string_view key_path,
                                                  std::string_view plaintext,
                                                  base::Random& random) const {
  return encrypt_counted(key_path, plaintext, random, kTermEncryptionsMax);
}

base::Result<std::string> Keyring::encrypt_counted(std::string_view key_path,
                                                   std::string_view plaintext, base::Random& random,
                                                   uint64_t most) const {
  const uint64_t before = used_.fetch_add(1, std::memory_order_relaxed);
  if (before >= most || before >= kTermEncryptionsMax) {
    used_.fetch_sub(1, std::memory_order_relaxed);
    return base::fail(ErrorKind::kUnavailable, "no more data can be encrypted now",
                      "the reserve of encryptions is used up and could not be extended");
  }
  unsigned char nonce[crypto::kAeadNonceBytes];
  random.fill(nonce);
  const std::string_view nonce_bytes(reinterpret_cast<const char*>(nonce), sizeof(nonce));
  std::string out;
  out.reserve(plaintext.size() + kValueOverheadBytes);
  out += static_cast<char>(kValueVersion);
  base::append_u32(out, active().number);
  const std::string header = out;
  out += nonce_bytes;
  active().aead.seal(nonce_bytes, header, key_path, plaintext, out);
  return out;
}

base::Result<std::string> Keyring::decrypt(std::string_view key_path,
                                           std::string_view stored) const {
  if (stored.size() < kValueOverheadBytes) return corrupt_value(key_path, "too short");
  if (static_cast<uint8_t>(stored[0]) != kValueVersion) {
    return corrupt_value(key_path, "unknown version");
  }
  const Term* term = find(base::read_u32(stored.data() + 1));
  if (term == nullptr) return corrupt_value(key_path, "unknown term");
  std::string plaintext;
  plaintext.reserve(stored.size() - kValueOverheadBytes);
  const std::string_view header = stored.substr(0, kValueHeaderBytes);
  const std::string_view nonce = stored.substr(kValueHeaderBytes, crypto::kAeadNonceBytes);
  if (!term->aead.open(nonce, header, key_path,
                       stored.substr(kValueHeaderBytes + crypto::kAeadNonceBytes), plaintext)) {
    return corrupt_value(key_path, "does not authenticate");
  }
  return plaintext;
}

SecretBytes Keyring::derive(std::string_view purpose) const {
  return crypto::hkdf_sha256(derivation_root_, {},
                             std::string(kDerivePrefix) + std::string(purpose), kBarrierKeyBytes);
}

uint32_t Keyring::active_term() const { return active().number; }
base::WallTime Keyring::install_time() const { return active().install_time; }
uint64_t Keyring::encryptions() const { return used_.load(std::memory_order_relaxed); }
uint64_t Keyring::encryptions_reserved() const { return active().reserved.load(); }
size_t Keyring::term_count() const { return terms_.size(); }

std::shared_ptr<const Keyring> Keyring::with_ledger(std::shared_ptr<Ledger> ledger) const {
  auto next = std::make_shared<Keyring>(Passkey{});
  next->derivation_root_ = derivation_root_.clone();
  next->terms_ = terms_;
  next->used_ = used_.load();
  next->ledger_ = std::move(ledger);
  return next;
}

std::shared_ptr<const Keyring> Keyring::with_new_term(base::Random& random,
                                                      base::WallTime now) const {
  REKEY_CHECK(terms_.size() < kTermsMax);
  auto next = std::make_shared<Keyring>(Passkey{});
  next->derivation_root_ = derivation_root_.clone();
  next->terms_ = terms_;
  next->ledger_ = ledger_;
  next->terms_.push_back(
      std::make_shared<const Term>(active().number + 1, now, random.secret(kBarrierKeyBytes)));
  return next;
}

void Keyring::extend_reserve(uint64_t encryptions_reserved) const {
  std::atomic<uint64_t>& reserved = active().reserved;
  uint64_t now = reserved.load();
  while (now < encryptions_reserved && !reserved.compare_exchange_weak(now, encryptions_reserved)) {
  }
}

}  // namespace rekey::barrier
