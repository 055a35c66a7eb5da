// What operators ask: host-info, in-flight-req, version-history, loggers, the API's own
// description.
#include "logical/answer.h"
#include "logical/openapi.h"
#include "pipeline/call_context.h"
#include "system/host_facts.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

Response plain(JsonObject body) {
  Response response = logical::with_data(std::move(body));
  response.plain = true;
  return response;
}

// Of the mounts that the caller may use something of; of none without a token.
Result<Response> describe_api(Context& context) {
  const CallContext& call = CallContext::of(context);
  logical::OpenApi description;
  if (call.rights != nullptr) {
    for (const auto& [path, mount] : call.state->mounts->rows()) {
      if (call.rights->acl->root() || call.rights->acl->reaches_below(path))
        description.add(*mount);
    }
  }
  return plain(std::move(description).document());
}

Result<Response> in_flight(const SystemParts& parts) {
  JsonObject body;
  if (parts.in_flight) {
    for (const pipeline::RequestInFlight& request : parts.in_flight()) {
      body.set(request.id, JsonObject{{"start_time", base::format_rfc3339(request.started)},
                                      {"client_remote_address", request.remote_address},
                                      {"request_path", request.path},
                                      {"request_method", request.method}});
    }
  }
  return plain(std::move(body));
}

Result<Response> version_history(Context& context, const SystemParts& parts) {
  const CallContext& call = CallContext::of(context);
  JsonArray keys;
  JsonObject info;
  auto scanned =
      call.txn->scan(kVersionPrefix, "", [&](std::string_view key, std::string_view row) {
        const std::string_view version = key.substr(kVersionPrefix.size());
        auto parsed = Json::parse(row);
        if (!parsed || !parsed->is_object()) return true;
        JsonObject entry = *parsed->as_object();
        entry.set("build_date", parts.build_date);
        keys.emplace_back(version);
        info.set(version, std::move(entry));
        return true;
      });
  if (!scanned) return forward(scanned);
  if (keys.empty()) return logical::nothing_there();
  return logical::with_data({{"keys", std::move(keys)}, {"key_info", std::move(info)}});
}

// Vault's names of levels; "notice" and "warning" are taken too.
Result<base::LogLevel> level_of(const Context& context) {
  const std::string_view name = context.fields.text("level");
  if (name.empty()) return logical::bad_request("level is required");
  auto level = base::parse_log_level(name);
  if (!level) return logical::bad_request("unknown level \"" + std::string(name) + "\"");
  return level;
}

Result<Response> read_loggers(const base::Log& log) {
  JsonObject data;
  for (std::string_view room : base::Log::rooms()) {
    data.set(room, base::log_level_name(log.level(room)));
  }
  return logical::with_data(std::move(data));
}

Result<Response> read_logger(Context& context, const base::Log& log) {
  const std::string_view name = context.fields.text("name");
  if (!base::Log::knows(name)) {
    return base::fail(base::ErrorKind::kNotFound, "logger \"" + std::string(name) + "\" not found");
  }
  return logical::with_data(JsonObject{{std::string(name), base::log_level_name(log.level(name))}});
}

Result<Response> write_logger(Context& context, base::Log& log) {
  const std::string_view name = context.fields.text("name");
  auto level = level_of(context);
  if (!level) return forward(level);
  if (!base::Log::knows(name)) {
    return base::fail(base::ErrorKind::kNotFound, "logger \"" + std::string(name) + "\" not found");
  }
  log.set_level(name, *level);
  return Response{};
}

Result<Response> write_loggers(Context& context, base::Log& log) {
  auto level = level_of(context);
  if (!level) return forward(level);
  log.set_level(*level);
  return Response{};
}

}  // namespace

void SystemBackend::add_host_routes() {
  routes_.add({.pattern = "host-info",
               .handlers = {{Operation::kRead,
                             [](Context& context) -> Result<Response> {
                               return logical::with_data(host_facts(context.clock.wall()));
                             }}},
               .synopsis = "The machine: processors, memory, disks.",
               .blocking = true});
  routes_.add({.pattern = "in-flight-req",
               .handlers = {{Operation::kRead, [this](Context&) { return in_flight(parts_); }}},
               .synopsis = "The requests that are being answered now.",
               .blocking = true});
  routes_.add(
      {.pattern = "version-history",
       .handlers = {{Operation::kList,
                     [this](Context& context) { return version_history(context, parts_); }}},
       .synopsis = "The versions that this store was unsealed with."});
  routes_.add({.pattern = "replication/status",
               .handlers = {{Operation::kRead,
                             [](Context&) -> Result<Response> {
                               return logical::with_data(
                                   {{"dr", JsonObject{{"mode", "disabled"}}},
                                    {"performance", JsonObject{{"mode", "disabled"}}}});
                             }}},
               .synopsis = "The state of replication: there is none.",
               .unauthenticated = true});
  const logical::Field generic{"generic_mount_paths", FieldType::kBoolean,
                               "Has no effect: mounts are shown where they are."};
  routes_.add({.pattern = "internal/specs/openapi",
               .fields = {generic},
               .handlers = {{Operation::kRead, describe_api}, {Operation::kUpdate, describe_api}},
               .synopsis = "The API of the mounts that the caller can use, in OpenAPI.",
               .unauthenticated = true,
               .blocking = true});
  add_logger_routes();
}

void SystemBackend::add_logger_routes() {
  base::Log& log = parts_.log;
  const logical::Field level{"level", FieldType::kString, "trace, debug, info, warn or error."};
  routes_.add({.pattern = "loggers",
               .fields = {level},
               .handlers = {{Operation::kRead, [&log](Context&) { return read_loggers(log); }},
                            {Operation::kUpdate,
                             [&log](Context& context) { return write_loggers(context, log); }},
                            {Operation::kDelete,
                             [&log](Context&) -> Result<Response> {
                               log.reset_levels();
                               return Response{};
                             }}},
               .synopsis = "How much each part logs; deleting goes back to the configured level."});
  routes_.add({.pattern = "loggers/{name}",
               .fields = {level},
               .handlers = {{Operation::kRead,
                             [&log](Context& context) { return read_logger(context, log); }},
                            {Operation::kUpdate,
                             [&log](Context& context) { return write_logger(context, log); }},
                            {Operation::kDelete,
                             [&log](Context& context) -> Result<Response> {
                               log.reset_level(context.fields.text("name"));
                               return Response{};
                             }}},
               .synopsis = "How much one part logs."});
}

}  // namespace rekey::system
