// Plugin: one kind of database behind one small interface.
//
// A plugin opens sessions; a session is one connection, used by one thread at a time, on threads
// that may block. Every wait has a limit. Errors: kUnavailable or kTimeout when the database can't
// be reached, kUpstream when it says no; messages carry the database's own words, never a password.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random.h"

namespace rekey::engine::database {

constexpr base::Duration kConnectTimeout = std::chrono::seconds(5);
constexpr base::Duration kStatementTimeout = std::chrono::seconds(10);

// Where and as whom to connect: the connection_details of a configuration.
struct Target {
  std::string url;  // connection_url
  std::string username, password;
  base::JsonObject details;  // everything else: host, port, tls_ca ...
};

struct NewUser {
  std::string_view username, password;
  int64_t expires_s = 0;
  std::span<const std::string> creation, rollback;
};

class Session {
 public:
  virtual ~Session() = default;
  virtual base::Result<void> check() = 0;  // still good?
  // After a failure nothing of the user is left, as far as can be told.
  virtual base::Result<void> create_user(const NewUser& user) = 0;
  // No statements: the plugin's own way.
  virtual base::Result<void> set_password(std::string_view username, std::string_view password,
                                          std::span<const std::string> statements) = 0;
  virtual base::Result<void> extend_user(std::string_view username, int64_t expires_s,
                                         std::span<const std::string> statements) = 0;
  // Success as well where there is no such user. Ends its connections where it can.
  virtual base::Result<void> drop_user(std::string_view username,
                                       std::span<const std::string> statements) = 0;
};

class Plugin {
 public:
  virtual ~Plugin() = default;
  // Checks what can be checked without a connection. Failure: kInvalid.
  virtual base::Result<void> check_target(const Target& target) const = 0;
  virtual base::Result<std::unique_ptr<Session>> connect(const Target& target) const = 0;
  virtual std::string_view default_username_template() const = 0;
  virtual bool needs_creation_statements() const { return true; }
};

std::unique_ptr<Plugin> make_postgres_plugin();
std::unique_ptr<Plugin> make_mysql_plugin(bool short_names);
std::unique_ptr<Plugin> make_redis_plugin();

}  // namespace rekey::engine::database
