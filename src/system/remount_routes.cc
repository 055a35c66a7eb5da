// sys/remount: moving a mount to another path.
#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "system/mount_view.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Mount;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;

// The last moves, for remount/status: a JSON array of {id, from, to}, the oldest first.
constexpr std::string_view kMovesRow = "core/moves";
constexpr size_t kMovesKeptMax = 64;

std::string row_of(std::string_view path) {
  return std::string(pipeline::kMountPrefix) + std::string(path);
}

Result<JsonArray> read_moves(const CallContext& call) {
  auto row = call.txn->get(kMovesRow);
  if (!row) return forward(row);
  if (!*row) return JsonArray{};
  const auto moves = Json::parse(**row);
  if (!moves || moves->as_array() == nullptr) {
    return base::fail(base::ErrorKind::kCorrupt, "the list of moved mounts can't be read");
  }
  return *moves->as_array();
}

Result<void> keep_move(const CallContext& call, JsonObject move) {
  auto moves = read_moves(call);
  if (!moves) return forward(moves);
  if (moves->size() >= kMovesKeptMax) moves->erase(moves->begin());
  moves->emplace_back(std::move(move));
  call.txn->put(kMovesRow, Json(std::move(*moves)).dump());
  return {};
}

Result<Response> remount(Context& context, const SystemParts& parts) {
  CallContext& call = CallContext::of(context);
  std::string from(context.fields.text("from")), to(context.fields.text("to"));
  if (from.empty() || to.empty()) {
    return logical::bad_request("both 'from' and 'to' path must be specified as a string");
  }
  from = mount_path(from, false);
  to = mount_path(to, false);
  const auto mount = call.state->mounts->at(from);
  if (mount == nullptr) return logical::bad_request("no matching mount at \"" + from + "\"");
  if (is_built_in(*mount)) return logical::bad_request("cannot remount \"" + from + "\"");
  if (from.starts_with("auth/") != to.starts_with("auth/")) {
    return logical::bad_request("cannot move an auth mount to a secret mount or the other way");
  }
  for (std::string_view reserved : {"sys/", "cubbyhole/", "identity/", "audit/", "auth/token/"}) {
    if (to.starts_with(reserved)) return logical::bad_request("cannot remount to \"" + to + "\"");
  }
  if (auto taken = call.state->mounts->in_the_way_of(to)) {
    return logical::bad_request("path already in use at \"" + taken->path + "\"");
  }
  Mount moved = *mount;
  moved.path = to;
  auto there = call.txn->get(row_of(to));
  if (!there) return forward(there);
  call.txn->erase(row_of(from));
  call.txn->put(row_of(to), pipeline::Keeper::describe(moved).dump());
  context.after_commit.push_back([&keeper = parts.keeper] { return keeper.reload_mounts(); });
  const std::string id = context.random.uuid();
  auto kept = keep_move(call, {{"id", id}, {"from", from}, {"to", to}});
  if (!kept) return forward(kept);
  return logical::with_data({{"migration_id", id}});
}

Result<Response> status(Context& context) {
  auto moves = read_moves(CallContext::of(context));
  if (!moves) return forward(moves);
  const std::string_view id = context.fields.text("migration_id");
  for (const Json& move : *moves) {
    if (move.string_or("id", "") != id) continue;
    return logical::with_data(
        {{"migration_id", id},
         {"migration_info", JsonObject{{"source_mount", move.string_or("from", "")},
                                       {"target_mount", move.string_or("to", "")},
                                       {"status", "success"}}}});
  }
  return logical::nothing_there();
}

}  // namespace

void SystemBackend::add_remount_routes() {
  routes_.add(
      {.pattern = "remount",
       .fields = {{"from", FieldType::kString, "Where it is."},
                  {"to", FieldType::kString, "Where it is to be."}},
       .handlers = {{Operation::kUpdate, [this](Context& c) { return remount(c, parts_); }}},
       .synopsis = "Moves a mount; its data stays where it is.",
       .sudo = true,
       .blocking = true});
  routes_.add({.pattern = "remount/status/{migration_id}",
               .handlers = {{Operation::kRead, status}},
               .synopsis = "The state of a move; a move is done when it was answered.",
               .sudo = true});
}

}  // namespace rekey::system
