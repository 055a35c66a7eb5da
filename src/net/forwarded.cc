#include "net/forwarded.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

namespace rekey::net {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;

constexpr std::string_view kHeader = "x-forwarded-for";
constexpr int kMappedBits = 96;  // ::ffff:0:0/96

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Some proxies add the port: "192.0.2.1:4711", "[2001:db8::1]:4711", "[2001:db8::1]".
std::string_view without_port(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    return end == std::string_view::npos ? text : text.substr(1, end - 1);
  }
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    return text.substr(0, colon);
  }
  return text;
}

size_t count_entries(std::string_view value) {
  return 1 + static_cast<size_t>(std::ranges::count(value, ','));
}

// The entry at `index` from the left of one header's comma-separated list.
std::string_view entry_at(std::string_view value, size_t index) {
  for (; index > 0; index--) value.remove_prefix(value.find(',') + 1);
  return trimmed(value.substr(0, value.find(',')));
}

}  // namespace

bool parse_ip_address(std::string_view text, IpAddress& out) {
  char terminated[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof(terminated)) return false;
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  out = {};
  if (inet_pton(AF_INET, terminated, out.bytes.data() + 12) == 1) {
    out.bytes[10] = out.bytes[11] = 0xff;
    out.v4 = true;
    return true;
  }
  if (inet_pton(AF_INET6, terminated, out.bytes.data()) != 1) return false;
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  out.v4 = std::equal(kMapped.begin(), kMapped.end(), out.bytes.begin());
  return true;
}

bool IpRange::contains(const IpAddress& address) const {
  if (network.v4 != address.v4) return false;
  const size_t whole = static_cast<size_t>(prefix_bits) / 8;
  if (!std::equal(network.bytes.begin(), network.bytes.begin() + whole, address.bytes.begin())) {
    return false;
  }
  const int rest = prefix_bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (network.bytes[whole] & mask) == (address.bytes[whole] & mask);
}

Result<IpRange> parse_ip_range(std::string_view text) {
  IpRange range;
  const size_t slash = text.find('/');
  if (!parse_ip_address(text.substr(0, slash), range.network)) {
    return fail(ErrorKind::kInvalid, "not an IP address or range: " + std::string(text));
  }
  if (slash == std::string_view::npos) return range;
  const std::string_view digits = text.substr(slash + 1);
  int bits = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  const bool written_as_v4 = !text.substr(0, slash).contains(':');
  const int bits_max = written_as_v4 ? 32 : 128;
  if (error != std::errc() || end != digits.data() + digits.size() || bits < 0 || bits > bits_max) {
    return fail(ErrorKind::kInvalid, "not an IP range: " + std::string(text));
  }
  range.prefix_bits = written_as_v4 ? bits + kMappedBits : bits;
  // "::ffff:10.0.0.0/8": eight bits of the IPv6 form would be every IPv4 address.
  if (range.network.v4 && range.prefix_bits < kMappedBits) {
    return fail(ErrorKind::kInvalid, "not an IP range: " + std::string(text));
  }
  return range;
}

Result<ForwardedRule> ForwardedRule::compile(const ForwardedOptions& options) {
  ForwardedRule rule;
  for (const std::string& text : options.authorized_addresses) {
    Result<IpRange> range = parse_ip_range(text);
    if (!range) return forward(range);
    rule.authorized_.push_back(*range);
  }
  rule.hop_skips_ = options.hop_skips;
  rule.reject_not_present_ = options.reject_not_present;
  rule.reject_not_authorized_ = options.reject_not_authorized;
  return rule;
}

std::string_view ForwardedRule::apply(Request& request) const {
  size_t entries = 0;
  for (const Header& header : request.headers) {
    if (equal_ignoring_case(header.name, kHeader)) entries += count_entries(header.value);
  }
  if (entries == 0) {
    return reject_not_present_ ? "the X-Forwarded-For header is required here" : "";
  }
  IpAddress peer;
  const bool authorized =
      parse_ip_address(request.peer().address, peer) &&
      std::ranges::any_of(authorized_, [&](const IpRange& range) { return range.contains(peer); });
  if (!authorized) {
    return reject_not_authorized_ ? "this address may not send X-Forwarded-For" : "";
  }
  if (hop_skips_ >= entries) return "X-Forwarded-For has fewer entries than the hops to skip";
  size_t index = entries - 1 - hop_skips_;
  for (const Header& header : request.headers) {
    if (!equal_ignoring_case(header.name, kHeader)) continue;
    const size_t here = count_entries(header.value);
    if (index >= here) {
      index -= here;
      continue;
    }
    const std::string_view address = without_port(entry_at(header.value, index));
    IpAddress parsed;
    if (!parse_ip_address(address, parsed)) return "X-Forwarded-For does not hold an IP address";
    request.forwarded_address = address;
    return "";
  }
  return "";
}

}  // namespace rekey::net
