// What the handlers of transit share: names, base64 as Vault reads it, answers that show a key.
#pragma once

#include <string>
#include <string_view>

#include "engine/transit/keys.h"
#include "logical/answer.h"
#include "logical/context.h"

namespace rekey::engine::transit {

// Bodies above this are worked on by the pool, so that one doesn't hold up an io thread.
inline constexpr size_t kInlineBodyBytesMax = 256 * 1024;

inline constexpr std::string_view kMissingContext =
    "missing 'context' for key derivation; the key was created using a derived key, which means "
    "additional, per-request information must be included in order to perform operations with the "
    "key";

// The name in the path. kNotFound ("unsupported path", as for any path that is none) unless it is a
// key's name.
base::Result<std::string_view> key_name(const logical::Context& context);

// Base64 as Go's standard encoding takes it: with its padding. kInvalid, "illegal base64 data".
base::Result<std::string> decode_base64(std::string_view text);
base::Result<void> decode_base64_to(std::string& out, std::string_view text);

// The context of a derived key from a request's text. kInvalid where it isn't base64.
base::Result<std::string> decode_context(std::string_view text);

// A derived key of `size` bytes (HKDF-SHA256 of the version's key with the context as info).
// kInvalid without a context.
base::Result<base::SecretBytes> derive(const KeySettings& settings, const KeyVersion& version,
                                       std::string_view context, size_t size);

// `auto_rotate_period` of the request in seconds; `otherwise` where there is none. kInvalid for
// less than an hour.
base::Result<int64_t> auto_rotate_seconds(const logical::Context& context, int64_t otherwise);

// kInvalid where the type can't be derived or convergent as the settings say.
base::Result<void> check_derivation(const KeySettings& settings);

// The versions that a path names: "" (all that decrypt), "latest" or a number.
struct Range {
  uint32_t first, last;
};
base::Result<Range> versions_of(const KeySettings& settings, std::string_view text);

// What reading a key answers, and what every change of one does.
base::Result<logical::Response> describe_key(Keys& keys, std::string_view name,
                                             const KeySettings& settings,
                                             std::string_view derivation_context = {});

}  // namespace rekey::engine::transit
