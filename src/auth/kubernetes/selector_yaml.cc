// The little YAML that a selector takes, by libyaml's events.
#include <yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "auth/kubernetes/selector.h"
#include "base/check.h"
#include "base/codec.h"

namespace rekey::auth::kubernetes {
namespace {

using base::Json;
using base::JsonArray;
using base::JsonObject;
using base::Result;

std::unexpected<base::Error> bad(std::string why) {
  return base::fail(base::ErrorKind::kInvalid, std::move(why));
}

// 1, -1.5, 1e3, 0x1f, 1_000, 1:30: what a reader of YAML 1.1 sees numbers in.
bool is_number(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '_');
  if (plain.starts_with('+') || plain.starts_with('-')) plain.erase(0, 1);
  if (plain.empty()) return false;
  if (plain.starts_with("0x") || plain.starts_with("0o") || plain.starts_with("0b")) return true;
  if (plain.starts_with('.') && plain.size() > 1) {
    const std::string word = base::to_lower(plain.substr(1));
    if (word == "inf" || word == "nan") return true;
  }
  const bool minutes = plain.contains(':') && std::ranges::all_of(plain, [](char c) {
                         return (c >= '0' && c <= '9') || c == ':' || c == '.';
                       });
  if (minutes) return true;
  if (std::string_view("0123456789.").find(plain[0]) == std::string_view::npos) return false;
  double value;
  const char* end = plain.data() + plain.size();
  const auto [stopped, problem] = std::from_chars(plain.data(), end, value);
  return stopped == end && problem != std::errc::invalid_argument;
}

Json scalar(const yaml_event_t& event) {
  const auto& of = event.data.scalar;
  std::string text(reinterpret_cast<const char*>(of.value), of.length);
  if (of.style != YAML_PLAIN_SCALAR_STYLE) return Json(std::move(text));
  constexpr std::array kNulls = {"", "~", "null"};
  constexpr std::array kTruths = {"true", "false", "yes", "no", "on", "off", "y", "n"};
  const std::string lower = base::to_lower(text);
  if (std::ranges::find(kNulls, lower) != kNulls.end()) return Json();
  if (std::ranges::find(kTruths, lower) != kTruths.end()) return Json(true);
  if (is_number(text)) return Json(0);
  return Json(std::move(text));
}

class Reader {
 public:
  explicit Reader(std::string_view text) {
    REKEY_CHECK(yaml_parser_initialize(&parser_) == 1);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Reader() {
    yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // The one document of the text.
  Result<Json> document() {
    for (const auto expected : {YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT}) {
      auto stepped = step();
      if (!stepped) return forward(stepped);
      if (event_.type != expected) return bad("it is empty");
    }
    auto stepped = step();
    if (!stepped) return forward(stepped);
    auto out = node(0);
    if (!out) return out;
    for (const auto expected : {YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT}) {
      stepped = step();
      if (!stepped) return forward(stepped);
      if (event_.type != expected) return bad("it has more than one document");
    }
    return out;
  }

 private:
  Result<void> step() {
    yaml_event_delete(&event_);
    if (yaml_parser_parse(&parser_, &event_) == 1) return {};
    return bad("invalid YAML in line " + std::to_string(parser_.problem_mark.line + 1));
  }

  // The node that begins with the event that was read last.
  Result<Json> node(size_t depth) {
    if (depth > kSelectorDepthMax) return bad("it is too deep");
    if (++nodes_ > kSelectorNodesMax) return bad("it is too long");
    switch (event_.type) {
      case YAML_SCALAR_EVENT:
        if (event_.data.scalar.anchor || event_.data.scalar.tag) break;
        return scalar(event_);
      case YAML_SEQUENCE_START_EVENT:
        if (event_.data.sequence_start.anchor || event_.data.sequence_start.tag) break;
        return sequence(depth);
      case YAML_MAPPING_START_EVENT:
        if (event_.data.mapping_start.anchor || event_.data.mapping_start.tag) break;
        return mapping(depth);
      default:
        break;
    }
    return bad("YAML's anchors, aliases and tags are not taken");
  }

  Result<Json> sequence(size_t depth) {
    JsonArray items;
    while (true) {
      auto stepped = step();
      if (!stepped) return forward(stepped);
      if (event_.type == YAML_SEQUENCE_END_EVENT) return Json(std::move(items));
      auto item = node(depth + 1);
      if (!item) return item;
      items.push_back(std::move(*item));
    }
  }

  Result<Json> mapping(size_t depth) {
    JsonObject members;
    while (true) {
      auto stepped = step();
      if (!stepped) return forward(stepped);
      if (event_.type == YAML_MAPPING_END_EVENT) return Json(std::move(members));
      auto key = node(depth + 1);
      if (!key) return key;
      if (!key->is_string()) return bad("a name is not text: put it in quotes");
      if (members.contains(*key->as_string())) return bad("a name stands there twice");
      stepped = step();
      if (!stepped) return forward(stepped);
      auto value = node(depth + 1);
      if (!value) return value;
      members.set(*key->as_string(), std::move(*value));
    }
  }

  yaml_parser_t parser_{};
  yaml_event_t event_{};
  size_t nodes_ = 0;
};

}  // namespace

Result<Json> read_yaml(std::string_view text) { return Reader(text).document(); }

}  // namespace rekey::auth::kubernetes
