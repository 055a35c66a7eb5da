// sys/rekey/*, rekey-recovery-key/*, generate-root/*, rotate, key-status: what holders of shares
// do.
#include "base/codec.h"
#include "logical/answer.h"
#include "pipeline/call_context.h"
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

JsonObject describe(const barrier::RekeyStatus& status, int required) {
  JsonObject body{{"started", status.started},
                  {"nonce", status.nonce},
                  {"t", status.counts.threshold},
                  {"n", status.counts.shares},
                  {"progress", status.progress},
                  {"required", required},
                  {"pgp_fingerprints", nullptr},
                  {"backup", false},
                  {"verification_required", status.verification_required}};
  if (!status.verification_nonce.empty()) {
    body.set("verification_nonce", status.verification_nonce);
  }
  return body;
}

JsonObject describe(const barrier::RekeyVerifyStatus& status) {
  return {{"nonce", status.nonce},
          {"started", true},
          {"t", status.counts.threshold},
          {"n", status.counts.shares},
          {"progress", status.progress}};
}

JsonObject describe(const barrier::GenerateRootStatus& status, int required) {
  JsonObject body{{"started", status.started},
                  {"nonce", status.nonce},
                  {"progress", status.progress},
                  {"required", required},
                  {"complete", status.complete},
                  {"encoded_token", status.encoded_token},
                  {"encoded_root_token", status.encoded_token},
                  {"pgp_fingerprint", ""},
                  {"otp", status.otp},
                  {"otp_length", static_cast<int64_t>(barrier::kRootTokenBytes)}};
  return body;
}

Result<base::SecretBytes> share_of(Context& context) {
  const std::string_view key = context.fields.text("key");
  if (key.empty()) {
    return logical::bad_request("'key' must be specified in request body as JSON");
  }
  return barrier::decode_share(key);
}

// Whoever cancels must have started it or hold a token with sudo: an anonymous cancel would let
// anyone on the network keep an operation from ever finishing.
Result<void> may_cancel(Context& context, std::string_view nonce, bool started) {
  if (!started || context.caller.root) return {};
  if (!nonce.empty() && context.fields.text("nonce") == nonce) return {};
  return base::fail(ErrorKind::kInvalid,
                    "to cancel, give the operation's nonce (-nonce) or a root token");
}

// The handlers of one of the two operations that renew shares: unseal shares or recovery shares.
struct Rekeying {
  SealControl& control;
  barrier::RekeyOperation& operation;
};

Result<Response> rekey_status(Context&, const Rekeying& rekeying) {
  const auto hold = rekeying.control.hold();
  auto required = rekeying.control.shares_required();
  if (!required) return forward(required);
  return plain(describe(rekeying.operation.status(), *required));
}

Result<Response> rekey_start(Context& context, const Rekeying& rekeying) {
  const auto hold = rekeying.control.hold();
  const logical::Fields& fields = context.fields;
  auto started =
      rekeying.operation.start({.counts = {static_cast<int>(fields.integer("secret_shares")),
                                           static_cast<int>(fields.integer("secret_threshold"))},
                                .require_verification = fields.flag("require_verification"),
                                .backup = fields.flag("backup"),
                                .pgp_keys = fields.strings("pgp_keys").size()});
  if (!started) return forward(started);
  auto required = rekeying.control.shares_required();
  if (!required) return forward(required);
  return plain(describe(rekeying.operation.status(), *required));
}

Result<Response> rekey_cancel(Context& context, const Rekeying& rekeying) {
  const auto hold = rekeying.control.hold();
  auto may =
      may_cancel(context, rekeying.operation.status().nonce, rekeying.operation.status().started);
  if (!may) return forward(may);
  rekeying.operation.cancel();
  return Response{};
}

Result<Response> rekey_update(Context& context, const Rekeying& rekeying) {
  const auto hold = rekeying.control.hold();
  auto share = share_of(context);
  if (!share) return forward(share);
  auto required = rekeying.control.shares_required();
  if (!required) return forward(required);
  auto done = rekeying.operation.update(std::move(*share), context.fields.text("nonce"), *required);
  if (!done) return forward(done);
  if (!*done) return plain(describe(rekeying.operation.status(), *required));
  JsonArray hex, base64;
  for (const base::SecretBytes& made : (*done)->shares) {
    hex.emplace_back(base::hex_encode(made.reveal()));
    base64.emplace_back(base::base64_encode(made.reveal()));
  }
  JsonObject body{{"nonce", (*done)->nonce},
                  {"complete", true},
                  {"keys", std::move(hex)},
                  {"keys_base64", std::move(base64)},
                  {"pgp_fingerprints", nullptr},
                  {"backup", false},
                  {"verification_required", (*done)->verification_required}};
  if (!(*done)->verification_nonce.empty()) {
    body.set("verification_nonce", (*done)->verification_nonce);
  }
  return plain(std::move(body));
}

Result<Response> rekey_verify_status(Context&, const Rekeying& rekeying) {
  const auto hold = rekeying.control.hold();
  auto verification = rekeying.operation.verify_status();
  if (!verification) return forward(verification);
  return plain(describe(*verification));
}

Result<Response> rekey_verify(Context& context, const Rekeying& rekeying) {
  const auto hold = rekeying.control.hold();
  auto share = share_of(context);
  if (!share) return forward(share);
  auto proved = rekeying.operation.verify(std::move(*share), context.fields.text("nonce"));
  if (!proved) return forward(proved);
  if (*proved) return plain({{"nonce", context.fields.text("nonce")}, {"complete", true}});
  auto verification = rekeying.operation.verify_status();
  if (!verification) return forward(verification);
  return plain(describe(*verification));
}

Result<Response> rekey_restart(Context&, const Rekeying& rekeying) {
  const auto hold = rekeying.control.hold();
  auto verification = rekeying.operation.restart_verification();
  if (!verification) return forward(verification);
  return plain(describe(*verification));
}

// The root token that generate-root made, from its encoded form and the one-time password.
Result<Response> decode_token(Context& context) {
  const std::string_view otp = context.fields.text("otp");
  const std::string_view text = context.fields.text("encoded_token");
  if (text.empty() || otp.empty()) return logical::bad_request("missing encoded_token or otp");
  const auto encoded = base::base64_decode(text);
  std::string token;
  if (encoded && encoded->size() == otp.size()) {
    for (size_t i = 0; i < otp.size(); i++) token += static_cast<char>((*encoded)[i] ^ otp[i]);
  }
  if (token.empty() || !base::is_valid_utf8(token)) {
    return logical::bad_request("error decoding the token: it doesn't belong to this otp");
  }
  return logical::with_data({{"token", token}});
}

constexpr int64_t kRotationOperationsMin = 1'000'000;
constexpr base::Duration kRotationIntervalMin = std::chrono::hours(24);

Result<Response> read_rotation(const barrier::Barrier& barrier) {
  const barrier::RotationPolicy policy = barrier.rotation_policy();
  return logical::with_data(
      {{"enabled", policy.enabled},
       {"interval",
        policy.interval.count() == 0 ? Json(0) : Json(base::format_duration(policy.interval))},
       {"max_operations", policy.encryptions_max}});
}

Result<Response> write_rotation(Context& context, const barrier::Barrier& barrier,
                                pipeline::Keeper& keeper) {
  barrier::RotationPolicy policy = barrier.rotation_policy();
  policy.enabled = context.fields.flag("enabled", policy.enabled);
  const int64_t operations =
      context.fields.integer("max_operations", static_cast<int64_t>(policy.encryptions_max));
  if (operations < kRotationOperationsMin ||
      operations > static_cast<int64_t>(barrier::kTermEncryptionsDue)) {
    return logical::bad_request("max_operations must be in the range [" +
                                std::to_string(kRotationOperationsMin) + "," +
                                std::to_string(barrier::kTermEncryptionsDue) + "]");
  }
  policy.encryptions_max = static_cast<uint64_t>(operations);
  policy.interval = context.fields.duration("interval").value_or(policy.interval);
  if (policy.interval.count() != 0 && policy.interval < kRotationIntervalMin) {
    return logical::bad_request("interval must be greater or equal to " +
                                base::format_duration(kRotationIntervalMin));
  }
  pipeline::CallContext::of(context).txn->put(pipeline::kRotationRow, pipeline::encode(policy));
  context.after_commit.push_back([&keeper] { return keeper.reload_settings(); });
  return Response{};
}

using RekeyHandler = Result<Response> (*)(Context&, const Rekeying&);

logical::Handler bound(RekeyHandler handler, const Rekeying& rekeying) {
  return [handler, rekeying](Context& context) -> Result<Response> {
    const bool recovery = &rekeying.operation == &rekeying.control.recovery_rekey();
    if (recovery && !rekeying.control.has_recovery_shares()) {
      return logical::bad_request("recovery rekeying not supported");
    }
    return handler(context, rekeying);
  };
}

}  // namespace

void SystemBackend::add_rekey_routes(const std::string& folder,
                                     barrier::RekeyOperation& operation) {
  const Rekeying rekeying{parts_.seal_control, operation};
  const logical::Field nonce{"nonce", FieldType::kString, "The operation's nonce."};
  const logical::Field key{"key", FieldType::kString, "One share, in hex or base64."};
  routes_.add({.pattern = folder + "/init",
               .fields = {nonce,
                          {"secret_shares", FieldType::kInteger, "How many new shares."},
                          {"secret_threshold", FieldType::kInteger, "How many are enough."},
                          {"require_verification", FieldType::kBoolean,
                           "New shares count only once they were given back."},
                          {"backup", FieldType::kBoolean, "Not supported."},
                          {"pgp_keys", FieldType::kStrings, "Not supported."}},
               .handlers = {{Operation::kRead, bound(rekey_status, rekeying)},
                            {Operation::kUpdate, bound(rekey_start, rekeying)},
                            {Operation::kDelete, bound(rekey_cancel, rekeying)}},
               .synopsis = "Starts, shows or cancels the renewal of shares.",
               .unauthenticated = true,
               .blocking = true});
  routes_.add({.pattern = folder + "/update",
               .fields = {key, nonce},
               .handlers = {{Operation::kUpdate, bound(rekey_update, rekeying)}},
               .synopsis = "Takes one present share towards the renewal.",
               .unauthenticated = true,
               .blocking = true});
  routes_.add({.pattern = folder + "/verify",
               .fields = {key, nonce},
               .handlers = {{Operation::kRead, bound(rekey_verify_status, rekeying)},
                            {Operation::kUpdate, bound(rekey_verify, rekeying)},
                            {Operation::kDelete, bound(rekey_restart, rekeying)}},
               .synopsis = "Takes one new share as proof that it arrived.",
               .unauthenticated = true,
               .blocking = true});
}

void SystemBackend::add_quorum_routes() {
  SealControl& control = parts_.seal_control;
  add_rekey_routes("rekey", control.rekey());
  add_rekey_routes("rekey-recovery-key", control.recovery_rekey());
  for (const char* pattern : {"rekey/backup", "rekey/recovery-key-backup"}) {
    routes_.add({.pattern = pattern,
                 .handlers = {{Operation::kRead,
                               [](Context&) -> Result<Response> {
                                 return logical::bad_request("no backed-up keys found");
                               }},
                              {Operation::kDelete,
                               [](Context&) -> Result<Response> { return Response{}; }}},
                 .synopsis = "A backup of PGP-encrypted shares; there is none.",
                 .sudo = true});
  }
  add_generate_root_routes();
  add_rotate_routes();
}

void SystemBackend::add_generate_root_routes() {
  SealControl& control = parts_.seal_control;
  const logical::Field nonce{"nonce", FieldType::kString, "The operation's nonce."};
  const auto answer = [&control](const barrier::GenerateRootStatus& status) -> Result<Response> {
    auto required = control.shares_required();
    if (!required) return forward(required);
    return plain(describe(status, *required));
  };
  routes_.add(
      {.pattern = "generate-root/attempt",
       .fields = {nonce,
                  {"otp", FieldType::kString, "A one-time password; made if not given."},
                  {"pgp_key", FieldType::kString, "Not supported."}},
       .handlers = {{Operation::kRead,
                     [&control, answer](Context&) {
                       const auto hold = control.hold();
                       return answer(control.generate_root().status());
                     }},
                    {Operation::kUpdate,
                     [&control, answer](Context& context) -> Result<Response> {
                       const auto hold = control.hold();
                       if (!context.fields.text("pgp_key").empty()) {
                         return logical::bad_request("PGP keys are not supported: use an OTP");
                       }
                       auto started =
                           control.generate_root().start(std::string(context.fields.text("otp")));
                       if (!started) return forward(started);
                       return answer(*started);
                     }},
                    {Operation::kDelete,
                     [&control](Context& context) -> Result<Response> {
                       const auto hold = control.hold();
                       const auto status = control.generate_root().status();
                       auto may = may_cancel(context, status.nonce, status.started);
                       if (!may) return forward(may);
                       control.generate_root().cancel();
                       return Response{};
                     }}},
       .synopsis = "Starts, shows or cancels the making of a root token by share holders.",
       .unauthenticated = true,
       .blocking = true});
  routes_.add({.pattern = "decode-token",
               .fields = {{"encoded_token", FieldType::kString, "What generate-root answered."},
                          {"otp", FieldType::kString, "Its one-time password."}},
               .handlers = {{Operation::kUpdate, decode_token}},
               .synopsis = "Decodes the token that generate-root made."});
  routes_.add({.pattern = "generate-root/update",
               .fields = {nonce, {"key", FieldType::kString, "One share, in hex or base64."}},
               .handlers = {{Operation::kUpdate,
                             [&control, answer](Context& context) -> Result<Response> {
                               const auto hold = control.hold();
                               auto share = share_of(context);
                               if (!share) return forward(share);
                               auto required = control.shares_required();
                               if (!required) return forward(required);
                               auto status = control.generate_root().update(
                                   std::move(*share), context.fields.text("nonce"), *required,
                                   control.generate_root_actions());
                               if (!status) return forward(status);
                               return answer(*status);
                             }}},
               .synopsis = "Takes one share towards a root token.",
               .unauthenticated = true,
               .blocking = true});
}

void SystemBackend::add_rotate_routes() {
  const auto rotate = [this](Context&) -> Result<Response> {
    auto term = parts_.seal_control.rotate();
    if (!term) return forward(term);
    return Response{};
  };
  for (const char* pattern : {"rotate", "rotate/keyring"}) {
    routes_.add({.pattern = pattern,
                 .handlers = {{Operation::kUpdate, rotate}},
                 .synopsis = "Encrypts what is written from now on with a new key.",
                 .sudo = true,
                 .blocking = true});
  }
  routes_.add(
      {.pattern = "rotate/config",
       .fields = {{"enabled", FieldType::kBoolean, "Whether it is rotated by itself."},
                  {"max_operations", FieldType::kInteger, "After so many encryptions."},
                  {"interval", FieldType::kDuration, "At this age; 0 for no age."}},
       .handlers = {{Operation::kRead, [this](Context&) { return read_rotation(parts_.barrier); }},
                    {Operation::kUpdate,
                     [this](Context& context) {
                       return write_rotation(context, parts_.barrier, parts_.keeper);
                     }}},
       .synopsis = "When the key is rotated by itself.",
       .sudo = true});
  routes_.add({.pattern = "key-status",
               .handlers = {{Operation::kRead,
                             [this](Context&) -> Result<Response> {
                               auto status = parts_.barrier.key_status();
                               if (!status) return forward(status);
                               return logical::with_data(
                                   {{"term", static_cast<int64_t>(status->term)},
                                    {"install_time", base::format_rfc3339(status->install_time)},
                                    {"encryptions", static_cast<int64_t>(status->encryptions)}});
                             }}},
               .synopsis = "The key that encrypts now: its number and its age."});
}

}  // namespace rekey::system
