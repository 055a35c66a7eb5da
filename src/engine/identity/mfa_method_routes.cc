// identity/mfa/method: what a second factor can be. Only totp checks anything; duo, okta and pingid
// are configured and read back, and a login that needs one of them is refused.
#include <algorithm>

#include "base/codec.h"
#include "engine/identity/identity_backend.h"
#include "engine/identity/view.h"
#include "identity/mfa.h"

namespace rekey::engine::identity {
namespace {

using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::Field;
using logical::Fields;
using logical::FieldType;
using logical::Operation;
using logical::Response;
using pipeline::CallContext;
using store::MfaMethod;
using store::MfaStore;

// A member of what is configured for a type that this build can't ask.
struct Setting {
  std::string_view name;
  FieldType type = FieldType::kString;
  std::string_view shown = {};  // as it is read back; empty: under its own name
  bool required = false;
  bool secret = false;  // never read back
};

constexpr Setting kDuo[] = {{"secret_key", FieldType::kString, {}, true, true},
                            {"integration_key", FieldType::kString, {}, true, true},
                            {"api_hostname", FieldType::kString, {}, true},
                            {"push_info", FieldType::kString, "pushinfo"},
                            {"use_passcode", FieldType::kBoolean},
                            {"username_format", FieldType::kString}};
constexpr Setting kOkta[] = {{"org_name", FieldType::kString, {}, true},
                             {"api_token", FieldType::kString, {}, true, true},
                             {"base_url", FieldType::kString},
                             {"production", FieldType::kBoolean},
                             {"primary_email", FieldType::kBoolean, {}, false, true},
                             {"username_format", FieldType::kString}};
// What the settings file that PingID gives out holds.
constexpr Setting kPingId[] = {{"use_base64_key", FieldType::kString, {}, false, true},
                               {"use_signature", FieldType::kBoolean},
                               {"token", FieldType::kString, {}, false, true},
                               {"idp_url", FieldType::kString},
                               {"org_alias", FieldType::kString},
                               {"admin_url", FieldType::kString},
                               {"authenticator_url", FieldType::kString}};

std::span<const Setting> settings_of(std::string_view type) {
  if (type == "duo") return kDuo;
  if (type == "okta") return kOkta;
  return kPingId;
}

JsonObject describe(const MfaMethod& method) {
  JsonObject out{{"id", method.id},
                 {"name", method.name},
                 {"namespace_id", "root"},
                 {"namespace_path", ""},
                 {"type", method.type}};
  if (method.is_totp()) {
    out.set("algorithm", crypto::totp_hash_name(method.totp.hash));
    out.set("digits", method.totp.digits);
    out.set("issuer", method.issuer);
    out.set("key_size", method.key_bytes);
    out.set("max_validation_attempts", method.attempts_max);
    out.set("period", method.totp.period_s);
    out.set("qr_size", method.qr_pixels);
    out.set("skew", method.totp.skew);
    return out;
  }
  for (const Setting& setting : settings_of(method.type)) {
    const base::Json* value = method.outside.find(setting.name);
    // Okta's address is said in one of two ways.
    if (setting.name == "base_url" && value == nullptr) continue;
    if (setting.name == "production" && method.outside.contains("base_url")) continue;
    if (setting.secret) continue;
    const base::Json none =
        setting.type == FieldType::kBoolean ? base::Json(false) : base::Json("");
    out.set(setting.shown.empty() ? setting.name : setting.shown, value == nullptr ? none : *value);
  }
  if (method.type != "pingid") out.set("mount_accessor", "");
  return out;
}

Result<void> read_totp(const Fields& fields, MfaMethod& method) {
  const auto hash = crypto::totp_hash_named(fields.text("algorithm", "SHA1"));
  if (!hash) return logical::bad_request("unrecognized algorithm");
  const auto period = fields.duration("period");
  method.totp = {
      .hash = *hash,
      .digits = fields.integer("digits", 6),
      .period_s = period ? std::chrono::floor<std::chrono::seconds>(*period).count() : 30,
      .skew = fields.integer("skew", 1)};
  if (auto good = crypto::check_totp(method.totp); !good) return good;
  method.key_bytes = fields.integer("key_size", 20);
  if (method.key_bytes <= 0) return logical::bad_request("key_size must be greater than zero");
  if (method.key_bytes < static_cast<int64_t>(crypto::kTotpKeyBytesMin) ||
      method.key_bytes > static_cast<int64_t>(crypto::kTotpKeyBytesMax)) {
    return logical::bad_request("key_size must be at least " +
                                std::to_string(crypto::kTotpKeyBytesMin) + " and at most " +
                                std::to_string(crypto::kTotpKeyBytesMax));
  }
  method.issuer = fields.text("issuer");
  if (method.issuer.empty()) return logical::bad_request("issuer must be set");
  if (auto good = store::check_name("issuer", method.issuer); !good) return good;
  method.qr_pixels = fields.integer("qr_size", 200);
  if (method.qr_pixels < 0 || method.qr_pixels > store::kMfaQrPixelsMax) {
    return logical::bad_request("qr_size must be at most " +
                                std::to_string(store::kMfaQrPixelsMax));
  }
  method.attempts_max = fields.integer("max_validation_attempts");
  if (method.attempts_max < 0) {
    return logical::bad_request("max_validation_attempts must be greater than zero");
  }
  if (method.attempts_max > store::kMfaAttemptsMax) {
    return logical::bad_request("max_validation_attempts must be at most " +
                                std::to_string(store::kMfaAttemptsMax));
  }
  if (method.attempts_max == 0) method.attempts_max = store::kMfaAttemptsDefault;
  return {};
}

Result<void> set_line(std::string_view line, JsonObject& into) {
  const size_t equals = line.find('=');
  if (equals == line.npos) {
    return logical::bad_request("the pingid settings file has a line that is not key=value");
  }
  const std::string_view name = line.substr(0, equals), value = line.substr(equals + 1);
  const auto setting = std::ranges::find(kPingId, name, &Setting::name);
  if (setting == std::end(kPingId)) {
    return logical::bad_request("unknown key in pingid settings file");
  }
  if (setting->type != FieldType::kBoolean) {
    into.set(name, value);
    return {};
  }
  if (value != "true" && value != "false") {
    return logical::bad_request("error parsing use_signature value in pingid settings file");
  }
  into.set(name, value == "true");
  return {};
}

Result<void> read_pingid(const Fields& fields, MfaMethod& method) {
  const std::string_view sent = fields.text("settings_file_base64");
  if (sent.empty()) return logical::bad_request("settings_file_base64 is empty");
  auto text = base::base64_decode(sent);
  if (!text || text->size() > store::kMfaMethodBytesMax || !base::is_valid_utf8(*text)) {
    return logical::bad_request("settings_file_base64 can't be read");
  }
  JsonObject settings;
  for (std::string_view rest = *text; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    if (auto set = set_line(line, settings); !set) return set;
  }
  method.outside = std::move(settings);
  return {};
}

Result<void> read_outside(const Fields& fields, MfaMethod& method) {
  if (method.type == "pingid") return read_pingid(fields, method);
  JsonObject settings;
  for (const Setting& setting : settings_of(method.type)) {
    const std::string name(setting.name);
    if (setting.type == FieldType::kBoolean) {
      if (fields.has(name)) settings.set(name, fields.flag(name));
      continue;
    }
    const std::string_view text = fields.text(name);
    if (text.empty() && setting.required) {
      return logical::bad_request(name + (method.type == "okta" ? " must be set" : " is empty"));
    }
    if (text.size() > store::kMfaMethodBytesMax) return logical::bad_request(name + " is too long");
    if (fields.has(name)) settings.set(name, text);
  }
  if (method.type == "okta" && !settings.contains("base_url") && !settings.contains("production")) {
    settings.set("base_url", "okta.com");
  }
  method.outside = std::move(settings);
  return {};
}

// By the id if one is given, else by the name, else a new one.
Result<std::optional<MfaMethod>> find(CallContext& call, MfaStore& methods) {
  const std::string_view id = call.fields.text("method_id");
  const std::string_view name = call.fields.text("method_name");
  Result<std::optional<MfaMethod>> known = std::optional<MfaMethod>();
  if (!id.empty()) {
    known = methods.method(id);
    if (!known) return known;
    if (!*known) return logical::nothing_there();
  }
  if (name.empty()) return known;
  if (auto good = store::check_name("method", name); !good) return forward(good);
  auto named = methods.method_named(name);
  if (!named) return forward(named);
  if (*named && *known && (*known)->id != **named) {
    return logical::bad_request("a login MFA method configuration with the method name " +
                                std::string(name) + " already exists");
  }
  if (*named && !*known) return methods.method(**named);
  return known;
}

Result<Response> write(Context& context, std::string_view type) {
  CallContext& call = CallContext::of(context);
  MfaStore methods(*call.txn);
  auto known = find(call, methods);
  if (!known) return forward(known);
  const MfaMethod* before = *known ? &**known : nullptr;
  if (before != nullptr && before->type != type) {
    return logical::bad_request("method type does not match the MFA config type");
  }
  if (before == nullptr) {
    auto all = methods.method_ids();
    if (!all) return forward(all);
    if (all->size() >= store::kMfaMethodsMax) return logical::bad_request("too many MFA methods");
  }
  MfaMethod method;
  method.id = before != nullptr ? before->id : call.random.uuid();
  method.type = type;
  method.name = call.fields.text("method_name", before != nullptr ? before->name : "");
  auto read = method.is_totp() ? read_totp(call.fields, method) : read_outside(call.fields, method);
  if (!read) return forward(read);
  methods.save(before, method);
  if (!call.fields.text("method_id").empty()) return Response{};
  return logical::with_data({{"method_id", method.id}});
}

// `type` empty: of any type.
Result<Response> read(Context& context, std::string_view type) {
  CallContext& call = CallContext::of(context);
  auto method = MfaStore(*call.txn).method(call.fields.text("method_id"));
  if (!method) return forward(method);
  if (!*method) return logical::nothing_there();
  if (!type.empty() && (*method)->type != type) {
    return logical::bad_request("failed to find the method ID under MFA type " + std::string(type) +
                                ".");
  }
  return logical::with_data(describe(**method));
}

Result<Response> erase(Context& context, std::string_view type) {
  CallContext& call = CallContext::of(context);
  MfaStore methods(*call.txn);
  auto method = methods.method(call.fields.text("method_id"));
  if (!method) return forward(method);
  if (!*method) return Response{};
  if ((*method)->type != type) {
    return logical::bad_request("method type does not match the MFA config type");
  }
  auto enforcements = methods.enforcements();
  if (!enforcements) return forward(enforcements);
  for (const store::MfaEnforcement& one : *enforcements) {
    if (std::ranges::find(one.method_ids, (*method)->id) == one.method_ids.end()) continue;
    return logical::bad_request("methodID is still used by an enforcement configuration with ID: " +
                                one.id);
  }
  auto removed = methods.remove(**method);
  if (!removed) return forward(removed);
  return Response{};
}

Result<Response> list(Context& context, std::string_view type) {
  CallContext& call = CallContext::of(context);
  MfaStore methods(*call.txn);
  return list_ids(call, "mfa-method/",
                  [&](const std::string& id, JsonObject& info) -> Result<bool> {
                    auto method = methods.method(id);
                    if (!method) return forward(method);
                    if (!*method || (!type.empty() && (*method)->type != type)) return false;
                    info = describe(**method);
                    return true;
                  });
}

const Field kMethodId{"method_id", FieldType::kString, "The method's id; made by the server."};
const Field kMethodName{"method_name", FieldType::kString, "A name for it."};

std::vector<Field> totp_fields() {
  return {kMethodId,
          kMethodName,
          {"issuer", FieldType::kString, "What apps show the key under: the organisation."},
          {"period", FieldType::kDuration, "How long one code is shown; 30 seconds."},
          {"key_size", FieldType::kInteger, "Bytes of an entity's key; 20."},
          {"qr_size", FieldType::kInteger, "Pixels of the QR code; 200, 0 for none."},
          {"algorithm", FieldType::kString, "SHA1, SHA256 or SHA512."},
          {"digits", FieldType::kInteger, "Of a code: 6 or 8."},
          {"skew", FieldType::kInteger, "Periods taken before and after the present one: 0 or 1."},
          {"max_validation_attempts", FieldType::kInteger, "Wrong codes until a wait; 5."}};
}

std::vector<Field> fields_of(std::string_view type) {
  if (type == "totp") return totp_fields();
  std::vector<Field> fields = {kMethodId, kMethodName};
  if (type == "pingid") {
    fields.push_back({"settings_file_base64", FieldType::kString, "PingID's settings file."});
    fields.push_back({"username_format", FieldType::kString, "Taken and not used."});
    return fields;
  }
  for (const Setting& setting : settings_of(type)) {
    fields.push_back({setting.name, setting.type, "As its provider gives it."});
  }
  return fields;
}

}  // namespace

void IdentityBackend::add_mfa_method_routes() {
  const auto lister = [](std::string_view type) {
    return [type](Context& c) { return list(c, type); };
  };
  const std::vector<Field> pages = {logical::after_field(), logical::limit_field()};
  routes_.add({.pattern = "mfa/method",
               .fields = pages,
               .handlers = {{Operation::kList, lister("")}},
               .synopsis = "Lists the methods of a second factor."});
  for (const std::string_view type : {"totp", "duo", "okta", "pingid"}) {
    const std::string folder = "mfa/method/" + std::string(type);
    const auto writer = [type](Context& c) { return write(c, type); };
    std::vector<Field> fields = fields_of(type);
    routes_.add({.pattern = folder + "/{method_id}",
                 .fields = fields,
                 .handlers = {{Operation::kRead, [type](Context& c) { return read(c, type); }},
                              {Operation::kUpdate, writer},
                              {Operation::kDelete, [type](Context& c) { return erase(c, type); }}},
                 .synopsis = "A method of a second factor."});
    fields.insert(fields.end(), pages.begin(), pages.end());
    routes_.add(
        {.pattern = folder,
         .fields = std::move(fields),
         .handlers = {{Operation::kUpdate, writer}, {Operation::kList, lister(type)}},
         .synopsis = "Makes a method of a second factor, or changes the one of that name."});
  }
  routes_.add({.pattern = "mfa/method/{method_id}",
               .fields = {kMethodId},
               .handlers = {{Operation::kRead, [](Context& c) { return read(c, ""); }}},
               .synopsis = "A method, of whichever type."});
}

}  // namespace rekey::engine::identity
