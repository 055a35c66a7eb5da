// rooms: net
// Serves a fixed answer through net::Server: the bare loop's cost, to set beside nginx's.
// usage: net_fixed_server CERT KEY PORT [THREADS] [late]
// `late`: each turn's requests are answered together from a posted callback, as after a commit.
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cstdio>
#include <string>

#include "net/server.h"

namespace {

using rekey::net::Exchange;
using rekey::net::Loop;

std::string fixed_body() {
  std::string body =
      "{\"request_id\":\"0b6a5b7e-4d9d-0f1e-7d3b-1f3d1c1b2a3c\",\"lease_id\":\"\",\"renewable\":"
      "false,"
      "\"lease_duration\":0,\"data\":{\"data\":{\"value\":\"";
  for (int i = 0; i < 16; i++) body += "abcdefghijklmnop";
  return body +
         "\"},\"metadata\":{\"created_time\":\"2026-11-23T15:00:00.000000000Z\",\"custom_"
         "metadata\":"
         "null,\"deletion_time\":\"\",\"destroyed\":false,\"version\":1}},\"wrap_info\":null,"
         "\"warnings\":null,\"auth\":null}";
}

class FixedAnswer final : public rekey::net::Handler {
 public:
  explicit FixedAnswer(bool late) : late_(late) {}
  void begin_turn(Loop&) override {}
  void handle(Exchange exchange) override {
    if (late_) return waiting_.push_back(std::move(exchange));
    answer(std::move(exchange));
  }
  void end_turn(Loop& loop) override {
    if (waiting_.empty()) return;
    loop.post([this, batch = std::move(waiting_)]() mutable {
      for (Exchange& exchange : batch) answer(std::move(exchange));
    });
    waiting_.clear();
  }
  void malformed(const rekey::net::PeerInfo&, int, std::string_view) override {}

 private:
  void answer(Exchange exchange) {
    if (exchange.request().header("x-vault-token").size() > 1000)
      return;  // as a handler looks it up
    rekey::net::Response response;
    response.body = body_;
    std::move(exchange).reply(std::move(response));
  }
  const bool late_;
  const std::string body_ = fixed_body();
  std::vector<Exchange> waiting_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  rekey::net::use_wiping_openssl_memory();
  rlimit files{65536, 65536};
  setrlimit(RLIMIT_NOFILE, &files);
  const rekey::base::SystemClock clock;
  const rekey::base::Log log(clock, 2);
  rekey::net::ServerOptions options;
  options.io_threads = argc > 4 ? static_cast<uint32_t>(atoi(argv[4])) : 1;
  rekey::net::ListenerOptions& listener = options.listeners.emplace_back();
  listener.address = std::string("127.0.0.1:") + argv[3];
  listener.tls.emplace();
  listener.tls->cert_file = argv[1];
  listener.tls->key_file = argv[2];
  const bool late = argc > 5 && std::string_view(argv[5]) == "late";
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  sigprocmask(SIG_BLOCK, &ending, nullptr);
  auto server = rekey::net::Server::start(
      options, [late](Loop&) { return std::make_unique<FixedAnswer>(late); }, log, clock);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().describe().c_str());
    return 1;
  }
  int signal = 0;
  sigwait(&ending, &signal);
  (*server)->drain(std::chrono::milliseconds(500));
  const rekey::net::ServerStatistics statistics = (*server)->statistics();
  std::printf("requests=%lu turns=%lu connections=%lu malformed=%lu timeouts=%lu\n",
              statistics.requests, statistics.turns, statistics.connections_accepted,
              statistics.malformed, statistics.timeouts);
  return 0;
}
