#include "app/backends.h"

#include "auth/approle/approle.h"
#include "auth/cert/cert.h"
#include "auth/jwt/jwt.h"
#include "auth/kept/kept.h"
#include "auth/kubernetes/kubernetes.h"
#include "auth/token/token_backend.h"
#include "auth/userpass/userpass.h"
#include "engine/cubbyhole/cubbyhole.h"
#include "engine/database/database.h"
#include "engine/identity/identity_backend.h"
#include "engine/kv/plain.h"
#include "engine/kv/versioned.h"
#include "engine/transit/transit.h"

namespace rekey::app {
void add_backends(pipeline::Catalog& catalog, system::SystemParts parts,
                  std::shared_ptr<const net::Outgoing> outgoing) {
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
  const auto identity =
      std::make_shared<const engine::identity::IdentityBackend>(parts.api_address);
  catalog.add_engine("identity", [identity](const logical::Mount&) { return identity; });
  const auto token = std::make_shared<const auth::token::TokenBackend>(parts.keeper);
  catalog.add_auth("token", [token](const logical::Mount&) { return token; });
  const auto approle = std::make_shared<const auth::approle::AppRole>();
  catalog.add_auth("approle", [approle](const logical::Mount&) { return approle; });
  const auto userpass = std::make_shared<const auth::userpass::Userpass>();
  catalog.add_auth("userpass", [userpass](const logical::Mount&) { return userpass; });
  const auto cert = std::make_shared<const auth::cert::CertAuth>();
  catalog.add_auth("cert", [cert](const logical::Mount&) { return cert; });
  const auto kubernetes = std::make_shared<const auth::kubernetes::Kubernetes>(outgoing);
  catalog.add_auth("kubernetes", [kubernetes](const logical::Mount&) { return kubernetes; });
  for (const std::string_view type : {"jwt", "oidc"}) {
    const auto jwt = std::make_shared<const auth::jwt::Jwt>(type, outgoing);
    catalog.add_auth(std::string(type), [jwt](const logical::Mount&) { return jwt; });
  }
  for (const auto& kept : auth::kept::kept_methods()) {
    catalog.add_auth(std::string(kept->type()), [kept](const logical::Mount&) { return kept; });
  }
  const auto sys = std::make_shared<const system::SystemBackend>(std::move(parts));
  catalog.add_engine("system", [sys](const logical::Mount&) { return sys; });
}

}  // namespace rekey::app
