// The index against a naive search over the same entries, whatever happens to its files.
#include "audit/index.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "audit/record.h"
#include "audit/testing/vector_source.h"
#include "base/random.h"

namespace rekey::audit {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
const Hasher kHasher(base::SecretBytes::copy_of(std::string(kHasherKeyBytes, 'k')));
constexpr base::WallTime kStart{std::chrono::seconds(1'790'000'000)};
const std::string kLogId(kIndexLogIdBytes, 'L');

uint64_t below(base::Random& random, uint64_t end) { return random.number() % end; }

struct Folder {
  Folder() {
    path = ::testing::TempDir() + "/rekey-index-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) std::abort();
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

// Entry i of a made-up history. The number of distinct paths, callers and values is such that some
// terms are in every block and others in few.
std::string make_entry(uint64_t i, base::Random& random) {
  const std::string path = below(random, 50) == 0
                               ? "secret/data/rare/" + std::to_string(below(random, 5000))
                               : "secret/data/team-" + std::to_string(below(random, 3)) + "/k" +
                                     std::to_string(below(random, 40));
  const std::string entity = "entity-" + std::to_string(below(random, 2) * below(random, 300));
  const std::string name = "name-" + std::to_string(below(random, 20));
  const std::string accessor = "accessor-" + std::to_string(below(random, 1000));
  const std::string address = "10.0.0." + std::to_string(below(random, 200));
  const std::string value = "v" + std::to_string(below(random, 3000));
  const RecordData::Field fields[] = {{"password", value}, {"version", "1"}};
  RecordInput input;
  // Not quite in order, and with a gap of an hour in the middle.
  input.time = kStart + std::chrono::milliseconds(10 * i + below(random, 500)) +
               std::chrono::hours(i > 5'000 ? 1 : 0);
  input.operation = below(random, 4) == 0 ? "update" : "read";
  input.path = path;
  input.entity_id = entity;
  input.display_name = name;
  const std::string token = "token-" + accessor;
  input.token = token;
  input.token_accessor = accessor;
  input.remote_address = address;
  if (below(random, 10) == 0) input.forwarded_address = "192.0.2.1";
  input.response.fields = fields;
  input.status = below(random, 100) == 0 ? 403 : 200;
  std::string out;
  append_record(input, &kHasher, out);
  return out;
}

// What a naive search needs, kept: the entries don't change.
struct Known {
  explicit Known(const std::vector<std::string>& entries) : scanners(entries.size()) {
    for (size_t i = 0; i < entries.size(); ++i) EXPECT_TRUE(scanners[i].scan(entries[i]));
  }
  std::vector<EntryScanner> scanners;
};

void add(VectorSource& source, uint64_t count, base::Random& random) {
  for (; count > 0; --count) source.entries.push_back(make_entry(source.entries.size(), random));
}

std::unique_ptr<IndexStore> open_store(std::unique_ptr<IndexFolder> folder,
                                       const EntrySource& source, uint64_t blocks_max = 4) {
  auto store = IndexStore::open(std::move(folder), kLogId, source.size(),
                                {.memory_blocks_max = blocks_max}, kNoLog);
  EXPECT_TRUE(store) << store.error().describe();
  return std::move(*store);
}

void catch_up(IndexStore& store, const EntrySource& source) {
  for (int steps = 0; steps < 100'000; ++steps) {
    const auto more = store.advance(source);
    ASSERT_TRUE(more) << more.error().describe();
    if (!*more) return;
  }
  FAIL() << "the index never rests";
}

std::vector<uint64_t> naive(const Query& query, const Known& known) {
  std::vector<uint64_t> found;
  for (uint64_t i = 0; i < known.scanners.size(); ++i) {
    if (matches(query, known.scanners[i].found())) found.push_back(i);
  }
  if (!query.oldest_first) std::ranges::reverse(found);
  return found;
}

// All pages of the answer.
std::vector<uint64_t> ask(Query query, const EntrySource& source, IndexStore* store) {
  std::vector<uint64_t> found;
  for (int pages = 0; pages < 100'000; ++pages) {
    const auto result = run_query(query, source, store);
    if (!result) {
      ADD_FAILURE() << result.error().describe();
      return found;
    }
    EXPECT_TRUE(result->problems.empty()) << result->problems[0];
    EXPECT_LE(result->matches.size(), query.limit);
    for (const QueryMatch& match : result->matches) found.push_back(match.index);
    if (result->complete) return found;
    query.cursor = result->next;
  }
  ADD_FAILURE() << "paging never ends";
  return found;
}

Query random_query(base::Random& random) {
  Query query;
  if (below(random, 3) == 0) {
    if (below(random, 2) == 0) {
      set_path(query, "secret/data/team-" + std::to_string(below(random, 4)) + "/k1*");
    } else if (below(random, 2) == 0) {
      set_path(query, "secret/data/rare/*");
    } else {
      set_path(query, "secret/data/team-1/k" + std::to_string(below(random, 45)));
    }
  }
  if (below(random, 3) == 0) query.identity = "entity-" + std::to_string(below(random, 310));
  if (below(random, 6) == 0) query.identity = "name-3";
  if (below(random, 5) == 0) query.accessor = "accessor-" + std::to_string(below(random, 1000));
  if (below(random, 5) == 0) query.address = "10.0.0." + std::to_string(below(random, 200));
  if (below(random, 9) == 0) query.address = "192.0.2.1";
  if (below(random, 4) == 0) {
    const std::string value = below(random, 2) == 0
                                  ? "v" + std::to_string(below(random, 3100))
                                  : "token-accessor-" + std::to_string(below(random, 1000));
    EXPECT_TRUE(set_value_hash(query, kHasher.hash(value)));
  }
  if (below(random, 6) == 0) query.denied = true;
  if (below(random, 8) == 0) query.operation = "update";
  if (below(random, 2) == 0) {
    query.from = kStart + std::chrono::milliseconds(below(random, 100'000));
    if (below(random, 2) == 0) {
      query.to = *query.from + std::chrono::milliseconds(1 + below(random, 4'000'000));
    }
  }
  query.oldest_first = below(random, 2) == 0;
  query.limit = 1 + below(random, 50);
  query.blocks_max = 1 + below(random, 20);
  return query;
}

void expect_same_as_naive(const VectorSource& source, IndexStore* store, uint64_t seed,
                          int rounds) {
  base::SeededRandom random(seed);
  const Known known(source.entries);
  for (int round = 0; round < rounds; ++round) {
    const Query query = random_query(random);
    EXPECT_EQ(ask(query, source, store), naive(query, known)) << "seed " << seed << " " << round;
  }
}

TEST(AuditIndex, AgreesWithANaiveSearchWhileItGrows) {
  base::SeededRandom random(1);
  VectorSource source;
  auto store = open_store(make_memory_index_folder(), source);
  for (int round = 0; round < 10; ++round) {
    add(source, 1 + below(random, 1'200), random);
    if (round % 3 != 0) catch_up(*store, source);
    expect_same_as_naive(source, store.get(), 100 + static_cast<uint64_t>(round), 15);
  }
  expect_same_as_naive(source, nullptr, 5, 20);
  EXPECT_GT(store->status().runs, 1u);
}

TEST(AuditIndex, MergesNeighboursAndFindsTheSame) {
  base::SeededRandom random(2);
  VectorSource source;
  add(source, 256 * 30 + 17, random);
  Folder folder;
  auto store = open_store(*open_index_folder(folder.path), source, 1);
  catch_up(*store, source);
  // Thirty runs of a block: eight at a time became one, as often as that went.
  EXPECT_LT(store->status().runs, kIndexMergeRuns);
  EXPECT_EQ(store->status().indexed, 256u * 30);
  expect_same_as_naive(source, store.get(), 3, 60);
}

TEST(AuditIndex, GoesOnAfterARestart) {
  base::SeededRandom random(3);
  VectorSource source;
  add(source, 256 * 9, random);
  Folder folder;
  {
    auto store = open_store(*open_index_folder(folder.path), source);
    catch_up(*store, source);
    EXPECT_EQ(store->status().indexed, 256u * 9);
  }  // what was in memory is lost, as in a crash
  add(source, 256 * 3, random);
  auto store = open_store(*open_index_folder(folder.path), source);
  EXPECT_EQ(store->status().indexed, 256u * 8);
  expect_same_as_naive(source, store.get(), 4, 20);
  catch_up(*store, source);
  EXPECT_EQ(store->status().indexed, 256u * 12);
  expect_same_as_naive(source, store.get(), 5, 20);
}

std::vector<std::string> run_files(const Folder& folder) {
  std::vector<std::string> names;
  for (const auto& item : std::filesystem::directory_iterator(folder.path)) {
    if (parse_run_name(item.path().filename().string())) names.push_back(item.path().string());
  }
  std::ranges::sort(names);
  return names;
}

TEST(AuditIndex, FilesCutAlteredOrGoneAreMadeAnew) {
  base::SeededRandom random(4);
  VectorSource source;
  add(source, 256 * 28, random);
  for (int round = 0; round < 12; ++round) {
    Folder folder;
    {
      auto store = open_store(*open_index_folder(folder.path), source);
      catch_up(*store, source);
      ASSERT_TRUE(store->flush());
    }
    const std::vector<std::string> names = run_files(folder);
    ASSERT_EQ(names.size(), 7u);
    const std::string& victim = names[below(random, names.size())];
    const uint64_t size = std::filesystem::file_size(victim);
    const uint64_t at = below(random, size);
    switch (round % 4) {
      case 0:
        std::filesystem::resize_file(victim, at);
        break;
      case 1: {
        std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(at));
        const char was = static_cast<char>(file.get());
        file.seekp(static_cast<std::streamoff>(at));
        file.put(static_cast<char>(was ^ (1 << below(random, 8))));
        break;
      }
      case 2:
        std::filesystem::remove(victim);
        break;
      default:  // zeros in the middle, as after a power failure
        std::filesystem::resize_file(victim, at);
        std::filesystem::resize_file(victim, size);
    }
    auto store = open_store(*open_index_folder(folder.path), source);
    EXPECT_LE(store->status().indexed, source.size());
    expect_same_as_naive(source, store.get(), 200 + static_cast<uint64_t>(round), 3);
    catch_up(*store, source);
    ASSERT_TRUE(store->flush());
    EXPECT_EQ(store->status().indexed, source.size()) << round;
    expect_same_as_naive(source, store.get(), 300 + static_cast<uint64_t>(round), 3);
  }
}

TEST(AuditIndex, DamageUnderAnOpenFileIsFoundAndHealed) {
  base::SeededRandom random(5);
  VectorSource source;
  add(source, 256 * 12, random);
  Folder folder;
  auto store = open_store(*open_index_folder(folder.path), source);
  catch_up(*store, source);
  ASSERT_TRUE(store->flush());
  const std::vector<std::string> names = run_files(folder);
  ASSERT_EQ(names.size(), 3u);
  std::filesystem::resize_file(names[1], 100);  // while it is open
  expect_same_as_naive(source, store.get(), 6, 20);
  catch_up(*store, source);
  EXPECT_EQ(store->status().runs_removed, 1u);
  EXPECT_EQ(store->status().indexed, source.size());
  expect_same_as_naive(source, store.get(), 7, 20);
}

TEST(AuditIndex, LeftOversOfAMergeAndForeignRunsGo) {
  base::SeededRandom random(6);
  VectorSource source;
  add(source, 256 * 8, random);
  Folder folder, copy;
  {
    auto store = open_store(*open_index_folder(folder.path), source, 1);
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(store->advance(source));
    for (const std::string& name : run_files(folder)) {
      std::filesystem::copy(name,
                            copy.path + "/" + std::filesystem::path(name).filename().string());
    }
    catch_up(*store, source);
    EXPECT_EQ(store->status().runs, 1u);
  }
  EXPECT_EQ(run_files(folder).size(), 1u);
  ASSERT_GE(run_files(copy).size(), 7u);
  for (const std::string& name : run_files(copy)) {
    std::filesystem::copy(name,
                          folder.path + "/" + std::filesystem::path(name).filename().string());
  }
  std::ofstream(folder.path + "/run-0000000000000010-0000000000000011.new") << "half";
  {
    auto store = open_store(*open_index_folder(folder.path), source, 1);
    EXPECT_EQ(store->status().runs, 1u);
    EXPECT_EQ(store->status().indexed, source.size());
  }
  EXPECT_EQ(run_files(folder).size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(folder.path + "/run-0000000000000010-0000000000000011.new"));
  // The same files under another log: none of them is taken.
  auto other = IndexStore::open(*open_index_folder(folder.path), std::string(16, 'M'),
                                source.size(), {}, kNoLog);
  ASSERT_TRUE(other);
  EXPECT_EQ((*other)->status().indexed, 0u);
  EXPECT_TRUE(run_files(folder).empty());
}

TEST(AuditIndex, RunsBeyondTheLogsEndGo) {
  base::SeededRandom random(7);
  VectorSource source;
  add(source, 256 * 8, random);
  Folder folder;
  auto store = open_store(*open_index_folder(folder.path), source);
  catch_up(*store, source);
  ASSERT_TRUE(store->flush());
  store.reset();
  source.entries.resize(256 * 5);
  store = open_store(*open_index_folder(folder.path), source);
  EXPECT_EQ(store->status().indexed, 256u * 4);
}

TEST(AuditIndex, OneWriterAtATime) {
  Folder folder;
  auto first = open_index_folder(folder.path);
  ASSERT_TRUE(first);
  auto second = open_index_folder(folder.path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), base::ErrorKind::kUnavailable);
  EXPECT_TRUE(open_index_folder_for_reading(folder.path));
}

TEST(AuditIndex, AnIdentityInAWindowReadsFewBlocks) {
  base::SeededRandom random(8);
  VectorSource source;
  add(source, 256 * 40, random);
  auto store = open_store(make_memory_index_folder(), source);
  catch_up(*store, source);
  Query query;
  query.path = "secret/data/rare/77";
  const auto result = run_query(query, source, store.get());
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->complete);
  EXPECT_EQ(result->blocks_read, result->matches.size());  // never a block in vain
  query.path = "secret/data/nothing";
  EXPECT_EQ(run_query(query, source, store.get())->blocks_read, 0u);
  query = {};
  query.from = kStart + std::chrono::minutes(30);
  query.to = kStart + std::chrono::minutes(40);                       // in the gap
  EXPECT_LE(run_query(query, source, store.get())->blocks_read, 1u);  // that across its begin
}

TEST(AuditIndex, TakenAwayAndAlteredEntriesAreTold) {
  base::SeededRandom random(9);
  VectorSource source;
  add(source, 256 * 6, random);
  auto store = open_store(make_memory_index_folder(), source);
  catch_up(*store, source);
  Query query;
  query.limit = kQueryLimitMax;
  query.oldest_first = true;
  source.gone_block = 2;
  source.altered_block = 3;
  query.cursor = 512;
  const auto result = run_query(query, source, store.get());
  ASSERT_TRUE(result);
  EXPECT_EQ(result->missing, 1u);
  EXPECT_EQ(result->matches.front().index, 768u);
  ASSERT_EQ(result->problems.size(), 1u);
  EXPECT_EQ(result->problems[0], "entry 768 isn't what the tree says");
  // A block that is gone before it was indexed is empty.
  auto later = open_store(make_memory_index_folder(), source);
  catch_up(*later, source);
  EXPECT_EQ(later->status().indexed, source.size());
}

TEST(AuditIndex, AsksForPathsThatWereCut) {
  VectorSource source;
  const std::string long_path = "secret/data/" + std::string(3'000, 'p');
  for (int i = 0; i < 256; ++i) {
    RecordInput input;
    input.time = kStart;
    input.path = i == 7 ? std::string_view(long_path) : "a";
    append_record(input, &kHasher, source.entries.emplace_back());
  }
  auto store = open_store(make_memory_index_folder(), source);
  catch_up(*store, source);
  Query query;
  set_path(query, long_path);
  EXPECT_EQ(ask(query, source, store.get()), std::vector<uint64_t>{7});
  set_path(query, "secret/data/ppp*");
  EXPECT_EQ(ask(query, source, store.get()), std::vector<uint64_t>{7});
}

TEST(AuditIndex, FollowsALogAndSurvivesClosing) {
  Folder folder;
  base::SystemRandom system_random;
  base::SeededRandom random(10);
  Log::Options options;
  options.directory = folder.path;
  options.origin = "rekey.test/index";
  const auto wait_for = [](const Index& index, uint64_t indexed) {
    for (int i = 0; i < 3'000 && index.status().indexed < indexed; ++i) {
      ::usleep(1'000);
    }
    EXPECT_EQ(index.status().indexed, indexed);
  };
  Query query;
  query.limit = kQueryLimitMax;
  query.identity = "entity-0";
  size_t expected = 0;
  {
    auto log = Log::open(options, kClock, system_random, kNoLog);
    ASSERT_TRUE(log);
    auto key = crypto::Ed25519PrivateKey::from_seed(
        base::SecretBytes::copy_of(std::string(crypto::kEd25519SeedBytes, 'b')));
    ASSERT_TRUE((*log)->set_signer(std::move(*key)));
    Index index(**log, {.directory = folder.path + "/index", .store = {}}, kNoLog);
    for (uint64_t i = 0; i < 1'000; ++i) ASSERT_TRUE((*log)->append(make_entry(i, random)));
    ASSERT_TRUE((*log)->wait_durable(1'000));
    wait_for(index, 768);
    const auto result = index.query(query);
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->problems.empty());
    expected = result->matches.size();
    EXPECT_GT(expected, 100u);
    index.rebuild();
    wait_for(index, 768);
    EXPECT_EQ(index.query(query)->matches.size(), expected);
    index.stop();
    (*log)->close();
  }
  // Offline, with and without the index.
  auto source = FolderSource::open(folder.path);
  ASSERT_TRUE(source) << source.error().describe();
  EXPECT_EQ((*source)->size(), 1'000u);
  auto store = open_index_for_reading(folder.path, **source, kNoLog);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->status().indexed, 768u);
  EXPECT_EQ(run_query(query, **source, store.get())->matches.size(), expected);
  EXPECT_EQ(run_query(query, **source, nullptr)->matches.size(), expected);
  const auto rebuilt = rebuild_index(folder.path, kNoLog, {});
  ASSERT_TRUE(rebuilt) << rebuilt.error().describe();
  EXPECT_EQ(*rebuilt, 768u);
}

TEST(AuditQuery, TimesAsPeopleWriteThem) {
  const base::WallTime now = kStart;
  EXPECT_EQ(*parse_query_time("now", now), now);
  EXPECT_EQ(*parse_query_time("-90m", now), now - std::chrono::minutes(90));
  EXPECT_EQ(*parse_query_time("2026-11-24", now), *base::parse_rfc3339("2026-11-24T00:00:00Z"));
  EXPECT_EQ(*parse_query_time("2026-11-24T10:00:00+01:00", now),
            *base::parse_rfc3339("2026-11-24T09:00:00Z"));
  for (const char* bad : {"", "yesterday", "2026-13-24", "-", "--1h", "1h"}) {
    EXPECT_FALSE(parse_query_time(bad, now)) << bad;
  }
}

TEST(AuditQuery, RefusesNonsense) {
  VectorSource source;
  Query query;
  EXPECT_FALSE(set_value_hash(query, "hunter2"));
  EXPECT_FALSE(set_value_hash(query, "hmac-sha256:12"));
  query.from = query.to = kStart;
  EXPECT_FALSE(run_query(query, source, nullptr));
  query = {};
  query.limit = 0;
  EXPECT_FALSE(run_query(query, source, nullptr));
}

TEST(AuditQuery, AQuestionAboutAValueIsNoUseOfIt) {
  VectorSource source;
  const RecordData::Field fields[] = {{"value", "leaked"}};
  for (const char* path : {"sys/audit-log/query", "secret/data/a", "sys/audit-hash/file"}) {
    RecordInput input;
    input.time = kStart;
    input.path = path;
    input.request.fields = fields;
    append_record(input, &kHasher, source.entries.emplace_back());
  }
  Query query;
  ASSERT_TRUE(set_value_hash(query, kHasher.hash("leaked")));
  EXPECT_EQ(ask(query, source, nullptr), std::vector<uint64_t>{1});
}

}  // namespace
}  // namespace rekey::audit
