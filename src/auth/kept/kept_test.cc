// What can be wrong in the tables; that the methods answer is shown by tests/api/kept-methods.txt.
#include "auth/kept/kept.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/json.h"

namespace rekey::auth::kept {
namespace {

// Words that make a field a secret.
bool sounds_secret(std::string_view name) {
  for (const std::string_view word :
       {"bindpass", "secret", "api_token", "credentials", "tls_key"}) {
    if (name.contains(word)) return true;
  }
  return false;
}

void check_field(const KeptField& field) {
  const std::string name(field.name);
  if (sounds_secret(field.name)) EXPECT_EQ(field.shown, Shown::kNever) << name;
  if (field.otherwise.empty()) return;
  const auto value = base::Json::parse(field.otherwise);
  ASSERT_TRUE(value) << name;
  switch (field.type) {
    case logical::FieldType::kString:
      ASSERT_TRUE(value->is_string()) << name;
      break;
    case logical::FieldType::kInteger:
    case logical::FieldType::kDuration:
      ASSERT_TRUE(value->as_int().has_value()) << name;
      break;
    case logical::FieldType::kBoolean:
      ASSERT_TRUE(value->is_bool()) << name;
      break;
    default:
      ASSERT_TRUE(value->is_array()) << name;
  }
  if (field.choices.empty()) return;
  const std::string choices = "|" + std::string(field.choices) + "|";
  EXPECT_NE(choices.find("|" + *value->as_string() + "|"), std::string::npos) << name;
}

TEST(KeptTables, AreSound) {
  std::set<std::string_view> types;
  for (const auto tables : {directory_tables(), cloud_tables()}) {
    for (const KeptTable& table : tables) {
      EXPECT_TRUE(types.insert(table.type).second) << table.type;
      EXPECT_FALSE(table.logins.empty()) << table.type;
      std::set<std::string_view> rows;
      for (const KeptPath& path : table.paths) {
        const std::string at = std::string(table.type) + " " + std::string(path.pattern);
        // Two paths that shared a row would overwrite each other.
        EXPECT_TRUE(rows.insert(path.row).second) << at;
        EXPECT_EQ(path.row.ends_with('/'), path.pattern.contains('{')) << at;
        EXPECT_EQ(path.row.ends_with('/'), !path.list.empty()) << at;
        for (const KeptField& field : path.fields) check_field(field);
      }
    }
  }
  EXPECT_EQ(types.size(), 7u);
}

TEST(KeptTables, EveryMethodHasItsRoutes) {
  for (const auto& method : kept_methods()) {
    EXPECT_NE(method->routes().match("config").route != nullptr,
              method->type() == "aws")  // which has several
        << method->type();
    const auto login = method->routes().match("login").route;
    const auto named = method->routes().match("login/x").route;
    ASSERT_TRUE(login != nullptr || named != nullptr) << method->type();
    EXPECT_TRUE((login != nullptr ? login : named)->unauthenticated);
  }
}

}  // namespace
}  // namespace rekey::auth::kept
