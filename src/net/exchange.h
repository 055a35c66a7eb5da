// The seam between net and whoever answers requests: Handler is called, Exchange is answered, Loop
// takes work from other threads. Everything here but Loop::post is for the loop's own thread.
//
// A turn of a loop: run what was posted and write those answers; read and parse every connection
// that has bytes; then, if requests are complete, begin_turn(), handle() for each; write the
// answers. A request is therefore received in full before begin_turn(): a storage snapshot taken
// there includes every change that was answered before the request was sent. end_turn() comes when
// nothing more is at hand, so that what waits for a disk goes to it in few large groups; under load
// it comes after a bounded number of requests and a bounded time (event_loop.cc).
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "net/http_message.h"

namespace rekey::net {

// One io thread. Outlives its handler and its exchanges.
class Loop {
 public:
  virtual ~Loop() = default;
  // Any thread: `work` runs on the loop's thread, in order of posting. Work posted after the loop
  // has stopped is destroyed with the server and doesn't run.
  virtual void post(std::move_only_function<void()> work) = 0;
  virtual size_t index() const = 0;  // 0 .. io_threads - 1
};

// Where an Exchange's answer goes: a connection, or a test's recorder.
class ExchangeOwner {
 public:
  virtual const Request& request() const = 0;
  virtual Loop& loop() = 0;
  virtual void answer(Response response) = 0;
  virtual void abandon() = 0;  // dropped without an answer

 protected:
  ~ExchangeOwner() = default;
};

// One request waiting for its answer; owned by the handler until then. Move-only. Dropping it
// without an answer closes the connection. Used and destroyed on the loop's thread only, before the
// server is destroyed. If the client has gone in the meantime, the request's views stay valid and
// the answer is discarded.
class Exchange {
 public:
  explicit Exchange(ExchangeOwner& owner) : owner_(&owner) {}
  Exchange(Exchange&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
  Exchange& operator=(Exchange&& other) noexcept {
    if (this != &other) {
      drop();
      owner_ = std::exchange(other.owner_, nullptr);
    }
    return *this;
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() { drop(); }

  const Request& request() const { return owner_->request(); }
  Loop& loop() { return owner_->loop(); }
  // Answers; the bytes are written in the same turn. Ends the life of the request's views.
  void reply(Response response) && { std::exchange(owner_, nullptr)->answer(std::move(response)); }

 private:
  void drop() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->abandon();
  }
  ExchangeOwner* owner_;
};

// One for each loop, called on the loop's thread. Never blocks.
class Handler {
 public:
  virtual ~Handler() = default;
  // Before the first handle() of a batch of requests; not called where there are none. Several may
  // come before one end_turn().
  virtual void begin_turn(Loop& loop) = 0;
  virtual void handle(Exchange exchange) = 0;
  // Before the loop waits for something to do, also after a turn without requests, and at the
  // latest after a bounded number of requests and a bounded time; answers made here are written.
  virtual void end_turn(Loop& loop) = 0;
  // A request that net refused itself, for the record. `reason` is a constant text.
  virtual void malformed(const PeerInfo& peer, int status, std::string_view reason) = 0;
};

}  // namespace rekey::net
