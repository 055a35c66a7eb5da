#include "audit/entry_scan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "audit/record.h"
#include "base/random.h"

namespace rekey::audit {
namespace {

const Hasher kHasher(base::SecretBytes::copy_of(std::string(kHasherKeyBytes, 'k')));

uint64_t below(base::Random& random, uint64_t end) { return random.number() % end; }

// Every keyed hash that stands as a value in the tree.
void collect(const base::Json& json, std::vector<std::string>& out) {
  if (const std::string* text = json.as_string()) {
    if (text->starts_with(kValueHashPrefix)) out.push_back(text->substr(kValueHashPrefix.size()));
  } else if (const base::JsonArray* array = json.as_array()) {
    for (const base::Json& item : *array) collect(item, out);
  } else if (const base::JsonObject* object = json.as_object()) {
    for (const auto& [name, member] : *object) collect(member, out);
  }
}

std::string random_text(base::SeededRandom& random) {
  static constexpr std::string_view kPieces[] = {
      "a", "secret/data/", "\"",   "\\", "\n", "ü", "{", "}", ",",
      ":", "hmac-sha256:", "\x01", "日", "/"};
  std::string out;
  for (uint64_t i = below(random, 12); i > 0; --i) {
    out += kPieces[below(random, std::size(kPieces))];
  }
  return out;
}

base::Json random_json(base::SeededRandom& random, int depth) {
  switch (below(random, depth == 0 ? 4 : 6)) {
    case 0:
      return base::Json(random_text(random));
    case 1:
      return base::Json(static_cast<int64_t>(below(random, 1000)));
    case 2:
      return base::Json(true);
    case 3:
      return base::Json();
    case 4: {
      base::JsonArray array;
      for (uint64_t i = below(random, 5); i > 0; --i)
        array.push_back(random_json(random, depth - 1));
      return base::Json(std::move(array));
    }
    default: {
      base::JsonObject object;
      for (uint64_t i = below(random, 5); i > 0; --i) {
        object.set(random_text(random), random_json(random, depth - 1));
      }
      return base::Json(std::move(object));
    }
  }
}

TEST(EntryScan, FindsWhatTheTreeHasInRandomRecords) {
  base::SeededRandom random(7);
  EntryScanner scanner;
  for (int round = 0; round < 2'000; ++round) {
    const std::string texts[] = {random_text(random), random_text(random), random_text(random),
                                 random_text(random), random_text(random), random_text(random),
                                 random_text(random), random_text(random)};
    const base::Json request = random_json(random, 4), response = random_json(random, 4);
    RecordInput input;
    input.time = base::WallTime(std::chrono::nanoseconds(
        static_cast<int64_t>(below(random, 2'000'000'000)) * 1'000'000'000 +
        static_cast<int64_t>(below(random, 1'000'000'000))));
    input.path = texts[0];
    input.operation = "read";
    input.entity_id = texts[1];
    input.display_name = texts[2];
    input.token_accessor = texts[3];
    input.token = texts[7];
    input.remote_address = texts[4];
    input.forwarded_address = texts[5];
    input.response_accessor = texts[6];
    input.request.json = &request;
    input.response.json = &response;
    input.status = static_cast<uint16_t>(below(random, 600));
    std::string entry;
    append_record(input, below(random, 10) == 0 ? nullptr : &kHasher, entry);
    const auto tree = base::Json::parse(entry);
    ASSERT_TRUE(tree) << entry;
    ASSERT_TRUE(scanner.scan(entry)) << entry;
    const ScannedEntry& found = scanner.found();
    EXPECT_EQ(found.time_ns, input.time.time_since_epoch().count());
    EXPECT_EQ(found.path, tree->string_or("path", ""));
    EXPECT_EQ(found.operation, "read");
    EXPECT_EQ(found.status, input.status);
    const base::Json none;
    const base::Json* auth = tree->find("auth");
    if (auth == nullptr) auth = &none;
    EXPECT_EQ(found.entity_id, auth->string_or("entity_id", ""));
    EXPECT_EQ(found.display_name, auth->string_or("display_name", ""));
    EXPECT_EQ(found.accessor, auth->string_or("accessor", ""));
    const base::Json* remote = tree->find("remote");
    if (remote == nullptr) remote = &none;
    EXPECT_EQ(found.address, remote->string_or("address", ""));
    EXPECT_EQ(found.forwarded, remote->string_or("forwarded", ""));
    EXPECT_EQ(found.response_accessor, tree->find("response")->string_or("accessor", ""));
    std::vector<std::string> values;
    if (const base::Json* token = auth->find("token")) collect(*token, values);
    for (const char* part : {"request", "response"}) {
      for (const char* name : {"data", "whole", "token"}) {
        if (const base::Json* member = tree->find(part)->find(name)) collect(*member, values);
      }
    }
    std::vector<std::string> seen(found.values.begin(), found.values.end());
    std::ranges::sort(values);
    std::ranges::sort(seen);
    EXPECT_EQ(seen, values) << entry;
  }
}

TEST(EntryScan, RefusesWhatIsNoEntry) {
  EntryScanner scanner;
  const std::string good =
      R"({"type":"request","time":"2026-11-24T01:31:01.123456789Z","path":"a"})";
  EXPECT_TRUE(scanner.scan(good));
  for (size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(scanner.scan(good.substr(0, cut))) << cut;
  }
  EXPECT_FALSE(scanner.scan(good + " "));
  EXPECT_FALSE(scanner.scan("{}"));
  EXPECT_FALSE(scanner.scan(R"({"type":"request"})"));
  EXPECT_FALSE(scanner.scan(R"({"time":"2026-11-24T01:31:01Z"})"));
  EXPECT_FALSE(scanner.scan(R"({"time":"2026-13-24T01:31:01.123456789Z"})"));
  EXPECT_FALSE(scanner.scan(R"({"time":"2026-11-24T01:31:01.123456789Z","request":)" +
                            std::string(1000, '[') + std::string(1000, ']') + "}"));
}

TEST(EntryScan, NamesOfMembersAreNotValues) {
  const std::string hash = kHasher.hash("x");
  EntryScanner scanner;
  ASSERT_TRUE(scanner.scan(R"({"time":"2026-11-24T01:31:01.000000000Z","request":{"data":{")" +
                           hash + R"(":null}},"error":")" + hash + "\"}"));
  EXPECT_TRUE(scanner.found().values.empty());
}

}  // namespace
}  // namespace rekey::audit
