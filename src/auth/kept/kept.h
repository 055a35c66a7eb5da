// auth/kept: login methods whose settings are kept and read back in Vault's shapes, and which let
// nobody in: ldap, github, okta, radius, aws, gcp, azure. A shop can move its configuration first;
// a login says that this build doesn't support it.
//
// What a method is made of stands in tables (table.h). Rows: docs/formats/kept.md. What is secret
// in them is never shown again. Stateless; any thread.
#pragma once

#include <memory>
#include <vector>

#include "auth/kept/table.h"
#include "logical/route.h"

namespace rekey::auth::kept {

inline constexpr size_t kNameBytesMax = 256;         // of a role, user, group ...
inline constexpr size_t kFieldBytesMax = 64 * 1024;  // of one text
inline constexpr size_t kFieldItemsMax = 1000;       // of one list or map

class KeptMethod final : public logical::Backend {
 public:
  explicit KeptMethod(const KeptTable& table);  // a constant
  std::string_view type() const override { return table_.type; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  void add_path(const KeptPath& path);
  void add_edit(const KeptEdit& edit);
  void add_login(const KeptLogin& login);

  const KeptTable& table_;
  logical::RouteTable routes_;
};

std::vector<std::shared_ptr<const logical::Backend>> kept_methods();

}  // namespace rekey::auth::kept
