// What takes texts apart: templates of names, statements, schedules, connection strings.
#include <gtest/gtest.h>

#include "engine/database/cron.h"
#include "engine/database/dsn.h"
#include "engine/database/plugin.h"
#include "engine/database/settings.h"
#include "engine/database/statement.h"
#include "engine/database/username_template.h"

namespace rekey::engine::database {
namespace {

using base::WallTime;

WallTime at(const char* text) { return *base::parse_rfc3339(text); }

std::string name_of(std::string_view text, std::string_view display = "token",
                    std::string_view role = "app") {
  base::SeededRandom random(1);
  auto name = expand_username(
      text, {.display_name = display, .role_name = role, .now = at("2027-03-04T05:06:07Z")},
      random);
  return name ? *name : "error: " + name.error().message();
}

TEST(UsernameTemplateTest, KnowsVaultsForms) {
  EXPECT_EQ(name_of("x_{{.RoleName}}"), "x_app");
  EXPECT_EQ(name_of("{{ .DisplayName | uppercase | truncate 3 }}"), "TOK");
  EXPECT_EQ(name_of(R"({{ printf "v-%s-%s" (.RoleName | truncate 2) (unix_time) }})"),
            "v-ap-1804136767");
  EXPECT_EQ(name_of(R"({{ replace "o" "0" .DisplayName }})"), "t0ken");
  EXPECT_EQ(name_of(R"(u{{ timestamp "20060102150405" }})"), "u20270304050607");
  EXPECT_EQ(name_of("{{ random 20 }}").size(), 20u);
  EXPECT_EQ(name_of("{{ truncate_sha256 12 .DisplayName }}", "a-very-long-display-name").size(),
            12u);
  EXPECT_EQ(name_of("{{ `a` | sha256 | truncate 8 }}"), "ca978112");
}

TEST(UsernameTemplateTest, DefaultsAreWithinTheirDatabasesBounds) {
  const std::string long_name(200, 'n');
  for (const auto& [plugin, most] :
       {std::pair<std::unique_ptr<Plugin>, size_t>{make_postgres_plugin(), 63},
        {make_mysql_plugin(false), 32},
        {make_mysql_plugin(true), 16},
        {make_redis_plugin(), 320}}) {
    const std::string name = name_of(plugin->default_username_template(), long_name, long_name);
    EXPECT_TRUE(safe_username(name)) << name;
    EXPECT_LE(name.size(), most) << name;
  }
}

TEST(UsernameTemplateTest, WhatAClientChoosesStaysInTheName) {
  EXPECT_EQ(name_of("v-{{.DisplayName}}", "x'; DROP ROLE y; --"), "v-x---DROP-ROLE-y----");
  EXPECT_EQ(name_of("v-{{.DisplayName}}", "{{random 9}}"), "v---random-9--");
  EXPECT_EQ(name_of("v-{{.DisplayName}}", std::string("a\0b\"`\\", 6)), "v-a-b---");
  EXPECT_TRUE(name_of("{{.DisplayName}}", "-leading").starts_with("error"));
}

TEST(UsernameTemplateTest, SaysWhatIsWrong) {
  for (const char* text : {"", "{{", "{{ }}", "{{ nope }}", "{{ .Nope }}", "{{ random }}",
                           "{{ random 100000 }}", "{{ \"x }}", "{{ (.RoleName }}", "a b", "a'b",
                           "{{ printf \"%x\" 1 }}", "{{ printf \"%s\" }}", "{{ .RoleName | 5 }}",
                           "{{ truncate -1 .RoleName }}", "{{ unix_time ) }}"}) {
    EXPECT_TRUE(name_of(text).starts_with("error: invalid username template")) << text;
  }
  EXPECT_TRUE(name_of(std::string(5000, 'a')).starts_with("error"));
  EXPECT_TRUE(name_of("{{" + std::string(100, '(') + "1" + std::string(100, ')') + "}}")
                  .starts_with("error"));
}

TEST(StatementTest, SplitsWhereAStatementEnds) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split_statements("a; b;;\n c "), (Pieces{"a", "b", "c"}));
  EXPECT_EQ(split_statements("SELECT ';'; SELECT \"a;b\""),
            (Pieces{"SELECT ';'", "SELECT \"a;b\""}));
  EXPECT_EQ(split_statements("DO $$ BEGIN x; END $$; y"), (Pieces{"DO $$ BEGIN x; END $$", "y"}));
  EXPECT_EQ(split_statements("DO $q$ a; $$ ; $q$; y"), (Pieces{"DO $q$ a; $$ ; $q$", "y"}));
  EXPECT_EQ(split_statements("-- a;b\nx; /* ; */ y"), (Pieces{"-- a;b\nx", "/* ; */ y"}));
  EXPECT_EQ(split_statements("'it''s;'; z"), (Pieces{"'it''s;'", "z"}));
  EXPECT_TRUE(split_statements(" ; ;").empty());
}

TEST(StatementTest, FillsInWithoutLettingValuesOut) {
  EXPECT_EQ(fill_in("A \"{{name}}\" '{{password}}'", {{"name", "u"}, {"password", "p'q\\"}}, false),
            "A \"u\" 'p''q\\'");
  EXPECT_EQ(fill_in("'{{password}}'", {{"password", "p'q\\"}}, true), "'p''q\\\\'");
  EXPECT_EQ(fill_in("{{password}} {{other}}", {{"password", "{{name}}"}, {"name", "n"}}, false),
            "{{name}} {{other}}");
  EXPECT_EQ(expiration_text(1'804'136'767), "2027-03-04 05:06:07+0000");
  EXPECT_EQ(quoted_identifier("a\"b", '"'), "\"a\"\"b\"");
}

TEST(StatementTest, TakesEveryFormOfVaults) {
  using base::Json;
  const auto read = [](const Json& sent) {
    return read_statements(sent).value_or(std::vector<std::string>{"error"});
  };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(read(Json("SELECT 1")), Pieces{"SELECT 1"});
  EXPECT_EQ(read(Json(R"(["a","b"])")), (Pieces{"a", "b"}));
  EXPECT_EQ(read(*Json::parse(R"(["a","","b"])")), (Pieces{"a", "b"}));
  EXPECT_EQ(read(Json("U0VMRUNUIDE=")), Pieces{"SELECT 1"});
  EXPECT_EQ(read(Json("")), Pieces{});
  EXPECT_EQ(read(Json(5)), Pieces{"error"});
  EXPECT_EQ(read(Json(std::string("a\0", 2))), Pieces{"error"});
  EXPECT_EQ(read(Json(std::string(100'000, 'x') + " ")), Pieces{"error"});
}

std::string next_of(const char* schedule, const char* from) {
  auto parsed = Schedule::parse(schedule);
  if (!parsed) return "error";
  const auto next = parsed->next(at(from));
  return next ? base::format_rfc3339(*next).substr(0, 16) : "never";
}

TEST(ScheduleTest, FindsTheNextMinute) {
  EXPECT_EQ(next_of("* * * * *", "2027-01-01T00:00:30Z"), "2027-01-01T00:01");
  EXPECT_EQ(next_of("0 0 * * *", "2027-01-01T00:00:00Z"), "2027-01-02T00:00");
  EXPECT_EQ(next_of("*/15 8-10 * * *", "2027-01-01T10:50:00Z"), "2027-01-02T08:00");
  EXPECT_EQ(next_of("30 2 29 2 *", "2027-01-01T00:00:00Z"), "2028-02-29T02:30");
  EXPECT_EQ(next_of("0 0 * * mon-fri", "2027-01-01T12:00:00Z"), "2027-01-04T00:00");  // a Friday
  EXPECT_EQ(next_of("0 0 * * 7", "2027-01-01T12:00:00Z"), "2027-01-03T00:00");
  EXPECT_EQ(next_of("0 0 13 * fri", "2027-01-02T00:00:00Z"), "2027-01-08T00:00");  // either
  EXPECT_EQ(next_of("0 0 1 jan,jul *", "2027-01-01T00:00:00Z"), "2027-07-01T00:00");
  EXPECT_EQ(next_of("@weekly", "2027-01-01T00:00:00Z"), "2027-01-03T00:00");
}

TEST(ScheduleTest, RefusesWhatIsNone) {
  for (const char* text :
       {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
        "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "1,,2 * * * *", "-1 * * * *",
        "1- * * * *", "@never", "0 0 30 2 *", "0 0 31 4,6 *"}) {
    EXPECT_FALSE(Schedule::parse(text).has_value()) << text;
  }
}

TEST(DsnTest, TakesGosForm) {
  auto dsn = parse_mysql_dsn("{{username}}:{{password}}@tcp(db.example:3307)/app?tls=true", "me",
                             "p@:/()");
  ASSERT_TRUE(dsn.has_value());
  EXPECT_EQ(dsn->user, "me");
  EXPECT_EQ(dsn->password, "p@:/()");
  EXPECT_EQ(dsn->host, "db.example");
  EXPECT_EQ(dsn->port, 3307);
  EXPECT_EQ(dsn->database, "app");
  EXPECT_EQ(dsn->tls, "true");
  dsn = parse_mysql_dsn("u:p@unix(/run/mysqld/s)/", "", "");
  ASSERT_TRUE(dsn.has_value());
  EXPECT_EQ(dsn->socket, "/run/mysqld/s");
  dsn = parse_mysql_dsn("u@tcp([::1]:33)/", "", "");
  ASSERT_TRUE(dsn.has_value());
  EXPECT_EQ(dsn->host, "::1");
  EXPECT_EQ(dsn->port, 33);
  for (const char* text : {"", "u:p", "u:p@host/", "u:p@tcp(h:0)/", "u:p@tcp(h:99999)/",
                           "u:p@udp(h:1)/", "u:p@tcp([::1/", "u:p@tcp(h:x)/"}) {
    EXPECT_FALSE(parse_mysql_dsn(text, "", "").has_value()) << text;
  }
}

TEST(SettingsTest, PasswordsInUrlsAreNotShown) {
  Config config;
  const auto shown = [&](const char* url) {
    config.url = url;
    return show(config).find("connection_details")->string_or("connection_url", "");
  };
  EXPECT_EQ(shown("postgresql://u:secret@h/db"), "postgresql://u:*****@h/db");
  EXPECT_EQ(shown("u:secret@tcp(h:1)/"), "u:*****@tcp(h:1)/");
  EXPECT_EQ(shown("postgresql://{{username}}:{{password}}@h/db"),
            "postgresql://{{username}}:{{password}}@h/db");
}

TEST(SettingsTest, GlobsOfAllowedRoles) {
  const auto allows = [](const char* pattern, const char* role) {
    Config config;
    config.allowed_roles = {"other", pattern};
    return config.allows(role);
  };
  EXPECT_TRUE(allows("*", "anything"));
  EXPECT_TRUE(allows("app-*", "app-1"));
  EXPECT_TRUE(allows("*-ro*", "app-ro-2"));
  EXPECT_FALSE(allows("app", "app2"));
  EXPECT_FALSE(allows("a*b", "ac"));
  EXPECT_FALSE(Config{}.allows("app"));
}

TEST(PostgresTest, UrlsMayNotNameFiles) {
  const auto plugin = make_postgres_plugin();
  const auto check = [&](const char* url) {
    return plugin->check_target({.url = url}).has_value();
  };
  EXPECT_TRUE(check("postgresql://{{username}}:{{password}}@h:5432/db?sslmode=verify-full"));
  EXPECT_TRUE(check("host=h user={{username}} password={{password}}"));
  EXPECT_FALSE(check("postgresql://h/db?sslrootcert=/etc/shadow"));
  EXPECT_FALSE(check("postgresql://h/db?passfile=/root/.pgpass"));
  EXPECT_FALSE(check("service=x"));
  EXPECT_FALSE(check("postgresql://h/db?nonsense"));
  EXPECT_FALSE(check(""));
}

}  // namespace
}  // namespace rekey::engine::database
