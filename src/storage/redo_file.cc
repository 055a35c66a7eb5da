#include "storage/redo_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/codec.h"

namespace rekey::storage {
namespace {

constexpr std::string_view kMagic("\xffRKRDO1\n", 8);
// Header: magic, tag, first and last revision, bytes of the rows, number of rows; then the checksum
// of all that and the rows.
constexpr size_t kChecksumAt = kRedoHeaderBytes - 4;
constexpr size_t kRowHeaderBytes = 1 + 8 + 2 + 4;
constexpr char kPut = 1, kErased = 2;

uint64_t round_up(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

uint32_t checksum_of(std::string_view head, std::string_view rows) {
  uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(head.data()), head.size());
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  return static_cast<uint32_t>(crc);
}

bool parse_row(base::ByteReader& reader, const RedoGroup& group, RedoRow& row) {
  uint8_t kind = 0;
  uint16_t key_bytes = 0;
  uint32_t value_bytes = 0;
  if (!reader.u8(kind) || !reader.u64(row.revision) || !reader.u16(key_bytes) ||
      !reader.u32(value_bytes) || !reader.bytes(key_bytes, row.key) ||
      !reader.bytes(value_bytes, row.value)) {
    return false;
  }
  row.erased = kind == kErased;
  return (kind == kPut || (row.erased && row.value.empty())) && !row.key.empty() &&
         row.key.size() <= kKeyBytesMax && row.value.size() <= kValueBytesMax &&
         row.revision >= group.first && row.revision <= group.last;
}

}  // namespace

void RedoGroupMaker::begin() {
  bytes_.assign(kRedoHeaderBytes, '\0');
  rows_ = 0;
}

void RedoGroupMaker::add(const RedoRow& row) {
  bytes_.push_back(row.erased ? kErased : kPut);
  base::append_u64(bytes_, row.revision);
  base::append_u16(bytes_, static_cast<uint16_t>(row.key.size()));
  base::append_u32(bytes_, static_cast<uint32_t>(row.value.size()));
  bytes_ += row.key;
  bytes_ += row.value;
  ++rows_;
}

std::string_view RedoGroupMaker::finish(uint64_t tag, Revision first, Revision last) {
  const std::string_view rows = std::string_view(bytes_).substr(kRedoHeaderBytes);
  std::string header(kMagic);
  base::append_u64(header, tag);
  base::append_u64(header, first);
  base::append_u64(header, last);
  base::append_u64(header, rows.size());
  base::append_u32(header, rows_);
  base::append_u32(header, checksum_of(header, rows));
  std::memcpy(bytes_.data(), header.data(), kRedoHeaderBytes);
  return bytes_;
}

std::optional<RedoGroup> parse_redo_group(std::string_view bytes, uint64_t tag) {
  if (bytes.size() < kRedoHeaderBytes) return std::nullopt;
  base::ByteReader header(bytes.substr(0, kRedoHeaderBytes));
  std::string_view magic;
  uint64_t found_tag = 0, rows_bytes = 0;
  uint32_t rows = 0, checksum = 0;
  RedoGroup group;
  const bool whole = header.bytes(kMagic.size(), magic) && header.u64(found_tag) &&
                     header.u64(group.first) && header.u64(group.last) && header.u64(rows_bytes) &&
                     header.u32(rows) && header.u32(checksum);
  if (!whole || magic != kMagic || found_tag != tag || group.first == 0 ||
      group.last < group.first || rows_bytes > bytes.size() - kRedoHeaderBytes ||
      rows > rows_bytes / kRowHeaderBytes) {
    return std::nullopt;
  }
  const std::string_view data = bytes.substr(kRedoHeaderBytes, rows_bytes);
  if (checksum_of(bytes.substr(0, kChecksumAt), data) != checksum) return std::nullopt;
  group.bytes = kRedoHeaderBytes + rows_bytes;
  group.rows.resize(rows);
  base::ByteReader reader(data);
  for (RedoRow& row : group.rows) {
    if (!parse_row(reader, group, row)) return std::nullopt;
  }
  return group;
}

std::optional<uint64_t> redo_tag(std::string_view bytes) {
  if (bytes.size() < kMagic.size() + 8 || !bytes.starts_with(kMagic)) return std::nullopt;
  return base::read_u64(bytes.data() + kMagic.size());
}

std::vector<RedoGroup> parse_redo_file(std::string_view bytes, uint64_t tag) {
  std::vector<RedoGroup> groups;
  for (uint64_t at = 0; at < bytes.size();) {
    auto group = parse_redo_group(bytes.substr(at), tag);
    at += group ? round_up(group->bytes, kRedoBlockBytes) : kRedoBlockBytes;
    if (group) groups.push_back(std::move(*group));
  }
  return groups;
}

Result<RedoFile> RedoFile::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct stat info{};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) {
    return fail_errno("the store can't be opened", path);
  }
  return RedoFile(path, std::move(fd), static_cast<uint64_t>(info.st_size));
}

Result<std::string> RedoFile::read_all() const {
  std::string bytes(size_, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(fd_.get(), bytes.data() + done, bytes.size() - done, done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("the store can't be read", path_);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

// 0, or errno; `done` says how much went in.
int RedoFile::write_at(uint64_t offset, std::string_view bytes, size_t& done) {
  done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    done += static_cast<size_t>(put);
  }
  return 0;
}

// Space is taken with zeros before anything is written there: so a full disk shows before a group,
// and most syncs have no new size to write down.
int RedoFile::grow(uint64_t needed) {
  if (size_ >= needed) return 0;
  const std::string zeros(kRedoGrowBytes, '\0');
  while (size_ < needed) {
    size_t done = 0;
    const int error = write_at(size_, zeros, done);
    size_ += done;
    if (error != 0) return error;
  }
  return 0;
}

RedoFile::Written RedoFile::append(std::string_view group) {
  const uint64_t end = position_ + round_up(group.size(), kRedoBlockBytes);
  if (const int error = grow(end); error != 0) return {Outcome::kNothing, error};
  size_t done = 0;
  if (const int error = write_at(position_, group, done); error != 0) {
    // What stood behind the part that went in might make it a whole one.
    constexpr std::string_view kNoGroup("\0\0\0\0\0\0\0\0", 8);
    size_t undone = 0;
    if (done > 0) write_at(position_, kNoGroup, undone);
    return {done == 0 || undone > 0 ? Outcome::kNothing : Outcome::kUnknown, error};
  }
  if (::fdatasync(fd_.get()) != 0) return {Outcome::kUnknown, errno};
  position_ = end;
  return {};
}

void RedoFile::rewind() {
  position_ = 0;
  if (size_ <= kRedoKeptBytes) return;
  if (::ftruncate(fd_.get(), kRedoKeptBytes) == 0) size_ = kRedoKeptBytes;
}

Result<void> RedoFile::wipe() {
  position_ = 0;
  if (size_ == 0) return {};
  if (::ftruncate(fd_.get(), 0) != 0 || ::fdatasync(fd_.get()) != 0) {
    return fail_errno("the store's redo file can't be emptied", path_);
  }
  size_ = 0;
  return {};
}

}  // namespace rekey::storage
