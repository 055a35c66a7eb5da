// The transit engine: keys that never leave, and what they do for clients: encrypt, decrypt, sign,
// verify, HMAC, data keys, random bytes and digests (Vault's transit, its texts and forms).
//
// Stateless; any thread. What takes long (RSA, the larger curves, long bodies, key generation) asks
// for the pool; the rest runs on the io thread that the request came on.
#pragma once

#include "logical/route.h"

namespace rekey::engine::transit {

class Engine final : public logical::Backend {
 public:
  Engine();
  std::string_view type() const override { return "transit"; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  void add_key_routes();      // key_routes.cc
  void add_copy_routes();     // copy_routes.cc: export, backup, restore
  void add_import_routes();   // import_routes.cc: import, wrapping key, byok-export
  void add_derive_routes();   // derive_routes.cc
  void add_encrypt_routes();  // encrypt_routes.cc
  void add_sign_routes();     // sign_routes.cc
  void add_tool_routes();     // tool_routes.cc: random, hash, configuration
  logical::RouteTable routes_;
};

}  // namespace rekey::engine::transit
