#include "auth/kubernetes/selector.h"

#include <gtest/gtest.h>

namespace rekey::auth::kubernetes {
namespace {

const Labels kProd{{"stage", "prod"}, {"example.org/team", "a"}, {"empty", ""}};

bool matches(std::string_view text, const Labels& labels = kProd) {
  const auto selector = Selector::parse(text);
  EXPECT_TRUE(selector) << text << ": " << (selector ? "" : selector.error().message());
  return selector && selector->matches(labels);
}

TEST(Selector, AsksForLabels) {
  EXPECT_TRUE(matches(R"({"matchLabels":{"stage":"prod"}})"));
  EXPECT_TRUE(matches(R"({"matchLabels":{"stage":"prod","example.org/team":"a"}})"));
  EXPECT_FALSE(matches(R"({"matchLabels":{"stage":"prod","example.org/team":"b"}})"));
  EXPECT_FALSE(matches(R"({"matchLabels":{"other":"prod"}})"));
  EXPECT_TRUE(matches(R"({"matchLabels":{"empty":""}})"));
  EXPECT_FALSE(matches(R"({"matchLabels":{"other":""}})"));
  EXPECT_TRUE(matches("{}"));
  EXPECT_TRUE(matches("{}", {}));
}

TEST(Selector, HasKubernetesFourOperators) {
  const auto expression = [](std::string_view rest) {
    return R"({"matchExpressions":[{"key":"stage","operator":)" + std::string(rest) + "}]}";
  };
  EXPECT_TRUE(matches(expression(R"("In","values":["dev","prod"])")));
  EXPECT_FALSE(matches(expression(R"("In","values":["dev"])")));
  EXPECT_FALSE(matches(expression(R"("In","values":["dev"])"), {}));
  EXPECT_FALSE(matches(expression(R"("NotIn","values":["dev","prod"])")));
  EXPECT_TRUE(matches(expression(R"("NotIn","values":["dev"])")));
  EXPECT_TRUE(matches(expression(R"("NotIn","values":["dev"])"), {}));
  EXPECT_TRUE(matches(expression(R"("Exists")")));
  EXPECT_FALSE(matches(expression(R"("Exists")"), {}));
  EXPECT_FALSE(matches(expression(R"("DoesNotExist","values":[])")));
  EXPECT_TRUE(matches(expression(R"("DoesNotExist")"), {}));
  EXPECT_FALSE(matches(R"({"matchLabels":{"stage":"prod"},
      "matchExpressions":[{"key":"example.org/team","operator":"DoesNotExist"}]})"));
}

TEST(Selector, IsAlsoYaml) {
  constexpr const char* kText = R"(
matchLabels:
  stage: prod
matchExpressions:
- key: example.org/team
  operator: In
  values: [a, "1"]
)";
  EXPECT_TRUE(matches(kText));
  EXPECT_FALSE(matches(kText, {{"stage", "prod"}}));
  EXPECT_TRUE(matches(kText, {{"stage", "prod"}, {"example.org/team", "1"}}));
}

TEST(Selector, RefusesWhatIsNone) {
  for (const char* text :
       {"", "  ", "[]", "x", "{", "{}{}", "1", "null", R"({"matchLabel":{"a":"b"}})",
        R"({"matchLabels":[]})", R"({"matchLabels":{"a":1}})", R"({"matchLabels":{"a":null}})",
        R"({"matchLabels":{"":"b"}})", R"({"matchLabels":{"a b":"c"}})",
        R"({"matchLabels":{"/a":"c"}})", R"({"matchLabels":{"a":"-"}})",
        R"({"matchExpressions":{}})", R"({"matchExpressions":["a"]})",
        R"({"matchExpressions":[{"key":"a"}]})", R"({"matchExpressions":[{"operator":"Exists"}]})",
        R"({"matchExpressions":[{"key":"a","operator":"in","values":["b"]}]})",
        R"({"matchExpressions":[{"key":"a","operator":"In"}]})",
        R"({"matchExpressions":[{"key":"a","operator":"In","values":[]}]})",
        R"({"matchExpressions":[{"key":"a","operator":"In","values":[1]}]})",
        R"({"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]})",
        R"({"matchExpressions":[{"key":"a","operator":"Exists","more":1}]})",
        // Not text, as YAML has it; and what a selector has no use for.
        "matchLabels: {a: 1}", "matchLabels: {a: yes}", "matchLabels: {a: 1.5}",
        "matchLabels: {a: 0x1f}", "matchLabels: {a: 1:30}", "matchLabels: {a: ~}",
        "matchLabels: {a: }", "matchLabels: {1: a}", "matchLabels: &x {a: b}",
        "matchLabels: {a: &x b, c: *x}", "matchLabels: {a: !!str b}", "matchLabels: {a: b, a: c}",
        "matchLabels: {a: b}\n---\nmatchLabels: {c: d}", "matchLabels: {a: b",
        "matchLabels: {a: b}\n c", "\tmatchLabels: {a: b}", "? [a]\n: b"}) {
    EXPECT_FALSE(Selector::parse(text)) << text;
  }
  std::string deep = "matchLabels: ";
  for (int i = 0; i < 100; i++) deep += "[";
  EXPECT_FALSE(Selector::parse(deep));
  EXPECT_FALSE(Selector::parse(std::string(kSelectorBytesMax + 1, ' ') + "{}"));
  std::string many = R"({"matchLabels":{)";
  for (size_t i = 0; i <= kSelectorRequirementsMax; i++) {
    many += (i > 0 ? ",\"a" : "\"a") + std::to_string(i) + R"(":"b")";
  }
  EXPECT_FALSE(Selector::parse(many + "}}"));
}

TEST(Selector, TextInQuotesIsText) {
  EXPECT_TRUE(matches("matchLabels: {\"a\": '1', b: \"yes\"}", {{"a", "1"}, {"b", "yes"}}));
  EXPECT_TRUE(matches("matchLabels: {a: 1a, b: v1.2.3, c: 1.2.3}",
                      {{"a", "1a"}, {"b", "v1.2.3"}, {"c", "1.2.3"}}));
}

}  // namespace
}  // namespace rekey::auth::kubernetes
