// encrypt/, decrypt/, rewrap/, datakey/.
#include "base/codec.h"
#include "engine/transit/batch.h"
#include "engine/transit/ciphertext.h"
#include "engine/transit/common.h"
#include "engine/transit/transit.h"

namespace rekey::engine::transit {
namespace {

using base::JsonWriter;
using base::Result;
using logical::bad_request;
using logical::Context;
using logical::Field;
using logical::FieldType;
using logical::Operation;
using logical::Response;

constexpr std::string_view kNoPlaintext = "missing plaintext to encrypt";
constexpr std::string_view kNoCiphertext = "missing ciphertext to decrypt";

Result<Circumstances> circumstances(const Item& item) {
  Circumstances out;
  if (const std::string_view text = item.text("context"); !text.empty()) {
    auto decoded = decode_base64(text);
    if (!decoded) return forward(decoded);
    out.context = std::move(*decoded);
  }
  if (const std::string_view text = item.text("associated_data"); !text.empty()) {
    auto decoded = decode_base64(text);
    if (!decoded) return bad_request("unable to decode associated_data: illegal base64 data");
    out.associated = std::move(*decoded);
  }
  return out;
}

// The key that an encryption makes where there is none.
Result<std::shared_ptr<LoadedKey>> upsert(Context& context, Keys& keys, std::string_view name,
                                          const Items& items) {
  auto config = context.storage->peek("config");
  if (!config) return forward(config);
  const auto row = base::Json::parse(config->value_or("{}"));
  const base::Json* disabled = row ? row->find("disable_upsert") : nullptr;
  const bool refused = disabled != nullptr && disabled->as_bool() && *disabled->as_bool();
  if (context.request.operation == Operation::kRead || refused) {
    return bad_request("encryption key not found");
  }
  const std::string_view type_name = context.fields.text("type", "aes256-gcm96");
  const TypeInfo* type = type_named(type_name);
  if (type == nullptr || type->is_rsa()) {
    return bad_request("unknown key type " + std::string(type_name));
  }
  if (!type->cipher) {
    return bad_request("key type " + std::string(type_name) + " not supported for this operation");
  }
  KeySettings settings;
  settings.type = type->type;
  settings.derived = items.items.front().has("context");
  settings.convergent = context.fields.flag("convergent_encryption");
  if (settings.convergent && !settings.derived) {
    return bad_request(
        "convergent encryption requires derivation to be enabled, so context is "
        "required");
  }
  auto there = keys.settings_to_change(name);  // so that two at once don't make two keys
  if (!there) return forward(there);
  if (!*there) {
    auto made = keys.rotate(name, settings);
    if (!made) return forward(made);
  }
  return keys.find_for_use(name);
}

Result<void> check_contexts(const Items& items) {
  const bool first = items.items.front().has("context");
  for (const Item& item : items.items) {
    if (item.has("context") != first) {
      return bad_request("context should be set either in all the request blocks or in none");
    }
  }
  return {};
}

bool takes_long(const Context& context, const LoadedKey& key, const Items& items,
                bool private_half) {
  if (context.may_block) return false;
  if (context.request.body_bytes > kInlineBodyBytesMax) return true;
  return key.settings.info().is_rsa() && (private_half || items.batch);
}

void add_ciphertext(Results& results, const Item& item, uint32_t version, std::string_view sealed) {
  JsonWriter& json = results.begin();
  json.key("ciphertext");
  json.plain_text([&](std::string& out) { append_ciphertext(out, version, sealed); });
  json.member("key_version", version);
  results.end(item);
}

Result<Response> encrypt_items(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  auto items = read_items(context, "plaintext", kNoPlaintext);
  if (!items) return forward(items);
  auto contexts = check_contexts(*items);
  if (!contexts) return forward(contexts);
  Keys keys(context);
  auto key = keys.find_for_use(*name);
  if (key && *key == nullptr) key = upsert(context, keys, *name, *items);
  if (!key) return forward(key);
  if (takes_long(context, **key, *items, false)) return context.to_pool();
  Results results(context, *items, "plaintext");
  std::string plaintext, sealed;
  for (const Item& item : items->items) {
    const auto encrypted = [&]() -> Result<uint32_t> {
      auto decoded = decode_base64_to(plaintext, item.text("plaintext"));
      if (!decoded) return forward(decoded);
      auto about = circumstances(item);
      if (!about) return forward(about);
      return encrypt(context, keys, **key, *about, item.integer("key_version"), plaintext, sealed);
    }();
    if (!encrypted) {
      if (!items->batch) return std::unexpected(encrypted.error());
      results.failed(item, encrypted.error());
      continue;
    }
    add_ciphertext(results, item, *encrypted, sealed);
  }
  return results.finish_with_status();
}

// The plaintext of one item, appended to `out`.
Result<void> open_item(Keys& keys, LoadedKey& key, const Item& item, std::string& out) {
  const std::string_view text = item.text("ciphertext");
  if (text.empty()) return bad_request(std::string(kNoCiphertext));
  auto about = circumstances(item);
  if (!about) return forward(about);
  return decrypt(keys, key, *about, text, out);
}

Result<Response> decrypt_items(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  auto items = read_items(context, "ciphertext", kNoCiphertext);
  if (!items) return forward(items);
  Keys keys(context);
  auto key = keys.find_for_use(*name);
  if (!key) return forward(key);
  if (*key == nullptr) return bad_request("encryption key not found");
  if (takes_long(context, **key, *items, true)) return context.to_pool();
  Results results(context, *items, "ciphertext");
  std::string plaintext;
  for (const Item& item : items->items) {
    plaintext.clear();
    auto opened = open_item(keys, **key, item, plaintext);
    if (!opened) {
      if (!items->batch) return forward(opened);
      results.failed(item, opened.error(), "plaintext");
      continue;
    }
    JsonWriter& json = results.begin();
    json.key("plaintext");
    json.plain_text([&](std::string& out) { base::append_base64(out, plaintext); });
    results.end(item);
  }
  return results.finish_with_status();
}

Result<Response> rewrap_items(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  auto items = read_items(context, "ciphertext", kNoCiphertext);
  if (!items) return forward(items);
  Keys keys(context);
  auto key = keys.find_for_use(*name);
  if (!key) return forward(key);
  if (*key == nullptr) return bad_request("encryption key not found");
  if (takes_long(context, **key, *items, true)) return context.to_pool();
  Results results(context, *items, "ciphertext");
  std::string plaintext, sealed;
  for (const Item& item : items->items) {
    plaintext.clear();
    const auto rewrapped = [&]() -> Result<uint32_t> {
      auto opened = open_item(keys, **key, item, plaintext);
      if (!opened) return forward(opened);
      auto about = circumstances(item);
      if (!about) return forward(about);
      return encrypt(context, keys, **key, *about, item.integer("key_version"), plaintext, sealed);
    }();
    if (!rewrapped) {
      if (!items->batch) return std::unexpected(rewrapped.error());
      results.failed(item, rewrapped.error());
      continue;
    }
    add_ciphertext(results, item, *rewrapped, sealed);
  }
  return results.finish();
}

Result<Response> data_key(Context& context) {
  auto name = key_name(context);
  if (!name) return forward(name);
  const std::string_view form = context.fields.text("plaintext");
  if (form != "plaintext" && form != "wrapped") {
    return bad_request("Invalid path, must be 'plaintext' or 'wrapped'");
  }
  const int64_t bits = context.fields.integer("bits", 256);
  if (bits != 128 && bits != 256 && bits != 512) return bad_request("invalid bit length");
  auto about = circumstances(Item(&context.fields, nullptr));
  if (!about) return forward(about);
  Keys keys(context);
  auto key = keys.find_for_use(*name);
  if (!key) return forward(key);
  if (*key == nullptr) return bad_request("encryption key not found");
  const std::string fresh = context.random.bytes(static_cast<size_t>(bits / 8));
  std::string sealed, ciphertext;
  auto version =
      encrypt(context, keys, **key, *about, context.fields.integer("key_version"), fresh, sealed);
  if (!version) return forward(version);
  append_ciphertext(ciphertext, *version, sealed);
  Response response;
  JsonWriter json(response.data);
  json.begin_object();
  json.member("ciphertext", ciphertext);
  json.member("key_version", *version);
  if (form == "plaintext") json.member("plaintext", base::base64_encode(fresh));
  json.end_object();
  return response;
}

Result<bool> key_exists(Context& context) {
  const std::string_view name = context.fields.text("name");
  if (!is_key_name(name)) return true;  // the handler says what is wrong with it
  return Keys(context).exists(name);
}

const Field kContextField{"context", FieldType::kString, "Base64: of a derived key."};
const Field kNonceField{"nonce", FieldType::kString,
                        "Of keys of Vault before 0.6.2; has no effect."};
const Field kAssociatedField{"associated_data", FieldType::kString,
                             "Base64: authenticated with the text, of AES-GCM and ChaCha20."};
const Field kBatchField{"batch_input", FieldType::kAny, "A list of objects with these fields."};
const Field kVersionField{"key_version", FieldType::kInteger, "Which version; 0 for the latest."};
const Field kPartialField{"partial_failure_response_code", FieldType::kInteger,
                          "The status where some items of a batch failed, in place of 400."};
const Field kCiphertextField{"ciphertext", FieldType::kString, "What encrypt answered."};

}  // namespace

void Engine::add_encrypt_routes() {
  routes_.add(
      {.pattern = "encrypt/{name}",
       .fields = {{"plaintext", FieldType::kString, "Base64 of what is to be encrypted."},
                  kContextField,
                  kAssociatedField,
                  kVersionField,
                  kBatchField,
                  kPartialField,
                  kNonceField,
                  {"type", FieldType::kString, "Of the key, where this makes it."},
                  {"convergent_encryption", FieldType::kBoolean, "Of the key that this makes."}},
       .handlers = {{Operation::kUpdate, encrypt_items}},
       .synopsis = "Encrypts with a key.",
       .exists = key_exists});
  routes_.add({.pattern = "decrypt/{name}",
               .fields = {kCiphertextField, kContextField, kAssociatedField, kNonceField,
                          kBatchField, kPartialField},
               .handlers = {{Operation::kUpdate, decrypt_items}},
               .synopsis = "Decrypts with a key."});
  routes_.add({.pattern = "rewrap/{name}",
               .fields = {kCiphertextField, kContextField, kAssociatedField, kNonceField,
                          kVersionField, kBatchField},
               .handlers = {{Operation::kUpdate, rewrap_items}},
               .synopsis = "Encrypts again, with the newest version, without showing the text."});
  routes_.add({.pattern = "datakey/{plaintext}/{name}",
               .fields = {{"bits", FieldType::kInteger, "128, 256 (default) or 512."},
                          kContextField,
                          kNonceField,
                          kAssociatedField,
                          kVersionField},
               .handlers = {{Operation::kUpdate, data_key}},
               .synopsis = "A new random key, encrypted and, under plaintext/, as it is."});
}

}  // namespace rekey::engine::transit
