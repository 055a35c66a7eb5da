// postgresql-database-plugin, over libpq.
#include <libpq-fe.h>

#include <algorithm>
#include <array>

#include "base/codec.h"
#include "engine/database/dsn.h"
#include "engine/database/memory_file.h"
#include "engine/database/plugin.h"
#include "engine/database/statement.h"

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Result;

struct ConnectionDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, ConnectionDeleter>;
struct AnswerDeleter {
  void operator()(PGresult* answer) const { PQclear(answer); }
};
using Answer = std::unique_ptr<PGresult, AnswerDeleter>;

constexpr std::string_view kDefaultExtension =
    "ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'";
constexpr std::string_view kDefaultPassword =
    "ALTER ROLE \"{{username}}\" WITH PASSWORD '{{password}}'";

// What a connection_url may set. Nothing that names files of the server's or other configurations.
constexpr std::array<std::string_view, 16> kAllowedKeywords = {"host",
                                                               "hostaddr",
                                                               "port",
                                                               "dbname",
                                                               "user",
                                                               "password",
                                                               "sslmode",
                                                               "application_name",
                                                               "keepalives",
                                                               "keepalives_idle",
                                                               "channel_binding",
                                                               "target_session_attrs",
                                                               "gssencmode",
                                                               "client_encoding",
                                                               "ssl_min_protocol_version",
                                                               "tcp_user_timeout"};

std::string first_line(const char* text) {
  std::string line(text == nullptr ? "" : text);
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
  if (line.size() > 300) line.resize(300);
  for (char& c : line) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return line;
}

// In a URL's places a name or a password is percent-encoded; between quotes of the other form it is
// escaped by backslashes.
std::string url_with_account(const Target& target) {
  const bool is_url =
      target.url.starts_with("postgres://") || target.url.starts_with("postgresql://");
  const auto escaped = [&](std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (is_url && !std::isalnum(static_cast<unsigned char>(c))) {
        out += '%';
        out += base::hex_encode(std::string_view(&c, 1));
      } else if (!is_url && (c == '\'' || c == '\\' || c == ' ')) {
        out += '\\';
        out += c;
      } else {
        out += c;
      }
    }
    return out;
  };
  std::string url = target.url;
  for (const auto& [placeholder, value] :
       {std::pair<std::string_view, std::string>{"{{username}}", escaped(target.username)},
        {"{{password}}", escaped(target.password)}}) {
    if (const size_t at = url.find(placeholder); at != std::string::npos) {
      url.replace(at, placeholder.size(), value);
    }
  }
  return url;
}

struct Parameters {
  std::vector<std::string> keywords, values;
  void set(std::string_view keyword, std::string_view value) {
    for (size_t i = 0; i < keywords.size(); i++) {
      if (keywords[i] == keyword) {
        values[i] = value;
        return;
      }
    }
    keywords.emplace_back(keyword);
    values.emplace_back(value);
  }
};

Result<Parameters> parse_url(const Target& target) {
  if (target.url.empty() || target.url.size() > kConnectionUrlBytesMax) {
    return base::fail(ErrorKind::kInvalid, "connection_url cannot be empty or longer than 4 KiB");
  }
  char* problem = nullptr;
  PQconninfoOption* options = PQconninfoParse(url_with_account(target).c_str(), &problem);
  if (options == nullptr) {
    PQfreemem(problem);  // it may quote the password
    return base::fail(ErrorKind::kInvalid, "connection_url can't be parsed");
  }
  Parameters parameters;
  std::string refused;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; option++) {
    if (option->val == nullptr || *option->val == '\0') continue;
    const std::string_view keyword = option->keyword;
    if (keyword == "connect_timeout") continue;
    if (std::ranges::find(kAllowedKeywords, keyword) == kAllowedKeywords.end()) {
      refused = keyword;
      break;
    }
    parameters.set(keyword, option->val);
  }
  PQconninfoFree(options);
  if (!refused.empty()) {
    return base::fail(ErrorKind::kInvalid, "connection_url: " + refused +
                                               " can't be set here (for TLS see tls_ca, "
                                               "tls_certificate and private_key)");
  }
  return parameters;
}

class PostgresSession final : public Session {
 public:
  PostgresSession(Connection connection, bool scram, std::vector<MemoryFile> files)
      : connection_(std::move(connection)), scram_(scram), files_(std::move(files)) {}

  Result<void> check() override { return execute("SELECT 1"); }

  Result<void> create_user(const NewUser& user) override {
    auto password = stored_password(user.username, user.password);
    if (!password) return forward(password);
    const std::string until = expiration_text(user.expires_s);
    auto made = run_all(user.creation, {{"name", user.username},
                                        {"username", user.username},
                                        {"password", *password},
                                        {"expiration", until}});
    if (made || user.rollback.empty()) return made;
    // One transaction, so nothing is left; the statements are for what a transaction can't undo.
    (void)run_all(user.rollback, {{"name", user.username}, {"username", user.username}});
    return made;
  }

  Result<void> set_password(std::string_view username, std::string_view password,
                            std::span<const std::string> statements) override {
    auto stored = stored_password(username, password);
    if (!stored) return forward(stored);
    const std::array<std::string, 1> usual{std::string(kDefaultPassword)};
    return run_all(statements.empty() ? std::span<const std::string>(usual) : statements,
                   {{"name", username}, {"username", username}, {"password", *stored}});
  }

  Result<void> extend_user(std::string_view username, int64_t expires_s,
                           std::span<const std::string> statements) override {
    const std::string until = expiration_text(expires_s);
    const std::array<std::string, 1> usual{std::string(kDefaultExtension)};
    return run_all(statements.empty() ? std::span<const std::string>(usual) : statements,
                   {{"name", username}, {"username", username}, {"expiration", until}});
  }

  Result<void> drop_user(std::string_view username,
                         std::span<const std::string> statements) override {
    if (!statements.empty()) {
      return run_all(statements, {{"name", username}, {"username", username}});
    }
    return drop_by_default(std::string(username));
  }

 private:
  std::unexpected<base::Error> failed(const PGresult* answer) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
      return base::fail(ErrorKind::kUnavailable, "the connection to the database was lost",
                        first_line(PQerrorMessage(connection_.get())));
    }
    // The primary message: the context and detail could quote the statement and so a password.
    const char* message =
        answer == nullptr ? nullptr : PQresultErrorField(answer, PG_DIAG_MESSAGE_PRIMARY);
    const char* state = answer == nullptr ? nullptr : PQresultErrorField(answer, PG_DIAG_SQLSTATE);
    const bool timed_out = state != nullptr && std::string_view(state) == "57014";
    return base::fail(timed_out ? ErrorKind::kTimeout : ErrorKind::kUpstream,
                      "the database said: " + first_line(message));
  }

  // One statement without parameters; its answer isn't looked at.
  Result<void> execute(const std::string& statement) {
    const Answer answer(PQexec(connection_.get(), statement.c_str()));
    const auto status = PQresultStatus(answer.get());
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return {};
    return failed(answer.get());
  }

  // The first column of what a query about `argument` gives.
  Result<std::vector<std::string>> column(const char* query, const std::string& argument) {
    const char* const values[] = {argument.c_str()};
    const Answer answer(
        PQexecParams(connection_.get(), query, 1, nullptr, values, nullptr, nullptr, 0));
    if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK) return failed(answer.get());
    std::vector<std::string> items;
    for (int row = 0; row < PQntuples(answer.get()); row++) {
      items.emplace_back(PQgetvalue(answer.get(), row, 0));
    }
    return items;
  }

  // All of them or none.
  Result<void> run_all(std::span<const std::string> statements, const Values& values) {
    auto begun = execute("BEGIN");
    if (!begun) return begun;
    for (const std::string& text : statements) {
      for (const std::string& statement : split_statements(text)) {
        auto ran = execute(fill_in(statement, values, false));
        if (!ran) {
          (void)execute("ROLLBACK");
          return ran;
        }
      }
    }
    return execute("COMMIT");
  }

  // With password_authentication=scram-sha-256 the database never sees the password itself.
  Result<std::string> stored_password(std::string_view username, std::string_view password) {
    if (!scram_) return std::string(password);
    char* encrypted = PQencryptPasswordConn(connection_.get(), std::string(password).c_str(),
                                            std::string(username).c_str(), "scram-sha-256");
    if (encrypted == nullptr) {
      return base::fail(ErrorKind::kUpstream, "the password can't be made into a SCRAM verifier");
    }
    std::string text(encrypted);
    PQfreemem(encrypted);
    return text;
  }

  // Nobody logs in any more, who is in is thrown out, what it was granted is taken back.
  Result<void> drop_by_default(const std::string& username) {
    auto there = column("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = $1", username);
    if (!there) return forward(there);
    if (there->empty()) return {};
    const std::string name = quoted_identifier(username, '"');
    auto barred = execute("ALTER ROLE " + name + " NOLOGIN");
    if (!barred) return barred;
    // Needs rights that the account may not have; the role is dropped all the same.
    (void)column(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
        "WHERE usename = $1",
        username);
    auto schemas = column(
        "SELECT DISTINCT table_schema FROM information_schema.role_table_grants WHERE grantee = $1 "
        "UNION SELECT 'public'",
        username);
    if (!schemas) return forward(schemas);
    std::vector<std::string> statements;
    for (const std::string& one : *schemas) {
      const std::string schema = quoted_identifier(one, '"');
      for (const char* what : {"ALL TABLES IN SCHEMA ", "ALL SEQUENCES IN SCHEMA ",
                               "ALL FUNCTIONS IN SCHEMA ", "SCHEMA "}) {
        statements.push_back("REVOKE ALL PRIVILEGES ON " + std::string(what) + schema + " FROM " +
                             name);
      }
    }
    const char* database = PQdb(connection_.get());
    statements.push_back("REVOKE ALL PRIVILEGES ON DATABASE " +
                         quoted_identifier(database == nullptr ? "" : database, '"') + " FROM " +
                         name);
    for (const std::string& statement : statements) {
      // One that can't be taken back (not its grantor, no such schema) shows at DROP ROLE.
      (void)execute(statement);
    }
    return execute("DROP ROLE IF EXISTS " + name);
  }

  Connection connection_;
  bool scram_;
  std::vector<MemoryFile> files_;  // libpq opens them again when it reconnects
};

class PostgresPlugin final : public Plugin {
 public:
  Result<void> check_target(const Target& target) const override {
    auto parameters = parse_url(target);
    if (!parameters) return forward(parameters);
    return {};
  }

  std::string_view default_username_template() const override {
    return R"({{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) )"
           R"((random 20) (unix_time) | truncate 63 }})";
  }

  Result<std::unique_ptr<Session>> connect(const Target& target) const override {
    auto parsed = parse_url(target);
    if (!parsed) return forward(parsed);
    Parameters& parameters = *parsed;
    std::vector<MemoryFile> files;
    const auto text = [&](std::string_view name) {
      const base::Json* value = target.details.find(name);
      return value != nullptr && value->as_string() ? *value->as_string() : std::string();
    };
    for (const auto& [detail, keyword] :
         {std::pair<const char*, const char*>{"tls_ca", "sslrootcert"},
          {"tls_certificate", "sslcert"},
          {"private_key", "sslkey"}}) {
      const std::string pem = text(detail);
      if (pem.empty()) continue;
      auto file = MemoryFile::make(pem);
      if (!file) return forward(file);
      parameters.set(keyword, file->path());
      files.push_back(std::move(*file));
    }
    using std::chrono::duration_cast;
    parameters.set("connect_timeout",
                   std::to_string(duration_cast<std::chrono::seconds>(kConnectTimeout).count()));
    parameters.set("passfile", "/dev/null");
    parameters.set(
        "tcp_user_timeout",
        std::to_string(duration_cast<std::chrono::milliseconds>(kStatementTimeout).count()));
    parameters.set(
        "options",
        "-c statement_timeout=" +
            std::to_string(duration_cast<std::chrono::milliseconds>(kStatementTimeout).count()));
    parameters.set("application_name", "rekey");
    std::vector<const char*> keywords, values;
    for (size_t i = 0; i < parameters.keywords.size(); i++) {
      keywords.push_back(parameters.keywords[i].c_str());
      values.push_back(parameters.values[i].c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    Connection connection(PQconnectdbParams(keywords.data(), values.data(), 0));
    if (PQstatus(connection.get()) != CONNECTION_OK) {
      return base::fail(ErrorKind::kUnavailable, "error verifying connection: " +
                                                     first_line(PQerrorMessage(connection.get())));
    }
    PQsetNoticeProcessor(connection.get(), [](void*, const char*) {}, nullptr);
    return std::make_unique<PostgresSession>(std::move(connection),
                                             text("password_authentication") == "scram-sha-256",
                                             std::move(files));
  }
};

}  // namespace

std::unique_ptr<Plugin> make_postgres_plugin() { return std::make_unique<PostgresPlugin>(); }

}  // namespace rekey::engine::database
