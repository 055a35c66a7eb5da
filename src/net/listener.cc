#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>

namespace rekey::net {
namespace {

using base::ErrorKind;
using base::fail;
using base::Result;

constexpr int kBacklog = 4096;  // the kernel caps it at net.core.somaxconn
constexpr uint64_t kBodyBytesLimitMax = 4ull << 30;
constexpr uint32_t kHeadBytesLimitMax = 16 << 20;

std::unexpected<base::Error> fail_with_errno(const std::string& what) {
  const int code = errno;
  const bool ours = code == EINVAL || code == EACCES || code == ENOENT || code == EPERM;
  return fail(ours ? ErrorKind::kInvalid : ErrorKind::kUnavailable, what + ": " + strerror(code));
}

struct HostPort {
  std::string host;
  std::string port;
};

Result<HostPort> split_address(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size()) {
    return fail(ErrorKind::kInvalid, "a listener's address is host:port, not \"" + address + "\"");
  }
  HostPort parts{address.substr(0, colon), address.substr(colon + 1)};
  if (parts.host.starts_with('[') && parts.host.ends_with(']')) {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  } else if (parts.host.contains(':')) {
    return fail(ErrorKind::kInvalid, "an IPv6 address needs brackets: [::1]:8200");
  }
  return parts;
}

// Number or name to number; -1 for an empty text (leave as it is).
template <class Entry>
Result<long> to_id(const std::string& text, const char* what, Entry* (*find)(const char*),
                   long (*id)(const Entry&)) {
  if (text.empty()) return -1;
  long number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 0) return number;
  if (const Entry* entry = find(text.c_str())) return id(*entry);
  return fail(ErrorKind::kInvalid, std::string("no such ") + what + ": " + text);
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string format_address(const void* sockaddr, uint16_t& port) {
  char text[INET6_ADDRSTRLEN] = "";
  const auto family = static_cast<const ::sockaddr*>(sockaddr)->sa_family;
  port = 0;
  if (family == AF_INET) {
    const auto* v4 = static_cast<const sockaddr_in*>(sockaddr);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    port = ntohs(v4->sin_port);
  } else if (family == AF_INET6) {
    const auto* v6 = static_cast<const sockaddr_in6*>(sockaddr);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof(text));
    } else {
      inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    }
    port = ntohs(v6->sin6_port);
  }
  return text;
}

Result<std::shared_ptr<Listener>> Listener::open(const ListenerOptions& options, uint16_t index) {
  if (options.address.empty() == options.unix_path.empty()) {
    return fail(ErrorKind::kInvalid, "a listener has either an address or a socket path");
  }
  if (options.limits.body_bytes_max > kBodyBytesLimitMax ||
      options.limits.head_bytes_max > kHeadBytesLimitMax || options.limits.head_bytes_max == 0 ||
      options.limits.headers_max == 0) {
    return fail(ErrorKind::kInvalid, "a listener's size limits are out of range",
                "body up to 4 GiB, head up to 16 MiB, at least one header");
  }
  auto listener = std::make_shared<Listener>(options, index);
  Result<ForwardedRule> forwarded = ForwardedRule::compile(options.forwarded);
  if (!forwarded) return forward(forwarded);
  listener->forwarded_ = std::move(*forwarded);
  auto tls = listener->load_tls();
  if (!tls) return forward(tls);
  listener->tls_ = std::move(*tls);
  Result<void> bound = listener->is_unix() ? listener->bind_unix() : listener->bind_tcp();
  if (!bound) return forward(bound);
  return listener;
}

Listener::~Listener() {
  if (owns_file_) ::unlink(options_.unix_path.c_str());
}

Result<FileDescriptor> Listener::open_tcp(bool share) const {
  const auto* address = reinterpret_cast<const sockaddr*>(sockaddr_.data());
  FileDescriptor fd(::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_with_errno("can't open a socket");
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (share) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  // Accepted sockets inherit these.
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  if (::bind(fd.get(), address, static_cast<socklen_t>(sockaddr_.size())) != 0) {
    return fail_with_errno("can't listen on " + options_.address);
  }
  return fd;
}

Result<void> Listener::bind_tcp() {
  Result<HostPort> parts = split_address(options_.address);
  if (!parts) return forward(parts);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(parts->host.empty() ? nullptr : parts->host.c_str(),
                               parts->port.c_str(), &hints, &found);
  if (code != 0) {
    return fail(ErrorKind::kInvalid,
                "not an address to listen on: " + options_.address + ": " + gai_strerror(code));
  }
  // Of an empty host's two wildcards the IPv6 one comes first, since it serves IPv4 as well.
  // A first socket that doesn't share the port: with SO_REUSEPORT alone, a second server on the
  // same port would start and silently take half of the connections.
  Result<FileDescriptor> probe = fail(ErrorKind::kInvalid, "no address: " + options_.address);
  for (const int family : {AF_INET6, AF_INET}) {
    for (const addrinfo* entry = found; entry != nullptr && !probe; entry = entry->ai_next) {
      if (entry->ai_family != family) continue;
      sockaddr_.assign(reinterpret_cast<const char*>(entry->ai_addr), entry->ai_addrlen);
      probe = open_tcp(false);
    }
  }
  freeaddrinfo(found);
  if (!probe) return forward(probe);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  getsockname(probe->get(), reinterpret_cast<sockaddr*>(&bound), &size);
  sockaddr_.assign(reinterpret_cast<const char*>(&bound), size);
  *probe = FileDescriptor();
  uint16_t port = 0;
  const std::string host = format_address(&bound, port);
  address_ = (host.contains(':') ? "[" + host + "]" : host) + ":" + std::to_string(port);
  Result<FileDescriptor> shared = open_tcp(true);
  if (!shared) return forward(shared);
  first_ = std::move(*shared);
  return {};
}

Result<void> Listener::bind_unix() {
  const std::string& path = options_.unix_path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return fail(ErrorKind::kInvalid, "a socket's path has at most 107 bytes: " + path);
  }
  memcpy(address.sun_path, path.c_str(), path.size() + 1);
  int mode = 0600;
  if (!options_.unix_mode.empty()) {
    const char* end_of_text = options_.unix_mode.data() + options_.unix_mode.size();
    const auto [end, error] = std::from_chars(options_.unix_mode.data(), end_of_text, mode, 8);
    if (error != std::errc() || end != end_of_text || mode < 0 || mode > 0777) {
      return fail(ErrorKind::kInvalid, "not an octal file mode: " + options_.unix_mode);
    }
  }
  Result<long> user = to_id<passwd>(options_.unix_user, "user", getpwnam,
                                    [](const passwd& entry) { return long{entry.pw_uid}; });
  if (!user) return forward(user);
  Result<long> group = to_id<::group>(options_.unix_group, "group", getgrnam,
                                      [](const ::group& entry) { return long{entry.gr_gid}; });
  if (!group) return forward(group);

  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  // A file that nobody listens on is left over from a crash; one that answers is in use.
  FileDescriptor caller(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(caller.get(), where, sizeof(address)) == 0) {
    return fail(ErrorKind::kUnavailable, "another process listens on " + path);
  }
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return fail(ErrorKind::kInvalid, path + " is not a socket");
    ::unlink(path.c_str());
  }
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail_with_errno("can't open a socket");
  // The mode is set before anyone can connect: until listen() nobody can.
  if (::bind(fd.get(), where, sizeof(address)) != 0)
    return fail_with_errno("can't listen on " + path);
  owns_file_ = true;
  if (::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0 ||
      ::chown(path.c_str(), static_cast<uid_t>(*user), static_cast<gid_t>(*group)) != 0) {
    return fail_with_errno("can't set mode or owner of " + path);
  }
  if (::listen(fd.get(), kBacklog) != 0) return fail_with_errno("can't listen on " + path);
  first_ = std::move(fd);
  address_ = path;
  return {};
}

Result<FileDescriptor> Listener::socket_for_loop() {
  if (is_unix()) {
    FileDescriptor copy(::fcntl(first_.get(), F_DUPFD_CLOEXEC, 0));
    if (copy.get() < 0) return fail_with_errno("can't open a socket");
    return copy;
  }
  Result<FileDescriptor> fd = open_tcp(true);
  if (!fd) return forward(fd);
  if (::listen(fd->get(), kBacklog) != 0) return fail_with_errno("can't listen on " + address_);
  return fd;
}

std::shared_ptr<const TlsContext> Listener::tls() const {
  const std::lock_guard lock(tls_mutex_);
  return tls_;
}

Result<std::shared_ptr<const TlsContext>> Listener::load_tls() const {
  if (!options_.tls) return nullptr;
  return TlsContext::load(*options_.tls);
}

void Listener::set_tls(std::shared_ptr<const TlsContext> tls) {
  const std::lock_guard lock(tls_mutex_);
  tls_ = std::move(tls);
}

}  // namespace rekey::net
