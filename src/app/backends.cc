#include "app/backends.h"

#include "auth/token/token_backend.h"
#include "engine/cubbyhole/cubbyhole.h"
#include "engine/database/database.h"
#include "engine/kv/plain.h"
#include "engine/kv/versioned.h"
#include "engine/transit/transit.h"

namespace rekey::app {
namespace {

// identity/ is listed and takes its paths, but serves nothing yet.
class EmptyBackend final : public logical::Backend {
 public:
  std::string_view type() const override { return "identity"; }
  const logical::RouteTable& routes() const override { return routes_; }

 private:
  logical::RouteTable routes_;
};

}  // namespace

void add_backends(pipeline::Catalog& catalog, system::SystemParts parts) {
  const auto plain = std::make_shared<const engine::kv::PlainEngine>();
  const auto versioned = std::make_shared<const engine::kv::VersionedEngine>();
  catalog.add_engine(
      "kv",
      [plain, versioned](const logical::Mount& mount) -> std::shared_ptr<const logical::Backend> {
        const auto version = mount.options.find("version");
        if (version != mount.options.end() && version->second == "2") return versioned;
        return plain;
      });
  const auto cubbyhole = std::make_shared<const engine::cubbyhole::Engine>();
  catalog.add_engine("cubbyhole", [cubbyhole](const logical::Mount&) { return cubbyhole; });
  const auto transit = std::make_shared<const engine::transit::Engine>();
  catalog.add_engine("transit", [transit](const logical::Mount&) { return transit; });
  const auto database = std::make_shared<const engine::database::DatabaseEngine>();
  catalog.add_engine("database", [database](const logical::Mount&) { return database; });
  const auto identity = std::make_shared<const EmptyBackend>();
  catalog.add_engine("identity", [identity](const logical::Mount&) { return identity; });
  const auto token = std::make_shared<const auth::token::TokenBackend>(parts.keeper);
  catalog.add_auth("token", [token](const logical::Mount&) { return token; });
  const auto sys = std::make_shared<const system::SystemBackend>(std::move(parts));
  catalog.add_engine("system", [sys](const logical::Mount&) { return sys; });
}

}  // namespace rekey::app
