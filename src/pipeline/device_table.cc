#include "pipeline/device_table.h"

#include <algorithm>
#include <filesystem>

#include "base/json.h"

namespace rekey::pipeline {

using auditdev::Config;
using auditdev::Device;
using auditdev::DeviceSet;
using base::Result;

namespace {

bool lies_in(const std::string& file, const std::string& folder) {
  if (folder.empty()) return false;
  std::error_code problem;
  const auto path = std::filesystem::weakly_canonical(std::filesystem::absolute(file), problem);
  const auto top = std::filesystem::weakly_canonical(std::filesystem::absolute(folder), problem);
  return std::ranges::mismatch(path, top).in2 == top.end();
}

}  // namespace

DeviceTable::DeviceTable(const base::Clock& clock, const base::Log& log,
                         std::vector<std::string> own_folders)
    : clock_(clock), log_(log), own_folders_(std::move(own_folders)) {}

DeviceTable::~DeviceTable() { close_all(); }

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
    next.push_back(known != live_.end() ? *known
                                        : std::make_shared<const Device>(
                                              std::move(*config), std::move(*options),
                                              auditdev::SinkParts{.clock = clock_}, log_));
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
  if (options.kind == auditdev::Kind::kFile) {
    for (const std::string& folder : own_folders_) {
      if (lies_in(options.file_path, folder)) {
        return base::fail(base::ErrorKind::kInvalid,
                          "file_path lies among Rekey's own files: " + options.file_path);
      }
    }
  }
  return auditdev::try_device(config, options, {.clock = clock_}, request_id);
}

}  // namespace rekey::pipeline
