// The table of routes by which a backend (a secret engine, an auth method, sys) serves: path
// patterns, their fields, one handler for each operation, and their help. The same table answers
// requests, path help and sys/internal/specs/openapi, so that they can't disagree.
//
// A pattern is literal segments, `{name}` for one segment and, last, `{name*}` for the rest of the
// path (which may be empty and may hold slashes); what stands after that must end the path. Built
// once, then only read: any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "logical/request.h"

namespace rekey::logical {

struct Context;  // context.h

enum class FieldType {
  kString,
  kInteger,
  kBoolean,
  kDuration,   // "1h", "90" or a number of seconds; read as seconds
  kStrings,    // a list, or one string with commas
  kStringMap,  // an object of strings, or a list of "k=v"
  kObject,     // any JSON object
  kAny,
};

struct Field {
  std::string_view name;
  FieldType type = FieldType::kString;
  std::string_view description;
  bool in_path = false;  // set by RouteTable::add for the names in the pattern
};

using Handler = std::function<base::Result<Response>(Context&)>;
using ExistenceCheck = std::function<base::Result<bool>(Context&)>;

struct Route {
  std::string pattern;
  std::vector<Field> fields;
  std::vector<std::pair<Operation, Handler>> handlers;
  std::string_view synopsis;
  std::string_view description;
  ExistenceCheck exists;         // where set, a write to what isn't there needs `create`
  bool unauthenticated = false;  // served without a token
  // Served without a token on listeners that are configured so (unauthenticated_metrics_access).
  bool open_for_metrics = false;
  bool sudo = false;          // the policy must grant sudo as well
  bool while_sealed = false;  // served sealed or not initialised
  bool hidden = false;        // serves, but isn't part of the API's description
  bool blocking = false;      // takes long or waits for a commit: runs on the pool
  // Says how the server is and releases nothing: answered also while the record can't be written.
  bool without_record = false;
  // Changes something outside, or waits for it: runs on the pool for that, so that an outside
  // system that is down holds up nobody else; its intent is recorded first, and Context::intend is
  // there.
  bool outside = false;
  // May have to wait for an outside server and changes nothing there: to_pool() leads to the
  // threads for that, so that a slow one holds up nobody else.
  bool waits = false;
  // Keeps or uses whatever is sent, beside the fields: nothing of it is unknown.
  bool any_input = false;

  const Handler* handler(Operation operation) const;
};

// A field's value after conversion; see FieldType for the shape of each.
class Fields {
 public:
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const base::Json* find(std::string_view name) const;  // nullptr where not sent
  std::string_view text(std::string_view name, std::string_view otherwise = {}) const;
  int64_t integer(std::string_view name, int64_t otherwise = 0) const;
  bool flag(std::string_view name, bool otherwise = false) const;
  std::optional<base::Duration> duration(std::string_view name) const;
  std::vector<std::string> strings(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> string_map(std::string_view name) const;
  const base::JsonObject* object(std::string_view name) const;

 private:
  friend class RouteTable;
  struct Value {
    std::string_view name;
    const base::Json* sent = nullptr;  // in the request, where it needed no conversion
    base::Json converted;
  };
  std::vector<Value> values_;  // few: a linear search is fastest
};

class RouteTable {
 public:
  // Earlier routes win over later ones where two patterns match.
  void add(Route route);

  struct Match {
    const Route* route = nullptr;
    std::vector<std::pair<std::string_view, std::string_view>> captures;  // views into the path
  };
  // Success: route is nullptr when nothing matches.
  Match match(std::string_view path) const;

  // Converts what was sent to the route's fields. Unknown members are ignored, see
  // warn_of_unused(). The fields point into `data`.
  // Failure: kInvalid, naming the field, never the value of one that may be secret.
  static base::Result<Fields> read_fields(const Match& match, const base::Json& data);

  // Adds Vault's warnings about members of `data` that had no effect: names that the route doesn't
  // know, and names that its path has already given. A typing error is seen, not swallowed.
  static void warn_of_unused(const Match& match, const base::Json& data,
                             std::vector<std::string>& warnings);

  const std::vector<std::unique_ptr<Route>>& routes() const { return routes_; }

 private:
  struct Pattern {
    std::vector<std::string> segments;    // literal, or empty for a capture
    std::vector<std::string_view> names;  // of the captures, in order
    bool takes_rest = false;
    std::string suffix;  // after the rest: "/tune"
  };
  bool matches(size_t index, std::string_view path, Match& out) const;

  std::vector<std::unique_ptr<Route>> routes_;
  std::vector<Pattern> patterns_;
  std::unordered_map<std::string, std::vector<size_t>> by_first_segment_;
  std::vector<size_t> with_open_first_segment_;
};

// A lease as its engine sees it again: what the engine granted, and where it stands.
struct HeldLease {
  std::string_view id, path, role, target;
  const base::Json& data;  // as granted
  base::WallTime issued{};
};

// What an engine, an auth method and sys have in common. Stateless: state is in the store.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view type() const = 0;
  virtual const RouteTable& routes() const = 0;

  // The pipeline's calls for leases that this backend granted, on threads that may block, with the
  // lease's mount in `context`. Both are repeated after a crash or a lost race, so they must be
  // harmless the second time.
  //
  // Tells the outside system that the lease lives until `until`. Failure: the renewal is refused.
  virtual base::Result<void> renew_lease(Context& context, const HeldLease& lease,
                                         base::WallTime until) const;
  // Removes outside what was handed out; what is gone already counts as removed. Failure: tried
  // again later.
  virtual base::Result<void> revoke_lease(Context& context, const HeldLease& lease) const;
  // Whether it ever grants leases: a mount of such a backend is only erased after its leases.
  virtual bool grants_leases() const { return false; }

  // Work that falls due without a request, one bounded piece: what it writes is committed after it.
  // True when more is due now. Called for each mount of a backend that tends, by one thread at a
  // time that may block, every few seconds.
  virtual bool tends() const { return false; }
  virtual base::Result<bool> tend(Context& context) const;

  // The server is being sealed: what it keeps in memory from behind the barrier has to go.
  virtual void forget_secrets() const {}

  // Of an auth method: whether a token that it let in may be renewed, and what its role grants now.
  // Nothing: what it was given at first. A failure is the answer to the renewal. `context` has the
  // auth mount's part of the store.
  virtual base::Result<std::optional<TokenParams>> renew_login(Context& context,
                                                               const Renewal& renewal) const;
  // Of an auth method whose logins don't say their role's name: the role of the one that
  // `context.request` is, for quotas, before anything else is looked at (`context.fields` is
  // empty). Empty where there is none.
  virtual base::Result<std::string> login_role(Context& context) const;
};

}  // namespace rekey::logical
