#include "net/server.h"

#include "base/check.h"
#include "net/event_loop.h"
#include "net/listener.h"

namespace rekey::net {
namespace {
using base::ErrorKind;
using base::fail;
using base::Result;

constexpr uint32_t kIoThreadsMax = 256;
}  // namespace

struct Server::Parts {
  SharedLimits shared;
  std::vector<std::shared_ptr<Listener>> listeners;
  std::vector<std::unique_ptr<EventLoop>> loops;
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, HandlerFactory factory,
                                              const base::Log& log, const base::Clock& clock) {
  if (options.io_threads == 0 || options.io_threads > kIoThreadsMax) {
    return fail(ErrorKind::kInvalid, "the number of io threads is from 1 to 256");
  }
  auto server = std::make_unique<Server>(std::make_unique<Parts>());
  Parts& parts = *server->parts_;
  parts.shared.connections_max = options.connections_max;
  parts.shared.buffered_bytes_max = options.buffered_bytes_max;
  for (const ListenerOptions& each : options.listeners) {
    auto listener = Listener::open(each, static_cast<uint16_t>(parts.listeners.size()));
    if (!listener && !each.place.empty()) {
      const base::Error& why = listener.error();
      return fail(why.kind(), each.place + ": " + why.message(), why.detail());
    }
    if (!listener) return forward(listener);
    parts.listeners.push_back(std::move(*listener));
  }
  for (size_t i = 0; i < options.io_threads; i++) {
    auto loop = std::make_unique<EventLoop>(i, parts.shared, log, clock);
    Result<void> opened = loop->open(parts.listeners);
    if (!opened) return forward(opened);
    parts.loops.push_back(std::move(loop));
  }
  for (const auto& listener : parts.listeners) listener->loops_are_served();
  for (const auto& loop : parts.loops) loop->set_handler(factory(*loop));
  for (const auto& loop : parts.loops) loop->start();
  return server;
}

Result<void> Server::reload_certificates() {
  std::vector<std::shared_ptr<const TlsContext>> fresh;
  for (const auto& listener : parts_->listeners) {
    auto tls = listener->load_tls();
    if (!tls) return forward(tls);
    fresh.push_back(std::move(*tls));
  }
  for (size_t i = 0; i < fresh.size(); i++) parts_->listeners[i]->set_tls(std::move(fresh[i]));
  return {};
}

bool Server::drain(std::chrono::milliseconds patience) {
  for (const auto& loop : parts_->loops) loop->request_stop(patience);
  bool clean = true;
  for (const auto& loop : parts_->loops) clean &= loop->join();
  return clean;
}

void Server::stop() { drain(std::chrono::milliseconds(0)); }

std::vector<std::string> Server::addresses() const {
  std::vector<std::string> all;
  for (const auto& listener : parts_->listeners) all.push_back(listener->address());
  return all;
}

ServerStatistics Server::statistics() const {
  ServerStatistics sum;
  sum.connections_now = parts_->shared.connections.load(std::memory_order_relaxed);
  for (const auto& loop : parts_->loops) {
    const LoopCounters& counters = loop->counters();
    sum.connections_accepted += counters.accepted.get();
    sum.connections_refused += counters.refused.get();
    sum.handshakes_failed += counters.handshakes_failed.get();
    sum.requests += counters.requests.get();
    sum.malformed += counters.malformed.get();
    sum.timeouts += counters.timeouts.get();
    sum.bytes_in += counters.bytes_in.get();
    sum.bytes_out += counters.bytes_out.get();
    sum.turns += counters.turns.get();
  }
  return sum;
}

size_t Server::loop_count() const { return parts_->loops.size(); }

Loop& Server::loop(size_t index) {
  REKEY_CHECK(index < parts_->loops.size());
  return *parts_->loops[index];
}

}  // namespace rekey::net
