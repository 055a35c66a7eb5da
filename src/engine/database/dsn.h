// The connection strings of MySQL's Go driver, which Vault's configurations use:
//   user:password@tcp(host:port)/database?parameters     or  @unix(/path)/
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::engine::database {

constexpr size_t kConnectionUrlBytesMax = 4096;

struct MysqlDsn {
  std::string user, password;
  std::string host;  // or empty
  uint16_t port = 3306;
  std::string socket;  // of unix(...)
  std::string database;
  std::string tls;  // of the parameter: "", "true", "skip-verify", "preferred", "custom"
};

// `user` and `password` are put in place of {{username}} and {{password}} after the text was taken
// apart, so they may hold anything. Failure: kInvalid.
base::Result<MysqlDsn> parse_mysql_dsn(std::string_view text, std::string_view user,
                                       std::string_view password);

}  // namespace rekey::engine::database
