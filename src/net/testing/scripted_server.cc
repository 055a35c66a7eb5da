#include "net/testing/scripted_server.h"

#include <charconv>
#include <chrono>
#include <cstdio>

#include "base/check.h"

namespace rekey::net::testing {
namespace {

size_t number(std::string_view text) {
  size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

// One for each loop; what it holds belongs to its loop's thread.
class ScriptedHandler final : public Handler {
 public:
  ScriptedHandler(ScriptedServer& server, std::vector<std::vector<Exchange>*>& held_lists)
      : server_(server) {
    held_lists.push_back(&held_);
  }
  void begin_turn(Loop&) override {
    in_turn_ = true;
    server_.note("begin");
  }
  void end_turn(Loop&) override {
    if (std::exchange(in_turn_, false)) server_.note("end");
  }
  void malformed(const PeerInfo& peer, int status, std::string_view reason) override {
    const std::lock_guard lock(server_.mutex_);
    server_.malformed_.push_back({peer.address, status, std::string(reason)});
  }
  void handle(Exchange exchange) override;

 private:
  ScriptedServer& server_;
  std::vector<Exchange> held_;
  bool in_turn_ = false;
};

void ScriptedHandler::handle(Exchange exchange) {
  const Request& request = exchange.request();
  server_.note("handle " + std::string(request.path));
  {
    const std::lock_guard lock(server_.mutex_);
    server_.last_peer_ = request.peer();
  }
  Response response;
  const std::string_view path = request.path;
  if (path == "/drop") return;
  if (path == "/late") return server_.answer_late(std::move(exchange));
  if (path == "/hold") {
    held_.push_back(std::move(exchange));
    const std::lock_guard lock(server_.mutex_);
    server_.held_count_++;
    server_.changed_.notify_all();
    return;
  }
  if (path == "/slow") {
    std::this_thread::sleep_for(std::chrono::milliseconds(number(request.query)));
  } else if (path == "/bytes") {
    response.body.assign(number(request.query), 'b');
  } else if (path == "/status") {
    response.status = static_cast<int>(number(request.query));
    response.headers = "X-Extra: yes\r\n";
    response.body = "{}";
  } else if (path == "/close") {
    response.close = true;
  } else if (path == "/address") {
    response.body = request.client_address();
  } else if (path == "/redirect") {
    response.status = 307;
    response.headers = "Location: " + std::string(request.query) + "\r\n";
  } else if (path == "/describe") {
    response.body = std::string(request.method) + " " + std::string(request.target) + " " +
                    std::to_string(request.body.size());
    for (const Header& header : request.headers) {
      response.body += "\n" + std::string(header.name) + ": " + std::string(header.value);
    }
  } else {
    response.body = request.body;
  }
  std::move(exchange).reply(std::move(response));
}

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 1000; i++) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

ServerOptions plain_options() {
  ServerOptions options;
  options.listeners.emplace_back().address = "127.0.0.1:0";
  return options;
}

ServerOptions tls_options(const CertificateFiles& files) {
  ServerOptions options = plain_options();
  TlsOptions& tls = options.listeners.front().tls.emplace();
  tls.cert_file = files.cert_file;
  tls.key_file = files.key_file;
  return options;
}

ScriptedServer::ScriptedServer() : ScriptedServer(plain_options()) {}

ScriptedServer::ScriptedServer(ServerOptions options) { start(std::move(options)); }

void ScriptedServer::start(ServerOptions options) {
  auto started = Server::start(
      std::move(options),
      [this](Loop&) { return std::make_unique<ScriptedHandler>(*this, held_lists_); }, log_,
      clock_);
  if (!started) std::fprintf(stderr, "%s\n", started.error().describe().c_str());
  REKEY_CHECK(started.has_value());
  server_ = std::move(*started);
  addresses_ = server_->addresses();
}

ScriptedServer::~ScriptedServer() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  drop_held();
  server_.reset();
}

void ScriptedServer::note(std::string event) {
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
}

void ScriptedServer::answer_late(Exchange exchange) {
  Loop& loop = exchange.loop();
  const std::lock_guard lock(mutex_);
  threads_.emplace_back([&loop, exchange = std::move(exchange)]() mutable {
    loop.post([exchange = std::move(exchange)]() mutable {
      Response response;
      response.body = exchange.request().body;
      std::move(exchange).reply(std::move(response));
    });
  });
}

std::vector<ScriptedServer::Malformed> ScriptedServer::malformed() const {
  const std::lock_guard lock(mutex_);
  return malformed_;
}

std::vector<std::string> ScriptedServer::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

PeerInfo ScriptedServer::last_peer() const {
  const std::lock_guard lock(mutex_);
  return last_peer_;
}

bool ScriptedServer::wait_for_held(size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return held_count_ >= count; });
}

void ScriptedServer::release() {
  for (size_t i = 0; i < held_lists_.size(); i++) {
    server_->loop(i).post([held = held_lists_[i]] {
      for (Exchange& exchange : *held) {
        Response response;
        response.body = exchange.request().body;
        std::move(exchange).reply(std::move(response));
      }
      held->clear();
    });
  }
}

void ScriptedServer::drop_held() {
  for (size_t i = 0; i < held_lists_.size(); i++) {
    server_->loop(i).post([held = held_lists_[i]] { held->clear(); });
  }
}

}  // namespace rekey::net::testing
