// What a handler gets beside its request: its own part of the store, the time, who asks. Made by
// the pipeline for one dispatch; nothing in it outlives the handler's return.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "barrier/view.h"
#include "base/clock.h"
#include "base/random.h"
#include "logical/decoded_rows.h"
#include "logical/request.h"
#include "logical/route.h"

namespace rekey::logical {

// One row of the mount table. Immutable once published.
struct Mount {
  std::string path;  // "secret/", "auth/userpass/", "sys/": ends with a slash
  std::string type;  // as asked for: "kv", "cubbyhole", "token"
  std::string uuid;
  std::string accessor;  // "kv_1a2b3c4d"
  std::string description;
  std::map<std::string, std::string> options;
  base::JsonObject config;             // tuned values as they were set; see system/mounts.cc
  base::Duration default_lease_ttl{};  // 0: the server's
  base::Duration max_lease_ttl{};      // 0: the server's
  bool local = false;
  bool seal_wrap = false;
  bool external_entropy_access = false;
  std::shared_ptr<const Backend> backend;

  bool is_auth() const { return path.starts_with("auth/"); }
  // Cubbyholes lie beside the tokens that they end with, entities where the pipeline finds them;
  // everything else under its mount's own UUID.
  std::string storage_prefix() const {
    if (type == "cubbyhole") return "token/cubbyhole/";
    if (type == "identity") return "identity/";
    return "m/" + uuid + "/";
  }
};

// Who asks, as far as an engine may know. Views into the caller's token, which outlives the
// request.
struct Caller {
  std::string_view token_id;  // of the token, not the token: what its cubbyhole hangs from
  std::string_view accessor;
  std::string_view display_name;
  std::string_view entity_id;
  std::span<const std::string> policies;
  bool root = false;
  bool authenticated = false;
};

struct Limits {
  base::Duration default_lease_ttl = std::chrono::hours(768);
  base::Duration max_lease_ttl = std::chrono::hours(768);
};

// `limits` within the mount's own.
inline Limits narrowed(Limits limits, const Mount& mount) {
  if (mount.default_lease_ttl.count() > 0) limits.default_lease_ttl = mount.default_lease_ttl;
  if (mount.max_lease_ttl.count() > 0) limits.max_lease_ttl = mount.max_lease_ttl;
  if (limits.default_lease_ttl > limits.max_lease_ttl) {
    limits.default_lease_ttl = limits.max_lease_ttl;
  }
  return limits;
}

class Lockout;

struct Context {
  const Request& request;
  const Fields& fields;
  const Mount& mount;
  const Caller& caller;
  barrier::View* storage;  // of this mount, and nothing else; null only while sealed
  const base::Clock& clock;
  base::Random& random;
  Limits lease_limits;   // the server's, narrowed by the mount's
  Limits server_limits;  // the server's own
  // Run on the request's thread after its writes are durable and before it is answered.
  // A failure is the request's answer: what was committed may not be in force.
  std::vector<std::function<base::Result<void>()>> after_commit;
  DecodedRows* decoded = nullptr;  // of this thread; null while sealed
  bool may_block = false;          // on a thread of the pool, where work may take long
  bool wants_pool = false;         // set by to_pool()

  // `return context.to_pool();` in a handler that is on an io thread and finds that its work takes
  // long: whatever it wrote is thrown away and it is called again on the pool. Where only some
  // requests of a route are so; a route where all are is Route::blocking.
  std::unexpected<base::Error> to_pool() {
    wants_pool = true;
    return base::fail(base::ErrorKind::kInternal, "moved to the pool");
  }
  // Only in a Route::outside handler and there at most once, before the outside effect: makes
  // durable what is needed to undo it. If the request then fails or the server dies, the engine's
  // revoke_lease is called with this grant; if it succeeds with Response::lease, that replaces it,
  // and without one it is forgotten.
  std::function<base::Result<void>(const LeaseGrant&)> intend = {};
  // Only in a Route::outside handler and in Backend::tend: makes durable what was buffered so far,
  // so that an outside effect after it can be repeated from there. kConflict: run again from the
  // start.
  std::function<base::Result<void>()> checkpoint = {};
  // A password by the policy with this name (sys/policies/password); empty: the usual one.
  std::function<base::Result<std::string>(std::string_view policy)> make_password = {};
  Lockout* lockout = nullptr;  // of names that log in with passwords; never null in a request
};

}  // namespace rekey::logical
