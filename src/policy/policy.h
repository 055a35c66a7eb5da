// Policies: Vault's ACL language, read, compiled and decided. Pure: text and values in, reasons
// out.
//
// A Policy is one named text and what it says. An Acl is what all policies of one token say
// together; it is compiled once (identity caches it) and asked for every request. It knows no
// tokens, mounts or stores. Everything here is immutable after it was made: any thread.
//
// Language: https://developer.hashicorp.com/vault/docs/concepts/policies, with the precedence
// written there and shown case by case in testdata/precedence.txt.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

namespace rekey::policy {

enum class Capability : uint16_t {
  kDeny = 1 << 0,
  kCreate = 1 << 1,
  kRead = 1 << 2,
  kUpdate = 1 << 3,
  kDelete = 1 << 4,
  kList = 1 << 5,
  kSudo = 1 << 6,
  kPatch = 1 << 7,
};

std::string_view capability_name(Capability capability);
std::optional<Capability> parse_capability(std::string_view name);

class CapabilitySet {
 public:
  constexpr CapabilitySet() = default;
  constexpr CapabilitySet(std::initializer_list<Capability> items) {
    for (Capability item : items) add(item);
  }
  constexpr void add(Capability item) { bits_ |= static_cast<uint16_t>(item); }
  constexpr void add(CapabilitySet other) { bits_ |= other.bits_; }
  constexpr bool has(Capability item) const { return (bits_ & static_cast<uint16_t>(item)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool operator==(const CapabilitySet&) const = default;

  // As sys/capabilities lists them: sorted by name; {"deny"} where nothing or deny is in it.
  std::vector<std::string_view> names() const;

 private:
  uint16_t bits_ = 0;
};

// Parameter name (lower case) to the values that are allowed or denied; no values means any value.
using ParameterLists = std::map<std::string, std::vector<base::Json>, std::less<>>;

// One `path` block.
struct Rule {
  std::string path;  // as written, without a leading slash; may hold {{templates}}
  CapabilitySet capabilities;
  ParameterLists allowed_parameters;  // key "*": any other parameter
  ParameterLists denied_parameters;
  std::vector<std::string> required_parameters;
  base::Duration min_wrapping_ttl{};  // zero: no bound
  base::Duration max_wrapping_ttl{};
  bool templated = false;
  int line = 0;  // in the policy's text, from 1
};

struct Policy {
  std::string name;
  std::string text;  // as it was given
  std::vector<Rule> rules;
  bool templated = false;  // any rule holds a template: the Acl depends on the entity
  bool root = false;       // the built-in "root": everything
};

// Named limits. A larger policy is refused when it is written.
inline constexpr size_t kPolicyTextBytesMax = 1024 * 1024;
inline constexpr size_t kPolicyRulesMax = 10'000;
inline constexpr size_t kPolicyPathBytesMax = 4096;

// Reads HCL or JSON. kInvalid with Vault's words ("failed to parse policy: ...") and the line.
// A policy named "root" is the built-in one, whatever its text.
base::Result<Policy> parse_policy(std::string name, std::string_view text);
// The same with `warnings`: what Vault takes silently but cannot mean (a `*` in the middle of a
// path).
base::Result<Policy> parse_policy(std::string name, std::string_view text,
                                  std::vector<std::string>& warnings);

// Built-in policies' texts, as Vault's: "default" may be edited, "root" has no text.
std::string_view default_policy_text();
std::string_view response_wrapping_policy_text();

// What {{identity....}} may refer to. Values are put in as literal text: a name holding `*` or `+`
// never becomes a wildcard.
struct TemplateContext {
  using Metadata = std::map<std::string, std::string, std::less<>>;
  struct Alias {
    std::string id, name;
    Metadata metadata, custom_metadata;
  };
  struct Group {
    std::string id, name;
    Metadata metadata;
  };
  std::string entity_id, entity_name;
  Metadata entity_metadata;
  std::map<std::string, Alias, std::less<>> aliases;  // by mount accessor
  std::vector<Group> groups;                          // that the entity is a member of
};

// One request to be judged.
struct Query {
  std::string_view path;  // below /v1/, e.g. "secret/data/a"; leading slashes are dropped
  Capability needed = Capability::kRead;  // never kDeny or kSudo: see Decision::sudo
  // The request's body (or query) as an object; null: no parameters. Looked at for read, create,
  // update and patch only.
  const base::JsonObject* parameters = nullptr;
  std::optional<base::Duration> wrap_ttl;  // of the X-Vault-Wrap-TTL header
};

// Why a decision is what it is.
enum class Reason {
  kRoot,              // the root policy
  kGranted,           // the rule grants it
  kNoRule,            // no rule matches the path
  kDenied,            // the rule says deny
  kNotGranted,        // the rule exists but doesn't grant this capability
  kWrapTtl,           // not wrapped, or for longer or shorter than the rule's bounds
  kMissingParameter,  // a required parameter is absent
  kDeniedParameter,   // a parameter or its value is denied
  kParameter,         // a parameter or its value isn't among the allowed ones
};
std::string_view reason_text(Reason reason);

// Views live as long as the Acl, `parameter` as long as the query's body too.
struct Decision {
  bool allowed = false;
  bool root = false;  // by the root policy
  bool sudo =
      false;  // the path's rule grants sudo; the pipeline asks for it on root-protected paths
  Reason reason = Reason::kNoRule;
  std::string_view
      policy;  // that wrote the deciding rule; of several merged, the first that granted
  std::string_view pattern;    // the rule's path with templates filled in; empty where none matched
  int line = 0;                // of the rule in `policy`
  std::string_view parameter;  // the parameter in the way, for the last three reasons
};

// For `rekey policy explain`: every rule that matches a path, the winner first.
struct Explanation {
  struct Match {
    std::string policy;
    std::string written;  // the rule's path in the policy
    std::string pattern;  // the same with templates filled in
    int line = 0;
    CapabilitySet capabilities;  // that this one rule gives
    bool decides = false;        // belongs to the winning pattern
    std::string why;             // "exact match", "loses to ...: its first wildcard comes later"
  };
  Decision decision;
  CapabilitySet capabilities;           // of the winning pattern, merged
  std::vector<Match> matches;           // in order of precedence
  std::vector<std::string> unresolved;  // rules whose template could not be filled in
};

class Acl {
 public:
  // `context` may be null (a token with no entity): templated rules then never match. A policy with
  // `root` set gives everything. Policies are kept alive by the Acl. Null policies are skipped.
  static std::shared_ptr<const Acl> compile(std::span<const std::shared_ptr<const Policy>> policies,
                                            const TemplateContext* context);
  ~Acl();
  Acl(const Acl&) = delete;
  Acl& operator=(const Acl&) = delete;

  bool root() const;

  // One hash of the path and at most one walk over it; allocates only where a parameter's name
  // holds capitals.
  Decision decide(const Query& query) const;

  // For sys/capabilities*: what the path's rule grants, without parameters. Empty where no rule
  // matches; of the root policy every capability but deny (say "root" where root() is true).
  CapabilitySet capabilities(std::string_view path) const;

  // Does any rule grant anything at or below `prefix` ("secret/")? For sys/internal/ui/mounts.
  bool reaches_below(std::string_view prefix) const;

  // `query` as for decide().
  Explanation explain(const Query& query) const;

  // For sys/internal/ui/resultant-acl: merged rules. `prefix`: the pattern had a trailing `*`.
  struct Effective {
    std::string_view pattern;  // without the trailing `*`
    bool prefix = false;
    bool segments = false;  // holds `+` segments
    CapabilitySet capabilities;
  };
  std::vector<Effective> effective() const;

 private:
  struct Impl;
  explicit Acl(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rekey::policy
