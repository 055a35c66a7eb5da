// sys/init, seal-status, unseal, seal, health, leader, ha-status, step-down.
#include "base/codec.h"
#include "logical/answer.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

Response plain(JsonObject body) {
  Response response = logical::with_data(std::move(body));
  response.plain = true;
  return response;
}

JsonObject describe(const SealStatus& status, const SystemParts& parts) {
  JsonObject body{{"type", status.type},
                  {"initialized", status.initialized},
                  {"sealed", status.sealed},
                  {"t", status.counts.threshold},
                  {"n", status.counts.shares},
                  {"progress", status.progress},
                  {"nonce", status.nonce},
                  {"version", parts.version},
                  {"build_date", parts.build_date},
                  {"migration", false},
                  {"recovery_seal", status.recovery_seal},
                  {"storage_type", parts.storage_type}};
  if (!status.cluster_name.empty()) {
    body.set("cluster_name", status.cluster_name);
    body.set("cluster_id", status.cluster_id);
  }
  return body;
}

JsonArray encoded(const std::vector<base::SecretBytes>& shares, bool base64) {
  JsonArray out;
  for (const base::SecretBytes& share : shares) {
    out.emplace_back(base64 ? base::base64_encode(share.reveal())
                            : base::hex_encode(share.reveal()));
  }
  return out;
}

Result<Response> init(Context& context, SealControl& control) {
  const logical::Fields& fields = context.fields;
  InitRequest request;
  request.shares = {static_cast<int>(fields.integer("secret_shares")),
                    static_cast<int>(fields.integer("secret_threshold"))};
  request.recovery = {static_cast<int>(fields.integer("recovery_shares")),
                      static_cast<int>(fields.integer("recovery_threshold"))};
  request.pgp_keys = fields.strings("pgp_keys").size() +
                     fields.strings("recovery_pgp_keys").size() +
                     (fields.text("root_token_pgp_key").empty() ? 0 : 1);
  auto made = control.initialize(request);
  if (!made) return forward(made);
  JsonObject body{{"keys", encoded(made->shares, false)},
                  {"keys_base64", encoded(made->shares, true)},
                  {"root_token", made->root_token}};
  if (!made->recovery_shares.empty()) {
    body.set("recovery_keys", encoded(made->recovery_shares, false));
    body.set("recovery_keys_base64", encoded(made->recovery_shares, true));
  }
  return plain(std::move(body));
}

Result<Response> unseal(Context& context, const SystemParts& parts) {
  if (context.fields.flag("migrate")) {
    return logical::bad_request("can't perform a seal migration, no migration seal found");
  }
  const bool reset = context.fields.flag("reset");
  const std::string_view key = context.fields.text("key");
  if (!reset && key.empty()) {
    return logical::bad_request(
        "'key' must be specified in request body as JSON, or 'reset' set to true");
  }
  auto status = reset ? parts.seal_control.reset_unseal() : parts.seal_control.unseal(key);
  if (!status) return forward(status);
  return plain(describe(*status, parts));
}

// Status codes of sys/health, each of which the caller may choose.
struct HealthCodes {
  int64_t active, standby, sealed, uninitialized;
};

Result<Response> health(Context& context, const SystemParts& parts) {
  const logical::Fields& fields = context.fields;
  const HealthCodes codes{fields.integer("activecode", 200), fields.integer("standbycode", 429),
                          fields.integer("sealedcode", 503), fields.integer("uninitcode", 501)};
  for (int64_t code : {codes.active, codes.standby, codes.sealed, codes.uninitialized}) {
    if (code < 100 || code > 599)
      return logical::bad_request("a status code must be between 100 and 599");
  }
  auto status = parts.seal_control.status();
  if (!status) return forward(status);
  const audit::Health record = parts.record.health();
  const storage::Health store = parts.store.health();
  JsonObject body{
      {"initialized", status->initialized},
      {"sealed", status->sealed},
      {"standby", status->sealed},
      {"performance_standby", false},
      {"replication_performance_mode", status->sealed ? "unknown" : "disabled"},
      {"replication_dr_mode", status->sealed ? "unknown" : "disabled"},
      {"server_time_utc",
       std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count()},
      {"version", parts.version},
      {"record_writable", record.writable},
      {"store_writable", store.writable}};
  if (!status->cluster_name.empty()) {
    body.set("cluster_name", status->cluster_name);
    body.set("cluster_id", status->cluster_id);
  }
  Response response = plain(std::move(body));
  const int64_t code = !status->initialized ? codes.uninitialized
                       : status->sealed     ? codes.sealed
                                            : codes.active;
  response.status = static_cast<int>(code);
  return response;
}

}  // namespace

void SystemBackend::add_seal_routes() {
  SealControl& control = parts_.seal_control;
  routes_.add({.pattern = "init",
               .fields = {{"secret_shares", FieldType::kInteger, "How many unseal shares."},
                          {"secret_threshold", FieldType::kInteger, "How many of them unseal."},
                          {"recovery_shares", FieldType::kInteger, "How many recovery shares."},
                          {"recovery_threshold", FieldType::kInteger, "How many authorise."},
                          {"stored_shares", FieldType::kInteger, "Ignored."},
                          {"pgp_keys", FieldType::kStrings, "Not supported."},
                          {"recovery_pgp_keys", FieldType::kStrings, "Not supported."},
                          {"root_token_pgp_key", FieldType::kString, "Not supported."}},
               .handlers = {{Operation::kRead,
                             [&control](Context&) -> Result<Response> {
                               auto there = control.initialized();
                               if (!there) return forward(there);
                               return plain({{"initialized", *there}});
                             }},
                            {Operation::kUpdate,
                             [&control](Context& context) { return init(context, control); }}},
               .synopsis = "Whether the server is initialised; initialises it.",
               .unauthenticated = true,
               .while_sealed = true,
               .blocking = true});
  routes_.add({.pattern = "unseal",
               .fields = {{"key", FieldType::kString, "One share, in hex or base64."},
                          {"reset", FieldType::kBoolean, "Forget the shares given so far."},
                          {"migrate", FieldType::kBoolean, "Not supported."}},
               .handlers = {{Operation::kUpdate,
                             [this](Context& context) { return unseal(context, parts_); }}},
               .synopsis = "Takes one share towards unsealing.",
               .unauthenticated = true,
               .while_sealed = true,
               .blocking = true});
  routes_.add({.pattern = "seal",
               .handlers = {{Operation::kUpdate,
                             [&control](Context&) -> Result<Response> {
                               auto sealed = control.seal();
                               if (!sealed) return forward(sealed);
                               return Response{};
                             }}},
               .synopsis = "Seals the server: every key and secret leaves its memory.",
               .sudo = true,
               .blocking = true});
  add_health_routes();
}

// What says how the server is.
void SystemBackend::add_health_routes() {
  routes_.add({.pattern = "seal-status",
               .handlers = {{Operation::kRead,
                             [this](Context&) -> Result<Response> {
                               auto status = parts_.seal_control.status();
                               if (!status) return forward(status);
                               return plain(describe(*status, parts_));
                             }}},
               .synopsis = "Whether the server is sealed.",
               .unauthenticated = true,
               .while_sealed = true,
               .blocking = true,
               .without_record = true});
  routes_.add({.pattern = "health",
               .fields = {{"standbyok", FieldType::kBoolean, "Standby counts as active."},
                          {"perfstandbyok", FieldType::kBoolean, "Has no meaning here."},
                          {"activecode", FieldType::kInteger, "Status code when active."},
                          {"standbycode", FieldType::kInteger, "Status code when standby."},
                          {"sealedcode", FieldType::kInteger, "Status code when sealed."},
                          {"uninitcode", FieldType::kInteger, "Status code when not initialised."}},
               .handlers = {{Operation::kRead,
                             [this](Context& context) { return health(context, parts_); }}},
               .synopsis = "Whether the server can serve.",
               .unauthenticated = true,
               .while_sealed = true,
               .blocking = true,
               .without_record = true});
  const auto leader = [](Context&) -> Result<Response> {
    return plain({{"ha_enabled", false},
                  {"is_self", false},
                  {"active_time", "0001-01-01T00:00:00Z"},
                  {"leader_address", ""},
                  {"leader_cluster_address", ""},
                  {"performance_standby", false},
                  {"performance_standby_last_remote_wal", 0}});
  };
  routes_.add({.pattern = "leader",
               .handlers = {{Operation::kRead, leader}},
               .synopsis = "Which node is active: this one, there is no other.",
               .unauthenticated = true,
               .while_sealed = true});
  routes_.add({.pattern = "ha-status",
               .handlers = {{Operation::kRead,
                             [this](Context&) -> Result<Response> {
                               JsonObject node{
                                   {"hostname", "localhost"}, {"api_address", parts_.api_address},
                                   {"cluster_address", ""},   {"active_node", true},
                                   {"last_echo", nullptr},    {"version", parts_.version}};
                               return logical::with_data(
                                   {{"nodes", JsonArray{Json(std::move(node))}}});
                             }}},
               .synopsis = "The nodes of this cluster."});
  routes_.add(
      {.pattern = "step-down",
       .handlers = {{Operation::kUpdate, [](Context&) -> Result<Response> { return Response{}; }}},
       .synopsis = "Gives up being active; on a single node there is nobody to take over.",
       .sudo = true});
}

}  // namespace rekey::system
