// One block of a configuration file, read key by key. The first thing that is wrong is kept; keys
// that nobody asked for become warnings at the end. Only for this room; one thread.
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "hcl/hcl.h"

namespace rekey::config {

// Which file is being read, and where its warnings go.
struct File {
  const std::string& name;
  std::vector<std::string>& warnings;

  std::string at(hcl::Place place) const { return name + ':' + std::to_string(place.line) + ": "; }
  void warn(hcl::Place place, std::string_view what) const {
    warnings.push_back(at(place) + std::string(what));
  }
  std::unexpected<base::Error> fail(hcl::Place place, std::string_view what) const {
    return base::fail(base::ErrorKind::kInvalid, at(place) + std::string(what));
  }
};

// A block and where it begins.
struct Section {
  const hcl::Object* object = nullptr;
  hcl::Place place;
};

class Block {
 public:
  // `name` stands before keys in messages: "listener \"tcp\"", or nothing at the top.
  // The section's object and `file` outlive the block.
  Block(const File& file, const Section& section, std::string name)
      : file_(file), object_(*section.object), place_(section.place), name_(std::move(name)) {}

  // Each reads a key into `out` and leaves `out` alone where the key is absent. Of a repeated key
  // the last counts. True if the key was there and well.
  bool text(std::string_view key, std::string& out);
  bool flag(std::string_view key, bool& out);  // true, "true", 1, "1", "t" ... as Vault
  bool integer(std::string_view key, int64_t& out);
  bool texts(std::string_view key, std::vector<std::string>& out);  // a list, or "a,b"
  // Seconds or "1h30m"; positive. Zero, Vault's "no limit", warns and leaves `out` alone, for
  // everything here has a limit.
  bool duration(std::string_view key, base::Duration& out);

  // The last item with the key, which then counts as known; nullptr if absent.
  const hcl::Item* take(std::string_view key);
  // Blocks `key { ... }`, also in JSON's list form. Nothing but blocks is an error.
  std::vector<Section> blocks(std::string_view key);

  // Known to Vault, without effect here: one warning each.
  void ignore(std::initializer_list<std::string_view> keys, std::string_view why);
  // Known, without effect and without harm: no warning.
  void ignore_silently(std::initializer_list<std::string_view> keys);

  void wrong(const hcl::Item& item, std::string_view expected);  // shows the value
  void wrong_here(std::string_view what);                        // about the block as a whole
  void warn(const hcl::Item& item, std::string_view what);
  const File& file() const { return file_; }

  // Warns of unknown keys; the first error, if there was one.
  base::Result<void> finish();

 private:
  std::string label(std::string_view key) const;
  void fail_first(hcl::Place place, const std::string& what);

  const File& file_;
  const hcl::Object& object_;
  hcl::Place place_;
  std::string name_;
  std::set<std::string, std::less<>> known_;
  std::optional<base::Error> error_;
};

// A value for a message: "10x", 5, a list.
std::string shown(const hcl::Value& value);
// The block itself, or the blocks of a list of nothing but blocks; empty for any other value.
std::vector<Section> sections_of(const hcl::Value& value);
// "a, b,c" as its parts, without blanks and empty parts.
std::vector<std::string> split_list(std::string_view text);

}  // namespace rekey::config
