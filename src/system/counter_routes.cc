// sys/internal/counters: tokens, entities, and the clients of some months, which are counted from
// the record.
#include <charconv>
#include <map>
#include <optional>

#include "audit/clients.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using base::WallTime;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;
using std::chrono::months;
using std::chrono::sys_days;
using std::chrono::year_month;

constexpr std::string_view kCountersRow = "core/counters";  // absent: the default
constexpr int64_t kReportMonthsDefault = 12;
constexpr int64_t kRetentionMonthsDefault = 24;
constexpr int64_t kRetentionMonthsMax = 60;  // months that can be reported together
static_assert(kRetentionMonthsMax < static_cast<int64_t>(audit::kClientPeriodsMax));

// --- how many rows there are ---

Result<int64_t> count_rows(const SystemParts& parts, std::string_view prefix) {
  constexpr size_t kPage = 10'000;  // keys read at a time
  auto reader = parts.store.open_reader();
  if (!reader) return forward(reader);
  int64_t total = 0;
  std::string after;
  while (true) {
    auto keys = (*reader)->scan(prefix, after, kPage);
    if (!keys) return forward(keys);
    total += static_cast<int64_t>(keys->size());
    if (keys->size() < kPage) return total;
    after = keys->back();
  }
}

// Expired tokens that wait for their removal are counted too.
Result<Response> count(const SystemParts& parts, std::string_view prefix, std::string_view name) {
  auto total = count_rows(parts, prefix);
  if (!total) return forward(total);
  return logical::with_data(
      {{"counters", JsonObject{{std::string(name), JsonObject{{"total", *total}}}}}});
}

// --- settings ---

struct Settings {
  bool enabled = true;
  int64_t report_months = kReportMonthsDefault;
  int64_t retention_months = kRetentionMonthsDefault;
};

Result<Settings> read_settings(Context& context) {
  Settings settings;
  auto row = CallContext::of(context).txn->get(kCountersRow);
  if (!row) return forward(row);
  if (!*row) return settings;
  const auto json = Json::parse(**row);
  const auto number = [&](std::string_view name) -> std::optional<int64_t> {
    const Json* member = json ? json->find(name) : nullptr;
    if (member == nullptr) return std::nullopt;
    return member->as_int();
  };
  const Json* enabled = json ? json->find("enabled") : nullptr;
  const auto report = number("report_months"), retention = number("retention_months");
  if (enabled == nullptr || !enabled->as_bool() || !report || !retention) {
    return base::fail(base::ErrorKind::kCorrupt, "the settings of the counters can't be read");
  }
  return Settings{*enabled->as_bool(), *report, *retention};
}

Result<Response> show_settings(Context& context) {
  auto settings = read_settings(context);
  if (!settings) return forward(settings);
  return logical::with_data({{"default_report_months", settings->report_months},
                             {"enabled", settings->enabled ? "default-enabled" : "disable"},
                             {"queries_available", settings->enabled},
                             {"retention_months", settings->retention_months}});
}

Result<Response> write_settings(Context& context) {
  auto settings = read_settings(context);
  if (!settings) return forward(settings);
  const std::string_view enabled = context.fields.text("enabled", "");
  if (enabled == "enable" || enabled == "default") {
    settings->enabled = true;
  } else if (enabled == "disable") {
    settings->enabled = false;
  } else if (!enabled.empty()) {
    return logical::bad_request("enabled must be one of \"default\", \"enable\", \"disable\"");
  }
  settings->report_months =
      context.fields.integer("default_report_months", settings->report_months);
  settings->retention_months =
      context.fields.integer("retention_months", settings->retention_months);
  if (settings->report_months < 1 || settings->report_months > kRetentionMonthsMax) {
    return logical::bad_request("default_report_months must be between 1 and " +
                                std::to_string(kRetentionMonthsMax));
  }
  if (settings->retention_months < 0 || settings->retention_months > kRetentionMonthsMax) {
    return logical::bad_request("retention_months must be between 0 and " +
                                std::to_string(kRetentionMonthsMax));
  }
  if (settings->enabled && settings->retention_months == 0) {
    return logical::bad_request("retention_months cannot be 0 while enabled");
  }
  CallContext::of(context).txn->put(
      kCountersRow, Json(JsonObject{{"enabled", settings->enabled},
                                    {"report_months", settings->report_months},
                                    {"retention_months", settings->retention_months}})
                        .dump());
  return Response{};
}

// --- months ---

year_month month_of(WallTime time) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(time));
  return day.year() / day.month();
}

WallTime start_of(year_month month) { return sys_days(month / std::chrono::day(1)); }

std::string seconds_text(WallTime time) {
  std::string text = base::format_rfc3339(time);  // with nine decimals
  return text.substr(0, text.find('.')) + "Z";
}

// RFC 3339, a day, a month, or seconds since 1970.
Result<WallTime> read_time(std::string_view name, std::string_view text) {
  constexpr size_t kMonthBytes = 7, kDayBytes = 10;
  const auto bad = [&] {
    return logical::bad_request("\"" + std::string(name) +
                                "\" is not a time: write RFC 3339, 2026-11-24 or 2026-11");
  };
  int64_t seconds = 0;
  const auto number = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (number.ec == std::errc() && number.ptr == text.data() + text.size()) {
    constexpr int64_t kSecondsMax = 7'000'000'000;  // the year 2191
    if (seconds < 0 || seconds > kSecondsMax) return bad();
    return WallTime(std::chrono::seconds(seconds));
  }
  std::string whole(text);
  if (text.size() == kMonthBytes) whole += "-01";
  if (whole.size() == kDayBytes) whole += "T00:00:00Z";
  auto time = base::parse_rfc3339(whole);
  if (!time) return bad();
  return *time;
}

struct Window {
  year_month first, last;
};

Result<Window> read_window(Context& context, const Settings& settings) {
  const auto now = context.clock.wall();
  WallTime start, end = now;
  if (const auto text = context.fields.text("end_time"); !text.empty()) {
    auto time = read_time("end_time", text);
    if (!time) return forward(time);
    end = *time;
  }
  const year_month default_first = month_of(end) - months(settings.report_months - 1);
  start = start_of(default_first);
  if (const auto text = context.fields.text("start_time"); !text.empty()) {
    auto time = read_time("start_time", text);
    if (!time) return forward(time);
    start = *time;
  }
  if (start > end) return logical::bad_request("start_time is later than end_time");
  const year_month oldest = month_of(now) - months(settings.retention_months - 1);
  return Window{std::max(month_of(start), oldest), std::min(month_of(end), month_of(now))};
}

// --- the answer ---

struct Counts {
  int64_t entities = 0, tokens = 0;
  void add(const audit::Client& client) { ++(client.is_entity ? entities : tokens); }
  JsonObject json() const {
    return JsonObject{{"clients", entities + tokens},
                      {"distinct_entities", entities},
                      {"entity_clients", entities},
                      {"non_entity_clients", tokens},
                      {"non_entity_tokens", tokens}};
  }
};

// The auth mounts by which clients came in.
class Groups {
 public:
  explicit Groups(const logical::MountTable& mounts) : mounts_(mounts) {}
  uint32_t of(std::string_view path) {
    const auto mount = mounts_.find(path);
    const std::string name = mount ? mount->path : "deleted mount";
    const auto [at, made] = numbers_.try_emplace(name, numbers_.size());
    return static_cast<uint32_t>(at->second);
  }
  const std::map<std::string, size_t, std::less<>>& numbers() const { return numbers_; }

 private:
  const logical::MountTable& mounts_;
  std::map<std::string, size_t, std::less<>> numbers_;
};

// Counts of some clients, in all and by mount.
struct Tally {
  Counts all;
  std::map<uint32_t, Counts> by_group;
  void add(const audit::Client& client) {
    all.add(client);
    by_group[client.group].add(client);
  }
  // There is one namespace.
  JsonArray namespaces(const Groups& groups) const {
    JsonArray mounts;
    for (const auto& [name, number] : groups.numbers()) {
      const auto at = by_group.find(static_cast<uint32_t>(number));
      if (at == by_group.end()) continue;
      mounts.push_back(JsonObject{{"counts", at->second.json()}, {"mount_path", name}});
    }
    JsonArray out;
    if (mounts.empty()) return out;
    out.push_back(JsonObject{{"counts", all.json()},
                             {"mounts", std::move(mounts)},
                             {"namespace_id", "root"},
                             {"namespace_path", ""}});
    return out;
  }
};

struct Report {
  Tally total;
  std::vector<Tally> months, added;  // all clients of a month, and those not seen before in it
  uint64_t missing = 0;
};

Result<Report> report(const SystemParts& parts, const Window& window, Groups& groups) {
  std::vector<int64_t> edges;
  for (year_month month = window.first; month <= window.last + months(1); month += months(1)) {
    edges.push_back(start_of(month).time_since_epoch().count());
  }
  parts.record.make_readable();
  auto counted = parts.index.clients(edges, [&](std::string_view path) { return groups.of(path); });
  if (!counted) return forward(counted);
  Report report;
  report.months.resize(edges.size() - 1);
  report.added.resize(edges.size() - 1);
  report.missing = counted->missing;
  for (const audit::Client& client : counted->clients) {
    report.total.add(client);
    bool before = false;
    for (size_t i = 0; i < report.months.size(); ++i) {
      if ((client.periods >> i & 1) == 0) continue;
      report.months[i].add(client);
      if (!std::exchange(before, true)) report.added[i].add(client);
    }
  }
  return report;
}

JsonArray months_of(const Report& report, const Window& window, const Groups& groups) {
  JsonArray out;
  year_month month = window.first;
  for (size_t i = 0; i < report.months.size(); ++i, month += months(1)) {
    const Tally& all = report.months[i];
    const Tally& added = report.added[i];
    out.push_back(JsonObject{{"counts", all.all.json()},
                             {"namespaces", all.namespaces(groups)},
                             {"new_clients", JsonObject{{"counts", added.all.json()},
                                                        {"namespaces", added.namespaces(groups)}}},
                             {"timestamp", seconds_text(start_of(month))}});
  }
  return out;
}

Response answer(JsonObject data, const Report& report) {
  Response response = logical::with_data(std::move(data));
  if (report.missing > 0) {
    response.warnings.push_back(
        "some entries of the record were taken away (retention); clients "
        "that only they name are not counted");
  }
  return response;
}

Result<Response> activity(Context& context, const SystemParts& parts) {
  auto settings = read_settings(context);
  if (!settings) return forward(settings);
  auto window = read_window(context, *settings);
  if (!window) return forward(window);
  if (!settings->enabled || window->first > window->last)
    return Response{};  // 204, as Vault where it has no data
  Groups groups(*CallContext::of(context).state->mounts);
  auto counted = report(parts, *window, groups);
  if (!counted) return forward(counted);
  const WallTime end = start_of(window->last + months(1)) - std::chrono::seconds(1);
  return answer({{"by_namespace", counted->total.namespaces(groups)},
                 {"end_time", seconds_text(end)},
                 {"months", months_of(*counted, *window, groups)},
                 {"start_time", seconds_text(start_of(window->first))},
                 {"total", counted->total.all.json()}},
                *counted);
}

Result<Response> this_month(Context& context, const SystemParts& parts) {
  auto settings = read_settings(context);
  if (!settings) return forward(settings);
  if (!settings->enabled) return Response{};  // 204, as Vault where it has no data
  const year_month now = month_of(context.clock.wall());
  const Window window{now, now};
  Groups groups(*CallContext::of(context).state->mounts);
  auto counted = report(parts, window, groups);
  if (!counted) return forward(counted);
  JsonObject data = counted->total.all.json();
  data.set("by_namespace", counted->total.namespaces(groups));
  data.set("months", months_of(*counted, window, groups));
  return answer(std::move(data), *counted);
}

}  // namespace

void SystemBackend::add_counter_routes() {
  routes_.add(
      {.pattern = "internal/counters/tokens",
       .handlers = {{Operation::kRead,
                     [this](Context&) { return count(parts_, kTokenRows, "service_tokens"); }}},
       .synopsis = "How many service tokens there are.",
       .blocking = true});
  routes_.add({.pattern = "internal/counters/entities",
               .handlers = {{Operation::kRead,
                             [this](Context&) { return count(parts_, kEntityRows, "entities"); }}},
               .synopsis = "How many entities there are.",
               .blocking = true});
  routes_.add(
      {.pattern = "internal/counters/activity",
       .fields = {{"start_time", FieldType::kString, "A time in the first month."},
                  {"end_time", FieldType::kString, "A time in the last month; now if not sent."},
                  {"limit_namespaces", FieldType::kInteger, "Has no effect: there is one."}},
       .handlers = {{Operation::kRead,
                     [this](Context& context) { return activity(context, parts_); }}},
       .synopsis = "How many clients there were in some months.",
       .blocking = true});
  routes_.add({.pattern = "internal/counters/activity/monthly",
               .handlers = {{Operation::kRead,
                             [this](Context& context) { return this_month(context, parts_); }}},
               .synopsis = "How many clients there were in this month.",
               .blocking = true});
  routes_.add(
      {.pattern = "internal/counters/config",
       .fields = {{"default_report_months", FieldType::kInteger, "Months of a report."},
                  {"retention_months", FieldType::kInteger, "Months that can be reported."},
                  {"enabled", FieldType::kString, "enable, disable or default."}},
       .handlers = {{Operation::kRead, show_settings}, {Operation::kUpdate, write_settings}},
       .synopsis = "Whether, and how far back, clients are counted."});
}

}  // namespace rekey::system
