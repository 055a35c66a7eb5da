// rooms: net
// Any bytes, in pieces of any size: the parser must come to the same requests however they are cut,
// and every view must lie in what was sent.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "net/forwarded.h"
#include "net/http_parser.h"

namespace {

using rekey::net::HttpLimits;
using rekey::net::HttpParser;
using State = HttpParser::State;

constexpr HttpLimits kLimits = {
    .body_bytes_max = 4096, .head_bytes_max = 8192, .target_bytes_max = 1024, .headers_max = 32};

// Whatever X-Forwarded-For says, what comes of it is an address or nothing.
void check_forwarded(rekey::net::Request& request) {
  rekey::net::PeerInfo peer;
  peer.address = "10.0.0.1";
  request.peer_info = &peer;
  rekey::net::ForwardedOptions options;
  options.authorized_addresses = {"10.0.0.0/8"};
  options.hop_skips = static_cast<uint32_t>(request.path.size() % 3);
  rekey::net::ForwardedRule::compile(options)->apply(request);
  rekey::net::IpAddress parsed;
  REKEY_CHECK(request.forwarded_address.empty() ||
              rekey::net::parse_ip_address(request.forwarded_address, parsed));
  request.peer_info = nullptr;
}

// What was understood: one line a request, then how it ended.
std::string read_all(std::string_view bytes, size_t step) {
  HttpParser parser;
  parser.set_limits(kLimits);
  std::string seen;
  State state = State::kReading;
  while (true) {
    if (state == State::kComplete) {
      const rekey::net::Request& request = parser.request();
      REKEY_CHECK(!request.method.empty() && !request.path.empty());
      REKEY_CHECK(request.body.size() <= kLimits.body_bytes_max);
      REKEY_CHECK(request.headers.size() <= kLimits.headers_max);
      seen.append(request.method).append(" ").append(request.path).append("?");
      seen.append(request.query).append(" ").append(parser.keep_alive() ? "keep" : "close");
      for (const rekey::net::Header& header : request.headers) {
        REKEY_CHECK(header.name.find_first_of(": \t\r\n") == std::string_view::npos);
        REKEY_CHECK(header.value.find_first_of(std::string_view("\r\n\0", 3)) ==
                    std::string_view::npos);
        seen.append("\n ").append(header.name).append(":").append(header.value);
      }
      check_forwarded(parser.request());
      seen.append("\n=").append(request.body).append("\n");
      state = parser.next_message();
      continue;
    }
    if (state == State::kRefused) {
      REKEY_CHECK(parser.refusal().status >= 400 && !parser.refusal().reason.empty());
      // Which of two faults in one message is seen first may depend on the cut.
      return seen + "refused";
    }
    if (bytes.empty()) return seen;
    const std::span<char> space = parser.space();
    const size_t count = std::min({step, space.size(), bytes.size()});
    std::memcpy(space.data(), bytes.data(), count);
    bytes.remove_prefix(count);
    state = parser.received(count);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = read_all(bytes, size + 1);
  const std::string cut = read_all(bytes, 1);
  const std::string other = read_all(bytes, 7);
  REKEY_CHECK(whole == cut && cut == other);
  return 0;
}
