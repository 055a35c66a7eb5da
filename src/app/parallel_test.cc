// Changes against reads, over the network and on all threads: what a change that returned forbids
// is not allowed once more. Run under the thread sanitizer as well.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "app/instance.h"
#include "base/codec.h"
#include "net/testing/raw_client.h"

namespace rekey::app {
namespace {

using net::testing::RawAnswer;
using net::testing::RawClient;

constexpr int kReaders = 3;
constexpr std::chrono::milliseconds kDuration{1500};

std::string request_text(const std::string& method, const std::string& path,
                         const std::string& token, const std::string& body) {
  return method + " /v1/" + path + " HTTP/1.1\r\nHost: x\r\nX-Vault-Token: " + token +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// One connection. A status of 0 is no answer at all.
class Client {
 public:
  explicit Client(const std::string& address) : client_(address) {}
  int ask(const std::string& method, const std::string& path, const std::string& token,
          const std::string& body = "") {
    auto answer = client_.ask(request_text(method, path, token, body));
    if (!answer) return 0;
    body_ = std::move(answer->body);
    return answer->status;
  }
  // A string member of the last answer, wherever it stands.
  std::string member(const std::string& name) const {
    const std::string mark = "\"" + name + "\":\"";
    const size_t at = body_.find(mark);
    if (at == std::string::npos) return "";
    return body_.substr(at + mark.size(), body_.find('"', at + mark.size()) - at - mark.size());
  }
  const std::string& body() const { return body_; }

 private:
  RawClient client_;
  std::string body_;
};

// What is in force: odd while it is being changed. A reader who sees the same even number before
// and after its request knows what the answer must be.
class Phase {
 public:
  uint64_t now() const { return number_.load(); }
  void change(const std::function<void()>& change) {
    number_.fetch_add(1);
    change();
    number_.fetch_add(1);
  }
  static bool steady(uint64_t before, uint64_t after) { return before == after && before % 2 == 0; }

 private:
  std::atomic<uint64_t> number_{0};
};

class ParallelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Settings settings;
    settings.storage = StorageKind::kMemory;
    settings.storage_type = "inmem";
    settings.server.io_threads = 2;
    net::ListenerOptions listener;
    listener.address = "127.0.0.1:0";
    settings.server.listeners = {listener};
    auto started = Instance::start(std::move(settings), clock_, random_, log_);
    ASSERT_TRUE(started) << started.error().describe();
    instance_ = std::move(*started);
    auto made = instance_->seal_control().initialize(
        {.shares = {1, 1}, .recovery = {}, .pgp_keys = 0, .root_token = "root"});
    ASSERT_TRUE(made);
    share_ = base::hex_encode(made->shares[0].reveal());
    ASSERT_TRUE(instance_->seal_control().unseal(share_));
    ASSERT_TRUE(instance_->add_kv_mount("secret/", "2"));
    Client client(address());
    ASSERT_EQ(client.ask("POST", "secret/data/a", "root", R"({"data":{"v":"kept"}})"), 200);
    policy(client, true);
  }
  void TearDown() override {
    if (instance_) instance_->stop();
  }

  std::string address() { return instance_->server().addresses()[0]; }
  static void policy(Client& client, bool allow) {
    const std::string body =
        std::string(R"({"policy":"path \"secret/data/*\" { capabilities = [\")") +
        (allow ? "read" : "deny") + R"(\"] }"})";
    EXPECT_EQ(client.ask("POST", "sys/policies/acl/app", "root", body), 204) << client.body();
  }
  std::string make_token(Client& client, const std::string& maker = "root") {
    EXPECT_EQ(client.ask("POST", "auth/token/create", maker, R"({"policies":["app","maker"]})"),
              200)
        << client.body();
    return client.member("client_token");
  }

  // Runs `read` on some threads until `change` has been called over and over for a while.
  void play(const std::function<void(Client&)>& read, const std::function<void(Client&)>& change) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> readers;
    for (int i = 0; i < kReaders; i++) {
      readers.emplace_back([&] {
        Client client(address());
        while (!stop) read(client);
      });
    }
    Client client(address());
    const auto end = std::chrono::steady_clock::now() + kDuration;
    while (std::chrono::steady_clock::now() < end && !HasFailure()) change(client);
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_GT(judged_, 20u) << "hardly a request fell between two changes";
  }

  // A read with `token`; judged where nothing changed meanwhile.
  void read_and_judge(Client& client, const std::string& token, const Phase& phase,
                      const std::function<int(uint64_t)>& expected) {
    const uint64_t before = phase.now();
    const int status = client.ask("GET", "secret/data/a", token);
    const uint64_t after = phase.now();
    if (!Phase::steady(before, after)) return;
    judged_++;
    EXPECT_EQ(status, expected(before)) << "in phase " << before << ": " << client.body();
  }
  static void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(3)); }

  const base::SystemClock clock_;
  base::SystemRandom random_;
  base::Log log_{clock_, -1};
  std::unique_ptr<Instance> instance_;
  std::string share_;
  std::atomic<uint64_t> judged_{0};
};

TEST_F(ParallelTest, APolicyChangeThatReturnedIsInForce) {
  Client client(address());
  const std::string token = make_token(client);
  Phase phase;
  bool allow = true;  // phases 0, 4, 8 ... allow
  play(
      [&](Client& reader) {
        read_and_judge(reader, token, phase,
                       [](uint64_t number) { return number % 4 == 0 ? 200 : 403; });
      },
      [&](Client& writer) {
        allow = !allow;
        phase.change([&] { policy(writer, allow); });
        rest();
      });
}

TEST_F(ParallelTest, ARevocationThatReturnedIsInForce) {
  Client client(address());
  ASSERT_EQ(
      client.ask("POST", "sys/policies/acl/maker", "root",
                 R"({"policy":"path \"auth/token/create\" { capabilities = [\"update\"] }"})"),
      204);
  std::mutex mutex;
  std::string token = make_token(client);
  Phase phase;  // phases 0, 4, 8 ... with a living token
  play(
      [&](Client& reader) {
        std::string mine;
        const uint64_t taken_in = phase.now();
        {
          std::lock_guard lock(mutex);
          mine = token;
        }
        if (taken_in % 2 != 0 || phase.now() != taken_in) return;
        read_and_judge(reader, mine, phase, [&](uint64_t number) {
          return number % 4 == 0 && number == taken_in ? 200 : 403;
        });
      },
      [&](Client& writer) {
        // Revoked by its parent, so that the cut-off is what ends it.
        std::string parent = make_token(writer), child = make_token(writer, parent);
        phase.change([&] {
          std::lock_guard lock(mutex);
          EXPECT_EQ(
              writer.ask("POST", "auth/token/revoke", "root", "{\"token\":\"" + token + "\"}"), 204)
              << writer.body();
        });
        rest();
        phase.change([&] {
          std::lock_guard lock(mutex);
          token = child;
        });
        rest();
        phase.change([&] {
          EXPECT_EQ(
              writer.ask("POST", "auth/token/revoke", "root", "{\"token\":\"" + parent + "\"}"),
              204)
              << writer.body();
        });
        rest();
        const std::string next = make_token(writer);
        phase.change([&] {
          std::lock_guard lock(mutex);
          token = next;
        });
        rest();
      });
}

TEST_F(ParallelTest, ASealThatReturnedIsInForce) {
  Client client(address());
  const std::string token = make_token(client);
  Phase phase;  // phases 0, 4, 8 ... are open
  play(
      [&](Client& reader) {
        read_and_judge(reader, token, phase,
                       [](uint64_t number) { return number % 4 == 0 ? 200 : 503; });
      },
      [&](Client& writer) {
        phase.change(
            [&] { EXPECT_EQ(writer.ask("POST", "sys/seal", "root"), 204) << writer.body(); });
        rest();
        phase.change([&] {
          EXPECT_EQ(writer.ask("POST", "sys/unseal", "", "{\"key\":\"" + share_ + "\"}"), 200)
              << writer.body();
        });
        rest();
      });
}

}  // namespace
}  // namespace rekey::app
