// c2sp.org/tlog-proof@v1: one entry's inclusion in a checkpoint, as a text that needs nothing else
// but the log's verifier key. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/merkle.h"
#include "audit/note.h"
#include "base/error.h"

namespace rekey::audit {

inline constexpr size_t kProofBytesMax = 256 * 1024;

struct TlogProof {
  std::string extra;  // we put the entry here; not authenticated by itself
  uint64_t index = 0;
  std::vector<Hash> path;
  std::string checkpoint;  // signed note

  std::string text() const;
  // kInvalid for anything else.
  static base::Result<TlogProof> parse(std::string_view text);
};

// What a proof says once it has been checked.
struct ProvenEntry {
  uint64_t index = 0;
  TreeHead head;
};

// Checks the signature of the checkpoint, its origin and the inclusion of `entry`. kCorrupt, saying
// which of them is wrong.
base::Result<ProvenEntry> verify_proof(const TlogProof& proof, std::string_view entry,
                                       const VerifierKey& key);

}  // namespace rekey::audit
