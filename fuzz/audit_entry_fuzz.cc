// rooms: base crypto audit
// The scanner that the index and queries read entries with: it must not read beyond the entry, and
// where the text is JSON at all it must find what a tree has.
#include <cstdint>
#include <string_view>

#include "audit/entry_scan.h"
#include "audit/index_builder.h"
#include "base/check.h"
#include "base/json.h"

using rekey::audit::EntryScanner;
using rekey::audit::IndexBuilder;
using rekey::base::Json;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of its own, so that a read beyond the end is seen.
  const std::string copy(reinterpret_cast<const char*>(data), size);
  EntryScanner scanner;
  if (!scanner.scan(copy)) return 0;
  IndexBuilder builder(0);
  builder.add(scanner.found());
  builder.add(scanner.found());
  builder.close_block();
  const auto tree = Json::parse(copy);
  if (!tree) return 0;  // it isn't strict about what it passes over
  const auto& found = scanner.found();
  const auto same = [](const Json* object, const char* name, std::string_view text) {
    const Json* member = object == nullptr ? nullptr : object->find(name);
    REKEY_CHECK(member == nullptr ? text.empty()
                                  : member->is_string() && *member->as_string() == text);
  };
  // Of members that are there twice one is taken, which one depends; entries have none.
  const auto count = [&](std::string_view name) {
    size_t seen = 0;
    for (size_t at = copy.find(name); at != copy.npos; at = copy.find(name, at + 1)) ++seen;
    return seen;
  };
  if (copy.find('\\') != copy.npos) return 0;
  if (count("\"path\"") <= 1) same(&*tree, "path", found.path);
  if (count("\"auth\"") <= 1 && count("\"entity_id\"") <= 1) {
    same(tree->find("auth"), "entity_id", found.entity_id);
  }
  return 0;
}
