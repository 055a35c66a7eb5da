#include "net/http_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "base/secret_bytes.h"
#include "net/request_target.h"

namespace rekey::net {
namespace {

constexpr size_t kMethodBytesMax = 32;
constexpr size_t kReadBytesMin = 2048;             // space() offers at least this much
constexpr uint64_t kChunkFramingBytes = 64 << 10;  // or body_bytes_max, if that is more

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; c++) {
    table[c] = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto kTokenTable = make_token_table();

bool is_token(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return kTokenTable[c]; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

}  // namespace

HttpParser::HttpParser()
    : buffer_(std::make_unique_for_overwrite<char[]>(kInitialBytes)), capacity_(kInitialBytes) {
  pieces_.reserve(24);
  headers_.reserve(24);
  llhttp_init(&llhttp_, HTTP_REQUEST, &kSettings);
  llhttp_.data = this;
  start_message();
}

HttpParser::~HttpParser() { base::wipe(buffer_.get(), high_water_); }

const llhttp_settings_t HttpParser::kSettings = [] {
  llhttp_settings_t settings{};
  settings.on_header_field = on_header_field;
  settings.on_header_value = on_header_value;
  settings.on_headers_complete = on_headers_complete;
  settings.on_body = on_body;
  settings.on_message_complete = on_message_complete;
  return settings;
}();

void HttpParser::start_message() {
  state_ = State::kReading;
  phase_ = Phase::kHead;
  refusal_ = {};
  head_begin_ = line_begin_ = scanned_ = headers_begin_ = head_end_ = 0;
  body_size_ = framing_bytes_ = raw_at_ = consumed_ = 0;
  keep_alive_ = true;
  wants_continue_ = in_trailers_ = chunks_done_ = llhttp_wants_chunks_ = false;
  pieces_.clear();
  headers_.clear();
  request_ = {};
}

void HttpParser::grow(size_t wanted) {
  if (wanted <= capacity_) return;
  auto bigger = std::make_unique_for_overwrite<char[]>(wanted);
  std::memcpy(bigger.get(), buffer_.get(), size_);
  base::wipe(buffer_.get(), high_water_);
  high_water_ = size_;
  buffer_ = std::move(bigger);
  capacity_ = wanted;
}

std::span<char> HttpParser::space() {
  if (capacity_ - size_ < kReadBytesMin) {
    // Doubles with what has come, so that a declared length alone takes no memory.
    size_t wanted = capacity_ * 2;
    if (phase_ == Phase::kBody) wanted = std::min(wanted, head_end_ + body_size_ + kReadBytesMin);
    grow(std::max(wanted, size_ + kReadBytesMin));
  }
  return {buffer_.get() + size_, capacity_ - size_};
}

HttpParser::State HttpParser::received(size_t count) {
  REKEY_CHECK(count <= capacity_ - size_);
  size_ += count;
  high_water_ = std::max(high_water_, size_);
  return parse();
}

HttpParser::State HttpParser::next_message() {
  const size_t rest = size_ - consumed_;
  std::memmove(buffer_.get(), buffer_.get() + consumed_, rest);
  base::wipe(buffer_.get() + rest, high_water_ - rest);
  size_ = high_water_ = rest;
  start_message();
  return rest > 0 ? parse() : state_;
}

void HttpParser::clear() {
  base::wipe(buffer_.get(), high_water_);
  if (capacity_ > kInitialBytes) {
    buffer_ = std::make_unique_for_overwrite<char[]>(kInitialBytes);
    capacity_ = kInitialBytes;
  }
  size_ = high_water_ = 0;
  start_message();
}

bool HttpParser::take_wants_continue() {
  const bool wants = wants_continue_ && state_ == State::kReading && size_ == head_end_;
  wants_continue_ = false;
  return wants;
}

HttpParser::State HttpParser::refuse(int status, std::string_view reason) {
  refusal_ = {status, reason};
  keep_alive_ = false;
  return state_ = State::kRefused;
}

HttpParser::State HttpParser::parse() {
  if (state_ != State::kReading) return state_;
  if (phase_ == Phase::kHead && scan_head() && state_ == State::kReading) parse_head(scanned_);
  if (state_ == State::kReading && phase_ == Phase::kBody && size_ - head_end_ >= body_size_) {
    return complete(body_size_, head_end_ + body_size_);
  }
  if (state_ == State::kReading && phase_ == Phase::kChunked) return parse_chunks();
  return state_;
}

// Looks for the empty line that ends the head, and refuses line ends and folded lines on the way.
bool HttpParser::scan_head() {
  const char* bytes = buffer_.get();
  while (true) {
    const void* found = std::memchr(bytes + scanned_, '\n', size_ - scanned_);
    if (found == nullptr) {
      scanned_ = size_;
      if (size_ - head_begin_ > limits_->head_bytes_max ||
          (headers_begin_ == 0 && size_ - line_begin_ > limits_->target_bytes_max + 64)) {
        refuse_long_head();
        return true;
      }
      return false;
    }
    const size_t line_feed = static_cast<const char*>(found) - bytes;
    if (line_feed == line_begin_ || bytes[line_feed - 1] != '\r') {
      refuse(400, "a line does not end in CR LF");
      return true;
    }
    const bool empty_line = line_feed == line_begin_ + 1;
    const size_t line_end = line_feed - 1;
    scanned_ = line_feed + 1;
    if (headers_begin_ == 0) {
      if (empty_line && line_begin_ == 0) {  // RFC 9112 section 2.2: one empty line may come first
        head_begin_ = line_begin_ = scanned_;
        continue;
      }
      if (!parse_request_line(line_end)) return true;
      headers_begin_ = scanned_;
    } else if (bytes[line_begin_] == ' ' || bytes[line_begin_] == '\t') {
      refuse(400, "a header line begins with white space");
      return true;
    } else if (bytes[line_begin_] == ':') {  // llhttp would give the value to the header before
      refuse(400, "a header has no name");
      return true;
    }
    line_begin_ = scanned_;
    if (scanned_ - head_begin_ > limits_->head_bytes_max) {
      refuse_long_head();
      return true;
    }
    if (empty_line) return true;
  }
}

HttpParser::State HttpParser::refuse_long_head() {
  if (headers_begin_ == 0) return refuse(414, "the request target is too long");
  return refuse(431, "the request headers are too long");
}

bool HttpParser::parse_request_line(size_t line_end) {
  const std::string_view line(buffer_.get() + line_begin_, line_end - line_begin_);
  const size_t method_size = line.find(' ');
  const size_t last_space = line.rfind(' ');
  if (method_size == std::string_view::npos || method_size == 0 || last_space == method_size ||
      !is_token(line.substr(0, std::min(method_size, kMethodBytesMax)))) {
    refuse(400, "the request line is malformed");
    return false;
  }
  if (method_size > kMethodBytesMax) {
    refuse(501, "the request method is too long");
    return false;
  }
  const std::string_view version = line.substr(last_space + 1);
  if (version == "HTTP/1.0") {
    request_.http_1_0 = true;
  } else if (version != "HTTP/1.1") {
    const bool other = version.starts_with("HTTP/") && version.size() == 8 && version[6] == '.';
    refuse(other ? 505 : 400,
           other ? "this server speaks HTTP/1.1" : "the request line is malformed");
    return false;
  }
  const auto at = static_cast<uint32_t>(line_begin_);
  method_ = {at, static_cast<uint32_t>(method_size)};
  target_ = {static_cast<uint32_t>(at + method_size + 1),
             static_cast<uint32_t>(last_space - method_size - 1)};
  if (target_.size > limits_->target_bytes_max) {
    refuse(414, "the request target is too long");
    return false;
  }
  if (text(method_) == "CONNECT") {
    refuse(501, "CONNECT is not supported");
    return false;
  }
  std::string_view path, query;
  if (!split_request_target(text(method_), text(target_), path, query)) {
    refuse(400, "the request target is malformed");
    return false;
  }
  path_ = piece(path);
  query_ = piece(query);
  return true;
}

// Nothing, for a view that points elsewhere: an empty one, or the "/" of a target without a path.
HttpParser::Piece HttpParser::piece(std::string_view view) const {
  const char* begin = buffer_.get();
  if (view.data() < begin || view.data() >= begin + size_) return {};
  return {static_cast<uint32_t>(view.data() - begin), static_cast<uint32_t>(view.size())};
}

HttpParser::State HttpParser::parse_head(size_t head_end) {
  head_end_ = head_end;
  llhttp_reset(&llhttp_);
  // Stands in for the request line, which was read above.
  constexpr std::string_view kLine11 = "POST / HTTP/1.1\r\n", kLine10 = "POST / HTTP/1.0\r\n";
  const std::string_view line = request_.http_1_0 ? kLine10 : kLine11;
  REKEY_CHECK(llhttp_execute(&llhttp_, line.data(), line.size()) == HPE_OK);
  const llhttp_errno_t result =
      llhttp_execute(&llhttp_, buffer_.get() + headers_begin_, head_end_ - headers_begin_);
  if (state_ == State::kRefused) return state_;
  if (result == HPE_UNEXPECTED_CONTENT_LENGTH || result == HPE_INVALID_TRANSFER_ENCODING ||
      result == HPE_INVALID_CONTENT_LENGTH) {
    return refuse(400, "Content-Length or Transfer-Encoding is malformed or repeated");
  }
  if (result != HPE_OK && result != HPE_PAUSED) return refuse(400, "a header is malformed");
  if (!check_framing()) return state_;
  if (llhttp_wants_chunks_) {
    phase_ = Phase::kChunked;
    raw_at_ = head_end_;
    raw_last_ = '\n';
    return state_;
  }
  REKEY_CHECK(result == HPE_PAUSED);  // on_message_complete: llhttp was told that there is no body
  phase_ = Phase::kBody;
  return state_;
}

// What llhttp leaves open: RFC 9112 sections 3.2 (Host), 6.1 (Transfer-Encoding), RFC 9110 10.1.1
// (Expect).
bool HttpParser::check_framing() {
  unsigned hosts = 0, encodings = 0, lengths = 0;
  for (const HeaderPieces& pieces : pieces_) {
    const std::string_view name = text(pieces.name);
    switch (name.size()) {
      case 4:
        hosts += equal_ignoring_case(name, "host");
        break;
      case 6:
        if (!equal_ignoring_case(name, "expect") || request_.http_1_0) break;
        if (!equal_ignoring_case(trimmed(text(pieces.value)), "100-continue")) {
          refuse(417, "an expectation other than 100-continue can't be met");
          return false;
        }
        wants_continue_ = true;
        break;
      case 14:
        lengths += equal_ignoring_case(name, "content-length");
        break;
      case 17:
        if (!equal_ignoring_case(name, "transfer-encoding")) break;
        encodings++;
        if (!equal_ignoring_case(trimmed(text(pieces.value)), "chunked")) {
          refuse(501, "a transfer encoding other than chunked is not supported");
          return false;
        }
        break;
      default:
        break;
    }
  }
  if (hosts > 1 || (hosts == 0 && !request_.http_1_0)) {
    refuse(400, hosts > 1 ? "more than one Host header" : "the Host header is missing");
    return false;
  }
  if (encodings + lengths > 1 || (encodings == 1 && request_.http_1_0)) {
    refuse(400, "Content-Length or Transfer-Encoding is malformed or repeated");
    return false;
  }
  if (body_size_ > limits_->body_bytes_max) {
    refuse(413, "the request body is too large");
    return false;
  }
  return true;
}

// Chunks are decoded in place: what is decoded moves down behind the head, framing disappears.
HttpParser::State HttpParser::parse_chunks() {
  const char* begin = buffer_.get() + raw_at_;
  const size_t count = size_ - raw_at_;
  if (count == 0) return state_;
  const size_t decoded_before = body_size_;
  const char last = buffer_[size_ - 1];
  const llhttp_errno_t result = llhttp_execute(&llhttp_, begin, count);
  if (state_ == State::kRefused) return state_;
  if (chunks_done_) {
    const char* end = llhttp_get_error_pos(&llhttp_);
    const size_t used = end - begin;
    REKEY_CHECK(result == HPE_PAUSED && used > 0 && used <= count);
    // llhttp takes a bare LF for the end of the trailers. (The byte before is not overwritten by
    // decoded ones: at least the last chunk's size and its line end lie between.)
    if ((used > 1 ? end[-2] : raw_last_) != '\r') {
      return refuse(400, "a line does not end in CR LF");
    }
    return complete(body_size_, raw_at_ + used);
  }
  if (result != HPE_OK) return refuse(400, "the chunked body is malformed");
  framing_bytes_ += count - (body_size_ - decoded_before);
  const uint64_t framing_max = std::max(kChunkFramingBytes, limits_->body_bytes_max);
  if (framing_bytes_ > framing_max) return refuse(413, "the chunked body has too much framing");
  raw_last_ = last;
  size_ = raw_at_ = head_end_ + body_size_;
  return state_;
}

HttpParser::State HttpParser::complete(size_t body_size, size_t consumed) {
  phase_ = Phase::kDone;
  consumed_ = consumed;
  request_.method = text(method_);
  request_.target = text(target_);
  request_.path = path_.size > 0 ? text(path_) : "/";
  request_.query = text(query_);
  for (const HeaderPieces& pieces : pieces_) {
    headers_.push_back({text(pieces.name), trimmed(text(pieces.value))});
  }
  request_.headers = headers_;
  request_.body = {buffer_.get() + head_end_, body_size};
  return state_ = State::kComplete;
}

int HttpParser::on_header_field(llhttp_t* llhttp, const char* at, size_t size) {
  auto& self = *static_cast<HttpParser*>(llhttp->data);
  if (self.in_trailers_) return 0;  // trailers are read and dropped
  if (self.pieces_.size() == self.limits_->headers_max) {
    self.refuse(431, "there are too many request headers");
    return HPE_USER;
  }
  HeaderPieces& pieces = self.pieces_.emplace_back();
  pieces.name = {static_cast<uint32_t>(at - self.buffer_.get()), static_cast<uint32_t>(size)};
  return 0;
}

int HttpParser::on_header_value(llhttp_t* llhttp, const char* at, size_t size) {
  auto& self = *static_cast<HttpParser*>(llhttp->data);
  if (self.in_trailers_) return 0;
  self.pieces_.back().value = {static_cast<uint32_t>(at - self.buffer_.get()),
                               static_cast<uint32_t>(size)};
  return 0;
}

int HttpParser::on_headers_complete(llhttp_t* llhttp) {
  auto& self = *static_cast<HttpParser*>(llhttp->data);
  llhttp->upgrade = 0;  // an Upgrade is ignored, as RFC 9110 section 7.8 allows
  self.keep_alive_ = llhttp_should_keep_alive(llhttp) != 0;
  self.in_trailers_ = true;
  if ((llhttp->flags & F_CHUNKED) != 0) {
    self.llhttp_wants_chunks_ = true;
    return 0;
  }
  self.body_size_ = llhttp->content_length;
  return 1;  // a body of known length isn't llhttp's business
}

int HttpParser::on_body(llhttp_t* llhttp, const char* at, size_t size) {
  auto& self = *static_cast<HttpParser*>(llhttp->data);
  if (self.body_size_ + size > self.limits_->body_bytes_max) {
    self.refuse(413, "the request body is too large");
    return HPE_USER;
  }
  std::memmove(self.buffer_.get() + self.head_end_ + self.body_size_, at, size);
  self.body_size_ += size;
  return 0;
}

int HttpParser::on_message_complete(llhttp_t* llhttp) {
  static_cast<HttpParser*>(llhttp->data)->chunks_done_ = true;
  return HPE_PAUSED;
}

}  // namespace rekey::net
