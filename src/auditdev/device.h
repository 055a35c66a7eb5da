// Devices: an enabled audit device (options, salt, writer) and the set of them that one request is
// told to.
//
// A device's lines never decide whether a request is answered: Rekey's own record does. Telling
// costs the caller the making of the lines and a push into each queue. A DeviceSet is immutable and
// swapped whole; the devices in it live on from set to set. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "auditdev/line.h"
#include "auditdev/options.h"
#include "auditdev/writer.h"
#include "base/clock.h"
#include "base/log.h"

namespace rekey::auditdev {

inline constexpr size_t kDevicesMax = 16;

class Device {
 public:
  // Starts its writer. `parts` and `log` outlive it.
  Device(Config config, Options options, SinkParts parts, const base::Log& log);

  const Config& config() const { return config_; }
  const Options& options() const { return options_; }
  const audit::Hasher& hasher() const { return hasher_; }
  LineStyle style() const { return {options_, hasher_}; }
  Writer& writer() const { return writer_; }

 private:
  const Config config_;
  const Options options_;
  const audit::Hasher hasher_;
  mutable Writer writer_;
};

// Tries a device that is about to be enabled: opens it and writes a line, waiting at most for its
// write timeout. Blocks: not on an io thread. kInvalid in Vault's words.
base::Result<void> try_device(const Config& config, const Options& options, SinkParts parts,
                              std::string_view request_id);

class DeviceSet {
 public:
  explicit DeviceSet(std::vector<std::shared_ptr<const Device>> devices);

  const std::vector<std::shared_ptr<const Device>>& devices() const { return devices_; }
  const Device* find(std::string_view path) const;  // "file/"; null: none

  // What the response line of each device begins with; empty for a device that doesn't take it.
  using Told = std::vector<std::string>;
  Told tell_request(const RequestFacts& facts, std::string_view error) const;
  // `told` comes from the same set's tell_request.
  void tell_response(const Told& told, const RequestFacts& facts,
                     const ResponseFacts& response) const;
  // Whether Vault writes nothing of requests to this path.
  static bool never_told(std::string_view path);

 private:
  std::vector<std::shared_ptr<const Device>> devices_;
};

}  // namespace rekey::auditdev
