#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "audit/disk.h"
#include "base/check.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr std::string_view kEntriesFolder = "log/tile/entries/";

class MemoryBlockFile final : public BlockFile {
 public:
  explicit MemoryBlockFile(std::shared_ptr<std::string> bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_->size(); }
  Result<void> write(uint64_t offset, std::span<const char> bytes) override {
    REKEY_CHECK(offset + bytes.size() <= bytes_->size());
    std::memcpy(bytes_->data() + offset, bytes.data(), bytes.size());
    return {};
  }
  Result<void> read(uint64_t offset, std::span<char> out) override {
    REKEY_CHECK(offset + out.size() <= bytes_->size());
    std::memcpy(out.data(), bytes_->data() + offset, out.size());
    return {};
  }

 private:
  std::shared_ptr<std::string> bytes_;
};

class MemoryDisk final : public Disk {
 public:
  explicit MemoryDisk(size_t entry_bytes_max) : entry_bytes_max_(entry_bytes_max) {}

  Result<std::unique_ptr<BlockFile>> create_blocks(const std::string& path,
                                                   uint64_t size) override {
    std::lock_guard lock(mutex_);
    auto bytes = std::make_shared<std::string>(size, '\0');
    blocks_[path] = bytes;
    return std::make_unique<MemoryBlockFile>(std::move(bytes));
  }

  Result<std::unique_ptr<BlockFile>> open_blocks(const std::string& path) override {
    std::lock_guard lock(mutex_);
    const auto found = blocks_.find(path);
    if (found == blocks_.end()) return fail(ErrorKind::kNotFound, "no such file", path);
    return std::make_unique<MemoryBlockFile>(found->second);
  }

  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    std::lock_guard lock(mutex_);
    const auto found = files_.find(path);
    if (found == files_.end()) return fail(ErrorKind::kNotFound, "no such file", path);
    if (found->second.size() > bytes_max) return fail(ErrorKind::kTooLarge, "too long", path);
    return found->second;
  }

  Result<void> write(const std::string& path, std::string_view bytes) override {
    std::lock_guard lock(mutex_);
    std::string& file = files_[path];
    if (path.starts_with(kEntriesFolder)) {
      if (file.empty()) entry_paths_.push_back(path);
      entry_bytes_ += bytes.size() - file.size();
    }
    file = bytes;
    while (entry_bytes_ > entry_bytes_max_ && entry_paths_.size() > 1) {
      remove_locked(entry_paths_.front());
      entry_paths_.pop_front();
    }
    return {};
  }

  Result<void> sync(std::span<const std::string>) override { return {}; }
  Result<void> replace(const std::string& path, std::string_view bytes) override {
    return write(path, bytes);
  }

  Result<void> remove(const std::string& path) override {
    std::lock_guard lock(mutex_);
    remove_locked(path);
    const std::string inside = path + "/";
    for (auto file = files_.lower_bound(inside);
         file != files_.end() && file->first.starts_with(inside);) {
      const std::string name = (file++)->first;
      remove_locked(name);
    }
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) const override {
    std::lock_guard lock(mutex_);
    const std::string inside = path.empty() ? "" : path + "/";
    std::vector<std::string> names;
    const auto add = [&](const std::string& full) {
      if (!full.starts_with(inside)) return;
      std::string name = full.substr(inside.size());
      name = name.substr(0, name.find('/'));
      if (names.empty() || names.back() != name) names.push_back(name);
    };
    for (const auto& [full, bytes] : files_) add(full);
    for (const auto& [full, bytes] : blocks_) add(full);
    return names;
  }

 private:
  void remove_locked(const std::string& path) {
    const auto found = files_.find(path);
    if (found == files_.end()) return;
    if (path.starts_with(kEntriesFolder)) entry_bytes_ -= found->second.size();
    files_.erase(found);
  }

  const size_t entry_bytes_max_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> files_;
  std::map<std::string, std::shared_ptr<std::string>> blocks_;
  std::deque<std::string> entry_paths_;  // oldest first; removed ones may linger
  size_t entry_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Disk> make_memory_disk(size_t entry_bytes_max) {
  return std::make_unique<MemoryDisk>(entry_bytes_max);
}

}  // namespace rekey::audit
