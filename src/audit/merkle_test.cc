#include "audit/merkle.h"

#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <sstream>

#include "base/codec.h"
#include "base/testing/source_dir.h"

namespace rekey::audit {
namespace {

// MTH written straight from RFC 6962 section 2.1, as the oracle.
Hash slow_root(std::span<const Hash> leaves) {
  if (leaves.empty()) return empty_root();
  if (leaves.size() == 1) return leaves[0];
  size_t k = 1;
  while (2 * k < leaves.size()) k *= 2;
  return node_hash(slow_root(leaves.first(k)), slow_root(leaves.subspan(k)));
}

class LeafSource final : public SubtreeSource {
 public:
  explicit LeafSource(std::vector<Hash> leaves) : leaves_(std::move(leaves)) {}
  base::Result<Hash> subtree(unsigned height, uint64_t index) override {
    const uint64_t count = uint64_t{1} << height;
    if ((index + 1) * count > leaves_.size()) {
      return base::fail(base::ErrorKind::kNotFound, "no such node");
    }
    return complete_root(std::span(leaves_).subspan(index * count, count));
  }
  std::span<const Hash> first(size_t count) const { return std::span(leaves_).first(count); }

 private:
  std::vector<Hash> leaves_;
};

std::vector<Hash> numbered_leaves(size_t count) {
  std::vector<Hash> leaves;
  for (size_t i = 0; i < count; ++i) leaves.push_back(leaf_hash("entry " + std::to_string(i)));
  return leaves;
}

TEST(Merkle, PublishedRoots) {
  std::ifstream file(base::testing::source_dir() + "/src/audit/testdata/rfc6962_roots.txt");
  std::vector<Hash> leaves;
  std::string line;
  size_t checked = 0;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string leaf, root;
    words >> leaf >> root;
    leaves.push_back(leaf_hash(leaf == "-" ? "" : *base::hex_decode(leaf)));
    LeafSource source(leaves);
    EXPECT_EQ(base::hex_encode(crypto::as_bytes(*tree_root(source, leaves.size()))), root);
    ++checked;
  }
  EXPECT_EQ(checked, 8u);
  EXPECT_EQ(base::hex_encode(crypto::as_bytes(empty_root())),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Merkle, EveryInclusionProofUpTo70Verifies) {
  LeafSource source(numbered_leaves(70));
  for (uint64_t size = 1; size <= 70; ++size) {
    const Hash root = slow_root(source.first(size));
    ASSERT_EQ(*tree_root(source, size), root);
    for (uint64_t index = 0; index < size; ++index) {
      const std::vector<Hash> path = *inclusion_path(source, index, size);
      const Hash leaf = source.first(size)[index];
      ASSERT_TRUE(verify_inclusion(leaf, index, size, path, root)) << index << " of " << size;
      EXPECT_FALSE(verify_inclusion(leaf, index + 1, size, path, root));
      EXPECT_FALSE(verify_inclusion(leaf_hash("other"), index, size, path, root));
      std::vector<Hash> longer = path;
      longer.push_back(root);
      EXPECT_FALSE(verify_inclusion(leaf, index, size, longer, root));
      if (path.empty()) continue;
      EXPECT_FALSE(
          verify_inclusion(leaf, index, size, std::span(path).first(path.size() - 1), root));
      std::vector<Hash> altered = path;
      altered.back()[0] ^= 1;
      EXPECT_FALSE(verify_inclusion(leaf, index, size, altered, root));
    }
  }
  EXPECT_FALSE(inclusion_path(source, 70, 70));
}

TEST(Merkle, EveryConsistencyProofUpTo70Verifies) {
  LeafSource source(numbered_leaves(70));
  for (uint64_t size = 1; size <= 70; ++size) {
    const Hash root = slow_root(source.first(size));
    for (uint64_t old_size = 1; old_size <= size; ++old_size) {
      const Hash old_root = slow_root(source.first(old_size));
      const std::vector<Hash> path = *consistency_path(source, old_size, size);
      ASSERT_TRUE(verify_consistency(old_size, size, path, old_root, root))
          << old_size << " in " << size;
      EXPECT_FALSE(verify_consistency(old_size, size, path, leaf_hash("other"), root));
      EXPECT_FALSE(verify_consistency(old_size, size, path, old_root, leaf_hash("other")));
      if (path.empty()) continue;
      std::vector<Hash> altered = path;
      altered[0][5] ^= 1;
      EXPECT_FALSE(verify_consistency(old_size, size, altered, old_root, root));
      EXPECT_FALSE(verify_consistency(old_size, size, std::span(path).first(path.size() - 1),
                                      old_root, root));
    }
  }
  EXPECT_FALSE(consistency_path(source, 0, 5));
  EXPECT_FALSE(consistency_path(source, 6, 5));
}

}  // namespace
}  // namespace rekey::audit
