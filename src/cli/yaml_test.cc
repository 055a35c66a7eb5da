#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "cli/text.h"

namespace rekey::cli {
namespace {

using base::Json;

// What a YAML reader sees, back as JSON; text that was written bare must still be text.
Json read_back(const YAML::Node& node) {
  if (node.IsMap()) {
    base::JsonObject object;
    for (const auto& member : node) {
      object.set(member.first.as<std::string>(), read_back(member.second));
    }
    return Json(std::move(object));
  }
  if (node.IsSequence()) {
    base::JsonArray array;
    for (const auto& item : node) array.push_back(read_back(item));
    return Json(std::move(array));
  }
  if (node.IsNull()) return {};
  const std::string text = node.as<std::string>();
  if (node.Tag() == "!") return Json(text);  // in quotes
  if (text == "true" || text == "false") return Json(text == "true");
  auto number = Json::parse(text);
  return number ? *number : Json(text);
}

TEST(Yaml, ReadsBackAsWhatItWas) {
  const std::string text = R"({
    "a": {"b": [1, 2.5, true, null, "x", [], {}, [[1], {"c": [2]}]], "empty": {}},
    "words": ["yes", "NO", "off", "null", "~", "true", "1", "-1", "1.5", "1e3", "1:30", "0x1f",
              "2026-11-27", "2026-11-27T21:49:36Z", "", " lead", "trail ", "colon:", "a: b", "a #b",
              "# b", "- a", "-", "---", "*a", "&a", "!a", "%a", "@a", "`a", "'a", "\"a", "{a", "[a",
              "a,b", "? a", ": a", "<<", "=", "1.14.10", "916486d9-ce8b-4307-8da6-f1e1d7e088ee",
              "tab\there", "bell\u0007", "ümlaut ✓", ".5", "+1", ".inf", "1_000", "0b1", "0o7"],
    "block": "line one\n  indented\n\nlast\n", "no end": "a\nb", "two ends": "a\n\n", "1": "key",
    "true": "key", "lead": " a\nb", "only": "\n"
  })";
  const auto value = Json::parse(text);
  ASSERT_TRUE(value);
  const std::string yaml = format_yaml(*value);
  EXPECT_EQ(read_back(YAML::Load(yaml)).dump(), value->dump()) << yaml;
}

TEST(Yaml, LooksAsTheVaultCommandWritesIt) {
  const auto value = Json::parse(
      R"({"data":{"keys":["a","b/"],"n":2.50,"on":"on","v":"1.14.10"},"warnings":null,"x":{}})");
  ASSERT_TRUE(value);
  EXPECT_EQ(format_yaml(*value),
            "data:\n"
            "  keys:\n"
            "  - a\n"
            "  - b/\n"
            "  \"n\": 2.5\n"
            "  \"on\": \"on\"\n"
            "  v: 1.14.10\n"
            "warnings: null\n"
            "x: {}\n");
}

TEST(Yaml, KeepsLinesOfACertificateReadable) {
  EXPECT_EQ(format_yaml(Json(base::JsonObject{{"pem", "-----BEGIN\nAA==\n-----END\n"}})),
            "pem: |\n  -----BEGIN\n  AA==\n  -----END\n");
}

}  // namespace
}  // namespace rekey::cli
