#include "net/request_target.h"

#include <algorithm>

#include "net/http_message.h"

namespace rekey::net {
namespace {

// Bytes above 127 pass, as with Go's servers: what they mean is the api's question.
bool is_target(std::string_view text) {
  bool right = true;  // without an early way out, so that the compiler does many at a time
  for (const unsigned char c : text) right &= (c > ' ') & (c != 0x7f) & (c != '#');
  return right;
}

}  // namespace

bool split_request_target(std::string_view method, std::string_view target, std::string_view& path,
                          std::string_view& query) {
  if (!is_target(target)) return false;
  path = target, query = {};
  if (target == "*") return method == "OPTIONS";
  if (!target.starts_with('/')) {
    const size_t scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) return false;
    const std::string_view scheme = target.substr(0, scheme_end);
    if (!equal_ignoring_case(scheme, "http") && !equal_ignoring_case(scheme, "https")) return false;
    const std::string_view rest = target.substr(scheme_end + 3);
    const size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
    const std::string_view authority = rest.substr(0, authority_end);
    if (authority.empty() || authority.contains('@')) return false;
    path = rest.substr(authority_end);
  }
  if (const size_t mark = path.find('?'); mark != std::string_view::npos) {
    query = path.substr(mark + 1);
    path = path.substr(0, mark);
  }
  if (path.empty()) path = "/";
  return true;
}

}  // namespace rekey::net
