#include "engine/transit/batch.h"

#include <algorithm>

#include "logical/answer.h"

namespace rekey::engine::transit {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::bad_request;

constexpr int64_t kStatusMin = 200;
constexpr int64_t kStatusMax = 599;
// Of a result beside its text: names, a nonce and a tag.
constexpr size_t kResultBytes = 128;

std::unexpected<base::Error> unparsable(std::string why) {
  return bad_request("failed to parse batch input: " + std::move(why));
}

std::string at(size_t index, std::string_view name) {
  return "'[" + std::to_string(index) + "]." + std::string(name) + "'";
}

Result<void> check_item(const Json& item, size_t index, std::string_view required,
                        std::string_view missing) {
  const JsonObject* object = item.as_object();
  if (object == nullptr) return unparsable("[" + std::to_string(index) + "] expected a map");
  for (const auto& [name, value] : *object) {
    if (value.is_null() || value.is_string()) continue;
    if (name == "key_version" && value.as_int()) continue;
    static constexpr std::string_view kTexts[] = {"plaintext", "ciphertext",      "context",
                                                  "reference", "input",           "signature",
                                                  "hmac",      "associated_data", "nonce"};
    if (name == "key_version") return unparsable(at(index, name) + " expected type 'int'");
    if (std::ranges::find(kTexts, name) != std::ranges::end(kTexts)) {
      return unparsable(at(index, name) + " expected type 'string'");
    }
  }
  if (!required.empty()) {
    const Json* needed = object->find(required);
    if (needed == nullptr || needed->is_null()) {
      return unparsable(at(index, required) + " " + std::string(missing));
    }
  }
  return {};
}

}  // namespace

bool Item::has(std::string_view name) const {
  if (fields_ != nullptr) return fields_->has(name);
  const Json* member = object_->find(name);
  return member != nullptr && !member->is_null();
}

std::string_view Item::text(std::string_view name) const {
  if (fields_ != nullptr) return fields_->text(name);
  const Json* member = object_->find(name);
  const std::string* text = member == nullptr ? nullptr : member->as_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

int64_t Item::integer(std::string_view name) const {
  if (fields_ != nullptr) return fields_->integer(name);
  const Json* member = object_->find(name);
  if (member == nullptr) return 0;
  if (const auto number = member->as_int()) return *number;
  const auto parsed = Json::parse(text(name));
  return parsed ? parsed->as_int().value_or(0) : 0;
}

Result<Items> read_items(const logical::Context& context, std::string_view required,
                         std::string_view missing) {
  Items out;
  const Json* sent = context.fields.find("batch_input");
  if (sent == nullptr || sent->is_null()) {
    out.items.emplace_back(&context.fields, nullptr);
    if (!required.empty() && !context.fields.has(required)) {
      return bad_request(std::string(missing));
    }
    return out;
  }
  out.batch = true;
  const base::JsonArray* array = sent->as_array();
  if (array == nullptr) return unparsable("source data must be an array or slice");
  if (array->empty()) return bad_request("missing batch input to process");
  if (array->size() > kBatchItemsMax) {
    return bad_request("a batch has at most " + std::to_string(kBatchItemsMax) + " items");
  }
  out.items.reserve(array->size());
  for (size_t i = 0; i < array->size(); i++) {
    auto fine = check_item((*array)[i], i, required, missing);
    if (!fine) return forward(fine);
    out.items.emplace_back(nullptr, (*array)[i].as_object());
  }
  return out;
}

void set_batch_status(const logical::Context& context, size_t items, size_t failed,
                      logical::Response& response) {
  if (failed == 0) return;
  response.status = 400;
  const int64_t code = context.fields.integer("partial_failure_response_code");
  if (failed == items || code == 0) return;
  if (code < kStatusMin || code > kStatusMax) {
    response.warnings.emplace_back(
        "invalid HTTP response code override from partial_failure_response_code, reverting to "
        "400");
    return;
  }
  response.status = static_cast<int>(code);
}

Results::Results(const logical::Context& context, const Items& items, std::string_view input)
    : context_(context), batch_(items.batch) {
  if (!input.empty()) {
    size_t bytes = 0;
    for (const Item& item : items.items) bytes += item.text(input).size() + kResultBytes;
    response_.data.reserve(bytes);
  }
  if (!batch_) return;
  json_.begin_object();
  json_.key("batch_results");
  json_.begin_array();
}

base::JsonWriter& Results::begin() {
  count_++;
  json_.begin_object();
  return json_;
}

base::JsonWriter& Results::begin_failed() {
  failed_++;
  return begin();
}

void Results::end(const Item& item) {
  if (batch_) json_.member("reference", item.reference());
  json_.end_object();
}

void Results::failed(const Item& item, const base::Error& error, std::string_view empty) {
  begin_failed();
  if (!empty.empty()) json_.member(empty, "");
  json_.member("error", error.message());
  end(item);
}

logical::Response Results::finish() {
  if (batch_) {
    json_.end_array();
    json_.end_object();
  }
  return std::move(response_);
}

logical::Response Results::finish_with_status() {
  if (batch_) set_batch_status(context_, count_, failed_, response_);
  return finish();
}

}  // namespace rekey::engine::transit
