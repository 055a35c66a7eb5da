// C2SP signed notes, checkpoints and verifier keys, with Ed25519 (type 0x01). Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/merkle.h"
#include "base/error.h"
#include "crypto/ed25519.h"

namespace rekey::audit {

inline constexpr size_t kNoteBytesMax = 64 * 1024;
inline constexpr size_t kNoteSignaturesMax = 64;

// name+hash+key: the public half, as `rekey audit key` prints it.
struct VerifierKey {
  std::string name;
  uint32_t id = 0;
  std::string public_key;  // 32 bytes

  // kInvalid for a name with spaces or '+', or an empty one.
  static base::Result<VerifierKey> make(std::string_view name, std::string_view public_key);
  static base::Result<VerifierKey> parse(std::string_view text);
  std::string text() const;
};

struct NoteSignature {
  std::string name;
  uint32_t id = 0;
  std::string signature;  // without the key id
};

struct Note {
  std::string text;  // ends in a newline
  std::vector<NoteSignature> signatures;
};

// kInvalid for anything that isn't a signed note of at most kNoteBytesMax bytes.
base::Result<Note> parse_note(std::string_view bytes);
// The note with one signature by `key` under `name`.
std::string sign_note(std::string_view text, const VerifierKey& verifier,
                      const crypto::Ed25519PrivateKey& key);
// True if a signature by `key` is there and every signature by it is good.
bool verify_note(const Note& note, const VerifierKey& key);

// The text of a checkpoint: origin, size, root. Extension lines are allowed and ignored.
struct TreeHead {
  std::string origin;
  uint64_t size = 0;
  Hash root{};
  std::string text() const;
};
base::Result<TreeHead> parse_tree_head(std::string_view note_text);

// A decimal number as C2SP writes them: no sign, no leading zeroes.
bool parse_decimal(std::string_view text, uint64_t& out);
// 44 characters of base64; false for anything else.
bool parse_hash(std::string_view text, Hash& out);

}  // namespace rekey::audit
