// Outgoing: the one way to outside HTTP servers for what serves requests (key sets of identity
// providers, Kubernetes' API). Somebody who may only write a configuration, or a server that an
// answer names, must not make this one speak to what else its network has: cloud metadata, its own
// loopback, an internal service.
//
// What may be connected to is asked for the address itself at the moment of connecting, so that a
// name that resolves to something else than before gains nothing. Everything has an end: time,
// bytes, redirects, and how many wait for one server. Knows nothing of what is fetched. Any thread
// that may block; none of the io threads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "net/forwarded.h"
#include "net/http_client.h"

namespace rekey::net {

constexpr std::chrono::milliseconds kOutgoingConnectTimeMax{5'000};
constexpr std::chrono::milliseconds kOutgoingTimeMax{10'000};     // of one exchange, all of it
constexpr std::chrono::milliseconds kOutgoingTurnTimeMax{1'000};  // of waiting for a turn
constexpr size_t kOutgoingAtOnceMax = 8;                          // exchanges with one server
constexpr size_t kOutgoingRedirectsMax = 3;                       // of one GET
constexpr size_t kOutgoingAnswerBytesMax = 1 << 20;               // of an answer's body
constexpr size_t kOutgoingUrlBytesMax = 2048;                     // of an address

// What addresses are to a rule.
enum class AddressClass {
  kPublic,
  kPrivate,    // RFC 1918, RFC 6598, RFC 4193 and the like: somebody's own network
  kLoopback,   // this machine
  kForbidden,  // cloud metadata, link-local, multicast, unspecified: never by a name alone
};
AddressClass classify_address(const IpAddress& address);

// Which servers may be spoken to. Without a list: public and private addresses, but private ones
// only where our own configuration names the server and not where another server does; not this
// machine itself. With a list: what is on it and nothing else.
class OutgoingRules {
 public:
  // Each entry is a host ("idp.example.org"), a host and those below it ("*.example.org"), an
  // address or a block ("10.0.0.0/8"). Failure: kInvalid, with the entry.
  static base::Result<OutgoingRules> parse(const std::vector<std::string>& entries);
  void allow_loopback() { loopback_ = true; }  // for -dev, where there is no list

  // `named_by_peer`: another server's answer names the destination.
  bool allows(std::string_view host, std::string_view address, bool named_by_peer) const;

 private:
  bool lists_host(std::string_view host) const;

  std::vector<std::string> hosts_;     // in lower case
  std::vector<std::string> suffixes_;  // ".example.org"
  std::vector<IpRange> ranges_;
  bool loopback_ = false;
};

struct OutgoingRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string ca_pem;    // whose certificates to trust; empty: the system's
  std::string named_by;  // the URL whose answer named `url`; empty: our configuration did
  size_t answer_bytes_max = kOutgoingAnswerBytesMax;
};

struct OutgoingTimes {
  std::chrono::milliseconds connect = kOutgoingConnectTimeMax;
  std::chrono::milliseconds exchange = kOutgoingTimeMax;
  std::chrono::milliseconds turn = kOutgoingTurnTimeMax;
};

class Outgoing {
 public:
  explicit Outgoing(OutgoingRules rules, OutgoingTimes times = {})
      : rules_(std::move(rules)), times_(times) {}

  // Any status but a redirect that is followed is a success. A GET follows redirects, each under
  // the rules for what another server names and never from https to http; other methods follow
  // none. Failure: kDenied where a rule forbids the destination; kUnavailable, kTimeout, kUpstream,
  // kTooLarge, kInvalid as HttpClient, kUnavailable also where too many wait for the server. The
  // messages have the URL and the reason, nothing of an answer.
  base::Result<ClientResponse> send(const OutgoingRequest& request) const;

 private:
  class Turn;
  base::Result<ClientResponse> send_once(const OutgoingRequest& request, std::string_view host,
                                         bool named_by_peer) const;

  OutgoingRules rules_;
  OutgoingTimes times_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::map<std::string, size_t, std::less<>> busy_;  // exchanges now, by host and port
};

// "https://host[:port]/..." or http: what a configuration may name. No user, no password, no
// fragment. Failure: kInvalid.
base::Result<void> check_outgoing_url(std::string_view url);

}  // namespace rekey::net
