// mysql-database-plugin, over libmariadb: MySQL and MariaDB.
#include <errmsg.h>
#include <mysql.h>

#include <array>

#include "engine/database/dsn.h"
#include "engine/database/memory_file.h"
#include "engine/database/plugin.h"
#include "engine/database/statement.h"

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Result;

struct ConnectionDeleter {
  void operator()(MYSQL* connection) const { mysql_close(connection); }
};
using Connection = std::unique_ptr<MYSQL, ConnectionDeleter>;

constexpr unsigned kNoSuchUser = 1396;   // ER_CANNOT_USER
constexpr unsigned kNoSuchGrant = 1141;  // ER_NONEXISTING_GRANT
constexpr unsigned kNoSuchRole = 1269;   // ER_REVOKE_GRANTS
constexpr std::string_view kDefaultPassword =
    "ALTER USER '{{username}}'@'%' IDENTIFIED BY '{{password}}'";

std::string words_of(MYSQL* connection) {
  std::string text(mysql_error(connection));
  // A syntax error quotes the statement, which may hold a password.
  if (const size_t near = text.find(" near '"); near != std::string::npos) text.resize(near);
  if (text.size() > 300) text.resize(300);
  return text;
}

class MysqlSession final : public Session {
 public:
  MysqlSession(Connection connection, std::vector<MemoryFile> files)
      : connection_(std::move(connection)), files_(std::move(files)) {}

  Result<void> check() override {
    if (mysql_ping(connection_.get()) != 0) return failed();
    return {};
  }

  Result<void> create_user(const NewUser& user) override {
    const std::string until = expiration_text(user.expires_s);
    auto made = run_all(user.creation, {{"name", user.username},
                                        {"username", user.username},
                                        {"password", user.password},
                                        {"expiration", until}});
    if (made) return made;
    // Its DDL commits by itself, so what was done has to be undone.
    const Values name{{"name", user.username}, {"username", user.username}};
    if (!user.rollback.empty()) {
      (void)run_all(user.rollback, name);
    } else {
      (void)drop_user(user.username, {});
    }
    return made;
  }

  Result<void> set_password(std::string_view username, std::string_view password,
                            std::span<const std::string> statements) override {
    const std::array<std::string, 1> usual{std::string(kDefaultPassword)};
    return run_all(statements.empty() ? std::span<const std::string>(usual) : statements,
                   {{"name", username}, {"username", username}, {"password", password}});
  }

  Result<void> extend_user(std::string_view username, int64_t expires_s,
                           std::span<const std::string> statements) override {
    const std::string until = expiration_text(expires_s);
    return run_all(statements, {{"name", username}, {"username", username}, {"expiration", until}});
  }

  Result<void> drop_user(std::string_view username,
                         std::span<const std::string> statements) override {
    if (!statements.empty()) {
      auto ran = run_all(statements, {{"name", username}, {"username", username}});
      const unsigned code = ran ? 0 : mysql_errno(connection_.get());
      if (code == kNoSuchUser || code == kNoSuchGrant || code == kNoSuchRole) return {};
      return ran;
    }
    const std::string account = "'" + std::string(username) + "'@'%'";
    auto dropped = execute("DROP USER IF EXISTS " + account);
    if (!dropped) return dropped;
    throw_out(std::string(username));
    return {};
  }

 private:
  std::unexpected<base::Error> failed() {
    const unsigned code = mysql_errno(connection_.get());
    if (code == CR_SERVER_GONE_ERROR || code == CR_SERVER_LOST) {
      return base::fail(ErrorKind::kUnavailable, "the connection to the database was lost");
    }
    return base::fail(ErrorKind::kUpstream, "the database said: " + words_of(connection_.get()));
  }

  Result<void> execute(const std::string& statement) {
    if (mysql_real_query(connection_.get(), statement.data(), statement.size()) != 0) {
      return failed();
    }
    if (MYSQL_RES* rows = mysql_store_result(connection_.get())) mysql_free_result(rows);
    return {};
  }

  Result<void> run_all(std::span<const std::string> statements, const Values& values) {
    for (const std::string& text : statements) {
      for (const std::string& statement : split_statements(text)) {
        auto ran = execute(fill_in(statement, values, true));
        if (!ran) return ran;
      }
    }
    return {};
  }

  // Connections that are open outlive their user here. Needs rights that the account may not have.
  void throw_out(const std::string& username) {
    const std::string query =
        "SELECT id FROM information_schema.processlist WHERE user = '" + username + "'";
    if (mysql_real_query(connection_.get(), query.data(), query.size()) != 0) return;
    MYSQL_RES* rows = mysql_store_result(connection_.get());
    if (rows == nullptr) return;
    std::vector<std::string> ids;
    while (MYSQL_ROW row = mysql_fetch_row(rows)) {
      if (row[0] != nullptr) ids.emplace_back(row[0]);
    }
    mysql_free_result(rows);
    for (const std::string& id : ids) (void)execute("KILL CONNECTION " + id);
  }

  Connection connection_;
  std::vector<MemoryFile> files_;
};

class MysqlPlugin final : public Plugin {
 public:
  explicit MysqlPlugin(bool short_names) : short_names_(short_names) {}

  Result<void> check_target(const Target& target) const override {
    auto dsn = parse_mysql_dsn(target.url, target.username, target.password);
    if (!dsn) return forward(dsn);
    return {};
  }

  std::string_view default_username_template() const override {
    if (short_names_) {
      return R"({{ printf "v-%s-%s-%s" (.RoleName | truncate 4) (random 20) (unix_time) )"
             R"(| truncate 16 }})";
    }
    return R"({{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) )"
           R"((random 20) (unix_time) | truncate 32 }})";
  }

  Result<std::unique_ptr<Session>> connect(const Target& target) const override {
    auto dsn = parse_mysql_dsn(target.url, target.username, target.password);
    if (!dsn) return forward(dsn);
    Connection connection(mysql_init(nullptr));
    if (connection == nullptr) return base::fail(ErrorKind::kInternal, "no memory");
    set_limits(connection.get());
    std::vector<MemoryFile> files;
    auto secured = set_tls(connection.get(), target, *dsn, files);
    if (!secured) return forward(secured);
    const auto or_null = [](const std::string& text) {
      return text.empty() ? nullptr : text.c_str();
    };
    if (mysql_real_connect(connection.get(), or_null(dsn->host), dsn->user.c_str(),
                           dsn->password.c_str(), or_null(dsn->database), dsn->port,
                           or_null(dsn->socket), 0) == nullptr) {
      return base::fail(ErrorKind::kUnavailable,
                        "error verifying connection: " + words_of(connection.get()));
    }
    return std::make_unique<MysqlSession>(std::move(connection), std::move(files));
  }

 private:
  static void set_limits(MYSQL* connection) {
    using std::chrono::duration_cast, std::chrono::seconds;
    const auto connect = static_cast<unsigned>(duration_cast<seconds>(kConnectTimeout).count());
    const auto statement = static_cast<unsigned>(duration_cast<seconds>(kStatementTimeout).count());
    const my_bool no = 0;
    const unsigned no_local_files = 0;
    mysql_optionsv(connection, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
    mysql_optionsv(connection, MYSQL_OPT_READ_TIMEOUT, &statement);
    mysql_optionsv(connection, MYSQL_OPT_WRITE_TIMEOUT, &statement);
    mysql_optionsv(connection, MYSQL_OPT_RECONNECT, &no);
    // A server must not be able to ask for files of ours.
    mysql_optionsv(connection, MYSQL_OPT_LOCAL_INFILE, &no_local_files);
  }

  static Result<void> set_tls(MYSQL* connection, const Target& target, const MysqlDsn& dsn,
                              std::vector<MemoryFile>& files) {
    const auto text = [&](std::string_view name) {
      const base::Json* value = target.details.find(name);
      return value != nullptr && value->as_string() ? *value->as_string() : std::string();
    };
    const auto file = [&](const std::string& pem, mysql_option option) -> Result<void> {
      auto made = MemoryFile::make(pem);
      if (!made) return forward(made);
      mysql_optionsv(connection, option, made->path().c_str());
      files.push_back(std::move(*made));
      return {};
    };
    const std::string ca = text("tls_ca"), both = text("tls_certificate_key");
    const bool wanted = !ca.empty() || !both.empty() || (!dsn.tls.empty() && dsn.tls != "false");
    if (!wanted) return {};
    const base::Json* skip = target.details.find("tls_skip_verify");
    const bool unverified = dsn.tls == "skip-verify" || dsn.tls == "preferred" ||
                            (skip != nullptr && skip->as_bool() && *skip->as_bool());
    const my_bool enforce = 1, verify = unverified ? 0 : 1;
    mysql_optionsv(connection, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_optionsv(connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (!ca.empty()) {
      if (auto set = file(ca, MYSQL_OPT_SSL_CA); !set) return set;
    }
    if (!both.empty()) {
      if (auto set = file(both, MYSQL_OPT_SSL_CERT); !set) return set;
      if (auto set = file(both, MYSQL_OPT_SSL_KEY); !set) return set;
    }
    return {};
  }

  bool short_names_;
};

}  // namespace

std::unique_ptr<Plugin> make_mysql_plugin(bool short_names) {
  // Now, while there is one thread: the library's own first use of itself is not safe with more.
  mysql_server_init(0, nullptr, nullptr);
  return std::make_unique<MysqlPlugin>(short_names);
}

}  // namespace rekey::engine::database
