#include "barrier/ledger.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "barrier/keyring.h"
#include "base/check.h"
#include "base/codec.h"

namespace rekey::barrier {
namespace {

using base::ErrorKind;
using base::Result;
using crypto::SipDigest;

// What of a stored value is dated: the tag of its encryption. Rows that aren't encrypted, which is
// core/seal-config, have another first byte and are dated as a whole.
constexpr size_t kValueEndBytes = 16;
constexpr char kAuthenticatedForm = 1;

base::SecretBytes half(const base::SecretBytes& key, size_t from) {
  REKEY_CHECK(key.size() == 2 * crypto::kSipHashKeyBytes);
  return base::SecretBytes::copy_of(key.reveal().substr(from, crypto::kSipHashKeyBytes));
}

std::unexpected<base::Error> bad_ledger(
    std::string why, std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kCorrupt, "the ledger of the store's rows is damaged",
                    std::move(why), where);
}

}  // namespace

Ledger::Ledger(const base::SecretBytes& key)
    : mark_hash_(half(key, 0)), date_hash_(half(key, crypto::kSipHashKeyBytes)) {}

RowMark Ledger::mark_of(const SipDigest& digest) const {
  const char* bytes = reinterpret_cast<const char*>(digest.data());
  return {.bucket = base::read_u16(bytes), .rest = base::read_u64(bytes + 2) & kRowRestMask};
}

RowDate Ledger::date_of(const SipDigest& digest, std::string_view value) const {
  SipDigest date;
  if (value.size() > kValueEndBytes && value[0] == kAuthenticatedForm) {
    char input[sizeof(SipDigest) + kValueEndBytes];
    std::memcpy(input, digest.data(), sizeof(SipDigest));
    std::memcpy(input + sizeof(SipDigest), value.end() - kValueEndBytes, kValueEndBytes);
    date = date_hash_({input, sizeof(input)});
  } else {
    std::string input(reinterpret_cast<const char*>(digest.data()), digest.size());
    date = date_hash_(input.append(value));
  }
  return RowDate{date[0]} << 16 | RowDate{date[1]} << 8 | date[2];
}

Result<void> Ledger::check(std::string_view key, std::optional<std::string_view> value,
                           storage::Revision snapshot) const {
  return check(look(key), value, snapshot);
}

Ledger::Look Ledger::look(std::string_view key) const {
  const SipDigest digest = mark_hash_(key);
  const Look look{.key = key, .digest = digest, .mark = mark_of(digest)};
  table_.prefetch_bucket(look.mark);
  return look;
}

Result<void> Ledger::check(const Look& look, std::optional<std::string_view> value,
                           storage::Revision snapshot) const {
  const auto& [key, digest, mark] = look;
  if (key.starts_with(kLedgerPrefix)) return {};  // the ring is authenticated as a whole, at load()
  table_.prefetch_entry(mark);
  const RowDate found = value ? date_of(digest, *value) : kAbsent;
  if (present(mark) == found) return {};
  Result<RowDate> right = state_at(mark, snapshot);
  if (!right) return base::forward(right);
  if (*right == found) return {};
  refused_.fetch_add(1, std::memory_order_relaxed);
  return base::fail(ErrorKind::kCorrupt, "stored data failed its integrity check",
                    "row " + std::string(key) + ": " +
                        (found == kAbsent    ? "was taken away"
                         : *right == kAbsent ? "was put there by somebody else"
                                             : "is not the value that was written last"));
}

const Ledger::Change* Ledger::Changes::find(const RowMark& mark) const {
  const auto at = std::ranges::lower_bound(rows, mark, {}, &Change::mark);
  return at != rows.end() && at->mark == mark ? &*at : nullptr;
}

// What the row was in a snapshot: what the first change after it says that it was before.
Result<RowDate> Ledger::state_at(const RowMark& mark, storage::Revision snapshot) const {
  const std::lock_guard lock(mutex_);
  if (snapshot < history_from_) {
    return base::fail(ErrorKind::kUnavailable, "the data was changed while it was read; try again");
  }
  auto later = std::ranges::partition_point(
      history_, [&](const Changes& changes) { return changes.after <= snapshot; });
  for (; later != history_.end(); ++later) {
    if (const Change* change = later->find(mark)) return change->before;
  }
  if (pending_) {
    // The table may be half way between the two.
    if (const Change* change = pending_->find(mark)) {
      return snapshot < pending_->after ? change->before : change->after;
    }
  }
  return present(mark);
}

LedgerStatus Ledger::status() const {
  return {.entries = table_.size(),
          .bytes = table_.bytes() + kLedgerBuckets * sizeof(void*),
          .refused = refused_.load(std::memory_order_relaxed),
          .missing = missing_.load(std::memory_order_relaxed)};
}

std::optional<uint64_t> Ledger::rows_expected() const {
  if (ring_due_) return std::nullopt;  // not written yet
  return table_.size() + ring_size(ring_bits_);
}

void Ledger::rows_counted(uint64_t expected, uint64_t counted) {
  missing_.store(static_cast<int64_t>(expected) - static_cast<int64_t>(counted),
                 std::memory_order_relaxed);
}

// --- from the store ---

// What is known when the rows of the ring have been read, in the order of their places: all parts
// are in the table, and the changes wait to be applied in the order of their numbers.
struct Ledger::Loading {
  struct Step {
    uint64_t number = 0;
    storage::Revision before = 0, after = 0;
    std::vector<LedgerEntry> puts;
    std::vector<RowMark> erasures;
  };
  std::vector<Step> steps;  // of each place
};

Result<void> Ledger::load(storage::Reader& reader, const Keyring& keyring, uint64_t rows) {
  auto names = reader.scan(kLedgerPrefix, "", 1);
  if (!names) return base::forward(names);
  if (names->empty()) return base::fail(ErrorKind::kNotFound, "the store has no ledger");
  Loading loading;
  for (uint64_t place = 0; place == 0 || place < ring_size(ring_bits_); place++) {
    const std::string key = ledger_row_key(place);
    auto item = reader.get(key);
    if (!item) return base::forward(item);
    if (!*item) return bad_ledger("row " + key + " is missing");
    auto plaintext = keyring.decrypt(key, (*item)->value);
    if (!plaintext) return bad_ledger(plaintext.error().detail());
    auto row = LedgerRow::parse(*plaintext);
    if (!row) return bad_ledger("row " + key + ": " + row.error().detail());
    if (place == 0) ring_bits_ = row->ring_bits;
    if (auto loaded = load_row(*row, place, loading); !loaded) return loaded;
  }
  if (auto applied = apply_loaded(loading, reader.revision()); !applied) return applied;
  history_from_ = revision_;
  rows_counted(*rows_expected(), rows);
  return {};
}

Result<void> Ledger::load_row(const LedgerRow& row, uint64_t place, Loading& loading) {
  if (row.ring_bits != ring_bits_ || (row.number & (ring_size(ring_bits_) - 1)) != place) {
    return bad_ledger("row " + ledger_row_key(place) + " is of another ring");
  }
  table_.fill(row.part);
  loading.steps.push_back({.number = row.number,
                           .before = row.before,
                           .after = row.after,
                           .puts = row.puts,
                           .erasures = row.erasures});
  return {};
}

Result<void> Ledger::apply_loaded(Loading& loading, storage::Revision newest) {
  std::vector<uint64_t> part_numbers;
  for (const Loading::Step& step : loading.steps) part_numbers.push_back(step.number);
  std::ranges::sort(loading.steps, {}, &Loading::Step::number);
  // A part is as of the row that it stands in: only what came after is still to be done.
  const auto is_due = [&](const RowMark& mark, uint64_t number) {
    return part_numbers[part_of(mark.bucket, ring_bits_)] < number;
  };
  const Loading::Step* last = nullptr;
  for (const Loading::Step& step : loading.steps) {
    if (last != nullptr && (step.number != last->number + 1 || step.before != last->after)) {
      return bad_ledger("its rows are of different times");
    }
    last = &step;
    for (const LedgerEntry& put : step.puts) {
      if (is_due(put.mark, step.number)) table_.put(put.mark, put.date);
    }
    for (const RowMark& mark : step.erasures) {
      if (is_due(mark, step.number)) table_.erase(mark);
    }
    table_.reclaim();
  }
  if (last->after != newest) {
    return bad_ledger("it is of revision " + std::to_string(last->after) + ", the store of " +
                      std::to_string(newest));
  }
  number_ = last->number;
  revision_ = newest;
  return {};
}

Result<void> Ledger::rebuild(storage::Reader& reader) {
  std::string after;
  for (bool more = true; more;) {
    auto keys = reader.scan("", after, kLedgerScanPage);
    if (!keys) return base::forward(keys);
    more = keys->size() == kLedgerScanPage;
    for (const std::string& key : *keys) {
      if (key.starts_with(kLedgerPrefix)) continue;
      auto item = reader.get(key);
      if (!item) continue;  // damaged: whoever reads it is told so
      if (!*item) continue;
      const SipDigest digest = mark_hash_(key);
      table_.put(mark_of(digest), date_of(digest, (*item)->value));
    }
    table_.reclaim();
    if (more) after = std::move(keys->back());
  }
  revision_ = reader.revision();
  history_from_ = revision_;
  ring_due_ = true;
  return {};
}

// --- with each group of commits ---

Ledger::Changes Ledger::changes_of(const storage::CommitWitness::Group& group) const {
  Changes changes{.before = group.before, .after = group.after, .rows = {}};
  for (const storage::Batch* batch : group.batches) {
    for (const storage::Put& put : batch->puts) {
      const SipDigest digest = mark_hash_(put.key);
      changes.rows.push_back({.mark = mark_of(digest), .after = date_of(digest, put.value)});
    }
    for (const std::string& key : batch->deletes) {
      changes.rows.push_back({.mark = mark_of(mark_hash_(key))});
    }
  }
  // The last one of each row counts. Until then `before` says which one that is.
  for (size_t i = 0; i < changes.rows.size(); i++) changes.rows[i].before = static_cast<RowDate>(i);
  std::ranges::sort(changes.rows, {},
                    [](const Change& change) { return std::pair(change.mark, change.before); });
  std::vector<Change> last;
  last.reserve(changes.rows.size());
  for (Change& change : changes.rows) {
    if (!last.empty() && last.back().mark == change.mark) last.pop_back();
    change.before = present(change.mark);
    last.push_back(change);
  }
  changes.rows = std::move(last);
  return changes;
}

// A row of the ring without the group's changes, but with the part as it is after them.
LedgerRow Ledger::make_row(uint64_t number, unsigned bits) const {
  LedgerRow row{.ring_bits = bits, .number = number};
  row.before = row.after = pending_->after;
  const uint64_t part = number & (ring_size(bits) - 1);
  const size_t from = first_bucket(part, bits), to = first_bucket(part + 1, bits);
  std::vector<LedgerEntry> old;
  table_.collect(from, to, old);
  auto change = std::ranges::lower_bound(
      pending_->rows, RowMark{.bucket = static_cast<uint16_t>(from)}, {}, &Change::mark);
  const auto ends = [&](const Change& made) { return made.mark.bucket >= to; };
  const auto add = [&](const Change& made) {
    if (made.after != kAbsent) row.part.push_back({.mark = made.mark, .date = made.after});
  };
  for (const LedgerEntry& entry : old) {
    for (; change != pending_->rows.end() && change->mark < entry.mark; ++change) add(*change);
    if (change == pending_->rows.end() || change->mark != entry.mark) row.part.push_back(entry);
  }
  for (; change != pending_->rows.end() && !ends(*change); ++change) add(*change);
  return row;
}

Result<std::vector<storage::Put>> Ledger::begin(const storage::CommitWitness::Group& group,
                                                const Keyring& keyring, base::Random& random) {
  if (group.before != revision_) {
    return base::fail(ErrorKind::kInternal, "the store was written without its ledger");
  }
  Changes changes = changes_of(group);
  const uint64_t changed = changes.rows.size();
  {
    const std::lock_guard lock(mutex_);
    pending_ = std::move(changes);
  }
  const uint64_t rows = table_.size() + changed;
  next_bits_ = ring_bits_;
  while (next_bits_ < kLedgerRingBitsMax && rows > ring_size(next_bits_) * kLedgerPartEntriesDue) {
    next_bits_++;
  }
  const uint64_t ring = ring_size(next_bits_);
  const uint64_t share = std::max(rows, kLedgerRowsPerRing);
  const bool all = ring_due_ || next_bits_ != ring_bits_;
  const uint64_t count =
      all ? ring : std::clamp<uint64_t>((changed * ring + share - 1) / share, 1, ring);
  next_number_ = number_ + count;
  std::vector<storage::Put> puts;
  for (uint64_t number = number_ + 1; number <= next_number_; number++) {
    LedgerRow row = make_row(number, next_bits_);
    if (number == number_ + 1) {
      row.before = group.before;
      for (const Change& change : pending_->rows) {
        if (change.after == kAbsent)
          row.erasures.push_back(change.mark);
        else
          row.puts.push_back({.mark = change.mark, .date = change.after});
      }
    }
    std::string key = ledger_row_key(number & (ring - 1));
    auto value = keyring.encrypt_ledger(key, row.dump(), random);
    if (!value) {
      end(false);
      return base::forward(value);
    }
    puts.push_back({.key = std::move(key), .value = std::move(*value)});
  }
  return puts;
}

void Ledger::end(bool committed) {
  if (committed) {
    // Without the lock: who finds a row between the two states sees it among the pending.
    size_t done = 0;
    for (const Change& change : pending_->rows) {
      if (change.after == kAbsent)
        table_.erase(change.mark);
      else
        table_.put(change.mark, change.after);
      if (++done % 256 == 0) table_.reclaim();
    }
    table_.reclaim();
    ring_bits_ = next_bits_;
    number_ = next_number_;
    revision_ = pending_->after;
    ring_due_ = false;
  }
  const std::lock_guard lock(mutex_);
  if (committed) {
    history_rows_ += pending_->rows.size() + 1;
    history_.push_back(std::move(*pending_));
    while (history_rows_ > kLedgerHistoryMax) {
      history_rows_ -= history_.front().rows.size() + 1;
      history_from_ = history_.front().after;
      history_.pop_front();
    }
  }
  pending_.reset();
}

}  // namespace rekey::barrier
