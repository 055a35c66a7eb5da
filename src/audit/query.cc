#include "audit/query.h"

#include <algorithm>
#include <bitset>
#include <map>

#include "audit/record.h"
#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr uint32_t kDeniedStatus = 403;
constexpr uint64_t kPartBlocksMax = 4'096;  // of a part without index, taken at once

// A block that may hold matches, and where in it; all of it if `places` has none.
struct Candidate {
  uint64_t block = 0;
  unsigned char count = 0;
  unsigned char places[kPostingPlacesMax];

  bool has(uint64_t place) const {
    if (count == 0) return true;
    return std::find(places, places + count, static_cast<unsigned char>(place)) != places + count;
  }
};
using Candidates = std::vector<Candidate>;

std::unexpected<base::Error> damaged_list() {
  return fail(ErrorKind::kCorrupt, "the audit index is damaged", "a posting list is wrong");
}

Result<void> read_list(const PostingSource& source, std::string_view list, Candidates& out) {
  Posting posting;
  posting.block = source.first_block();
  for (bool first = true; !list.empty(); first = false) {
    if (!cut_posting(list, first, source.end_block(), posting)) return damaged_list();
    Candidate& candidate = out.emplace_back();
    candidate.block = posting.block;
    candidate.count = static_cast<unsigned char>(posting.places.size());
    std::ranges::copy(posting.places, candidate.places);
  }
  return {};
}

// Both conditions hold in the same entry.
Candidates both(const Candidates& a, const Candidates& b) {
  Candidates out;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i].block != b[j].block) {
      a[i].block < b[j].block ? ++i : ++j;
      continue;
    }
    if (a[i].count == 0 || b[j].count == 0) {
      out.push_back(a[i].count == 0 ? b[j] : a[i]);
    } else {
      Candidate common;
      common.block = a[i].block;
      for (size_t k = 0; k < a[i].count; ++k) {
        if (b[j].has(a[i].places[k])) common.places[common.count++] = a[i].places[k];
      }
      if (common.count > 0) out.push_back(common);
    }
    ++i, ++j;
  }
  return out;
}

// The index's side of a query: terms that an entry must have, and path prefixes.
struct Terms {
  std::vector<std::string> keys;
  std::string path_prefix;  // a key's beginning; empty: none
};

Terms terms_of(const Query& query) {
  Terms terms;
  if (query.path_is_prefix && !query.path.empty()) {
    // The record may have cut a path, so a longer beginning can't be looked up.
    std::string kept = recorded_text(query.path);
    if (kept != query.path) kept.resize(kept.size() - std::min<size_t>(3, kept.size()));
    terms.path_prefix = path_key(kept);
  } else if (!query.path.empty()) {
    terms.keys.push_back(path_key(recorded_text(query.path)));
  }
  const auto add = [&](TermKind kind, const std::string& text) {
    if (!text.empty()) terms.keys.push_back(term_key(kind, term_hash(recorded_text(text))));
  };
  add(TermKind::kIdentity, query.identity);
  add(TermKind::kAccessor, query.accessor);
  add(TermKind::kAddress, query.address);
  if (!query.value.empty()) {
    terms.keys.push_back(term_key(TermKind::kValue, value_number(query.value)));
  }
  if (query.denied) terms.keys.push_back(term_key(TermKind::kStatus, kDeniedStatus));
  if (query.status != 0) terms.keys.push_back(term_key(TermKind::kStatus, query.status));
  return terms;
}

int64_t nanoseconds(base::WallTime time) { return time.time_since_epoch().count(); }

// Whether anything of [times] can be in the query's window.
bool overlaps(const Query& query, const BlockTimes& times) {
  if (query.from && times.last_ns < nanoseconds(*query.from)) return false;
  if (query.to && times.first_ns >= nanoseconds(*query.to)) return false;
  return times.first_ns <= times.last_ns;
}

bool inside(const Query& query, const BlockTimes& times) {
  return (!query.from || times.first_ns >= nanoseconds(*query.from)) &&
         (!query.to || times.last_ns < nanoseconds(*query.to));
}

Candidates all_blocks(uint64_t first, uint64_t end) {
  Candidates out(end - first);
  for (uint64_t i = 0; i < out.size(); ++i) out[i].block = first + i;
  return out;
}

// The blocks in which a path that begins so occurs. Without places: the lists may be very many.
Result<Candidates> prefix_blocks(const PostingSource& source, const std::string& prefix) {
  std::vector<bool> found(source.end_block() - source.first_block());
  Result<void> visited =
      source.find_all(prefix, [&](std::string_view, std::string_view list) -> Result<void> {
        Posting posting;
        posting.block = source.first_block();
        for (bool first = true; !list.empty(); first = false) {
          if (!cut_posting(list, first, source.end_block(), posting)) return damaged_list();
          found[posting.block - source.first_block()] = true;
        }
        return {};
      });
  if (!visited) return base::forward(visited);
  Candidates out;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i]) out.emplace_back().block = source.first_block() + i;
  }
  return out;
}

Result<Candidates> candidates_of(const Query& query, const Terms& terms,
                                 const PostingSource& source) {
  if (!overlaps(query, source.times())) return Candidates();
  std::optional<Candidates> found;
  const auto narrow = [&](Candidates with) {
    found = found ? both(*found, with) : std::move(with);
  };
  for (const std::string& key : terms.keys) {
    Candidates with;
    Result<void> read =
        source.find(key, [&](std::string_view list) { return read_list(source, list, with); });
    if (!read) return base::forward(read);
    narrow(std::move(with));
    if (found->empty()) return Candidates();
  }
  if (!terms.path_prefix.empty()) {
    Result<Candidates> with = prefix_blocks(source, terms.path_prefix);
    if (!with) return with;
    narrow(std::move(*with));
  }
  if (!found) found = all_blocks(source.first_block(), source.end_block());
  if (found->empty() || inside(query, source.times())) return std::move(*found);
  Result<std::vector<BlockTimes>> times = source.block_times();
  if (!times) return base::forward(times);
  std::erase_if(*found, [&](const Candidate& candidate) {
    return !overlaps(query, (*times)[candidate.block - source.first_block()]);
  });
  return std::move(*found);
}

// --- matching ---

bool same_text(const std::string& wanted, std::string_view recorded) {
  return wanted == recorded || (recorded.ends_with("...") && recorded_text(wanted) == recorded);
}

// A question about a value is itself a request with that value in it.
bool asks_for_values(std::string_view path) {
  return path.starts_with("sys/audit-log/") || path.starts_with("sys/audit-hash/");
}

// --- the search ---

// A stretch of blocks that is searched in one way: by a run, by what the index has in memory (then
// the candidates are known), or without an index.
struct Part {
  uint64_t first = 0, end = 0;
  std::shared_ptr<const Run> run;
  std::optional<Candidates> ready;
};

class Search {
 public:
  Search(const Query& query, const EntrySource& source, IndexStore* index)
      : query_(query), source_(source), index_(index), terms_(terms_of(query)) {}

  Result<QueryResult> run() {
    result_.size = source_.size();
    low_ = query_.oldest_first ? query_.cursor.value_or(0) : 0;
    high_ = query_.oldest_first ? result_.size
                                : std::min(query_.cursor.value_or(UINT64_MAX), result_.size);
    result_.next = query_.oldest_first ? low_ : high_;
    if (low_ >= high_) {
      result_.complete = true;
      return std::move(result_);
    }
    std::vector<Part> parts = split();
    if (!query_.oldest_first) std::ranges::reverse(parts);
    for (Part& part : parts) {
      Result<bool> more = search(part);
      if (!more) return base::forward(more);
      if (!*more) return std::move(result_);
      result_.next = query_.oldest_first ? std::min(part.end * kIndexBlockEntries, high_)
                                         : std::max(part.first * kIndexBlockEntries, low_);
    }
    result_.complete = true;
    return std::move(result_);
  }

 private:
  // Parts from low_ to high_, in order.
  std::vector<Part> split() {
    std::vector<Part> parts;
    if (index_ != nullptr) {
      result_.indexed = std::min(index_->status().indexed, result_.size);
      index_->with_parts([&](const IndexStore::Runs& runs, const IndexBuilder& memory) {
        for (const auto& run : runs) {
          parts.push_back({run->first_block(), run->end_block(), run, std::nullopt});
        }
        if (memory.first_block() == memory.end_block()) return;
        Result<Candidates> found = candidates_of(query_, terms_, memory);
        if (!found) return;  // then it is read without index
        parts.push_back({memory.first_block(), memory.end_block(), nullptr, std::move(*found)});
      });
    }
    std::ranges::sort(parts, {}, &Part::first);
    const uint64_t first = low_ / kIndexBlockEntries;
    const uint64_t end = (high_ + kIndexBlockEntries - 1) / kIndexBlockEntries;
    std::vector<Part> out;
    uint64_t at = first;
    for (Part& part : parts) {
      if (part.end <= at || part.first >= end) continue;
      add_gap(at, part.first, out);
      at = part.end;
      out.push_back(std::move(part));
    }
    add_gap(at, end, out);
    return out;
  }

  static void add_gap(uint64_t first, uint64_t end, std::vector<Part>& out) {
    for (; first < end; first += std::min(end - first, kPartBlocksMax)) {
      out.push_back({first, std::min(end, first + kPartBlocksMax), nullptr, std::nullopt});
    }
  }

  // False if the answer is full or the work of one call is done.
  Result<bool> search(Part& part) {
    Candidates found;
    if (part.ready) {
      found = std::move(*part.ready);
    } else if (part.run != nullptr) {
      Result<Candidates> from_run = candidates_of(query_, terms_, *part.run);
      if (from_run) {
        found = std::move(*from_run);
      } else if (from_run.error().kind() == ErrorKind::kCorrupt) {
        index_->report_damaged(*part.run);
        found = all_blocks(part.first, part.end);
      } else {
        return base::forward(from_run);
      }
    } else {
      found = all_blocks(part.first, part.end);
    }
    const uint64_t low = low_ / kIndexBlockEntries;
    std::erase_if(found, [&](const Candidate& candidate) {
      return candidate.block < low || candidate.block * kIndexBlockEntries >= high_;
    });
    if (!query_.oldest_first) std::ranges::reverse(found);
    for (const Candidate& candidate : found) {
      const uint64_t begin = candidate.block * kIndexBlockEntries;
      if (result_.blocks_read >= query_.blocks_max) {
        result_.next = query_.oldest_first ? std::max(begin, low_)
                                           : std::min(begin + kIndexBlockEntries, high_);
        return false;
      }
      Result<bool> more = read_block(candidate);
      if (!more || !*more) return more;
    }
    return true;
  }

  Result<bool> read_block(const Candidate& candidate) {
    ++result_.blocks_read;
    const uint64_t begin = candidate.block * kIndexBlockEntries;
    const uint64_t from = std::max(begin, low_);
    const uint64_t end = std::min(begin + kIndexBlockEntries, high_);
    std::vector<QueryMatch> found;
    Result<uint64_t> next =
        source_.read(from, end - from, [&](uint64_t index, std::string_view entry) {
          if (!candidate.has(index - begin)) return true;
          if (scanner_.scan(entry) && matches(query_, scanner_.found())) {
            found.push_back({index, std::string(entry)});
          }
          return true;
        });
    if (!next) {
      if (next.error().kind() == ErrorKind::kNotFound) {
        ++result_.missing;
        return true;
      }
      if (next.error().kind() != ErrorKind::kCorrupt) return base::forward(next);
      problem("entries from " + std::to_string(begin) +
              " on can't be read: " + next.error().detail());
      return true;
    }
    if (!found.empty()) check(candidate.block, found);
    if (!query_.oldest_first) std::ranges::reverse(found);
    for (QueryMatch& match : found) {
      result_.next = query_.oldest_first ? match.index + 1 : match.index;
      bytes_ += match.entry.size();
      result_.matches.push_back(std::move(match));
      if (result_.matches.size() >= query_.limit || bytes_ >= kQueryBytesMax) {
        // The last entry that there is was the last match?
        result_.complete = query_.oldest_first ? result_.next >= high_ : result_.next <= low_;
        return false;
      }
    }
    return true;
  }

  // What is given out must be what the tree has, as far as it has the entries yet.
  void check(uint64_t block, const std::vector<QueryMatch>& found) {
    const uint64_t begin = block * kIndexBlockEntries;
    Result<std::vector<Hash>> leaves = source_.leaves(block);
    if (!leaves) {
      return problem("entries from " + std::to_string(begin) +
                     " on can't be compared with the tree: " + leaves.error().detail());
    }
    for (const QueryMatch& match : found) {
      const uint64_t place = match.index - begin;
      if (place < leaves->size() && leaf_hash(match.entry) != (*leaves)[place]) {
        problem("entry " + std::to_string(match.index) + " isn't what the tree says");
      }
    }
  }

  void problem(std::string text) {
    if (result_.problems.size() < kQueryProblemsMax) result_.problems.push_back(std::move(text));
  }

  const Query& query_;
  const EntrySource& source_;
  IndexStore* index_;
  const Terms terms_;
  EntryScanner scanner_;
  QueryResult result_;
  uint64_t low_ = 0, high_ = 0;  // entries looked at
  size_t bytes_ = 0;
};

}  // namespace

bool matches(const Query& query, const ScannedEntry& entry) {
  if (query.from && entry.time_ns < nanoseconds(*query.from)) return false;
  if (query.to && entry.time_ns >= nanoseconds(*query.to)) return false;
  if (query.status != 0 && entry.status != query.status) return false;
  if (query.denied && entry.status != kDeniedStatus) return false;
  if (!query.operation.empty() && query.operation != entry.operation) return false;
  if (query.path_is_prefix) {
    if (!entry.path.starts_with(query.path)) return false;
  } else if (!query.path.empty() && !same_text(query.path, entry.path)) {
    return false;
  }
  const auto either = [](const std::string& wanted, std::string_view a, std::string_view b) {
    return wanted.empty() || same_text(wanted, a) || same_text(wanted, b);
  };
  if (!either(query.identity, entry.entity_id, entry.display_name)) return false;
  if (!either(query.accessor, entry.accessor, entry.response_accessor)) return false;
  if (!either(query.address, entry.address, entry.forwarded)) return false;
  if (query.value.empty()) return true;
  return !asks_for_values(entry.path) &&
         std::ranges::find(entry.values, query.value) != entry.values.end();
}

Result<QueryResult> run_query(const Query& query, const EntrySource& source, IndexStore* index) {
  if (query.limit == 0) return fail(ErrorKind::kInvalid, "limit must be at least 1");
  if (query.from && query.to && *query.from >= *query.to) {
    return fail(ErrorKind::kInvalid, "from must be before to");
  }
  for (const std::string* text : {&query.path, &query.identity, &query.accessor, &query.address}) {
    if (text->size() > kQueryTextBytesMax)
      return fail(ErrorKind::kInvalid, "a condition is too long");
  }
  return Search(query, source, index).run();
}

Result<base::WallTime> parse_query_time(std::string_view text, base::WallTime now) {
  constexpr size_t kDateBytes = 10;
  if (text == "now") return now;
  if (text.starts_with('-')) {
    Result<base::Duration> before = base::parse_duration(text.substr(1));
    if (before && *before >= base::Duration::zero()) return now - *before;
  } else {
    const std::string day = std::string(text) + "T00:00:00Z";
    Result<base::WallTime> time =
        base::parse_rfc3339(text.size() == kDateBytes ? std::string_view(day) : text);
    if (time) return time;
  }
  return fail(ErrorKind::kInvalid, "not a time: \"" + std::string(text.substr(0, 64)) +
                                       "\"; write 2026-11-24T09:00:00Z, 2026-11-24, -90m or now");
}

void set_path(Query& query, std::string_view pattern) {
  query.path_is_prefix = pattern.ends_with('*');
  if (query.path_is_prefix) pattern.remove_suffix(1);
  query.path = pattern;
}

Result<void> set_value_hash(Query& query, std::string_view hash) {
  if (hash.starts_with(kValueHashPrefix)) hash.remove_prefix(kValueHashPrefix.size());
  Result<std::string> bytes = base::hex_decode(hash);
  if (!bytes || hash.size() != kValueHexDigits) {
    return fail(ErrorKind::kInvalid, "a value's hash is hmac-sha256: and 64 hex digits");
  }
  query.value = base::hex_encode(*bytes);
  return {};
}

}  // namespace rekey::audit
