#include "audit/testing/fault_disk.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr size_t kSectorBytes = 512;  // written whole or not at all

std::unexpected<base::Error> io_error(const std::string& path) {
  return fail(ErrorKind::kUnavailable, "the audit log's disk failed", "injected fault: " + path);
}

}  // namespace

class FaultBlockFile final : public BlockFile {
 public:
  FaultBlockFile(std::shared_ptr<FaultDisk> disk, uint64_t life, std::string path, uint64_t size)
      : disk_(std::move(disk)), life_(life), path_(std::move(path)), size_(size) {}
  uint64_t size() const override { return size_; }

  Result<void> write(uint64_t offset, std::span<const char> bytes) override {
    std::lock_guard lock(disk_->mutex_);
    const FaultDisk::Outcome outcome = disk_->next_operation(life_);
    if (!disk_->alive(life_) && outcome != FaultDisk::Outcome::kDies) return io_error(path_);
    FaultDisk::File& file = disk_->files_[path_];
    std::string after(bytes.data(), bytes.size());
    if (outcome != FaultDisk::Outcome::kWorks) {
      after = disk_->torn(file.now.substr(offset, bytes.size()), after);
    }
    file.now.replace(offset, after.size(), after);
    // Whatever of it is written is durable. In place: a segment is long and written often.
    file.durable->replace(offset, after.size(), after);
    if (outcome != FaultDisk::Outcome::kWorks) return io_error(path_);
    return {};
  }

  Result<void> read(uint64_t offset, std::span<char> out) override {
    std::lock_guard lock(disk_->mutex_);
    if (!disk_->alive(life_)) return io_error(path_);
    std::memcpy(out.data(), disk_->files_[path_].now.data() + offset, out.size());
    return {};
  }

 private:
  std::shared_ptr<FaultDisk> disk_;
  uint64_t life_;
  std::string path_;
  uint64_t size_;
};

class FaultDiskHandle final : public Disk {
 public:
  FaultDiskHandle(std::shared_ptr<FaultDisk> disk, uint64_t life)
      : disk_(std::move(disk)), life_(life) {}

  Result<std::unique_ptr<BlockFile>> create_blocks(const std::string& path,
                                                   uint64_t size) override {
    std::unique_lock lock(disk_->mutex_);
    if (disk_->next_operation(life_) != FaultDisk::Outcome::kWorks) return io_error(path);
    disk_->files_[path].now.assign(size, '\0');
    disk_->files_[path].durable = disk_->files_[path].now;
    lock.unlock();
    return open_blocks(path);
  }

  Result<std::unique_ptr<BlockFile>> open_blocks(const std::string& path) override {
    std::lock_guard lock(disk_->mutex_);
    if (!disk_->alive(life_)) return io_error(path);
    const auto found = disk_->files_.find(path);
    if (found == disk_->files_.end()) return fail(ErrorKind::kNotFound, "no such file", path);
    return std::make_unique<FaultBlockFile>(disk_, life_, path, found->second.now.size());
  }

  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    std::lock_guard lock(disk_->mutex_);
    if (!disk_->alive(life_)) return io_error(path);
    const auto found = disk_->files_.find(path);
    if (found == disk_->files_.end()) return fail(ErrorKind::kNotFound, "no such file", path);
    if (found->second.now.size() > bytes_max) return fail(ErrorKind::kTooLarge, "too long", path);
    return found->second.now;
  }

  Result<void> write(const std::string& path, std::string_view bytes) override {
    std::lock_guard lock(disk_->mutex_);
    const std::string& refused = disk_->refused_prefix_;
    if (!refused.empty() && path.starts_with(refused)) return io_error(path);
    const FaultDisk::Outcome outcome = disk_->next_operation(life_);
    if (outcome == FaultDisk::Outcome::kWorks) {
      disk_->files_[path].now = bytes;
      return {};
    }
    if (disk_->life_ != life_) return io_error(path);
    // The beginning is written; of a longer file the rest is as it was.
    const size_t written = disk_->random_.number() % (bytes.size() + 1);
    std::string& now = disk_->files_[path].now;
    now.replace(0, std::min(written, now.size()), bytes.substr(0, written));
    return io_error(path);
  }

  Result<void> sync(std::span<const std::string> paths) override {
    std::lock_guard lock(disk_->mutex_);
    const FaultDisk::Outcome outcome = disk_->next_operation(life_);
    if (disk_->life_ != life_) return io_error("sync");
    for (const std::string& path : paths) {
      if (outcome != FaultDisk::Outcome::kWorks && disk_->random_.number() % 2 == 0) continue;
      const auto found = disk_->files_.find(path);
      if (found == disk_->files_.end()) return fail(ErrorKind::kNotFound, "no such file", path);
      found->second.durable = found->second.now;
    }
    if (outcome != FaultDisk::Outcome::kWorks) return io_error("sync");
    return {};
  }

  Result<void> replace(const std::string& path, std::string_view bytes) override {
    std::lock_guard lock(disk_->mutex_);
    const FaultDisk::Outcome outcome = disk_->next_operation(life_);
    if (disk_->life_ != life_) return io_error(path);
    // Atomic: a failure leaves the old or the new one.
    if (outcome == FaultDisk::Outcome::kWorks || disk_->random_.number() % 2 == 0) {
      disk_->files_[path].now = bytes;
      disk_->files_[path].durable = bytes;
    }
    if (outcome != FaultDisk::Outcome::kWorks) return io_error(path);
    return {};
  }

  Result<void> remove(const std::string& path) override {
    std::lock_guard lock(disk_->mutex_);
    if (disk_->next_operation(life_) != FaultDisk::Outcome::kWorks) return io_error(path);
    std::erase_if(disk_->files_, [&](const auto& file) {
      return file.first == path || file.first.starts_with(path + "/");
    });
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) const override {
    std::lock_guard lock(disk_->mutex_);
    if (!disk_->alive(life_)) return io_error(path);
    const std::string inside = path.empty() ? "" : path + "/";
    std::vector<std::string> names;
    for (const auto& [full, file] : disk_->files_) {
      if (!full.starts_with(inside)) continue;
      std::string name = full.substr(inside.size());
      name = name.substr(0, name.find('/'));
      if (names.empty() || names.back() != name) names.push_back(name);
    }
    return names;
  }

 private:
  std::shared_ptr<FaultDisk> disk_;
  uint64_t life_;
};

std::unique_ptr<Disk> FaultDisk::handle() {
  std::lock_guard lock(mutex_);
  return std::make_unique<FaultDiskHandle>(shared_from_this(), life_);
}

void FaultDisk::die_at(uint64_t operation) {
  std::lock_guard lock(mutex_);
  die_at_ = operation;
  operations_ = 0;
}

void FaultDisk::fail_between(uint64_t from, uint64_t to) {
  std::lock_guard lock(mutex_);
  fail_from_ = from, fail_to_ = to;
  operations_ = 0;
}

void FaultDisk::refuse_paths_with(std::string prefix) {
  std::lock_guard lock(mutex_);
  refused_prefix_ = std::move(prefix);
}

bool FaultDisk::dead() const {
  std::lock_guard lock(mutex_);
  return dead_;
}

uint64_t FaultDisk::operations() const {
  std::lock_guard lock(mutex_);
  return operations_;
}

FaultDisk::Outcome FaultDisk::next_operation(uint64_t life) {
  if (!alive(life)) return Outcome::kFails;
  ++operations_;
  if (die_at_ != 0 && operations_ == die_at_) {
    dead_ = true;
    return Outcome::kDies;
  }
  return operations_ >= fail_from_ && operations_ <= fail_to_ && fail_from_ != 0 ? Outcome::kFails
                                                                                 : Outcome::kWorks;
}

// Each sector is the old or the new one; those behind the old end may be zeros.
std::string FaultDisk::torn(const std::string& before, std::string_view after) {
  std::string out = before;
  if (out.size() < after.size()) out.resize(after.size());
  for (size_t at = 0; at < after.size(); at += kSectorBytes) {
    const size_t size = std::min(kSectorBytes, after.size() - at);
    if (random_.number() % 2 == 0) out.replace(at, size, after.substr(at, size));
  }
  return out;
}

void FaultDisk::lose_power() {
  std::lock_guard lock(mutex_);
  std::map<std::string, File> left;
  for (auto& [path, file] : files_) {
    if (file.durable == file.now) {
      left[path] = std::move(file);
      continue;
    }
    std::optional<std::string> kept;
    switch (random_.number() % 4) {
      case 0:
        kept = file.durable;
        break;
      case 1:
        kept = file.now;
        break;
      case 2:
        kept = file.durable ? torn(*file.durable, file.now)
                            : file.now.substr(0, random_.number() % (file.now.size() + 1));
        break;
      default:
        kept = file.durable ? torn(*file.durable, file.now) : std::string(file.now.size(), '\0');
    }
    if (kept) left[path] = File{*kept, *kept};
  }
  files_ = std::move(left);
  ++life_;
  dead_ = false;
  die_at_ = fail_from_ = fail_to_ = operations_ = 0;
}

void FaultDisk::restart() {
  std::lock_guard lock(mutex_);
  ++life_;
  dead_ = false;
  die_at_ = fail_from_ = fail_to_ = operations_ = 0;
}

std::map<std::string, std::string> FaultDisk::files() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::string> out;
  for (const auto& [path, file] : files_) out[path] = file.now;
  return out;
}

void FaultDisk::set_file(const std::string& path, std::optional<std::string> bytes) {
  std::lock_guard lock(mutex_);
  if (!bytes) {
    files_.erase(path);
  } else {
    files_[path] = File{*bytes, *bytes};
  }
}

}  // namespace rekey::audit
