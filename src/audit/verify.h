// verify_log: an independent reading of a log's files, for an auditor or `rekey audit verify`. Uses
// none of the code that wrote them but the hash functions and the parsers of formats: hashes every
// entry, checks every tile against the tile above it, the top against the signed checkpoint, older
// checkpoints against the tree, and the write-ahead log's tail. Names the place of whatever is
// wrong.
//
// Needs no server and no secret. Blocks; uses threads of its own while it runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/disk.h"
#include "audit/merkle.h"
#include "audit/note.h"
#include "base/error.h"

namespace rekey::audit {

inline constexpr size_t kVerifyFindingsMax = 1'000;  // further ones are only counted

struct VerifyOptions {
  // The key that the auditor trusts. Without it the log's own file `key` is taken, which proves
  // nothing against someone who can write the whole folder; the report says so.
  std::optional<VerifierKey> key;
  // Checkpoints (signed notes) that someone kept: the tree must contain them.
  std::vector<std::string> kept_checkpoints;
  // Where the bundles that retention took out are; null: only their hashes are checked.
  const Disk* archive = nullptr;
  unsigned threads = 2;
};

struct VerifyFinding {
  std::string place;    // "entry 4711", "log/tile/0/x001/234", "log/checkpoint", "wal/0"
  std::string problem;  // one sentence
};

struct VerifyReport {
  std::string origin;
  std::string verifier_key;
  bool own_key = false;  // not given by the auditor
  uint64_t size = 0;     // entries under the checkpoint
  Hash root{};
  uint64_t entries_checked = 0;
  uint64_t entries_taken_out = 0;  // by retention, and in no archive: only their hashes are there
  uint64_t entry_bytes = 0;
  uint64_t entries_behind_checkpoint = 0;  // durable but not signed yet
  uint64_t kept_checkpoints_checked = 0;
  std::vector<VerifyFinding> findings;  // ordered by place
  uint64_t findings_left_out = 0;
  bool ok() const { return findings.empty(); }
};

// Fails only if the folder can't be read at all; everything else is in the report.
base::Result<VerifyReport> verify_log(Disk& disk, const VerifyOptions& options);

}  // namespace rekey::audit
