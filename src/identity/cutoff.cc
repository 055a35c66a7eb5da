#include "identity/cutoff.h"

namespace rekey::identity {
namespace {
constexpr size_t kScanPage = 1000;  // rows read at a time
}  // namespace

std::string CutoffTable::scope_of_token(std::string_view id) { return "token:" + std::string(id); }
std::string CutoffTable::scope_of_mount(std::string_view accessor) {
  return "mount:" + std::string(accessor);
}

void CutoffTable::write(barrier::Txn& txn, std::string_view scope, Kind kind) {
  txn.put(std::string(kCutoffPrefix) + std::string(scope), kind == Kind::kRevoked ? "R" : "D");
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
      table.rows_.emplace(key.substr(kCutoffPrefix.size()), Cutoff{kind, revision});
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

bool CutoffTable::revokes(const Token& token) const {
  if (rows_.empty()) return false;
  const auto cut = [&](const std::string& scope) {
    const Cutoff* cutoff = find(scope);
    return cutoff != nullptr && cutoff->kind == Kind::kRevoked &&
           token.issued_at < cutoff->revision;
  };
  if (cut(scope_of_token(token.id))) return true;
  if (!token.mount_accessor.empty() && cut(scope_of_mount(token.mount_accessor))) return true;
  for (const std::string& ancestor : token.ancestors) {
    const Cutoff* cutoff = find(scope_of_token(ancestor));
    if (cutoff == nullptr || token.issued_at >= cutoff->revision) continue;
    // Detached: this token's line ends here; what happened further up is no longer its business.
    return cutoff->kind == Kind::kRevoked;
  }
  return false;
}

}  // namespace rekey::identity
