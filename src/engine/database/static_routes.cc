// static-roles/<name>, static-creds/<name>, rotate-role/<name>: users that stay, whose passwords
// are changed by schedule.
#include <algorithm>

#include "engine/database/cron.h"
#include "engine/database/database.h"
#include "engine/database/statement.h"
#include "engine/database/username_template.h"
#include "logical/answer.h"
#include "logical/named_rows.h"

namespace rekey::engine::database {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

namespace {

constexpr int64_t kRetryFirstS = 10;  // after a rotation failed, then doubled
constexpr int64_t kRetryMaxS = 1800;

int64_t now_s(const Context& context) {
  return std::chrono::floor<std::chrono::seconds>(context.clock.wall()).time_since_epoch().count();
}

int64_t whole_seconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// When a role that is rotated at `from_s` is rotated next.
int64_t next_due_s(const StaticRole& role, int64_t from_s) {
  if (role.schedule.empty()) return from_s + role.period_s;
  auto schedule = Schedule::parse(role.schedule);
  if (!schedule) return 0;
  const auto next = schedule->next(base::WallTime(std::chrono::seconds(from_s)));
  return next ? std::chrono::floor<std::chrono::seconds>(*next).time_since_epoch().count() : 0;
}

Result<void> read_times(const logical::Fields& fields, StaticRole& role, bool is_new) {
  const bool has_period = fields.has("rotation_period");
  const bool has_schedule = fields.has("rotation_schedule");
  if (has_period && has_schedule) {
    return logical::bad_request(
        "mutually exclusive fields rotation_period and rotation_schedule were both specified; only "
        "one of them can be provided");
  }
  if (is_new && !has_period && !has_schedule) {
    return logical::bad_request(
        "one of rotation_schedule or rotation_period must be provided to create a static account");
  }
  if (has_period) {
    role.period_s = whole_seconds(fields.duration("rotation_period").value_or(base::Duration{}));
    if (role.period_s < kRotationPeriodSMin) {
      return logical::bad_request("rotation_period must be 5s or more");
    }
    if (fields.has("rotation_window")) {
      return logical::bad_request("rotation_window is invalid with use of rotation_period");
    }
    role.schedule.clear();
    role.window_s = 0;
  }
  if (has_schedule) {
    role.schedule = fields.text("rotation_schedule");
    auto schedule = Schedule::parse(role.schedule);
    if (!schedule) return forward(schedule);
    role.period_s = 0;
  }
  if (fields.has("rotation_window") && !has_period) {
    role.window_s = whole_seconds(fields.duration("rotation_window").value_or(base::Duration{}));
    if (role.window_s < kRotationWindowSMin) {
      return logical::bad_request("rotation_window must be 1h0m0s or more");
    }
  }
  return {};
}

Result<Response> list_static_roles(Context& context) {
  return logical::list_rows(context, "static-role/");
}

Result<Response> read_static_role(Context& context) {
  auto role = find_static_role(*context.storage, context.fields.text("name"));
  if (!role) return forward(role);
  if (!*role) return logical::nothing_there();
  return logical::with_json(show(**role));
}

Result<Response> delete_static_role(Context& context) {
  auto role = find_static_role(*context.storage, context.fields.text("name"));
  if (!role) return forward(role);
  if (!*role) return Response{};
  auto erased = erase_static_role(*context.storage, **role);
  if (!erased) return forward(erased);
  return Response{};
}

Result<Response> read_static_creds(Context& context) {
  const std::string name(context.fields.text("name"));
  auto role = find_static_role(*context.storage, name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("unknown role: " + name);
  auto config = read_config(*context.storage, (*role)->config);
  if (!config) return forward(config);
  if (!config->allows(name)) {
    return logical::bad_request("\"" + name + "\" is not an allowed role");
  }
  JsonObject data{{"username", (*role)->username},
                  {"password", (*role)->password},
                  {"ttl", std::max<int64_t>(0, (*role)->due_s - now_s(context))},
                  {"last_vault_rotation",
                   base::format_rfc3339(base::WallTime(std::chrono::seconds((*role)->rotated_s)))}};
  if ((*role)->schedule.empty()) {
    data.set("rotation_period", (*role)->period_s);
  } else {
    data.set("rotation_schedule", (*role)->schedule);
    data.set("rotation_window", (*role)->window_s);
  }
  return logical::with_data(std::move(data));
}

}  // namespace

Result<void> DatabaseEngine::rotate(Context& context, StaticRole& role, const Config& config,
                                    int64_t old_due_s) const {
  if (role.pending_password.empty()) {
    auto password = new_password(context, config);
    if (!password) return forward(password);
    role.pending_password = std::move(*password);
  }
  // Due at once until it is done: after a crash it goes on with the same password.
  role.due_s = std::min(old_due_s == 0 ? now_s(context) : old_due_s, now_s(context));
  auto kept = write_static_role(*context.storage, role, old_due_s);
  if (!kept) return kept;
  auto durable = context.checkpoint();
  if (!durable) return durable;
  auto changed = with_session(context, config, [&](Session& session) {
    return session.set_password(role.username, role.pending_password, role.statements);
  });
  if (!changed) return changed;
  const int64_t due_now = role.due_s;
  role.password = std::move(role.pending_password);
  role.pending_password.clear();
  role.rotated_s = now_s(context);
  role.due_s = next_due_s(role, role.rotated_s);
  role.failures = 0;
  role.last_error.clear();
  return write_static_role(*context.storage, role, due_now);
}

Result<Response> DatabaseEngine::write_fixed_role(Context& context) const {
  const logical::Fields& fields = context.fields;
  const std::string name(fields.text("name"));
  if (name.empty() || name.size() > kNameBytesMax) {
    return logical::bad_request("empty or too long role name attribute given");
  }
  auto found = find_static_role(*context.storage, name);
  if (!found) return forward(found);
  const bool is_new = !*found;
  StaticRole role = is_new ? StaticRole{} : std::move(**found);
  const int64_t old_due_s = role.due_s;
  role.name = name;
  if (fields.has("db_name")) role.config = fields.text("db_name");
  if (role.config.empty()) return logical::bad_request("empty database name attribute");
  const std::string username(fields.text("username", role.username));
  if (username.empty()) {
    return logical::bad_request("username is a required field to create a static account");
  }
  if (!is_new && username != role.username) {
    return logical::bad_request("cannot update static account username");
  }
  if (!safe_username(username)) {
    return logical::bad_request("the username may hold letters, digits and _ . @ - only");
  }
  role.username = username;
  if (const Json* sent = fields.find("rotation_statements")) {
    auto statements = read_statements(*sent);
    if (!statements) return forward(statements);
    role.statements = std::move(*statements);
  }
  auto times = read_times(fields, role, is_new);
  if (!times) return forward(times);
  auto config = read_config(*context.storage, role.config);
  if (!config) return forward(config);
  if (!config->allows(name)) {
    return logical::bad_request("\"" + name + "\" is not an allowed role");
  }
  if (!is_new) {
    if (role.pending_password.empty()) role.due_s = next_due_s(role, role.rotated_s);
    auto written = write_static_role(*context.storage, role, old_due_s);
    if (!written) return forward(written);
    return Response{};
  }
  auto rotated = rotate(context, role, *config, 0);
  if (!rotated && rotated.error().kind() == ErrorKind::kUpstream) {
    // The database said no, so nothing was changed and there is nothing to go on with.
    auto erased = erase_static_role(*context.storage, role);
    auto durable = erased ? context.checkpoint() : std::move(erased);
    if (!durable) return forward(durable);
  }
  if (!rotated) return forward(rotated);
  return Response{};
}

Result<Response> DatabaseEngine::rotate_fixed_role(Context& context) const {
  const std::string name(context.fields.text("name"));
  auto role = find_static_role(*context.storage, name);
  if (!role) return forward(role);
  if (!*role) return logical::bad_request("no static role found for role name");
  auto config = read_config(*context.storage, (*role)->config);
  if (!config) return forward(config);
  const int64_t old_due_s = (*role)->due_s;
  auto rotated = rotate(context, **role, *config, old_due_s);
  if (!rotated) return forward(rotated);
  return Response{};
}

// One role whose time has come. In the background.
Result<bool> DatabaseEngine::tend(Context& context) const {
  std::string name;
  int64_t due_s = 0;
  auto scanned = context.storage->scan("due/", "", [&](std::string_view key, std::string_view) {
    const std::string_view rest = key.substr(4);
    name = rest.substr(17);
    for (const char c : rest.substr(0, 16))
      due_s = due_s * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
    return false;
  });
  if (!scanned) return forward(scanned);
  if (name.empty() || due_s > now_s(context)) return false;
  auto role = find_static_role(*context.storage, name);
  if (!role) return forward(role);
  if (!*role || (*role)->due_s != due_s) return false;
  auto config = find_config(*context.storage, (*role)->config);
  if (!config) return forward(config);
  // Too late for this window: the next one, unless the change was begun.
  if ((*role)->window_s > 0 && (*role)->pending_password.empty() && (*role)->failures > 0 &&
      now_s(context) > next_due_s(**role, (*role)->rotated_s) + (*role)->window_s) {
    (*role)->due_s = next_due_s(**role, now_s(context));
    (*role)->failures = 0;
    auto written = write_static_role(*context.storage, **role, due_s);
    if (!written) return forward(written);
    return true;
  }
  auto rotated = *config ? rotate(context, **role, **config, due_s)
                         : Result<void>(logical::bad_request("the configuration is gone"));
  if (rotated) return true;
  if (rotated.error().kind() == ErrorKind::kConflict) return forward(rotated);
  // Kept and tried again later; what the database knows may be the old or the new password.
  (*role)->failures++;
  (*role)->last_error = rotated.error().message();
  int64_t wait = kRetryFirstS;
  for (int64_t i = 1; i < (*role)->failures && wait < kRetryMaxS; i++) wait *= 2;
  const int64_t written_due_s = (*role)->due_s;
  (*role)->due_s = now_s(context) + std::min(wait, kRetryMaxS);
  auto written = write_static_role(*context.storage, **role, written_due_s);
  if (!written) return forward(written);
  return true;
}

void DatabaseEngine::add_static_routes() {
  routes_.add({.pattern = "static-roles",
               .fields = {logical::after_field(), logical::limit_field()},
               .handlers = {{Operation::kList, list_static_roles}},
               .synopsis = "Lists the static roles."});
  routes_.add(
      {.pattern = "static-roles/{name}",
       .fields = {{"db_name", FieldType::kString, "The configuration."},
                  {"username", FieldType::kString, "The user, who exists."},
                  {"rotation_period", FieldType::kDuration, "How often."},
                  {"rotation_schedule", FieldType::kString, "When, as in cron; UTC."},
                  {"rotation_window", FieldType::kDuration, "How late after a scheduled time."},
                  {"rotation_statements", FieldType::kAny, "How the password is changed."},
                  {"credential_type", FieldType::kString, "password."},
                  {"credential_config", FieldType::kAny, "Of other types."}},
       .handlers = {{Operation::kRead, read_static_role},
                    {Operation::kUpdate, [this](Context& c) { return write_fixed_role(c); }},
                    {Operation::kDelete, delete_static_role}},
       .synopsis = "A user whose password is changed by schedule.",
       .exists = [](Context& c) -> Result<bool> {
         auto found = find_static_role(*c.storage, c.fields.text("name"));
         if (!found) return forward(found);
         return found->has_value();
       },
       .outside = true});
  routes_.add({.pattern = "static-creds/{name}",
               .handlers = {{Operation::kRead, read_static_creds}},
               .synopsis = "The present password of such a user."});
  routes_.add(
      {.pattern = "rotate-role/{name}",
       .handlers = {{Operation::kUpdate, [this](Context& c) { return rotate_fixed_role(c); }}},
       .synopsis = "Changes such a user's password now.",
       .outside = true});
}

}  // namespace rekey::engine::database
