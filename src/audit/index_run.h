// Runs: the index's files (docs/formats/audit-index.md). Written once by RunWriter, from a builder
// or by RunMerge from neighbouring runs; read by Run.
//
// A Run may be read on any thread at once; writers and merges belong to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/index_builder.h"
#include "audit/index_folder.h"

namespace rekey::audit {

inline constexpr size_t kIndexPageBytes = 16 * 1024;               // of terms and lists in a page
inline constexpr size_t kIndexPageBytesMax = 64 << 20;             // with one long list
inline constexpr uint64_t kIndexUnsyncedBytesMax = 4 << 20;        // longer runs are synced
inline constexpr uint64_t kIndexRunBlocksMax = uint64_t{1} << 21;  // 537 million entries
inline constexpr size_t kIndexLogIdBytes = 16;

// "run-<first>-<end>"; nothing for any other name.
std::string run_name(uint64_t first_block, uint64_t end_block);
std::optional<std::pair<uint64_t, uint64_t>> parse_run_name(std::string_view name);

class RunWriter {
 public:
  RunWriter(std::unique_ptr<IndexOutput> output, std::string_view log_id, uint64_t first_block);
  // Terms in byte order. `last_block` is that of the list.
  base::Result<void> add(std::string_view key, uint64_t last_block, std::string_view list);
  base::Result<void> finish(std::span<const BlockTimes> times);
  uint64_t bytes() const { return output_->size() + page_.size(); }

 private:
  base::Result<void> end_page();

  std::unique_ptr<IndexOutput> output_;
  std::string log_id_;
  uint64_t first_block_;
  std::string page_;
  std::string page_first_;  // the page's first term
  std::string last_key_;
  std::string page_index_;
  uint64_t pages_ = 0;
  uint64_t terms_ = 0;
};

class Run final : public PostingSource {
 public:
  // kCorrupt for anything but a run of that name and log.
  static base::Result<std::shared_ptr<const Run>> open(const IndexFolder& folder,
                                                       const std::string& name,
                                                       std::string_view log_id);

  uint64_t first_block() const override { return first_block_; }
  uint64_t end_block() const override { return end_block_; }
  BlockTimes times() const override { return times_; }
  base::Result<std::vector<BlockTimes>> block_times() const override;
  base::Result<void> find(std::string_view key, const VisitList& visit) const override;
  base::Result<void> find_all(std::string_view prefix, const VisitTerm& visit) const override;

  // Reads all of it. kCorrupt if any page isn't what was written.
  base::Result<void> check() const;

  std::string name() const { return run_name(first_block_, end_block_); }
  uint64_t bytes() const { return file_->size(); }
  uint64_t terms() const { return terms_; }

 private:
  friend class RunCursor;
  struct Page {
    uint64_t offset = 0;
    uint64_t size = 0;
    std::string first;
  };
  Run() = default;
  base::Result<void> read_footer(std::string_view log_id);
  base::Result<void> read_page_index(uint64_t from, uint64_t to, std::string_view check);
  base::Result<std::string> read_page(size_t page) const;
  size_t page_of(std::string_view key) const;
  base::Result<void> visit_from(
      std::string_view key,
      const std::function<bool(std::string_view key, std::string_view list)>& visit) const;

  std::unique_ptr<IndexFile> file_;
  uint64_t first_block_ = 0, end_block_ = 0, terms_ = 0;
  uint64_t times_offset_ = 0;
  std::string times_check_;
  BlockTimes times_;
  std::vector<Page> pages_;
};

// The terms of a run in order.
class RunCursor {
 public:
  explicit RunCursor(std::shared_ptr<const Run> run) : run_(std::move(run)) {}
  // False at the end.
  base::Result<bool> next();
  std::string_view key() const { return key_; }
  uint64_t last_block() const { return last_block_; }
  std::string_view list() const { return list_; }
  const Run& run() const { return *run_; }

 private:
  std::shared_ptr<const Run> run_;
  size_t page_ = 0;
  std::string bytes_;
  std::string_view rest_;
  std::string key_;
  uint64_t last_block_ = 0;
  std::string_view list_;
};

// Makes one run of neighbours, a step at a time.
class RunMerge {
 public:
  // The runs follow each other without gaps.
  static base::Result<std::unique_ptr<RunMerge>> start(
      IndexFolder& folder, std::vector<std::shared_ptr<const Run>> inputs, std::string_view log_id);
  // Writes about so many bytes more; true when the run is there under its name.
  base::Result<bool> step(size_t bytes);
  const std::vector<std::shared_ptr<const Run>>& inputs() const { return inputs_; }
  std::string name() const;

 private:
  RunMerge(std::vector<std::shared_ptr<const Run>> inputs, std::unique_ptr<IndexOutput> output,
           std::string_view log_id);
  base::Result<bool> merge_term();

  std::vector<std::shared_ptr<const Run>> inputs_;
  std::vector<RunCursor> cursors_;
  std::vector<bool> live_;
  RunWriter writer_;
  std::string key_, list_;
};

}  // namespace rekey::audit
