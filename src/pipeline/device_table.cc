#include "pipeline/device_table.h"

#include <algorithm>

#include "base/json.h"

namespace rekey::pipeline {

using auditdev::Config;
using auditdev::Device;
using auditdev::DeviceSet;
using base::Result;

DeviceTable::DeviceTable(const base::Clock& clock, const base::Log& log,
                         std::vector<std::string> syslog_sockets)
    : clock_(clock), log_(log), syslog_sockets_(std::move(syslog_sockets)) {}

DeviceTable::~DeviceTable() { close_all(); }

auditdev::SinkParts DeviceTable::parts() const {
  auditdev::SinkParts parts{.clock = clock_};
  if (!syslog_sockets_.empty()) parts.syslog_sockets = syslog_sockets_;
  return parts;
}

Result<std::shared_ptr<const DeviceSet>> DeviceTable::load(barrier::Txn& txn) {
  std::lock_guard lock(mutex_);
  Devices next;
  auto scanned = txn.scan(kDevicePrefix, "", [&](std::string_view key, std::string_view text) {
    auto config = Config::decode(text);
    auto options = config ? auditdev::parse_options(config->type, config->options)
                          : Result<auditdev::Options>(forward(config));
    if (!options) {
      log_.error("pipeline", "an audit device's row can't be used; it gets no lines",
                 {{"key", std::string(key)}, {"error", options.error().message()}});
      return true;
    }
    // A row is never changed in place, and each has a salt of its own.
    const auto known = std::ranges::find_if(live_, [&](const auto& device) {
      return device->config().path == config->path &&
             base::equal_constant_time(device->config().salt.reveal(), config->salt.reveal());
    });
    next.push_back(known != live_.end()
                       ? *known
                       : std::make_shared<const Device>(std::move(*config), std::move(*options),
                                                        parts(), log_));
    return true;
  });
  if (!scanned) return forward(scanned);
  for (auto& device : live_) {
    if (std::ranges::find(next, device) == next.end()) dropped_.push_back(std::move(device));
  }
  live_ = next;
  if (next.empty()) return nullptr;
  return std::make_shared<const DeviceSet>(std::move(next));
}

Result<std::shared_ptr<const AuditedHeaders>> DeviceTable::load_headers(barrier::Txn& txn) {
  AuditedHeaders headers;
  auto scanned =
      txn.scan(kAuditedHeaderPrefix, "", [&](std::string_view key, std::string_view text) {
        const auto row = base::Json::parse(text);
        const base::Json* hmac = row ? row->find("hmac") : nullptr;
        // An unreadable row hides the value rather than show it.
        const bool plain = hmac != nullptr && hmac->as_bool() != nullptr && !*hmac->as_bool();
        headers.push_back({std::string(key.substr(kAuditedHeaderPrefix.size())), !plain});
        return true;
      });
  if (!scanned) return forward(scanned);
  if (headers.empty()) return nullptr;
  return std::make_shared<const AuditedHeaders>(std::move(headers));
}

void DeviceTable::close(Devices devices) {
  for (const auto& device : devices) device->writer().start_closing();
  for (auto& device : devices) {
    if (device->writer().finish(auditdev::kCloseMax)) continue;
    log_.error("pipeline", "an audit device's thread doesn't end: its disk doesn't answer",
               {{"device", device->config().path}});
    std::lock_guard lock(mutex_);
    stuck_.push_back(std::move(device));
  }
}

void DeviceTable::close_dropped() {
  Devices dropped;
  {
    std::lock_guard lock(mutex_);
    dropped.swap(dropped_);
  }
  close(std::move(dropped));
}

void DeviceTable::close_all() {
  Devices all;
  {
    std::lock_guard lock(mutex_);
    all.swap(live_);
    for (auto& device : dropped_) all.push_back(std::move(device));
    dropped_.clear();
  }
  close(std::move(all));
}

void DeviceTable::rotate() {
  std::lock_guard lock(mutex_);
  for (const auto& device : live_) device->writer().rotate();
}

Result<void> DeviceTable::try_out(const Config& config, const auditdev::Options& options,
                                  std::string_view request_id) const {
  return auditdev::try_device(config, options, parts(), request_id);
}

}  // namespace rekey::pipeline
