#include "audit/index_builder.h"

#include <algorithm>
#include <cstring>

#include "audit/clients.h"
#include "base/check.h"
#include "base/codec.h"

namespace rekey::audit {

using base::Result;

namespace {

constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
constexpr size_t kNumberKeyBytes = 9;
constexpr size_t kTableSlotsMin = 1024;
constexpr size_t kInlineListBytes = 15;  // what a std::string keeps without allocating

uint64_t mix(uint64_t h, uint64_t w) {
  h = (h ^ w) * kMultiplier;
  return h ^ (h >> 32);
}

// Terms that keep their text; of the others a number is kept.
bool is_text(TermKind kind) { return kind == TermKind::kPath || kind == TermKind::kClient; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

uint64_t term_hash(std::string_view text) {
  uint64_t h = text.size();
  while (!text.empty()) {
    uint64_t w = 0;
    const size_t count = std::min<size_t>(8, text.size());
    std::memcpy(&w, text.data(), count);  // little-endian, as every machine we run on
    h = mix(h, w);
    text.remove_prefix(count);
  }
  return h;
}

uint64_t value_number(std::string_view hex_digits) {
  constexpr size_t kDigits = 16;
  if (hex_digits.size() < kDigits) return 0;
  uint64_t number = 0;
  for (size_t i = 0; i < kDigits; ++i) {
    const int digit = hex_digit(hex_digits[i]);
    if (digit < 0) return 0;
    number = number << 4 | static_cast<uint64_t>(digit);
  }
  return number;
}

std::string term_key(TermKind kind, uint64_t number) {
  std::string key(1, static_cast<char>(kind));
  base::append_u64(key, number);
  return key;
}

std::string text_key(TermKind kind, std::string_view text) {
  std::string key(1, static_cast<char>(kind));
  key += text;
  return key;
}

std::string path_key(std::string_view path) { return text_key(TermKind::kPath, path); }

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

bool cut_varint(std::string_view& bytes, uint64_t& out) {
  out = 0;
  for (unsigned shift = 0, i = 0; i < bytes.size() && shift < 64; ++i, shift += 7) {
    const uint64_t part = static_cast<unsigned char>(bytes[i]) & 0x7f;
    if (shift == 63 && part > 1) return false;
    out |= part << shift;
    if (static_cast<unsigned char>(bytes[i]) < 0x80) {
      bytes.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

bool cut_posting(std::string_view& list, bool first, uint64_t end_block, Posting& posting) {
  uint64_t head = 0;
  if (!cut_varint(list, head)) return false;
  const uint64_t distance = head >> 4;
  const size_t count = head & 15;
  if (!first && distance == 0) return false;
  if (distance >= end_block - posting.block || count > list.size()) return false;
  posting.block += distance;
  posting.places = list.substr(0, count);
  list.remove_prefix(count);
  return true;
}

// --- adding ---

void IndexBuilder::add(const ScannedEntry& entry) {
  REKEY_CHECK(place_ < kIndexBlockEntries);
  open_times_.add(entry.time_ns);
  // Paths and values are many, and where they stand is seldom in a cache: asked for first.
  if (!table_.empty()) {
    prefetch(TermKind::kPath, term_hash(entry.path));
    for (std::string_view digits : entry.values) {
      prefetch(TermKind::kValue, value_number(digits));
    }
  }
  if (const std::string client = client_text(entry); !client.empty()) {
    add_text(TermKind::kClient, client);
  }
  for (std::string_view text : {entry.entity_id, entry.display_name}) {
    if (!text.empty()) add_number(TermKind::kIdentity, term_hash(text));
  }
  for (std::string_view text : {entry.accessor, entry.response_accessor}) {
    if (!text.empty()) add_number(TermKind::kAccessor, term_hash(text));
  }
  for (std::string_view text : {entry.address, entry.forwarded}) {
    if (!text.empty()) add_number(TermKind::kAddress, term_hash(text));
  }
  if (entry.status != 0) add_number(TermKind::kStatus, entry.status);
  if (!entry.path.empty()) add_text(TermKind::kPath, entry.path);
  for (std::string_view digits : entry.values) add_number(TermKind::kValue, value_number(digits));
  ++place_;
}

void IndexBuilder::add_number(TermKind kind, uint64_t number) {
  mark(find_or_make(kind, number, {}));
}

void IndexBuilder::add_text(TermKind kind, std::string_view text) {
  mark(find_or_make(kind, term_hash(text), text));
}

// The term occurs in the entry at place_.
void IndexBuilder::mark(uint32_t index) {
  Term& term = terms_[index];
  if (term.pending == UINT32_MAX) {
    term.pending = static_cast<uint32_t>(pending_.size());
    pending_.emplace_back().term = index;
  }
  Pending& pending = pending_[term.pending];
  if (pending.count > kPostingPlacesMax) return;
  if (pending.count > 0 && pending.places[pending.count - 1] == place_) return;
  if (pending.count < kPostingPlacesMax) {
    pending.places[pending.count] = static_cast<unsigned char>(place_);
  }
  ++pending.count;
}

void IndexBuilder::close_block() {
  for (const Pending& pending : pending_) {
    Term& term = terms_[pending.term];
    const size_t before = term.list.capacity();
    const uint64_t distance = block_ - (term.list.empty() ? first_block_ : term.last_block);
    const size_t count = pending.count <= kPostingPlacesMax ? pending.count : 0;
    append_varint(term.list, distance << 4 | count);
    term.list.append(reinterpret_cast<const char*>(pending.places), count);
    if (term.list.capacity() > kInlineListBytes) bytes_ += term.list.capacity() - before;
    term.last_block = block_;
    term.pending = UINT32_MAX;
  }
  pending_.clear();
  times_.push_back(open_times_);
  bytes_ += sizeof(BlockTimes);
  open_times_ = {};
  place_ = 0;
  ++block_;
}

BlockTimes IndexBuilder::times() const {
  BlockTimes all;
  for (const BlockTimes& times : times_) all.add(times);
  return all;
}

// --- the table: open addressing, a free slot ends the search ---

void IndexBuilder::prefetch(TermKind kind, uint64_t hash) const {
  const uint64_t spread = mix(hash, static_cast<unsigned char>(kind));
  __builtin_prefetch(&table_[spread & (table_.size() - 1)]);
}

uint32_t IndexBuilder::find_slot(TermKind kind, uint64_t hash, std::string_view text) const {
  const uint64_t spread = mix(hash, static_cast<unsigned char>(kind));
  const size_t mask = table_.size() - 1;
  for (size_t slot = spread & mask;; slot = (slot + 1) & mask) {
    if (table_[slot] == 0) return static_cast<uint32_t>(slot);
    const Term& term = terms_[table_[slot] - 1];
    if (term.hash == hash && term.kind == kind && text_of(term) == text) {
      return static_cast<uint32_t>(slot);
    }
  }
}

uint32_t IndexBuilder::find_or_make(TermKind kind, uint64_t hash, std::string_view text) {
  if (2 * (terms_.size() + 1) > table_.size()) grow_table();
  const uint32_t slot = find_slot(kind, hash, text);
  if (table_[slot] != 0) return table_[slot] - 1;
  Term term;
  term.hash = hash;
  term.kind = kind;
  term.text_at = static_cast<uint32_t>(texts_.size());
  term.text_size = static_cast<uint32_t>(text.size());
  texts_ += text;
  terms_.push_back(std::move(term));
  table_[slot] = static_cast<uint32_t>(terms_.size());
  bytes_ += sizeof(Term) + 2 * sizeof(uint32_t) + text.size();
  return table_[slot] - 1;
}

void IndexBuilder::grow_table() {
  table_.assign(std::max(kTableSlotsMin, 2 * table_.size()), 0);
  for (size_t i = 0; i < terms_.size(); ++i) {
    const Term& term = terms_[i];
    table_[find_slot(term.kind, term.hash, text_of(term))] = static_cast<uint32_t>(i + 1);
  }
}

// --- reading ---

std::string IndexBuilder::key_of(const Term& term) const {
  return is_text(term.kind) ? text_key(term.kind, text_of(term)) : term_key(term.kind, term.hash);
}

Result<void> IndexBuilder::find(std::string_view key, const VisitList& visit) const {
  if (key.empty() || table_.empty()) return {};
  const TermKind kind = static_cast<TermKind>(key[0]);
  uint64_t hash = 0;
  std::string_view text;
  if (is_text(kind)) {
    text = key.substr(1);
    hash = term_hash(text);
  } else {
    if (key.size() != kNumberKeyBytes) return {};
    hash = base::read_u64(key.data() + 1);
  }
  const uint32_t slot = find_slot(kind, hash, text);
  if (table_[slot] == 0) return {};
  const Term& term = terms_[table_[slot] - 1];
  return term.list.empty() ? Result<void>() : visit(term.list);
}

Result<void> IndexBuilder::find_all(std::string_view prefix, const VisitTerm& visit) const {
  for (const Term& term : terms_) {
    if (term.list.empty() || prefix.empty() || static_cast<char>(term.kind) != prefix[0]) continue;
    const std::string key = key_of(term);
    if (!key.starts_with(prefix)) continue;
    Result<void> visited = visit(key, term.list);
    if (!visited) return visited;
  }
  return {};
}

Result<void> IndexBuilder::visit_sorted(
    const std::function<Result<void>(std::string_view, uint64_t, std::string_view)>& visit) const {
  std::vector<const Term*> order;
  order.reserve(terms_.size());
  for (const Term& term : terms_) {
    if (!term.list.empty()) order.push_back(&term);
  }
  std::ranges::sort(order, [&](const Term* a, const Term* b) {
    if (a->kind != b->kind) return a->kind < b->kind;
    if (is_text(a->kind)) return text_of(*a) < text_of(*b);
    return a->hash < b->hash;
  });
  for (const Term* term : order) {
    Result<void> visited = visit(key_of(*term), term->last_block, term->list);
    if (!visited) return visited;
  }
  return {};
}

}  // namespace rekey::audit
