#include "policy/policy.h"

#include <array>

namespace rekey::policy {

namespace {

struct Named {
  Capability capability;
  std::string_view name;
};
// Sorted by name, as sys/capabilities answers.
constexpr std::array<Named, 8> kCapabilities{{{Capability::kCreate, "create"},
                                              {Capability::kDelete, "delete"},
                                              {Capability::kDeny, "deny"},
                                              {Capability::kList, "list"},
                                              {Capability::kPatch, "patch"},
                                              {Capability::kRead, "read"},
                                              {Capability::kSudo, "sudo"},
                                              {Capability::kUpdate, "update"}}};

}  // namespace

std::string_view capability_name(Capability capability) {
  for (const Named& named : kCapabilities) {
    if (named.capability == capability) return named.name;
  }
  return "unknown";
}

std::optional<Capability> parse_capability(std::string_view name) {
  for (const Named& named : kCapabilities) {
    if (named.name == name) return named.capability;
  }
  return std::nullopt;
}

std::vector<std::string_view> CapabilitySet::names() const {
  if (empty() || has(Capability::kDeny)) return {"deny"};
  std::vector<std::string_view> out;
  for (const Named& named : kCapabilities) {
    if (has(named.capability)) out.push_back(named.name);
  }
  return out;
}

std::string_view reason_text(Reason reason) {
  switch (reason) {
    case Reason::kRoot:
      return "the root policy allows everything";
    case Reason::kGranted:
      return "the rule grants it";
    case Reason::kNoRule:
      return "no rule matches the path";
    case Reason::kDenied:
      return "the rule denies the path";
    case Reason::kNotGranted:
      return "the rule doesn't grant this capability";
    case Reason::kWrapTtl:
      return "the rule asks for a wrapped response with a TTL within its bounds";
    case Reason::kMissingParameter:
      return "a parameter that the rule requires is missing";
    case Reason::kDeniedParameter:
      return "the rule denies a parameter or its value";
    case Reason::kParameter:
      return "a parameter or its value is not among those that the rule allows";
  }
  return "unknown";
}

std::string_view default_policy_text() {
  return R"(# What every token may do with itself. Edit it to take rights away or to add some.

# Look at, renew and give back the token that makes the request.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}

# Ask what the token may do.
path "sys/capabilities-self" {
  capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
  capabilities = ["read"]
}

# The token's own entity, by id and by name.
path "identity/entity/id/{{identity.entity.id}}" {
  capabilities = ["read"]
}
path "identity/entity/name/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Leases that the caller knows by their id. The first path is the old spelling.
path "sys/renew" {
  capabilities = ["update"]
}
path "sys/leases/renew" {
  capabilities = ["update"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}

# The token's private cupboard.
path "cubbyhole/*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}

# Wrapping of arbitrary values, and of what a wrapping token holds.
path "sys/wrapping/wrap" {
  capabilities = ["update"]
}
path "sys/wrapping/lookup" {
  capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}

# General helpers.
path "sys/tools/hash" {
  capabilities = ["update"]
}
path "sys/tools/hash/*" {
  capabilities = ["update"]
}

path "sys/control-group/request" {
  capabilities = ["update"]
}
path "identity/oidc/provider/+/authorize" {
  capabilities = ["read", "update"]
}
)";
}

std::string_view response_wrapping_policy_text() {
  return R"(path "cubbyhole/response" {
  capabilities = ["create", "read"]
}
path "sys/wrapping/unwrap" {
  capabilities = ["update"]
}
)";
}

}  // namespace rekey::policy
