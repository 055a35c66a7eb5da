#include "logical/cidr.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace rekey::logical {
namespace {

using base::ErrorKind;

struct Network {
  std::array<unsigned char, 16> address{};
  int family = 0;
  int bits = 0;
};

bool parse_network(std::string_view text, Network& out) {
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  out.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  const int all_bits = out.family == AF_INET ? 32 : 128;
  if (inet_pton(out.family, address.c_str(), out.address.data()) != 1) return false;
  out.bits = all_bits;
  if (slash == std::string_view::npos) return true;
  const std::string_view digits = text.substr(slash + 1);
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), out.bits);
  return problem == std::errc() && end == digits.data() + digits.size() && !digits.empty() &&
         out.bits >= 0 && out.bits <= all_bits;
}

bool contains(const Network& network, const Network& host) {
  if (network.family != host.family) return false;
  const auto whole = static_cast<size_t>(network.bits / 8);
  if (std::memcmp(network.address.data(), host.address.data(), whole) != 0) return false;
  const int rest = network.bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<unsigned char>(0xff << (8 - rest));
  return (network.address[whole] & mask) == (host.address[whole] & mask);
}

}  // namespace

bool address_allowed(std::string_view address, const std::vector<std::string>& cidrs) {
  if (cidrs.empty()) return true;
  // An IPv4 peer of a dual-stack socket shows as ::ffff:10.0.0.1.
  if (address.starts_with("::ffff:") && address.find('.') != std::string_view::npos) {
    address.remove_prefix(7);
  }
  Network host;
  if (!parse_network(address, host)) return false;
  return std::ranges::any_of(cidrs, [&](const std::string& cidr) {
    Network network;
    return parse_network(cidr, network) && contains(network, host);
  });
}

base::Result<std::string> parse_cidr(std::string_view text) {
  Network network;
  if (!parse_network(text, network)) {
    return base::fail(ErrorKind::kInvalid, "not an IP address or CIDR block");
  }
  char address[INET6_ADDRSTRLEN];
  inet_ntop(network.family, network.address.data(), address, sizeof address);
  const int all_bits = network.family == AF_INET ? 32 : 128;
  if (network.bits == all_bits) return std::string(address);
  return std::string(address) + "/" + std::to_string(network.bits);
}

bool cidr_within(std::string_view inner, const std::vector<std::string>& outer) {
  if (outer.empty()) return true;
  Network block;
  if (!parse_network(inner, block)) return false;
  return std::ranges::any_of(outer, [&](const std::string& cidr) {
    Network network;
    return parse_network(cidr, network) && network.bits <= block.bits && contains(network, block);
  });
}

}  // namespace rekey::logical
