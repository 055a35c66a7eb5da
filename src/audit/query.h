// Questions to the record: who did what, from where, between two times. run_query finds the entries
// by the index where there is one, reads the log where there is none, and looks at every entry
// itself before it gives it out: the index can make an answer slow, never wrong.
//
// Knows no secret: a value is asked for by its keyed hash. Blocks on the disk. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry_scan.h"
#include "audit/entry_source.h"
#include "audit/index_store.h"
#include "base/clock.h"

namespace rekey::audit {

inline constexpr size_t kQueryLimitDefault = 100;     // entries in one answer
inline constexpr size_t kQueryLimitMax = 1'000;       // entries in one answer
inline constexpr size_t kQueryBytesMax = 8 << 20;     // of entries in one answer
inline constexpr uint64_t kQueryBlocksMax = 1'024;    // bundles that one call reads
inline constexpr size_t kQueryProblemsMax = 20;       // told in one answer
inline constexpr size_t kQueryTextBytesMax = 16'384;  // of a path, an identity ...

// Conditions are all to be met; an empty one is none.
struct Query {
  std::optional<base::WallTime> from, to;  // when the request came in: from <= t < to
  std::string path;                        // as in the record: "secret/data/a"
  bool path_is_prefix = false;
  std::string identity;   // entity id or display name
  std::string accessor;   // of the token that asked, or that was given out
  std::string address;    // of the peer or forwarded
  std::string value;      // the 64 hex digits of a keyed hash: in request, answer or token
  std::string operation;  // read, list, create, update, patch, delete
  uint32_t status = 0;
  bool denied = false;  // refused for want of permission: status 403

  bool oldest_first = false;
  size_t limit = kQueryLimitDefault;
  // Where an answer before left off (its `next`). Newest first: entries below it; oldest first:
  // entries from it on.
  std::optional<uint64_t> cursor;
  uint64_t blocks_max = kQueryBlocksMax;
};

struct QueryMatch {
  uint64_t index = 0;
  std::string entry;
};

struct QueryResult {
  std::vector<QueryMatch> matches;
  // Everything has been looked at. Otherwise ask again with cursor = next, even where there is no
  // match: one call reads a bounded part.
  bool complete = false;
  uint64_t next = 0;
  uint64_t size = 0;                  // entries in the log when it was asked
  uint64_t indexed = 0;               // of them by the index
  uint64_t blocks_read = 0;           // bundles
  uint64_t missing = 0;               // bundles that would have been read but were taken away
  std::vector<std::string> problems;  // "entry 4711 isn't what the tree says"
};

// `index` may be null. Fails with kInvalid for conditions that make no sense; what is wrong with
// single entries is in the result.
base::Result<QueryResult> run_query(const Query& query, const EntrySource& source,
                                    IndexStore* index);

// Whether the entry meets the query's conditions.
bool matches(const Query& query, const ScannedEntry& entry);

// "2026-11-24T09:00:00Z" and the other forms of RFC 3339, "2026-11-24" (its beginning in UTC),
// "-90m" (before now), "now". kInvalid says so.
base::Result<base::WallTime> parse_query_time(std::string_view text, base::WallTime now);
// "secret/data/a" or, with a star at its end, all paths that begin so.
void set_path(Query& query, std::string_view pattern);
// "hmac-sha256:..." or the hex digits alone. kInvalid for anything else.
base::Result<void> set_value_hash(Query& query, std::string_view hash);

}  // namespace rekey::audit
