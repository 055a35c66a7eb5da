#include "policy/grants.h"

#include <algorithm>
#include <unordered_map>

#include "policy/template.h"

namespace rekey::policy {

namespace {

// No values means any value, and any beats some.
void merge_lists(ParameterLists& into, const ParameterLists& from) {
  for (const auto& [name, values] : from) {
    const auto [at, added] = into.try_emplace(name, values);
    if (added || at->second.empty()) continue;
    if (values.empty()) {
      at->second.clear();
    } else {
      at->second.insert(at->second.end(), values.begin(), values.end());
    }
  }
}

// Of two bounds the shorter lifetime, for the smallest as for the largest, as Vault.
void take_shorter(base::Duration& into, base::Duration from) {
  if (from.count() > 0 && (into.count() == 0 || from < into)) into = from;
}

void add_rule(Grant& grant, const Source& source) {
  grant.sources.push_back(source);
  if (grant.capabilities.has(Capability::kDeny)) return;
  const Rule& rule = *source.rule;
  if (rule.capabilities.has(Capability::kDeny)) {
    grant.capabilities = {Capability::kDeny};
    grant.allowed_parameters.clear();
    grant.denied_parameters.clear();
    grant.required_parameters.clear();
    grant.min_wrapping_ttl = grant.max_wrapping_ttl = {};
    return;
  }
  grant.capabilities.add(rule.capabilities);
  merge_lists(grant.allowed_parameters, rule.allowed_parameters);
  merge_lists(grant.denied_parameters, rule.denied_parameters);
  for (const std::string& name : rule.required_parameters) {
    auto& required = grant.required_parameters;
    if (std::find(required.begin(), required.end(), name) == required.end()) {
      required.push_back(name);
    }
  }
  take_shorter(grant.min_wrapping_ttl, rule.min_wrapping_ttl);
  take_shorter(grant.max_wrapping_ttl, rule.max_wrapping_ttl);
}

}  // namespace

const Source& Grant::source_of(Capability capability) const {
  for (const Source& source : sources) {
    if (source.rule->capabilities.has(capability)) return source;
  }
  return sources.front();
}

Grants merge(std::span<const std::shared_ptr<const Policy>> policies,
             const TemplateContext* context) {
  Grants grants;
  std::vector<Grant> all;
  std::unordered_map<std::string, size_t> by_path;
  for (const auto& policy : policies) {
    if (!policy) continue;
    if (policy->root) grants.root = true, grants.root_policy = policy->name;
    for (const Rule& rule : policy->rules) {
      std::string path = rule.path;
      if (rule.templated) {
        auto filled = fill_in(path, context);
        if (!filled) {
          grants.unresolved.push_back("policy " + policy->name + ", line " +
                                      std::to_string(rule.line) + ": path \"" + path +
                                      "\" never matches: " + filled.error());
          continue;
        }
        path = std::move(*filled);
      }
      const auto [at, added] = by_path.try_emplace(std::move(path), all.size());
      if (added) all.push_back({.pattern = Pattern::read(at->first), .written = at->first});
      add_rule(all[at->second], {policy.get(), &rule});
    }
  }
  for (Grant& grant : all) {
    (grant.pattern.exact() ? grants.exact : grants.wild).push_back(std::move(grant));
  }
  std::sort(grants.wild.begin(), grants.wild.end(),
            [](const Grant& a, const Grant& b) { return compare(a.pattern, b.pattern).order < 0; });
  return grants;
}

}  // namespace rekey::policy
