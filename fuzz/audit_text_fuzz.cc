// rooms: base crypto audit
// Signed notes, checkpoints, verifier keys and tlog-proofs, as an auditor or a witness may send
// them: what is accepted must be written back the same.
#include <cstdint>
#include <string_view>

#include "audit/note.h"
#include "audit/proof.h"
#include "base/check.h"

using rekey::audit::parse_note;
using rekey::audit::parse_tree_head;
using rekey::audit::TlogProof;
using rekey::audit::VerifierKey;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto key = VerifierKey::parse(text)) {
    REKEY_CHECK(VerifierKey::parse(key->text())->public_key == key->public_key);
  }
  if (const auto note = parse_note(text)) {
    REKEY_CHECK(!note->signatures.empty() && note->text.ends_with('\n'));
    const auto key = VerifierKey::make(note->signatures[0].name, std::string(32, 'k'));
    if (key) (void)verify_note(*note, *key);
    (void)parse_tree_head(note->text);
  }
  if (const auto head = parse_tree_head(text)) {
    const auto again = parse_tree_head(head->text());
    REKEY_CHECK(again && again->size == head->size && again->root == head->root);
  }
  if (const auto proof = TlogProof::parse(text)) {
    REKEY_CHECK(TlogProof::parse(proof->text()).has_value());
    const auto key = VerifierKey::make("rekey.test/log", std::string(32, 'k'));
    (void)verify_proof(*proof, proof->extra, *key);
  }
  return 0;
}
