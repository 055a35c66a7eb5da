// status, and the table of a seal's state that unsealing prints too.
#include <fmt/format.h>

#include "cli/commands.h"

namespace rekey::cli {

using base::Json;
using base::JsonObject;
using base::Result;

namespace {

std::string text(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value == nullptr || value->is_null() ? "" : format_cell(*value);
}

bool flag(const Json& object, std::string_view name) { return text(object, name) == "true"; }

void add_ha_rows(std::vector<Row>& rows, const Json& status, const Json& leader) {
  rows.push_back({"HA Enabled", text(leader, "ha_enabled")});
  if (!flag(leader, "ha_enabled")) return;
  rows.push_back({"HA Cluster", text(leader, "leader_cluster_address")});
  if (flag(status, "sealed")) return;
  rows.push_back({"HA Mode", flag(leader, "is_self") ? "active" : "standby"});
  if (flag(leader, "is_self")) {
    rows.push_back({"Active Since", text(leader, "active_time")});
  } else {
    rows.push_back({"Active Node Address", text(leader, "leader_address")});
  }
}

int status(Context& context) {
  Result<Reply> reply = context.api().get("sys/seal-status");
  if (!reply) return context.fail(1, "Error checking seal status: ", reply.error());
  Json& seal = reply->json;
  // A sealed server may have nothing to say of its leader.
  Result<Reply> leader = context.api().get("sys/leader");
  const bool is_sealed = flag(seal, "sealed");
  show_seal_status(context, seal, leader ? leader->json : Json(JsonObject()));
  return is_sealed ? 2 : 0;
}

constexpr Command kCommands[] = {
    {.name = "status",
     .summary = "Print seal and HA status",
     .usage = "[options]",
     .help = "Prints the state of the server, sealed or not.\n\n"
             "The exit code says what it is:\n\n"
             "    - 0 - unsealed\n"
             "    - 1 - error\n"
             "    - 2 - sealed",
     .run = status,
     .sets = kHttp | kField | kFormat},
};

}  // namespace

int show_seal_status(Context& context, const Json& seal, const Json& leader) {
  const std::string field = context.flags().text("field");
  if (!field.empty()) return context.show_field(seal.find(field), "map");
  static const Layout kLayout = {
      {"type", "initialized", "sealed", "t", "n", "progress", "nonce", "version", "commit_date",
       "build_date", "migration", "cluster_name", "cluster_id", "recovery_seal", "storage_type"},
      {}};
  Json all = seal;
  if (leader.find("ha_enabled") != nullptr && all.as_object() != nullptr) {
    all.as_object()->set("ha_enabled", *leader.find("ha_enabled"));
  }
  if (context.show_structured(all, kLayout)) return 0;
  const std::string prefix = flag(seal, "recovery_seal") ? "Recovery " : "";
  std::vector<Row> rows = {{prefix + "Seal Type", text(seal, "type")},
                           {"Initialized", text(seal, "initialized")},
                           {"Sealed", text(seal, "sealed")},
                           {"Total " + prefix + "Shares", text(seal, "n")},
                           {"Threshold", text(seal, "t")}};
  if (flag(seal, "sealed")) {
    rows.push_back({"Unseal Progress", text(seal, "progress") + "/" + text(seal, "t")});
    rows.push_back({"Unseal Nonce", text(seal, "nonce")});
  }
  if (flag(seal, "migration")) rows.push_back({"Seal Migration in Progress", "true"});
  rows.push_back({"Version", text(seal, "version")});
  for (const auto& [title, name] :
       {std::pair{"Build Date", "build_date"}, std::pair{"Commit Date", "commit_date"}}) {
    if (!text(seal, name).empty()) rows.push_back({title, text(seal, name)});
  }
  rows.push_back({"Storage Type", text(seal, "storage_type")});
  if (!text(seal, "cluster_name").empty()) {
    rows.push_back({"Cluster Name", text(seal, "cluster_name")});
    rows.push_back({"Cluster ID", text(seal, "cluster_id")});
  }
  if (leader.find("ha_enabled") != nullptr) add_ha_rows(rows, seal, leader);
  context.show_data(seal, rows);
  return 0;
}

std::span<const Command> status_commands() { return kCommands; }

}  // namespace rekey::cli
