#include "app/upkeep.h"

#include <algorithm>
#include <utility>

#include "base/thread.h"
#include "identity/token_store.h"
#include "pipeline/wrapping.h"

namespace rekey::app {

Upkeep::Upkeep(UpkeepParts parts) : parts_(parts), thread_([this] { run(); }) {}

Upkeep::~Upkeep() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Upkeep::run() {
  base::begin_thread("upkeep", base::Urgency::kSoon);
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kUpkeepInterval, [&] { return stopping_; })) {
    lock.unlock();
    turn();
    lock.lock();
  }
}

void Upkeep::turn() {
  const auto before = parts_.barrier.keyring();
  if (before == nullptr) return;
  auto tended = parts_.barrier.tend();
  if (!tended) {
    if (tended.error().kind() == base::ErrorKind::kSealed) return;  // since the turn began
    parts_.log.error("app", "the encryption key can't be tended",
                     {{"error", tended.error().describe()}});
  }
  if (parts_.barrier.keyring() != before) (void)parts_.keeper.reload_keyring();
  advance_epoch();
  count_tokens();
  count_wrappings();
  watch_ledger();
  scrub();
  using storage::Reader, barrier::Txn;
  const base::WallTime now = parts_.clock.wall();
  sweep("expired tokens",
        [&](Reader&, Txn& txn) { return identity::sweep_expired(txn, now, kSweepRows); });
  sweep("revoked tokens",
        [&](Reader&, Txn& txn) { return identity::sweep_revoked(txn, kSweepRows); });
  sweep("tokens that were cut off",
        [&](Reader& reader, Txn& txn) { return identity::sweep_cut(reader, txn, kSweepRows); });
}

void Upkeep::sweep(std::string_view what, const Step& step) {
  for (int i = 0; i < kSweepsInARow; i++) {
    auto more = sweep_once(step);
    if (!more) {
      if (more.error().kind() != base::ErrorKind::kConflict &&
          more.error().kind() != base::ErrorKind::kSealed) {
        parts_.log.warn("app", "a step of clean-up failed and is tried again",
                        {{"of", std::string(what)}, {"error", more.error().describe()}});
      }
      return;
    }
    if (!*more) return;
  }
}

void Upkeep::advance_epoch() {
  const base::WallTime now = parts_.clock.wall();
  const uint64_t commits = parts_.store.health().commits;
  if (commits == commits_at_epoch_ || now - epoch_advanced_ < kEpochInterval) return;
  auto advanced = parts_.keeper.advance_epoch();
  if (!advanced) {
    parts_.log.warn("app", "the store's epoch stays and is raised later",
                    {{"error", advanced.error().describe()}});
    return;
  }
  epoch_advanced_ = now;
  commits_at_epoch_ = commits + 1;  // its own commit is no change
}

// Goes on with a round over the rows under `prefix`; their number when that has come to its end.
std::optional<uint64_t> Upkeep::count(CountRound& round, std::string_view prefix,
                                      bool (*counts)(std::string_view key)) {
  auto reader = parts_.store.open_reader();
  if (!reader) return std::nullopt;
  auto keys = (*reader)->scan(prefix, round.up_to, kCountedRows);
  if (!keys) return std::nullopt;
  round.found += static_cast<uint64_t>(std::ranges::count_if(*keys, counts));
  if (keys->size() < kCountedRows) return std::exchange(round, {}).found;
  round.up_to = std::move(keys->back());
  return std::nullopt;
}

void Upkeep::count_tokens() {
  const auto all = [](std::string_view) { return true; };
  if (const auto found = count(tokens_, identity::kTokenRowPrefix, all)) {
    token_count_.store(*found, std::memory_order_relaxed);
  }
}

void Upkeep::count_wrappings() {
  pipeline::OpenWrappings& open = parts_.keeper.open_wrappings();
  if (wrappings_.up_to.empty()) open.begin_count();
  if (const auto found =
          count(wrappings_, pipeline::kCubbyholePrefix, pipeline::is_wrapped_answer)) {
    open.end_count(*found);
  }
}

// Whether rows are missing, or there are some that nobody wrote, is known whenever the store has
// counted its rows: each time that its file was written.
void Upkeep::watch_ledger() {
  const int64_t missing = parts_.barrier.ledger_status().missing;
  if (missing != std::exchange(missing_, missing) && missing != 0) {
    parts_.log.error("app", "ALARM: the store has not as many rows as were written",
                     {{"missing", std::to_string(missing)}});
  }
}

// Rows that nobody reads are looked at too, once a day, slowly.
void Upkeep::scrub() {
  const auto keyring = parts_.barrier.keyring();
  if (keyring == nullptr || keyring->ledger() == nullptr) return;
  const base::Duration now = parts_.clock.monotonic();
  if (scrubbed_.count() != 0 && now - scrubbed_ < kScrubInterval) return;
  auto more = scrub_once(*keyring);
  if (!more || *more) return;
  scrubbed_up_to_.clear();
  scrubbed_ = now;
  scrub_alarms_ = 0;
}

base::Result<bool> Upkeep::scrub_once(const barrier::Keyring& keyring) {
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  auto keys = (*reader)->scan("", scrubbed_up_to_, kScrubbedRows);
  if (!keys) return forward(keys);
  for (const std::string& key : *keys) {
    auto row = barrier::row_revision(**reader, keyring, key);
    if (row || row.error().kind() != base::ErrorKind::kCorrupt) continue;
    if (++scrub_alarms_ > kScrubAlarmsMax) continue;
    parts_.log.error("app", "ALARM: a row of the store was changed behind the server's back",
                     {{"error", row.error().describe()}});
  }
  if (!keys->empty()) scrubbed_up_to_ = keys->back();
  return keys->size() == kScrubbedRows;
}

// One commit's worth. True when there is more to do.
base::Result<bool> Upkeep::sweep_once(const Step& step) {
  const auto state = parts_.keeper.state().get();
  if (state == nullptr) return base::fail(base::ErrorKind::kSealed, "Vault is sealed");
  auto reader = parts_.store.open_reader();
  if (!reader) return forward(reader);
  barrier::Txn txn(**reader, *state->keyring, parts_.random);
  auto more = step(**reader, txn);
  if (!more || !txn.has_writes()) return more;
  auto batch = txn.take_batch();
  if (!batch) return forward(batch);
  // Cut-offs may come (children of the expired) or go (nothing left below).
  const auto touches = [](const std::string& key) {
    return key.starts_with(identity::kCutoffPrefix);
  };
  const bool cut = std::ranges::any_of(batch->puts, touches, &storage::Put::key) ||
                   std::ranges::any_of(batch->deletes, touches);
  auto committed = parts_.store.commit_and_wait(std::move(*batch));
  if (!committed) return forward(committed);
  if (cut) {
    auto reloaded = parts_.keeper.reload_cutoffs();
    if (!reloaded) return forward(reloaded);
  }
  return more;
}

}  // namespace rekey::app
