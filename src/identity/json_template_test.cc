#include "identity/json_template.h"

#include <gtest/gtest.h>

namespace rekey::identity {
namespace {

constexpr base::WallTime kNow(std::chrono::seconds(1'790'000'000));

policy::TemplateContext alice() {
  policy::TemplateContext context;
  context.entity_id = "e-1";
  context.entity_name = "alice";
  context.entity_metadata = {{"team", "red"}};
  context.aliases["auth_1"] = {"a-1", "alice@example.com", {{"m", "1"}}, {{"c", "2"}}};
  context.groups = {{"g-1", "devs", {{"room", "5"}}}, {"g-2", "ops", {}}};
  return context;
}

std::string fill(std::string_view text, const policy::TemplateContext& context = alice()) {
  auto parsed = JsonTemplate::parse(text);
  if (!parsed) return parsed.error().message();
  return base::Json(parsed->fill(context, kNow)).dump();
}

TEST(JsonTemplate, PutsInWhatVaultPutsIn) {
  EXPECT_EQ(fill(R"({"n": {{identity.entity.name}}, "i": {{ identity.entity.id }}})"),
            R"({"i":"e-1","n":"alice"})");
  EXPECT_EQ(fill(R"({"m": {{identity.entity.metadata}}})"), R"({"m":{"team":"red"}})");
  EXPECT_EQ(fill(R"({"m": {{identity.entity.metadata.team}}})"), R"({"m":"red"})");
  EXPECT_EQ(fill(R"({"a": [{{identity.entity.aliases.auth_1.name}}]})"),
            R"({"a":["alice@example.com"]})");
  EXPECT_EQ(fill(R"({"a": {{identity.entity.aliases.auth_1.metadata}}})"), R"({"a":{"m":"1"}})");
  EXPECT_EQ(fill(R"({"a": {{identity.entity.aliases.auth_1.custom_metadata}}})"),
            R"({"a":{"c":"2"}})");
  EXPECT_EQ(fill(R"({"g": {{identity.entity.groups.names}}})"), R"({"g":["devs","ops"]})");
  EXPECT_EQ(fill(R"({"g": {{identity.entity.groups.ids}}})"), R"({"g":["g-1","g-2"]})");
  EXPECT_EQ(fill(R"({"g": {{identity.groups.names.devs.metadata.room}}})"), R"({"g":"5"})");
  EXPECT_EQ(fill(R"({"t": {{time.now}}, "u": {{time.now.plus.1h}}, "v": {{time.now.minus.2m}}})"),
            R"({"t":1790000000,"u":1790003600,"v":1789999880})");
}

TEST(JsonTemplate, WhatIsMissingIsEmpty) {
  const policy::TemplateContext nobody;
  EXPECT_EQ(
      fill(R"({"a": {{identity.entity.metadata.x}}, "b": {{identity.entity.metadata}}})", nobody),
      R"({"a":"","b":{}})");
  EXPECT_EQ(fill(R"({"a": {{identity.entity.aliases.x.name}}})", nobody), R"({"a":""})");
  EXPECT_EQ(fill(R"({"a": {{identity.entity.aliases.x.metadata}}})", nobody), R"({"a":{}})");
  EXPECT_EQ(fill(R"({"a": {{identity.entity.groups.names}}})", nobody), R"({"a":[]})");
}

TEST(JsonTemplate, AValueStaysAValue) {
  for (const std::string sly :
       {"\"", "\", \"admin\": true, \"x\": \"", "\\", "\\\"", "}}", "{{identity.entity.id}}",
        "{{0}}", "\"{{1}}\"", "\n\t", "\x01", "{\"a\":1}", "[]", "null", "é\xe2\x80\xa8"}) {
    policy::TemplateContext context = alice();
    context.entity_name = sly;
    context.entity_metadata = {{"k", sly}, {sly, "v"}};
    auto parsed = JsonTemplate::parse(
        R"({"n": {{identity.entity.name}}, "m": {{identity.entity.metadata}}, "t": {{time.now}}})");
    ASSERT_TRUE(parsed);
    // Written and read again, as whoever gets the token does.
    const auto read = base::Json::parse(base::Json(parsed->fill(context, kNow)).dump());
    ASSERT_TRUE(read) << sly;
    EXPECT_EQ(read->as_object()->size(), 3u) << sly;
    EXPECT_EQ(read->string_or("n", "-"), sly);
    EXPECT_EQ(read->find("m")->string_or("k", "-"), sly);
    EXPECT_EQ(read->find("m")->string_or(sly, "-"), "v");
  }
}

TEST(JsonTemplate, StandsOnlyWhereAValueStands) {
  for (const char* bad :
       {R"({"a": "{{identity.entity.name}}"})", R"({"a": "x {{identity.entity.name}}"})",
        R"({{{identity.entity.name}}: 1})", R"({"a": {{identity.entity.name}})",
        R"({"a": {{identity.entity.nothing}}})", R"({"a": {{}}})", R"({"a": {{time.now.plus.x}}})",
        R"({"a": {{time.now.plus.-1h}}})", R"({"a": }})", R"([{{identity.entity.name}}])",
        R"({{identity.entity.metadata}})", "", "{", R"({"a": {{identity.entity.name}} 1})",
        R"({"a": {{identity.entity.name}}{{identity.entity.name}}})"}) {
    EXPECT_FALSE(JsonTemplate::parse(bad)) << bad;
  }
  EXPECT_FALSE(JsonTemplate::parse(std::string(20, '[') + std::string(20, ']')));
  std::string many = "{\"a\": [0";
  for (size_t i = 0; i <= kJsonTemplatePlacesMax; i++) many += ", {{time.now}}";
  EXPECT_FALSE(JsonTemplate::parse(many + "]}"));
}

}  // namespace
}  // namespace rekey::identity
