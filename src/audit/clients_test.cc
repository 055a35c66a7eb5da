// Counting clients by the index against counting them entry by entry.
#include "audit/clients.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "audit/index_store.h"
#include "audit/record.h"
#include "audit/testing/vector_source.h"
#include "base/random.h"

namespace rekey::audit {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
const std::string kLogId(kIndexLogIdBytes, 'L');
constexpr base::WallTime kStart{std::chrono::seconds(1'790'000'000)};
constexpr base::Duration kPeriod = std::chrono::seconds(10);

int64_t ns(base::WallTime time) { return time.time_since_epoch().count(); }

struct Made {
  std::string entity;
  std::vector<std::string> policies = {"default"};
  std::string mount = "auth/token/create";
  std::string token_type = "service";
  uint16_t status = 200;
  std::string type = "request";
};

std::string entry_of(const Made& made, base::WallTime time) {
  RecordInput input;
  input.type = made.type;
  input.time = time;
  input.operation = "read";
  input.path = "secret/data/a";
  input.entity_id = made.entity;
  input.policies = made.policies;
  input.auth_mount = made.mount;
  input.token_type = made.token_type;
  input.status = made.status;
  std::string out;
  append_record(input, nullptr, out);
  return out;
}

// One entry's client, without the way it came in.
std::string client_of(const Made& made) {
  EntryScanner scanner;
  const std::string entry = entry_of(made, kStart);
  EXPECT_TRUE(scanner.scan(entry));
  const std::string text = client_text(scanner.found());
  return text.substr(0, 9);
}

Made random_caller(base::Random& random) {
  Made made;
  const uint64_t kind = random.number() % 10;
  if (kind < 5) {
    made.entity = "entity-" + std::to_string(random.number() % 40);
    made.mount = random.number() % 2 == 0 ? "auth/userpass/login/a" : "auth/approle/login";
  } else if (kind < 8) {
    made.policies = {"default", "p" + std::to_string(random.number() % 30)};
  } else if (kind == 8) {
    made.policies = {"root"};
  } else {
    made.token_type = "";
  }
  if (random.number() % 20 == 0) made.status = 403;
  return made;
}

// clients[client] = periods, made entry by entry.
std::map<std::string, uint64_t> naive(const VectorSource& source, std::span<const int64_t> edges) {
  std::map<std::string, uint64_t> clients;
  EntryScanner scanner;
  for (const std::string& entry : source.entries) {
    EXPECT_TRUE(scanner.scan(entry));
    const std::string text = client_text(scanner.found());
    if (text.empty()) continue;
    for (size_t i = 0; i + 1 < edges.size(); ++i) {
      const int64_t time = scanner.found().time_ns;
      if (time >= edges[i] && time < edges[i + 1]) clients[text.substr(0, 9)] |= 1ull << i;
    }
  }
  return clients;
}

std::multiset<uint64_t> masks(const ClientCount& count) {
  std::multiset<uint64_t> out;
  for (const Client& client : count.clients) out.insert(client.periods);
  return out;
}

std::vector<int64_t> edges_at(std::initializer_list<int> periods) {
  std::vector<int64_t> out;
  for (int period : periods) out.push_back(ns(kStart + period * kPeriod));
  return out;
}

uint32_t one_group(std::string_view) { return 0; }

TEST(AuditClients, WhoCountsAsWhom) {
  EXPECT_NE(client_of({.entity = "a"}), client_of({.entity = "b"}));
  EXPECT_EQ(client_of({.entity = "a", .policies = {"x"}, .mount = "auth/m/login"}),
            client_of({.entity = "a", .token_type = "batch"}));
  EXPECT_NE(client_of({.policies = {"a"}}), client_of({.policies = {"a", "b"}}));
  EXPECT_EQ(client_of({.policies = {"a"}}), client_of({.policies = {"a"}, .status = 404}));
  EXPECT_EQ(client_of({.policies = {"root"}}), "");
  EXPECT_EQ(client_of({.policies = {"response-wrapping"}}), "");
  EXPECT_NE(client_of({.entity = "a", .policies = {"root"}}), "");
  EXPECT_EQ(client_of({.entity = "a", .status = 403}), "");
  EXPECT_EQ(client_of({.token_type = ""}), "");
  EXPECT_EQ(client_of({.entity = "a", .type = "intent"}), "");
}

TEST(AuditClients, AsCountedEntryByEntry) {
  base::SeededRandom random(7);
  VectorSource source;
  auto store =
      IndexStore::open(make_memory_index_folder(), kLogId, 0, {.memory_blocks_max = 4}, kNoLog);
  ASSERT_TRUE(store);
  const auto edges = edges_at({-1, 0, 1, 2, 3, 5, 8});
  for (int round = 0; round < 12; ++round) {
    for (uint64_t more = random.number() % 2'000; more > 0; --more) {
      const auto time =
          kStart + std::chrono::milliseconds(5 * source.entries.size() + random.number() % 300);
      source.entries.push_back(entry_of(random_caller(random), time));
    }
    for (uint64_t steps = random.number() % 200; steps > 0; --steps) {
      ASSERT_TRUE((*store)->advance(source));
    }
    for (size_t first = 0; first + 1 < edges.size(); ++first) {
      const std::span<const int64_t> asked = std::span(edges).subspan(first);
      std::multiset<uint64_t> expected;
      for (const auto& [client, periods] : naive(source, asked)) expected.insert(periods);
      for (IndexStore* index : {store->get(), static_cast<IndexStore*>(nullptr)}) {
        const auto count = count_clients(asked, one_group, source, index);
        ASSERT_TRUE(count) << count.error().describe();
        EXPECT_EQ(masks(*count), expected);
      }
    }
  }
}

TEST(AuditClients, AnIndexSparesReading) {
  VectorSource source;
  for (int i = 0; i < 100 * 256; ++i) {
    const Made made{.entity = "entity-" + std::to_string(i % 500)};
    source.entries.push_back(entry_of(made, kStart + std::chrono::milliseconds(i)));
  }
  auto store = IndexStore::open(make_memory_index_folder(), kLogId, 0, {}, kNoLog);
  ASSERT_TRUE(store);
  while (*(*store)->advance(source)) {
  }
  const auto count = count_clients(edges_at({-1, 1, 9}), one_group, source, store->get());
  ASSERT_TRUE(count);
  EXPECT_EQ(count->clients.size(), 500u);
  EXPECT_LE(count->blocks_read, 1u);  // the one in which a period ends
}

TEST(AuditClients, ByTheTokenThatWasSeenFirst) {
  VectorSource source;
  const auto add = [&](const std::string& mount, int block) {
    while (source.entries.size() < static_cast<size_t>(block) * 256) {
      source.entries.push_back(entry_of({.token_type = ""}, kStart));
    }
    source.entries.push_back(entry_of({.entity = "a", .mount = mount}, kStart));
  };
  add("auth/z/login", 0);
  add("auth/a/login", 1);
  add("auth/b/login", 2);
  auto store = IndexStore::open(make_memory_index_folder(), kLogId, 0, {}, kNoLog);
  ASSERT_TRUE(store);
  while (*(*store)->advance(source)) {
  }
  const auto group = [](std::string_view path) { return static_cast<uint32_t>(path[5]); };
  const auto count = count_clients(edges_at({0, 1}), group, source, store->get());
  ASSERT_TRUE(count);
  ASSERT_EQ(count->clients.size(), 1u);
  EXPECT_EQ(count->clients[0].group, static_cast<uint32_t>('z'));
  EXPECT_TRUE(count->clients[0].is_entity);
}

// An index that was made after retention knows of the oldest bundles only that they were there.
TEST(AuditClients, SaysWhatTheIndexNeverSaw) {
  VectorSource source;
  for (int i = 0; i < 3 * 256; ++i) {
    source.entries.push_back(entry_of({.entity = "a"}, kStart + (i / 256) * kPeriod));
  }
  source.gone_block = 0;
  for (const uint64_t blocks_max : {1, 100}) {  // in runs, and in memory
    auto store = IndexStore::open(make_memory_index_folder(), kLogId, 0,
                                  {.memory_blocks_max = blocks_max}, kNoLog);
    ASSERT_TRUE(store);
    while (*(*store)->advance(source)) {
    }
    const auto missing = [&](std::initializer_list<int> periods) {
      const auto count = count_clients(edges_at(periods), one_group, source, store->get());
      EXPECT_TRUE(count) << count.error().describe();
      return count ? count->missing : UINT64_MAX;
    };
    EXPECT_EQ(missing({0, 1, 2}), 1u);
    EXPECT_EQ(missing({1, 2}), 0u);  // the oldest that is left is of that time
    EXPECT_EQ(missing({2, 3}), 0u);
  }
}

TEST(AuditClients, SaysWhatIsMissingAndRefusesTooMuch) {
  VectorSource source;
  for (int i = 0; i < 3 * 256; ++i) source.entries.push_back(entry_of({.entity = "a"}, kStart));
  source.gone_block = 1;
  const auto count = count_clients(edges_at({0, 1}), one_group, source, nullptr);
  ASSERT_TRUE(count);
  EXPECT_EQ(count->missing, 1u);
  EXPECT_EQ(count->clients.size(), 1u);
  EXPECT_FALSE(count_clients(edges_at({0}), one_group, source, nullptr));
  const std::vector<int64_t> many(kClientPeriodsMax + 2);
  EXPECT_FALSE(count_clients(many, one_group, source, nullptr));
}

}  // namespace
}  // namespace rekey::audit
