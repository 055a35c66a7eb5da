// DeviceTable: the audit devices that run, following their rows behind the barrier (core/audit/).
//
// load() makes the set that the next State holds; a device whose row didn't change keeps its
// thread and what waits in its queue. Closing waits for a device's last lines, so it has calls of
// its own, made where no lock is held and no request waits. Any thread but an io thread.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "auditdev/device.h"
#include "barrier/txn.h"
#include "base/clock.h"
#include "base/log.h"

namespace rekey::pipeline {

constexpr std::string_view kDevicePrefix = "core/audit/";  // then the path, without slash
constexpr std::string_view kAuditedHeaderPrefix = "core/audited-header/";  // then the name

// A row of sys/config/auditing/request-headers.
struct AuditedHeader {
  std::string name;  // lower case
  bool hmac = false;
};
using AuditedHeaders = std::vector<AuditedHeader>;

class DeviceTable {
 public:
  // Both outlive the table. No device's file may lie in one of `own_folders`: a line in the middle
  // of the store's file would be the end of it.
  DeviceTable(const base::Clock& clock, const base::Log& log,
              std::vector<std::string> own_folders = {});
  ~DeviceTable();  // close_all()

  // Null where there is no device. A row that can't be used is logged and left out.
  base::Result<std::shared_ptr<const auditdev::DeviceSet>> load(barrier::Txn& txn);
  // Null where there is none.
  static base::Result<std::shared_ptr<const AuditedHeaders>> load_headers(barrier::Txn& txn);

  // Ends the devices that the last load() left out: writes what waits, for a bounded time.
  void close_dropped();
  void close_all();
  // Opens files anew: they may have been moved away.
  void rotate();

  // Whether a device like this would work; writes one line to it.
  base::Result<void> try_out(const auditdev::Config& config, const auditdev::Options& options,
                             std::string_view request_id) const;

 private:
  using Devices = std::vector<std::shared_ptr<const auditdev::Device>>;
  void close(Devices devices);

  const base::Clock& clock_;
  const base::Log& log_;
  const std::vector<std::string> own_folders_;
  std::mutex mutex_;
  Devices live_, dropped_;
  Devices stuck_;  // whose disk doesn't answer: kept, so that nobody else waits for them
};

}  // namespace rekey::pipeline
