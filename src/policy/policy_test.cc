#include "policy/policy.h"

#include <gtest/gtest.h>

namespace rekey::policy {
namespace {

using enum Capability;

std::string error_of(std::string_view text) {
  const auto policy = parse_policy("p", text);
  return policy ? "no error" : policy.error().message();
}

std::shared_ptr<const Policy> must_parse(std::string name, std::string_view text) {
  auto policy = parse_policy(std::move(name), text);
  if (!policy) {
    ADD_FAILURE() << policy.error().describe() << "\n" << text;
    return std::make_shared<const Policy>();
  }
  return std::make_shared<const Policy>(std::move(*policy));
}

std::shared_ptr<const Acl> compile(std::string_view text,
                                   const TemplateContext* context = nullptr) {
  const std::vector<std::shared_ptr<const Policy>> policies = {must_parse("p", text)};
  return Acl::compile(policies, context);
}

bool reads(const Acl& acl, std::string_view path) {
  return acl.decide({.path = path, .needed = kRead}).allowed;
}

TEST(ParsePolicy, KeepsWhatARuleSays) {
  const auto policy = must_parse("p", R"(
    name = "ignored"
    path "/a/*" {
      comment = "about"
      capabilities = ["read", "update"]
      allowed_parameters = { "One" = ["x", 0x10, true], "two" = [] }
      denied_parameters = { "Three" = [] }
      required_parameters = ["Four"]
      min_wrapping_ttl = "1m"
      max_wrapping_ttl = 90
    })");
  ASSERT_EQ(policy->rules.size(), 1u);
  const Rule& rule = policy->rules[0];
  EXPECT_EQ(rule.path, "a/*");
  EXPECT_EQ(rule.line, 3);
  EXPECT_EQ(rule.capabilities, (CapabilitySet{kRead, kUpdate}));
  EXPECT_EQ(rule.allowed_parameters.at("one"),
            (std::vector<base::Json>{base::Json("x"), base::Json(16), base::Json(true)}));
  EXPECT_TRUE(rule.allowed_parameters.at("two").empty());
  EXPECT_TRUE(rule.denied_parameters.contains("three"));
  EXPECT_EQ(rule.required_parameters, std::vector<std::string>{"four"});
  EXPECT_EQ(rule.min_wrapping_ttl, std::chrono::minutes(1));
  EXPECT_EQ(rule.max_wrapping_ttl, std::chrono::seconds(90));
  EXPECT_FALSE(policy->templated);
}

TEST(ParsePolicy, SaysWhatIsWrongInVaultsWords) {
  const std::pair<const char*, const char*> kCases[] = {
      {"foo = 1", "1 error occurred:\n\t* invalid key \"foo\" on line 1\n\n"},
      {"path \"a\" { foo = 1\n bar = 2 }",
       "path \"a\": 2 errors occurred:\n\t* invalid key \"foo\" on line 1\n"
       "\t* invalid key \"bar\" on line 2\n\n"},
      {"path \"a\" { capabilities = [\"reed\"] }", "path \"a\": invalid capability \"reed\""},
      {"path \"a\" { capabilities = [\"READ\"] }", "path \"a\": invalid capability \"READ\""},
      {"path \"a\" { policy = \"reed\" }", "path \"a\": invalid policy \"reed\""},
      {"path \"a+*\" { policy = \"read\" }",
       "path \"a+*\": invalid use of wildcards ('+*' is forbidden)"},
      {"path \"a{{x\" { policy = \"read\" }",
       "path \"a{{x\": failed to validate policy templating: unbalanced templating characters"},
      {"path \"a}}{{x}}\" { policy = \"read\" }",
       "path \"a}}{{x}}\": failed to validate policy templating: unbalanced templating characters"},
      {"path \"a\" { min_wrapping_ttl = 10\n max_wrapping_ttl = 5 }",
       "path \"a\": max_wrapping_ttl cannot be less than min_wrapping_ttl"},
      {"path \"a\" {\n min_wrapping_ttl = \"x\" }",
       "path \"a\": error parsing min_wrapping_ttl on line 2: expected a duration such as \"30s\" "
       "or "
       "\"1h30m\""},
      {"path \"a\" { max_wrapping_ttl = -1 }",
       "path \"a\": error parsing max_wrapping_ttl on line 1: expected a duration such as \"30s\" "
       "or "
       "\"1h30m\""},
      {"path \"a\" { capabilities = \"read\" }",
       "path \"a\": capabilities on line 1 must be a list of strings, not a string"},
      {"path \"a\" { capabilities = [1] }",
       "path \"a\": capabilities on line 1 must be a list of strings only, not a list"},
      {"path \"a\" { required_parameters = \"x\" }",
       "path \"a\": required_parameters on line 1 must be a list of strings, not a string"},
      {"path \"a\" { allowed_parameters = 5 }",
       "path \"a\": allowed_parameters on line 1 must be a block of name = [values], not a number"},
      {"path \"a\" { denied_parameters = { x = 5 } }",
       "path \"a\": x on line 1 must be a list of values, where [] means any value, not a number"},
      {"path = \"a\"", "path on line 1 must be a block: path \"secret/*\" { ... }"},
      {"path \"a\" \"b\" { }", "path \"a\": a path has one label"},
      {"path { capabilities = [] }", "path \"capabilities\": must be a block, not a list"},
      {"path \"a\" {", "line 1: expected '}' for the '{' of line 1, not the end"},
      {"path \"a\" { control_group = { } }",
       "path \"a\": control_group on line 1 is not supported, and leaving it out would grant more "
       "than is written"},
  };
  for (const auto& [text, message] : kCases) {
    EXPECT_EQ(error_of(text), std::string("failed to parse policy: ") + message) << text;
  }
}

TEST(ParsePolicy, KeepsToItsLimits) {
  EXPECT_EQ(error_of(std::string(kPolicyTextBytesMax + 1, ' ')),
            "failed to parse policy: larger than 1048576 bytes");
  std::string rules;
  for (size_t i = 0; i <= kPolicyRulesMax; ++i) rules += "path \"a\" {}\n";
  EXPECT_EQ(error_of(rules), "failed to parse policy: more than 10000 paths");
  EXPECT_NE(error_of("path \"" + std::string(kPolicyPathBytesMax + 1, 'a') + "\" {}"), "no error");
}

TEST(ParsePolicy, WarnsOfWhatIsHardlyMeant) {
  const auto warning = [](std::string_view path) {
    std::vector<std::string> warnings;
    const std::string text = "path \"" + std::string(path) + "\" { policy = \"read\" }";
    EXPECT_TRUE(parse_policy("p", text, warnings)) << text;
    return warnings.empty() ? "" : warnings.front();
  };
  EXPECT_EQ(warning("a/*"), "");
  EXPECT_EQ(warning("+/a/+"), "");
  EXPECT_EQ(warning("{{identity.groups.names.a.b.metadata.c.d}}/*"), "");
  EXPECT_EQ(warning("a*/b"),
            "line 1: path \"a*/b\": a * that is not the last character stands for itself");
  EXPECT_EQ(warning("a+/b"),
            "line 1: path \"a+/b\": a + that is not a whole segment stands for itself");
  EXPECT_EQ(warning("//a"), "line 1: path \"//a\": a path that begins with // matches nothing");
  EXPECT_EQ(warning("{{identity.entity.nmae}}"),
            "line 1: path \"{{identity.entity.nmae}}\": {{identity.entity.nmae}} is nothing that a "
            "template can name, so the path never matches");
  std::vector<std::string> warnings;
  ASSERT_TRUE(parse_policy("p", "path \"a\" {}", warnings));
  EXPECT_EQ(warnings.front(), "line 1: path \"a\": it grants no capability, so it denies");
}

TEST(ParsePolicy, BuiltInTextsParseWithoutWarnings) {
  for (std::string_view text : {default_policy_text(), response_wrapping_policy_text()}) {
    std::vector<std::string> warnings;
    const auto policy = parse_policy("x", text, warnings);
    ASSERT_TRUE(policy) << policy.error().describe();
    EXPECT_FALSE(policy->rules.empty());
    EXPECT_TRUE(warnings.empty()) << warnings.front();
  }
}

TEST(Acl, OfNothingAllowsNothing) {
  const auto acl = Acl::compile({}, nullptr);
  EXPECT_FALSE(reads(*acl, "a"));
  EXPECT_FALSE(acl->root());
  EXPECT_EQ(acl->capabilities("a").names(), std::vector<std::string_view>{"deny"});
  EXPECT_FALSE(acl->reaches_below(""));
  const std::vector<std::shared_ptr<const Policy>> none = {nullptr};
  EXPECT_FALSE(reads(*Acl::compile(none, nullptr), "a"));
}

TEST(Acl, OfRootAllowsEverything) {
  const std::vector<std::shared_ptr<const Policy>> policies = {
      must_parse("p", "path \"a\" { policy = \"deny\" }"), must_parse("root", "")};
  const auto acl = Acl::compile(policies, nullptr);
  const Decision decision = acl->decide({.path = "a", .needed = kDelete});
  EXPECT_TRUE(decision.allowed && decision.root && decision.sudo && acl->root());
  EXPECT_EQ(decision.policy, "root");
  EXPECT_EQ(decision.reason, Reason::kRoot);
  EXPECT_TRUE(acl->reaches_below("x/"));
  EXPECT_TRUE(acl->capabilities("a").has(kSudo));
}

TEST(Acl, DecisionNamesTheRuleInTheWay) {
  const auto acl = compile(
      "\npath \"a/*\" { capabilities = [\"update\", \"sudo\"]\n"
      "required_parameters = [\"n\"] denied_parameters = { \"m\" = [] } }");
  base::JsonObject body{{"m", base::Json(1)}, {"n", base::Json(2)}};
  const Query query{.path = "//a/b", .needed = kUpdate, .parameters = &body};
  Decision decision = acl->decide(query);
  EXPECT_FALSE(decision.allowed);
  EXPECT_TRUE(decision.sudo);
  EXPECT_EQ(decision.policy, "p");
  EXPECT_EQ(decision.pattern, "a/*");
  EXPECT_EQ(decision.line, 2);
  EXPECT_EQ(decision.reason, Reason::kDeniedParameter);
  EXPECT_EQ(decision.parameter, "m");
  decision = acl->decide({.path = "a/b", .needed = kUpdate});
  EXPECT_EQ(decision.reason, Reason::kMissingParameter);
  EXPECT_EQ(decision.parameter, "n");
  EXPECT_FALSE(acl->decide({.path = "a/b", .needed = kRead}).allowed);
}

TEST(Acl, OutlivesThePoliciesItWasMadeFrom) {
  auto acl = compile("path \"a\" { policy = \"read\" }");
  const Decision decision = acl->decide({.path = "a"});
  EXPECT_EQ(decision.policy, "p");  // asan: nothing of it is freed
  EXPECT_EQ(decision.pattern, "a");
}

TEST(Acl, KnowsWhetherItReachesAMount) {
  const auto reaches = [](std::string_view rule, std::string_view mount) {
    return compile("path \"" + std::string(rule) + "\" { policy = \"read\" }")
        ->reaches_below(mount);
  };
  for (const char* rule : {"kv/a", "kv/", "kv", "kv/*", "k*", "*", "kv/a/b*", "+/a", "kv/+/b",
                           "+/*", "kv/+", "/kv/a", "+"}) {
    EXPECT_TRUE(reaches(rule, "kv/")) << rule;
  }
  for (const char* rule : {"kw/a", "k", "kvv/*", "+a/b", "x/+/b", "kv2*", ""}) {
    EXPECT_FALSE(reaches(rule, "kv/")) << rule;
  }
  EXPECT_FALSE(compile("path \"kv/*\" { policy = \"deny\" }")->reaches_below("kv/"));
  EXPECT_FALSE(compile("path \"*\" { policy = \"read\" } path \"kv/*\" { policy = \"deny\" }")
                   ->reaches_below("kv/"));
  EXPECT_TRUE(compile("path \"kv/*\" { policy = \"deny\" } path \"kv/a\" { policy = \"read\" }")
                  ->reaches_below("kv/"));
  EXPECT_TRUE(reaches("auth/x/login", "auth/x/"));
  EXPECT_FALSE(reaches("auth/y/login", "auth/x/"));
}

TEST(Acl, ListsItsEffectiveRules) {
  const auto acl = compile(
      "path \"a\" { policy = \"read\" } path \"b/*\" { policy = \"deny\" } path \"+/c\" { }");
  const auto rules = acl->effective();
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[0].pattern, "a");
  EXPECT_FALSE(rules[0].prefix || rules[0].segments);
  bool prefix = false, segments = false;
  for (const auto& rule : rules) {
    if (rule.prefix) prefix = rule.pattern == "b/" && rule.capabilities.has(kDeny);
    if (rule.segments) segments = rule.pattern == "+/c" && rule.capabilities.empty();
  }
  EXPECT_TRUE(prefix && segments);
}

TEST(Acl, ExplainsWhyTheWinnerWins) {
  const std::vector<std::shared_ptr<const Policy>> policies = {
      must_parse("one",
                 "path \"kv/a/*\" { capabilities = [\"read\"] }\n"
                 "path \"kv/+/b\" { capabilities = [\"update\"] }"),
      must_parse("two",
                 "path \"*\" { policy = \"sudo\" } path \"kv/a/*\" { policy = \"deny\" }\n"
                 "path \"x\" {} path \"{{identity.entity.id}}\" {}")};
  const auto acl = Acl::compile(policies, nullptr);
  const Explanation explanation = acl->explain({.path = "kv/a/b", .needed = kRead});
  EXPECT_FALSE(explanation.decision.allowed);
  EXPECT_EQ(explanation.decision.policy, "two");
  EXPECT_EQ(explanation.capabilities, CapabilitySet{kDeny});
  ASSERT_EQ(explanation.matches.size(), 4u);
  EXPECT_EQ(explanation.matches[0].policy, "one");
  EXPECT_EQ(explanation.matches[0].why, "the closest match");
  EXPECT_TRUE(explanation.matches[0].decides);
  EXPECT_EQ(explanation.matches[1].policy, "two");
  EXPECT_TRUE(explanation.matches[1].decides);
  EXPECT_EQ(explanation.matches[2].pattern, "kv/+/b");
  EXPECT_EQ(explanation.matches[2].line, 2);
  EXPECT_FALSE(explanation.matches[2].decides);
  EXPECT_EQ(explanation.matches[2].why, "loses to \"kv/a/*\": its first wildcard comes earlier");
  EXPECT_EQ(explanation.matches[3].pattern, "*");
  EXPECT_EQ(explanation.unresolved,
            std::vector<std::string>{"policy two, line 2: path \"{{identity.entity.id}}\" never "
                                     "matches: the token has no entity"});
}

TEST(Acl, ExplainsTheSlashOfAList) {
  const auto acl = compile(
      "path \"kv/a\" { policy = \"deny\" } path \"kv/a/*\" { policy = \"read\" }\n"
      "path \"kv/+\" { policy = \"read\" }");
  const Explanation explanation = acl->explain({.path = "kv/a/", .needed = kList});
  ASSERT_EQ(explanation.matches.size(), 3u);
  EXPECT_EQ(explanation.matches[0].pattern, "kv/a");
  EXPECT_EQ(explanation.decision.pattern, "kv/a");
  EXPECT_EQ(explanation.matches[1].why, "loses to \"kv/a\": an exact path goes before a pattern");
}

class Templates : public testing::Test {
 protected:
  Templates() {
    context_.entity_id = "e-1";
    context_.entity_name = "bob";
    context_.entity_metadata = {{"team", "blue"},   {"empty", ""},    {"star", "*"},
                                {"plus", "+"},      {"glued", "a+b"}, {"slash", "x/y"},
                                {"braces", "{{q}}"}};
    context_.aliases["acc1"] = {"al-1", "bob@x", {{"k", "v"}}, {{"ck", "cv"}}};
    context_.groups.push_back({"g-1", "dev.ops", {{"env", "prod"}}});
  }
  // What "secret/{{selector}}/x" becomes; "-" where it never matches.
  std::string fill(const std::string& selector, const std::string& end = "/x") {
    const auto acl =
        compile("path \"secret/{{" + selector + "}}" + end + "\" { policy = \"read\" }", &context_);
    const auto rules = acl->effective();
    return rules.empty() ? "-" : std::string(rules[0].pattern) + (rules[0].prefix ? "*" : "");
  }
  TemplateContext context_;
};

TEST_F(Templates, FillInEverySelector) {
  EXPECT_EQ(fill("identity.entity.id"), "secret/e-1/x");
  EXPECT_EQ(fill(" identity.entity.name "), "secret/bob/x");
  EXPECT_EQ(fill("identity.entity.metadata.team"), "secret/blue/x");
  EXPECT_EQ(fill("identity.entity.aliases.acc1.id"), "secret/al-1/x");
  EXPECT_EQ(fill("identity.entity.aliases.acc1.name"), "secret/bob@x/x");
  EXPECT_EQ(fill("identity.entity.aliases.acc1.metadata.k"), "secret/v/x");
  EXPECT_EQ(fill("identity.entity.aliases.acc1.custom_metadata.ck"), "secret/cv/x");
  EXPECT_EQ(fill("identity.groups.ids.g-1.name"), "secret/dev.ops/x");
  EXPECT_EQ(fill("identity.groups.names.dev.ops.id"), "secret/g-1/x");
  EXPECT_EQ(fill("identity.groups.names.dev.ops.metadata.env"), "secret/prod/x");
  EXPECT_EQ(fill("identity.entity.metadata.slash"), "secret/x/y/x");
  EXPECT_EQ(fill("identity.entity.name", "/*"), "secret/bob/*");
}

TEST_F(Templates, NeverMatchWhereAValueIsMissing) {
  for (const char* selector :
       {"identity.entity.metadata.none", "identity.entity.aliases.acc2.name",
        "identity.entity.aliases.acc1.metadata.none", "identity.groups.ids.g-2.name",
        "identity.groups.names.none.id", "identity.entity.none", "identity.entity.metadata.",
        "identity.entity.custom_metadata.ck", "foo", "", "identity.entity.metadata.empty"}) {
    EXPECT_EQ(fill(selector), "-") << selector;
  }
}

TEST_F(Templates, NeverBecomeAWildcard) {
  EXPECT_EQ(fill("identity.entity.metadata.star", ""), "-");
  EXPECT_EQ(fill("identity.entity.metadata.plus"), "-");
  EXPECT_EQ(fill("identity.entity.metadata.plus", ""), "-");
  EXPECT_EQ(fill("identity.entity.metadata.plus", "*"), "-");
  EXPECT_EQ(fill("identity.entity.metadata.glued"), "secret/a+b/x");
  EXPECT_EQ(fill("identity.entity.metadata.star", "/x"), "secret/*/x");  // only literally
  EXPECT_FALSE(reads(*compile("path \"secret/{{identity.entity.metadata.star}}/x\" "
                              "{ policy = \"read\" }",
                              &context_),
                     "secret/a/x"));
  EXPECT_EQ(fill("identity.entity.metadata.braces"), "secret/{{q}}/x");  // and not filled in again
}

TEST_F(Templates, DependOnTheEntity) {
  const char* const kText =
      "path \"a/{{identity.entity.id}}\" { policy = \"read\" } path \"b\" { policy = \"read\" }";
  EXPECT_TRUE(must_parse("p", kText)->templated);
  EXPECT_TRUE(reads(*compile(kText, &context_), "a/e-1"));
  EXPECT_FALSE(reads(*compile(kText, &context_), "a/{{identity.entity.id}}"));
  EXPECT_FALSE(reads(*compile(kText), "a/e-1"));
  EXPECT_FALSE(reads(*compile(kText), "a/"));
  EXPECT_TRUE(reads(*compile(kText), "b"));
}

TEST_F(Templates, MergeWithThePathTheyBecome) {
  const auto acl = compile(
      "path \"a/{{identity.entity.name}}\" { policy = \"read\" } path \"a/bob\" { policy = "
      "\"deny\" }",
      &context_);
  EXPECT_FALSE(reads(*acl, "a/bob"));
}

TEST(CapabilitySet, NamesAreSortedAndDenyIsAlone) {
  EXPECT_EQ((CapabilitySet{kUpdate, kCreate, kRead}).names(),
            (std::vector<std::string_view>{"create", "read", "update"}));
  EXPECT_EQ((CapabilitySet{kUpdate, kDeny}).names(), std::vector<std::string_view>{"deny"});
  for (Capability c : {kDeny, kCreate, kRead, kUpdate, kDelete, kList, kSudo, kPatch}) {
    EXPECT_EQ(parse_capability(capability_name(c)), c);
  }
  EXPECT_FALSE(parse_capability("subscribe"));
}

}  // namespace
}  // namespace rekey::policy
