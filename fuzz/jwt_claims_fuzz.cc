// rooms: auth/jwt auth/kubernetes
// The claims of a token and what a role asks of them, and an answer of Kubernetes, from anywhere:
// the first line is a pointer or name, the second the role's bound claims, the rest the claims.
#include <cstdint>
#include <string>
#include <string_view>

#include "auth/jwt/claims.h"
#include "auth/kubernetes/review.h"
#include "base/check.h"
#include "crypto/jwt.h"

namespace base = rekey::base;
namespace crypto = rekey::crypto;
namespace jwt = rekey::auth::jwt;
namespace kubernetes = rekey::auth::kubernetes;

namespace {

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

void try_role(const base::Json& claims, std::string_view name, std::string_view bound) {
  (void)jwt::user_of(claims, name, true);
  (void)jwt::groups_of(claims, name);
  (void)jwt::mapped_claims(claims, {{std::string(name), "m"}});
  const auto wanted = base::Json::parse(bound);
  if (!wanted || !wanted->is_object() || wanted->as_object()->empty()) return;
  for (const bool globs : {false, true}) {
    if (!jwt::check_bound_claims(claims, *wanted->as_object(), globs)) continue;
    for (const auto& [claim, value] : *wanted->as_object()) {
      REKEY_CHECK(jwt::find_claim(claims, claim) != nullptr);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view name = take_line(text), bound = take_line(text);
  if (const auto account = kubernetes::read_review(text, {})) {
    REKEY_CHECK(!account->space.empty() && !account->name.empty() && !account->uid.empty());
  }
  const auto claims = crypto::parse_jwt_claims(text);
  if (!claims) return 0;
  const base::WallTime now(std::chrono::seconds(1'800'000'000));
  if (crypto::check_jwt_times(*claims, now, {})) REKEY_CHECK(claims->has_times());
  (void)crypto::check_jwt_times_if_any(*claims, now);
  (void)kubernetes::account_of(claims->all);
  try_role(claims->all, name, bound);
  return 0;
}
