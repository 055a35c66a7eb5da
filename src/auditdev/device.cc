#include "auditdev/device.h"

#include <algorithm>

namespace rekey::auditdev {

using base::ErrorKind;
using base::Result;

Device::Device(Config config, Options options, SinkParts parts, const base::Log& log)
    : config_(std::move(config)),
      options_(std::move(options)),
      hasher_(config_.salt),
      writer_(config_.path, options_, std::move(parts), log) {}

Result<void> try_device(const Config& config, const Options& options, SinkParts parts,
                        std::string_view request_id) {
  const audit::Hasher hasher(config.salt);
  const std::string line = test_line(request_id, parts.clock.wall(), {options, hasher});
  const auto sink = make_sink(options, std::move(parts));
  Result<void> tried = sink->open();
  for (size_t sent = 0; tried && sent < line.size();) {
    auto taken = sink->write(std::string_view(line).substr(sent));
    if (!taken) {
      tried = forward(taken);
    } else if (*taken == 0) {
      tried = base::fail(ErrorKind::kTimeout, "write: i/o timeout");
    } else {
      sent += *taken;
    }
  }
  if (tried) return {};
  std::string text = tried.error().message();
  if (config.type == "socket") {
    // Vault tries twice and says both.
    const std::string one = "\t* " + text + "\n";
    text = "audit backend failed test message: 2 errors occurred:\n" + one + one + "\n";
  }
  return base::fail(ErrorKind::kInvalid, std::move(text));
}

DeviceSet::DeviceSet(std::vector<std::shared_ptr<const Device>> devices)
    : devices_(std::move(devices)) {}

const Device* DeviceSet::find(std::string_view path) const {
  for (const auto& device : devices_) {
    if (device->config().path == path) return device.get();
  }
  return nullptr;
}

bool DeviceSet::never_told(std::string_view path) {
  if (!path.starts_with("sys/")) return false;
  path.remove_prefix(4);
  for (std::string_view quiet : {"init", "seal-status", "unseal", "leader", "health"}) {
    if (path == quiet) return true;
  }
  return false;
}

DeviceSet::Told DeviceSet::tell_request(const RequestFacts& facts, std::string_view error) const {
  Told told(devices_.size());
  FilterInput input{.operation = logical::operation_name(facts.operation),
                    .path = facts.request.path};
  if (facts.mount != nullptr) {
    input.mount_point = facts.mount->path;
    input.mount_type = facts.mount->type;
  }
  const auto tell = [&](size_t i) {
    const Device& device = *devices_[i];
    told[i] = line_middle(facts, device.style());
    device.writer().put(request_line(told[i], facts.request.received, error, device.style()));
  };
  bool taken = false;
  for (size_t i = 0; i < devices_.size(); i++) {
    const Options& options = devices_[i]->options();
    if (options.fallback || !options.filter.takes(input)) continue;
    taken = true;
    tell(i);
  }
  for (size_t i = 0; i < devices_.size() && !taken; i++) {
    if (devices_[i]->options().fallback) tell(i);
  }
  return told;
}

void DeviceSet::tell_response(const Told& told, const RequestFacts& facts,
                              const ResponseFacts& response) const {
  for (size_t i = 0; i < devices_.size(); i++) {
    if (told[i].empty()) continue;
    const Device& device = *devices_[i];
    device.writer().put(response_line(told[i], facts, response, device.style()));
  }
}

}  // namespace rekey::auditdev
