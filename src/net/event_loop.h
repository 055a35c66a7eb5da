// One io thread: epoll (edge-triggered, registered once a connection), accepting, the turn
// described in exchange.h, work posted from other threads, and one coarse tick for all time limits.
//
// Everything runs on the loop's own thread but post(), start(), request_stop() and join().
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "net/connection.h"
#include "net/exchange.h"
#include "net/listener.h"
#include "net/loop_state.h"

namespace rekey::net {

class EventLoop final : public Loop {
 public:
  EventLoop(size_t index, SharedLimits& shared, const base::Log& log, const base::Clock& clock);
  ~EventLoop() override;  // join() first

  // Before start(): opens epoll and this loop's listening sockets.
  base::Result<void> open(const std::vector<std::shared_ptr<Listener>>& listeners);
  void set_handler(std::unique_ptr<Handler> handler);
  void start();

  // Loop
  void post(std::move_only_function<void()> work) override;
  size_t index() const override { return index_; }

  // Stops accepting and ends the thread once all is answered, or when `patience` is over. A second
  // call may only shorten the wait.
  void request_stop(std::chrono::milliseconds patience);
  bool join();  // true if no connection had to be cut off
  const LoopCounters& counters() const { return state_.counters; }

 private:
  struct ListeningSocket : Watched {
    ListeningSocket(FileDescriptor socket, std::shared_ptr<Listener> listener_of)
        : Watched(Kind::kListeningSocket),
          fd(std::move(socket)),
          listener(std::move(listener_of)) {}
    FileDescriptor fd;
    std::shared_ptr<Listener> listener;
  };

  void run();
  void turn();
  void wait_for_events();
  void settle();
  bool take_posted();
  void handle_complete();
  void flush_answers();
  void accept_from(ListeningSocket& socket);
  void adopt(int fd, ListeningSocket& socket, PeerInfo peer);
  void pause_accepting();
  bool watch(ListeningSocket& socket);
  void tick();
  void destroy_finished();
  void update_now();
  int wait_ms();
  void begin_drain(int64_t deadline_ms);
  bool may_end();

  const size_t index_;
  const base::Log& log_;
  const base::Clock& clock_;
  LoopState state_;
  FileDescriptor epoll_;
  FileDescriptor waker_;
  Watched waker_tag_{Watched::Kind::kWaker};
  SocketBioMethod bio_method_;
  std::vector<std::unique_ptr<ListeningSocket>> sockets_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Handler> handler_;  // after the connections: its exchanges go first
  std::vector<Connection*> batch_;    // what a queue held when its turn came
  size_t unsettled_ = 0;              // requests handled since the last end_turn()
  int64_t settled_ms_ = 0;            // when that was

  std::mutex posted_mutex_;
  std::vector<std::move_only_function<void()>> posted_;  // guarded by posted_mutex_
  bool asleep_ = false;                                  // guarded by posted_mutex_
  std::vector<std::move_only_function<void()>> running_;

  int64_t next_tick_ms_ = 0;
  size_t tick_cursor_ = 0;
  bool accepting_paused_ = false;
  int64_t drain_deadline_ms_ = 0;
  bool cut_off_any_ = false;
  std::thread thread_;
};

}  // namespace rekey::net
