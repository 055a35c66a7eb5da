#include "net/event_loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace rekey::net {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;

constexpr size_t kEventsPerTurnMax = 32;       // the first answer waits until all of them are read
constexpr size_t kUnsettledRequestsMax = 128;  // handled before end_turn(), however many more wait
constexpr int64_t kUnsettledMs = 5;            // from one end_turn() to the next, however busy
constexpr uint32_t kAcceptsPerTurnMax = 32;    // of each listener
constexpr uint32_t kHandshakesPerTurnMax = 8;  // a few milliseconds, with RSA keys
constexpr int64_t kTickMs = 100;
constexpr size_t kTickShare = 10;  // a tick looks at a tenth of the connections
constexpr size_t kTickConnectionsMin = 64;
constexpr int64_t kExchangesHomeMs = 5'000;  // what stop() waits for handlers to answer

}  // namespace

EventLoop::EventLoop(size_t index, SharedLimits& shared, const base::Log& log,
                     const base::Clock& clock)
    : index_(index), log_(log), clock_(clock), state_(*this, shared) {}

EventLoop::~EventLoop() {
  join();
  // Whoever holds an Exchange lets go of it here, while its connection still exists.
  running_.clear();
  posted_.clear();
  handler_.reset();
}

void EventLoop::set_handler(std::unique_ptr<Handler> handler) {
  handler_ = std::move(handler);
  state_.handler = handler_.get();
}

Result<void> EventLoop::open(const std::vector<std::shared_ptr<Listener>>& listeners) {
  epoll_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
  waker_ = FileDescriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (epoll_.get() < 0 || waker_.get() < 0) {
    return fail(ErrorKind::kInternal, "can't open epoll", strerror(errno));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &waker_tag_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waker_.get(), &event) != 0) {
    return fail(ErrorKind::kInternal, "can't use epoll", strerror(errno));
  }
  for (const auto& listener : listeners) {
    Result<FileDescriptor> fd = listener->socket_for_loop();
    if (!fd) return forward(fd);
    sockets_.push_back(std::make_unique<ListeningSocket>(std::move(*fd), listener));
    if (!watch(*sockets_.back())) {
      return fail(ErrorKind::kInternal, "can't watch a listening socket", strerror(errno));
    }
  }
  return {};
}

bool EventLoop::watch(ListeningSocket& socket) {
  epoll_event event{};
  // Of the loops that share a unix socket, one is woken for a connection.
  event.events = EPOLLIN | (socket.listener->is_unix() ? EPOLLEXCLUSIVE : 0u);
  event.data.ptr = static_cast<Watched*>(&socket);
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.fd.get(), &event) == 0;
}

void EventLoop::start() {
  // Signals are for the thread that made the server.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), ("io-" + std::to_string(index_)).c_str());
}

void EventLoop::post(std::move_only_function<void()> work) {
  bool wake = false;
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
    wake = std::exchange(asleep_, false);
  }
  if (wake) {
    const uint64_t one = 1;
    (void)!::write(waker_.get(), &one, sizeof(one));
  }
}

void EventLoop::request_stop(std::chrono::milliseconds patience) {
  post([this, patience] { begin_drain(state_.now_ms + patience.count()); });
}

bool EventLoop::join() {
  if (thread_.joinable()) thread_.join();
  return !cut_off_any_;
}

void EventLoop::update_now() {
  state_.now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.monotonic()).count();
}

void EventLoop::run() {
  update_now();
  next_tick_ms_ = state_.now_ms + kTickMs;
  while (!may_end()) turn();
}

// The order is promised in exchange.h: a request is whole before begin_turn(), and what was posted
// is answered first, so that answers waiting for a commit don't wait for other requests as well.
void EventLoop::turn() {
  wait_for_events();
  const bool posted = take_posted();
  if (posted) flush_answers();
  batch_.swap(state_.again);
  for (Connection* connection : batch_) connection->go_on();
  batch_.clear();
  handle_complete();
  const bool overdue = state_.now_ms - settled_ms_ >= kUnsettledMs;
  if (unsettled_ >= kUnsettledRequestsMax || overdue) settle();
  if (state_.now_ms >= next_tick_ms_) tick();
  flush_answers();
  destroy_finished();
}

int EventLoop::wait_ms() {
  if (!state_.again.empty() || !state_.complete.empty() || !state_.finished.empty()) return 0;
  if (connections_.empty() && !state_.draining && !accepting_paused_) return -1;
  return static_cast<int>(std::clamp<int64_t>(next_tick_ms_ - state_.now_ms, 0, kTickMs));
}

// Nothing more is at hand, or enough has been gathered.
void EventLoop::settle() {
  unsettled_ = 0;
  settled_ms_ = state_.now_ms;
  handler_->end_turn(*this);
}

void EventLoop::wait_for_events() {
  std::array<epoll_event, kEventsPerTurnMax> events;
  // A look before the wait: what has come meanwhile still joins the group that end_turn() sends
  // off.
  int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  if (count == 0) {
    settle();
    flush_answers();
    int timeout_ms = wait_ms();
    {
      const std::lock_guard lock(posted_mutex_);
      if (!posted_.empty()) timeout_ms = 0;
      asleep_ = timeout_ms != 0;
    }
    if (timeout_ms != 0) {
      count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
    }
  }
  REKEY_CHECK(count >= 0 || errno == EINTR);
  update_now();
  state_.handshakes_left = kHandshakesPerTurnMax;
  for (int i = 0; i < count; i++) {
    auto* watched = static_cast<Watched*>(events[i].data.ptr);
    switch (watched->kind) {
      case Watched::Kind::kConnection:
        static_cast<Connection*>(watched)->on_event(events[i].events);
        break;
      case Watched::Kind::kListeningSocket:
        accept_from(*static_cast<ListeningSocket*>(watched));
        break;
      case Watched::Kind::kWaker: {
        uint64_t times = 0;
        (void)!::read(waker_.get(), &times, sizeof(times));
        break;
      }
    }
  }
}

bool EventLoop::take_posted() {
  {
    const std::lock_guard lock(posted_mutex_);
    asleep_ = false;
    running_.swap(posted_);
  }
  if (running_.empty()) return false;
  for (auto& work : running_) work();
  running_.clear();
  return true;
}

void EventLoop::handle_complete() {
  if (state_.complete.empty()) return;
  state_.counters.turns.add();
  batch_.swap(state_.complete);
  unsettled_ += batch_.size();
  handler_->begin_turn(*this);
  for (Connection* connection : batch_) connection->hand_over();
  batch_.clear();
}

void EventLoop::flush_answers() {
  batch_.swap(state_.to_write);
  for (Connection* connection : batch_) connection->flush();
  batch_.clear();
}

void EventLoop::accept_from(ListeningSocket& socket) {
  for (uint32_t i = 0; i < kAcceptsPerTurnMax; i++) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    const int fd = ::accept4(socket.fd.get(), reinterpret_cast<sockaddr*>(&address), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log_.warn("net", "out of file descriptors or memory: not accepting for a moment");
        pause_accepting();
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK || accepting_paused_) return;
      continue;  // this connection is broken, the next may not be
    }
    PeerInfo peer;
    peer.listener_index = socket.listener->index();
    peer.unix_socket = socket.listener->is_unix();
    if (!peer.unix_socket) peer.address = format_address(&address, peer.port);
    adopt(fd, socket, std::move(peer));
  }
}

void EventLoop::adopt(int fd, ListeningSocket& socket, PeerInfo peer) {
  state_.counters.accepted.add();
  if (state_.shared.connections.fetch_add(1, std::memory_order_relaxed) >=
      state_.shared.connections_max) {
    state_.shared.connections.fetch_sub(1, std::memory_order_relaxed);
    state_.counters.refused.add();
    ::close(fd);
    return;
  }
  auto owned = std::make_unique<Connection>(state_, socket.listener, std::move(peer));
  Connection& connection = *owned;
  connection.slot = connections_.size();
  connections_.push_back(std::move(owned));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = static_cast<Watched*>(&connection);
  if (!connection.start(fd, bio_method_) ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    connection.cut_off();
  }
}

void EventLoop::pause_accepting() {
  for (const auto& socket : sockets_) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket->fd.get(), nullptr);
  }
  accepting_paused_ = true;
}

void EventLoop::tick() {
  next_tick_ms_ = state_.now_ms + kTickMs;
  if (std::exchange(accepting_paused_, false)) {
    for (const auto& socket : sockets_) watch(*socket);
  }
  const bool past_drain = state_.draining && state_.now_ms >= drain_deadline_ms_;
  if (past_drain) {
    for (const auto& connection : connections_) {
      if (!connection->is_closed()) cut_off_any_ = true;
      connection->cut_off();
    }
    return;
  }
  const size_t count = connections_.size();
  const size_t share = std::min(count, count / kTickShare + kTickConnectionsMin);
  for (size_t i = 0; i < share; i++) {
    if (tick_cursor_ >= count) tick_cursor_ = 0;
    connections_[tick_cursor_++]->tick();
  }
}

void EventLoop::destroy_finished() {
  if (state_.finished.empty()) return;
  batch_.swap(state_.finished);
  for (Connection* connection : batch_) {
    if (!connection->can_be_destroyed()) {
      state_.finished.push_back(connection);
      continue;
    }
    const size_t slot = connection->slot;
    std::swap(connections_[slot], connections_.back());
    connections_[slot]->slot = slot;
    connections_.pop_back();
  }
  batch_.clear();
}

void EventLoop::begin_drain(int64_t deadline_ms) {
  if (state_.draining) {
    drain_deadline_ms_ = std::min(drain_deadline_ms_, deadline_ms);
    next_tick_ms_ = std::min(next_tick_ms_, drain_deadline_ms_);
    return;
  }
  state_.draining = true;
  drain_deadline_ms_ = deadline_ms;
  next_tick_ms_ = std::min(next_tick_ms_, deadline_ms);
  // A unix socket is shared between the loops: closing our copy alone would leave it watched.
  for (const auto& socket : sockets_) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket->fd.get(), nullptr);
  }
  sockets_.clear();
  for (const auto& connection : connections_) connection->begin_drain();
}

bool EventLoop::may_end() {
  if (!state_.draining) return false;
  if (connections_.empty()) return true;
  if (state_.now_ms < drain_deadline_ms_ + kExchangesHomeMs) return false;
  log_.error("net", "stopping although requests are still being handled",
             {{"requests", std::to_string(state_.open_exchanges)}});
  return true;
}

}  // namespace rekey::net
