// The API's description of itself: OpenAPI 3.0.2 in the shape of Vault's
// sys/internal/specs/openapi, made from the tables of routes that serve, so that it can't promise
// what isn't there. Path help shows one path of it.
//
// A value that is filled and then taken; one thread.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "logical/context.h"
#include "logical/route.h"

namespace rekey::logical {

// Of Vault, whose API this is: what clients compare with to know which routes there are.
inline constexpr std::string_view kVaultVersion = "1.14.10";

class OpenApi {
 public:
  void add(const Mount& mount);                      // all its routes but hidden ones
  void add(const Mount& mount, const Route& route);  // one of them
  base::JsonObject document() &&;

 private:
  base::JsonObject paths_, schemas_;
};

// What `?help=1` answers for a path that a route serves.
base::JsonObject path_help(const Mount& mount, const Route& route);
// The same for the mount itself: its paths, each with its synopsis.
base::JsonObject mount_help(const Mount& mount);

}  // namespace rekey::logical
