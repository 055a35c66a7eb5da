#include "net/forwarded.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rekey::net {
namespace {

TEST(IpRange, ContainsWhatItSays) {
  const auto contains = [](std::string_view range, std::string_view address) {
    IpAddress parsed;
    EXPECT_TRUE(parse_ip_address(address, parsed)) << address;
    return parse_ip_range(range).value().contains(parsed);
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(contains("10.1.2.0/23", "10.1.3.255"));
  EXPECT_FALSE(contains("10.1.2.0/23", "10.1.4.0"));
  EXPECT_TRUE(contains("10.1.2.3", "10.1.2.3"));
  EXPECT_TRUE(contains("10.1.2.3", "::ffff:10.1.2.3"));
  EXPECT_TRUE(contains("0.0.0.0/0", "1.2.3.4"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
  EXPECT_FALSE(contains("::ffff:10.0.0.0/104", "11.1.2.3"));
  for (const std::string wrong : {"", "10.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
                                  "10.0.0.0/8x", "::/129", "a", "::ffff:10.0.0.0/8"}) {
    EXPECT_FALSE(parse_ip_range(wrong)) << wrong;
  }
}

// What the rule makes of these X-Forwarded-For headers: an address, "" or "refused".
std::string outcome(const ForwardedOptions& options, const std::vector<std::string>& values,
                    const std::string& peer_address = "10.0.0.1") {
  PeerInfo peer;
  peer.address = peer_address;
  std::vector<Header> headers = {{"Host", "x"}};
  for (const std::string& value : values) headers.push_back({"x-forwarded-for", value});
  Request request;
  request.headers = headers;
  request.peer_info = &peer;
  const auto rule = ForwardedRule::compile(options);
  EXPECT_TRUE(rule && rule->enabled());
  if (!rule->apply(request).empty()) return "refused";
  return std::string(request.forwarded_address);
}

TEST(ForwardedRule, FollowsVaultsOptions) {
  ForwardedOptions options;
  options.authorized_addresses = {"10.0.0.0/24", "fd00::1"};
  EXPECT_EQ(outcome(options, {"1.1.1.1"}), "1.1.1.1");
  EXPECT_EQ(outcome(options, {"1.1.1.1, 2.2.2.2"}), "2.2.2.2");
  EXPECT_EQ(outcome(options, {"1.1.1.1", "2.2.2.2, 3.3.3.3"}), "3.3.3.3");
  EXPECT_EQ(outcome(options, {"1.1.1.1"}, "fd00::1"), "1.1.1.1");
  EXPECT_EQ(outcome(options, {"1.1.1.1"}, "10.0.1.1"), "refused");
  EXPECT_EQ(outcome(options, {"1.1.1.1"}, ""), "refused");  // a unix socket
  EXPECT_EQ(outcome(options, {}), "refused");
  options.reject_not_present = options.reject_not_authorized = false;
  EXPECT_EQ(outcome(options, {}), "");
  EXPECT_EQ(outcome(options, {"1.1.1.1"}, "10.0.1.1"), "");
  options.hop_skips = 1;
  EXPECT_EQ(outcome(options, {"1.1.1.1, 2.2.2.2"}), "1.1.1.1");
  EXPECT_EQ(outcome(options, {"1.1.1.1", "2.2.2.2"}), "1.1.1.1");
  EXPECT_EQ(outcome(options, {"1.1.1.1"}), "refused");
}

TEST(ForwardedRule, TakesAddressesOnly) {
  ForwardedOptions options;
  options.authorized_addresses = {"10.0.0.1"};
  EXPECT_EQ(outcome(options, {"192.0.2.1:4711"}), "192.0.2.1");
  EXPECT_EQ(outcome(options, {"[2001:db8::1]:4711"}), "2001:db8::1");
  EXPECT_EQ(outcome(options, {"2001:db8::1"}), "2001:db8::1");
  for (const std::string wrong : {"", ",", "unknown", "1.2.3", "1.1.1.1;x", "[::1", "1.1.1.1,"}) {
    EXPECT_EQ(outcome(options, {wrong}), "refused") << wrong;
  }
}

}  // namespace
}  // namespace rekey::net
