// Clients: how many distinct ones made requests that were allowed, in each of some periods. Counted
// as Vault counts them: an entity is one client however many tokens it has; tokens without an
// entity are one client for each set of policies; root and wrapping tokens are none.
//
// The index has a term for each client (docs/formats/audit-index.md), so a count reads the lists of
// clients and only those entries whose block lies in two periods, or in no index yet. It is exact
// or it fails; but two clients whose names have one 64-bit hash are one. Blocks on the disk. Any
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry_scan.h"
#include "audit/entry_source.h"
#include "base/error.h"

namespace rekey::audit {

class IndexStore;

inline constexpr size_t kClientPeriodsMax = 64;       // in one count
inline constexpr size_t kClientsMax = 2'000'000;      // in one count; about 100 bytes each
inline constexpr uint64_t kClientBlocksMax = 16'384;  // bundles that one count reads

// The text of the entry's client term: 'e' (an entity) or 't' (tokens without one), 8 bytes of
// hash, the path by which the token was made. Empty if the entry counts for nobody.
std::string client_text(const ScannedEntry& entry);

struct Client {
  uint64_t periods = 0;  // bit i: in period i
  bool is_entity = false;
  uint32_t group = 0;  // as `group_of` says of the first token that was seen
};

struct ClientCount {
  std::vector<Client> clients;  // those with any period, in no order
  uint64_t blocks_read = 0;     // bundles
  uint64_t missing = 0;         // bundles of that time, or of one unknown, that were taken away
};

// `edges` rise, in nanoseconds since 1970; period i is from edges[i] on and before edges[i + 1].
// `group_of` puts the path by which a token was made into one of the caller's groups.
// Failure: kUnavailable if the index lacks more than kClientBlocksMax blocks (it is being made),
// kInvalid for too many periods or clients.
base::Result<ClientCount> count_clients(std::span<const int64_t> edges,
                                        const std::function<uint32_t(std::string_view)>& group_of,
                                        const EntrySource& source, IndexStore* index);

}  // namespace rekey::audit
