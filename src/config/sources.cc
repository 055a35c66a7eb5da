// The files that -config names.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/config.h"

namespace rekey::config {

using base::ErrorKind;
using base::fail;
using base::forward;
using base::Result;

namespace {

namespace fs = std::filesystem;

bool is_config_name(const fs::path& path) {
  const std::string name = path.filename().string();
  const bool editors = name.starts_with('.') || name.ends_with('~') ||
                       (name.starts_with('#') && name.ends_with('#'));
  return !editors && (path.extension() == ".hcl" || path.extension() == ".json");
}

Result<Source> read_file(const std::string& path) {
  std::error_code error;
  const bool regular = fs::is_regular_file(path, error);
  const auto size = regular ? fs::file_size(path, error) : 0;
  if (error || size > kConfigFileBytesMax) {
    return fail(error ? ErrorKind::kNotFound : ErrorKind::kTooLarge,
                path + ": " +
                    (error ? error.message()
                           : "larger than " + std::to_string(kConfigFileBytesMax) +
                                 " bytes, so no configuration"));
  }
  // A pipe (/dev/stdin, <(...)) has no size beforehand.
  std::ifstream file(path, std::ios::binary);
  std::string text(kConfigFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (!file.is_open())) return fail(ErrorKind::kNotFound, path + ": can't be read");
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kConfigFileBytesMax) {
    return fail(ErrorKind::kTooLarge, path + ": too large for a configuration");
  }
  return Source{path, std::move(text)};
}

Result<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (is_config_name(at->path()) && at->is_regular_file(ignored)) {
      files.push_back(at->path().string());
    }
  }
  if (error) return fail(ErrorKind::kNotFound, path + ": " + error.message());
  if (files.empty()) {
    return fail(ErrorKind::kNotFound, path + ": no file with the ending .hcl or .json in it");
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Result<std::vector<Source>> read_sources(std::span<const std::string> paths) {
  std::vector<Source> sources;
  for (const std::string& path : paths) {
    auto files = files_of(path);
    if (!files) return forward(files);
    for (const std::string& file : *files) {
      if (sources.size() >= kConfigFilesMax) {
        return fail(ErrorKind::kTooLarge, path + ": more than " + std::to_string(kConfigFilesMax) +
                                              " configuration files");
      }
      auto source = read_file(file);
      if (!source) return forward(source);
      sources.push_back(std::move(*source));
    }
  }
  return sources;
}

}  // namespace rekey::config
