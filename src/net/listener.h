// One configured listener: its address, its certificates and its rules. Shared by all loops; the
// sockets it opens belong to them.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/error.h"
#include "net/forwarded.h"
#include "net/server_options.h"
#include "net/tls_context.h"

namespace rekey::net {

// A file descriptor that is closed with its owner.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

class Listener {
 public:
  // Checks the options, reads the certificates and binds the address. kInvalid, kUnavailable.
  static base::Result<std::shared_ptr<Listener>> open(const ListenerOptions& options,
                                                      uint16_t index);
  Listener(const ListenerOptions& options, uint16_t index) : options_(options), index_(index) {}
  ~Listener();  // removes a unix socket's file
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // A listening socket for one more loop. TCP: one of its own, so that the kernel spreads
  // connections (SO_REUSEPORT). Unix: the same one again.
  base::Result<FileDescriptor> socket_for_loop();
  void loops_are_served() { first_ = FileDescriptor(); }  // nobody else accepts from it

  const ListenerOptions& options() const { return options_; }
  const ForwardedRule& forwarded() const { return forwarded_; }
  uint16_t index() const { return index_; }
  bool is_unix() const { return !options_.unix_path.empty(); }
  const std::string& address() const { return address_; }  // with the port that was given

  std::shared_ptr<const TlsContext> tls() const;  // null: plain text; any thread
  base::Result<std::shared_ptr<const TlsContext>> load_tls()
      const;  // from the files, as they are now
  void set_tls(std::shared_ptr<const TlsContext> tls);

 private:
  base::Result<void> bind_tcp();
  base::Result<void> bind_unix();
  base::Result<FileDescriptor> open_tcp(bool share) const;

  const ListenerOptions options_;
  const uint16_t index_;
  ForwardedRule forwarded_;
  std::string address_;
  std::string sockaddr_;  // the bound address, in the kernel's form
  FileDescriptor first_;
  bool owns_file_ = false;
  mutable std::mutex tls_mutex_;
  std::shared_ptr<const TlsContext> tls_;
};

// "192.0.2.1" or "2001:db8::1", with the port; from the kernel's form.
std::string format_address(const void* sockaddr, uint16_t& port);

}  // namespace rekey::net
