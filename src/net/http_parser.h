// Turns bytes into one whole Request at a time, and refuses what is malformed or over a limit.
//
// Owns the buffer in which bytes arrive; knows no socket, no TLS and no time. Used by one thread at
// a time. Reused from request to request and from connection to connection without allocating.
//
// The request line is read here, since llhttp knows a closed list of methods and Vault's LIST isn't
// in it; headers, Connection and chunks are llhttp's (built strict). Before llhttp sees a head,
// each line is checked to end in CRLF and not to begin with white space (obs-fold).
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "net/http_message.h"
#include "net/server_options.h"

namespace rekey::net {

class HttpParser {
 public:
  enum class State {
    kReading,   // wants more bytes
    kComplete,  // request() is whole; bytes after it are kept for next_message()
    kRefused,   // refusal() says why; nothing more can be read here
  };
  struct Refusal {
    int status = 0;
    std::string_view reason;  // a literal, safe for the client and the record
  };

  HttpParser();
  ~HttpParser();  // wipes
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // `limits` outlives the parser's use. Only when empty().
  void set_limits(const HttpLimits& limits) { limits_ = &limits; }

  // Where to put the next bytes: never empty while reading. Then received() says how many came.
  std::span<char> space();
  State received(size_t count);
  State state() const { return state_; }

  // Ends a complete message: wipes it, and reads on in what followed it.
  State next_message();
  // Wipes everything and gives memory beyond the initial buffer back.
  void clear();

  const Request& request() const { return request_; }
  Request& request() { return request_; }
  const Refusal& refusal() const { return refusal_; }
  bool keep_alive() const { return keep_alive_; }
  bool head_complete() const { return phase_ != Phase::kHead; }
  bool empty() const { return size_ == 0 && state_ == State::kReading; }
  // True once for a request whose client waits for 100 Continue and has sent no body yet.
  bool take_wants_continue();
  size_t capacity() const { return capacity_; }

  static constexpr size_t kInitialBytes = 4096;

 private:
  enum class Phase { kHead, kBody, kChunked, kDone };
  struct Piece {
    uint32_t at = 0, size = 0;
  };
  struct HeaderPieces {
    Piece name, value;
  };

  State parse();
  State refuse(int status, std::string_view reason);
  bool scan_head();  // true: the head's end was found, or the request refused
  State refuse_long_head();
  State parse_head(size_t head_end);
  bool parse_request_line(size_t line_end);
  bool check_framing();
  State parse_chunks();
  State complete(size_t body_size, size_t consumed);
  void grow(size_t wanted);
  void start_message();
  Piece piece(std::string_view view) const;
  std::string_view text(Piece of) const { return {buffer_.get() + of.at, of.size}; }

  static int on_header_field(llhttp_t* llhttp, const char* at, size_t size);
  static int on_header_value(llhttp_t* llhttp, const char* at, size_t size);
  static int on_headers_complete(llhttp_t* llhttp);
  static int on_body(llhttp_t* llhttp, const char* at, size_t size);
  static int on_message_complete(llhttp_t* llhttp);
  static const llhttp_settings_t kSettings;

  const HttpLimits* limits_ = nullptr;
  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0;
  size_t size_ = 0;        // bytes in the buffer
  size_t high_water_ = 0;  // bytes ever written since the last wipe
  State state_ = State::kReading;
  Phase phase_ = Phase::kHead;
  Refusal refusal_;

  size_t head_begin_ = 0;     // after an empty line that some clients send first
  size_t line_begin_ = 0;     // of the line that scan_head() is in
  size_t scanned_ = 0;        // scan_head() has looked at bytes before this
  size_t headers_begin_ = 0;  // after the request line; 0: not known yet
  size_t head_end_ = 0;       // where the body begins
  size_t body_size_ = 0;      // as declared, or decoded so far
  size_t framing_bytes_ = 0;  // of chunk sizes, extensions and trailers
  size_t raw_at_ = 0;         // chunks before this are decoded
  char raw_last_ = 0;         // the byte before raw_at_
  size_t consumed_ = 0;       // of a complete message
  bool keep_alive_ = true;
  bool wants_continue_ = false;
  bool in_trailers_ = false;
  bool chunks_done_ = false;
  bool llhttp_wants_chunks_ = false;

  Piece method_, target_, path_, query_;
  std::vector<HeaderPieces> pieces_;
  std::vector<Header> headers_;
  Request request_;
  llhttp_t llhttp_;
};

}  // namespace rekey::net
