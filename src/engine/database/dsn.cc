#include "engine/database/dsn.h"

#include <charconv>

namespace rekey::engine::database {
namespace {

std::unexpected<base::Error> wrong(std::string_view what) {
  return base::fail(base::ErrorKind::kInvalid, "invalid connection_url: " + std::string(what));
}

std::string filled(std::string_view text, std::string_view user, std::string_view password) {
  if (text == "{{username}}") return std::string(user);
  if (text == "{{password}}") return std::string(password);
  return std::string(text);
}

bool read_address(std::string_view address, MysqlDsn& dsn) {
  const size_t colon = address.rfind(':');
  const bool bracketed = address.starts_with('[');
  const size_t bracket = address.find(']');
  if (bracketed && bracket == std::string_view::npos) return false;
  const bool has_port = colon != std::string_view::npos && (!bracketed || colon == bracket + 1);
  std::string_view host = has_port ? address.substr(0, colon) : address;
  if (bracketed) host = host.substr(1, bracket - 1);
  dsn.host = host.empty() ? "localhost" : std::string(host);
  if (!has_port) return true;
  const std::string_view port = address.substr(colon + 1);
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), dsn.port);
  return problem == std::errc() && end == port.data() + port.size() && dsn.port != 0;
}

void read_parameters(std::string_view text, MysqlDsn& dsn) {
  while (!text.empty()) {
    const size_t end = text.find('&');
    const std::string_view one = text.substr(0, end);
    if (one.starts_with("tls=")) dsn.tls = one.substr(4);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
}

}  // namespace

base::Result<MysqlDsn> parse_mysql_dsn(std::string_view text, std::string_view user,
                                       std::string_view password) {
  if (text.size() > kConnectionUrlBytesMax) return wrong("it is too long");
  if (text.find('\0') != std::string_view::npos) return wrong("it holds a zero byte");
  MysqlDsn dsn;
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return wrong("missing the slash before the database name");
  const size_t question = text.find('?', slash);
  dsn.database = text.substr(slash + 1, question - slash - 1);
  if (question != std::string_view::npos) read_parameters(text.substr(question + 1), dsn);
  std::string_view rest = text.substr(0, slash);
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view account = rest.substr(0, at);
    const size_t colon = account.find(':');
    dsn.user = filled(account.substr(0, colon), user, password);
    if (colon != std::string_view::npos) {
      dsn.password = filled(account.substr(colon + 1), user, password);
    }
    rest = rest.substr(at + 1);
  }
  const size_t open = rest.find('(');
  if (open == std::string_view::npos || !rest.ends_with(')')) {
    return wrong("expected an address like tcp(host:port)");
  }
  const std::string_view protocol = rest.substr(0, open);
  const std::string_view address = rest.substr(open + 1, rest.size() - open - 2);
  if (protocol == "unix") {
    dsn.socket = address;
  } else if (protocol != "tcp" || !read_address(address, dsn)) {
    return wrong("expected an address like tcp(host:port)");
  }
  return dsn;
}

}  // namespace rekey::engine::database
