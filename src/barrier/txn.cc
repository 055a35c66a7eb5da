#include "barrier/txn.h"

#include <algorithm>
#include <utility>

#include "barrier/ledger.h"
#include "base/check.h"

namespace rekey::barrier {
namespace {

constexpr size_t kPageNames = 1000;  // how much of a long listing is asked of the store at a time
constexpr size_t kPeekedBytesMax = 1'024;  // of a plaintext that is kept in case it is read again

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// The name directly under a prefix that `rest`, a key without it, appears as.
std::string_view child_of(std::string_view rest) {
  const size_t slash = rest.find('/');
  return slash == std::string_view::npos ? rest : rest.substr(0, slash + 1);
}

// The row as the reader has it. kCorrupt unless that is its present value, or absence, as the
// keyring's ledger has it. `before_check`, if any, is called with what was read.
template <class BeforeCheck>
base::Result<std::optional<storage::Item>> read_present(storage::Reader& reader,
                                                        const Keyring& keyring,
                                                        std::string_view key,
                                                        BeforeCheck before_check) {
  const Ledger* ledger = keyring.ledger().get();
  std::optional<Ledger::Look> look;
  if (ledger != nullptr) look = ledger->look(key);
  base::Result<std::optional<storage::Item>> item = reader.get(key);
  if (!item) return item;
  before_check(*item);
  if (ledger == nullptr) return item;
  std::optional<std::string_view> value;
  if (*item) value = (*item)->value;
  base::Result<void> present = ledger->check(*look, value, reader.revision());
  if (!present) return base::forward(present);
  return item;
}

}  // namespace

base::Result<storage::Revision> row_revision(storage::Reader& reader, const Keyring& keyring,
                                             std::string_view key) {
  const auto nothing = [](const std::optional<storage::Item>&) {};
  base::Result<std::optional<storage::Item>> item = read_present(reader, keyring, key, nothing);
  if (!item) return base::forward(item);
  return item->has_value() ? (*item)->revision : 0;
}

Txn::Txn(storage::Reader& reader, const Keyring& keyring, base::Random& random)
    : reader_(reader), keyring_(keyring), random_(random) {}

base::Result<std::optional<std::string>> Txn::get(std::string_view key) { return read(key, true); }

base::Result<std::optional<std::string>> Txn::peek(std::string_view key) {
  return read(key, false);
}

base::Result<std::optional<std::string>> Txn::read(std::string_view key, bool as_condition) {
  if (const auto write = writes_.find(key); write != writes_.end()) return write->second;
  if (as_condition && peeked_ && peeked_->key == key && peeked_->snapshot == reader_.revision()) {
    conditions_.try_emplace(std::string(key), peeked_->revision);
    return std::optional<std::string>(peeked_->plaintext);
  }
  const auto note_condition = [&](const std::optional<storage::Item>& item) {
    // The first revision counts. If the reader was moved on in between and the row has changed,
    // the commit has to fail, because an earlier decision rests on the old value.
    if (as_condition) conditions_.try_emplace(std::string(key), item ? item->revision : 0);
  };
  base::Result<std::optional<storage::Item>> item =
      read_present(reader_, keyring_, key, note_condition);
  if (!item) return base::forward(item);
  if (!item->has_value()) return std::nullopt;
  base::Result<std::string> plaintext = keyring_.decrypt(key, (*item)->value);
  if (!plaintext) return base::forward(plaintext);
  if (!as_condition && plaintext->size() <= kPeekedBytesMax) {
    peeked_ = Peeked{std::string(key), *plaintext, (*item)->revision, reader_.revision()};
  }
  return std::optional<std::string>(std::move(*plaintext));
}

base::Result<storage::Revision> Txn::hold(std::string_view key) {
  REKEY_CHECK(writes_.find(key) == writes_.end());
  base::Result<storage::Revision> revision = row_revision(reader_, keyring_, key);
  if (revision) conditions_.try_emplace(std::string(key), *revision);
  return revision;
}

base::Result<std::optional<storage::Revision>> Txn::revision(std::string_view key) {
  if (writes_.find(key) != writes_.end()) return std::nullopt;
  base::Result<storage::Revision> revision = row_revision(reader_, keyring_, key);
  if (!revision) return base::forward(revision);
  return *revision;
}

void Txn::put(std::string_view key, std::string plaintext) {
  writes_.insert_or_assign(std::string(key), std::move(plaintext));
}

void Txn::erase(std::string_view key) { writes_.insert_or_assign(std::string(key), std::nullopt); }

base::Result<bool> Txn::is_shown(std::string_view prefix, std::string_view name) {
  const std::string full = std::string(prefix) + std::string(name);
  if (!name.ends_with('/')) {
    const auto write = writes_.find(full);
    return write == writes_.end() || write->second.has_value();
  }
  const auto first = writes_.lower_bound(full);
  if (first == writes_.end() || !starts_with(first->first, full)) return true;  // nothing erased
  // A folder is there as long as one key under it is left.
  std::string after;
  while (true) {
    base::Result<std::vector<std::string>> keys = reader_.scan(full, after, kPageNames);
    if (!keys) return base::forward(keys);
    for (const std::string& key : *keys) {
      const auto write = writes_.find(key);
      if (write == writes_.end() || write->second.has_value()) return true;
    }
    if (keys->size() < kPageNames) return false;
    after = keys->back();
  }
}

std::vector<std::string> Txn::written_children(std::string_view prefix,
                                               std::string_view after) const {
  std::vector<std::string> names;
  for (auto write = writes_.lower_bound(prefix);
       write != writes_.end() && starts_with(write->first, prefix); ++write) {
    if (!write->second.has_value()) continue;
    const std::string_view name = child_of(std::string_view(write->first).substr(prefix.size()));
    if (name.empty() || name <= after) continue;
    // A name is the beginning of its keys, so names come in order and the keys of one together.
    if (names.empty() || names.back() != name) names.emplace_back(name);
  }
  return names;
}

base::Result<std::vector<std::string>> Txn::list(std::string_view prefix, std::string_view after,
                                                 size_t limit) {
  REKEY_CHECK(prefix.empty() || prefix.ends_with('/'));
  const size_t wanted = limit == 0 ? SIZE_MAX : limit;
  if (writes_.empty()) return reader_.list(prefix, after, wanted);
  std::vector<std::string> mine = written_children(prefix, after);
  std::vector<std::string> names;
  std::string from(after);
  size_t next_mine = 0;
  bool more = true;
  while (more && names.size() < wanted) {
    const size_t page = std::min(kPageNames, wanted - names.size());
    base::Result<std::vector<std::string>> stored = reader_.list(prefix, from, page);
    if (!stored) return base::forward(stored);
    more = stored->size() == page;
    for (std::string& name : *stored) {
      from = name;
      base::Result<bool> shown = is_shown(prefix, name);
      if (!shown) return base::forward(shown);
      while (next_mine < mine.size() && mine[next_mine] < name) {
        names.push_back(std::move(mine[next_mine++]));
      }
      if (next_mine < mine.size() && mine[next_mine] == name) next_mine++, *shown = true;
      if (*shown) names.push_back(std::move(name));
    }
  }
  if (!more) {
    while (next_mine < mine.size()) names.push_back(std::move(mine[next_mine++]));
  }
  if (names.size() > wanted) names.resize(wanted);
  return names;
}

base::Result<void> Txn::scan(std::string_view prefix, std::string_view after, const Visit& visit) {
  std::string from(after);
  bool more = true;
  while (more) {
    base::Result<std::vector<std::string>> stored = reader_.scan(prefix, from, kPageNames);
    if (!stored) return base::forward(stored);
    more = stored->size() == kPageNames;
    // Written keys up to the end of this page, or all that are left on the last one.
    std::vector<std::string> keys = std::move(*stored);
    const std::string end = keys.empty() ? std::string() : keys.back();
    for (auto write = writes_.upper_bound(std::max(from, std::string(prefix)));
         write != writes_.end() && starts_with(write->first, prefix); ++write) {
      if (more && write->first > end) break;
      keys.push_back(write->first);
    }
    if (from < prefix && writes_.contains(prefix)) keys.emplace_back(prefix);
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    for (const std::string& key : keys) {
      base::Result<std::optional<std::string>> value = read(key, false);
      if (!value) return base::forward(value);
      if (value->has_value() && !visit(key, **value)) return {};
    }
    from = end;
  }
  return {};
}

base::Result<storage::Batch> Txn::take_batch() {
  storage::Batch batch;
  for (const auto& [key, plaintext] : writes_) {
    if (!plaintext.has_value()) {
      batch.deletes.push_back(key);
      continue;
    }
    base::Result<std::string> value = keyring_.encrypt(key, *plaintext, random_);
    if (!value) return base::forward(value);
    batch.puts.push_back({.key = key, .value = std::move(*value)});
  }
  for (const auto& [key, revision] : conditions_) {
    batch.conditions.push_back({.key = key, .revision = revision});
  }
  writes_.clear();
  conditions_.clear();
  peeked_.reset();
  return batch;
}

}  // namespace rekey::barrier
