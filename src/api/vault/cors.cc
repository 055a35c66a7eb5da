#include "api/vault/cors.h"

#include <algorithm>

namespace rekey::api::vault {
namespace {

constexpr std::string_view kMethods = "DELETE,GET,OPTIONS,POST,PUT,PATCH,LIST";
constexpr std::string_view kPreflightAge = "300";  // seconds that a browser may keep the answer

bool is_method(std::string_view wanted) {
  std::string_view rest = kMethods;
  while (!rest.empty()) {
    const std::string_view method = rest.substr(0, rest.find(','));
    if (method == wanted) return true;
    rest.remove_prefix(std::min(method.size() + 1, rest.size()));
  }
  return false;
}

void add(std::string& headers, std::string_view name, std::string_view value) {
  headers.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

CorsVerdict judge_origin(const pipeline::Cors* cors, const net::Request& http) {
  CorsVerdict verdict;
  if (cors == nullptr) return verdict;
  const std::string_view origin = http.header("Origin");
  if (origin.empty()) return verdict;
  // What goes into the answer is what was configured, not the bytes of the request.
  const auto allowed =
      cors->any_origin() ? cors->origins.begin() : std::ranges::find(cors->origins, origin);
  if (allowed == cors->origins.end()) {
    verdict.refused = true;
    return verdict;
  }
  add(verdict.headers, "Access-Control-Allow-Origin", *allowed);
  add(verdict.headers, "Vary", "Origin");
  if (http.method != "OPTIONS" || !is_method(http.header("Access-Control-Request-Method"))) {
    return verdict;
  }
  verdict.preflight = true;
  std::string names;
  for (const std::string& name : cors->headers) names.append(names.empty() ? "" : ",").append(name);
  add(verdict.headers, "Access-Control-Allow-Methods", kMethods);
  add(verdict.headers, "Access-Control-Allow-Headers", names);
  add(verdict.headers, "Access-Control-Max-Age", kPreflightAge);
  return verdict;
}

}  // namespace rekey::api::vault
