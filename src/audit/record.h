// Records: what one request leaves in the log, as canonical JSON (docs/formats/audit.md).
//
// Values never get in: every string, number and boolean of request and response data is replaced by
// a keyed hash, `hmac-sha256:<hex>` as in Vault's audit devices, under a key of this log that is
// kept behind the barrier. Knows nothing of HTTP or of the pipeline. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret_bytes.h"
#include "crypto/digest.h"

namespace rekey::audit {

inline constexpr size_t kHasherKeyBytes = 32;
// The first so many leaves of a body are hashed one by one, down to this depth; what is deeper
// counts as one leaf, what is beyond is covered by one hash of the whole. So what a request pays is
// bounded.
inline constexpr size_t kHashedLeavesMax = 64;
inline constexpr size_t kHashedDepthMax = 16;
// Text members (path, user agent, display name ...) are cut at this length in JSON; "..." says so.
inline constexpr size_t kFieldBytesMax = 2'048;
// The configured headers of a request together, in JSON; what is beyond is left out and said.
inline constexpr size_t kHeadersBytesMax = 8'192;

// Keyed hashes of values. The same value gives the same hash for the life of the log.
class Hasher {
 public:
  explicit Hasher(const base::SecretBytes& key);                // kHasherKeyBytes bytes
  void append(std::string_view value, std::string& out) const;  // hmac-sha256:<64 hex digits>
  std::string hash(std::string_view value) const;               // for sys/audit-hash and queries
  crypto::Sha256Digest mac(std::string_view value) const { return hmac_.mac(value); }

 private:
  // Values that nearly every answer has, hashed once: half of what a small answer costs.
  static constexpr std::string_view kCommon[] = {"", "true", "false", "0", "1"};
  static constexpr size_t kCommonBytesMax = 5;  // of the longest of them

  crypto::HmacSha256 hmac_;
  std::array<std::string, std::size(kCommon)> common_;
};

// Request or response data in one of three forms; empty means none. With `fields` (cheapest, for
// hot paths) each value is hashed as it is; with `json` the tree is walked; with `raw` (a body that
// is no JSON) only its length and keyed hash are kept.
struct RecordData {
  struct Field {
    std::string_view name;
    std::string_view value;  // a string's text, or a number's or boolean's JSON text
  };
  std::span<const Field> fields;
  const base::Json* json = nullptr;
  std::string_view json_text;
  std::string_view raw;
};

// Everything is a view that lives during append_record only. Empty views and zero numbers are left
// out where that says the same.
struct RecordInput {
  std::string_view type = "request";  // or "intent", before an effect on the outside world
  base::WallTime time{};
  std::string_view request_id;
  std::string_view operation;   // read, update, ...
  std::string_view mount_path;  // secret/
  std::string_view mount_type;  // kv
  std::string_view mount_accessor;
  std::string_view path;  // as the client said it, decoded
  uint64_t version = 0;   // of the secret, where there is one

  std::string_view entity_id;
  std::string_view token;  // as presented; only its keyed hash gets in
  std::string_view token_accessor;
  std::string_view display_name;
  std::string_view auth_mount;
  std::string_view role;
  std::string_view token_type;  // service, batch
  std::span<const std::string> policies;
  std::string_view deciding_rule;  // policy and rule that allowed or denied

  std::string_view remote_address;
  uint16_t remote_port = 0;
  std::string_view forwarded_address;  // only where the proxy is trusted
  std::string_view user_agent;
  std::string_view client_certificate;  // SHA-256 fingerprint, hex
  struct Header {
    std::string_view name, value;
    bool hmac = false;  // keep the value's keyed hash, not the value
  };
  std::span<const Header> headers;  // those that are configured to be kept

  RecordData request;
  uint64_t request_bytes = 0;
  RecordData response;
  uint64_t response_bytes = 0;
  // A token or a wrapping token in the answer (hashed), its accessor, a lease.
  std::string_view response_token;
  std::string_view response_accessor;
  std::string_view lease_id;
  bool wrapped = false;

  uint16_t status = 0;     // HTTP status code
  std::string_view error;  // message, if it failed
  uint64_t store_revision = 0;
  uint64_t duration_us = 0;
};

// What the record keeps of a text: all of it, or its beginning and "...".
std::string recorded_text(std::string_view text);

// Appends one entry, at most kEntryBytesMax bytes, to `out`. Without a hasher (sealed) values are
// left out and the entry says "hmac":"sealed". If the entry would be longer, response data, then
// request data, then policies are replaced by {"sha256": ..., "bytes": ...} of their (hashed) JSON.
void append_record(const RecordInput& input, const Hasher* hasher, std::string& out);

}  // namespace rekey::audit
