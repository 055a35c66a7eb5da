// X-Forwarded-For: whose word about the client's address is taken. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http_message.h"
#include "net/server_options.h"

namespace rekey::net {

// An IPv4 or IPv6 address as 16 bytes (IPv4 in its mapped form).
struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  bool v4 = false;
};
bool parse_ip_address(std::string_view text, IpAddress& out);

struct IpRange {
  IpAddress network;
  int prefix_bits = 128;  // of the 16 bytes
  bool contains(const IpAddress& address) const;
};
base::Result<IpRange> parse_ip_range(std::string_view text);  // "10.0.0.0/8", "::1"

class ForwardedRule {
 public:
  static base::Result<ForwardedRule> compile(const ForwardedOptions& options);
  bool enabled() const { return !authorized_.empty(); }

  // Sets request.forwarded_address where a trusted proxy gave one. Otherwise leaves it empty, or
  // returns why the request is refused (a literal, for a 400); empty means go on.
  std::string_view apply(Request& request) const;

 private:
  std::vector<IpRange> authorized_;
  uint32_t hop_skips_ = 0;
  bool reject_not_present_ = true;
  bool reject_not_authorized_ = true;
};

}  // namespace rekey::net
