#include "identity/token_ttl.h"

#include <algorithm>

#include "base/clock.h"

namespace rekey::identity {
namespace {

std::string quoted(int64_t seconds) {
  return "\"" + base::format_duration(std::chrono::seconds(seconds)) + "\"";
}

}  // namespace

base::Result<int64_t> choose_token_ttl(TtlQuestion q, std::vector<std::string>& warnings) {
  int64_t longest = q.longest_s;
  if (q.max_ttl_s > 0) longest = std::min(longest, q.max_ttl_s);
  if (q.explicit_max_ttl_s > 0) longest = std::min(longest, q.explicit_max_ttl_s);
  int64_t ttl = 0;
  int64_t lifetime = 0;  // from its making to its end, whatever is renewed; 0: no end
  if (q.period_s > 0) {
    if (q.period_s > longest) {
      warnings.push_back("period of " + quoted(q.period_s) + " exceeded the effective max_ttl of " +
                         quoted(longest) + "; period value is capped accordingly");
      q.period_s = longest;
    }
    ttl = q.period_s;
    lifetime = q.explicit_max_ttl_s;
  } else {
    ttl = q.increment_s > 0 ? q.increment_s : q.ttl_s > 0 ? q.ttl_s : q.default_ttl_s;
    lifetime = longest;
  }
  if (lifetime > 0) {
    const int64_t left = lifetime - q.age_s;
    if (left <= 0) {
      return base::fail(base::ErrorKind::kInvalid, "past the max TTL, cannot renew");
    }
    if (left < ttl) {
      warnings.push_back("TTL of " + quoted(ttl) + " exceeded the effective max_ttl of " +
                         quoted(left) + "; TTL value is capped accordingly");
      ttl = left;
    }
  }
  return std::max<int64_t>(ttl, 1);
}

}  // namespace rekey::identity
