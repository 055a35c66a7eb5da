// audit show, query, tail, index rebuild: the record itself, over the API or from its folder.
#include <fmt/format.h>
#include <ostream>

#include "audit/index.h"
#include "base/log.h"
#include "cli/audit_common.h"
#include "cli/audit_output.h"
#include "cli/commands.h"

namespace rekey::cli {

using base::Json;
using base::JsonObject;
using base::Result;

namespace {

constexpr std::chrono::milliseconds kTailInterval{500};
constexpr size_t kValueBytesMax = 1 << 20;

const base::SystemClock kClock;
const base::Log kSilent(kClock, -1);

// --- one entry ---

int show(Context& context) {
  uint64_t index = 0;
  if (!read_number(context.argument(0), index)) {
    return context.fail(1, "An entry's index is a whole number.");
  }
  std::string entry;
  if (const std::string folder = folder_of(context); !folder.empty()) {
    auto source = open_folder(context);
    if (!source) return cannot_read(context, source.error());
    auto found = (*source)->entry(index);
    if (!found) return cannot_read(context, found.error());
    entry = std::move(*found);
  } else {
    auto reply = context.api().get("sys/audit-log/entry/" + std::to_string(index));
    if (!reply) return context.fail(2, "Error reading the record: ", reply.error());
    const Json* found = reply->data() == nullptr ? nullptr : reply->data()->find("entry");
    if (found == nullptr) return context.fail(2, "The server's answer has no entry.");
    entry = found->dump();
  }
  const Result<Json> parsed = Json::parse(entry);
  return context.say(parsed ? parsed->dump_pretty() : entry);
}

// --- query ---

struct Asked {
  audit::Query query;
  JsonObject body;  // the same for the API
  uint64_t wanted = 0;
};

// The text of -value: never from the command line unless it is a hash already.
Result<void> read_value(Context& context, bool over_api, Asked& asked) {
  const std::string value = context.flags().text("value");
  if (value.empty()) return {};
  if (value != "-") {
    Result<void> set = audit::set_value_hash(asked.query, value);
    if (!set) {
      return base::fail(base::ErrorKind::kInvalid,
                        "-value takes - (the value comes on standard input) or hmac-sha256:...: a "
                        "value on the command line could be seen by others");
    }
    asked.body.set("value_hash", value);
    return {};
  }
  if (!over_api) {
    return base::fail(base::ErrorKind::kInvalid,
                      "without a server there is no key to hash a value with: ask with "
                      "-value=hmac-sha256:..., which sys/audit-log/hash gives");
  }
  std::string text = context.console().read_all();
  if (text.ends_with('\n')) text.pop_back();
  if (text.empty() || text.size() > kValueBytesMax) {
    return base::fail(base::ErrorKind::kInvalid,
                      "the value on standard input is empty or too long");
  }
  asked.body.set("value", std::move(text));
  return {};
}

Result<Asked> read_query(Context& context, bool over_api) {
  const Flags& flags = context.flags();
  Asked asked;
  audit::Query& query = asked.query;
  const base::WallTime now = kClock.wall();
  for (const char* name : {"from", "to"}) {
    if (flags.text(name).empty()) continue;
    Result<base::WallTime> time = audit::parse_query_time(flags.text(name), now);
    if (!time) return base::forward(time);
    (name == std::string_view("from") ? query.from : query.to) = *time;
    asked.body.set(name, base::format_rfc3339(*time));
  }
  audit::set_path(query, flags.text("path"));
  query.identity = flags.text("identity");
  query.accessor = flags.text("accessor");
  query.address = flags.text("remote");
  query.operation = flags.text("operation");
  for (const char* name : {"path", "identity", "accessor", "operation"}) {
    if (!flags.text(name).empty()) asked.body.set(name, flags.text(name));
  }
  // -address is the server's, as in every command.
  if (!query.address.empty()) asked.body.set("address", query.address);
  query.denied = flags.on("denied");
  if (query.denied) asked.body.set("denied", true);
  query.oldest_first = flags.on("oldest");
  asked.body.set("order", query.oldest_first ? "oldest" : "newest");
  if (Result<void> read = read_value(context, over_api, asked); !read) return base::forward(read);
  const int64_t limit = flags.integer("limit").value_or(0);
  if (limit < 0) return base::fail(base::ErrorKind::kInvalid, "-limit must not be negative");
  asked.wanted = limit == 0 ? UINT64_MAX : static_cast<uint64_t>(limit);
  if (const std::string cursor = flags.text("cursor"); !cursor.empty()) {
    uint64_t number = 0;
    if (!read_number(cursor, number)) {
      return base::fail(base::ErrorKind::kInvalid, "-cursor is what an earlier answer said");
    }
    query.cursor = number;
  }
  return asked;
}

using Ask = std::function<Result<audit::QueryResult>(const audit::Query&)>;

// Over the API: the same shape as from a folder.
Result<audit::QueryResult> ask_api(Context& context, const JsonObject& conditions,
                                   const audit::Query& query) {
  JsonObject body = conditions;
  body.set("limit", static_cast<uint64_t>(query.limit));
  if (query.cursor) body.set("cursor", std::to_string(*query.cursor));
  Result<Reply> reply = context.api().post("sys/audit-log/query", std::move(body));
  if (!reply) return base::forward(reply);
  const Json* data = reply->data();
  const Json* entries = data == nullptr ? nullptr : data->find("entries");
  const Json* complete = data == nullptr ? nullptr : data->find("complete");
  audit::QueryResult result;
  if (entries == nullptr || !entries->is_array() || complete == nullptr || !complete->as_bool() ||
      !read_number(data->string_or("next", ""), result.next)) {
    return base::fail(base::ErrorKind::kUpstream, "the server's answer isn't one of a query");
  }
  result.complete = *complete->as_bool();
  for (const Json& item : *entries->as_array()) {
    const Json* index = item.find("index");
    const Json* entry = item.find("entry");
    if (index == nullptr || !index->as_int() || entry == nullptr) continue;
    result.matches.push_back({static_cast<uint64_t>(*index->as_int()), entry->dump()});
  }
  if (const Json* problems = data->find("problems"); problems != nullptr && problems->is_array()) {
    for (const Json& problem : *problems->as_array()) {
      result.problems.push_back(format_cell(problem));
    }
  }
  if (const Json* missing = data->find("missing_blocks"); missing != nullptr) {
    result.missing = static_cast<uint64_t>(missing->as_int().value_or(0));
  }
  return result;
}

// Page after page until there are as many as wanted.
int print_answers(Context& context, Asked& asked, const Ask& ask, EntryPrinter& printer) {
  uint64_t missing = 0, problems = 0;
  while (true) {
    asked.query.limit = static_cast<size_t>(
        std::min<uint64_t>(asked.wanted - printer.printed(), audit::kQueryLimitMax));
    Result<audit::QueryResult> result = ask(asked.query);
    if (!result) return context.fail(2, "Error asking the record: " + with_detail(result.error()));
    for (const audit::QueryMatch& match : result->matches) printer.print(match.index, match.entry);
    for (const std::string& problem : result->problems) context.warn("WARNING! " + problem);
    problems += result->problems.size();
    missing += result->missing;
    asked.query.cursor = result->next;
    if (result->complete) break;
    if (printer.printed() >= asked.wanted) {
      printer.end();
      context.warn(fmt::format("There may be more: go on with -cursor={}", result->next));
      return problems == 0 ? 0 : 2;
    }
  }
  printer.end();
  if (missing > 0) {
    context.warn(
        fmt::format("{} blocks of 256 entries were archived or pruned; they were not "
                    "looked at.",
                    missing));
  }
  if (printer.printed() == 0) context.warn("No entry of the record fits.");
  return problems == 0 ? 0 : 2;
}

int query(Context& context) {
  const std::string folder = folder_of(context);
  Result<Asked> asked = read_query(context, folder.empty());
  if (!asked) return context.fail(1, asked.error().message());
  std::optional<EntryPrinter> printer =
      EntryPrinter::make(context.console().out, context.flags().text("format"));
  if (!printer) return context.fail(1, "-format is table, json, jsonl, yaml or csv.");
  if (folder.empty()) {
    return print_answers(
        context, *asked,
        [&](const audit::Query& one) { return ask_api(context, asked->body, one); }, *printer);
  }
  auto source = open_folder(context);
  if (!source) return cannot_read(context, source.error());
  const auto index = audit::open_index_for_reading(folder, **source, kSilent);
  asked->query.blocks_max = UINT64_MAX;
  return print_answers(
      context, *asked,
      [&](const audit::Query& one) { return audit::run_query(one, **source, index.get()); },
      *printer);
}

// --- tail ---

// Where the record ends now.
Result<uint64_t> record_size(Context& context, const std::string& folder) {
  if (!folder.empty()) {
    auto source = open_folder(context);
    if (!source) return base::forward(source);
    return (*source)->size();
  }
  Result<Reply> reply = context.api().get("sys/audit-log");
  if (!reply) return base::forward(reply);
  const Json* size = reply->data() == nullptr ? nullptr : reply->data()->find("readable");
  if (size == nullptr || !size->as_int()) {
    return base::fail(base::ErrorKind::kUpstream, "the server's answer has no size");
  }
  return static_cast<uint64_t>(*size->as_int());
}

Result<uint64_t> print_from(Context& context, const std::string& folder, uint64_t from,
                            EntryPrinter& printer) {
  if (!folder.empty()) {
    auto source = open_folder(context);
    if (!source) return base::forward(source);
    return (*source)->read(from, SIZE_MAX, [&](uint64_t index, std::string_view entry) {
      printer.print(index, entry);
      return true;
    });
  }
  Result<Reply> reply =
      context.api().send({.path = "sys/audit-log/entries",
                          .query = {{"from", std::to_string(from)},
                                    {"limit", std::to_string(audit::kQueryLimitMax)}}});
  if (!reply) return base::forward(reply);
  const Json* entries = reply->data() == nullptr ? nullptr : reply->data()->find("entries");
  const Json* next = reply->data() == nullptr ? nullptr : reply->data()->find("next");
  if (entries == nullptr || !entries->is_array() || next == nullptr || !next->as_int()) {
    return base::fail(base::ErrorKind::kUpstream, "the server's answer has no entries");
  }
  for (const Json& item : *entries->as_array()) {
    const Json* index = item.find("index");
    const Json* entry = item.find("entry");
    if (index == nullptr || !index->as_int() || entry == nullptr) continue;
    // What a follower asks is recorded as well; shown, it would make the next question.
    if (entry->string_or("path", "").starts_with("sys/audit-log")) continue;
    printer.print(static_cast<uint64_t>(*index->as_int()), entry->dump());
  }
  return static_cast<uint64_t>(*next->as_int());
}

int tail(Context& context) {
  const std::string folder = folder_of(context);
  std::optional<EntryPrinter> printer =
      EntryPrinter::make(context.console().out, context.flags().text("format"));
  if (!printer) return context.fail(1, "-format is table, json, jsonl, yaml or csv.");
  const int64_t lines = context.flags().integer("lines").value_or(0);
  if (lines < 0) return context.fail(1, "-lines must not be negative.");
  Result<uint64_t> size = record_size(context, folder);
  if (!size) return cannot_read(context, size.error());
  uint64_t from = *size - std::min(*size, static_cast<uint64_t>(lines));
  while (true) {
    Result<uint64_t> next = print_from(context, folder, from, *printer);
    if (!next) return cannot_read(context, next.error());
    const bool more = *next > from && *next < *size;
    from = *next;
    if (more) continue;
    if (!context.flags().on("follow")) break;
    printer->flush();
    context.console().wait(kTailInterval);
  }
  printer->end();
  return 0;
}

int rebuild(Context& context) {
  const std::string folder = folder_of(context);
  if (folder.empty()) {
    auto reply = context.api().put("sys/audit-log/index");
    if (!reply) return context.fail(2, "Error rebuilding the index: ", reply.error());
    return context.say("Success! The index is being made anew; sys/audit-log says how far it is.");
  }
  const auto indexed = audit::rebuild_index(folder, kSilent, {});
  if (!indexed) {
    return context.fail(2, "Error rebuilding the index: " + with_detail(indexed.error()));
  }
  return context.say(fmt::format("Success! {} entries are in the index.", *indexed));
}

constexpr FlagSpec kOutput = {.name = "format",
                              .help = "table, json, jsonl (an entry a line), yaml or csv.",
                              .default_text = "table",
                              .choices = "table json jsonl yaml csv"};
constexpr FlagSpec kFolderFlags[] = {kAuditFolderFlag, kAuditArchiveFlag};
constexpr FlagSpec kQueryFlags[] = {
    kAuditFolderFlag,
    kAuditArchiveFlag,
    kOutput,
    {.name = "from", .help = "Not before: 2026-11-24T09:00:00Z, 2026-11-24, -90m."},
    {.name = "to", .help = "Before: the same forms, or now."},
    {.name = "path", .help = "A path; with * at its end, all that begin so."},
    {.name = "identity", .help = "Entity id or display name."},
    {.name = "accessor", .help = "Accessor of the token that asked or was given out."},
    {.name = "remote", .help = "Address of the client, or the forwarded one."},
    {.name = "value",
     .help = "A value in request or answer: - reads it from standard input, or its hash."},
    {.name = "operation", .help = "read, list, create, update, patch or delete."},
    {.name = "denied", .kind = FlagKind::kSwitch, .help = "Only what was refused (403)."},
    {.name = "oldest", .kind = FlagKind::kSwitch, .help = "Oldest first instead of newest."},
    {.name = "limit",
     .kind = FlagKind::kInteger,
     .help = "At most so many entries; 0: all.",
     .default_text = "100"},
    {.name = "cursor", .help = "Where an earlier answer left off."},
};
constexpr FlagSpec kTailFlags[] = {
    kAuditFolderFlag,
    kAuditArchiveFlag,
    kOutput,
    {.name = "lines",
     .kind = FlagKind::kInteger,
     .help = "So many of the newest entries first.",
     .default_text = "10"},
    {.name = "follow",
     .kind = FlagKind::kSwitch,
     .help = "Go on as entries come.",
     .default_text = "true"},
};
constexpr Command kCommands[] = {
    {.name = "audit show",
     .summary = "Show an entry of the record",
     .usage = "[options] INDEX",
     .help = "Prints one entry of the record.\n\n"
             "    $ rekey audit show 4711",
     .run = show,
     .flags = kFolderFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "audit query",
     .summary = "Ask who did what, from where, when",
     .usage = "[options]",
     .help = "Prints the entries of the record that fit all conditions, newest first.\n\n"
             "Who read this secret between nine and ten?\n\n"
             "    $ rekey audit query -path=secret/data/app -operation=read "
             "-from=2026-11-24T09:00:00Z -to=2026-11-24T10:00:00Z\n\n"
             "Was this leaked string ever read, and by whom? It is hashed, not sent on:\n\n"
             "    $ rekey audit query -value=- < leaked.txt",
     .run = query,
     .flags = kQueryFlags},
    {.name = "audit tail",
     .summary = "Follow the record",
     .usage = "[options]",
     .help = "Prints the newest entries of the record, and further ones as they come.\n\n"
             "    $ rekey audit tail -format=jsonl",
     .run = tail,
     .flags = kTailFlags},
    {.name = "audit index rebuild",
     .summary = "Make the record's index anew",
     .usage = "[options]",
     .help = "Makes the index that queries use anew from the record; with -log while no server "
             "runs, else the server does it in the background.\n\n"
             "    $ rekey audit index rebuild",
     .run = rebuild,
     .flags = kFolderFlags},
};

}  // namespace

std::span<const Command> audit_log_commands() { return kCommands; }

int list_entries(Context& context) { return query(context); }

}  // namespace rekey::cli
