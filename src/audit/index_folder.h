// IndexFolder: where runs lie. A folder on disk, or memory for a server that keeps nothing.
//
// Knows only names and bytes. Files are written once and never changed; what is open can be read
// after it was removed. Any thread; one writer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace rekey::audit {

class IndexFile {
 public:
  virtual ~IndexFile() = default;
  virtual uint64_t size() const = 0;
  // Exactly so many bytes; kCorrupt if the file ends before.
  virtual base::Result<std::string> read(uint64_t offset, size_t size) const = 0;
};

// Is not there under its name before commit(); gone if that isn't called.
class IndexOutput {
 public:
  virtual ~IndexOutput() = default;
  virtual base::Result<void> append(std::string_view bytes) = 0;
  virtual uint64_t size() const = 0;
  virtual base::Result<void> commit(bool sync) = 0;
};

class IndexFolder {
 public:
  virtual ~IndexFolder() = default;
  virtual base::Result<std::unique_ptr<IndexOutput>> create(const std::string& name) = 0;
  virtual base::Result<std::unique_ptr<IndexFile>> open(const std::string& name) const = 0;
  virtual base::Result<void> remove(const std::string& name) = 0;
  virtual base::Result<std::vector<std::string>> list() const = 0;
};

// Makes the folder (0700) and locks it against other writers: kUnavailable if it is in use. Removes
// what was being written when a process ended.
base::Result<std::unique_ptr<IndexFolder>> open_index_folder(const std::string& directory);
// Takes no lock and can't write. kNotFound if there is no such folder.
base::Result<std::unique_ptr<IndexFolder>> open_index_folder_for_reading(
    const std::string& directory);
std::unique_ptr<IndexFolder> make_memory_index_folder();

}  // namespace rekey::audit
