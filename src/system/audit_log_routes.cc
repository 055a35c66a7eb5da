// sys/audit-log: the record, searched, shown and proven.
#include <charconv>

#include "audit/entry_source.h"
#include "audit/query.h"
#include "base/codec.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::ErrorKind;
using base::JsonObject;
using base::JsonWriter;
using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr std::string_view kTextType = "text/plain; charset=utf-8";

const Field kFormat{"format", FieldType::kString, "text: the bare text instead of JSON."};
const Field kLimit{"limit", FieldType::kInteger,
                   "How many entries, at most 1000; 100 if not sent."};

// A text that other tools read: as a field, or bare.
Response text_answer(const Context& context, std::string_view name, std::string text) {
  if (context.fields.text("format") != "text") {
    return logical::with_data({{std::string(name), std::move(text)}});
  }
  Response response;
  response.data = std::move(text);
  response.raw_content_type = kTextType;
  return response;
}

Result<uint64_t> read_index(std::string_view text) {
  uint64_t index = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), index);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    return logical::bad_request("an entry's index is a whole number");
  }
  return index;
}

Result<size_t> read_limit(const logical::Fields& fields) {
  const int64_t limit = fields.integer("limit", audit::kQueryLimitDefault);
  if (limit < 1 || limit > static_cast<int64_t>(audit::kQueryLimitMax)) {
    return logical::bad_request("limit must be between 1 and " +
                                std::to_string(audit::kQueryLimitMax));
  }
  return static_cast<size_t>(limit);
}

Result<Response> state(const SystemParts& parts) {
  const audit::Health health = parts.record.health();
  const audit::IndexStatus index = parts.index.status();
  JsonObject body{{"size", health.size},
                  {"readable", health.published},
                  {"checkpoint_size", health.checkpoint_size},
                  {"key", parts.record.verifier_key()},
                  {"writable", health.writable},
                  {"damaged", health.damaged},
                  {"in_memory", health.in_memory},
                  {"can_sign", health.can_sign},
                  {"reason", health.reason},
                  {"index", JsonObject{{"indexed", index.indexed},
                                       {"runs", index.runs},
                                       {"bytes", index.run_bytes},
                                       {"memory_bytes", index.memory_bytes},
                                       {"unknown_entries", index.unknown},
                                       {"runs_removed", index.runs_removed},
                                       {"merging", index.merging},
                                       {"problem", index.problem}}}};
  return logical::with_data(std::move(body));
}

// --- entries ---

void write_entry(JsonWriter& json, uint64_t index, std::string_view entry) {
  json.begin_object();
  json.key("entry");
  // What isn't JSON can only be there after damage.
  if (base::Json::parse(entry)) {
    json.raw(entry);
  } else {
    json.value(entry);
  }
  json.member("index", index);
  json.end_object();
}

Result<Response> entries(const Context& context, audit::Log& record) {
  record.make_readable();
  auto limit = read_limit(context.fields);
  if (!limit) return forward(limit);
  const int64_t from = context.fields.integer("from");
  if (from < 0) return logical::bad_request("from must not be negative");
  Response response;
  JsonWriter json(response.data);
  json.begin_object();
  json.key("entries");
  json.begin_array();
  auto next =
      record.read(static_cast<uint64_t>(from), *limit, [&](uint64_t index, std::string_view entry) {
        write_entry(json, index, entry);
        return response.data.size() < audit::kQueryBytesMax;
      });
  if (!next) return forward(next);
  json.end_array();
  json.member("next", *next);
  json.member("size", record.readable_size());
  json.end_object();
  return response;
}

Result<Response> entry_indexes(const Context& context, const audit::Log& record) {
  auto limit = read_limit(context.fields);
  if (!limit) return forward(limit);
  const uint64_t from = static_cast<uint64_t>(std::max<int64_t>(0, context.fields.integer("from")));
  std::vector<std::string> keys;
  const uint64_t size = record.readable_size();
  for (uint64_t i = from; i < size && keys.size() < *limit; ++i) keys.push_back(std::to_string(i));
  return logical::with_keys(keys);
}

Result<Response> entry(const Context& context, audit::Log& record) {
  record.make_readable();
  auto index = read_index(context.fields.text("index"));
  if (!index) return forward(index);
  auto found = record.entry(*index);
  if (!found) return forward(found);
  Response response;
  JsonWriter json(response.data);
  write_entry(json, *index, *found);
  return response;
}

// --- query ---

Result<audit::Query> read_query(Context& context) {
  const logical::Fields& fields = context.fields;
  audit::Query query;
  const auto time = [&](std::string_view name, std::optional<base::WallTime>& out) -> Result<void> {
    if (fields.text(name).empty()) return {};
    auto read = audit::parse_query_time(fields.text(name), context.clock.wall());
    if (!read) return forward(read);
    out = *read;
    return {};
  };
  if (auto read = time("from", query.from); !read) return forward(read);
  if (auto read = time("to", query.to); !read) return forward(read);
  audit::set_path(query, fields.text("path"));
  query.identity = fields.text("identity");
  query.accessor = fields.text("accessor");
  query.address = fields.text("address");
  query.operation = fields.text("operation");
  query.denied = fields.flag("denied");
  const int64_t status = fields.integer("status");
  if (status < 0 || status > 999) return logical::bad_request("status is an HTTP status code");
  query.status = static_cast<uint32_t>(status);
  if (const std::string_view hash = fields.text("value_hash"); !hash.empty()) {
    if (auto set = audit::set_value_hash(query, hash); !set) return forward(set);
  }
  if (const std::string_view value = fields.text("value"); !value.empty()) {
    if (context.request.operation == Operation::kRead) {
      return logical::bad_request("a value doesn't belong into a URL: POST it, or send value_hash");
    }
    const auto& state = pipeline::CallContext::of(context).state;
    if (auto set = audit::set_value_hash(query, state->hasher->hash(value)); !set) {
      return forward(set);
    }
  }
  const std::string_view order = fields.text("order", "newest");
  if (order != "newest" && order != "oldest") {
    return logical::bad_request("order is newest or oldest");
  }
  query.oldest_first = order == "oldest";
  auto limit = read_limit(fields);
  if (!limit) return forward(limit);
  query.limit = *limit;
  if (fields.has("cursor")) {
    auto cursor = read_index(fields.text("cursor"));
    if (!cursor) return forward(cursor);
    query.cursor = *cursor;
  }
  return query;
}

Result<Response> query(Context& context, audit::Log& record, const audit::Index& index) {
  auto query = read_query(context);
  if (!query) return forward(query);
  record.make_readable();
  auto result = index.query(*query);
  if (!result) return forward(result);
  Response response;
  JsonWriter json(response.data);
  json.begin_object();
  json.member("blocks_read", result->blocks_read);
  json.member("complete", result->complete);
  json.key("entries");
  json.begin_array();
  for (const audit::QueryMatch& match : result->matches) {
    write_entry(json, match.index, match.entry);
  }
  json.end_array();
  json.member("indexed", result->indexed);
  json.member("missing_blocks", result->missing);
  json.member("next", std::to_string(result->next));
  json.key("problems");
  json.begin_array();
  for (const std::string& problem : result->problems) json.value(problem);
  json.end_array();
  json.member("size", result->size);
  json.end_object();
  return response;
}

// --- checkpoints and proofs ---

Result<Response> describe(const Context& context, const Result<audit::Checkpoint>& checkpoint) {
  if (!checkpoint) return std::unexpected(checkpoint.error());
  if (context.fields.text("format") == "text") {
    return text_answer(context, "note", checkpoint->note);
  }
  return logical::with_data({{"origin", checkpoint->origin},
                             {"size", checkpoint->size},
                             {"root", base::base64_encode(crypto::as_bytes(checkpoint->root))},
                             {"note", checkpoint->note}});
}

Result<Response> proof(const Context& context, audit::Log& record) {
  record.make_readable();
  auto index = read_index(context.fields.text("index"));
  if (!index) return forward(index);
  auto text = record.prove(*index);
  if (!text) return forward(text);
  return text_answer(context, "proof", std::move(*text));
}

Result<Response> hash(Context& context) {
  const std::string_view input = context.fields.text("input");
  if (input.empty()) return logical::bad_request("the \"input\" parameter is empty");
  return logical::with_data(
      {{"hash", pipeline::CallContext::of(context).state->hasher->hash(input)}});
}

}  // namespace

void SystemBackend::add_audit_log_routes() {
  add_audit_entry_routes();
  audit::Log& record = parts_.record;
  audit::Index& index = parts_.index;
  routes_.add({.pattern = "audit-log",
               .handlers = {{Operation::kRead, [this](Context&) { return state(parts_); }}},
               .synopsis = "How far the record and its index are.",
               .blocking = true});
  routes_.add({.pattern = "audit-log/checkpoint",
               .fields = {kFormat},
               .handlers = {{Operation::kRead,
                             [&record](Context& context) {
                               return describe(context, record.last_checkpoint());
                             }},
                            {Operation::kUpdate,
                             [&record](Context& context) {
                               return describe(context, record.checkpoint_now());
                             }}},
               .synopsis = "The last signed checkpoint; signs one now.",
               .blocking = true});
  routes_.add({.pattern = "audit-log/proof/{index}",
               .fields = {kFormat},
               .handlers = {{Operation::kRead,
                             [&record](Context& context) { return proof(context, record); }}},
               .synopsis = "A proof that the entry is in the record (c2sp.org/tlog-proof@v1).",
               .blocking = true});
  routes_.add({.pattern = "audit-log/key",
               .fields = {kFormat},
               .handlers = {{Operation::kRead,
                             [&record](Context& context) -> Result<Response> {
                               if (record.verifier_key().empty()) return logical::nothing_there();
                               return text_answer(context, "key", record.verifier_key());
                             }}},
               .synopsis = "The key that verifies checkpoints, in signed-note form."});
  routes_.add({.pattern = "audit-log/hash",
               .fields = {{"input", FieldType::kString, "What to hash."}},
               .handlers = {{Operation::kUpdate, hash}},
               .synopsis = "The keyed hash that a value has in the record."});
  routes_.add({.pattern = "audit-log/index",
               .handlers = {{Operation::kUpdate,
                             [&index](Context&) -> Result<Response> {
                               index.rebuild();
                               return Response{};
                             }}},
               .synopsis = "Has the record's index made anew."});
}

void SystemBackend::add_audit_entry_routes() {
  audit::Log& record = parts_.record;
  const audit::Index& index = parts_.index;
  routes_.add(
      {.pattern = "audit-log/entries",
       .fields = {{"from", FieldType::kInteger, "Index of the first entry."}, kLimit},
       .handlers = {{Operation::kRead,
                     [&record](Context& context) { return entries(context, record); }},
                    {Operation::kList,
                     [&record](Context& context) { return entry_indexes(context, record); }}},
       .synopsis = "Entries of the record, in order.",
       .blocking = true});
  routes_.add({.pattern = "audit-log/entry/{index}",
               .handlers = {{Operation::kRead,
                             [&record](Context& context) { return entry(context, record); }}},
               .synopsis = "One entry of the record.",
               .blocking = true});
  const auto answer = [&record, &index](Context& context) { return query(context, record, index); };
  routes_.add(
      {.pattern = "audit-log/query",
       .fields = {{"from", FieldType::kString, "Not before: a time, or -1h."},
                  {"to", FieldType::kString, "Before: a time, or -1h."},
                  {"path", FieldType::kString, "A path; with * at its end, those that begin so."},
                  {"identity", FieldType::kString, "Entity id or display name."},
                  {"accessor", FieldType::kString, "Of the token that asked or was given out."},
                  {"address", FieldType::kString, "Of the peer, or the one forwarded."},
                  {"value", FieldType::kString, "In request or answer; POST only. Only hashed."},
                  {"value_hash", FieldType::kString, "The same by its keyed hash."},
                  {"operation", FieldType::kString, "read, list, create, update, patch, delete."},
                  {"status", FieldType::kInteger, "HTTP status code."},
                  {"denied", FieldType::kBoolean, "Only what was refused for want of permission."},
                  {"order", FieldType::kString, "newest (first) or oldest."},
                  {"cursor", FieldType::kString, "An earlier answer's next."},
                  kLimit},
       .handlers = {{Operation::kRead, answer}, {Operation::kUpdate, answer}},
       .synopsis = "Who did what, from where, when.",
       .blocking = true});
}

}  // namespace rekey::system
