#include "audit/note.h"

#include <charconv>
#include <cstring>

#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr char kEd25519Type = 1;
constexpr std::string_view kEmDash = "\xe2\x80\x94 ";

// Unicode's White_Space property, as far as UTF-8 can hide it in a name.
bool has_space_or_plus(std::string_view name) {
  static constexpr std::string_view kSpaces[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80",
                                                 "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
                                                 "\xe2\x81\x9f", "\xe3\x80\x80"};
  for (unsigned char c : name) {
    if (c <= 0x20 || c == '+' || c == 0x7f) return true;
  }
  for (std::string_view space : kSpaces) {
    if (name.find(space) != name.npos) return true;
  }
  for (size_t at = name.find("\xe2\x80"); at != name.npos; at = name.find("\xe2\x80", at + 1)) {
    if (at + 2 < name.size() && static_cast<unsigned char>(name[at + 2]) <= 0x8a) return true;
  }
  return false;
}

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 1024 && base::is_valid_utf8(name) &&
         !has_space_or_plus(name);
}

uint32_t key_id(std::string_view name, std::string_view public_key) {
  std::string prefix(name);
  prefix += '\n';
  prefix += kEd25519Type;
  const Hash hash = crypto::sha256(prefix, public_key);
  return base::read_u32(reinterpret_cast<const char*>(hash.data()));
}

// Base64 in its one canonical form: what we sign over must have one spelling.
Result<std::string> strict_base64(std::string_view text) {
  Result<std::string> bytes = base::base64_decode(text);
  if (bytes && base::base64_encode(*bytes) != text) {
    return fail(ErrorKind::kInvalid, "not canonical base64");
  }
  return bytes;
}

Result<NoteSignature> parse_signature_line(std::string_view line) {
  const auto malformed = [] { return fail(ErrorKind::kInvalid, "malformed signature line"); };
  if (!line.starts_with(kEmDash)) return malformed();
  line.remove_prefix(kEmDash.size());
  const size_t space = line.find(' ');
  if (space == line.npos) return malformed();
  NoteSignature out;
  out.name = line.substr(0, space);
  Result<std::string> bytes = strict_base64(line.substr(space + 1));
  if (!valid_name(out.name) || !bytes || bytes->size() < 5) return malformed();
  out.id = base::read_u32(bytes->data());
  out.signature = bytes->substr(4);
  return out;
}

}  // namespace

Result<VerifierKey> VerifierKey::make(std::string_view name, std::string_view public_key) {
  if (!valid_name(name)) {
    return fail(ErrorKind::kInvalid, "a log's name must not be empty or contain spaces or '+'");
  }
  if (public_key.size() != crypto::kEd25519PublicKeyBytes) {
    return fail(ErrorKind::kInvalid, "an Ed25519 public key has 32 bytes");
  }
  return VerifierKey{std::string(name), key_id(name, public_key), std::string(public_key)};
}

Result<VerifierKey> VerifierKey::parse(std::string_view text) {
  const auto malformed = [] {
    return fail(ErrorKind::kInvalid, "not a verifier key (name+hash+key, Ed25519)");
  };
  const size_t first = text.find('+');
  if (first == text.npos) return malformed();
  const size_t second = text.find('+', first + 1);
  if (second != first + 9) return malformed();
  Result<std::string> id = base::hex_decode(text.substr(first + 1, 8));
  Result<std::string> key = strict_base64(text.substr(second + 1));
  if (!id || !key || key->size() != 1 + crypto::kEd25519PublicKeyBytes ||
      (*key)[0] != kEd25519Type) {
    return malformed();
  }
  Result<VerifierKey> made = make(text.substr(0, first), std::string_view(*key).substr(1));
  if (made && made->id != base::read_u32(id->data())) return malformed();
  return made;
}

std::string VerifierKey::text() const {
  std::string id_bytes;
  base::append_u32(id_bytes, id);
  return name + "+" + base::hex_encode(id_bytes) + "+" +
         base::base64_encode(std::string(1, kEd25519Type) + public_key);
}

Result<Note> parse_note(std::string_view bytes) {
  if (bytes.size() > kNoteBytesMax) return fail(ErrorKind::kInvalid, "signed note is too long");
  if (!base::is_valid_utf8(bytes)) return fail(ErrorKind::kInvalid, "signed note is not UTF-8");
  for (unsigned char c : bytes) {
    if (c < 0x20 && c != '\n') return fail(ErrorKind::kInvalid, "control character in signed note");
  }
  const size_t split = bytes.rfind("\n\n");
  if (split == bytes.npos || bytes.back() != '\n') {
    return fail(ErrorKind::kInvalid, "signed note has no signatures");
  }
  Note note;
  note.text = bytes.substr(0, split + 1);
  std::string_view rest = bytes.substr(split + 2);
  if (rest.empty()) return fail(ErrorKind::kInvalid, "signed note has no signatures");
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    Result<NoteSignature> signature = parse_signature_line(rest.substr(0, end));
    if (!signature) return base::forward(signature);
    note.signatures.push_back(std::move(*signature));
    if (note.signatures.size() > kNoteSignaturesMax) {
      return fail(ErrorKind::kInvalid, "signed note has too many signatures");
    }
    rest.remove_prefix(end + 1);
  }
  return note;
}

std::string sign_note(std::string_view text, const VerifierKey& verifier,
                      const crypto::Ed25519PrivateKey& key) {
  std::string signature;
  base::append_u32(signature, verifier.id);
  signature += key.sign(text);
  std::string note(text);
  note += '\n';
  note += kEmDash;
  note += verifier.name;
  note += ' ';
  note += base::base64_encode(signature);
  note += '\n';
  return note;
}

bool verify_note(const Note& note, const VerifierKey& key) {
  bool found = false;
  for (const NoteSignature& signature : note.signatures) {
    if (signature.name != key.name || signature.id != key.id) continue;
    if (!crypto::ed25519_verify(key.public_key, note.text, signature.signature)) return false;
    found = true;
  }
  return found;
}

std::string TreeHead::text() const {
  return origin + "\n" + std::to_string(size) + "\n" + base::base64_encode(crypto::as_bytes(root)) +
         "\n";
}

Result<TreeHead> parse_tree_head(std::string_view text) {
  const auto malformed = [] { return fail(ErrorKind::kInvalid, "not a checkpoint"); };
  TreeHead head;
  for (int line = 0; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    if (end == text.npos || end == 0) return malformed();
    const std::string_view content = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line == 0) head.origin = content;
    if (line == 1 && !parse_decimal(content, head.size)) return malformed();
    if (line == 2) {
      if (!parse_hash(content, head.root)) return malformed();
      return head;  // extension lines say nothing about the tree
    }
  }
  return malformed();
}

bool parse_decimal(std::string_view text, uint64_t& out) {
  if (text.empty() || (text[0] == '0' && text.size() > 1)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_hash(std::string_view text, Hash& out) {
  Result<std::string> bytes = strict_base64(text);
  if (!bytes || bytes->size() != out.size()) return false;
  std::memcpy(out.data(), bytes->data(), out.size());
  return true;
}

}  // namespace rekey::audit
