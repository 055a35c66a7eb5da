#include "audit/clients.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "audit/index_builder.h"
#include "audit/index_store.h"
#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr uint32_t kDeniedStatus = 403;
constexpr char kEntity = 'e', kToken = 't';
constexpr size_t kClientHashBytes = 8;
constexpr size_t kOutside = SIZE_MAX;  // of all periods

// A stretch of blocks: a run's, or without an index.
struct Stretch {
  uint64_t first = 0, end = 0;
  std::shared_ptr<const Run> run;  // null: read the entries
};

class Counting {
 public:
  Counting(std::span<const int64_t> edges,
           const std::function<uint32_t(std::string_view)>& group_of, const EntrySource& source,
           IndexStore* index)
      : edges_(edges), group_of_(group_of), source_(source), index_(index) {}

  Result<ClientCount> run() {
    Result<std::vector<Stretch>> stretches = split();
    if (!stretches) return base::forward(stretches);
    for (const Stretch& stretch : *stretches) {
      Result<void> done;
      if (stretch.run != nullptr) {
        done = add_terms(*stretch.run);
        if (!done && done.error().kind() == ErrorKind::kCorrupt) {
          index_->report_damaged(*stretch.run);  // it is made anew; until then the entries count
          done = read_blocks(stretch.first, stretch.end);
        }
      } else {
        done = read_blocks(stretch.first, stretch.end);
      }
      if (!done) return base::forward(done);
    }
    for (const uint64_t block : mixed_) {
      if (Result<void> done = read_block(block); !done) return base::forward(done);
    }
    // Retention takes the oldest first: if what is left begins before the time that is asked about,
    // nothing of that time was taken.
    if (oldest_ns_ > edges_.front()) result_.missing += empty_blocks_;
    result_.clients.reserve(clients_.size());
    for (const auto& [key, seen] : clients_) {
      if (seen.client.periods != 0) result_.clients.push_back(seen.client);
    }
    return std::move(result_);
  }

 private:
  struct Seen {
    Client client;
    uint64_t first_block = UINT64_MAX;
  };

  // What covers all entries, in order; what is in the index's memory is counted at once, because it
  // may be gone afterwards.
  Result<std::vector<Stretch>> split() {
    std::vector<Stretch> parts, out;
    Result<void> done;
    if (index_ != nullptr) {
      index_->with_parts([&](const IndexStore::Runs& runs, const IndexBuilder& memory) {
        for (const auto& run : runs) parts.push_back({run->first_block(), run->end_block(), run});
        if (memory.first_block() == memory.end_block()) return;
        done = add_terms(memory);
        if (done) parts.push_back({memory.first_block(), memory.end_block(), nullptr});
        counted_ = {memory.first_block(), memory.end_block()};
      });
    }
    if (!done) return base::forward(done);
    size_ = source_.size();  // after the index was seen: at least what that holds
    std::ranges::sort(parts, {}, &Stretch::first);
    const uint64_t end = (size_ + kIndexBlockEntries - 1) / kIndexBlockEntries;
    uint64_t at = 0;
    for (Stretch& part : parts) {
      if (part.end <= at) continue;
      if (part.first > at) out.push_back({at, part.first, nullptr});
      at = part.end;
      const bool counted = part.run == nullptr && part.first == counted_.first;
      if (!counted) out.push_back(std::move(part));
    }
    if (at < end) out.push_back({at, end, nullptr});
    return out;
  }

  size_t period_of(int64_t time_ns) const {
    const auto behind = std::ranges::upper_bound(edges_, time_ns);
    if (behind == edges_.begin() || behind == edges_.end()) return kOutside;
    return static_cast<size_t>(behind - edges_.begin()) - 1;
  }

  Result<void> add_terms(const PostingSource& source) {
    oldest_ns_ = std::min(oldest_ns_, source.times().first_ns);
    if (source.times().first_ns > source.times().last_ns) {
      empty_blocks_ += source.end_block() - source.first_block();
      return {};
    }
    if (source.times().last_ns < edges_.front() || source.times().first_ns >= edges_.back()) {
      return {};
    }
    Result<std::vector<BlockTimes>> times = source.block_times();
    if (!times) return base::forward(times);
    constexpr size_t kMixed = kOutside - 1;
    std::vector<size_t> periods(times->size(), kOutside);
    std::vector<uint64_t> mixed;
    for (size_t i = 0; i < times->size(); ++i) {
      const auto& [first_ns, last_ns] = (*times)[i];
      if (first_ns > last_ns) ++empty_blocks_;
      if (first_ns > last_ns || last_ns < edges_.front() || first_ns >= edges_.back()) continue;
      periods[i] = period_of(first_ns);
      if (periods[i] != kOutside && last_ns < edges_[periods[i] + 1]) continue;
      periods[i] = kMixed;
      mixed.push_back(source.first_block() + i);
    }
    const std::string prefix(1, static_cast<char>(TermKind::kClient));
    Result<void> visited =
        source.find_all(prefix, [&](std::string_view key, std::string_view list) -> Result<void> {
          Posting posting;
          posting.block = source.first_block();
          uint64_t mask = 0, first_block = 0;
          for (bool first = true; !list.empty(); first = false) {
            if (!cut_posting(list, first, source.end_block(), posting)) return damaged();
            const size_t period = periods[posting.block - source.first_block()];
            if (period >= kMixed) continue;
            if (mask == 0) first_block = posting.block;
            mask |= uint64_t{1} << period;
          }
          return mask == 0 ? Result<void>() : add(key.substr(1), mask, first_block);
        });
    if (visited) mixed_.insert(mixed_.end(), mixed.begin(), mixed.end());
    return visited;
  }

  static std::unexpected<base::Error> damaged() {
    return fail(ErrorKind::kCorrupt, "the audit index is damaged", "a client's term is wrong");
  }

  // `text` as client_text makes it.
  Result<void> add(std::string_view text, uint64_t periods, uint64_t block) {
    if (text.size() < 1 + kClientHashBytes) return damaged();
    const auto [at, made] = clients_.try_emplace(std::string(text.substr(0, 1 + kClientHashBytes)));
    if (made && clients_.size() > kClientsMax) {
      return fail(ErrorKind::kInvalid,
                  "more than " + std::to_string(kClientsMax) + " clients: ask for less time");
    }
    Seen& seen = at->second;
    seen.client.periods |= periods;
    seen.client.is_entity = text[0] == kEntity;
    if (block < seen.first_block) {
      seen.first_block = block;
      seen.client.group = group_of_(text.substr(1 + kClientHashBytes));
    }
    return {};
  }

  Result<void> read_blocks(uint64_t first, uint64_t end) {
    for (uint64_t block = first; block < end; ++block) {
      if (Result<void> done = read_block(block); !done) return done;
    }
    return {};
  }

  Result<void> read_block(uint64_t block) {
    if (++result_.blocks_read > kClientBlocksMax) {
      return fail(ErrorKind::kUnavailable,
                  "the record's index is being made; clients can be counted when it is there");
    }
    const uint64_t begin = block * kIndexBlockEntries;
    const uint64_t end = std::min(begin + kIndexBlockEntries, size_);
    Result<void> added;
    Result<uint64_t> next = source_.read(begin, end - begin, [&](uint64_t, std::string_view entry) {
      if (!scanner_.scan(entry)) return true;
      const size_t period = period_of(scanner_.found().time_ns);
      if (period == kOutside) return true;
      const std::string text = client_text(scanner_.found());
      if (!text.empty()) added = add(text, uint64_t{1} << period, block);
      return added.has_value();
    });
    if (!next && next.error().kind() == ErrorKind::kNotFound) {
      ++result_.missing;
      return {};
    }
    return next ? added : base::forward(next);
  }

  const std::span<const int64_t> edges_;
  const std::function<uint32_t(std::string_view)>& group_of_;
  const EntrySource& source_;
  IndexStore* index_;
  EntryScanner scanner_;
  uint64_t size_ = 0;  // of the record
  ClientCount result_;
  uint64_t empty_blocks_ = 0;      // taken away before the index saw them
  int64_t oldest_ns_ = INT64_MAX;  // of what the index saw
  std::unordered_map<std::string, Seen> clients_;
  std::vector<uint64_t> mixed_;  // blocks that lie in more than one period
  std::pair<uint64_t, uint64_t> counted_{UINT64_MAX, UINT64_MAX};  // in the index's memory
};

}  // namespace

std::string client_text(const ScannedEntry& entry) {
  if (entry.type != "request" || entry.token_type.empty() || entry.status == kDeniedStatus) {
    return {};
  }
  const bool is_entity = !entry.entity_id.empty();
  if (!is_entity &&
      (entry.policies == R"(["root"])" || entry.policies == R"(["response-wrapping"])")) {
    return {};
  }
  std::string text(1, is_entity ? kEntity : kToken);
  base::append_u64(text, term_hash(is_entity ? entry.entity_id : entry.policies));
  text += entry.auth_mount;
  return text;
}

Result<ClientCount> count_clients(std::span<const int64_t> edges,
                                  const std::function<uint32_t(std::string_view)>& group_of,
                                  const EntrySource& source, IndexStore* index) {
  if (edges.size() < 2 || edges.size() > kClientPeriodsMax + 1) {
    return fail(ErrorKind::kInvalid, "1 to " + std::to_string(kClientPeriodsMax) + " periods");
  }
  return Counting(edges, group_of, source, index).run();
}

}  // namespace rekey::audit
