// RFC 6962 Merkle trees: hashing, roots and proofs over whatever gives the hashes of complete
// subtrees, and the checking of proofs. Knows no files. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "crypto/digest.h"

namespace rekey::audit {

using Hash = crypto::Sha256Digest;

Hash leaf_hash(std::string_view entry);               // SHA-256(0x00, entry)
Hash node_hash(const Hash& left, const Hash& right);  // SHA-256(0x01, left, right)
Hash empty_root();                                    // SHA-256 of nothing
// Root of a complete subtree over 2^k hashes. `hashes` is not empty.
Hash complete_root(std::span<const Hash> hashes);

// Gives the hash of the complete subtree over the leaves [index << height, (index + 1) << height).
class SubtreeSource {
 public:
  virtual ~SubtreeSource() = default;
  virtual base::Result<Hash> subtree(unsigned height, uint64_t index) = 0;
};

// MTH(D[0:size]).
base::Result<Hash> tree_root(SubtreeSource& source, uint64_t size);
// PATH(index, D[0:size]) of RFC 6962 section 2.1.1, from the leaf's sibling up. kInvalid unless
// index < size.
base::Result<std::vector<Hash>> inclusion_path(SubtreeSource& source, uint64_t index,
                                               uint64_t size);
// PROOF(old_size, D[0:size]) of section 2.1.2. kInvalid unless 0 < old_size <= size.
base::Result<std::vector<Hash>> consistency_path(SubtreeSource& source, uint64_t old_size,
                                                 uint64_t size);

// RFC 9162 sections 2.1.3.2 and 2.1.4.2: false for anything that doesn't prove it.
bool verify_inclusion(const Hash& leaf, uint64_t index, uint64_t size, std::span<const Hash> path,
                      const Hash& root);
bool verify_consistency(uint64_t old_size, uint64_t size, std::span<const Hash> path,
                        const Hash& old_root, const Hash& root);

}  // namespace rekey::audit
