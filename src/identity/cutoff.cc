#include "identity/cutoff.h"

namespace rekey::identity {
namespace {
constexpr size_t kScanPage = 1000;  // rows read at a time
constexpr std::string_view kPrefixScope = "prefix:";
}  // namespace

std::string CutoffTable::scope_of_token(std::string_view id) { return "token:" + std::string(id); }
std::string CutoffTable::scope_of_mount(std::string_view accessor) {
  return "mount:" + std::string(accessor);
}
std::string CutoffTable::scope_of_role(std::string_view mount_accessor, std::string_view role) {
  return "role:" + std::string(mount_accessor) + ":" + std::string(role);
}
std::string CutoffTable::scope_of_entity(std::string_view entity_id) {
  return "entity:" + std::string(entity_id);
}
std::string CutoffTable::scope_of_alias(std::string_view alias_id) {
  return "alias:" + std::string(alias_id);
}
std::string CutoffTable::scope_of_prefix(std::string_view path) {
  return std::string(kPrefixScope) + std::string(path);
}

void CutoffTable::write(barrier::Txn& txn, std::string_view scope, Kind kind) {
  txn.put(std::string(kCutoffPrefix) + std::string(scope), kind == Kind::kRevoked ? "R" : "D");
  if (!scope.starts_with("token:")) txn.put(kCutoffGenerationRow, "");
}

base::Result<CutoffTable> CutoffTable::load(storage::Reader& reader, barrier::Txn& txn) {
  CutoffTable table;
  std::string after;
  while (true) {
    auto keys = reader.scan(kCutoffPrefix, after, kScanPage);
    if (!keys) return forward(keys);
    for (const std::string& key : *keys) {
      auto row = reader.get(key);
      if (!row) return forward(row);
      if (!*row) continue;
      const storage::Revision revision = (*row)->revision;
      auto value = txn.peek(key);
      if (!value) return forward(value);
      if (!*value) continue;
      const Kind kind = **value == "D" ? Kind::kDetached : Kind::kRevoked;
      std::string scope = key.substr(kCutoffPrefix.size());
      table.has_prefixes_ |= scope.starts_with(kPrefixScope);
      table.rows_.emplace(std::move(scope), Cutoff{kind, revision});
    }
    if (keys->size() < kScanPage) return table;
    after = keys->back();
  }
}

const CutoffTable::Cutoff* CutoffTable::find(std::string_view scope) const {
  const auto row = rows_.find(scope);
  return row == rows_.end() ? nullptr : &row->second;
}

bool CutoffTable::orphaned(const Token& token) const {
  if (token.ancestors.empty()) return false;
  const Cutoff* cutoff = find(scope_of_token(token.ancestors[0]));
  return cutoff != nullptr && cutoff->kind == Kind::kDetached && token.issued_at < cutoff->revision;
}

bool CutoffTable::cuts(std::string_view scope, storage::Revision issued_at) const {
  const Cutoff* cutoff = find(scope);
  return cutoff != nullptr && cutoff->kind == Kind::kRevoked && issued_at < cutoff->revision;
}

bool CutoffTable::cuts_path(std::string_view path, storage::Revision issued_at) const {
  if (!has_prefixes_) return false;
  std::string scope = scope_of_prefix(path);
  if (!scope.ends_with('/')) scope += '/';
  while (true) {
    if (cuts(scope, issued_at)) return true;
    const size_t slash = scope.rfind('/', scope.size() - 2);
    if (slash == std::string::npos) return false;
    scope.resize(slash + 1);
  }
}

bool CutoffTable::revokes(const Token& token) const {
  if (rows_.empty()) return false;
  const auto cut = [&](const std::string& scope) { return cuts(scope, token.issued_at); };
  if (cut(scope_of_token(token.id))) return true;
  if (!token.mount_accessor.empty()) {
    if (cut(scope_of_mount(token.mount_accessor))) return true;
    for (const std::string* role : {&token.role, &token.login_role}) {
      if (!role->empty() && cut(scope_of_role(token.mount_accessor, *role))) return true;
    }
  }
  if (!token.entity_id.empty() && cut(scope_of_entity(token.entity_id))) return true;
  if (!token.alias_id.empty() && cut(scope_of_alias(token.alias_id))) return true;
  if (cuts_path(token.path, token.issued_at)) return true;
  for (size_t i = 0; i < token.ancestors.size(); i++) {
    const Cutoff* cutoff = find(scope_of_token(token.ancestors[i]));
    if (cutoff != nullptr && token.issued_at < cutoff->revision) {
      // Detached: this token's line ends here; what happened further up is no longer its business.
      return cutoff->kind == Kind::kRevoked;
    }
    if (i < token.ancestor_paths.size() && cuts_path(token.ancestor_paths[i], token.issued_at)) {
      return true;
    }
  }
  return false;
}

}  // namespace rekey::identity
