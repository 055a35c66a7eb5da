// redis-database-plugin: users of Redis' ACLs. hiredis writes and reads the protocol; the bytes go
// over net::ByteStream, because Debian's hiredis knows no TLS.
#include <hiredis/hiredis.h>

#include <algorithm>

#include "base/codec.h"
#include "engine/database/plugin.h"
#include "net/byte_stream.h"

namespace rekey::engine::database {
namespace {

using base::ErrorKind;
using base::Result;

constexpr size_t kReplyBytesMax = 1 << 20;
const std::vector<std::string> kDefaultRules = {"~*", "+@read"};

struct ReaderDeleter {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
struct ReplyDeleter {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, ReplyDeleter>;

std::string text_of(const base::JsonObject& details, std::string_view name) {
  const base::Json* value = details.find(name);
  return value != nullptr && value->as_string() ? *value->as_string() : std::string();
}

bool flag_of(const base::JsonObject& details, std::string_view name) {
  const base::Json* value = details.find(name);
  if (value == nullptr) return false;
  if (const std::string* text = value->as_string()) return *text == "true" || *text == "1";
  return value->as_bool() && *value->as_bool();
}

// Rules may not set passwords or switch the user, nor hold blanks: one statement is one list of
// words, as JSON or separated by blanks.
Result<std::vector<std::string>> rules_of(std::span<const std::string> statements) {
  std::vector<std::string> rules;
  for (const std::string& statement : statements) {
    const auto list = base::Json::parse(statement);
    if (list && list->as_array() != nullptr) {
      for (const base::Json& item : *list->as_array()) {
        if (const std::string* rule = item.as_string()) rules.push_back(*rule);
      }
      continue;
    }
    size_t at = 0;
    while ((at = statement.find_first_not_of(' ', at)) != std::string::npos) {
      const size_t end = statement.find(' ', at);
      rules.push_back(statement.substr(at, end - at));
      if (end == std::string::npos) break;
      at = end;
    }
  }
  for (const std::string& rule : rules) {
    if (rule.empty() || std::string_view("><#!").contains(rule[0]) || rule == "nopass") {
      return base::fail(ErrorKind::kInvalid, "creation_statements: a rule may not set a password");
    }
  }
  return rules.empty() ? kDefaultRules : rules;
}

class RedisSession final : public Session {
 public:
  RedisSession(std::unique_ptr<net::ByteStream> stream, std::string persistence)
      : stream_(std::move(stream)),
        reader_(redisReaderCreate()),
        persistence_(std::move(persistence)) {}

  Result<void> check() override { return command({"PING"}); }

  Result<void> log_in(const std::string& username, const std::string& password) {
    if (password.empty()) return {};
    if (username.empty()) return command({"AUTH", password});
    return command({"AUTH", username, password});
  }

  Result<void> create_user(const NewUser& user) override {
    auto rules = rules_of(user.creation);
    if (!rules) return forward(rules);
    std::vector<std::string> words{"ACL",   "SETUSER", std::string(user.username),
                                   "reset", "on",      ">" + std::string(user.password)};
    words.insert(words.end(), rules->begin(), rules->end());
    auto made = command(words);
    if (!made) {
      (void)command({"ACL", "DELUSER", std::string(user.username)});
      return made;
    }
    return persist();
  }

  Result<void> set_password(std::string_view username, std::string_view password,
                            std::span<const std::string>) override {
    auto set = command(
        {"ACL", "SETUSER", std::string(username), "resetpass", ">" + std::string(password)});
    if (!set) return set;
    return persist();
  }

  Result<void> extend_user(std::string_view, int64_t, std::span<const std::string>) override {
    return {};
  }

  Result<void> drop_user(std::string_view username, std::span<const std::string>) override {
    // Ends the user's connections as well.
    auto dropped = command({"ACL", "DELUSER", std::string(username)});
    if (!dropped) return dropped;
    return persist();
  }

 private:
  Result<void> persist() {
    if (persistence_ == "aclfile") return command({"ACL", "SAVE"});
    if (persistence_ == "rewrite") return command({"CONFIG", "REWRITE"});
    return {};
  }

  Result<void> command(const std::vector<std::string>& words) {
    std::vector<const char*> parts;
    std::vector<size_t> lengths;
    for (const std::string& word : words) {
      parts.push_back(word.data());
      lengths.push_back(word.size());
    }
    char* formatted = nullptr;
    const auto size = redisFormatCommandArgv(&formatted, static_cast<int>(parts.size()),
                                             parts.data(), lengths.data());
    if (size < 0) return base::fail(ErrorKind::kInternal, "a command can't be written");
    const std::string bytes(formatted, static_cast<size_t>(size));
    redisFreeCommand(formatted);
    auto sent = stream_->send(bytes);
    if (!sent) return sent;
    return read_reply();
  }

  Result<void> read_reply() {
    size_t taken = 0;
    while (true) {
      void* made = nullptr;
      if (redisReaderGetReply(reader_.get(), &made) != REDIS_OK) {
        return base::fail(ErrorKind::kUnavailable, "the database's answer can't be read");
      }
      if (made != nullptr) {
        const Reply reply(static_cast<redisReply*>(made));
        if (reply->type != REDIS_REPLY_ERROR) return {};
        std::string words(reply->str, std::min<size_t>(reply->len, 300));
        return base::fail(ErrorKind::kUpstream, "the database said: " + words);
      }
      auto bytes = stream_->receive();
      if (!bytes) return forward(bytes);
      taken += bytes->size();
      if (taken > kReplyBytesMax) {
        return base::fail(ErrorKind::kUnavailable, "the database's answer is too long");
      }
      if (redisReaderFeed(reader_.get(), bytes->data(), bytes->size()) != REDIS_OK) {
        return base::fail(ErrorKind::kUnavailable, "the database's answer can't be read");
      }
    }
  }

  std::unique_ptr<net::ByteStream> stream_;
  std::unique_ptr<redisReader, ReaderDeleter> reader_;
  std::string persistence_;
};

class RedisPlugin final : public Plugin {
 public:
  Result<void> check_target(const Target& target) const override {
    auto options = options_of(target);
    if (!options) return forward(options);
    return {};
  }

  std::string_view default_username_template() const override {
    return R"({{ printf "V_%s_%s_%s_%s" (.DisplayName | uppercase | truncate 64) )"
           R"((.RoleName | uppercase | truncate 64) (random 20 | uppercase) (unix_time) )"
           R"(| truncate 320 }})";
  }
  bool needs_creation_statements() const override { return false; }

  Result<std::unique_ptr<Session>> connect(const Target& target) const override {
    auto options = options_of(target);
    if (!options) return forward(options);
    auto stream = net::ByteStream::connect(*options);
    if (!stream) {
      return base::fail(stream.error().kind(),
                        "error verifying connection: " + stream.error().message());
    }
    std::string persistence = text_of(target.details, "persistence_mode");
    persistence = base::to_lower(persistence);
    auto session = std::make_unique<RedisSession>(std::move(*stream), std::move(persistence));
    auto in = session->log_in(target.username, target.password);
    if (!in) {
      return base::fail(ErrorKind::kUnavailable,
                        "error verifying connection: " + in.error().message());
    }
    return session;
  }

 private:
  static Result<net::ByteStreamOptions> options_of(const Target& target) {
    net::ByteStreamOptions options;
    options.host = text_of(target.details, "host");
    const base::Json* port = target.details.find("port");
    int64_t number = port == nullptr ? 0 : port->as_int().value_or(0);
    if (port != nullptr && port->as_string()) {
      const auto parsed = base::Json::parse(*port->as_string());
      number = parsed ? parsed->as_int().value_or(0) : 0;
    }
    if (options.host.empty()) return base::fail(ErrorKind::kInvalid, "host cannot be empty");
    if (options.host.find_first_of("/@?# ") != std::string::npos) {
      return base::fail(ErrorKind::kInvalid, "host must be a name or an address");
    }
    if (number < 1 || number > 65'535) {
      return base::fail(ErrorKind::kInvalid, "port must be between 1 and 65535");
    }
    options.port = static_cast<uint16_t>(number);
    options.tls = flag_of(target.details, "tls");
    options.verify = !flag_of(target.details, "insecure_tls");
    options.ca_pem = text_of(target.details, "ca_cert");
    options.certificate_pem = text_of(target.details, "tls_certificate");
    options.key_pem = text_of(target.details, "private_key");
    options.connect_timeout = kConnectTimeout;
    options.wait_timeout = kStatementTimeout;
    return options;
  }
};

}  // namespace

std::unique_ptr<Plugin> make_redis_plugin() { return std::make_unique<RedisPlugin>(); }

}  // namespace rekey::engine::database
