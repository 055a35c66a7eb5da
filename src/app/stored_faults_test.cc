// What the store gives back is not trusted, and what it takes may be nothing: unsealing opens the
// server as a whole or leaves it sealed, and no row that was altered, cut or swapped is served.
#include <gtest/gtest.h>

#include <map>

#include "app/testing/harness.h"
#include "storage/memory_store.h"
#include "storage/testing/fault_store.h"
#include "system/seal_control.h"

namespace rekey::app {
namespace {

using base::ErrorKind;
using logical::Operation;
using storage::CommitFault;
using storage::ReadFault;
using testing::Harness;

class StoredFaultsTest : public ::testing::Test {
 protected:
  StoredFaultsTest() : faults_(memory_, 3) {
    start();
    server_->set_up();
    share_ = server_->unseal_share();
    root_ = server_->root();
  }

  // A new process on what is stored; sealed.
  void start() {
    server_.reset();
    server_ = std::make_unique<Harness>(faults_, ++lives_);
    server_->set_unseal_share(share_);
  }
  void must_write(const std::string& path, const std::string& body) {
    const auto answer = server_->write(path, body, root_);
    ASSERT_TRUE(answer) << path << ": " << answer.error().describe();
  }
  std::string said(const std::string& path, Operation operation = Operation::kRead,
                   const std::string& body = {}, const std::string& token = {}) {
    const auto answer = server_->ask({.operation = operation,
                                      .path = path,
                                      .body = body,
                                      .token = token.empty() ? root_ : token});
    return answer ? answer->data : "error: " + std::string(base::kind_name(answer.error().kind()));
  }
  bool open() {
    const bool published = server_->keeper().state().get() != nullptr;
    EXPECT_EQ(published, !server_->seal_control().sealed()) << "half open";
    return published;
  }
  std::vector<std::string> keys() {
    auto reader = memory_.open_reader();
    EXPECT_TRUE(reader);
    auto all = (*reader)->scan("", "", SIZE_MAX);
    EXPECT_TRUE(all);
    return *all;
  }

  storage::MemoryStore memory_;
  storage::FaultStore faults_;
  std::unique_ptr<Harness> server_;
  uint64_t lives_ = 0;
  std::string share_, root_;
};

TEST_F(StoredFaultsTest, WhicheverCommitOfUnsealingFailsItIsOpenOrSealed) {
  must_write("secret/data/a", R"({"data":{"k":"kept"}})");
  const std::string value = said("secret/data/a");
  constexpr CommitFault kKinds[] = {CommitFault::kFails, CommitFault::kConflicts,
                                    CommitFault::kUnknownWritten, CommitFault::kUnknownLost};
  for (const CommitFault kind : kKinds) {
    for (size_t at = 0; at < 5; at++) {
      start();
      std::vector<CommitFault> program(at, CommitFault::kNone);
      program.push_back(kind);
      faults_.program_commits(program);
      const auto status = server_->try_unseal();
      faults_.program_commits({});
      EXPECT_EQ(status && !status->sealed, open())
          << "commit " << at << ": " << (status ? "open" : status.error().describe());
      EXPECT_EQ(said("secret/data/a"), open() ? value : "error: sealed");
      if (!open()) server_->unseal();
      EXPECT_EQ(said("secret/data/a"), value);
    }
  }
}

TEST_F(StoredFaultsTest, AStoreThatTakesNoWritesIsOpenedForReading) {
  must_write("secret/data/a", R"({"data":{"k":"kept"}})");
  const std::string value = said("secret/data/a");
  start();
  faults_.set_read_only(true);
  const auto status = server_->try_unseal();
  ASSERT_TRUE(status) << status.error().describe();
  EXPECT_TRUE(open());
  EXPECT_EQ(said("secret/data/a"), value);
  EXPECT_EQ(said("secret/data/b", Operation::kUpdate, R"({"data":{"k":"lost"}})"),
            "error: unavailable");
  faults_.set_read_only(false);
  // What Upkeep does each second.
  ASSERT_TRUE(server_->barrier().tend());
  ASSERT_TRUE(server_->keeper().advance_epoch());
  must_write("secret/data/b", R"({"data":{"k":"there"}})");
}

// --- each kind of row ---

// One of everything that is kept, and what reads it.
class EachRowTest : public StoredFaultsTest {
 protected:
  EachRowTest() {
    for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
             {"secret/data/a", R"({"data":{"k":"one"}})"},
             {"secret/data/a", R"({"data":{"k":"two"}})"},
             {"secret/metadata/b", R"({"custom_metadata":{"owner":"me"}})"},
             {"secret/config", R"({"max_versions":7})"},
             {"plain/c", R"({"k":"three"})"},
             {"cubbyhole/d", R"({"k":"four"})"},
             {"sys/policies/acl/p",
              R"({"policy":"path \"secret/*\" { capabilities = [\"read\"] }"})"},
             {"sys/policies/password/w",
              R"({"policy":"length = 20\nrule \"charset\" { charset = \"abc\" }"})"},
             {"sys/quotas/rate-limit/q", R"({"rate":100000})"},
             {"sys/config/cors", R"({"allowed_origins":"https://a.example"})"},
             {"sys/config/auditing/request-headers/X-One", R"({"hmac":false})"},
             {"sys/audit/lines", R"({"type":"file","options":{"file_path":"discard"}})"},
             {"sys/mounts/transit", R"({"type":"transit"})"},
             {"transit/keys/t", "{}"},
             {"sys/auth/userpass", R"({"type":"userpass"})"},
             {"auth/userpass/users/joe", R"({"password":"a long password"})"},
             {"sys/auth/approle", R"({"type":"approle"})"},
             {"auth/approle/role/r", R"({"token_policies":["p"]})"},
             {"auth/approle/role/r/role-id", R"({"role_id":"the-role"})"},
             {"auth/approle/role/r/custom-secret-id", R"({"secret_id":"the-secret"})"},
             {"identity/entity", R"({"name":"e","policies":["p"]})"},
             {"identity/group", R"({"name":"g","policies":["p"]})"},
             {"auth/token/roles/tr", R"({"allowed_policies":["p"]})"},
         }) {
      must_write(path, body);
    }
    token_ = server_->make_token({"p"}, "", root_);
    const auto made =
        base::Json::parse(said("auth/token/lookup-self", Operation::kRead, {}, token_));
    accessor_ = made ? made->string_or("accessor", "") : "";
    const auto sealed_text =
        server_->write("transit/encrypt/t", R"({"plaintext":"aGVsbG8="})", root_);
    EXPECT_TRUE(sealed_text);
    const auto json = base::Json::parse(sealed_text->data);
    ciphertext_ = json ? json->string_or("ciphertext", "") : "";
  }

  // What a client can see of all that; an error is its kind.
  std::vector<std::string> all_said() {
    std::vector<std::string> out;
    for (const char* path : {"secret/data/a",
                             "secret/metadata/a",
                             "secret/metadata/b",
                             "secret/config",
                             "plain/c",
                             "cubbyhole/d",
                             "sys/policies/acl/p",
                             "sys/policies/password/w",
                             "sys/quotas/rate-limit/q",
                             "sys/config/cors",
                             "sys/config/auditing/request-headers",
                             "sys/audit",
                             "sys/mounts",
                             "sys/auth",
                             "transit/keys/t",
                             "auth/userpass/users/joe",
                             "auth/approle/role/r",
                             "auth/approle/role/r/role-id",
                             "identity/entity/name/e",
                             "identity/group/name/g",
                             "auth/token/roles/tr",
                             "auth/token/lookup-self"}) {
      out.push_back(said(path));
    }
    out.push_back(said("secret/data/a", Operation::kRead, {}, token_));
    out.push_back(
        said("transit/decrypt/t", Operation::kUpdate, R"({"ciphertext":")" + ciphertext_ + "\"}"));
    out.push_back(said("secret/data/a", Operation::kRead, R"({"version":1})"));
    out.push_back(said("auth/token/lookup-accessor", Operation::kUpdate,
                       R"({"accessor":")" + accessor_ + "\"}"));
    out.push_back(said("auth/approle/role/r/secret-id", Operation::kList));
    out.push_back(said("auth/approle/role/r/secret-id/lookup", Operation::kUpdate,
                       R"({"secret_id":"the-secret"})"));
    return out;
  }
  // Whose answer is another one each time.
  bool can_log_in() {
    return !said("auth/approle/login", Operation::kUpdate,
                 R"({"role_id":"the-role","secret_id":"the-secret"})")
                .starts_with("error");
  }
  // Rows that nothing but clean-up reads, and a note for operators.
  static bool is_upkeep(const std::string& key) {
    for (const char* prefix :
         {"core/version/", "token/due/", "token/child/", "token/parent/", "token/path/"}) {
      if (key.starts_with(prefix)) return true;
    }
    return key.find("/accessor/") != std::string::npos;  // names of rows that are read here
  }

  std::string token_, accessor_, ciphertext_;
};

TEST_F(EachRowTest, ADamagedRowIsNeverServed) {
  start();
  server_->unseal();
  const std::vector<std::string> right = all_said();
  for (size_t i = 0; i < right.size(); i++) {
    EXPECT_FALSE(right[i].starts_with("error")) << "read " << i << ": " << right[i];
  }
  const std::vector<std::string> rows = keys();
  std::map<std::string, int> unnoticed;
  constexpr ReadFault kKinds[] = {ReadFault::kAltered, ReadFault::kTruncated, ReadFault::kExtended,
                                  ReadFault::kSwapped, ReadFault::kFails,     ReadFault::kOlder,
                                  ReadFault::kMissing};
  for (size_t i = 0; i < rows.size(); i++) {
    // Of the ledger's many rows that are all alike some are enough.
    if (rows[i].starts_with(barrier::kLedgerPrefix) && !rows[i].ends_with("7")) continue;
    for (const ReadFault kind : kKinds) {
      start();
      faults_.damage(rows[i], kind, rows[(i + 1) % rows.size()]);
      const auto status = server_->try_unseal();
      EXPECT_EQ(status && !status->sealed, open()) << rows[i];
      const std::vector<std::string> now = all_said();
      bool noticed = !status;
      for (size_t j = 0; j < now.size(); j++) {
        if (now[j].starts_with("error: ")) {
          noticed = true;
          continue;
        }
        EXPECT_EQ(now[j], right[j]) << "damaged: " << rows[i];
      }
      noticed = noticed || !can_log_in();
      faults_.damage(rows[i], ReadFault::kNone);
      // Not every row was ever written over.
      if (!noticed && !is_upkeep(rows[i]) && kind != ReadFault::kOlder) unnoticed[rows[i]]++;
    }
  }
  for (const auto& [key, count] : unnoticed) ADD_FAILURE() << "read by nobody: " << key;
}

}  // namespace
}  // namespace rekey::app
