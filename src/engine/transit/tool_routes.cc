// random, hash, cache-config and config/keys.
#include "base/codec.h"
#include "crypto/digest.h"
#include "engine/transit/common.h"
#include "engine/transit/transit.h"

namespace rekey::engine::transit {
namespace {

using base::Json;
using base::Result;
using logical::bad_request;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr int64_t kRandomBytesMax = 128 * 1024;  // as Vault's
constexpr int64_t kCacheSizeMin = 10;            // as Vault's; 0 is no bound
constexpr std::string_view kConfigRow = "config";

Result<std::string> encoded(std::string_view bytes, std::string_view format) {
  if (format == "hex") return base::hex_encode(bytes);
  if (format == "base64") return base::base64_encode(bytes);
  return bad_request("unsupported encoding format \"" + std::string(format) +
                     "\"; must be \"hex\" or \"base64\"");
}

Result<Response> random(Context& context) {
  int64_t count = context.fields.integer("bytes", 32);
  if (const std::string_view in_path = context.fields.text("urlbytes"); !in_path.empty()) {
    const auto parsed = Json::parse(in_path);
    if (!parsed || !parsed->as_int()) {
      return bad_request("error parsing url-set byte count: not a whole number");
    }
    count = *parsed->as_int();
  }
  if (count < 1) return bad_request("'bytes' cannot be less than 1");
  if (count > kRandomBytesMax) {
    return bad_request("'bytes' should be less than " + std::to_string(kRandomBytesMax));
  }
  auto text = encoded(context.random.bytes(static_cast<size_t>(count)),
                      context.fields.text("format", "base64"));
  if (!text) return forward(text);
  return logical::with_data({{"random_bytes", *text}});
}

Result<Response> hash(Context& context) {
  auto input = decode_base64(context.fields.text("input"));
  if (!input) return bad_request("unable to decode input as base64: illegal base64 data");
  const std::string_view in_path = context.fields.text("urlalgorithm");
  const std::string_view algorithm =
      in_path.empty() ? context.fields.text("algorithm", "sha2-256") : in_path;
  auto digest = crypto::digest(algorithm, *input);
  if (!digest) return bad_request("unsupported algorithm " + std::string(algorithm));
  auto text = encoded(*digest, context.fields.text("format", "hex"));
  if (!text) return forward(text);
  return logical::with_data({{"sum", *text}});
}

Result<base::JsonObject> config(Context& context, bool to_change) {
  auto row = to_change ? context.storage->get(kConfigRow) : context.storage->peek(kConfigRow);
  if (!row) return forward(row);
  base::JsonObject out{{"cache_size", 0}, {"disable_upsert", false}};
  if (!*row) return out;
  const auto parsed = Json::parse(**row);
  if (!parsed || !parsed->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "the mount's configuration can't be read");
  }
  for (const auto& [name, value] : *parsed->as_object()) out.set(name, value);
  return out;
}

Result<Response> show(Context& context, std::string_view name, std::string_view shown_as) {
  auto row = config(context, false);
  if (!row) return forward(row);
  base::JsonObject data;
  data.set(shown_as, *row->find(name));
  return logical::with_data(std::move(data));
}

Result<Response> change(Context& context, std::string_view name, Json value,
                        std::string_view shown_as) {
  auto row = config(context, true);
  if (!row) return forward(row);
  row->set(name, value);
  auto written = context.storage->put(kConfigRow, Json(std::move(*row)).dump());
  if (!written) return forward(written);
  base::JsonObject data;
  data.set(shown_as, std::move(value));
  return logical::with_data(std::move(data));
}

// Kept and shown for clients that set it; the real bound is that of logical::DecodedRows.
Result<Response> set_cache_size(Context& context) {
  const int64_t size = context.fields.integer("size");
  if (size != 0 && size < kCacheSizeMin) {
    return bad_request("size must be 0 or a value greater or equal to 10");
  }
  return change(context, "cache_size", Json(size), "size");
}

}  // namespace

void Engine::add_tool_routes() {
  const Field bytes{"bytes", FieldType::kInteger, "How many bytes."};
  const Field format{"format", FieldType::kString, "base64 or hex."};
  for (const char* pattern :
       {"random", "random/platform", "random/seal", "random/all", "random/platform/{urlbytes}",
        "random/seal/{urlbytes}", "random/all/{urlbytes}", "random/{urlbytes}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {bytes, format},
                 .handlers = {{Operation::kUpdate, random}},
                 .synopsis = "Random bytes."});
  }
  for (const char* pattern : {"hash", "hash/{urlalgorithm}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {{"input", FieldType::kString, "What to hash, in base64."},
                            {"algorithm", FieldType::kString, "sha2-256 and the like."},
                            format},
                 .handlers = {{Operation::kUpdate, hash}},
                 .synopsis = "A digest of what is given."});
  }
  routes_.add({.pattern = "cache-config",
               .fields = {{"size", FieldType::kInteger, "How many keys; 0 for no bound."}},
               .handlers = {{Operation::kRead,
                             [](Context& context) { return show(context, "cache_size", "size"); }},
                            {Operation::kUpdate, set_cache_size}},
               .synopsis = "How many keys are kept ready, for clients that set it."});
  routes_.add(
      {.pattern = "config/keys",
       .fields = {{"disable_upsert", FieldType::kBoolean, "Encrypting makes no keys."}},
       .handlers = {{Operation::kRead,
                     [](Context& c) { return show(c, "disable_upsert", "disable_upsert"); }},
                    {Operation::kUpdate,
                     [](Context& c) {
                       return change(c, "disable_upsert", Json(c.fields.flag("disable_upsert")),
                                     "disable_upsert");
                     }}},
       .synopsis = "What holds for all keys of the mount."});
}

}  // namespace rekey::engine::transit
