#include "audit/merkle.h"

#include <bit>
#include <string>

#include "base/check.h"

namespace rekey::audit {

using base::ErrorKind;
using base::Result;

namespace {

constexpr std::string_view kLeafPrefix("\0", 1);
constexpr std::string_view kNodePrefix("\1", 1);

// The largest power of two below `n`, for n >= 2.
uint64_t split_point(uint64_t n) { return std::bit_floor(n - 1); }

// MTH(D[low:high]), where low is a multiple of the largest power of two <= high - low.
Result<Hash> range_root(SubtreeSource& source, uint64_t low, uint64_t high) {
  const uint64_t count = high - low;
  if (std::has_single_bit(count)) {
    const unsigned height = static_cast<unsigned>(std::countr_zero(count));
    return source.subtree(height, low >> height);
  }
  const uint64_t middle = low + split_point(count);
  Result<Hash> left = range_root(source, low, middle);
  if (!left) return left;
  Result<Hash> right = range_root(source, middle, high);
  if (!right) return right;
  return node_hash(*left, *right);
}

Result<void> append_range(SubtreeSource& source, uint64_t low, uint64_t high,
                          std::vector<Hash>& path) {
  Result<Hash> hash = range_root(source, low, high);
  if (!hash) return base::forward(hash);
  path.push_back(*hash);
  return {};
}

}  // namespace

Hash leaf_hash(std::string_view entry) { return crypto::sha256(kLeafPrefix, entry); }

Hash node_hash(const Hash& left, const Hash& right) {
  return crypto::sha256(kNodePrefix, crypto::as_bytes(left), crypto::as_bytes(right));
}

Hash empty_root() { return crypto::sha256({}); }

Hash complete_root(std::span<const Hash> hashes) {
  REKEY_CHECK(std::has_single_bit(hashes.size()));
  std::vector<Hash> level(hashes.begin(), hashes.end());
  for (size_t count = level.size(); count > 1; count /= 2) {
    for (size_t i = 0; i < count / 2; ++i) level[i] = node_hash(level[2 * i], level[2 * i + 1]);
  }
  return level[0];
}

Result<Hash> tree_root(SubtreeSource& source, uint64_t size) {
  if (size == 0) return empty_root();
  return range_root(source, 0, size);
}

Result<std::vector<Hash>> inclusion_path(SubtreeSource& source, uint64_t index, uint64_t size) {
  if (index >= size) return base::fail(ErrorKind::kInvalid, "the tree has no entry of that index");
  // From the root down the sibling ranges come outermost first; the path has them innermost first.
  std::vector<std::pair<uint64_t, uint64_t>> siblings;
  uint64_t low = 0, high = size;
  while (high - low > 1) {
    const uint64_t middle = low + split_point(high - low);
    if (index < middle) {
      siblings.emplace_back(middle, high);
      high = middle;
    } else {
      siblings.emplace_back(low, middle);
      low = middle;
    }
  }
  std::vector<Hash> path;
  for (size_t i = siblings.size(); i-- > 0;) {
    Result<void> done = append_range(source, siblings[i].first, siblings[i].second, path);
    if (!done) return base::forward(done);
  }
  return path;
}

Result<std::vector<Hash>> consistency_path(SubtreeSource& source, uint64_t old_size,
                                           uint64_t size) {
  if (old_size == 0 || old_size > size) {
    return base::fail(ErrorKind::kInvalid, "the older tree must be smaller and not empty");
  }
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  uint64_t low = 0, high = size;
  bool old_tree_whole = true;  // b of RFC 6962: the old tree's own root needs no place in the proof
  while (old_size != high) {
    const uint64_t middle = low + split_point(high - low);
    if (old_size <= middle) {
      ranges.emplace_back(middle, high);
      high = middle;
    } else {
      ranges.emplace_back(low, middle);
      low = middle;
      old_tree_whole = false;
    }
  }
  std::vector<Hash> path;
  if (!old_tree_whole) ranges.emplace_back(low, high);
  for (size_t i = ranges.size(); i-- > 0;) {
    Result<void> done = append_range(source, ranges[i].first, ranges[i].second, path);
    if (!done) return base::forward(done);
  }
  return path;
}

bool verify_inclusion(const Hash& leaf, uint64_t index, uint64_t size, std::span<const Hash> path,
                      const Hash& root) {
  if (index >= size) return false;
  uint64_t node = index, last = size - 1;
  Hash hash = leaf;
  for (const Hash& sibling : path) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      hash = node_hash(sibling, hash);
      while ((node & 1) == 0 && node != 0) node >>= 1, last >>= 1;
    } else {
      hash = node_hash(hash, sibling);
    }
    node >>= 1, last >>= 1;
  }
  return last == 0 && hash == root;
}

bool verify_consistency(uint64_t old_size, uint64_t size, std::span<const Hash> path,
                        const Hash& old_root, const Hash& root) {
  if (old_size == 0 || old_size > size) return false;
  if (old_size == size) return path.empty() && old_root == root;
  // A complete old tree is its own first node of the proof.
  const bool complete = std::has_single_bit(old_size);
  if (!complete && path.empty()) return false;
  Hash old_hash = complete ? old_root : path[0];
  Hash new_hash = old_hash;
  uint64_t node = old_size - 1, last = size - 1;
  while ((node & 1) != 0) node >>= 1, last >>= 1;
  for (const Hash& sibling : path.subspan(complete ? 0 : 1)) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      old_hash = node_hash(sibling, old_hash);
      new_hash = node_hash(sibling, new_hash);
      while ((node & 1) == 0 && node != 0) node >>= 1, last >>= 1;
    } else {
      new_hash = node_hash(new_hash, sibling);
    }
    node >>= 1, last >>= 1;
  }
  return last == 0 && old_hash == old_root && new_hash == root;
}

}  // namespace rekey::audit
