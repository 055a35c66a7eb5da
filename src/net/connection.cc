#include "net/connection.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "base/secret_bytes.h"
#include "net/response_head.h"

namespace rekey::net {
namespace {

constexpr size_t kReadBytesPerTurnMax = 256 << 10;      // of one connection; then others come first
constexpr size_t kContiguousAnswerBytesMax = 16 << 10;  // head and body in one TLS record
constexpr size_t kDiscardReadsPerTurnMax = 32;
constexpr size_t kDiscardBytes = 16 << 10;
constexpr int64_t kLingerMs = 2'000;
constexpr int64_t kIdleBuffersMs = 1'000;  // then OpenSSL's buffers are given back

}  // namespace

Connection::Connection(LoopState& state, std::shared_ptr<Listener> listener, PeerInfo peer)
    : Watched(Kind::kConnection),
      state_(state),
      listener_(std::move(listener)),
      peer_(std::move(peer)) {}

Connection::~Connection() {
  if (message_ != nullptr) state_.give_message(std::move(message_));
}

bool Connection::start(int fd, const SocketBioMethod& method) {
  const HttpTimeouts& timeouts = listener_->options().timeouts;
  SslHandle ssl;
  if (const auto tls = listener_->tls()) {
    ssl = tls->new_connection();
    if (ssl == nullptr) {
      ::close(fd);
      return false;
    }
    peer_.tls = true;
  }
  phase_ = peer_.tls ? Phase::kHandshake : Phase::kReading;
  deadline_ms_ = state_.now_ms + (peer_.tls ? timeouts.handshake : timeouts.idle).count();
  return transport_.open(fd, std::move(ssl), method);
}

bool Connection::can_be_destroyed() const {
  return !exchange_open_ && !queued_again_ && !queued_write_ && !queued_complete_;
}

void Connection::queue_again() {
  if (std::exchange(queued_again_, true)) return;
  state_.again.push_back(this);
}

void Connection::queue_write() {
  if (std::exchange(queued_write_, true)) return;
  state_.to_write.push_back(this);
}

void Connection::on_event(uint32_t epoll_events) {
  const bool gone = (epoll_events & EPOLLERR) != 0;
  const bool hung_up = (epoll_events & EPOLLHUP) != 0;
  if (phase_ == Phase::kClosed) return;
  // Where nobody is left to take the answer. Before a request is whole, a hang-up may still have
  // bytes in front of it.
  if (gone || (hung_up && (phase_ == Phase::kHandling || phase_ == Phase::kWriting))) {
    return cut_off();
  }
  const bool ended = hung_up || (epoll_events & EPOLLRDHUP) != 0;
  if (ended || (epoll_events & EPOLLIN) != 0) transport_.mark_readable(ended);
  if (phase_ == Phase::kWriting) {
    if ((epoll_events & EPOLLOUT) != 0) queue_write();
    return;
  }
  progress();
}

void Connection::go_on() {
  queued_again_ = false;
  progress();
}

void Connection::progress() {
  if (phase_ == Phase::kHandshake) shake_hands();
  if (phase_ == Phase::kReading) read_requests();
  if (phase_ == Phase::kLingering) linger();
}

void Connection::shake_hands() {
  // A handshake costs as much as a hundred requests: a rush of them is spread over turns.
  if (state_.handshakes_left == 0) return queue_again();
  state_.handshakes_left--;
  switch (transport_.handshake()) {
    case Transport::Io::kWouldBlock:
      return;
    case Transport::Io::kClosed:
      state_.counters.handshakes_failed.add();
      if (transport_.spoke_plain_http()) {
        constexpr std::string_view kHint =
            "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
            "Client sent an HTTP request to an HTTPS server.\n";
        transport_.write_raw(kHint);
        transport_.end_writing();
        deadline_ms_ = state_.now_ms + kLingerMs;
        phase_ = Phase::kLingering;
        return;
      }
      return cut_off();
    case Transport::Io::kDone:
      break;
  }
  peer_.client_certificate_der = transport_.client_certificate();
  if (!peer_.client_certificate_der.empty()) {
    peer_.client_intermediates_der = transport_.client_intermediates();
  }
  wait_idle();
}

void Connection::wait_idle() {
  phase_ = Phase::kReading;
  deadline_ms_ = state_.now_ms + listener_->options().timeouts.idle.count();
  if (state_.draining) close();
}

void Connection::read_requests() {
  size_t left = kReadBytesPerTurnMax;
  while (phase_ == Phase::kReading && transport_.may_have_more()) {
    if (left == 0) return queue_again();
    if (message_ == nullptr) {
      message_ = state_.take_message();
      message_->parser.set_limits(listener_->options().limits);
    }
    const std::span<char> space = message_->parser.space();
    if (!count_buffer()) return refuse(503, "too many large requests at a time");
    const Transport::Count read = transport_.read(space.first(std::min(space.size(), left)));
    buffers_released_ = false;
    if (read.io == Transport::Io::kClosed) return close();
    if (read.io == Transport::Io::kWouldBlock) {
      if (message_->parser.empty()) release_message();
      return;
    }
    if (message_->parser.empty()) {
      const HttpTimeouts& timeouts = listener_->options().timeouts;
      deadline_ms_ = state_.now_ms + timeouts.read_header.count();
      read_deadline_ms_ = state_.now_ms + timeouts.read.count();
    }
    left -= read.bytes;
    after_parsing(message_->parser.received(read.bytes));
  }
}

// False if all large buffers of the server together have become too large.
bool Connection::count_buffer() {
  const uint64_t capacity = message_->parser.capacity();
  const uint64_t counted = capacity > HttpParser::kInitialBytes ? capacity : 0;
  if (counted <= message_->counted_bytes) return true;
  const uint64_t more = counted - message_->counted_bytes;
  message_->counted_bytes = counted;
  const uint64_t all = state_.shared.buffered_bytes.fetch_add(more) + more;
  return all <= state_.shared.buffered_bytes_max;
}

void Connection::after_parsing(HttpParser::State parsed) {
  HttpParser& parser = message_->parser;
  switch (parsed) {
    case HttpParser::State::kReading:
      if (parser.head_complete()) deadline_ms_ = read_deadline_ms_;
      if (parser.take_wants_continue()) send_continue();
      return;
    case HttpParser::State::kRefused:
      return refuse(parser.refusal().status, parser.refusal().reason);
    case HttpParser::State::kComplete:
      break;
  }
  parser.request().peer_info = &peer_;
  if (listener_->forwarded().enabled()) {
    const std::string_view reason = listener_->forwarded().apply(parser.request());
    if (!reason.empty()) return refuse(400, reason);
  }
  phase_ = Phase::kHandling;
  deadline_ms_ = state_.now_ms + listener_->options().timeouts.request.count();
  queued_complete_ = true;
  state_.complete.push_back(this);
}

void Connection::send_continue() {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const Transport::Count sent = transport_.write(kContinue);
  // 25 bytes that don't fit mean a client that reads nothing.
  if (sent.io != Transport::Io::kDone || sent.bytes != kContinue.size()) cut_off();
}

void Connection::hand_over() {
  queued_complete_ = false;
  if (phase_ != Phase::kHandling) return;  // closed in the meantime
  exchange_open_ = true;
  state_.open_exchanges++;
  state_.counters.requests.add();
  state_.handler->handle(Exchange(*this));
}

void Connection::answer(Response response) {
  REKEY_CHECK(exchange_open_);
  exchange_open_ = false;
  state_.open_exchanges--;
  if (phase_ != Phase::kHandling) {  // too late: the client is gone, or was told so
    if (phase_ == Phase::kClosed) {
      release_message();
      state_.finished.push_back(this);
    }
    return;
  }
  message_->response = std::move(response);
  phase_ = Phase::kWriting;
  queue_write();
}

void Connection::abandon() {
  REKEY_CHECK(exchange_open_);
  if (phase_ == Phase::kHandling) cut_off();
  exchange_open_ = false;
  state_.open_exchanges--;
  if (phase_ == Phase::kClosed) {
    release_message();
    state_.finished.push_back(this);
  }
}

// Answers for net itself: a request that will not reach the handler, or has been there too long.
void Connection::refuse(int status, std::string_view reason) {
  state_.counters.malformed.add();
  state_.handler->malformed(peer_, status, reason);
  message_->response = Response();
  message_->response.status = status;
  message_->response.body = error_body(reason);
  message_->response.close = true;
  refused_ = true;
  phase_ = Phase::kWriting;
  queue_write();
}

// Puts head and body into the loop's scratch, or, if they are large, into message_->unsent.
void Connection::compose_answer() {
  Response& response = message_->response;
  const Request& request = message_->parser.request();
  const bool keep = message_->parser.keep_alive() && !response.close && !state_.draining;
  close_after_ = !keep;
  const AnswerForm form{.http_1_0 = request.http_1_0,
                        .head_request = !refused_ && request.method == "HEAD",
                        .close = close_after_};
  const bool with_body = !form.head_request && may_have_body(response.status);
  std::string& scratch = state_.scratch;
  scratch.clear();
  append_response_head(scratch, response, form);
  if (!with_body) return;
  if (scratch.size() + response.body.size() <= kContiguousAnswerBytesMax) {
    scratch += response.body;
    return;
  }
  message_->unsent.reserve(scratch.size() + response.body.size());
  message_->unsent = scratch;
  message_->unsent += response.body;
}

void Connection::flush() {
  queued_write_ = false;
  if (phase_ != Phase::kWriting) return;
  const bool first = message_->unsent.empty();
  if (first) compose_answer();
  const bool in_scratch = message_->unsent.empty();
  const std::string& bytes = in_scratch ? state_.scratch : message_->unsent;
  size_t at = in_scratch ? 0 : message_->unsent_at;
  Transport::Io io = Transport::Io::kDone;
  while (at < bytes.size() && io == Transport::Io::kDone) {
    const Transport::Count sent = transport_.write(std::string_view(bytes).substr(at));
    io = sent.io;
    at += sent.bytes;
  }
  const bool all = at == bytes.size();
  if (!all && in_scratch) {
    message_->unsent.assign(state_.scratch, at);
    at = 0;
  }
  message_->unsent_at = at;
  if (first) base::wipe(state_.scratch.data(), state_.scratch.size());
  if (io == Transport::Io::kClosed) return cut_off();
  if (all) return on_written();
  if (first) deadline_ms_ = state_.now_ms + listener_->options().timeouts.write.count();
}

void Connection::on_written() {
  state_.counters.bytes_in.add(transport_.take_bytes_in());
  state_.counters.bytes_out.add(transport_.take_bytes_out());
  if (close_after_) {
    if (!refused_ && !transport_.may_have_more()) return close();
    // Closing a socket with unread bytes would reset it, and the client might lose the answer.
    transport_.end_writing();
    if (!exchange_open_) release_message();
    deadline_ms_ = state_.now_ms + kLingerMs;
    phase_ = Phase::kLingering;
    return linger();
  }
  message_->forget_answer();
  const HttpParser::State parsed = message_->parser.next_message();
  if (message_->parser.empty()) {
    release_message();
    wait_idle();
  } else {
    const HttpTimeouts& timeouts = listener_->options().timeouts;
    phase_ = Phase::kReading;
    deadline_ms_ = state_.now_ms + timeouts.read_header.count();
    read_deadline_ms_ = state_.now_ms + timeouts.read.count();
    after_parsing(parsed);
  }
  if (phase_ == Phase::kReading && transport_.may_have_more()) queue_again();
}

void Connection::linger() {
  char discard[kDiscardBytes];
  for (size_t reads = 0; reads < kDiscardReadsPerTurnMax; reads++) {
    const Transport::Count read = transport_.read_raw(discard);
    if (read.io == Transport::Io::kClosed) return cut_off();
    if (read.io == Transport::Io::kWouldBlock) return;
  }
  queue_again();
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  transport_.end_writing();
  cut_off();
}

void Connection::cut_off() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  state_.counters.bytes_in.add(transport_.take_bytes_in());
  state_.counters.bytes_out.add(transport_.take_bytes_out());
  state_.counters.closed.add();
  transport_.close();
  state_.shared.connections.fetch_sub(1, std::memory_order_relaxed);
  if (exchange_open_) return;  // the handler still reads the request
  release_message();
  state_.finished.push_back(this);
}

void Connection::release_message() {
  if (message_ != nullptr) state_.give_message(std::move(message_));
}

void Connection::begin_drain() {
  if (phase_ == Phase::kHandshake || (phase_ == Phase::kReading && message_ == nullptr)) close();
}

void Connection::tick() {
  if (phase_ == Phase::kClosed) return;
  if (state_.now_ms >= deadline_ms_) return time_out();
  if (phase_ == Phase::kReading && message_ == nullptr && !buffers_released_) {
    const int64_t idle_since = deadline_ms_ - listener_->options().timeouts.idle.count();
    if (state_.now_ms - idle_since < kIdleBuffersMs) return;
    transport_.release_buffers();
    buffers_released_ = true;
  }
}

void Connection::time_out() {
  const bool idle = phase_ == Phase::kReading && message_ == nullptr;
  if (!idle && phase_ != Phase::kLingering) state_.counters.timeouts.add();
  if (phase_ == Phase::kReading && !idle) return refuse(408, "the request came in too slowly");
  if (phase_ == Phase::kHandling && exchange_open_) {
    return refuse(503, "the request took too long");
  }
  if (phase_ == Phase::kReading) return close();
  cut_off();
}

}  // namespace rekey::net
