#include "auth/kept/kept.h"

#include <algorithm>
#include <cctype>

#include "base/codec.h"
#include "logical/answer.h"
#include "logical/context.h"
#include "logical/named_rows.h"
#include "logical/row.h"

namespace rekey::auth::kept {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;
using logical::Context;
using logical::FieldType;
using logical::Operation;
using logical::Response;

Json default_of(const KeptField& field) {
  if (!field.otherwise.empty()) {
    if (auto parsed = Json::parse(field.otherwise)) return std::move(*parsed);
  }
  switch (field.type) {
    case FieldType::kString:
      return "";
    case FieldType::kInteger:
    case FieldType::kDuration:
      return 0;
    case FieldType::kBoolean:
      return false;
    default:
      return {};
  }
}

bool is_empty(const Json& value) {
  return value.is_null() || (value.as_string() && value.as_string()->empty()) ||
         (value.as_array() && value.as_array()->empty()) ||
         (value.as_object() && value.as_object()->empty());
}

bool is_choice(std::string_view choices, std::string_view text) {
  for (size_t at = 0; at <= choices.size();) {
    const size_t end = std::min(choices.find('|', at), choices.size());
    if (choices.substr(at, end - at) == text) return true;
    at = end + 1;
  }
  return false;
}

Result<Json> list_of(const KeptField& field, std::vector<std::string> items) {
  if (items.size() > kFieldItemsMax ||
      std::ranges::any_of(items, [](const auto& item) { return item.size() > kFieldBytesMax; })) {
    return logical::bad_request(std::string(field.name) + " is too long");
  }
  if (field.policies) items = logical::clean_policies(std::move(items));
  return Json::strings(items);
}

// What was sent for a field that is there, in the form in which it is kept.
Result<Json> value_of(const logical::Fields& fields, const KeptField& field) {
  switch (field.type) {
    case FieldType::kInteger:
      return Json(fields.integer(field.name));
    case FieldType::kBoolean:
      return Json(fields.flag(field.name));
    case FieldType::kDuration: {
      auto seconds = logical::seconds_of(fields, field.name);
      if (!seconds) return forward(seconds);
      return Json(seconds->value_or(0));
    }
    case FieldType::kStrings:
      return list_of(field, fields.strings(field.name));
    case FieldType::kStringMap: {
      const auto pairs = fields.string_map(field.name);
      if (pairs.size() > kFieldItemsMax) {
        return logical::bad_request(std::string(field.name) + " is too long");
      }
      return Json(logical::object_of(pairs));
    }
    default:
      break;
  }
  const std::string_view text = fields.text(field.name);
  if (text.size() > kFieldBytesMax) {
    return logical::bad_request(std::string(field.name) + " is too long");
  }
  if (!field.choices.empty() && !text.empty() && !is_choice(field.choices, text)) {
    return logical::bad_request("invalid '" + std::string(field.name) + "'");
  }
  return Json(text);
}

// ---- rows ------------------------------------------------------------------------------------

bool is_folder(const KeptPath& path) { return path.row.ends_with('/'); }

// The name of what lies in a folder: the one capture of the pattern.
std::string_view capture_of(const KeptPath& path) {
  const size_t open = path.pattern.find('{');
  return path.pattern.substr(open + 1, path.pattern.find('}') - open - 1);
}

Result<std::string> row_of(const Context& context, const KeptPath& path) {
  if (!is_folder(path)) return std::string(path.row);
  std::string name(context.fields.text(capture_of(path)));
  if (name.size() > kNameBytesMax) return logical::bad_request("the name is too long");
  if (path.lower_names) {
    name = base::to_lower(name);
  }
  return std::string(path.row) + name;
}

Result<std::optional<JsonObject>> read_row(Context& context, const KeptPath& path) {
  auto row = row_of(context, path);
  if (!row) return forward(row);
  auto text = context.storage->get(*row);
  if (!text) return forward(text);
  if (!*text) return std::optional<JsonObject>();
  auto parsed = Json::parse(**text);
  if (!parsed || !parsed->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "a row of an auth method can't be read");
  }
  return std::optional<JsonObject>(std::move(*parsed->as_object()));
}

const Json value_in(const JsonObject& row, const KeptField& field) {
  const Json* value = row.find(field.name);
  return value == nullptr ? default_of(field) : *value;
}

std::string joined(const Json& list) {
  std::string out;
  for (const Json& item : list.as_array() ? *list.as_array() : JsonArray()) {
    if (!out.empty()) out += ',';
    out += item.as_string() ? *item.as_string() : "";
  }
  return out;
}

// Of Google's credentials, which are a secret as a whole, what says whose they are.
void describe_credentials(const JsonObject& row, JsonObject& into) {
  const Json* credentials = row.find("credentials");
  if (credentials == nullptr || credentials->as_string() == nullptr) return;
  const auto parsed = Json::parse(*credentials->as_string());
  if (!parsed || !parsed->is_object()) return;
  for (const char* name : {"client_email", "client_id", "private_key_id", "project_id"}) {
    into.set(name, parsed->string_or(name, ""));
  }
}

// "key:value" texts as a map.
Json labels_of(const Json& list) {
  JsonObject out;
  for (const Json& item : list.as_array() ? *list.as_array() : JsonArray()) {
    const std::string text = item.as_string() ? *item.as_string() : "";
    const size_t colon = text.find(':');
    out.set(text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1));
  }
  return out;
}

JsonObject describe(const KeptPath& path, const JsonObject& row, std::string_view name) {
  JsonObject data;
  const Json* type = row.find("type");
  for (const KeptField& field : path.fields) {
    Json value = value_in(row, field);
    if (field.shown == Shown::kNever) continue;
    if (field.shown == Shown::kNotEmpty && is_empty(value)) continue;
    if (!field.only_for.empty() &&
        (type == nullptr || type->as_string() == nullptr || *type->as_string() != field.only_for)) {
      continue;
    }
    if (field.joined) value = joined(value);
    if (field.name == "bound_labels") value = labels_of(value);
    data.set(field.name, std::move(value));
  }
  describe_credentials(row, data);
  if (path.token_fields) {
    logical::describe_token_params(logical::parse_token_params(Json(row)), data);
  }
  if (!path.id_field.empty()) data.set(path.id_field, value_in(row, {.name = path.id_field}));
  if (!path.name_field.empty()) data.set(path.name_field, name);
  return data;
}

// ---- handlers --------------------------------------------------------------------------------

Result<Response> read(Context& context, const KeptPath& path) {
  auto row = read_row(context, path);
  if (!row) return forward(row);
  if (!*row && !path.shows_defaults) return logical::nothing_there();
  const std::string_view name = is_folder(path) ? context.fields.text(capture_of(path)) : "";
  return logical::with_data(describe(path, row->value_or(JsonObject()), name));
}

Result<void> apply(Context& context, const KeptPath& path, JsonObject& row) {
  for (const KeptField& field : path.fields) {
    if (context.fields.has(field.name)) {
      auto value = value_of(context.fields, field);
      if (!value) return forward(value);
      row.set(field.name, std::move(*value));
    }
    if (!field.required.empty() && is_empty(value_in(row, field))) {
      return logical::bad_request(std::string(field.required));
    }
  }
  if (!path.token_fields) return {};
  logical::TokenParams params = logical::parse_token_params(Json(row));
  auto taken = logical::read_token_params(context.fields, path.older, params);
  if (!taken) return taken;
  row.erase("older_names");
  logical::store_token_params(params, row);
  return {};
}

Result<void> check_credentials(const JsonObject& row) {
  const Json* credentials = row.find("credentials");
  if (credentials == nullptr || is_empty(*credentials)) return {};
  const auto parsed = Json::parse(*credentials->as_string());
  if (parsed && parsed->is_object()) return {};
  return logical::bad_request("invalid credentials: expected the JSON of a service account");
}

Result<Response> write(Context& context, const KeptPath& path) {
  auto known = read_row(context, path);
  if (!known) return forward(known);
  JsonObject row = known->value_or(JsonObject());
  auto applied = apply(context, path, row);
  if (applied) applied = check_credentials(row);
  if (!applied) return forward(applied);
  if (!path.id_field.empty() && !*known) row.set(path.id_field, context.random.uuid());
  auto name = row_of(context, path);
  if (!name) return forward(name);
  auto put = context.storage->put(*name, Json(std::move(row)).dump());
  if (!put) return forward(put);
  return Response{};
}

Result<Response> erase(Context& context, const KeptPath& path) {
  auto name = row_of(context, path);
  if (!name) return forward(name);
  auto erased = context.storage->erase(*name);
  if (!erased) return forward(erased);
  return Response{};
}

// What `item` is told apart by: all of it, or the key of a pair.
std::string_view part_of(const KeptEdit& edit, std::string_view item) {
  return edit.pairs ? item.substr(0, item.find(':')) : item;
}

Result<Response> change_list(Context& context, const KeptEdit& edit) {
  const auto add = context.fields.strings("add"), remove = context.fields.strings("remove");
  if (add.empty() && remove.empty()) {
    return logical::bad_request("must provide at least one value to add or remove");
  }
  auto row = read_row(context, *edit.path);
  if (!row) return forward(row);
  if (!*row) return logical::bad_request("role not found");
  const Json* type = (*row)->find("type");
  const std::string is = type != nullptr && type->as_string() ? *type->as_string() : "";
  if (is != edit.only_for) {
    return logical::bad_request("role is type '" + is + "', cannot edit attribute '" +
                                std::string(edit.attribute) + "' (expected role type: '" +
                                std::string(edit.only_for) + "')");
  }
  std::vector<std::string> items = logical::strings_at(Json(**row), edit.field);
  const auto drop = [&](std::string_view part) {
    std::erase_if(items, [&](const std::string& item) { return part_of(edit, item) == part; });
  };
  for (const std::string& item : add) {
    if (edit.pairs && (item.find(':') == std::string::npos || item.starts_with(':'))) {
      return logical::bad_request("given invalid labels to add: [\"" + item + "\"]");
    }
    drop(part_of(edit, item));
    items.push_back(item);
  }
  for (const std::string& part : remove) drop(part);
  auto value = list_of({.name = edit.field}, std::move(items));
  if (!value) return forward(value);
  (*row)->set(edit.field, std::move(*value));
  auto name = row_of(context, *edit.path);
  if (!name) return forward(name);
  auto put = context.storage->put(*name, Json(std::move(**row)).dump());
  if (!put) return forward(put);
  return Response{};
}

Result<bool> exists(Context& context, const KeptPath& path) {
  auto row = read_row(context, path);
  if (!row) return forward(row);
  return row->has_value();
}

Result<Response> list(Context& context, const KeptPath& path) {
  return logical::list_rows(context, path.row);
}

std::vector<logical::Field> route_fields(std::span<const KeptField> fields) {
  std::vector<logical::Field> out;
  for (const KeptField& field : fields) {
    out.push_back({field.name, field.type,
                   field.shown == Shown::kNever ? "Kept; never shown again." : "As in Vault."});
  }
  return out;
}

}  // namespace

void KeptMethod::add_path(const KeptPath& path) {
  for (const std::string_view where : {path.list, path.list_too}) {
    if (where.empty()) continue;
    routes_.add({.pattern = std::string(where),
                 .fields = {logical::after_field(), logical::limit_field()},
                 .handlers = {{Operation::kList, [&path](Context& c) { return list(c, path); }}},
                 .synopsis = "Lists the names."});
  }
  logical::Route route{.pattern = std::string(path.pattern),
                       .fields = route_fields(path.fields),
                       .synopsis = path.synopsis};
  if (path.token_fields) {
    route.fields = logical::with_token_fields(std::move(route.fields), path.older);
  }
  route.handlers = {{Operation::kRead, [&path](Context& c) { return read(c, path); }},
                    {Operation::kUpdate, [&path](Context& c) { return write(c, path); }}};
  if (path.erasable) {
    route.handlers.emplace_back(Operation::kDelete, [&path](Context& c) { return erase(c, path); });
  }
  if (path.tells_create) route.exists = [&path](Context& c) { return exists(c, path); };
  routes_.add(std::move(route));
}

void KeptMethod::add_edit(const KeptEdit& edit) {
  routes_.add({.pattern = std::string(edit.pattern),
               .fields = {{"add", FieldType::kStrings, "What is added to the list."},
                          {"remove", FieldType::kStrings, "What is taken off it."}},
               .handlers = {{Operation::kUpdate,
                             [&edit](Context& context) { return change_list(context, edit); }}},
               .synopsis = "Changes a list of a role."});
}

void KeptMethod::add_login(const KeptLogin& login) {
  const auto refuse = [type = table_.type](Context&) -> Result<Response> {
    return logical::bad_request(
        "logins by the auth method \"" + std::string(type) +
        "\" are not supported by this build: its configuration is kept, but it lets nobody in");
  };
  routes_.add({.pattern = std::string(login.pattern),
               .fields = route_fields(login.fields),
               .handlers = {{Operation::kUpdate, refuse}},
               .synopsis = "Not supported by this build.",
               .unauthenticated = true});
}

KeptMethod::KeptMethod(const KeptTable& table) : table_(table) {
  for (const KeptPath& path : table.paths) add_path(path);
  for (const KeptEdit& edit : table.edits) add_edit(edit);
  for (const KeptLogin& login : table.logins) add_login(login);
}

std::vector<std::shared_ptr<const logical::Backend>> kept_methods() {
  std::vector<std::shared_ptr<const logical::Backend>> out;
  for (const auto tables : {directory_tables(), cloud_tables()}) {
    for (const KeptTable& table : tables) out.push_back(std::make_shared<const KeptMethod>(table));
  }
  return out;
}

}  // namespace rekey::auth::kept
