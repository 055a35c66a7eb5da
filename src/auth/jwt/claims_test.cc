#include "auth/jwt/claims.h"

#include <gtest/gtest.h>

namespace rekey::auth::jwt {
namespace {

using base::Json;

Json claims() {
  return *Json::parse(R"({"sub":"alice","n":5,"yes":true,"nil":null,"":"empty","a/b":"slash",
      "m~n":"tilde","/sub":"literal","team":{"name":"red","roles":["dev","ops"],"0":"zero"},
      "groups":["g1","","g2"],"mixed":["a",1]})");
}

std::string bound(const std::string& json, bool globs = false) {
  const auto parsed = Json::parse(json);
  const auto checked = check_bound_claims(claims(), *parsed->as_object(), globs);
  return checked ? "good" : checked.error().message();
}

TEST(Claims, AreFoundByNameOrPointer) {
  const Json all = claims();
  const auto text = [&](std::string_view name) {
    const Json* found = find_claim(all, name);
    return found == nullptr ? "nothing" : found->dump();
  };
  EXPECT_EQ(text("sub"), "\"alice\"");
  EXPECT_EQ(text("/sub"), "\"alice\"");  // a pointer, whatever there is of this name
  EXPECT_EQ(text("/team/name"), "\"red\"");
  EXPECT_EQ(text("/team/roles/1"), "\"ops\"");
  EXPECT_EQ(text("/team/0"), "\"zero\"");
  EXPECT_EQ(text("/a~1b"), "\"slash\"");
  EXPECT_EQ(text("/m~0n"), "\"tilde\"");
  EXPECT_EQ(text("/"), "\"empty\"");
  for (const char* name : {"nil", "/nil", "team.name", "/team/roles/2", "/team/roles/01",
                           "/team/roles/-1", "/team/roles/x", "/team/roles/99999999999999999999",
                           "/sub/x", "/team/", "//", "/team/roles/"}) {
    EXPECT_EQ(text(name), "nothing") << name;
  }
}

TEST(Claims, AreBoundToValues) {
  EXPECT_EQ(bound(R"({"sub":"alice"})"), "good");
  EXPECT_EQ(bound(R"({"sub":["bob","alice"],"n":5,"yes":true})"), "good");
  EXPECT_EQ(bound(R"({"/team/roles":"ops"})"), "good");
  EXPECT_EQ(bound(R"({"n":5.0})"), "good");
  for (const char* wrong : {R"({"sub":"bob"})", R"({"sub":"alice","n":6})", R"({"n":"5"})",
                            R"({"yes":"true"})", R"({"yes":1})", R"({"sub":[]})",
                            R"({"sub":"ali*"})", R"({"nil":null})", R"({"missing":"x"})",
                            R"({"team":"red"})", R"({"sub":{"a":1}})", R"({"sub":[["alice"]]})"}) {
    EXPECT_TRUE(bound(wrong).starts_with("error validating claims: ")) << wrong;
  }
}

TEST(Claims, AreBoundToGlobs) {
  EXPECT_EQ(bound(R"({"sub":"ali*"})", true), "good");
  EXPECT_EQ(bound(R"({"/team/roles":["x*","o*s"]})", true), "good");
  for (const char* wrong : {R"({"sub":"bob*"})", R"({"n":"*"})", R"({"yes":"*"})",
                            R"({"missing":"*"})", R"({"sub":"alic?"})"}) {
    EXPECT_NE(bound(wrong, true), "good") << wrong;
  }
}

TEST(Claims, BecomeMetadataUserAndGroups) {
  const auto mapped =
      mapped_claims(claims(), {{"sub", "who"}, {"/team/name", "team"}, {"no", "x"}});
  ASSERT_TRUE(mapped.has_value());
  EXPECT_EQ(*mapped, (Pairs{{"who", "alice"}, {"team", "red"}}));
  EXPECT_FALSE(mapped_claims(claims(), {{"n", "number"}}).has_value());
  EXPECT_EQ(*user_of(claims(), "sub", false), "alice");
  EXPECT_EQ(*user_of(claims(), "/team/name", true), "red");
  EXPECT_EQ(*user_of(claims(), "/sub", false), "literal");
  EXPECT_FALSE(user_of(claims(), "/team/name", false).has_value());
  EXPECT_FALSE(user_of(claims(), "n", false).has_value());
  EXPECT_FALSE(user_of(*Json::parse(R"({"sub":""})"), "sub", false).has_value());
  EXPECT_EQ(*groups_of(claims(), "groups"), (std::vector<std::string>{"g1", "g2"}));
  EXPECT_EQ(*groups_of(claims(), "sub"), (std::vector<std::string>{"alice"}));
  for (const char* name : {"missing", "team", "mixed", "n", "nil"}) {
    EXPECT_FALSE(groups_of(claims(), name).has_value()) << name;
  }
}

}  // namespace
}  // namespace rekey::auth::jwt
