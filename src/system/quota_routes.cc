// sys/quotas: rate limits, lease counts, and their configuration.
#include <algorithm>

#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "pipeline/quota.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;
using pipeline::Quota;
using pipeline::QuotaKind;

constexpr size_t kQuotaNameBytesMax = 128;
constexpr size_t kQuotaPathBytesMax = 512;
constexpr size_t kExemptPathsMax = 200;

std::string folder_of(QuotaKind kind) {
  return std::string(pipeline::kQuotaPrefix) + std::string(quota_kind_name(kind)) + "/";
}
std::string row_of(QuotaKind kind, std::string_view name) {
  return folder_of(kind) + std::string(name);
}

void reload_after(Context& context, const SystemParts& parts) {
  context.after_commit.push_back([&keeper = parts.keeper] { return keeper.reload_quotas(); });
}

Result<std::optional<Quota>> find(Context& context, QuotaKind kind, std::string_view name) {
  auto row = CallContext::of(context).txn->get(row_of(kind, name));
  if (!row) return forward(row);
  if (!*row) return std::optional<Quota>();
  auto quota = pipeline::decode_quota(**row);
  if (!quota) return forward(quota);
  return std::optional<Quota>(std::move(*quota));
}

int64_t whole_seconds(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

Result<Response> read(Context& context, QuotaKind kind) {
  auto quota = find(context, kind, context.fields.text("name"));
  if (!quota) return forward(quota);
  if (!*quota) return logical::nothing_there();
  JsonObject data{{"type", quota_kind_name(kind)},
                  {"name", (*quota)->name},
                  {"path", (*quota)->path},
                  {"role", (*quota)->role},
                  {"inheritable", (*quota)->inheritable}};
  if (kind == QuotaKind::kRateLimit) {
    data.set("rate", Json::number((*quota)->rate));
    data.set("interval", whole_seconds((*quota)->interval));
    data.set("block_interval", whole_seconds((*quota)->block));
    return logical::with_data(std::move(data));
  }
  const auto* row = CallContext::of(context).state->quotas->find(
      kind, {.path = (*quota)->path, .mount = (*quota)->path, .role = (*quota)->role});
  const bool same = row != nullptr && row->quota.name == (*quota)->name;
  data.set("max_leases", (*quota)->max_leases);
  data.set("counter", same ? row->leases->counted.load() + row->leases->since.load() : 0);
  return logical::with_data(std::move(data));
}

// A path begins with a mount, unless it is empty: for everything.
Result<void> check_path(const CallContext& call, Quota& quota) {
  if (quota.path.size() > kQuotaPathBytesMax) return logical::bad_request("the path is too long");
  if (quota.path.empty()) return {};
  while (quota.path.starts_with('/')) quota.path.erase(0, 1);
  const auto mount = call.state->mounts->find(quota.path);
  if (mount == nullptr) {
    return logical::bad_request("invalid mount path \"" + quota.path + "\"");
  }
  if (quota.path + "/" == mount->path) quota.path = mount->path;
  return {};
}

Result<Response> write(Context& context, const SystemParts& parts, QuotaKind kind) {
  CallContext& call = CallContext::of(context);
  const logical::Fields& fields = context.fields;
  const std::string name(fields.text("name"));
  if (name.empty() || name.size() > kQuotaNameBytesMax) {
    return logical::bad_request("the name of a quota has 1 to 128 bytes");
  }
  auto found = find(context, kind, name);
  if (!found) return forward(found);
  Quota quota = *found ? std::move(**found) : Quota{};
  quota.kind = kind;
  quota.name = name;
  if (fields.has("path")) quota.path = fields.text("path");
  if (fields.has("role")) quota.role = fields.text("role");
  if (fields.has("inheritable")) quota.inheritable = fields.flag("inheritable");
  if (kind == QuotaKind::kRateLimit) {
    if (const Json* rate = fields.find("rate")) {
      std::string text = rate->as_string() ? *rate->as_string() : rate->dump();
      const auto number = Json::parse(text);
      quota.rate = number ? number->as_double().value_or(0) : 0;
    }
    if (const auto interval = fields.duration("interval")) quota.interval = *interval;
    if (const auto block = fields.duration("block_interval")) quota.block = *block;
    if (!(quota.rate > 0)) return logical::bad_request("'rate' is invalid");
    if (quota.interval.count() == 0) quota.interval = std::chrono::seconds(1);
    if (quota.interval < std::chrono::seconds(1)) {
      return logical::bad_request("'interval' is invalid");
    }
    if (quota.block.count() < 0) return logical::bad_request("'block' is invalid");
  } else {
    if (fields.has("max_leases")) quota.max_leases = fields.integer("max_leases");
    if (quota.max_leases < 1) return logical::bad_request("'max_leases' is invalid");
  }
  auto sound = check_path(call, quota);
  if (!sound) return forward(sound);
  auto names = call.txn->list(folder_of(kind), "", pipeline::kQuotasMax);
  if (!names) return forward(names);
  if (!*found && names->size() >= pipeline::kQuotasMax) {
    return logical::bad_request("there are too many quotas");
  }
  call.txn->put(row_of(kind, name), pipeline::encode_quota(quota));
  reload_after(context, parts);
  return Response{};
}

Result<Response> erase(Context& context, const SystemParts& parts, QuotaKind kind) {
  CallContext::of(context).txn->erase(row_of(kind, context.fields.text("name")));
  reload_after(context, parts);
  return Response{};
}

Result<Response> list(Context& context, QuotaKind kind) {
  auto names = CallContext::of(context).txn->list(folder_of(kind), "", pipeline::kQuotasMax);
  if (!names) return forward(names);
  return logical::with_keys(*names);
}

Result<Response> read_config(Context& context) {
  auto row = CallContext::of(context).txn->get(pipeline::kQuotaConfigRow);
  if (!row) return forward(row);
  JsonObject data{{"enable_rate_limit_audit_logging", false},
                  {"enable_rate_limit_response_headers", false},
                  {"rate_limit_exempt_paths", base::JsonArray{}}};
  if (const auto kept = Json::parse(row->value_or("{}")); kept && kept->as_object()) {
    for (const auto& [name, value] : *kept->as_object()) data.set(name, value);
  }
  return logical::with_data(std::move(data));
}

Result<Response> write_config(Context& context, const SystemParts& parts) {
  CallContext& call = CallContext::of(context);
  auto row = call.txn->get(pipeline::kQuotaConfigRow);
  if (!row) return forward(row);
  const auto kept = Json::parse(row->value_or("{}"));
  JsonObject config = kept && kept->as_object() ? *kept->as_object() : JsonObject{};
  for (const char* name :
       {"enable_rate_limit_audit_logging", "enable_rate_limit_response_headers"}) {
    if (context.fields.has(name)) config.set(name, context.fields.flag(name));
  }
  if (context.fields.has("rate_limit_exempt_paths")) {
    const auto paths = context.fields.strings("rate_limit_exempt_paths");
    if (paths.size() > kExemptPathsMax) return logical::bad_request("too many exempt paths");
    config.set("rate_limit_exempt_paths", Json::strings(paths));
  }
  call.txn->put(pipeline::kQuotaConfigRow, Json(std::move(config)).dump());
  reload_after(context, parts);
  return Response{};
}

}  // namespace

void SystemBackend::add_quota_routes() {
  routes_.add(
      {.pattern = "quotas/config",
       .fields = {{"enable_rate_limit_audit_logging", FieldType::kBoolean,
                   "Record refused requests too."},
                  {"enable_rate_limit_response_headers", FieldType::kBoolean, "Kept."},
                  {"rate_limit_exempt_paths", FieldType::kStrings, "Paths without a limit."}},
       .handlers = {{Operation::kRead, read_config},
                    {Operation::kUpdate, [this](Context& c) { return write_config(c, parts_); }}},
       .synopsis = "Settings of all quotas.",
       .blocking = true});
  for (const QuotaKind kind : {QuotaKind::kRateLimit, QuotaKind::kLeaseCount}) {
    const std::string folder = "quotas/" + std::string(quota_kind_name(kind));
    std::vector<Field> fields = {
        {"path", FieldType::kString, "A mount or a path; empty for everything."},
        {"role", FieldType::kString, "Only for this role."},
        {"inheritable", FieldType::kBoolean, "Kept."}};
    if (kind == QuotaKind::kRateLimit) {
      fields.push_back({"rate", FieldType::kAny, "Requests of one client in an interval."});
      fields.push_back({"interval", FieldType::kDuration, "One second, if not set."});
      fields.push_back(
          {"block_interval", FieldType::kDuration, "How long a client is refused that went over."});
    } else {
      fields.push_back({"max_leases", FieldType::kInteger, "At most so many at once."});
    }
    routes_.add({.pattern = folder,
                 .handlers = {{Operation::kList, [kind](Context& c) { return list(c, kind); }}},
                 .synopsis = "Lists the quotas."});
    routes_.add({.pattern = folder + "/{name}",
                 .fields = std::move(fields),
                 .handlers = {{Operation::kRead, [kind](Context& c) { return read(c, kind); }},
                              {Operation::kUpdate,
                               [this, kind](Context& c) { return write(c, parts_, kind); }},
                              {Operation::kDelete,
                               [this, kind](Context& c) { return erase(c, parts_, kind); }}},
                 .synopsis = "A quota.",
                 .blocking = true});
  }
}

}  // namespace rekey::system
