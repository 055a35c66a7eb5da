#include "audit/record.h"

#include "audit/hashed_json.h"
#include "audit/log.h"
#include "base/check.h"

namespace rekey::audit {

using base::JsonWriter;

namespace {

constexpr std::string_view kHashPrefix = "hmac-sha256:";
constexpr std::string_view kCut = "...";
// No character takes more room in JSON than \u00XX.
constexpr size_t kEscapedBytesMax = 6;

void append_hex(const crypto::Sha256Digest& digest, std::string& out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  char text[2 * sizeof(crypto::Sha256Digest)];
  for (size_t i = 0; i < digest.size(); ++i) {
    text[2 * i] = kDigits[digest[i] >> 4];
    text[2 * i + 1] = kDigits[digest[i] & 15];
  }
  out.append(text, sizeof(text));
}

// The longest part of `text` that takes at most kFieldBytesMax bytes of JSON.
std::string_view bounded(std::string_view text) {
  if (text.size() <= kFieldBytesMax / kEscapedBytesMax) return text;
  size_t escaped = 0, at = 0;
  for (; at < text.size(); ++at) {
    const unsigned char c = static_cast<unsigned char>(text[at]);
    // A byte that isn't UTF-8 becomes U+FFFD.
    escaped += c < 0x20 ? kEscapedBytesMax : c == '"' || c == '\\' ? 2 : c < 0x80 ? 1 : 3;
    if (escaped > kFieldBytesMax) break;
  }
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return text.substr(0, at);
}

// What the record gives up, in this order, to stay within its limit.
enum class Detail { kAll, kNoResponse, kNoRequest, kNoPolicies };

class RecordWriter {
 public:
  RecordWriter(const RecordInput& input, const Hasher* hasher, Detail detail, std::string& out)
      : input_(input), hasher_(hasher), detail_(detail), out_(out), json_(out) {}

  void write() {
    json_.begin_object();
    json_.member("type", input_.type);
    json_.key("time");
    json_.plain_text([this](std::string& out) { base::append_rfc3339(out, input_.time); });
    text("id", input_.request_id);
    text("operation", input_.operation);
    text("path", input_.path);
    number("version", input_.version);
    write_mount();
    write_auth();
    write_remote();
    write_headers();
    write_request();
    write_response();
    number("status", input_.status);
    text("error", input_.error);
    number("store_revision", input_.store_revision);
    number("duration_us", input_.duration_us);
    if (hasher_ == nullptr) json_.member("hmac", "sealed");
    json_.end_object();
  }

 private:
  void text(const char* name, std::string_view value) {
    if (value.empty()) return;
    json_.key(name);
    const std::string_view kept = bounded(value);
    if (kept.size() == value.size()) return json_.value(value);
    scratch_ = kept;
    scratch_ += kCut;
    json_.value(scratch_);
  }

  void number(const char* name, uint64_t value) {
    if (value != 0) json_.member(name, value);
  }

  void hashed(std::string_view value) {
    json_.plain_text([&](std::string& out) { hasher_->append(value, out); });
  }

  void hashed_member(const char* name, std::string_view value) {
    if (value.empty() || hasher_ == nullptr) return;
    json_.key(name);
    hashed(value);
  }

  void write_mount() {
    if (input_.mount_path.empty()) return;
    json_.key("mount");
    json_.begin_object();
    text("path", input_.mount_path);
    text("type", input_.mount_type);
    text("accessor", input_.mount_accessor);
    json_.end_object();
  }

  void write_auth() {
    if (input_.token.empty() && input_.token_accessor.empty() && input_.entity_id.empty() &&
        input_.deciding_rule.empty() && input_.policies.empty() && input_.auth_mount.empty()) {
      return;
    }
    json_.key("auth");
    json_.begin_object();
    text("entity_id", input_.entity_id);
    hashed_member("token", input_.token);
    text("accessor", input_.token_accessor);
    text("display_name", input_.display_name);
    text("mount", input_.auth_mount);
    text("role", input_.role);
    text("token_type", input_.token_type);
    if (!input_.policies.empty()) {
      json_.key("policies");
      begin_digestible();
      json_.begin_array();
      for (const std::string& policy : input_.policies) json_.value(policy);
      json_.end_array();
      end_digestible(Detail::kNoPolicies);
    }
    text("rule", input_.deciding_rule);
    json_.end_object();
  }

  void write_remote() {
    if (input_.remote_address.empty() && input_.forwarded_address.empty()) return;
    json_.key("remote");
    json_.begin_object();
    text("address", input_.remote_address);
    number("port", input_.remote_port);
    text("forwarded", input_.forwarded_address);
    text("user_agent", input_.user_agent);
    text("certificate", input_.client_certificate);
    json_.end_object();
  }

  // {"x-name": ["value", ...]}; values of one name stand together.
  void write_headers() {
    if (input_.headers.empty()) return;
    const size_t start = out_.size();
    json_.key("headers");
    json_.begin_object();
    std::string_view name;
    bool cut = false;
    for (const RecordInput::Header& header : input_.headers) {
      cut = out_.size() - start + kFieldBytesMax > kHeadersBytesMax;
      if (cut) break;
      if (header.name != name) {
        if (!name.empty()) json_.end_array();
        name = header.name;
        json_.dynamic_key(bounded(name));
        json_.begin_array();
      }
      if (!header.hmac) {
        json_.value(bounded(header.value));
      } else if (hasher_ != nullptr) {
        hashed(header.value);
      }
    }
    if (!name.empty()) json_.end_array();
    json_.end_object();
    if (cut) json_.member("headers_cut", true);
  }

  void write_request() {
    json_.key("request");
    json_.begin_object();
    number("bytes", input_.request_bytes);
    write_data(input_.request, Detail::kNoRequest);
    json_.end_object();
  }

  void write_response() {
    json_.key("response");
    json_.begin_object();
    number("bytes", input_.response_bytes);
    write_data(input_.response, Detail::kNoResponse);
    hashed_member("token", input_.response_token);
    text("accessor", input_.response_accessor);
    text("lease_id", input_.lease_id);
    if (input_.wrapped) json_.member("wrapped", true);
    json_.end_object();
  }

  void write_data(const RecordData& data, Detail given_up_at) {
    if (hasher_ == nullptr) return;
    if (!data.fields.empty()) {
      json_.key("data");
      begin_digestible();
      json_.begin_object();
      for (const RecordData::Field& field : data.fields) {
        json_.dynamic_key(field.name);
        hashed(field.value);
      }
      json_.end_object();
      end_digestible(given_up_at);
    } else if (data.json != nullptr) {
      write_tree(data, given_up_at);
    } else if (!data.json_text.empty()) {
      write_text(data, given_up_at);
    } else if (!data.raw.empty()) {
      hashed_member("data", data.raw);
    }
  }

  void write_tree(const RecordData& data, Detail given_up_at) {
    json_.key("data");
    begin_digestible();
    json_.raw({});  // what follows is one value, written without the writer
    const bool cut = append_hashed(*data.json, *hasher_, out_);
    end_digestible(given_up_at);
    if (cut) hashed_member("whole", data.json->dump());
  }

  void write_text(const RecordData& data, Detail given_up_at) {
    json_.key("data");
    begin_digestible();
    json_.raw({});  // what follows is one value, written without the writer
    const TextResult result = append_hashed_text(data.json_text, *hasher_, out_);
    if (result == TextResult::kNotJson) {
      out_ += '"';
      hasher_->append(data.json_text, out_);
      out_ += '"';
      return;
    }
    end_digestible(given_up_at);
    if (result == TextResult::kCut) hashed_member("whole", data.json_text);
  }

  // Between the two stands one JSON value, which is replaced by its digest if the record gives it
  // up. It holds hashes only, so the digest needs no key.
  void begin_digestible() { digestible_from_ = out_.size(); }
  void end_digestible(Detail given_up_at) {
    if (detail_ < given_up_at) return;
    const std::string_view value = std::string_view(out_).substr(digestible_from_);
    const size_t bytes = value.size();
    const crypto::Sha256Digest digest = crypto::sha256(value);
    out_.resize(digestible_from_);
    out_ += "{\"sha256\":\"";
    append_hex(digest, out_);
    out_ += "\",\"bytes\":" + std::to_string(bytes) + "}";
  }

  const RecordInput& input_;
  const Hasher* hasher_;
  const Detail detail_;
  std::string& out_;
  JsonWriter json_;
  std::string scratch_;
  size_t digestible_from_ = 0;
};

}  // namespace

Hasher::Hasher(const base::SecretBytes& key) : hmac_(key) {
  for (size_t i = 0; i < common_.size(); i++) {
    common_[i] = kHashPrefix;
    append_hex(hmac_.mac(kCommon[i]), common_[i]);
  }
}

void Hasher::append(std::string_view value, std::string& out) const {
  for (size_t i = 0; value.size() <= kCommonBytesMax && i < common_.size(); i++) {
    if (value == kCommon[i]) {
      out += common_[i];
      return;
    }
  }
  out += kHashPrefix;
  append_hex(hmac_.mac(value), out);
}

std::string Hasher::hash(std::string_view value) const {
  std::string out;
  append(value, out);
  return out;
}

std::string recorded_text(std::string_view text) {
  const std::string_view kept = bounded(text);
  std::string out(kept);
  if (kept.size() < text.size()) out += kCut;
  return out;
}

void append_record(const RecordInput& input, const Hasher* hasher, std::string& out) {
  const size_t start = out.size();
  for (Detail detail :
       {Detail::kAll, Detail::kNoResponse, Detail::kNoRequest, Detail::kNoPolicies}) {
    out.resize(start);
    RecordWriter(input, hasher, detail, out).write();
    if (out.size() - start <= kEntryBytesMax) return;
  }
  // About twenty text members of at most kFieldBytesMax each: it fits.
  REKEY_CHECK(out.size() - start <= kEntryBytesMax);
}

}  // namespace rekey::audit
