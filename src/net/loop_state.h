// What the connections of one loop share: queues of the turn, spare buffers, counters, the time.
// Lives on the loop's thread; only the counters and SharedLimits are read or changed by others.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/exchange.h"
#include "net/http_parser.h"
#include "net/transport.h"

namespace rekey::net {

class Connection;

// A request while it is read, handled and answered. Idle connections have none.
struct Message {
  HttpParser parser;
  Response response;
  std::string unsent;  // of an answer that the socket didn't take at once
  size_t unsent_at = 0;
  uint64_t counted_bytes = 0;  // of SharedLimits::buffered_bytes

  void forget_answer();  // gives its memory back, which wipes it
};

// Over all loops of a server.
struct SharedLimits {
  uint64_t connections_max = 0;
  uint64_t buffered_bytes_max = 0;
  alignas(64) std::atomic<uint64_t> connections{0};
  alignas(64) std::atomic<uint64_t> buffered_bytes{0};  // of buffers over the initial size
};

// Written by the loop's thread alone, read by any.
class Counter {
 public:
  void add(uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct LoopCounters {
  Counter accepted, refused, closed, handshakes_failed, requests, malformed, timeouts;
  Counter bytes_in, bytes_out, turns;
};

struct LoopState {
  LoopState(Loop& loop_of, SharedLimits& limits) : loop(loop_of), shared(limits) {}

  Loop& loop;
  SharedLimits& shared;
  Handler* handler = nullptr;
  int64_t now_ms = 0;  // when this turn began; monotonic
  bool draining = false;
  uint32_t handshakes_left = 0;  // in this turn
  size_t open_exchanges = 0;

  std::vector<Connection*> complete;  // with a whole request, to be handed over
  std::vector<Connection*> to_write;  // with an answer
  std::vector<Connection*> again;     // to go on in the next turn, without an event
  std::vector<Connection*> finished;  // to be destroyed at the end of the turn

  std::vector<std::unique_ptr<Message>> spare_messages;
  std::string scratch;  // an answer is put together here
  alignas(64) LoopCounters counters;

  std::unique_ptr<Message> take_message();
  void give_message(std::unique_ptr<Message> message);  // wipes it
};

}  // namespace rekey::net
