#include "system/host_facts.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace rekey::system {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;

constexpr size_t kProcFileBytesMax = 1024 * 1024;  // of one file of /proc that is read

std::string read_proc(const char* path) {
  std::string out;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  char buffer[8192];
  ssize_t got = 0;
  while (out.size() < kProcFileBytesMax && (got = read(fd, buffer, sizeof buffer)) > 0) {
    out.append(buffer, static_cast<size_t>(got));
  }
  close(fd);
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <class Take>
void each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    take(line);
  }
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  while (!(line = trimmed(line)).empty()) {
    const std::string_view word = line.substr(0, line.find(' '));
    out.push_back(word);
    line.remove_prefix(word.size());
  }
  return out;
}

int64_t whole(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// One object for each processor, from the blocks of /proc/cpuinfo.
JsonArray processors() {
  JsonArray out;
  each_line(read_proc("/proc/cpuinfo"), [&](std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view name = trimmed(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "processor") out.emplace_back(JsonObject{{"cpu", whole(value)}, {"cores", 1}});
    if (out.empty()) return;
    JsonObject& cpu = *out.back().as_object();
    if (name == "vendor_id") cpu.set("vendorId", value);
    if (name == "cpu family") cpu.set("family", value);
    if (name == "model") cpu.set("model", value);
    if (name == "model name") cpu.set("modelName", value);
    if (name == "stepping") cpu.set("stepping", whole(value));
    if (name == "cpu MHz") cpu.set("mhz", whole(value));
    if (name == "cache size") cpu.set("cacheSize", whole(value));
    if (name == "physical id") cpu.set("physicalId", value);
    if (name == "core id") cpu.set("coreId", value);
    if (name == "microcode") cpu.set("microcode", value);
  });
  return out;
}

// Seconds that each processor spent in each state, proc(5) /proc/stat.
JsonArray processor_times() {
  constexpr const char* kStates[] = {"user", "nice",    "system", "idle",  "iowait",
                                     "irq",  "softirq", "steal",  "guest", "guestNice"};
  const auto ticks = static_cast<double>(std::max<long>(1, sysconf(_SC_CLK_TCK)));
  JsonArray out;
  each_line(read_proc("/proc/stat"), [&](std::string_view line) {
    if (!line.starts_with("cpu") || line.starts_with("cpu ")) return;
    const auto columns = words(line);
    JsonObject times{{"cpu", columns[0]}};
    for (size_t i = 0; i < std::size(kStates); i++) {
      const int64_t spent = i + 1 < columns.size() ? whole(columns[i + 1]) : 0;
      times.set(kStates[i], Json::number(static_cast<double>(spent) / ticks));
    }
    out.emplace_back(std::move(times));
  });
  return out;
}

JsonObject memory() {
  JsonObject out;
  struct sysinfo info{};
  if (sysinfo(&info) == 0) {
    out.set("total", static_cast<uint64_t>(info.totalram) * info.mem_unit);
    out.set("free", static_cast<uint64_t>(info.freeram) * info.mem_unit);
    out.set("buffers", static_cast<uint64_t>(info.bufferram) * info.mem_unit);
    out.set("swapTotal", static_cast<uint64_t>(info.totalswap) * info.mem_unit);
    out.set("swapFree", static_cast<uint64_t>(info.freeswap) * info.mem_unit);
  }
  int64_t total_kb = 0, available_kb = 0;
  each_line(read_proc("/proc/meminfo"), [&](std::string_view line) {
    const auto columns = words(line);
    if (columns.size() < 2) return;
    const int64_t kb = whole(columns[1]);
    if (columns[0] == "MemTotal:") total_kb = kb;
    if (columns[0] == "MemAvailable:") available_kb = kb;
    if (columns[0] == "Cached:") out.set("cached", kb * 1024);
    if (columns[0] == "Active:") out.set("active", kb * 1024);
    if (columns[0] == "Inactive:") out.set("inactive", kb * 1024);
  });
  if (total_kb > 0) {
    out.set("available", available_kb * 1024);
    out.set("used", (total_kb - available_kb) * 1024);
    out.set("usedPercent", Json::number(100.0 * static_cast<double>(total_kb - available_kb) /
                                        static_cast<double>(total_kb)));
  }
  return out;
}

// File systems that lie on a device, each once.
JsonArray disks() {
  constexpr size_t kDisksMax = 64;  // file systems that are listed
  JsonArray out;
  std::vector<std::string> seen;
  each_line(read_proc("/proc/self/mounts"), [&](std::string_view line) {
    const auto columns = words(line);
    if (columns.size() < 3 || !columns[0].starts_with('/') || out.size() >= kDisksMax) return;
    if (std::ranges::find(seen, columns[0]) != seen.end()) return;
    struct statvfs facts{};
    if (statvfs(std::string(columns[1]).c_str(), &facts) != 0 || facts.f_blocks == 0) return;
    seen.emplace_back(columns[0]);
    const uint64_t total = facts.f_blocks * facts.f_frsize, free = facts.f_bavail * facts.f_frsize;
    const uint64_t used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize;
    out.emplace_back(JsonObject{{"path", columns[1]},
                                {"fstype", columns[2]},
                                {"total", total},
                                {"free", free},
                                {"used", used},
                                {"usedPercent", Json::number(100.0 * static_cast<double>(used) /
                                                             static_cast<double>(total))},
                                {"inodesTotal", static_cast<uint64_t>(facts.f_files)},
                                {"inodesFree", static_cast<uint64_t>(facts.f_ffree)}});
  });
  return out;
}

JsonObject host(base::WallTime now) {
  JsonObject out{{"os", "linux"}};
  utsname names{};
  if (uname(&names) == 0) {
    out.set("hostname", std::string_view(names.nodename));
    out.set("kernelVersion", std::string_view(names.release));
    out.set("kernelArch", std::string_view(names.machine));
  }
  struct sysinfo info{};
  if (sysinfo(&info) == 0) {
    out.set("uptime", static_cast<int64_t>(info.uptime));
    out.set("procs", static_cast<int64_t>(info.procs));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    out.set("bootTime", static_cast<int64_t>(seconds - info.uptime));
  }
  each_line(read_proc("/etc/os-release"), [&](std::string_view line) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return;
    std::string_view value = line.substr(equals + 1);
    if (value.starts_with('"') && value.ends_with('"') && value.size() >= 2) {
      value = value.substr(1, value.size() - 2);
    }
    if (line.starts_with("ID=")) out.set("platform", value);
    if (line.starts_with("VERSION_ID=")) out.set("platformVersion", value);
  });
  return out;
}

}  // namespace

JsonObject host_facts(base::WallTime now) {
  return {{"timestamp", base::format_rfc3339(now)}, {"host", host(now)},  {"cpu", processors()},
          {"cpu_times", processor_times()},         {"memory", memory()}, {"disk", disks()}};
}

}  // namespace rekey::system
