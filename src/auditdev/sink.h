// Sinks: where a device's lines go: a file, standard output, a socket, the system's log, nowhere.
//
// Plain POSIX descriptors that never block: this is one writer thread's own blocking loop with a
// patience, for which net's event loops are the wrong tool. Knows nothing of what a line says.
// One thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auditdev/options.h"
#include "base/clock.h"
#include "base/error.h"

namespace rekey::auditdev {

// A TCP peer that acknowledges nothing for so long is gone.
inline constexpr std::chrono::milliseconds kPeerSilenceMax{30'000};

class Sink {
 public:
  virtual ~Sink() = default;
  // Opens anew; what was open is closed first. The message is Go's, as Vault's clients know it:
  // "dial tcp 127.0.0.1:1: connect: connection refused".
  virtual base::Result<void> open() = 0;
  virtual bool is_open() const = 0;
  // Takes some bytes from the front of `lines` (whole lines or the rest of one, each ending in a
  // line break) and says how many; 0 when nothing could be taken within the patience. kTooLarge:
  // the first line can never be taken. After any other failure is_open() says whether going on
  // where it stopped makes sense (a full disk) or the sink has to be opened anew.
  virtual base::Result<size_t> write(std::string_view lines) = 0;
  // Closes, so that a file that was moved away is made anew. Nothing for a socket.
  virtual void rotate() {}
};

struct SinkParts {
  const base::Clock& clock;
  // Tried in this order.
  std::vector<std::string> syslog_sockets = {"/dev/log", "/var/run/syslog", "/var/run/log"};
  // Asked while waiting, every kWaitSlice: true gives up at once.
  std::function<bool()> give_up;
};

std::unique_ptr<Sink> make_sink(const Options& options, SinkParts parts);

}  // namespace rekey::auditdev
