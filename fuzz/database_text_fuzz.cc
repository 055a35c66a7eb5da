// rooms: engine/database
// Any text as a username template, as statements, as a schedule and as a connection string: reading
// ends, and what is made keeps its promises.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "engine/database/cron.h"
#include "engine/database/dsn.h"
#include "engine/database/plugin.h"
#include "engine/database/statement.h"
#include "engine/database/username_template.h"

namespace db = rekey::engine::database;
using db::expand_username, db::fill_in, db::make_postgres_plugin, db::parse_mysql_dsn;
using db::safe_username, db::Schedule, db::split_statements;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  rekey::base::SeededRandom random(1);
  const rekey::base::WallTime now(std::chrono::seconds(1'800'000'000));
  const size_t half = text.find('\n');
  const std::string_view first = text.substr(0, half);
  const std::string_view rest = half == std::string_view::npos ? text : text.substr(half + 1);
  auto name =
      expand_username(rest, {.display_name = first, .role_name = first, .now = now}, random);
  REKEY_CHECK(!name || safe_username(*name));
  for (const std::string& statement : split_statements(rest)) {
    REKEY_CHECK(!statement.empty());
    const std::string filled = fill_in(statement, {{"name", "u"}, {"password", first}}, true);
    REKEY_CHECK(filled.size() <= statement.size() * (2 * first.size() + 2));
  }
  if (auto schedule = Schedule::parse(first)) {
    const auto next = schedule->next(now);
    REKEY_CHECK(!next || *next > now);
  }
  auto dsn = parse_mysql_dsn(rest, first, first);
  REKEY_CHECK(!dsn || dsn->port != 0);
  static const auto postgres = make_postgres_plugin();
  (void)postgres->check_target(
      {.url = std::string(rest), .username = std::string(first), .password = std::string(first)});
  return 0;
}
