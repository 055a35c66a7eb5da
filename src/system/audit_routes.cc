// sys/audit, sys/audit-hash, sys/audit-status: Vault's audit devices beside Rekey's own record.
#include <algorithm>

#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using auditdev::Config;
using auditdev::Device;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

constexpr size_t kDescriptionBytesMax = 4'096;  // of an audit device

// "/a/b/" is "a/b/".
std::string device_path(const Context& context) {
  std::string_view path = context.fields.text("path");
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return std::string(path) + "/";
}

std::string row_key(std::string_view path) {
  return std::string(pipeline::kDevicePrefix) + std::string(path.substr(0, path.size() - 1));
}

const Device* find(Context& context, std::string_view path) {
  const auto& devices = CallContext::of(context).state->devices;
  return devices == nullptr ? nullptr : devices->find(path);
}

Result<Response> list(Context& context) {
  JsonObject data;
  if (const auto& set = CallContext::of(context).state->devices) {
    for (const auto& device : set->devices()) {
      const Config& config = device->config();
      JsonObject options;
      for (const auto& [name, value] : config.options) options.set(name, value);
      data.set(config.path, JsonObject{{"path", config.path},
                                       {"type", config.type},
                                       {"description", config.description},
                                       {"local", config.local},
                                       {"options", std::move(options)}});
    }
  }
  return logical::with_data(std::move(data));
}

// What stands in the way of a device at this path, in Vault's words where it has them.
Result<void> check_place(Context& context, std::string_view path,
                         const auditdev::Options& options) {
  const auto& set = CallContext::of(context).state->devices;
  if (set == nullptr) return {};
  for (const auto& device : set->devices()) {
    const std::string& taken = device->config().path;
    if (taken.starts_with(path) || path.starts_with(taken)) {
      return logical::bad_request("path already in use");
    }
    if (options.fallback && device->options().fallback) {
      return logical::bad_request("there is a fallback device already: " + taken);
    }
  }
  if (set->devices().size() >= auditdev::kDevicesMax) {
    return logical::bad_request("there are " + std::to_string(auditdev::kDevicesMax) +
                                " audit devices already");
  }
  return {};
}

Result<Response> enable(Context& context, pipeline::Keeper& keeper) {
  Config config;
  config.path = device_path(context);
  if (config.path == "/" || config.path.size() > auditdev::kDevicePathBytesMax) {
    return logical::bad_request("the path of an audit device is empty or too long");
  }
  config.type = context.fields.text("type");
  config.description = context.fields.text("description");
  if (config.description.size() > kDescriptionBytesMax) {
    return logical::bad_request("the description is too long");
  }
  config.local = context.fields.flag("local");
  for (auto& [name, value] : context.fields.string_map("options")) {
    config.options[name] = std::move(value);
  }
  auto options = auditdev::parse_options(config.type, config.options);
  if (!options) return forward(options);
  auto placed = check_place(context, config.path, *options);
  if (!placed) return forward(placed);
  if (keeper.devices() == nullptr) return logical::bad_request("this server has no audit devices");
  config.salt = context.random.secret(auditdev::kSaltBytes);
  auto tried = keeper.devices()->try_out(config, *options, context.random.uuid());
  if (!tried) return forward(tried);
  CallContext::of(context).txn->put(row_key(config.path), config.encode());
  context.after_commit.push_back([&keeper] { return keeper.reload_devices(); });
  return Response{};
}

Result<Response> disable(Context& context, pipeline::Keeper& keeper) {
  const std::string path = device_path(context);
  if (find(context, path) == nullptr) return Response{};
  CallContext::of(context).txn->erase(row_key(path));
  context.after_commit.push_back([&keeper] { return keeper.reload_devices(); });
  return Response{};
}

Result<Response> hash(Context& context) {
  if (context.fields.text("path").ends_with('/')) {
    return logical::bad_request("cannot write to a path ending in '/'");
  }
  const std::string_view input = context.fields.text("input");
  if (input.empty()) return logical::bad_request("the \"input\" parameter is empty");
  const std::string path = device_path(context);
  const Device* device = find(context, path);
  if (device == nullptr) return logical::bad_request("unknown audit backend \"" + path + "\"");
  return logical::with_data({{"hash", device->hasher().hash(input)}});
}

Result<Response> status(Context& context) {
  JsonObject data;
  if (const auto& set = CallContext::of(context).state->devices) {
    for (const auto& device : set->devices()) {
      const auditdev::WriterHealth health = device->writer().health();
      data.set(device->config().path, JsonObject{{"works", health.works},
                                                 {"reason", health.reason},
                                                 {"lines_written", health.lines_written},
                                                 {"lines_dropped", health.lines_dropped},
                                                 {"failures", health.failures},
                                                 {"waiting_bytes", health.waiting_bytes}});
    }
  }
  return logical::with_data(std::move(data));
}

}  // namespace

void SystemBackend::add_audit_routes() {
  pipeline::Keeper& keeper = parts_.keeper;
  routes_.add({.pattern = "audit",
               .handlers = {{Operation::kRead, list}},
               .synopsis = "The audit devices that are enabled.",
               .sudo = true});
  routes_.add({.pattern = "audit/{path*}",
               .fields = {{"type", FieldType::kString, "file, syslog or socket."},
                          {"description", FieldType::kString, "For people."},
                          {"local", FieldType::kBoolean, "Kept and shown; has no effect."},
                          {"options", FieldType::kStringMap, "Of this type of device."}},
               .handlers = {{Operation::kUpdate,
                             [&keeper](Context& context) { return enable(context, keeper); }},
                            {Operation::kDelete,
                             [&keeper](Context& context) { return disable(context, keeper); }}},
               .synopsis = "An audit device: gets a line for each request and each answer.",
               .sudo = true,
               .blocking = true});
  routes_.add(
      {.pattern = "audit-hash/{path*}",
       .fields = {{"input", FieldType::kString, "A value that may be in the device's log."}},
       .handlers = {{Operation::kUpdate, hash}},
       .synopsis = "The hash by which a value stands in an audit device's log."});
  routes_.add({.pattern = "audit-status",
               .handlers = {{Operation::kRead, status}},
               .synopsis = "Which audit devices take their lines, and how many were dropped.",
               .sudo = true});
}

}  // namespace rekey::system
