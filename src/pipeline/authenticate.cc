#include "pipeline/authenticate.h"

#include "base/codec.h"
#include "logical/cidr.h"

namespace rekey::pipeline {
namespace {

using base::ErrorKind;
using identity::Token;

constexpr std::string_view kBatchContext = "token/batch";  // binds a batch token to its use

std::unexpected<base::Error> refused(std::string detail) {
  return base::fail(ErrorKind::kUnauthenticated, "permission denied", std::move(detail));
}

// Puts the token with this hash into the lane's slot, unless it is there and its row is still at
// the revision seen then.
base::Result<void> read_token(Lane& lane, const State& state, KnownToken& known, barrier::Txn& txn,
                              std::string_view hash) {
  const std::string key = identity::token_row_key(hash);
  auto row = barrier::row_revision(lane.reader(), *state.keyring, key);
  if (!row) return forward(row);
  if (*row == 0) return refused("no such token");
  const storage::Revision revision = *row;
  if (known.token != nullptr && known.revision == revision && known.hash == hash) {
    return {};
  }
  auto text = txn.peek(key);
  if (!text) return forward(text);
  if (!*text) return refused("no such token");
  auto token = identity::decode_token(**text);
  if (!token) return forward(token);
  token->hash = hash;
  known = KnownToken{.hash = std::string(hash),
                     .revision = revision,
                     .token = std::make_shared<const Token>(std::move(*token))};
  return {};
}

// Whether what was found out about the token's rights still holds.
base::Result<bool> rights_current(Lane& lane, const KnownToken& known, const State& state,
                                  bool rows_unchanged) {
  if (known.rights == nullptr || known.policy_generation != state.policy_generation) return false;
  if (rows_unchanged) return true;
  for (const auto& [key, revision] : known.rows) {
    auto row = barrier::row_revision(lane.reader(), *state.keyring, key);
    if (!row) return forward(row);
    if (*row != revision) return false;
  }
  return true;
}

base::Result<void> renew_rights(Lane& lane, KnownToken& known, const State& state,
                                barrier::Txn& txn) {
  known.rights = nullptr;
  known.rows.clear();
  std::vector<std::string> keys;
  auto rights = rights_of(state, txn, *known.token, &keys);
  if (!rights) return forward(rights);
  for (std::string& key : keys) {
    auto row = barrier::row_revision(lane.reader(), *state.keyring, key);
    if (!row) return forward(row);
    known.rows.emplace_back(std::move(key), *row);
  }
  known.rights = std::move(*rights);
  known.policy_generation = state.policy_generation;
  return {};
}

}  // namespace

base::Result<void> check_usable(const State& state, const Token& token, std::string_view address,
                                base::WallTime now) {
  if (token.expired(now)) return refused("the token is expired");
  if (state.cutoffs->revokes(token)) return refused("the token was revoked by a cut-off");
  if (token.num_uses < 0) return refused("the token is used up");
  if (!logical::address_allowed(address, token.bound_cidrs)) {
    return refused("the token is bound to other addresses");
  }
  return {};
}

base::Result<Authenticated> authenticate(Lane& lane, const State& state, barrier::Txn& txn,
                                         std::string_view token_text, std::string_view address,
                                         base::WallTime now) {
  if (token_text.empty()) return refused("no token was sent");
  if (token_text.size() > identity::kTokenBytesMax) return refused("the token is too long");
  if (token_text.starts_with(identity::kBatchPrefix)) {
    auto opened = open_batch_token(state, token_text);
    if (!opened) return forward(opened);
    auto usable = check_usable(state, *opened, address, now);
    if (!usable) return forward(usable);
    auto hangs = check_parent(lane.reader(), state, *opened);
    if (!hangs) return forward(hangs);
    auto rights = rights_of(state, txn, *opened);
    if (!rights) return forward(rights);
    return Authenticated{std::make_shared<const Token>(std::move(*opened)), std::move(*rights)};
  }
  const std::string hash = state.token_keys->hash(token_text);
  KnownToken& known = lane.slot(hash);
  const bool unchanged =
      known.checked == lane.revision() && known.checked != 0 && known.hash == hash;
  if (!unchanged) {
    auto token = read_token(lane, state, known, txn, hash);
    if (!token) return forward(token);
  }
  auto usable = check_usable(state, *known.token, address, now);
  if (!usable) return forward(usable);
  auto current = rights_current(lane, known, state, unchanged);
  if (!current) return forward(current);
  if (!*current) {
    auto renewed = renew_rights(lane, known, state, txn);
    if (!renewed) return forward(renewed);
  }
  known.checked = lane.revision();
  return Authenticated{known.token, known.rights};
}

base::Result<std::shared_ptr<const Rights>> rights_of(const State& state, barrier::Txn& txn,
                                                      const Token& token,
                                                      std::vector<std::string>* rows) {
  auto rights = std::make_shared<Rights>();
  rights->policies = token.policies;
  if (!token.entity_id.empty()) {
    auto standing = identity::find_standing(txn, token.entity_id, rows);
    if (!standing) return forward(standing);
    if (*standing == nullptr) return refused("the token's entity is gone");
    if ((*standing)->entity.disabled) return refused("the token's entity is disabled");
    rights->standing = std::move(*standing);
    rights->identity_policies = rights->standing->policies;
    for (const std::string& name : rights->identity_policies) {
      identity::add_sorted(rights->policies, name);
    }
  }
  std::vector<std::shared_ptr<const policy::Policy>> policies;
  for (const std::string& name : rights->policies) {
    // A policy that doesn't exist (any more) grants nothing.
    const auto found = state.policies->find(name);
    if (found != state.policies->end()) policies.push_back(found->second);
  }
  rights->acl = policy::Acl::compile(
      policies, rights->standing == nullptr ? nullptr : &rights->standing->names);
  return rights;
}

base::Result<std::string> seal_batch_token(const State& state, const Token& token,
                                           base::Random& random) {
  auto content = state.keyring->encrypt(kBatchContext, identity::encode_token(token), random);
  if (!content) return content;
  return std::string(identity::kBatchPrefix) + base::base64url_encode(*content);
}

base::Result<void> check_parent(storage::Reader& reader, const State& state, const Token& token) {
  if (token.hash.empty()) return {};  // an orphan
  auto row = barrier::row_revision(reader, *state.keyring, identity::token_row_key(token.hash));
  if (!row) return forward(row);
  if (*row == 0) return refused("the batch token's parent is gone");
  return {};
}

base::Result<Token> open_batch_token(const State& state, std::string_view text) {
  auto content = base::base64url_decode(text.substr(identity::kBatchPrefix.size()));
  if (!content) return refused("a batch token that isn't base64url");
  auto row = state.keyring->decrypt(kBatchContext, *content);
  if (!row) return refused("a batch token that isn't ours");
  auto token = identity::decode_token(*row);
  if (!token) return refused("a batch token that can't be read");
  return token;
}

logical::Caller caller_of(const Authenticated& who) {
  const Token& token = *who.token;
  return {.token_id = token.id,
          .accessor = token.accessor,
          .display_name = token.display_name,
          .entity_id = token.entity_id,
          .policies = who.rights->policies,
          .root = token.is_root(),
          .authenticated = true};
}

}  // namespace rekey::pipeline
