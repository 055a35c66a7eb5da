#include "audit/proof.h"

#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr std::string_view kFirstLine = "c2sp.org/tlog-proof@v1";
constexpr std::string_view kExtra = "extra ";
constexpr std::string_view kIndex = "index ";
constexpr size_t kPathHashesMax = 64;

// Cuts the first line off; false if there is no newline any more.
bool next_line(std::string_view& text, std::string_view& line) {
  const size_t end = text.find('\n');
  if (end == text.npos) return false;
  line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

}  // namespace

std::string TlogProof::text() const {
  std::string out(kFirstLine);
  out += '\n';
  if (!extra.empty()) out.append(kExtra).append(base::base64_encode(extra)) += '\n';
  out.append(kIndex).append(std::to_string(index)) += '\n';
  for (const Hash& hash : path) out.append(base::base64_encode(crypto::as_bytes(hash))) += '\n';
  out += '\n';
  out += checkpoint;
  return out;
}

Result<TlogProof> TlogProof::parse(std::string_view text) {
  const auto malformed = [](std::string_view what) {
    return fail(ErrorKind::kInvalid, "not a tlog-proof: " + std::string(what));
  };
  if (text.size() > kProofBytesMax) return malformed("too long");
  TlogProof proof;
  std::string_view line;
  if (!next_line(text, line) || line != kFirstLine) return malformed("first line");
  if (!next_line(text, line)) return malformed("index");
  if (line.starts_with(kExtra)) {
    Result<std::string> extra = base::base64_decode(line.substr(kExtra.size()));
    if (!extra || extra->empty() || !next_line(text, line)) return malformed("extra data");
    proof.extra = std::move(*extra);
  }
  if (!line.starts_with(kIndex) || !parse_decimal(line.substr(kIndex.size()), proof.index)) {
    return malformed("index");
  }
  while (true) {
    if (!next_line(text, line)) return malformed("checkpoint");
    if (line.empty()) break;
    Hash hash;
    if (proof.path.size() == kPathHashesMax || !parse_hash(line, hash)) return malformed("path");
    proof.path.push_back(hash);
  }
  proof.checkpoint = text;
  Result<Note> note = parse_note(text);
  if (!note) return base::forward(note);
  return proof;
}

Result<ProvenEntry> verify_proof(const TlogProof& proof, std::string_view entry,
                                 const VerifierKey& key) {
  Result<Note> note = parse_note(proof.checkpoint);
  if (!note) return base::forward(note);
  if (!verify_note(*note, key)) {
    return fail(ErrorKind::kCorrupt, "the checkpoint is not signed by the log's key");
  }
  Result<TreeHead> head = parse_tree_head(note->text);
  if (!head) return base::forward(head);
  if (head->origin != key.name) {
    return fail(ErrorKind::kCorrupt, "the checkpoint is of another log");
  }
  if (!verify_inclusion(leaf_hash(entry), proof.index, head->size, proof.path, head->root)) {
    return fail(ErrorKind::kCorrupt, "the entry is not in the tree at this index");
  }
  return ProvenEntry{proof.index, std::move(*head)};
}

}  // namespace rekey::audit
