#include "barrier/generate_root.h"

#include <utility>

#include "barrier/seal.h"
#include "base/check.h"
#include "base/codec.h"

namespace rekey::barrier {

using base::ErrorKind;
using base::SecretBytes;

namespace {
std::unexpected<base::Error> refuse(std::string why,
                                    std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kInvalid, std::move(why), {}, where);
}

std::string exclusive_or(std::string_view a, std::string_view b) {
  std::string out(a);
  for (size_t i = 0; i < out.size(); i++) out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}
}  // namespace

base::Result<std::string> encode_root_token(std::string_view token, std::string_view otp) {
  if (token.size() != otp.size()) return refuse("OTP string has incorrect length");
  std::string text = base::base64_encode(exclusive_or(token, otp));
  while (text.ends_with('=')) text.pop_back();
  return text;
}

base::Result<std::string> decode_root_token(std::string_view encoded, std::string_view otp) {
  base::Result<std::string> bytes = base::base64_decode(encoded);
  if (!bytes) return refuse("the encoded token is not base64");
  if (bytes->size() != otp.size()) return refuse("OTP string has incorrect length");
  return exclusive_or(*bytes, otp);
}

GenerateRootStatus GenerateRoot::status() const {
  GenerateRootStatus now;
  now.started = started_;
  now.nonce = nonce_;
  now.progress = collector_.progress();
  return now;
}

base::Result<GenerateRootStatus> GenerateRoot::start(std::string otp) {
  const bool is_ours = otp.empty();
  if (!is_ours && otp.size() != kRootTokenBytes) return refuse("OTP string has incorrect length");
  if (started_) return refuse("root generation already in progress");
  started_ = true;
  nonce_ = random_.uuid();
  if (is_ours) otp = random_.base62(kRootTokenBytes);
  otp_ = SecretBytes::copy_of(otp);
  collector_.clear();
  GenerateRootStatus now = status();
  if (is_ours) now.otp = std::move(otp);
  return now;
}

void GenerateRoot::cancel() {
  started_ = false;
  nonce_.clear();
  otp_.wipe();
  collector_.clear();
}

base::Result<GenerateRootStatus> GenerateRoot::update(SecretBytes share, std::string_view nonce,
                                                      int required, const Actions& actions) {
  base::Result<void> length = check_share_length(share);
  if (!length) return base::forward(length);
  if (!started_) return refuse("no root generation in progress");
  if (nonce != nonce_) {
    return refuse("incorrect nonce supplied; nonce for this root generation operation is \"" +
                  nonce_ + "\"");
  }
  if (collector_.contains(share)) {
    return refuse("given key has already been provided during this generation operation");
  }
  base::Result<std::optional<SecretBytes>> key = collector_.add(std::move(share), required);
  if (!key) return base::forward(key);
  if (!key->has_value()) return status();
  base::Result<void> authorised = actions.authorise(**key);
  if (!authorised) {
    return base::fail(
        authorised.error().kind(),
        "root generation aborted: unable to authenticate: " + authorised.error().message(),
        authorised.error().detail());
  }
  base::Result<std::string> token = actions.make_token();
  if (!token) return base::forward(token);
  REKEY_CHECK(token->size() == otp_.size());
  base::Result<std::string> encoded = encode_root_token(*token, otp_.reveal());
  REKEY_CHECK(encoded.has_value());
  GenerateRootStatus done = status();
  done.progress = required;
  done.complete = true;
  done.encoded_token = std::move(*encoded);
  cancel();
  return done;
}

}  // namespace rekey::barrier
