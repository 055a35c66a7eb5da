#include "net/outgoing.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "base/check.h"

namespace rekey::net {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;
using CurlUrl = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

struct Block {
  const char* range;
  AddressClass is;
};

// In this order: the first that has an address says what it is.
constexpr Block kBlocks[] = {
    // Where clouds tell a machine its credentials: AWS, GCP, Azure and most others; AWS over IPv6;
    // GCP and Oracle over IPv6; Alibaba; Azure's host; and, since nobody names it, whatever a local
    // NAT64 makes of an IPv4 address (RFC 8215).
    {"169.254.0.0/16", AddressClass::kForbidden},
    {"fd00:ec2::254/128", AddressClass::kForbidden},
    {"fd20:ce::254/128", AddressClass::kForbidden},
    {"fd00:c1::a9fe:a9fe/128", AddressClass::kForbidden},
    {"64:ff9b:1::/48", AddressClass::kForbidden},
    {"100.100.100.200/32", AddressClass::kForbidden},
    {"168.63.129.16/32", AddressClass::kForbidden},
    {"fe80::/10", AddressClass::kForbidden},
    {"0.0.0.0/8", AddressClass::kForbidden},
    {"::/128", AddressClass::kForbidden},
    {"224.0.0.0/4", AddressClass::kForbidden},
    {"240.0.0.0/4", AddressClass::kForbidden},
    {"ff00::/8", AddressClass::kForbidden},
    {"127.0.0.0/8", AddressClass::kLoopback},
    {"::1/128", AddressClass::kLoopback},
    {"10.0.0.0/8", AddressClass::kPrivate},
    {"172.16.0.0/12", AddressClass::kPrivate},
    {"192.168.0.0/16", AddressClass::kPrivate},
    {"100.64.0.0/10", AddressClass::kPrivate},
    {"192.0.0.0/24", AddressClass::kPrivate},
    {"198.18.0.0/15", AddressClass::kPrivate},
    {"fc00::/7", AddressClass::kPrivate},
    {"fec0::/10", AddressClass::kPrivate},
};

struct ClassRange {
  IpRange range;
  AddressClass is;
};

const std::vector<ClassRange>& class_ranges() {
  static const std::vector<ClassRange> ranges = [] {
    std::vector<ClassRange> out;
    for (const Block& block : kBlocks) {
      auto range = parse_ip_range(block.range);
      REKEY_CHECK(range.has_value());
      out.push_back({*range, block.is});
    }
    return out;
  }();
  return ranges;
}

// An IPv4 address inside an IPv6 one that a gateway would turn into it: NAT64 (RFC 6052), 6to4
// (RFC 3056), and the old compatible form.
bool embedded_v4(const IpAddress& address, IpAddress& out) {
  if (address.v4) return false;
  constexpr std::array<uint8_t, 12> kNat64 = {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};
  constexpr std::array<uint8_t, 12> kCompatible = {};
  const auto& bytes = address.bytes;
  size_t at = 0;
  if (std::equal(kNat64.begin(), kNat64.end(), bytes.begin())) {
    at = 12;
  } else if (bytes[0] == 0x20 && bytes[1] == 0x02) {
    at = 2;
  } else if (std::equal(kCompatible.begin(), kCompatible.end(), bytes.begin()) &&
             (bytes[12] != 0 || bytes[13] != 0)) {
    at = 12;
  } else {
    return false;
  }
  out = {};
  out.v4 = true;
  out.bytes[10] = out.bytes[11] = 0xff;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), 4, out.bytes.begin() + 12);
  return true;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c | 0x20) : c; });
  return out;
}

// One dot at the end is the same name.
std::string host_name(std::string_view text) {
  std::string out = lower(text);
  if (out.size() > 1 && out.ends_with('.')) out.pop_back();
  return out;
}

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

struct Destination {
  std::string url, scheme, host, port;
  std::string authority() const { return host + ":" + port; }
};

// `url` by itself, or relative to `base` where that isn't empty.
Result<Destination> read_url(std::string_view url, const std::string& base = {}) {
  const auto unusable = [&] {
    return fail(ErrorKind::kInvalid, "not a usable address: expected https://host/path");
  };
  const std::string text(url);
  if (text.empty() || text.size() > kOutgoingUrlBytesMax || text.find('\0') != std::string::npos) {
    return unusable();
  }
  const CurlUrl parsed(curl_url(), &curl_url_cleanup);
  if (parsed == nullptr) return fail(ErrorKind::kInternal, "libcurl could not start");
  if (!base.empty() && curl_url_set(parsed.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) {
    return unusable();
  }
  if (curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) {
    return unusable();
  }
  Destination out;
  out.scheme = part(parsed.get(), CURLUPART_SCHEME);
  if (out.scheme != "https" && out.scheme != "http") return unusable();
  curl_url_set(parsed.get(), CURLUPART_FRAGMENT, nullptr, 0);
  out.url = part(parsed.get(), CURLUPART_URL);
  out.host = host_name(part(parsed.get(), CURLUPART_HOST));
  out.port = part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (out.host.empty() || out.url.empty()) return unusable();
  return out;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

AddressClass classify_address(const IpAddress& address) {
  for (const ClassRange& block : class_ranges()) {
    if (block.range.contains(address)) return block.is;
  }
  IpAddress inside;
  if (embedded_v4(address, inside)) return classify_address(inside);
  return AddressClass::kPublic;
}

Result<OutgoingRules> OutgoingRules::parse(const std::vector<std::string>& entries) {
  OutgoingRules rules;
  for (const std::string& entry : entries) {
    if (auto range = parse_ip_range(entry)) {
      rules.ranges_.push_back(*range);
      continue;
    }
    const bool below = entry.starts_with("*.");
    const std::string name = host_name(below ? std::string_view(entry).substr(2) : entry);
    const bool good =
        !name.empty() && !name.starts_with('.') && std::ranges::all_of(name, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                 c == '_';
        });
    if (!good) {
      return fail(ErrorKind::kInvalid, "not a host, an address or a block: \"" + entry + '"');
    }
    if (below) rules.suffixes_.push_back("." + name);
    rules.hosts_.push_back(name);
  }
  return rules;
}

bool OutgoingRules::lists_host(std::string_view host) const {
  return std::ranges::find(hosts_, host) != hosts_.end() ||
         std::ranges::any_of(suffixes_, [&](const std::string& s) { return host.ends_with(s); });
}

bool OutgoingRules::allows(std::string_view host, std::string_view address,
                           bool named_by_peer) const {
  IpAddress parsed;
  if (!parse_ip_address(address, parsed)) return false;
  const auto has = [&](const IpRange& range) { return range.contains(parsed); };
  if (std::ranges::any_of(ranges_, has)) return true;
  const AddressClass is = classify_address(parsed);
  if (is == AddressClass::kForbidden) return false;
  if (lists_host(host_name(host))) return true;
  if (!hosts_.empty() || !ranges_.empty()) return false;
  if (is == AddressClass::kLoopback) return loopback_;
  return is == AddressClass::kPublic || !named_by_peer;
}

// One of the few exchanges that one server may have at a time, so that one that is slow keeps only
// some of the threads that wait for servers.
class Outgoing::Turn {
 public:
  Turn(const Outgoing& owner, std::string server) : owner_(owner), server_(std::move(server)) {
    std::unique_lock lock(owner_.mutex_);
    taken_ = owner_.changed_.wait_for(lock, owner_.times_.turn, [&] {
      const auto at = owner_.busy_.find(server_);
      return at == owner_.busy_.end() || at->second < kOutgoingAtOnceMax;
    });
    if (taken_) owner_.busy_[server_]++;
  }
  ~Turn() {
    if (!taken_) return;
    {
      const std::lock_guard lock(owner_.mutex_);
      const auto at = owner_.busy_.find(server_);
      if (--at->second == 0) owner_.busy_.erase(at);
    }
    owner_.changed_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool taken() const { return taken_; }

 private:
  const Outgoing& owner_;
  std::string server_;
  bool taken_ = false;
};

Result<ClientResponse> Outgoing::send_once(const OutgoingRequest& request, std::string_view host,
                                           bool named_by_peer) const {
  ClientOptions options;
  options.tls.ca_pem = request.ca_pem;
  options.connect_timeout = times_.connect;
  options.total_timeout = times_.exchange;
  options.response_bytes_max = request.answer_bytes_max;
  options.may_connect = [&](std::string_view address) {
    return rules_.allows(host, address, named_by_peer);
  };
  HttpClient client(std::move(options));
  return client.send({.method = request.method,
                      .url = request.url,
                      .request_path = {},
                      .headers = request.headers,
                      .body = request.body});
}

Result<ClientResponse> Outgoing::send(const OutgoingRequest& request) const {
  auto at = read_url(request.url);
  if (!at) return forward(at);
  // What our configuration names may have a private address, and so may what it is named for.
  std::string trusted = at->authority();
  if (!request.named_by.empty()) {
    auto by = read_url(request.named_by);
    if (!by) return forward(by);
    if (by->scheme == "https" && at->scheme != "https") {
      return fail(ErrorKind::kUpstream, "an answer leads from https to " + request.url);
    }
    trusted = by->authority();
  }
  OutgoingRequest next = request;
  for (size_t redirects = 0;; redirects++) {
    next.url = at->url;
    const Turn turn(*this, at->authority());
    if (!turn.taken()) {
      return fail(ErrorKind::kUnavailable, "too many requests wait for " + at->host);
    }
    auto answer = send_once(next, at->host, at->authority() != trusted);
    if (!answer || request.method != "GET" || !is_redirect(answer->status)) return answer;
    if (redirects == kOutgoingRedirectsMax) {
      return fail(ErrorKind::kUpstream, request.url + " leads to too many others");
    }
    auto to = read_url(answer->header("location"), at->url);
    if (!to) return fail(ErrorKind::kUpstream, request.url + " leads to no usable address");
    if (at->scheme == "https" && to->scheme != "https") {
      return fail(ErrorKind::kUpstream, request.url + " leads from https to http");
    }
    if (to->authority() != at->authority()) next.headers.clear();
    at = std::move(to);
  }
}

Result<void> check_outgoing_url(std::string_view url) {
  auto read = read_url(url);
  if (!read) return forward(read);
  return {};
}

}  // namespace rekey::net
