#include "auth/approle/secret_id.h"

#include "base/codec.h"
#include "crypto/digest.h"
#include "logical/answer.h"
#include "logical/row.h"

namespace rekey::auth::approle {
namespace {

using base::Json;
using base::JsonObject;
using base::Result;
using logical::Context;

constexpr size_t kSaltBytes = 32;

int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

std::string secret_row(std::string_view uid, std::string_view hash) {
  return "secret/" + std::string(uid) + "/" + std::string(hash);
}
std::string accessor_row(std::string_view uid, std::string_view accessor) {
  return "accessor/" + std::string(uid) + "/" + std::string(accessor);
}
std::string due_row(int64_t expires_s, std::string_view uid, std::string_view hash) {
  std::string time;
  base::append_u64(time, static_cast<uint64_t>(expires_s));
  return "due/" + base::hex_encode(time) + "/" + std::string(uid) + "/" + std::string(hash);
}

std::string encode(const SecretId& secret) {
  JsonObject row{{"accessor", secret.accessor}, {"num_uses", secret.num_uses},
                 {"ttl", secret.ttl_s},         {"expires", secret.expires_s},
                 {"created", secret.created},   {"updated", secret.updated}};
  if (!secret.cidrs.empty()) row.set("cidrs", Json::strings(secret.cidrs));
  if (!secret.token_cidrs.empty()) row.set("token_cidrs", Json::strings(secret.token_cidrs));
  if (!secret.metadata.empty()) row.set("metadata", logical::object_of(secret.metadata));
  return Json(std::move(row)).dump();
}

Result<SecretId> decode(std::string_view text) {
  const auto row = Json::parse(text);
  if (!row || !row->is_object()) {
    return base::fail(base::ErrorKind::kCorrupt, "a secret id's row can't be read");
  }
  SecretId secret;
  secret.accessor = row->string_or("accessor", "");
  secret.num_uses = logical::int_at(*row, "num_uses");
  secret.ttl_s = logical::int_at(*row, "ttl");
  secret.expires_s = logical::int_at(*row, "expires");
  secret.created = row->string_or("created", "");
  secret.updated = row->string_or("updated", "");
  secret.cidrs = logical::strings_at(*row, "cidrs");
  secret.token_cidrs = logical::strings_at(*row, "token_cidrs");
  secret.metadata = logical::pairs_at(*row, "metadata");
  return secret;
}

Result<void> erase_rows(Context& context, std::string_view uid, const SecretId& secret) {
  auto erased = context.storage->erase(secret_row(uid, secret.hash));
  if (!erased) return erased;
  erased = context.storage->erase(accessor_row(uid, secret.accessor));
  if (!erased || secret.expires_s == 0) return erased;
  return context.storage->erase(due_row(secret.expires_s, uid, secret.hash));
}

// Up to `rows_max` secret ids of a role that is gone. True when there are no more.
Result<bool> erase_some(Context& context, std::string_view uid, size_t rows_max) {
  const std::string prefix = "secret/" + std::string(uid) + "/";
  std::vector<SecretId> found;
  auto scanned = context.storage->scan(prefix, "", [&](std::string_view key, std::string_view row) {
    auto secret = decode(row);
    SecretId entry = secret ? std::move(*secret) : SecretId{};
    entry.hash = key.substr(prefix.size());
    found.push_back(std::move(entry));
    return found.size() < rows_max;
  });
  if (!scanned) return forward(scanned);
  for (const SecretId& secret : found) {
    auto erased = erase_rows(context, uid, secret);
    if (!erased) return forward(erased);
  }
  return found.size() < rows_max;
}

}  // namespace

Result<std::string> SecretIds::hash_of(std::string_view text, bool make_salt) {
  auto salt = context_.storage->get("salt");
  if (!salt) return forward(salt);
  if (!*salt) {
    // Without a salt there is no secret id; what comes out then is found nowhere.
    *salt = context_.random.bytes(kSaltBytes);
    if (make_salt) {
      auto put = context_.storage->put("salt", **salt);
      if (!put) return forward(put);
    }
  }
  const auto key = base::SecretBytes::copy_of(**salt);
  return base::hex_encode(crypto::as_bytes(crypto::HmacSha256(key).mac(text)));
}

Result<std::optional<SecretId>> SecretIds::read(const std::string& hash) {
  auto row = context_.storage->get(secret_row(role_.uid, hash));
  if (!row) return forward(row);
  if (!*row) return std::optional<SecretId>();
  auto secret = decode(**row);
  if (!secret) return forward(secret);
  secret->hash = hash;
  return std::optional<SecretId>(std::move(*secret));
}

Result<void> SecretIds::make(SecretId& secret, std::string_view text) {
  auto hash = hash_of(text, true);
  if (!hash) return forward(hash);
  auto known = read(*hash);
  if (!known) return forward(known);
  if (*known && !expired(**known, context_.clock.wall())) {
    return logical::bad_request("failed to store secret_id: SecretID is already registered");
  }
  auto swept = sweep(context_, kSweepOnMake);
  if (!swept) return swept;
  if (*known) {
    auto erased = erase(**known);
    if (!erased) return erased;
  }
  secret.hash = *hash;
  secret.accessor = context_.random.uuid();
  secret.created = secret.updated = base::format_rfc3339(context_.clock.wall());
  if (secret.ttl_s > 0) secret.expires_s = seconds_of(context_.clock.wall()) + secret.ttl_s;
  auto put = update(secret);
  if (!put) return put;
  put = context_.storage->put(accessor_row(role_.uid, secret.accessor), secret.hash);
  if (!put || secret.expires_s == 0) return put;
  return context_.storage->put(due_row(secret.expires_s, role_.uid, secret.hash), "");
}

Result<std::optional<SecretId>> SecretIds::find(std::string_view text) {
  auto hash = hash_of(text, false);
  if (!hash) return forward(hash);
  return read(*hash);
}

Result<std::optional<SecretId>> SecretIds::find_by_accessor(std::string_view accessor) {
  if (accessor.empty() || accessor.size() > 64 || accessor.find('/') != accessor.npos) {
    return std::optional<SecretId>();
  }
  auto hash = context_.storage->get(accessor_row(role_.uid, accessor));
  if (!hash) return forward(hash);
  if (!*hash) return std::optional<SecretId>();
  return read(**hash);
}

Result<std::vector<std::string>> SecretIds::accessors(std::string_view after, size_t limit) {
  return context_.storage->list("accessor/" + role_.uid + "/", after, limit);
}

Result<void> SecretIds::update(const SecretId& secret) {
  return context_.storage->put(secret_row(role_.uid, secret.hash), encode(secret));
}

Result<void> SecretIds::erase(const SecretId& secret) {
  return erase_rows(context_, role_.uid, secret);
}

Result<void> SecretIds::erase_all() {
  auto done = erase_some(context_, role_.uid, kSweepOnTidy);
  if (!done) return forward(done);
  if (*done) return {};
  return context_.storage->put("gone/" + role_.uid, "");
}

bool expired(const SecretId& secret, base::WallTime now) {
  return secret.expires_s != 0 && seconds_of(now) >= secret.expires_s;
}

JsonObject describe(const SecretId& secret) {
  const std::string never = "0001-01-01T00:00:00Z";
  return {{"cidr_list", Json::strings(secret.cidrs)},
          {"creation_time", secret.created},
          {"expiration_time", secret.expires_s == 0 ? never
                                                    : base::format_rfc3339(base::WallTime(
                                                          std::chrono::seconds(secret.expires_s)))},
          {"last_updated_time", secret.updated},
          {"metadata", logical::object_of(secret.metadata)},
          {"secret_id_accessor", secret.accessor},
          {"secret_id_num_uses", secret.num_uses},
          {"secret_id_ttl", secret.ttl_s},
          {"token_bound_cidrs", Json::strings(secret.token_cidrs)}};
}

Result<void> sweep(Context& context, size_t rows_max) {
  std::vector<std::string> due;
  auto scanned = context.storage->scan("due/", "", [&](std::string_view key, std::string_view) {
    due.emplace_back(key);
    return due.size() < rows_max;
  });
  if (!scanned) return scanned;
  const int64_t now = seconds_of(context.clock.wall());
  for (const std::string& key : due) {
    // due/<16 digits>/<uid>/<hash>
    const std::string_view rest = std::string_view(key).substr(4);
    const size_t uid_end = rest.find('/', 17);
    auto time = base::hex_decode(rest.substr(0, 16));
    if (!time || time->size() != 8 || uid_end == rest.npos) continue;
    if (static_cast<int64_t>(base::read_u64(time->data())) > now) break;
    const std::string_view uid = rest.substr(17, uid_end - 17), hash = rest.substr(uid_end + 1);
    auto row = context.storage->get(secret_row(uid, hash));
    if (!row) return forward(row);
    SecretId secret;
    if (*row) {
      auto decoded = decode(**row);
      if (decoded) secret = std::move(*decoded);
    }
    secret.hash = hash;
    auto erased = *row ? erase_rows(context, uid, secret) : Result<void>();
    if (!erased) return erased;
    erased = context.storage->erase(key);
    if (!erased) return erased;
  }
  auto gone = context.storage->list("gone/", "", 1);
  if (!gone || gone->empty()) return gone ? Result<void>() : forward(gone);
  auto done = erase_some(context, gone->front(), rows_max);
  if (!done) return forward(done);
  if (!*done) return {};
  return context.storage->erase("gone/" + gone->front());
}

}  // namespace rekey::auth::approle
