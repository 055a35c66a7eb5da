// The redo files: what was committed and isn't in the LMDB file yet, one synced write a group.
// docs/formats/lmdb.md says how they lie on disk. Knows rows only as bytes with a revision.
//
// Threads: a RedoFile belongs to one thread at a time; the rest is pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/data_folder.h"
#include "storage/store.h"

namespace rekey::storage {

inline constexpr size_t kRedoBlockBytes = 4'096;      // where groups may begin
inline constexpr size_t kRedoGrowBytes = 256u << 10;  // zeros written ahead of what is used
inline constexpr size_t kRedoKeptBytes = 16u << 20;  // a file that is larger is cut when used again
inline constexpr size_t kRedoHeaderBytes = 48;

struct RedoRow {
  Revision revision = 0;
  bool erased = false;
  std::string_view key, value;
};

// The rows of one sync, of the batches that got revisions `first` to `last`; in the order in which
// they were written. Views into what was parsed.
struct RedoGroup {
  Revision first = 0, last = 0;
  std::vector<RedoRow> rows;
  size_t bytes = 0;  // in the file, without what fills its last block
};

// Puts a group together. The same buffer serves one group after the other.
class RedoGroupMaker {
 public:
  void begin();
  void add(const RedoRow& row);
  // The group's bytes, valid until the next begin(). `tag` is the store's.
  std::string_view finish(uint64_t tag, Revision first, Revision last);

 private:
  std::string bytes_;
  uint32_t rows_ = 0;
};

// The group at the beginning of `bytes`; nothing if there is none of this store, or not all of it.
std::optional<RedoGroup> parse_redo_group(std::string_view bytes, uint64_t tag);

// Whose file it is, as the group at its beginning says; nothing if there is none.
std::optional<uint64_t> redo_tag(std::string_view bytes);

// All whole groups of a file, older ones that weren't overwritten yet included.
std::vector<RedoGroup> parse_redo_file(std::string_view bytes, uint64_t tag);

class RedoFile {
 public:
  enum class Outcome {
    kDone,     // on the disk
    kNothing,  // failed, and a restart won't find it
    kUnknown,  // failed, and nobody knows what a restart will find
  };
  struct Written {
    Outcome outcome = Outcome::kDone;
    int error = 0;  // errno
  };

  // Opens the file, or makes an empty one; the folder is synced by the caller.
  static Result<RedoFile> open(const std::string& path);

  Result<std::string> read_all() const;
  // Writes a group behind the one before, and syncs. After kUnknown nothing may be written any
  // more.
  Written append(std::string_view group);
  // Groups go to the beginning again: what is there is in the LMDB file, synced.
  void rewind();
  // The same, and nothing is left: before revisions may be given a second time.
  Result<void> wipe();

 private:
  RedoFile(std::string path, UniqueFd fd, uint64_t size)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}
  int write_at(uint64_t offset, std::string_view bytes, size_t& done);
  int grow(uint64_t needed);

  std::string path_;
  UniqueFd fd_;
  uint64_t size_ = 0;      // of the file; below it writing takes no new space
  uint64_t position_ = 0;  // of the next group
};

}  // namespace rekey::storage
