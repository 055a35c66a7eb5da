#include "barrier/barrier.h"

#include <string>
#include <utility>

#include "barrier/sealed_blob.h"
#include "base/check.h"
#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::barrier {

using base::ErrorKind;
using base::SecretBytes;

namespace {

constexpr uint8_t kRecoveryVersion = 1;
constexpr std::string_view kLedgerPurpose = "ledger";

std::unexpected<base::Error> sealed_error(
    std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kSealed, "Vault is sealed", {}, where);
}

std::unexpected<base::Error> with_prefix(
    std::string_view prefix, const base::Error& error,
    std::source_location where = std::source_location::current()) {
  return base::fail(error.kind(), std::string(prefix) + error.message(), error.detail(), where);
}

struct Recovery {
  ShareCounts counts;
  std::string digest;
};

std::string dump_recovery(const NewRecovery& recovery) {
  std::string out(1, static_cast<char>(kRecoveryVersion));
  base::append_u16(out, static_cast<uint16_t>(recovery.counts.shares));
  base::append_u16(out, static_cast<uint16_t>(recovery.counts.threshold));
  out += crypto::as_bytes(crypto::sha256(recovery.key.reveal()));
  return out;
}

base::Result<Recovery> parse_recovery(std::string_view row) {
  base::ByteReader reader(row);
  uint8_t version = 0;
  uint16_t shares = 0;
  uint16_t threshold = 0;
  std::string_view digest;
  if (!reader.u8(version) || version != kRecoveryVersion || !reader.u16(shares) ||
      !reader.u16(threshold) || !reader.bytes(sizeof(crypto::Sha256Digest), digest) ||
      !reader.done()) {
    return base::fail(ErrorKind::kCorrupt, "the recovery configuration can't be read");
  }
  return Recovery{.counts = {.shares = shares, .threshold = threshold},
                  .digest = std::string(digest)};
}

struct Epoch {
  uint64_t number = 0;
  bool dated = false;  // the store has a ledger; one without was taken away
};

base::Result<Epoch> parse_epoch(std::string_view row) {
  base::ByteReader reader(row);
  Epoch epoch;
  uint8_t flag = 0;
  if (!reader.u64(epoch.number) || (!reader.done() && !reader.u8(flag)) || !reader.done() ||
      flag > 1) {
    return base::fail(ErrorKind::kCorrupt, "the epoch can't be read");
  }
  epoch.dated = flag == 1;
  return epoch;
}

storage::Put put(std::string_view key, std::string value) {
  return {.key = std::string(key), .value = std::move(value)};
}

storage::Condition condition(std::string_view key, storage::Revision revision) {
  return {.key = std::string(key), .revision = revision};
}

}  // namespace

// Between the store's writing and the ledger of the keyring that is in force.
class Barrier::Witness final : public storage::CommitWitness {
 public:
  explicit Witness(base::Random& random) : random_(random) {}

  // From now on commits are taken, with this keyring's ledger; with null they are refused.
  void arm(std::shared_ptr<const Keyring> keyring) {
    const std::lock_guard lock(mutex_);
    keyring_.swap(keyring);
  }

  base::Result<std::vector<storage::Put>> before_commit(const Group& group) override {
    const std::shared_ptr<const Keyring> keyring = this->keyring();
    // What was on its way when the server was sealed: a row that no ledger knows is worse.
    if (keyring == nullptr) return sealed_error();
    ledger_ = keyring->ledger();
    return ledger_->begin(group, *keyring, random_);
  }
  void after_commit(bool committed) override {
    ledger_->end(committed);
    ledger_.reset();
  }
  std::optional<uint64_t> rows_expected() override {
    const std::shared_ptr<Ledger> ledger = present_ledger();
    return ledger == nullptr ? std::nullopt : ledger->rows_expected();
  }
  void rows_counted(uint64_t expected, uint64_t counted) override {
    if (const auto ledger = present_ledger()) ledger->rows_counted(expected, counted);
  }

 private:
  std::shared_ptr<const Keyring> keyring() {
    const std::lock_guard lock(mutex_);
    return keyring_;
  }
  std::shared_ptr<Ledger> present_ledger() {
    const std::shared_ptr<const Keyring> keyring = this->keyring();
    return keyring == nullptr ? nullptr : keyring->ledger();
  }

  base::Random& random_;
  std::mutex mutex_;
  std::shared_ptr<const Keyring> keyring_;
  std::shared_ptr<Ledger> ledger_;  // of the group that is being committed
};

Barrier::Barrier(storage::Store& store, base::Random& random, const base::Clock& clock)
    : store_(store), random_(random), clock_(clock), witness_(std::make_unique<Witness>(random)) {}

Barrier::~Barrier() {
  if (opened_ > 0) store_.set_witness(nullptr);
}

base::Result<Barrier::Row> Barrier::row(storage::Reader& reader, std::string_view key) const {
  base::Result<std::optional<storage::Item>> item = reader.get(key);
  if (!item) return base::forward(item);
  if (!item->has_value()) return Row{};
  return Row{.value = std::string((*item)->value), .revision = (*item)->revision};
}

base::Result<Barrier::Row> Barrier::row(std::string_view key) const {
  base::Result<std::unique_ptr<storage::Reader>> reader = store_.open_reader();
  if (!reader) return base::forward(reader);
  return row(**reader, key);
}

base::Result<std::optional<std::string>> Barrier::checked(storage::Reader& reader,
                                                          const Keyring& keyring,
                                                          std::string_view key) const {
  base::Result<std::optional<storage::Item>> item = reader.get(key);
  if (!item) return base::forward(item);
  if (const Ledger* ledger = keyring.ledger().get()) {
    std::optional<std::string_view> value;
    if (*item) value = (*item)->value;
    base::Result<void> present = ledger->check(key, value, reader.revision());
    if (!present) return base::forward(present);
  }
  if (!*item) return std::nullopt;
  base::Result<std::string> plaintext = keyring.decrypt(key, (*item)->value);
  if (!plaintext) return base::forward(plaintext);
  return std::optional<std::string>(std::move(*plaintext));
}

base::Result<storage::Revision> Barrier::commit(storage::Batch batch) {
  REKEY_CHECK(!batch.puts.empty());
  const storage::Put first = batch.puts.front();
  base::Result<storage::Revision> done = store_.commit_and_wait(std::move(batch));
  if (done || !storage::outcome_unknown(done.error())) return done;
  // Every value has a nonce of its own: if it is there, this batch was committed. Taking a failure
  // for granted could lose the only copy of a key that now is in force.
  base::Result<Row> found = row(first.key);
  if (found && found->revision != 0 && found->value == first.value) return found->revision;
  return done;
}

base::Result<bool> Barrier::initialized(storage::Reader& reader) const {
  base::Result<Row> found = row(reader, kKeyringRow);
  if (!found) return base::forward(found);
  return found->revision != 0;
}

base::Result<SealConfig> Barrier::seal_config(storage::Reader& reader) const {
  base::Result<Row> found = row(reader, kSealConfigRow);
  if (!found) return base::forward(found);
  if (found->revision == 0) {
    return base::fail(ErrorKind::kUninitialized, "Vault is not initialized");
  }
  // While sealed nobody can tell; unsealing looks at it once more.
  const std::shared_ptr<const Keyring> now = keyring();
  if (now != nullptr && now->ledger() != nullptr) {
    base::Result<void> present =
        now->ledger()->check(kSealConfigRow, found->value, reader.revision());
    if (!present) return base::forward(present);
  }
  return SealConfig::parse(found->value);
}

base::Result<Initialized> Barrier::initialize(const Seal& seal, const ShareCounts& counts,
                                              const ShareCounts& recovery) {
  std::lock_guard lock(writing_);
  base::Result<Row> present = row(kKeyringRow);
  if (!present) return base::forward(present);
  if (present->revision != 0) {
    return base::fail(ErrorKind::kPrecondition, "Vault is already initialized");
  }
  Initialized made;
  made.root_key = random_.secret(kRootKeyBytes);
  base::Result<WrappedRootKey> wrapped = seal.wrap(made.root_key, counts, random_);
  if (!wrapped) return with_prefix("invalid seal configuration: ", wrapped.error());
  made.shares = std::move(wrapped->shares);

  const auto bare = Keyring::generate(random_, clock_.wall());
  const auto keyring = bare->with_ledger(std::make_shared<Ledger>(bare->derive(kLedgerPurpose)));
  keyring->extend_reserve(kEncryptionReserve);
  storage::Batch batch;
  batch.conditions.push_back(condition(kKeyringRow, 0));
  batch.conditions.push_back(condition(kSealConfigRow, 0));
  batch.puts.push_back(
      put(kKeyringRow, seal_blob(made.root_key, kKeyringRow,
                                 keyring->serialize(kEncryptionReserve).reveal(), random_)));
  batch.puts.push_back(put(kSealConfigRow, wrapped->config.dump()));
  if (!seal.needs_shares() && recovery.shares > 0) {
    NewRecovery next{.counts = recovery, .key = random_.secret(kRootKeyBytes), .shares = {}};
    base::Result<std::vector<SecretBytes>> shares = split_secret(next.key, recovery, random_);
    if (!shares) return with_prefix("invalid recovery configuration: ", shares.error());
    made.recovery_shares = std::move(*shares);
    base::Result<std::string> value = keyring->encrypt(kRecoveryRow, dump_recovery(next), random_);
    if (!value) return base::forward(value);
    batch.puts.push_back(put(kRecoveryRow, std::move(*value)));
  }
  base::Result<storage::Revision> written = commit_first(std::move(batch), keyring);
  if (!written && written.error().kind() == ErrorKind::kConflict) {
    return base::fail(ErrorKind::kPrecondition, "Vault is already initialized");
  }
  if (!written) return base::forward(written);
  return made;
}

// A store from before it was ours may have rows: they are dated as they are.
base::Result<storage::Revision> Barrier::commit_first(storage::Batch batch,
                                                      std::shared_ptr<const Keyring> keyring) {
  base::Result<std::unique_ptr<storage::Reader>> reader = store_.open_reader();
  if (!reader) return base::forward(reader);
  base::Result<void> rebuilt = keyring->ledger()->rebuild(**reader);
  if (!rebuilt) return base::forward(rebuilt);
  {
    std::lock_guard keys(mutex_);
    opened_++;
  }
  store_.set_witness(witness_.get());
  witness_->arm(std::move(keyring));
  base::Result<storage::Revision> written = commit(std::move(batch));
  witness_->arm(nullptr);
  return written;
}

base::Result<void> Barrier::unseal(const SecretBytes& root_key) {
  base::Result<void> opened = unseal_for_reading(root_key);
  if (!opened) return opened;
  return begin_writing();
}

base::Result<void> Barrier::unseal_for_reading(const SecretBytes& root_key) {
  std::lock_guard lock(writing_);
  if (!sealed()) return {};
  base::Result<Row> found = row(kKeyringRow);
  if (!found) return base::forward(found);
  if (found->revision == 0) {
    return base::fail(ErrorKind::kUninitialized, "Vault is not initialized");
  }
  base::Result<SecretBytes> plaintext = open_blob(root_key, kKeyringRow, found->value);
  if (!plaintext) {
    return base::fail(ErrorKind::kCorrupt, "the keyring can't be opened",
                      "row core/keyring does not authenticate under the unwrapped root key");
  }
  base::Result<std::shared_ptr<const Keyring>> keyring = Keyring::parse(plaintext->reveal());
  if (!keyring) return base::forward(keyring);
  // From here on nobody writes until begin_writing(): what is read below stays true.
  witness_->arm(nullptr);
  store_.set_witness(witness_.get());
  base::Result<std::unique_ptr<storage::Reader>> reader = store_.open_reader();
  if (!reader) return base::forward(reader);
  std::shared_ptr<Ledger> ledger;
  base::Result<LedgerFinding> finding = find_ledger(**reader, **keyring, ledger);
  if (!finding) return base::forward(finding);
  if (ledger != nullptr) *keyring = (*keyring)->with_ledger(std::move(ledger));
  std::lock_guard keys(mutex_);
  root_key_ = root_key.clone();
  keyring_revision_ = found->revision;
  opened_++;
  finding_ = std::move(*finding);
  writing_begun_ = false;
  publish(std::move(*keyring));
  return {};
}

// Loads the ledger, if there is a good one, and sees whether what guards the rest is what was
// written last.
base::Result<LedgerFinding> Barrier::find_ledger(storage::Reader& reader, const Keyring& keyring,
                                                 std::shared_ptr<Ledger>& ledger) const {
  LedgerFinding finding;
  const auto bad = [&](std::string what) {
    finding.state = LedgerFinding::State::kBad;
    finding.what = std::move(what);
    return finding;
  };
  base::Result<Row> row_found = row(reader, kEpochRow);
  if (!row_found) return base::forward(row_found);
  if (row_found->revision != 0) {
    base::Result<std::string> plaintext = keyring.decrypt(kEpochRow, row_found->value);
    if (!plaintext) return bad(plaintext.error().detail());
    base::Result<Epoch> epoch = parse_epoch(*plaintext);
    if (!epoch) return base::forward(epoch);
    finding.dated = epoch->dated;
  }
  auto loading = std::make_shared<Ledger>(keyring.derive(kLedgerPurpose));
  base::Result<uint64_t> rows = reader.rows();
  if (!rows) return base::forward(rows);
  base::Result<void> loaded = loading->load(reader, keyring, *rows);
  if (!loaded && loaded.error().kind() == ErrorKind::kNotFound) {
    if (finding.dated) return bad("the ledger was taken away");
    finding.state = LedgerFinding::State::kNone;
    return finding;
  }
  if (!loaded && loaded.error().kind() == ErrorKind::kCorrupt) return bad(loaded.error().detail());
  if (!loaded) return base::forward(loaded);
  for (const std::string_view key : {kKeyringRow, kSealConfigRow, kRecoveryRow, kEpochRow}) {
    base::Result<Row> found = row(reader, key);
    if (!found) return base::forward(found);
    std::optional<std::string_view> value;
    if (found->revision != 0) value = found->value;
    base::Result<void> present = loading->check(key, value, reader.revision());
    if (!present) return bad(present.error().detail());
  }
  finding.ledger = loading->status();
  ledger = std::move(loading);
  return finding;
}

LedgerFinding Barrier::ledger_finding() const {
  std::lock_guard keys(mutex_);
  return finding_;
}

LedgerStatus Barrier::ledger_status() const {
  const std::shared_ptr<const Keyring> now = keyring();
  if (now == nullptr || now->ledger() == nullptr) return {};
  return now->ledger()->status();
}

base::Result<void> Barrier::begin_writing(bool believe) {
  std::lock_guard lock(writing_);
  base::Result<Open> now = open();
  if (!now) return base::forward(now);
  LedgerFinding finding;
  {
    std::lock_guard keys(mutex_);
    if (writing_begun_) return {};
    finding = finding_;
  }
  if (finding.state == LedgerFinding::State::kBad && !believe) {
    return base::fail(ErrorKind::kPrecondition, "the store's rows are not those written last",
                      finding.what);
  }
  if (finding.state != LedgerFinding::State::kGood) {
    base::Result<void> made = make_ledger(*now);
    if (!made) return made;
  }
  {
    std::lock_guard keys(mutex_);
    if (keyrings_.get() == nullptr || opened_ != now->opened) return sealed_error();
    writing_begun_ = true;
    witness_->arm(keyrings_.get());
  }
  // A store that takes no writes can still be read: nothing can be encrypted until tend() succeeds.
  (void)extend_reserve();
  return {};
}

base::Result<void> Barrier::make_ledger(const Open& now) {
  base::Result<std::unique_ptr<storage::Reader>> reader = store_.open_reader();
  if (!reader) return base::forward(reader);
  auto ledger = std::make_shared<Ledger>(now.keyring->derive(kLedgerPurpose));
  base::Result<void> rebuilt = ledger->rebuild(**reader);
  if (!rebuilt) return rebuilt;
  std::lock_guard keys(mutex_);
  if (keyrings_.get() == nullptr || opened_ != now.opened) return sealed_error();
  publish(now.keyring->with_ledger(std::move(ledger)));
  return {};
}

void Barrier::publish(std::shared_ptr<const Keyring> next) {
  if (writing_begun_) witness_->arm(next);
  std::erase_if(past_, [](const auto& past) { return past.expired(); });
  past_.push_back(next);
  keyrings_.publish(std::move(next));
}

void Barrier::seal() {
  std::lock_guard keys(mutex_);
  root_key_.wipe();
  writing_begun_ = false;
  witness_->arm(nullptr);
  keyrings_.publish(nullptr);
}

bool Barrier::wiped() const {
  const std::shared_ptr<const Keyring> now = keyring();
  std::lock_guard keys(mutex_);
  for (const std::weak_ptr<const Keyring>& past : past_) {
    if (const auto alive = past.lock(); alive != nullptr && alive != now) return false;
  }
  return now == nullptr;
}

base::Result<Barrier::Open> Barrier::open() const {
  std::lock_guard keys(mutex_);
  std::shared_ptr<const Keyring> keyring = keyrings_.get();
  if (keyring == nullptr) return sealed_error();
  return Open{.keyring = std::move(keyring),
              .root_key = root_key_.clone(),
              .revision = keyring_revision_,
              .opened = opened_};
}

base::Result<void> Barrier::write_keyring(const Open& now, const Keyring& keyring,
                                          uint64_t reserved, const SecretBytes& root_key,
                                          storage::Batch others) {
  storage::Batch batch = std::move(others);
  batch.conditions.push_back(condition(kKeyringRow, now.revision));
  batch.puts.insert(batch.puts.begin(),
                    put(kKeyringRow, seal_blob(root_key, kKeyringRow,
                                               keyring.serialize(reserved).reveal(), random_)));
  base::Result<storage::Revision> written = commit(std::move(batch));
  if (!written) {
    if (written.error().kind() == ErrorKind::kConflict) (void)reload(now);
    return base::forward(written);
  }
  std::lock_guard keys(mutex_);
  if (opened_ == now.opened) keyring_revision_ = *written;
  return {};
}

base::Result<void> Barrier::reload(const Open& now) {
  base::Result<Row> found = row(kKeyringRow);
  if (!found) return base::forward(found);
  base::Result<SecretBytes> plaintext = open_blob(now.root_key, kKeyringRow, found->value);
  if (!plaintext) return base::forward(plaintext);
  base::Result<std::shared_ptr<const Keyring>> keyring = Keyring::parse(plaintext->reveal());
  if (!keyring) return base::forward(keyring);
  std::lock_guard keys(mutex_);
  if (keyrings_.get() == nullptr || opened_ != now.opened) return sealed_error();
  keyring_revision_ = found->revision;
  publish((*keyring)->with_ledger(now.keyring->ledger()));
  return {};
}

base::Result<void> Barrier::extend_reserve() {
  base::Result<Open> now = open();
  if (!now) return base::forward(now);
  const uint64_t reserved = now->keyring->encryptions() + kEncryptionReserve;
  base::Result<void> written = write_keyring(*now, *now->keyring, reserved, now->root_key, {});
  if (!written) return base::forward(written);
  now->keyring->extend_reserve(reserved);
  return {};
}

base::Result<uint32_t> Barrier::rotate() {
  std::lock_guard lock(writing_);
  return rotate_locked();
}

base::Result<uint32_t> Barrier::rotate_locked() {
  base::Result<Open> now = open();
  if (!now) return base::forward(now);
  std::shared_ptr<const Keyring> next = now->keyring->with_new_term(random_, clock_.wall());
  base::Result<void> written = write_keyring(*now, *next, kEncryptionReserve, now->root_key, {});
  if (!written) return base::forward(written);
  next->extend_reserve(kEncryptionReserve);
  const uint32_t term = next->active_term();
  std::lock_guard keys(mutex_);
  // Sealed while the disk worked: the term is there at the next unseal.
  if (keyrings_.get() == nullptr || opened_ != now->opened) return term;
  publish(std::move(next));
  return term;
}

void Barrier::set_rotation_policy(const RotationPolicy& policy) {
  std::lock_guard lock(mutex_);
  rotation_ = policy;
}

RotationPolicy Barrier::rotation_policy() const {
  std::lock_guard lock(mutex_);
  return rotation_;
}

bool Barrier::rotation_due(const Keyring& keyring) const {
  const RotationPolicy policy = rotation_policy();
  const uint64_t used = keyring.encryptions();
  if (used >= kTermEncryptionsDue) return true;
  if (!policy.enabled) return false;
  return used >= policy.encryptions_max ||
         (policy.interval.count() > 0 && clock_.wall() - keyring.install_time() >= policy.interval);
}

base::Result<void> Barrier::tend() {
  std::lock_guard lock(writing_);
  base::Result<Open> now = open();
  if (!now) return base::forward(now);
  const uint64_t used = now->keyring->encryptions();
  if (rotation_due(*now->keyring)) {
    base::Result<uint32_t> rotated = rotate_locked();
    if (!rotated) return base::forward(rotated);
    return {};
  }
  if (used + kEncryptionReserve / 2 < now->keyring->encryptions_reserved()) return {};
  return extend_reserve();
}

base::Result<KeyStatus> Barrier::key_status() const {
  const std::shared_ptr<const Keyring> now = keyring();
  if (now == nullptr) return sealed_error();
  return KeyStatus{.term = now->active_term(),
                   .install_time = now->install_time(),
                   .encryptions = now->encryptions()};
}

base::Result<void> Barrier::verify_unseal_key(storage::Reader& reader, const Seal& seal,
                                              const SecretBytes& unseal_key) const {
  base::Result<SealConfig> config = seal_config(reader);
  if (!config) return base::forward(config);
  base::Result<SecretBytes> root_key = seal.unwrap(*config, unseal_key);
  if (!root_key) return base::forward(root_key);
  return {};
}

base::Result<std::optional<ShareCounts>> Barrier::recovery_counts(storage::Reader& reader) const {
  const std::shared_ptr<const Keyring> now = keyring();
  if (now == nullptr) return sealed_error();
  base::Result<std::optional<std::string>> plaintext = checked(reader, *now, kRecoveryRow);
  if (!plaintext) return base::forward(plaintext);
  if (!*plaintext) return std::nullopt;
  base::Result<Recovery> recovery = parse_recovery(**plaintext);
  if (!recovery) return base::forward(recovery);
  return recovery->counts;
}

base::Result<void> Barrier::verify_recovery_key(storage::Reader& reader,
                                                const SecretBytes& key) const {
  const std::shared_ptr<const Keyring> now = keyring();
  if (now == nullptr) return sealed_error();
  base::Result<std::optional<std::string>> plaintext = checked(reader, *now, kRecoveryRow);
  if (!plaintext) return base::forward(plaintext);
  if (!*plaintext) return base::fail(ErrorKind::kNotFound, "there is no recovery key");
  base::Result<Recovery> recovery = parse_recovery(**plaintext);
  if (!recovery) return base::forward(recovery);
  const crypto::Sha256Digest digest = crypto::sha256(key.reveal());
  if (!base::equal_constant_time(crypto::as_bytes(digest), recovery->digest)) {
    return base::fail(ErrorKind::kInvalid, "recovery key does not match submitted values");
  }
  return {};
}

base::Result<NewSeal> Barrier::prepare_seal(const Seal& seal, const ShareCounts& counts) {
  NewSeal next;
  next.root_key = random_.secret(kRootKeyBytes);
  base::Result<WrappedRootKey> wrapped = seal.wrap(next.root_key, counts, random_);
  if (!wrapped) return base::forward(wrapped);
  next.config = std::move(wrapped->config);
  next.shares = std::move(wrapped->shares);
  return next;
}

base::Result<void> Barrier::apply(const NewSeal& next) {
  std::lock_guard lock(writing_);
  base::Result<Open> now = open();
  if (!now) return base::forward(now);
  // One batch: at no time is there a keyring that the configured seal can't open.
  storage::Batch config;
  config.puts.push_back(put(kSealConfigRow, next.config.dump()));
  base::Result<void> written = write_keyring(
      *now, *now->keyring, now->keyring->encryptions_reserved(), next.root_key, std::move(config));
  if (!written) return base::forward(written);
  std::lock_guard keys(mutex_);
  if (opened_ == now->opened && !root_key_.empty()) root_key_ = next.root_key.clone();
  return {};
}

base::Result<NewRecovery> Barrier::prepare_recovery(const ShareCounts& counts) {
  NewRecovery next{.counts = counts, .key = random_.secret(kRootKeyBytes), .shares = {}};
  base::Result<std::vector<SecretBytes>> shares = split_secret(next.key, counts, random_);
  if (!shares) return base::forward(shares);
  next.shares = std::move(*shares);
  return next;
}

base::Result<void> Barrier::apply(const NewRecovery& next) {
  std::lock_guard lock(writing_);
  base::Result<Open> now = open();
  if (!now) return base::forward(now);
  base::Result<std::string> value =
      now->keyring->encrypt(kRecoveryRow, dump_recovery(next), random_);
  if (!value) return base::forward(value);
  storage::Batch batch;
  batch.puts.push_back(put(kRecoveryRow, std::move(*value)));
  base::Result<storage::Revision> written = commit(std::move(batch));
  if (!written) return base::forward(written);
  return {};
}

base::Result<uint64_t> Barrier::epoch(storage::Reader& reader) const {
  const std::shared_ptr<const Keyring> now = keyring();
  if (now == nullptr) return sealed_error();
  base::Result<std::optional<std::string>> plaintext = checked(reader, *now, kEpochRow);
  if (!plaintext) return base::forward(plaintext);
  if (!*plaintext) return 0;
  base::Result<Epoch> parsed = parse_epoch(**plaintext);
  if (!parsed) return base::forward(parsed);
  return parsed->number;
}

base::Result<uint64_t> Barrier::raise_epoch(uint64_t at_least) {
  std::lock_guard lock(writing_);
  base::Result<Open> now = open();
  if (!now) return base::forward(now);
  base::Result<std::unique_ptr<storage::Reader>> reader = store_.open_reader();
  if (!reader) return base::forward(reader);
  base::Result<uint64_t> before = epoch(**reader);
  if (!before) return base::forward(before);
  base::Result<Row> found = row(**reader, kEpochRow);
  if (!found) return base::forward(found);
  std::string plaintext;
  const uint64_t next = std::max(*before + 1, at_least);
  base::append_u64(plaintext, next);
  if (now->keyring->ledger() != nullptr) plaintext += '\1';
  base::Result<std::string> value = now->keyring->encrypt(kEpochRow, plaintext, random_);
  if (!value) return base::forward(value);
  storage::Batch batch;
  batch.conditions.push_back(condition(kEpochRow, found->revision));
  batch.puts.push_back(put(kEpochRow, std::move(*value)));
  base::Result<storage::Revision> written = commit(std::move(batch));
  if (!written) return base::forward(written);
  return next;
}

}  // namespace rekey::barrier
