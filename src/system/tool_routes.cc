// sys/tools/random, sys/tools/hash.
#include "base/codec.h"
#include "crypto/digest.h"
#include "logical/answer.h"
#include "system/system_backend.h"

namespace rekey::system {
namespace {

using base::Result;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr int64_t kRandomBytesMax = 128 * 1024;  // as Vault's maxBytes
constexpr size_t kHashInputBytesMax = 32 * 1024 * 1024;

Result<std::string> encoded(std::string_view bytes, std::string_view format) {
  if (format == "hex") return base::hex_encode(bytes);
  if (format == "base64") return base::base64_encode(bytes);
  return logical::bad_request("unsupported encoding format \"" + std::string(format) +
                              "\"; must be \"hex\" or \"base64\"");
}

Result<Response> random(Context& context) {
  // All sources are one here: the kernel's.
  const std::string_view source = context.fields.text("source", "platform");
  if (source != "platform" && source != "seal" && source != "all") {
    return logical::bad_request("unsupported entropy source \"" + std::string(source) +
                                "\"; must be \"platform\" or \"seal\", or \"all\"");
  }
  int64_t count = context.fields.integer("bytes", 32);
  if (const std::string_view in_path = context.fields.text("urlbytes"); !in_path.empty()) {
    const auto parsed = base::Json::parse(in_path);
    if (!parsed || !parsed->as_int()) {
      return logical::bad_request("error parsing url-set byte count: not a whole number");
    }
    count = *parsed->as_int();
  }
  if (count < 1) return logical::bad_request("\"bytes\" cannot be less than 1");
  if (count > kRandomBytesMax) {
    return logical::bad_request("\"bytes\" should be less than " + std::to_string(kRandomBytesMax));
  }
  auto text = encoded(context.random.bytes(static_cast<size_t>(count)),
                      context.fields.text("format", "base64"));
  if (!text) return forward(text);
  return logical::with_data({{"random_bytes", *text}});
}

Result<Response> hash(Context& context) {
  auto input = base::base64_decode(context.fields.text("input"));
  if (!input) return logical::bad_request("unable to decode input as base64");
  if (input->size() > kHashInputBytesMax) return logical::bad_request("the input is too long");
  const std::string_view in_path = context.fields.text("urlalgorithm");
  const std::string_view algorithm =
      in_path.empty() ? context.fields.text("algorithm", "sha2-256") : in_path;
  auto digest = crypto::digest(algorithm, *input);
  if (!digest) {
    return logical::bad_request("unsupported algorithm " + std::string(algorithm));
  }
  auto text = encoded(*digest, context.fields.text("format", "hex"));
  if (!text) return forward(text);
  return logical::with_data({{"sum", *text}});
}

}  // namespace

void SystemBackend::add_tool_routes() {
  const Field bytes{"bytes", FieldType::kInteger, "How many bytes."};
  const Field format{"format", FieldType::kString, "base64 or hex."};
  for (const char* pattern :
       {"tools/random", "tools/random/platform", "tools/random/seal", "tools/random/all",
        "tools/random/{source}/{urlbytes}", "tools/random/{urlbytes}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {bytes, format},
                 .handlers = {{Operation::kUpdate, random}},
                 .synopsis = "Random bytes."});
  }
  for (const char* pattern : {"tools/hash", "tools/hash/{urlalgorithm}"}) {
    routes_.add({.pattern = pattern,
                 .fields = {{"input", FieldType::kString, "What to hash, in base64."},
                            {"algorithm", FieldType::kString, "sha2-256 and the like."},
                            format},
                 .handlers = {{Operation::kUpdate, hash}},
                 .synopsis = "A digest of what is given."});
  }
}

}  // namespace rekey::system
