#include "pipeline/settings.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;

base::Result<std::vector<std::string>> strings(const Json& row, std::string_view name) {
  const Json* member = row.find(name);
  if (member == nullptr || member->as_array() == nullptr) {
    return base::fail(ErrorKind::kCorrupt, "a row of settings can't be read", std::string(name));
  }
  std::vector<std::string> out;
  for (const Json& item : *member->as_array()) {
    if (const std::string* text = item.as_string()) out.push_back(*text);
  }
  return out;
}

}  // namespace

std::string encode(const Cors& cors) {
  return Json(JsonObject{{"origins", Json::strings(cors.origins)},
                         {"headers", Json::strings(cors.headers)}})
      .dump();
}

base::Result<Cors> decode_cors(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row) return base::fail(ErrorKind::kCorrupt, "the row of CORS settings can't be read");
  auto origins = strings(*row, "origins");
  if (!origins) return forward(origins);
  auto headers = strings(*row, "headers");
  if (!headers) return forward(headers);
  return Cors{std::move(*origins), std::move(*headers)};
}

std::string encode(const barrier::RotationPolicy& policy) {
  const int64_t seconds = policy.interval.count() / 1'000'000'000;
  return Json(JsonObject{{"enabled", policy.enabled},
                         {"interval", seconds},
                         {"max_operations", policy.encryptions_max}})
      .dump();
}

base::Result<barrier::RotationPolicy> decode_rotation(std::string_view text) {
  const auto row = Json::parse(text);
  const Json* enabled = row ? row->find("enabled") : nullptr;
  const Json* interval = row ? row->find("interval") : nullptr;
  const Json* operations = row ? row->find("max_operations") : nullptr;
  if (enabled == nullptr || interval == nullptr || operations == nullptr || !enabled->as_bool() ||
      !interval->as_int() || !operations->as_int()) {
    return base::fail(ErrorKind::kCorrupt, "the row of rotation settings can't be read");
  }
  return barrier::RotationPolicy{*enabled->as_bool(), std::chrono::seconds(*interval->as_int()),
                                 static_cast<uint64_t>(*operations->as_int())};
}

}  // namespace rekey::pipeline
