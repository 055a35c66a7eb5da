#include <unordered_map>

#include "base/check.h"
#include "policy/acl_impl.h"
#include "policy/parameters.h"

namespace rekey::policy {

namespace {

std::string_view drop_leading_slashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

// The wrapping TTL is asked for whatever the operation is.
bool wrap_ttl_fits(const Grant& grant, const std::optional<base::Duration>& ttl) {
  const base::Duration min = grant.min_wrapping_ttl, max = grant.max_wrapping_ttl;
  if (min.count() == 0 && max.count() == 0) return true;
  if (!ttl) return false;
  return (max.count() == 0 || *ttl <= max) && (min.count() == 0 || *ttl >= min);
}

bool looks_at_parameters(Capability needed) {
  return needed == Capability::kRead || needed == Capability::kCreate ||
         needed == Capability::kUpdate || needed == Capability::kPatch;
}

}  // namespace

Acl::Acl(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Acl::~Acl() = default;

std::shared_ptr<const Acl> Acl::compile(std::span<const std::shared_ptr<const Policy>> policies,
                                        const TemplateContext* context) {
  auto impl = std::make_unique<Impl>();
  impl->policies.assign(policies.begin(), policies.end());
  impl->grants = merge(impl->policies, context);
  for (const Grant& grant : impl->grants.exact) impl->by_path.emplace(grant.written, &grant);
  std::vector<const Pattern*> patterns;
  for (const Grant& grant : impl->grants.wild) patterns.push_back(&grant.pattern);
  impl->index.build(patterns);
  return std::shared_ptr<const Acl>(new Acl(std::move(impl)));
}

const Grant* Acl::Impl::find(std::string_view path, bool list) const {
  const auto exact = [&](std::string_view text) {
    const auto at = by_path.find(text);
    return at == by_path.end() ? nullptr : at->second;
  };
  const auto wild = [&](std::string_view text) {
    const int rank = index.find(text);
    return rank == PathIndex::kNone ? nullptr : &grants.wild[static_cast<size_t>(rank)];
  };
  // A list of a folder ends with a slash, which rules for it often lack.
  const bool trim = list && path.ends_with('/');
  const std::string_view trimmed = path.substr(0, path.size() - (trim ? 1 : 0));
  if (const Grant* grant = exact(path)) return grant;
  if (const Grant* grant = trim ? exact(trimmed) : nullptr) return grant;
  if (const Grant* grant = wild(path)) return grant;
  return trim ? wild(trimmed) : nullptr;
}

bool Acl::root() const { return impl_->grants.root; }

Decision Acl::decide(const Query& query) const {
  if (impl_->grants.root) {
    return {.allowed = true,
            .root = true,
            .sudo = true,
            .reason = Reason::kRoot,
            .policy = impl_->grants.root_policy};
  }
  const Grant* grant =
      impl_->find(drop_leading_slashes(query.path), query.needed == Capability::kList);
  return grant ? impl_->judge(*grant, query) : Decision{};
}

Decision Acl::Impl::judge(const Grant& grant, const Query& query) const {
  Decision decision;
  decision.sudo = grant.capabilities.has(Capability::kSudo);
  decision.pattern = grant.written;
  const bool denied = grant.capabilities.has(Capability::kDeny);
  const Source& source = grant.source_of(denied ? Capability::kDeny : query.needed);
  decision.policy = source.policy->name;
  decision.line = source.rule->line;
  if (denied) {
    decision.reason = Reason::kDenied;
  } else if (!grant.capabilities.has(query.needed)) {
    decision.reason = Reason::kNotGranted;
  } else if (!wrap_ttl_fits(grant, query.wrap_ttl)) {
    decision.reason = Reason::kWrapTtl;
  } else if (looks_at_parameters(query.needed)) {
    const ParameterVerdict verdict = judge_parameters(grant, query.parameters);
    decision.reason = verdict.reason;
    decision.parameter = verdict.parameter;
  } else {
    decision.reason = Reason::kGranted;
  }
  decision.allowed = decision.reason == Reason::kGranted;
  return decision;
}

CapabilitySet Acl::capabilities(std::string_view path) const {
  if (impl_->grants.root) {
    using enum Capability;
    return {kCreate, kRead, kUpdate, kDelete, kList, kSudo, kPatch};
  }
  const Grant* grant = impl_->find(drop_leading_slashes(path), true);
  return grant ? grant->capabilities : CapabilitySet{};
}

bool Acl::reaches_below(std::string_view prefix) const {
  prefix = drop_leading_slashes(prefix);
  const auto gives = [](CapabilitySet set) { return !set.empty() && !set.has(Capability::kDeny); };
  if (impl_->grants.root || gives(capabilities(prefix))) return true;
  for (const auto* grants : {&impl_->grants.exact, &impl_->grants.wild}) {
    for (const Grant& grant : *grants) {
      // A prefix that ends above, like `*`, was asked for with capabilities(): what is more
      // particular about the mount itself goes before it.
      const bool above = grant.pattern.prefix && grant.pattern.segments == 0 &&
                         grant.pattern.text.size() < prefix.size();
      if (gives(grant.capabilities) && !above && grant.pattern.reaches(prefix)) return true;
    }
  }
  return false;
}

std::vector<Acl::Effective> Acl::effective() const {
  std::vector<Effective> out;
  for (const auto* grants : {&impl_->grants.exact, &impl_->grants.wild}) {
    for (const Grant& grant : *grants) {
      out.push_back({grant.pattern.text, grant.pattern.prefix, grant.pattern.segments > 0,
                     grant.capabilities});
    }
  }
  return out;
}

}  // namespace rekey::policy
