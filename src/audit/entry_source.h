// EntrySource: entries in order, from a running Log or from a log's folder. What the index reads
// and what a query shows.
//
// Knows nothing of what an entry means. LogSource: any thread. FolderSource: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "audit/disk.h"
#include "audit/log.h"
#include "audit/merkle.h"

namespace rekey::audit {

class EntrySource {
 public:
  using Visit = std::function<bool(uint64_t index, std::string_view entry)>;
  virtual ~EntrySource() = default;
  virtual std::string log_id() const = 0;  // empty: not known
  virtual uint64_t size() const = 0;
  // As Log::read. kNotFound if the bundle of `from` isn't there any more.
  virtual base::Result<uint64_t> read(uint64_t from, size_t limit, const Visit& visit) const = 0;
  // The leaf hashes of a bundle as the tree has them; fewer, or none, if they are not in it yet.
  virtual base::Result<std::vector<Hash>> leaves(uint64_t bundle) const = 0;
  base::Result<std::string> entry(uint64_t index) const;  // kNotFound beyond size()
};

class LogSource final : public EntrySource {
 public:
  explicit LogSource(const Log& log) : log_(log) {}
  std::string log_id() const override { return log_.id(); }
  uint64_t size() const override { return log_.readable_size(); }
  base::Result<uint64_t> read(uint64_t from, size_t limit, const Visit& visit) const override {
    return log_.read(from, limit, visit);
  }
  base::Result<std::vector<Hash>> leaves(uint64_t bundle) const override {
    return log_.leaf_hashes(bundle);
  }

 private:
  const Log& log_;
};

// A log's folder, or a copy of it, while nobody or another process writes it: the entries under the
// checkpoint and, where the write-ahead log is there too, those behind it, as they are now.
class FolderSource final : public EntrySource {
 public:
  // `archive`: where retention put older entries; may be empty.
  static base::Result<std::unique_ptr<FolderSource>> open(const std::string& directory,
                                                          const std::string& archive = {});

  std::string log_id() const override { return log_id_; }
  uint64_t size() const override { return tail_first_ + tail_.size(); }
  base::Result<uint64_t> read(uint64_t from, size_t limit, const Visit& visit) const override;
  base::Result<std::vector<Hash>> leaves(uint64_t bundle) const override;

  Disk& disk() const { return *disk_; }
  uint64_t signed_size() const { return signed_size_; }
  const std::string& checkpoint() const { return checkpoint_; }  // the signed note; may be empty

 private:
  explicit FolderSource(std::unique_ptr<Disk> disk) : disk_(std::move(disk)) {}
  base::Result<void> read_head();
  void read_tail();

  std::unique_ptr<Disk> disk_;
  std::unique_ptr<Disk> archive_;  // may be null
  std::string log_id_;
  std::string checkpoint_;
  uint64_t signed_size_ = 0;
  uint64_t tail_first_ = 0;
  std::vector<std::string> tail_;  // entries that may be in no bundle
};

}  // namespace rekey::audit
