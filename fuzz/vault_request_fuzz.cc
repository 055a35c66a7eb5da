// rooms: api/vault
// Any HTTP request that the parser takes, made a request of the pipeline: its path is one that
// policies and routes can rely on, its numbers are within their limits, and an error is rendered as
// JSON. What follows the first zero byte is rendered as an answer.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "api/vault/render.h"
#include "api/vault/translate.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/json.h"
#include "net/http_parser.h"

namespace logical = rekey::logical;
namespace net = rekey::net;
namespace vault = rekey::api::vault;
using State = net::HttpParser::State;

namespace {

constexpr net::HttpLimits kLimits = {
    .body_bytes_max = 65536, .head_bytes_max = 16384, .target_bytes_max = 8192, .headers_max = 64};

void check_path(std::string_view path) {
  REKEY_CHECK(path.size() <= vault::kPathBytesMax + 1);
  REKEY_CHECK(!path.starts_with('/') && path.find("//") == std::string_view::npos);
  REKEY_CHECK(path.find('\0') == std::string_view::npos);
  while (!path.empty()) {
    const std::string_view segment = path.substr(0, path.find('/'));
    REKEY_CHECK(segment != "." && segment != "..");
    path.remove_prefix(std::min(segment.size() + 1, path.size()));
  }
}

void check_error(const rekey::base::Error& error) {
  const net::Response response = vault::render_error(error);
  REKEY_CHECK(response.status >= 400 && response.status < 600);
  const auto json = rekey::base::Json::parse(response.body);
  REKEY_CHECK(json.has_value() && json->find("errors") != nullptr);
}

void check_answer(const logical::Request& request, std::string_view text) {
  const auto json = rekey::base::Json::parse(text);
  if (!json || !json->is_object()) return;
  logical::Response response;
  response.data = json->dump();
  response.warnings = {std::string(text.substr(0, 100))};
  const net::Response http = vault::render(request, std::move(response));
  if (!rekey::base::is_valid_utf8(text.substr(0, 100))) return;  // warnings are ours: always valid
  REKEY_CHECK(rekey::base::Json::parse(http.body).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string_view first = bytes.substr(0, bytes.find('\0'));
  const std::string_view rest = bytes.substr(std::min(first.size() + 1, bytes.size()));
  net::HttpParser parser;
  parser.set_limits(kLimits);
  State state = State::kReading;
  for (std::string_view left = first; !left.empty() && state == State::kReading;) {
    const std::span<char> space = parser.space();
    const size_t count = std::min(space.size(), left.size());
    std::memcpy(space.data(), left.data(), count);
    left.remove_prefix(count);
    state = parser.received(count);
  }
  if (state != State::kComplete) return 0;
  net::PeerInfo peer;
  peer.address = "10.0.0.1";
  parser.request().peer_info = &peer;
  logical::Request request;
  const auto translated = vault::translate(parser.request(), request);
  check_path(request.path);
  REKEY_CHECK(!request.wrap_ttl || request.wrap_ttl->count() > 0);
  if (!translated) {
    check_error(translated.error());
    return 0;
  }
  REKEY_CHECK(request.data.is_null() || request.data.is_object());
  check_answer(request, rest);
  return 0;
}
