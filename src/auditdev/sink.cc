#include "auditdev/sink.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <filesystem>
#include <optional>
#include <system_error>

namespace rekey::auditdev {
namespace {

using base::ErrorKind;
using base::Result;
using std::chrono::milliseconds;

constexpr milliseconds kWaitSlice{100};  // between two looks at whether to give up
// What a pipe or terminal that polls writable takes without blocking (PIPE_BUF).
constexpr size_t kSafeChunkBytes = 4'096;

// Go writes the system's messages with a small first letter.
std::string text_of(int number) {
  std::string text = std::generic_category().message(number);
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] += 'a' - 'A';
  return text;
}

std::unexpected<base::Error> system_failure(std::string_view what, int number) {
  return base::fail(ErrorKind::kUnavailable, std::string(what) + ": " + text_of(number));
}

class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Waiting {
  milliseconds patience;
  const std::function<bool()>& give_up;
};

// False when the patience is over. The slices are counted, so that no clock can stretch them.
bool wait_writable(int fd, const Waiting& waiting) {
  for (milliseconds waited{0}; waited < waiting.patience; waited += kWaitSlice) {
    if (waiting.give_up && waiting.give_up()) return false;
    const milliseconds slice = std::min(kWaitSlice, waiting.patience - waited);
    pollfd one{fd, POLLOUT, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(slice.count()));
    if (ready > 0) return true;  // writable, or broken: the write says what
    if (ready < 0 && errno != EINTR) return true;
  }
  return false;
}

// Writes with `put` (write or send), waiting for the descriptor once if it takes nothing.
template <class Put>
Result<size_t> put_patiently(int fd, const Waiting& waiting, const Put& put) {
  for (int tries = 0; tries < 2; tries++) {
    ssize_t taken = -1;
    do taken = put();
    while (taken < 0 && errno == EINTR);
    if (taken >= 0) return static_cast<size_t>(taken);
    if (errno == EMSGSIZE) return base::fail(ErrorKind::kTooLarge, "the line is too long");
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
      return base::fail(ErrorKind::kLimited, "write: " + text_of(errno));
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) return system_failure("write", errno);
    if (tries == 0 && !wait_writable(fd, waiting)) return 0;
  }
  return 0;
}

std::string_view first_line(std::string_view lines) {
  return lines.substr(0, lines.find('\n') + 1);
}

// ---- file ----------------------------------------------------------------------------------

class FileSink final : public Sink {
 public:
  FileSink(const Options& options, SinkParts parts)
      : path_(options.file_path),
        mode_(options.mode),
        patience_(options.write_timeout),
        parts_(std::move(parts)) {}

  Result<void> open() override {
    file_.reset();
    const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
    if (auto made = make_folder(folder); !made) return made;
    // Not blocking: a pipe without a reader must not stop the thread. No effect on a disk's file.
    const int fd = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK,
                          mode_ == 0 ? 0600 : mode_);
    if (fd < 0) return refused("open " + path_, errno);
    file_.reset(fd);
    struct stat found{};
    if (::fstat(fd, &found) != 0) return refused("stat " + path_, errno);
    if (mode_ != 0 && S_ISREG(found.st_mode) && (found.st_mode & 07777) != mode_ &&
        ::fchmod(fd, mode_) != 0) {
      return refused("chmod " + path_, errno);
    }
    return {};
  }
  bool is_open() const override { return file_.is_open(); }

  Result<size_t> write(std::string_view lines) override {
    auto taken = put_patiently(file_.get(), {patience_, parts_.give_up},
                               [&] { return ::write(file_.get(), lines.data(), lines.size()); });
    // A full disk keeps the file: the rest of a line goes behind its beginning.
    if (!taken && taken.error().kind() != ErrorKind::kLimited) file_.reset();
    return taken;
  }
  void rotate() override { file_.reset(); }

 private:
  std::unexpected<base::Error> refused(const std::string& what, int number) {
    file_.reset();
    return base::fail(ErrorKind::kInvalid, "sanity check failed; unable to open \"" + path_ +
                                               "\" for writing: " + what + ": " + text_of(number));
  }
  Result<void> make_folder(const std::filesystem::path& folder) {
    std::error_code problem;
    if (folder.empty() || std::filesystem::is_directory(folder, problem)) return {};
    std::filesystem::path made;
    for (const auto& part : folder) {
      made /= part;
      if (::mkdir(made.c_str(), mode_ == 0 ? 0700 : (mode_ & 0777) | 0700) != 0 &&
          errno != EEXIST) {
        return refused("mkdir " + made.string(), errno);
      }
    }
    return {};
  }

  const std::string path_;
  const unsigned mode_;
  const milliseconds patience_;
  const SinkParts parts_;
  Descriptor file_;
};

// ---- standard output -----------------------------------------------------------------------

// The descriptor is shared with whoever started us, so it can't be made non-blocking: small pieces,
// each after it polled writable.
class StdoutSink final : public Sink {
 public:
  StdoutSink(const Options& options, SinkParts parts)
      : patience_(options.write_timeout), parts_(std::move(parts)) {}
  Result<void> open() override {
    open_ = true;
    return {};
  }
  bool is_open() const override { return open_; }
  Result<size_t> write(std::string_view lines) override {
    if (!wait_writable(STDOUT_FILENO, {patience_, parts_.give_up})) return 0;
    const ssize_t taken =
        ::write(STDOUT_FILENO, lines.data(), std::min(lines.size(), kSafeChunkBytes));
    if (taken >= 0) return static_cast<size_t>(taken);
    return errno == EINTR ? Result<size_t>(0) : system_failure("write stdout", errno);
  }

 private:
  const milliseconds patience_;
  const SinkParts parts_;
  bool open_ = false;
};

class DiscardSink final : public Sink {
 public:
  Result<void> open() override { return {}; }
  bool is_open() const override { return true; }
  Result<size_t> write(std::string_view lines) override { return lines.size(); }
};

// ---- sockets -------------------------------------------------------------------------------

Result<void> connect_patiently(Descriptor& out, int family, int type, const sockaddr* address,
                               socklen_t size, const Waiting& waiting) {
  out.reset(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!out.is_open()) return system_failure("socket", errno);
  if (::connect(out.get(), address, size) == 0) return {};
  int problem = errno;
  if (problem == EINPROGRESS || problem == EAGAIN) {
    if (!wait_writable(out.get(), waiting)) {
      problem = ETIMEDOUT;
    } else {
      socklen_t length = sizeof problem;
      if (::getsockopt(out.get(), SOL_SOCKET, SO_ERROR, &problem, &length) != 0) problem = errno;
      if (problem == 0) return {};
    }
  }
  out.reset();
  return system_failure("connect", problem);
}

Result<void> connect_unix(Descriptor& out, int type, const std::string& path,
                          const Waiting& waiting) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return system_failure("connect", ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  return connect_patiently(out, AF_UNIX, type, reinterpret_cast<const sockaddr*>(&address),
                           sizeof address, waiting);
}

class SocketSink final : public Sink {
 public:
  SocketSink(const Options& options, SinkParts parts)
      : kind_(options.kind),
        address_(options.address),
        patience_(options.write_timeout),
        parts_(std::move(parts)) {}

  Result<void> open() override {
    const std::string name = kind_ == Kind::kUnix ? "unix" : kind_ == Kind::kUdp ? "udp" : "tcp";
    auto connected = kind_ == Kind::kUnix ? connect_unix(socket_, SOCK_STREAM, address_, waiting())
                                          : connect_host();
    if (connected) return connected;
    return base::fail(ErrorKind::kUnavailable,
                      "dial " + name + " " + address_ + ": " + connected.error().message());
  }
  bool is_open() const override { return socket_.is_open(); }

  Result<size_t> write(std::string_view lines) override {
    // A datagram is a line; a stream takes what it can.
    const std::string_view piece = kind_ == Kind::kUdp ? first_line(lines) : lines;
    if (kind_ != Kind::kUdp && peer_has_gone()) {
      socket_.reset();
      return base::fail(ErrorKind::kUnavailable, "write: the peer closed the connection");
    }
    auto taken = put_patiently(socket_.get(), waiting(), [&] {
      return ::send(socket_.get(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    });
    if (!taken && taken.error().kind() != ErrorKind::kTooLarge) socket_.reset();
    return taken;
  }

 private:
  Waiting waiting() const { return {patience_, parts_.give_up}; }

  // A listener that went away is noticed before bytes are lost in a socket that nobody reads.
  bool peer_has_gone() const {
    char byte = 0;
    const ssize_t got = ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
  }

  Result<void> connect_host() {
    const size_t colon = address_.rfind(':');
    if (colon == std::string::npos) {
      return base::fail(ErrorKind::kInvalid, "address " + address_ + ": missing port in address");
    }
    std::string host = address_.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = kind_ == Kind::kUdp ? SOCK_DGRAM : SOCK_STREAM;
    addrinfo* found = nullptr;
    const int problem = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                      address_.c_str() + colon + 1, &hints, &found);
    if (problem != 0) {
      return base::fail(ErrorKind::kUnavailable,
                        "lookup " + host + ": " + std::string(::gai_strerror(problem)));
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
    Result<void> connected = base::fail(ErrorKind::kUnavailable, "no address");
    for (const addrinfo* one = found; one != nullptr && !connected; one = one->ai_next) {
      connected = connect_patiently(socket_, one->ai_family, one->ai_socktype, one->ai_addr,
                                    one->ai_addrlen, waiting());
    }
    if (connected && kind_ == Kind::kTcp) {
      const int on = 1;
      const auto silence = static_cast<unsigned>(kPeerSilenceMax.count());
      (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
      (void)::setsockopt(socket_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof silence);
    }
    return connected;
  }

  const Kind kind_;
  const std::string address_;
  const milliseconds patience_;
  const SinkParts parts_;
  Descriptor socket_;
};

// ---- syslog --------------------------------------------------------------------------------

// A datagram a line to the local syslog socket: "<priority>Nov 27 21:50:02 tag[pid]: line".
class SyslogSink final : public Sink {
 public:
  SyslogSink(const Options& options, SinkParts parts)
      : priority_(options.facility * 8 + 6),  // severity: informational
        tag_(options.tag),
        patience_(options.write_timeout),
        parts_(std::move(parts)) {}

  Result<void> open() override {
    for (const std::string& path : parts_.syslog_sockets) {
      if (connect_unix(socket_, SOCK_DGRAM, path, {patience_, parts_.give_up})) return {};
    }
    return base::fail(ErrorKind::kInvalid, "Unix syslog delivery error");
  }
  bool is_open() const override { return socket_.is_open(); }

  Result<size_t> write(std::string_view lines) override {
    const std::string_view line = first_line(lines);
    message_ = "<" + std::to_string(priority_) + ">" + stamp() + " " + tag_ + "[" +
               std::to_string(::getpid()) + "]: ";
    message_ += line;
    auto taken = put_patiently(socket_.get(), {patience_, parts_.give_up}, [&] {
      return ::send(socket_.get(), message_.data(), message_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    });
    if (!taken) {
      if (taken.error().kind() != ErrorKind::kTooLarge) socket_.reset();
      return taken;
    }
    return *taken == 0 ? 0 : line.size();
  }

 private:
  std::string stamp() const {
    const auto now = std::chrono::floor<std::chrono::seconds>(parts_.clock.wall());
    const std::time_t seconds = now.time_since_epoch().count();
    std::tm parts{};
    char text[32];
    if (::localtime_r(&seconds, &parts) == nullptr) return "Jan  1 00:00:00";
    return {text, std::strftime(text, sizeof text, "%b %e %H:%M:%S", &parts)};
  }

  const int priority_;
  const std::string tag_;
  const milliseconds patience_;
  const SinkParts parts_;
  Descriptor socket_;
  std::string message_;
};

}  // namespace

std::unique_ptr<Sink> make_sink(const Options& options, SinkParts parts) {
  switch (options.kind) {
    case Kind::kFile:
      return std::make_unique<FileSink>(options, std::move(parts));
    case Kind::kStdout:
      return std::make_unique<StdoutSink>(options, std::move(parts));
    case Kind::kDiscard:
      return std::make_unique<DiscardSink>();
    case Kind::kSyslog:
      return std::make_unique<SyslogSink>(options, std::move(parts));
    case Kind::kTcp:
    case Kind::kUdp:
    case Kind::kUnix:
      return std::make_unique<SocketSink>(options, std::move(parts));
  }
  return nullptr;
}

}  // namespace rekey::auditdev
