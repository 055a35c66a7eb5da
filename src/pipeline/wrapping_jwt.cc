#include "pipeline/wrapping_jwt.h"

#include "base/codec.h"
#include "base/json.h"
#include "crypto/ed25519.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using base::Json;
using base::JsonObject;
using base::Result;

constexpr std::string_view kHeader = R"({"alg":"EdDSA","typ":"JWT"})";

Result<crypto::Ed25519PrivateKey> signing_key(const State& state) {
  return crypto::Ed25519PrivateKey::from_seed(state.keyring->derive("wrap-jwt"));
}

std::unexpected<base::Error> not_ours() {
  return base::fail(ErrorKind::kInvalid, "wrapping token is not valid or does not exist");
}

}  // namespace

bool looks_like_jwt(std::string_view text) { return text.starts_with("ey") && text.contains('.'); }

Result<std::string> to_jwt(const State& state, const logical::WrapInfo& info) {
  auto key = signing_key(state);
  if (!key) return forward(key);
  const int64_t issued =
      std::chrono::floor<std::chrono::seconds>(info.creation_time).time_since_epoch().count();
  const Json claims(JsonObject{{"accessor", info.wrapped_accessor},
                               {"exp", issued + info.ttl_s},
                               {"iat", issued},
                               {"jti", info.token},
                               {"type", "wrapping"}});
  std::string text = base::base64url_encode(kHeader) + "." + base::base64url_encode(claims.dump());
  text += "." + base::base64url_encode(key->sign(text));
  return text;
}

Result<std::string> from_jwt(const State& state, std::string_view text) {
  const size_t dot = text.rfind('.');
  if (dot == std::string_view::npos || text.size() > identity::kTokenBytesMax) return not_ours();
  const std::string_view signed_part = text.substr(0, dot);
  const auto signature = base::base64url_decode(text.substr(dot + 1));
  auto key = signing_key(state);
  if (!key) return forward(key);
  if (!signature || !crypto::ed25519_verify(key->public_key(), signed_part, *signature)) {
    return not_ours();
  }
  const auto claims_text = base::base64url_decode(signed_part.substr(signed_part.find('.') + 1));
  const auto claims = claims_text ? Json::parse(*claims_text) : not_ours();
  if (!claims) return not_ours();
  return claims->string_or("jti", "");
}

}  // namespace rekey::pipeline
