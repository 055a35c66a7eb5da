// rooms: base crypto audit
// A run of the audit index with any bytes: it is refused, or reads and merges without leaving its
// memory. The checks of a run stop most of it, so the same bytes are also a posting list in a run
// whose checks are right.
#include <cstdint>
#include <string>
#include <string_view>

#include "audit/index_run.h"
#include "base/check.h"

using rekey::audit::Run;
using rekey::audit::RunMerge;
using rekey::audit::RunWriter;
using rekey::base::Result;

namespace {

const std::string kLogId(16, 'L');

Result<void> nothing(std::string_view) { return {}; }
Result<void> no_term(std::string_view, std::string_view) { return {}; }

void read_and_merge(rekey::audit::IndexFolder& folder, const std::string& name) {
  const auto run = Run::open(folder, name, kLogId);
  if (!run) return;
  (void)(*run)->find(rekey::audit::path_key("secret/data/a"), nothing);
  (void)(*run)->find_all("", no_term);
  (void)(*run)->block_times();
  auto merge = RunMerge::start(folder, {*run}, kLogId);
  for (int steps = 0; merge && steps < 100; ++steps) {
    const auto done = (*merge)->step(1'000);
    if (!done || *done) break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // As a posting list.
  std::string_view list = bytes;
  rekey::audit::Posting posting;
  uint64_t last = 0;
  for (bool first = true; !list.empty(); first = false) {
    if (!rekey::audit::cut_posting(list, first, 100, posting)) break;
    REKEY_CHECK(posting.block < 100 && (first || posting.block > last));
    last = posting.block;
  }
  // As a file, then as a list in one.
  const auto folder = rekey::audit::make_memory_index_folder();
  const std::string name = rekey::audit::run_name(0, 2);
  auto output = folder->create(name);
  if (!(*output)->append(bytes) || !(*output)->commit(false)) return 0;
  read_and_merge(*folder, name);
  RunWriter writer(*folder->create(name), kLogId, 0);
  for (const char* path : {"secret/data/a", "secret/data/b"}) {
    if (!writer.add(rekey::audit::path_key(path), size % 3, bytes)) return 0;
  }
  if (writer.finish(std::vector<rekey::audit::BlockTimes>(2))) read_and_merge(*folder, name);
  return 0;
}
