// One client's connection: handshake, requests one after the other, answers in their order.
//
// Lives on its loop's thread. A request that was handed over keeps the object and its buffer alive
// until the Exchange is answered or dropped, also when the client is long gone.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "net/exchange.h"
#include "net/listener.h"
#include "net/loop_state.h"
#include "net/transport.h"

namespace rekey::net {

// What an epoll event points to.
struct Watched {
  enum class Kind : uint8_t { kConnection, kListeningSocket, kWaker };
  explicit Watched(Kind kind_of) : kind(kind_of) {}
  const Kind kind;
};

class Connection final : public Watched, public ExchangeOwner {
 public:
  Connection(LoopState& state, std::shared_ptr<Listener> listener, PeerInfo peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Takes the accepted socket over. False: it can't be served and is closed.
  bool start(int fd, const SocketBioMethod& method);
  void on_event(uint32_t epoll_events);
  void go_on();      // from LoopState::again
  void hand_over();  // from LoopState::complete: calls the handler
  void flush();      // from LoopState::to_write: writes the answer as far as the socket takes it
  void tick();       // now and then: time limits
  void begin_drain();
  void cut_off();  // closes without ceremony
  bool is_closed() const { return phase_ == Phase::kClosed; }
  bool can_be_destroyed() const;

  // ExchangeOwner
  const Request& request() const override { return message_->parser.request(); }
  Loop& loop() override { return state_.loop; }
  void answer(Response response) override;
  void abandon() override;

  size_t slot = 0;  // place in the loop's table

 private:
  enum class Phase : uint8_t {
    kHandshake,
    kReading,    // idle, or a request is coming in
    kHandling,   // the handler has it
    kWriting,    // an answer is going out
    kLingering,  // answered a request that wasn't read to its end; reading the rest away
    kClosed,
  };

  void progress();
  void shake_hands();
  void read_requests();
  void after_parsing(HttpParser::State parsed);
  bool count_buffer();
  void send_continue();
  void refuse(int status, std::string_view reason);
  void compose_answer();
  void on_written();
  void linger();
  void close();
  void time_out();
  void release_message();
  void queue_again();
  void queue_write();
  void wait_idle();

  LoopState& state_;
  std::shared_ptr<Listener> listener_;
  PeerInfo peer_;
  Transport transport_;
  std::unique_ptr<Message> message_;
  int64_t deadline_ms_ = 0;       // of the present phase
  int64_t read_deadline_ms_ = 0;  // of the request that is coming in
  Phase phase_ = Phase::kHandshake;
  bool exchange_open_ = false;
  bool refused_ = false;      // the answer is net's own, and bytes may follow that nobody reads
  bool close_after_ = false;  // this answer is the last
  bool queued_again_ = false;
  bool queued_write_ = false;
  bool queued_complete_ = false;
  bool buffers_released_ = false;
};

}  // namespace rekey::net
