// The commands over a record's folder, without a server.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "audit/log.h"
#include "audit/record.h"
#include "audit/tiles.h"
#include "cli/audit_output.h"
#include "cli/cli.h"
#include "cli/command.h"

namespace rekey::cli {
namespace {

const base::SystemClock kClock;
const base::Log kNoLog(kClock, -1);
const audit::Hasher kHasher(base::SecretBytes::copy_of(std::string(32, 'k')));
constexpr uint64_t kEntries = 700;

struct Outcome {
  int code;
  std::string out, err;
};

// A record of 700 reads, one a second from 2026-09-21T14:13:20Z on; alice reads every tenth, every
// hundredth is refused.
class AuditLog : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/rekey-audit-cli-XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    audit::Log::Options options;
    options.directory = folder_;
    options.origin = "rekey.test/cli";
    auto log = audit::Log::open(options, kClock, random_, kNoLog);
    ASSERT_TRUE(log);
    auto key =
        crypto::Ed25519PrivateKey::from_seed(base::SecretBytes::copy_of(std::string(32, 'b')));
    ASSERT_TRUE((*log)->set_signer(std::move(*key)));
    for (uint64_t i = 0; i < kEntries; ++i) {
      const std::string path = "secret/data/k" + std::to_string(i % 7);
      const std::string value = "value-" + std::to_string(i % 7);
      const audit::RecordData::Field fields[] = {{"password", value}};
      audit::RecordInput input;
      input.time = base::WallTime(std::chrono::seconds(1'790'000'000 + i));
      input.operation = "read";
      input.path = path;
      input.token_accessor = "acc";
      input.display_name = i % 10 == 0 ? "alice" : "=bob";
      input.remote_address = "10.0.0.1";
      input.response.fields = fields;
      input.status = i % 100 == 50 ? 403 : 200;
      std::string entry;
      audit::append_record(input, &kHasher, entry);
      ASSERT_TRUE((*log)->append(entry));
    }
    ASSERT_TRUE((*log)->wait_durable(kEntries));
    key_ = (*log)->verifier_key();
    checkpoint_ = (*log)->checkpoint_now()->note;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Outcome run_words(std::vector<std::string> words, const std::string& input = "") {
    words.push_back("-log=" + folder_);
    return run_bare(std::move(words), input);
  }
  Outcome run_bare(std::vector<std::string> words, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out, err;
    Console console{.in = in,
                    .out = out,
                    .err = err,
                    .in_is_terminal = false,
                    .out_is_terminal = false,
                    .program = "rekey",
                    .version = "1",
                    .built = "",
                    .environment = [](const std::string&) { return std::nullopt; },
                    .ask_secret = [](std::string_view) -> base::Result<std::string> {
                      return base::fail(base::ErrorKind::kInvalid, "no terminal");
                    },
                    .random = random_,
                    .wait = [](base::Duration) {}};
    const int code = run(words, console);
    return {code, out.str(), err.str()};
  }
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

  base::SystemRandom random_;
  std::string folder_, key_, checkpoint_;
};

size_t lines(const std::string& text) {
  return static_cast<size_t>(std::ranges::count(text, '\n'));
}

TEST_F(AuditLog, QueriesPrintWhatFits) {
  const std::vector<std::string> hour = {"audit",
                                         "query",
                                         "-path=secret/data/k0",
                                         "--from=2026-09-21T14:13:20Z",
                                         "--to",
                                         "2026-09-21T14:14:20Z"};
  Outcome found = run_words(hour);
  EXPECT_EQ(found.code, 0) << found.err;
  EXPECT_EQ(lines(found.out), 2u + 9);  // entries 0, 7, ... 56, newest first, below a header
  EXPECT_TRUE(found.out.starts_with("Index    Time")) << found.out;
  EXPECT_NE(found.out.find("56       2026-09-21T14:14:16Z"), found.out.npos) << found.out;
  // The same with an index.
  EXPECT_EQ(run_words({"audit", "index", "rebuild"}).out,
            "Success! 512 entries are in the index.\n");
  EXPECT_EQ(run_words(hour).out, found.out);
  found = run_words({"audit", "query", "-identity=alice", "-oldest", "-limit=0", "-format=jsonl"});
  EXPECT_EQ(lines(found.out), 70u);
  EXPECT_TRUE(found.out.starts_with("{\"entry\":{")) << found.out;
  found = run_words({"audit", "query", "-denied", "-format=csv"});
  EXPECT_EQ(lines(found.out), 1u + 7);
  EXPECT_TRUE(found.out.starts_with("index,time,operation,path,"));
  EXPECT_NE(found.out.find("650,2026-09-21T14:24:10.000000000Z,read,"), found.out.npos);
  found = run_words({"audit", "query", "-path=nothing", "-format=json"});
  EXPECT_EQ(found.out, "[]\n");
  EXPECT_EQ(found.err, "No entry of the record fits.\n");
  EXPECT_EQ(run_words({"audit", "list", "-entries", "-limit=3"}).code, 0);
}

TEST_F(AuditLog, PagesGoOn) {
  Outcome page = run_words({"audit", "query", "-identity=alice", "-limit=2"});
  EXPECT_NE(page.out.find("690  "), page.out.npos) << page.out;
  EXPECT_EQ(page.err, "There may be more: go on with -cursor=680\n");
  page = run_words({"audit", "query", "-identity=alice", "-limit=2", "-cursor=680"});
  EXPECT_NE(page.out.find("670  "), page.out.npos) << page.out;
  EXPECT_EQ(page.out.find("680  "), page.out.npos) << page.out;
}

TEST_F(AuditLog, ValuesDontStandOnTheCommandLine) {
  EXPECT_EQ(run_words({"audit", "query", "-value=value-3"}).code, 1);
  EXPECT_EQ(run_words({"audit", "query", "-value=-"}, "value-3\n").code, 1);  // no key here
  const Outcome found = run_words(
      {"audit", "query", "-value=" + kHasher.hash("value-3"), "-limit=0", "-format=jsonl"});
  EXPECT_EQ(found.code, 0) << found.err;
  EXPECT_EQ(lines(found.out), 100u);
}

TEST_F(AuditLog, NonsenseIsRefused) {
  EXPECT_EQ(run_words({"audit", "query", "-format=xml"}).code, 1);
  EXPECT_EQ(run_words({"audit", "query", "-from=soon"}).code, 1);
  EXPECT_EQ(run_words({"audit", "query", "-limit=-1"}).code, 1);
  EXPECT_EQ(run_words({"audit", "show", "x"}).code, 1);
  EXPECT_EQ(run_words({"audit", "show", "700"}).code, 2);
  EXPECT_EQ(run_bare({"audit", "query", "-log=/nonexistent"}).code, 2);
  EXPECT_EQ(run_bare({"audit", "verify"}).code, 1);
  EXPECT_EQ(run_bare({"audit", "verify", "-log=/nonexistent"}).code, 1);
}

TEST_F(AuditLog, ShowsAndTails) {
  EXPECT_NE(run_words({"audit", "show", "5"}).out.find("\"path\": \"secret/data/k5\""),
            std::string::npos);
  const Outcome tail = run_words({"audit", "tail", "-lines=3", "-follow=false", "-format=jsonl"});
  EXPECT_EQ(lines(tail.out), 3u) << tail.err;
  EXPECT_NE(tail.out.find("\"index\":699}"), tail.out.npos);
}

TEST_F(AuditLog, ProofsHoldByThemselves) {
  EXPECT_EQ(run_words({"audit", "key"}).out, key_ + "\n");
  const Outcome proof = run_words({"audit", "prove", "300"});
  ASSERT_EQ(proof.code, 0) << proof.err;
  EXPECT_TRUE(proof.out.starts_with("c2sp.org/tlog-proof@v1\n"));
  const std::string path = write("proof", proof.out), key = "@" + write("vkey", key_ + "\n");
  Outcome checked = run_bare({"audit", "verify", "-proof=" + path, "-key=" + key});
  EXPECT_EQ(checked.code, 0) << checked.err;
  EXPECT_NE(checked.out.find("secret/data/k6"), checked.out.npos);
  std::string altered = proof.out;
  altered.replace(altered.find("index 300"), 9, "index 301");
  write("proof", altered);
  checked = run_bare({"audit", "verify", "-proof=" + path, "-key=" + key});
  EXPECT_EQ(checked.code, 2);
}

TEST_F(AuditLog, VerifyNamesThePlace) {
  Outcome checked = run_words(
      {"audit", "verify", "-key=" + key_, "-checkpoint=" + write("old-checkpoint", checkpoint_)});
  EXPECT_EQ(checked.code, 0) << checked.err;
  EXPECT_NE(checked.out.find("The record is as it was written."), checked.out.npos);
  EXPECT_EQ(checked.err, "");
  const std::string bundle = folder_ + "/" + audit::bundle_path(1);
  std::fstream file(bundle, std::ios::in | std::ios::out);
  file.seekp(1'000);
  file.put('X');
  file.close();
  checked = run_words({"audit", "verify"});
  EXPECT_EQ(checked.code, 2);
  EXPECT_NE(checked.err.find("was rewritten"), checked.err.npos) << checked.err;
  EXPECT_NE(checked.err.find("WARNING! The key is the folder's own"), checked.err.npos);
}

TEST(AuditOutput, CellsAreNoFormulas) {
  EXPECT_EQ(csv_field("=1+1"), "'=1+1");
  EXPECT_EQ(csv_field("a,\"b\""), "\"a,\"\"b\"\"\"");
  EXPECT_EQ(csv_field("plain"), "plain");
  EXPECT_EQ(csv_field(""), "");
}

}  // namespace
}  // namespace rekey::cli
