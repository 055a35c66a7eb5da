// rooms: policy
// The first line is a path, the rest a policy. Whatever parses must compile, and the compiled
// decision must be the one that the explanation comes to by the definition.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "policy/policy.h"

namespace {

using rekey::policy::Acl;
using rekey::policy::Capability;
using rekey::policy::Decision;
using rekey::policy::Explanation;
using rekey::policy::Policy;
using rekey::policy::Query;
using rekey::policy::TemplateContext;

void check(const Acl& acl, const Query& query) {
  const Decision decision = acl.decide(query);
  const Explanation explanation = acl.explain(query);
  REKEY_CHECK(explanation.matches.empty() == decision.pattern.empty());
  if (!explanation.matches.empty()) {
    REKEY_CHECK(explanation.matches.front().pattern == decision.pattern);
  }
  REKEY_CHECK(!decision.allowed || explanation.capabilities.has(query.needed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t line_end = std::min(text.find('\n'), text.size());
  const std::string_view path = text.substr(0, line_end);
  text.remove_prefix(std::min(line_end + 1, text.size()));

  std::vector<std::string> warnings;
  auto policy = rekey::policy::parse_policy("p", text, warnings);
  if (!policy) return 0;
  TemplateContext context{.entity_id = "e", .entity_name = "*", .entity_metadata = {{"a", "+"}}};
  const std::vector<std::shared_ptr<const Policy>> policies = {
      std::make_shared<const Policy>(std::move(*policy))};
  const rekey::base::JsonObject body{{"a", rekey::base::Json("b")}, {"n", rekey::base::Json(5)}};
  for (const TemplateContext* used :
       {static_cast<const TemplateContext*>(nullptr), &std::as_const(context)}) {
    const auto acl = Acl::compile(policies, used);
    check(*acl, {.path = path, .needed = Capability::kRead});
    check(*acl, {.path = path, .needed = Capability::kList});
    check(*acl, {.path = path, .needed = Capability::kUpdate, .parameters = &body});
    (void)acl->reaches_below(path);
    (void)acl->capabilities(path).names();
  }
  return 0;
}
