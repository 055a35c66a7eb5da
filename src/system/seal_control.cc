#include "system/seal_control.h"

#include "audit/record.h"
#include "crypto/ed25519.h"
#include "identity/token_store.h"
#include "lease/lease_store.h"
#include "logical/openapi.h"

namespace rekey::system {
namespace {

using base::ErrorKind;
using base::Result;

constexpr const char* kForeignRecord =
    "the audit record belongs to another store: give this server a folder of its own for it";

}  // namespace

SealControl::SealControl(SealControlParts parts)
    : parts_(parts),
      unseal_progress_(parts.random),
      rekey_target_(parts.barrier, parts.seal, parts.store),
      recovery_target_(parts.barrier, parts.store),
      rekey_(rekey_target_, parts.random),
      recovery_rekey_(recovery_target_, parts.random),
      generate_root_(parts.random) {}

Result<bool> SealControl::initialized() {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  return parts_.barrier.initialized(**reader);
}

Result<SealStatus> SealControl::status() {
  std::lock_guard lock(mutex_);
  return status_locked();
}

Result<SealStatus> SealControl::status_locked() {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  SealStatus status;
  status.type = parts_.seal.type();
  auto initialized = parts_.barrier.initialized(**reader);
  if (!initialized) return forward(initialized);
  status.initialized = *initialized;
  status.sealed = parts_.barrier.sealed();
  status.recovery_seal = !parts_.seal.needs_shares();
  if (!status.initialized) return status;
  auto config = parts_.barrier.seal_config(**reader);
  if (!config) return forward(config);
  status.counts = config->counts;
  if (status.recovery_seal) {
    auto recovery = parts_.barrier.recovery_counts(**reader);
    // Sealed, the row can't be read; what is asked while sealed is answered all the same.
    if (!recovery && recovery.error().kind() != ErrorKind::kSealed) return forward(recovery);
    if (recovery && *recovery) recovery_counts_ = **recovery;
    status.counts = recovery_counts_;
  }
  if (status.sealed) {
    status.progress = unseal_progress_.progress();
    status.nonce = unseal_progress_.nonce();
    return status;
  }
  if (const auto state = parts_.keeper.state().get()) {
    status.cluster_name = state->cluster_name;
    status.cluster_id = state->cluster_id;
  }
  return status;
}

Result<InitResult> SealControl::initialize(InitRequest request) {
  std::lock_guard lock(mutex_);
  auto there = initialized();
  if (!there) return forward(there);
  if (*there) return base::fail(ErrorKind::kInvalid, "Vault is already initialized");
  if (request.pgp_keys > 0) {
    return base::fail(ErrorKind::kInvalid,
                      "encrypting shares or the root token with PGP keys is not supported");
  }
  if (parts_.seal.needs_shares() &&
      (request.recovery.shares != 0 || request.recovery.threshold != 0)) {
    return base::fail(ErrorKind::kInvalid,
                      "parameters recovery_shares,recovery_threshold not applicable to seal type " +
                          std::string(parts_.seal.type()));
  }
  if (!parts_.record.verifier_key().empty()) {
    return base::fail(ErrorKind::kPrecondition, kForeignRecord, parts_.record.verifier_key());
  }
  auto made = parts_.barrier.initialize(parts_.seal, request.shares, request.recovery);
  if (!made) return forward(made);
  auto opened = open(made->root_key);
  if (!opened) return forward(opened);
  auto token = make_root_token(request.root_token);
  if (!token) {
    close();
    return forward(token);
  }
  InitResult result{std::move(made->shares), std::move(made->recovery_shares), std::move(*token)};
  parts_.log.info("system", "initialized", {{"seal", std::string(parts_.seal.type())}});
  if (parts_.seal.needs_shares()) close();
  return result;
}

void SealControl::close() {
  parts_.record.clear_signer();
  parts_.keeper.close();
}

Result<std::string> SealControl::make_root_token(std::string_view wanted) {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return base::fail(ErrorKind::kSealed, "Vault is sealed");
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  identity::TokenStore tokens(txn, (*reader)->revision(), *state->token_keys, parts_.clock,
                              parts_.random);
  identity::Token token;
  token.policies = {"root"};
  token.path = "auth/token/root";
  token.display_name = "root";
  token.renewable = false;
  auto text = tokens.create(token, nullptr, wanted);
  if (!text) return text;
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  return text;
}

Result<SealStatus> SealControl::unseal(std::string_view share_text) {
  std::lock_guard lock(mutex_);
  auto there = initialized();
  if (!there) return forward(there);
  if (!*there) return base::fail(ErrorKind::kInvalid, "Vault is not initialized");
  if (!parts_.barrier.sealed()) return status_locked();
  if (!parts_.seal.needs_shares()) {
    auto opened = open_by_itself();
    if (!opened) return forward(opened);
    return status_opened();
  }
  auto share = barrier::decode_share(share_text);
  if (!share) return forward(share);
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  auto config = parts_.barrier.seal_config(**reader);
  if (!config) return forward(config);
  auto key = unseal_progress_.add(std::move(*share), config->counts.threshold);
  if (!key) return forward(key);
  if (!*key) return status_locked();
  auto root_key = parts_.seal.unwrap(*config, **key);
  if (!root_key) {
    unseal_progress_.reset();
    return forward(root_key);
  }
  auto opened = open(*root_key);
  unseal_progress_.reset();
  if (!opened) return forward(opened);
  return status_opened();
}

// It is open whether the store can be read again or not; an error would say that it isn't.
SealStatus SealControl::status_opened() {
  if (auto status = status_locked()) return std::move(*status);
  SealStatus status{.type = std::string(parts_.seal.type()), .initialized = true, .sealed = false};
  status.recovery_seal = !parts_.seal.needs_shares();
  return status;
}

Result<SealStatus> SealControl::reset_unseal() {
  std::lock_guard lock(mutex_);
  auto there = initialized();
  if (!there) return forward(there);
  if (!*there) return base::fail(ErrorKind::kInvalid, "Vault is not initialized");
  unseal_progress_.reset();
  return status_locked();
}

Result<void> SealControl::open_by_itself() {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  auto config = parts_.barrier.seal_config(**reader);
  if (!config) return forward(config);
  auto root_key = parts_.seal.unwrap(*config, base::SecretBytes());
  if (!root_key) return forward(root_key);
  auto opened = open(*root_key);
  if (opened && parts_.seal.is_outdated(*config)) renew_seal(*config);
  return opened;
}

// The key of the seal was replaced: a new root key, wrapped by the new one, so that who has the old
// key and an old row can't open what the store has from now on. Where it fails the server serves
// under the old key, and the next start tries again.
void SealControl::renew_seal(const barrier::SealConfig& outdated) {
  auto next = parts_.barrier.prepare_seal(parts_.seal, outdated.counts);
  Result<void> done = next ? Result<void>() : forward(next);
  if (done) {
    done = record_event("rotate-seal-key",
                        "key " + outdated.key_id + " is replaced by key " + next->config.key_id);
  }
  if (done) done = parts_.barrier.apply(*next);
  if (!done) {
    parts_.log.error("system", "the seal's key could not be replaced; the previous one is needed",
                     {{"error", done.error().describe()}});
    return;
  }
  parts_.log.warn("system", "the seal's key was replaced; the previous one isn't needed any more",
                  {{"previous", outdated.key_id}, {"current", next->config.key_id}});
}

// What is wrong with the store's age, for people and for the record; both empty when nothing is.
Result<SealControl::Doubt> SealControl::doubt() {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  const barrier::LedgerFinding ledger = parts_.barrier.ledger_finding();
  auto epoch = parts_.barrier.epoch(**reader);
  if (!epoch && ledger.state != barrier::LedgerFinding::State::kBad) return forward(epoch);
  // The anchor: the record remembers the youngest state of the store that it vouched for.
  const uint64_t age = barrier::store_age(epoch.value_or(0), (*reader)->revision());
  const uint64_t anchored = parts_.record.store_revision_floor();
  Doubt doubt;
  if (age < anchored) {
    doubt.found = "the store is at " + std::to_string(age) + ", the record vouched for " +
                  std::to_string(anchored);
    doubt.message =
        "the store is older than the audit record: it was put back from a copy. If that was meant, "
        "start the server once with -accept-older-store; it is recorded";
  } else if (ledger.state == barrier::LedgerFinding::State::kBad) {
    doubt.found = ledger.what;
    doubt.message =
        "rows of the store that guard the others were changed behind the server's back. If an "
        "older "
        "copy of them was put back on purpose, start the server once with -accept-older-store, "
        "which believes every row as it is; it is recorded";
  }
  return doubt;
}

// Writes nothing unless all is well or the operator said so.
Result<void> SealControl::check_age() {
  auto doubted = doubt();
  if (!doubted) return forward(doubted);
  if (doubted->message.empty()) return begin_writing(false);
  if (!older_store_accepted_) {
    parts_.log.error("system", "the store is not as it was left", {{"found", doubted->found}});
    return base::fail(ErrorKind::kPrecondition, doubted->message, doubted->found);
  }
  auto recorded = record_event("accept-older-store", doubted->found);
  if (!recorded) return recorded;
  parts_.log.warn("system", "an older store is accepted, as the operator asked",
                  {{"found", doubted->found}});
  auto begun = begin_writing(true);
  if (!begun) return begun;
  const uint64_t anchored = parts_.record.store_revision_floor();
  auto raised = parts_.barrier.raise_epoch((anchored >> barrier::kEpochShift) + 1);
  if (!raised) return forward(raised);
  return pause_leases();
}

Result<void> SealControl::begin_writing(bool believe) {
  using State = barrier::LedgerFinding::State;
  const barrier::LedgerFinding ledger = parts_.barrier.ledger_finding();
  if (ledger.state == State::kNone) {
    parts_.log.info("system", "a ledger is made of all rows, as this store has none yet",
                    {{"rows", std::to_string(parts_.store.health().keys)}});
  }
  auto begun = parts_.barrier.begin_writing(believe);
  if (!begun) return begun;
  if (ledger.state == State::kGood && ledger.ledger.missing != 0) {
    parts_.log.error("system", "ALARM: the store has not as many rows as were written",
                     {{"missing", std::to_string(ledger.ledger.missing)}});
  }
  return {};
}

// An entry of something that no request did. Durable when it returns.
Result<void> SealControl::record_event(std::string_view what, std::string_view found) {
  const std::string id = parts_.random.uuid();
  audit::RecordInput input;
  input.type = "event";
  input.time = parts_.clock.wall();
  input.request_id = id;
  input.operation = what;
  input.path = "sys/unseal";
  input.status = 200;
  input.error = found;
  std::string entry;
  audit::append_record(input, nullptr, entry);
  auto index = parts_.record.append(entry);
  if (!index) return forward(index);
  parts_.record.flush();
  return parts_.record.wait_durable(*index + 1);
}

// Open as a whole, or sealed: whatever must not fail comes before the state is published.
Result<void> SealControl::open(const base::SecretBytes& root_key) {
  auto opened = parts_.barrier.unseal_for_reading(root_key);
  if (!opened) return opened;
  // Whose record it is comes first: what another store's says of an age means nothing here.
  Result<void> done = sign_record();
  if (done) done = check_age();
  if (done) {
    older_store_accepted_ = false;
    write_while_opening();
    done = parts_.keeper.open();
  }
  if (!done) {
    parts_.record.clear_signer();
    parts_.barrier.seal();
    return done;
  }
  parts_.log.info("system", "unsealed");
  return {};
}

// A disk that fails is the record's to tell; a record of somebody else's must not be gone on with.
Result<void> SealControl::sign_record() {
  auto signer =
      crypto::Ed25519PrivateKey::from_seed(parts_.barrier.keyring()->derive("audit-sign"));
  if (!signer) return forward(signer);
  auto set = parts_.record.set_signer(std::move(*signer));
  if (!set && set.error().kind() == ErrorKind::kPrecondition) {
    parts_.log.error("system", "the record is another store's",
                     {{"error", set.error().describe()}});
    return base::fail(ErrorKind::kPrecondition, kForeignRecord, set.error().detail());
  }
  // A log that has a key has a checkpoint from its first moment on: one without was tampered with.
  if (set && !parts_.record.last_checkpoint()) {
    if (auto first = parts_.record.checkpoint_now(); !first) set = forward(first);
  }
  if (!set)
    parts_.log.error("system", "the record can't be signed", {{"error", set.error().describe()}});
  return {};
}

// A store that takes no writes can still be read, so these are put off: Upkeep tends and raises the
// epoch at its next turn, the version is noted at the next unseal.
void SealControl::write_while_opening() {
  const auto put_off = [&](std::string_view what, const base::Error& error) {
    parts_.log.error("system", "unsealing, but something can't be written now",
                     {{"what", std::string(what)}, {"error", error.describe()}});
  };
  if (auto tended = parts_.barrier.tend(); !tended) put_off("encryptions", tended.error());
  if (auto raised = parts_.barrier.raise_epoch(); !raised) put_off("epoch", raised.error());
  if (auto noted = note_version(); !noted) put_off("version", noted.error());
}

Result<void> SealControl::note_version() {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *parts_.barrier.keyring(), parts_.random);
  std::string previous, latest;
  bool known = false;
  auto scanned = txn.scan(kVersionPrefix, "", [&](std::string_view key, std::string_view text) {
    const std::string_view version = key.substr(kVersionPrefix.size());
    known = known || version == logical::kVaultVersion;
    const auto row = base::Json::parse(text);
    const std::string installed = row ? row->string_or("timestamp_installed", "") : "";
    if (installed >= latest) latest = installed, previous = version;
    return true;
  });
  if (!scanned) return forward(scanned);
  if (known) return {};
  txn.put(std::string(kVersionPrefix) + std::string(logical::kVaultVersion),
          base::Json(
              base::JsonObject{{"timestamp_installed", base::format_rfc3339(parts_.clock.wall())},
                               {"previous_version", previous.empty() ? base::Json() : previous}})
              .dump());
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  return {};
}

// What was renewed after the copy was taken looks as if it had ended. Before anything is served.
Result<void> SealControl::pause_leases() {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *parts_.barrier.keyring(), parts_.random);
  lease::pause(txn, "an older store was put back", parts_.clock.wall());
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  parts_.log.warn("system",
                  "the store is older than the record: leases that look ended are not removed "
                  "outside until sys/leases/resume is written");
  return {};
}

Result<void> SealControl::seal() {
  std::lock_guard lock(mutex_);
  if (parts_.barrier.sealed()) return {};
  (void)parts_.record.checkpoint_now();  // the last one that can be signed until the next unseal
  close();
  parts_.log.info("system", "sealed");
  return {};
}

Result<uint32_t> SealControl::rotate() {
  std::lock_guard lock(mutex_);
  auto term = parts_.barrier.rotate();
  if (!term) return term;
  auto renewed = parts_.keeper.reload_keyring();
  if (!renewed) return forward(renewed);
  return term;
}

Result<int> SealControl::shares_required() {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  if (!parts_.seal.needs_shares()) {
    auto recovery = parts_.barrier.recovery_counts(**reader);
    if (!recovery) return forward(recovery);
    return *recovery ? (*recovery)->threshold : 0;
  }
  auto config = parts_.barrier.seal_config(**reader);
  if (!config) return forward(config);
  return config->counts.threshold;
}

barrier::GenerateRoot::Actions SealControl::generate_root_actions() {
  return {.authorise = [this](const base::SecretBytes& key) -> Result<void> {
            auto reader = parts_.store.open_reader();
            if (!reader) return forward(reader);
            if (!parts_.seal.needs_shares()) {
              return parts_.barrier.verify_recovery_key(**reader, key);
            }
            return parts_.barrier.verify_unseal_key(**reader, parts_.seal, key);
          },
          .make_token = [this] { return make_root_token(""); }};
}

}  // namespace rekey::system
