#include "identity/token_store.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/codec.h"
#include "base/json.h"

namespace rekey::identity {
namespace {

using base::ErrorKind;

constexpr std::string_view kAccessorPrefix = "token/accessor/";
constexpr std::string_view kChildPrefix = "token/child/";
constexpr std::string_view kDuePrefix = "token/due/";
constexpr std::string_view kCubbyholePrefix = "token/cubbyhole/";  // see Mount::storage_prefix
constexpr std::string_view kCleanupPrefix = "token/cleanup/";      // <root id>/<id>
constexpr std::string_view kParentPrefix = "token/parent/";        // <id>: has had children
constexpr std::string_view kPathPrefix = "token/path/";            // <path>/h<hash>
constexpr std::string_view kHolderPrefix = "token/holder/";        // <id>: has had leases
constexpr std::string_view kJobPrefix = "token/job/";              // <scope>

constexpr size_t kAccessorChars = 24;
constexpr size_t kIdBytes = 16;

// In the order of bytes, so that accessors are in the order of the hashes that they stand for.
constexpr std::string_view kAccessorDigits = "0123456789abcdefghijklmnopqrstuv";
constexpr size_t kAccessorHashBytes = kAccessorChars * 5 / 8;  // 15 of them
constexpr size_t kHashHexChars = 2 * kTokenHashBytes;

// The accessor of a token of which the text was drawn: the beginning of its hash, so that it needs
// no row to be found by. It opens nothing: the hash is keyed and can't be turned back.
std::string accessor_of(std::string_view hash) {
  std::string accessor;
  accessor.reserve(kAccessorChars);
  uint64_t bits = 0;
  for (size_t i = 0; i < kAccessorHashBytes; i++) {
    bits = bits << 8 | static_cast<unsigned char>(hash[i]);
    if (i % 5 != 4) continue;
    for (int shift = 35; shift >= 0; shift -= 5) accessor += kAccessorDigits[bits >> shift & 31];
    bits = 0;
  }
  return accessor;
}

// The beginning of the hashes, in hex, that such an accessor stands for. What isn't one gives
// something that no accessor behind it comes before.
std::string hash_prefix_of(std::string_view accessor) {
  std::string prefix;
  uint64_t bits = 0;
  bool good = true;
  for (size_t i = 0; i < kAccessorChars; i++) {
    const size_t digit =
        i < accessor.size() ? kAccessorDigits.find(accessor[i]) : std::string::npos;
    good = good && digit != std::string::npos;
    bits = bits << 5 | (good ? digit : 0);
    if (i % 8 != 7) continue;
    for (int shift = 32; shift >= 0; shift -= 8) prefix += static_cast<char>(bits >> shift);
    bits = 0;
  }
  return base::hex_encode(prefix);
}

// Whether the token has its rows in the denser form: no row for its accessor, and the others in the
// order in which tokens are made. All have but those that an earlier program made and those of
// which the maker chose the text, who may choose it again.
bool is_dense(const Token& token) {
  return token.hash.size() == kTokenHashBytes && token.accessor == accessor_of(token.hash);
}

// By which its rows beside the first end.
std::string row_name(const Token& token) {
  if (!is_dense(token)) return base::hex_encode(token.hash);
  std::string name;
  base::append_u64(name, token.issued_at);
  return base::hex_encode(name.append(token.hash));
}

// What read_token() wants, of a name that row_name() made; nothing if it is none.
std::optional<std::string> hash_in(std::string_view name) {
  if (name.size() < kHashHexChars) return std::nullopt;
  auto hash = base::hex_decode(name.substr(name.size() - kHashHexChars));
  if (!hash) return std::nullopt;
  return std::move(*hash);
}

std::string accessor_key(std::string_view accessor) {
  return std::string(kAccessorPrefix) + std::string(accessor);
}
std::string child_prefix(std::string_view parent_id) {
  return std::string(kChildPrefix) + std::string(parent_id) + "/";
}
std::string child_key(const Token& token) {
  return child_prefix(token.ancestors[0]) + row_name(token);
}
// Sixteen hex digits keep the due order and stay readable.
std::string due_key(int64_t expires_s, std::string_view hash) {
  std::string time;
  base::append_u64(time, static_cast<uint64_t>(expires_s));
  return std::string(kDuePrefix) + base::hex_encode(time) + "/" + base::hex_encode(hash);
}
std::string cleanup_key(std::string_view root_id, std::string_view id) {
  return std::string(kCleanupPrefix) + std::string(root_id) + "/" + std::string(id);
}

// Empty where the path is too long to be a key: such a token is found by its other indexes only.
std::string path_key(const Token& token) {
  if (token.path.empty() || token.path.size() > kCutoffPathBytesMax) return {};
  return std::string(kPathPrefix) + lease_id_of(token);
}

int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

base::Result<std::optional<Token>> read_token(barrier::Txn& txn, std::string_view hash) {
  auto row = txn.get(token_row_key(hash));
  if (!row) return forward(row);
  if (!*row) return std::optional<Token>();
  auto token = decode_token(**row);
  if (!token) return forward(token);
  token->hash = hash;
  return std::optional<Token>(std::move(*token));
}

base::Result<std::vector<std::string>> keys_under(barrier::Txn& txn, std::string_view prefix,
                                                  size_t limit) {
  std::vector<std::string> keys;
  auto scanned = txn.scan(prefix, "", [&](std::string_view key, std::string_view) {
    keys.emplace_back(key);
    return keys.size() < limit;
  });
  if (!scanned) return forward(scanned);
  return keys;
}

std::string parent_key(std::string_view id) { return std::string(kParentPrefix) + std::string(id); }

// Whether it has ever made a child. A row of its own, because a list sets no condition: the first
// child writes what whoever ends the token reads, so that one of the two commits gives way.
base::Result<bool> has_children(barrier::Txn& txn, std::string_view id) {
  auto row = txn.get(parent_key(id));
  if (!row) return forward(row);
  return row->has_value();
}

base::Result<void> note_child(barrier::Txn& txn, std::string_view parent_id) {
  const std::string key = parent_key(parent_id);
  auto noted = txn.revision(key);  // later children don't meet one another here
  if (!noted) return forward(noted);
  if (!*noted || **noted != 0) return {};
  auto absent = txn.get(key);
  if (!absent) return forward(absent);
  txn.put(key, "");
  return {};
}

// The token's rows and its cubbyhole's. A cubbyhole holds what one token put there; one that is
// larger than a sweep leaves rows that nobody can reach any more.
constexpr size_t kCubbyholeRowsMax = 1000;
constexpr size_t kListPage = 10'000;  // names of token rows looked at at a time

void erase_token_rows(barrier::Txn& txn, const Token& token) {
  const auto cubbyhole =
      keys_under(txn, std::string(kCubbyholePrefix) + token.id + "/", kCubbyholeRowsMax);
  if (cubbyhole) {
    for (const std::string& key : *cubbyhole) txn.erase(key);
  }
  txn.erase(token_row_key(token.hash));
  if (!is_dense(token)) txn.erase(accessor_key(token.accessor));
  if (!token.ancestors.empty()) txn.erase(child_key(token));
  if (token.expires_s != 0) {
    txn.erase(due_key(token.expires_s, token.hash));
    if (const std::string key = path_key(token); !key.empty()) txn.erase(key);
  }
}

// A token that had leases leaves word that they have to be removed. Read as a condition: the first
// lease of a token writes the row, so either it is seen here or one of the two commits gives way.
base::Result<void> leave_word(barrier::Txn& txn, const Token& token) {
  const std::string key = std::string(kHolderPrefix) + token.id;
  auto holder = txn.get(key);
  if (!holder) return forward(holder);
  if (!*holder) return {};
  txn.erase(key);
  txn.put(std::string(kEndedPrefix) + token.id, "");
  return {};
}

// The end of a token in the background; its children end with it. A cut-off where it has any.
base::Result<void> end_token(barrier::Txn& txn, const Token& token) {
  auto parent = has_children(txn, token.id);
  if (!parent) return forward(parent);
  auto word = leave_word(txn, token);
  if (!word) return word;
  erase_token_rows(txn, token);
  if (*parent) {
    CutoffTable::write(txn, CutoffTable::scope_of_token(token.id), CutoffTable::Kind::kRevoked);
    txn.put(cleanup_key(token.id, token.id), "");
  }
  return {};
}

}  // namespace

std::string lease_id_of(const Token& token) { return token.path + "/h" + row_name(token); }

std::string token_row_key(std::string_view hash) {
  return std::string(kTokenRowPrefix) + base::hex_encode(hash);
}

base::Result<std::string> TokenStore::create(Token& token, const Token* parent,
                                             std::string_view wanted) {
  const std::string text =
      wanted.empty()
          ? std::string(kServicePrefix) + random_.base62(kServiceTokenChars - kServicePrefix.size())
          : std::string(wanted);
  token.hash = keys_.hash(text);
  if (!wanted.empty()) {                               // what is drawn is nobody's yet
    auto taken = txn_.get(token_row_key(token.hash));  // becomes a condition of the commit
    if (!taken) return forward(taken);
    if (*taken) return base::fail(ErrorKind::kInvalid, "cannot create a token with a duplicate ID");
  }
  token.id = base::hex_encode(random_.bytes(kIdBytes));
  token.accessor = wanted.empty() ? accessor_of(token.hash) : random_.base62(kAccessorChars);
  token.issued_at = seen_;
  token.orphan = parent == nullptr;
  token.ancestors.clear();
  token.ancestor_paths.clear();
  if (parent != nullptr) {
    token.hang_below(*parent);
    if (token.ancestors.size() > kAncestorsMax) {
      return base::fail(ErrorKind::kInvalid, "too many generations of tokens: make an orphan");
    }
    txn_.put(child_key(token), token.accessor);
    auto noted = note_child(txn_, parent->id);
    if (!noted) return forward(noted);
  }
  if (token.created_s == 0) token.created_s = seconds_of(clock_.wall());
  txn_.put(token_row_key(token.hash), encode_token(token));
  if (!wanted.empty()) txn_.put(accessor_key(token.accessor), token.hash);
  if (token.expires_s != 0) {
    txn_.put(due_key(token.expires_s, token.hash), "");
    if (const std::string key = path_key(token); !key.empty()) txn_.put(key, "");
  }
  return text;
}

base::Result<std::optional<Token>> TokenStore::find(std::string_view text) {
  return find_by_hash(keys_.hash(text));
}

base::Result<std::optional<Token>> TokenStore::find_by_hash(std::string_view hash) {
  return read_token(txn_, hash);
}

base::Result<std::optional<Token>> TokenStore::find_by_accessor(std::string_view accessor) {
  if (accessor.empty() || accessor.find('/') != std::string_view::npos)
    return std::optional<Token>();
  if (accessor.size() == kAccessorChars) {
    auto names = txn_.list(kTokenRowPrefix, hash_prefix_of(accessor), 1);
    if (!names) return forward(names);
    auto hash = names->empty() ? std::nullopt : hash_in(names->front());
    if (hash && accessor_of(*hash) == accessor) {
      auto token = find_by_hash(*hash);
      if (!token) return forward(token);
      if (*token && (*token)->accessor == accessor) return token;
    }
  }
  auto hash = txn_.get(accessor_key(accessor));
  if (!hash) return forward(hash);
  if (!*hash) return std::optional<Token>();
  return find_by_hash(**hash);
}

base::Result<std::optional<Token>> TokenStore::find_by_lease_id(std::string_view lease_id) {
  const size_t slash = lease_id.rfind("/h");
  if (slash == std::string_view::npos) return std::optional<Token>();
  auto hash = hash_in(lease_id.substr(slash + 2));
  if (!hash) return std::optional<Token>();
  auto token = find_by_hash(*hash);
  if (!token) return forward(token);
  const bool same = *token && (*token)->expires_s != 0 && lease_id_of(**token) == lease_id;
  return same ? std::move(*token) : std::optional<Token>();
}

base::Result<std::vector<std::string>> TokenStore::lease_ids(std::string_view folder,
                                                             std::string_view after, size_t limit) {
  return txn_.list(std::string(kPathPrefix) + std::string(folder), after, limit);
}

base::Result<void> TokenStore::hold_lease(const Token& token) {
  const std::string key = std::string(kHolderPrefix) + token.id;
  auto there = txn_.get(key);
  if (!there) return forward(there);
  if (!*there) txn_.put(key, "");
  return {};
}

void TokenStore::cut_prefix(std::string_view prefix) {
  const std::string scope = CutoffTable::scope_of_prefix(prefix);
  CutoffTable::write(txn_, scope, CutoffTable::Kind::kRevoked);
  txn_.put(std::string(kJobPrefix) + scope, base::Json(base::JsonObject{{"path", prefix}}).dump());
}

void TokenStore::cut_role(std::string_view mount_accessor, std::string_view path,
                          std::string_view role) {
  const std::string scope = CutoffTable::scope_of_role(mount_accessor, role);
  const base::JsonObject row{{"path", path}, {"role", role}};
  txn_.put(std::string(kJobPrefix) + scope, base::Json(row).dump());
}

void TokenStore::update(const Token& token, int64_t old_expires_s) {
  txn_.put(token_row_key(token.hash), encode_token(token));
  if (token.expires_s == old_expires_s) return;
  if (old_expires_s != 0) txn_.erase(due_key(old_expires_s, token.hash));
  if (token.expires_s != 0) txn_.put(due_key(token.expires_s, token.hash), "");
}

base::Result<bool> TokenStore::revoke(const Token& token) {
  auto word = leave_word(txn_, token);
  if (!word) return forward(word);
  erase_token_rows(txn_, token);
  auto parent = has_children(txn_, token.id);
  if (!parent) return forward(parent);
  // A child made at the same time read this token's row or wrote the one that has_children read,
  // so one of the two commits gives way.
  if (!*parent) return false;
  CutoffTable::write(txn_, CutoffTable::scope_of_token(token.id), CutoffTable::Kind::kRevoked);
  txn_.put(cleanup_key(token.id, token.id), "");
  return true;
}

base::Result<bool> TokenStore::revoke_and_orphan(const Token& token) {
  auto word = leave_word(txn_, token);
  if (!word) return forward(word);
  erase_token_rows(txn_, token);
  auto parent = has_children(txn_, token.id);
  if (!parent) return forward(parent);
  if (!*parent) return false;
  txn_.erase(parent_key(token.id));
  CutoffTable::write(txn_, CutoffTable::scope_of_token(token.id), CutoffTable::Kind::kDetached);
  return true;
}

base::Result<std::vector<std::string>> TokenStore::accessors(std::string_view after, size_t limit) {
  auto with_row = txn_.list(kAccessorPrefix, after, limit);
  if (!with_row) return with_row;
  auto any_with_row = with_row->empty() ? txn_.list(kAccessorPrefix, "", 1) : with_row;
  if (!any_with_row) return any_with_row;
  std::vector<std::string> found;
  std::string from = after.empty() ? "" : hash_prefix_of(after);
  for (bool more = true; more && found.size() < limit;) {
    auto names = txn_.list(kTokenRowPrefix, from, kListPage);
    if (!names) return names;
    more = names->size() == kListPage;
    for (const std::string& name : *names) {
      auto hash = hash_in(name);
      std::string accessor = hash ? accessor_of(*hash) : "";
      if (accessor <= after) continue;
      if (!any_with_row->empty()) {  // is it one of those?
        auto row = txn_.peek(token_row_key(*hash));
        if (!row) return forward(row);
        auto token = *row ? decode_token(**row) : base::Result<Token>(Token());
        if (!token) return forward(token);
        if (token->accessor != accessor) continue;
      }
      found.push_back(std::move(accessor));
      if (found.size() == limit) break;
    }
    if (more) from = std::move(names->back());
  }
  std::vector<std::string> both;
  std::ranges::set_union(*with_row, found, std::back_inserter(both));
  if (both.size() > limit) both.resize(limit);
  return both;
}

base::Result<bool> sweep_expired(barrier::Txn& txn, base::WallTime now, size_t rows_max) {
  auto due = keys_under(txn, kDuePrefix, rows_max);
  if (!due) return forward(due);
  size_t removed = 0;
  for (const std::string& key : *due) {
    const std::string_view rest = std::string_view(key).substr(kDuePrefix.size());
    const size_t slash = rest.find('/');
    if (slash == std::string_view::npos) continue;
    auto time = base::hex_decode(rest.substr(0, slash));
    auto hash = base::hex_decode(rest.substr(slash + 1));
    if (!time || time->size() != 8 || !hash) {
      txn.erase(key);
      continue;
    }
    if (static_cast<int64_t>(base::read_u64(time->data())) > seconds_of(now)) return false;
    auto token = read_token(txn, *hash);
    if (!token) return forward(token);
    if (*token && (*token)->expired(now)) {
      auto ended = end_token(txn, **token);
      if (!ended) return forward(ended);
    } else {
      txn.erase(key);
    }
    removed++;
  }
  return removed == rows_max;
}

base::Result<bool> sweep_revoked(barrier::Txn& txn, size_t rows_max) {
  auto work = keys_under(txn, kCleanupPrefix, 1);
  if (!work) return forward(work);
  if (work->empty()) return false;
  const std::string key = (*work)[0];
  const std::string_view rest = std::string_view(key).substr(kCleanupPrefix.size());
  const size_t slash = rest.find('/');
  REKEY_CHECK(slash != std::string_view::npos);
  const std::string root(rest.substr(0, slash)), id(rest.substr(slash + 1));
  auto children = keys_under(txn, child_prefix(id), rows_max);
  if (!children) return forward(children);
  for (const std::string& child_row : *children) {
    auto hash = hash_in(child_row);
    txn.erase(child_row);
    if (!hash) continue;
    auto child = read_token(txn, *hash);
    if (!child) return forward(child);
    if (!*child) continue;
    auto parent = has_children(txn, (*child)->id);
    if (!parent) return forward(parent);
    if (*parent) txn.put(cleanup_key(root, (*child)->id), "");
    auto word = leave_word(txn, **child);
    if (!word) return forward(word);
    erase_token_rows(txn, **child);
  }
  if (children->size() == rows_max) return true;
  txn.erase(key);
  txn.erase(parent_key(id));
  // The last clean-up row below a root takes its cut-off with it: nothing is left that it could
  // void.
  auto more = keys_under(txn, std::string(kCleanupPrefix) + root + "/", 1);
  if (!more) return forward(more);
  if (more->empty()) {
    txn.erase(std::string(kCutoffPrefix) + CutoffTable::scope_of_token(root));
  }
  return true;
}

base::Result<bool> sweep_cut(storage::Reader& reader, barrier::Txn& txn, size_t rows_max) {
  auto work = keys_under(txn, kJobPrefix, 1);
  if (!work) return forward(work);
  if (work->empty()) return false;
  const std::string& job = (*work)[0];
  auto text = txn.get(job);
  if (!text) return forward(text);
  if (!*text) return true;
  auto row = base::Json::parse(**text);
  if (!row || row->as_object() == nullptr) {
    return base::fail(ErrorKind::kCorrupt, "the row of a clean-up can't be read");
  }
  const std::string path = row->string_or("path", ""), role = row->string_or("role", "");
  const std::string after = row->string_or("after", "");
  storage::Revision before = 0;
  if (const base::Json* revision = row->find("before")) {
    before = static_cast<uint64_t>(revision->as_int().value_or(0));
  } else {
    auto item = reader.get(job);  // not begun: the row is as old as its cut-off
    if (!item) return forward(item);
    if (!*item) return true;
    before = (*item)->revision;
  }
  auto keys = reader.scan(std::string(kPathPrefix) + path, after, rows_max);
  if (!keys) return forward(keys);
  for (const std::string& key : *keys) {
    auto hash = hash_in(key);
    if (!hash) continue;
    auto token = read_token(txn, *hash);
    if (!token) return forward(token);
    if (!*token) {
      txn.erase(key);
    } else if ((*token)->issued_at < before && (role.empty() || (*token)->role == role)) {
      auto ended = end_token(txn, **token);
      if (!ended) return forward(ended);
    }
  }
  if (keys->size() < rows_max) {
    txn.erase(job);
  } else {
    base::JsonObject next = *row->as_object();
    next.set("before", before);
    next.set("after", keys->back());
    txn.put(job, base::Json(std::move(next)).dump());
  }
  return true;
}

}  // namespace rekey::identity
