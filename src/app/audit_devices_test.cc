// Vault's audit devices in the whole server below the network: what their lines say, what they
// never say, and that none of them can hold up a request.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "app/testing/harness.h"
#include "storage/memory_store.h"
#include "storage/testing/temporary_folder.h"

namespace rekey::app {
namespace {

using base::Json;
using logical::Operation;
using testing::Ask;
using testing::Harness;

class AuditDevicesTest : public ::testing::Test {
 protected:
  AuditDevicesTest() : server_(store_) {
    (void)::signal(SIGPIPE, SIG_IGN);  // as the server does
    server_.set_up();
  }

  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  Harness::Answer enable(const std::string& name, base::JsonObject options) {
    if (!options.contains("file_path")) options.set("file_path", path(name));
    return server_.write(
        "sys/audit/" + name,
        Json(base::JsonObject{{"type", "file"}, {"options", std::move(options)}}).dump());
  }
  Harness::Answer disable(const std::string& name) {
    return server_.ask(
        {.operation = Operation::kDelete, .path = "sys/audit/" + name, .token = server_.root()});
  }

  // The lines of a device's file that come after the first, the test line; ends the device, so that
  // all of them are there.
  std::vector<Json> lines_of(const std::string& name, std::string_view prefix = {}) {
    EXPECT_TRUE(disable(name));
    std::vector<Json> lines;
    std::ifstream in(path(name));
    for (std::string line; std::getline(in, line);) {
      EXPECT_TRUE(line.starts_with(prefix)) << line;
      auto json = Json::parse(std::string_view(line).substr(std::min(prefix.size(), line.size())));
      EXPECT_TRUE(json) << line;
      if (json) lines.push_back(std::move(*json));
    }
    EXPECT_FALSE(lines.empty());
    if (!lines.empty()) lines.erase(lines.begin());
    return lines;
  }
  static std::string at(const Json& line, std::initializer_list<std::string_view> names) {
    const Json* here = &line;
    for (const std::string_view name : names) {
      here = here->find(name);
      if (here == nullptr) return "absent";
    }
    return here->is_string() ? *here->as_string() : here->dump();
  }
  // The lines about requests to this path.
  static std::vector<Json> about(const std::vector<Json>& lines, std::string_view path) {
    std::vector<Json> out;
    for (const Json& line : lines) {
      if (at(line, {"request", "path"}) == path) out.push_back(line);
    }
    return out;
  }
  std::string hash(const std::string& device, const std::string& value) {
    auto answer =
        server_.write("sys/audit-hash/" + device, Json(base::JsonObject{{"input", value}}).dump());
    return answer ? Json::parse(answer->data)->string_or("hash", "") : "refused";
  }
  std::string text(const std::string& name) const {
    std::ifstream in(path(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }

  storage::TemporaryFolder folder_;
  storage::MemoryStore store_;
  Harness server_;
};

TEST_F(AuditDevicesTest, AReadIsTwoLinesThatAudithashFinds) {
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"canary","n":5,"b":true}})"));
  ASSERT_TRUE(enable("file", {}));
  ASSERT_TRUE(server_.read("secret/data/a"));
  const std::string canary = hash("file", "canary");
  const std::string token = hash("file", server_.root());
  const auto lines = about(lines_of("file"), "secret/data/a");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(at(lines[0], {"type"}), "request");
  EXPECT_EQ(at(lines[0], {"response"}), "absent");
  EXPECT_EQ(at(lines[1], {"type"}), "response");
  for (const Json& line : lines) {
    EXPECT_EQ(at(line, {"auth", "client_token"}), token);
    EXPECT_EQ(at(line, {"auth", "display_name"}), "root");
    EXPECT_EQ(at(line, {"auth", "policies"}), R"(["root"])");
    EXPECT_EQ(at(line, {"auth", "policy_results", "allowed"}), "true");
    EXPECT_EQ(at(line, {"request", "operation"}), "read");
    EXPECT_EQ(at(line, {"request", "mount_type"}), "kv");
    EXPECT_EQ(at(line, {"request", "client_token"}), token);
    EXPECT_EQ(at(line, {"request", "remote_address"}), "127.0.0.1");
    EXPECT_EQ(at(line, {"error"}), "absent");
  }
  EXPECT_EQ(at(lines[0], {"request", "id"}), at(lines[1], {"request", "id"}));
  EXPECT_EQ(at(lines[1], {"response", "data", "data", "k"}), canary);
  EXPECT_EQ(at(lines[1], {"response", "data", "data", "n"}), "5");
  EXPECT_EQ(at(lines[1], {"response", "data", "data", "b"}), "true");
}

TEST_F(AuditDevicesTest, NoValueAndNoTokenIsEverWritten) {
  ASSERT_TRUE(enable("file", {}));
  ASSERT_TRUE(enable("second", {{"hmac_accessor", "false"}, {"elide_list_responses", "true"}}));
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"the-canary","l":["the-canary"]}})"));
  ASSERT_TRUE(server_.read("secret/data/a"));
  ASSERT_TRUE(server_.write("plain/a", R"({"k":{"deep":{"deeper":"the-canary"}}})"));
  ASSERT_TRUE(server_.read("plain/a"));
  const std::string token = server_.make_token({"default"});
  EXPECT_FALSE(server_.read("secret/data/a", token));
  EXPECT_FALSE(server_.read("secret/data/a", "hvs.the-canary-token"));
  auto wrapped = server_.ask(
      {.path = "secret/data/a", .token = server_.root(), .wrap_ttl = std::chrono::seconds(60)});
  ASSERT_TRUE(wrapped && wrapped->wrap);
  ASSERT_TRUE(server_.write("sys/wrapping/unwrap", R"({"token":")" + wrapped->wrap->token + "\"}"));
  EXPECT_FALSE(server_.write("sys/tools/hash", R"({"input":"the-canary!"})"));
  EXPECT_NE(hash("file", "the-canary"), hash("second", "the-canary"));  // a salt each
  EXPECT_GT(lines_of("file").size(), 20U);
  EXPECT_GT(lines_of("second").size(), 20U);
  for (const char* name : {"file", "second"}) {
    const std::string written = text(name);
    for (const std::string& secret :
         {std::string("the-canary"), server_.root(), token, wrapped->wrap->token}) {
      EXPECT_EQ(written.find(secret), std::string::npos) << name;
    }
  }
}

TEST_F(AuditDevicesTest, LogRawSaysItAll) {
  ASSERT_TRUE(enable("file", {{"log_raw", "true"}, {"prefix", "@cee: "}}));
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"in-clear"}})"));
  const auto lines = about(lines_of("file", "@cee: "), "secret/data/a");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(at(lines[0], {"request", "data", "data", "k"}), "in-clear");
  EXPECT_EQ(at(lines[0], {"request", "client_token"}), server_.root());
}

TEST_F(AuditDevicesTest, RefusalsSayWhy) {
  ASSERT_TRUE(enable("file", {}));
  const std::string token = server_.make_token({"default"});
  EXPECT_FALSE(server_.read("secret/data/a", token));
  EXPECT_FALSE(server_.read("secret/data/b", "hvs.none"));
  const auto lines = lines_of("file");
  const auto denied = about(lines, "secret/data/a");
  ASSERT_EQ(denied.size(), 2U);
  for (const Json& line : denied) {
    EXPECT_EQ(at(line, {"error"}), "1 error occurred:\n\t* permission denied\n\n");
    EXPECT_EQ(at(line, {"auth", "display_name"}), "token");
  }
  const auto unknown = about(lines, "secret/data/b");
  ASSERT_EQ(unknown.size(), 2U);
  EXPECT_EQ(at(unknown[0], {"error"}), "permission denied");
  EXPECT_EQ(at(unknown[0], {"auth"}), R"({"token_type":"default"})");
}

TEST_F(AuditDevicesTest, ListsCanBeElidedAndTimesStay) {
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"v"}})"));
  ASSERT_TRUE(enable("whole", {}));
  ASSERT_TRUE(enable("elided", {{"elide_list_responses", "true"}}));
  ASSERT_TRUE(server_.ask(
      {.operation = Operation::kList, .path = "secret/metadata/", .token = server_.root()}));
  ASSERT_TRUE(server_.read("secret/metadata/a"));
  const std::string a = hash("whole", "a");
  const auto whole = lines_of("whole");
  const auto elided = lines_of("elided");
  EXPECT_EQ(at(about(whole, "secret/metadata/")[1], {"response", "data", "keys"}),
            "[\"" + a + "\"]");
  EXPECT_EQ(at(about(elided, "secret/metadata/")[1], {"response", "data", "keys"}), "1");
  const std::string created =
      at(about(whole, "secret/metadata/a")[1], {"response", "data", "created_time"});
  EXPECT_TRUE(base::parse_rfc3339(created)) << created;
}

TEST_F(AuditDevicesTest, FiltersChooseAndTheFallbackTakesTheRest) {
  ASSERT_TRUE(enable("kv", {{"filter", "mount_type == \"kv\" and operation != \"list\""}}));
  ASSERT_TRUE(enable("rest", {{"fallback", "true"}}));
  ASSERT_TRUE(server_.write("secret/data/a", R"({"data":{"k":"v"}})"));
  ASSERT_TRUE(server_.read("auth/token/lookup-self"));
  const auto second = enable("rest2", {{"fallback", "true"}});
  EXPECT_FALSE(second);
  const auto rest = lines_of("rest");
  const auto kv = lines_of("kv");
  EXPECT_EQ(about(kv, "secret/data/a").size(), 2U);
  EXPECT_EQ(about(kv, "auth/token/lookup-self").size(), 0U);
  EXPECT_EQ(about(rest, "secret/data/a").size(), 0U);
  EXPECT_EQ(about(rest, "auth/token/lookup-self").size(), 2U);
}

TEST_F(AuditDevicesTest, ChosenKeysOfAMountStayInClear) {
  ASSERT_TRUE(server_.write("sys/mounts/plain/tune",
                            R"({"audit_non_hmac_request_keys":["shown"],)"
                            R"("audit_non_hmac_response_keys":["shown"]})"));
  ASSERT_TRUE(enable("file", {}));
  ASSERT_TRUE(server_.write("plain/a", R"({"shown":"clear","hidden":"secret"})"));
  ASSERT_TRUE(server_.read("plain/a"));
  const std::string hidden = hash("file", "secret");
  const auto lines = about(lines_of("file"), "plain/a");
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(at(lines[0], {"request", "data", "shown"}), "clear");
  EXPECT_EQ(at(lines[0], {"request", "data", "hidden"}), hidden);
  EXPECT_EQ(at(lines[3], {"response", "data", "shown"}), "clear");
  EXPECT_EQ(at(lines[3], {"response", "data", "hidden"}), hidden);
}

TEST_F(AuditDevicesTest, ADeviceThatHangsHoldsUpNobody) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const int reader = ::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ASSERT_TRUE(enable("pipe", {}));
  ASSERT_TRUE(enable("file", {}));
  const uint64_t before = server_.record().durable_size();
  const std::string body = R"({"data":{"k":")" + std::string(2'000, 'v') + "\"}}";
  const int requests = 300;  // many times what a pipe holds
  for (int i = 0; i < requests; i++) ASSERT_TRUE(server_.write("secret/data/a", body));
  EXPECT_EQ(server_.record().durable_size(), before + requests);
  // It is said, and the other device has everything.
  const auto works = [&] {
    auto answer = server_.read("sys/audit-status");
    return answer ? at(*Json::parse(answer->data), {"pipe/", "works"}) : "refused";
  };
  for (int i = 0; i < 1'000 && works() != "false"; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(works(), "false");
  EXPECT_EQ(about(lines_of("file"), "secret/data/a").size(), 2U * requests);
  ::close(reader);
}

TEST_F(AuditDevicesTest, TheSealItselfIsTheLastLineAndDevicesComeBack) {
  ASSERT_TRUE(enable("file", {}));
  const std::string before = hash("file", "x");
  ASSERT_TRUE(
      server_.ask({.operation = Operation::kUpdate, .path = "sys/seal", .token = server_.root()}));
  const std::string sealed = text("file");
  EXPECT_NE(sealed.find(R"("path":"sys/seal")"), std::string::npos);
  EXPECT_TRUE(server_.read("sys/seal-status"));
  EXPECT_EQ(text("file"), sealed);
  server_.unseal();
  EXPECT_EQ(hash("file", "x"), before);
  ASSERT_TRUE(server_.read("auth/token/lookup-self"));
  EXPECT_EQ(about(lines_of("file"), "auth/token/lookup-self").size(), 2U);
}

TEST_F(AuditDevicesTest, HeadersAreKeptAsConfigured) {
  ASSERT_TRUE(enable("file", {}));
  ASSERT_TRUE(server_.write("sys/config/auditing/request-headers/X-Plain", "{}"));
  ASSERT_TRUE(server_.write("sys/config/auditing/request-headers/X-Hashed", R"({"hmac":true})"));
  ASSERT_TRUE(server_.write("sys/config/auditing/request-headers/X-Vault-Token", "{}"));
  const uint64_t before = server_.record().durable_size();
  ASSERT_TRUE(server_.ask({.path = "auth/token/lookup-self",
                           .token = server_.root(),
                           .headers = {{"x-plain", "one"},
                                       {"x-hashed", "header-canary"},
                                       {"x-other", "unseen"},
                                       {"x-vault-token", server_.root()}}}));
  const std::string hashed = hash("file", "header-canary");
  const auto lines = about(lines_of("file"), "auth/token/lookup-self");
  ASSERT_EQ(lines.size(), 2U);
  for (const Json& line : lines) {
    EXPECT_EQ(at(line, {"request", "headers", "x-plain"}), R"(["one"])");
    EXPECT_EQ(at(line, {"request", "headers", "x-hashed"}), "[\"" + hashed + "\"]");
    EXPECT_EQ(at(line, {"request", "headers", "x-other"}), "absent");
  }
  while (server_.record().readable_size() <= before) std::this_thread::yield();
  const auto entry = server_.record().entry(before);
  ASSERT_TRUE(entry);
  EXPECT_NE(entry->find(R"("x-plain":["one"])"), std::string::npos) << *entry;
  EXPECT_NE(entry->find(R"("x-hashed":["hmac-sha256:)"), std::string::npos) << *entry;
  for (const std::string& secret : {std::string("header-canary"), server_.root()}) {
    EXPECT_EQ(entry->find(secret), std::string::npos);
    EXPECT_EQ(text("file").find(secret), std::string::npos);
  }
}

}  // namespace
}  // namespace rekey::app
