#include "crypto/totp.h"

#include <charconv>

#include "base/base32.h"
#include "base/check.h"
#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::crypto {
namespace {

using base::ErrorKind;
using base::Result;

constexpr std::string_view kScheme = "otpauth://";

std::unexpected<base::Error> invalid(const char* message) {
  return base::fail(ErrorKind::kInvalid, message);
}

std::string_view digest_name(TotpHash hash) {
  switch (hash) {
    case TotpHash::kSha1:
      return "sha1";
    case TotpHash::kSha256:
      return "sha2-256";
    case TotpHash::kSha512:
      return "sha2-512";
  }
  return "sha1";
}

bool is_plain(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

void append_escaped(std::string& out, std::string_view text, std::string_view also_plain = {}) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_plain(byte) || also_plain.contains(c)) {
      out += c;
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    auto byte = base::hex_decode(text.substr(i + 1, 2));
    if (!byte || byte->size() != 1) return invalid("bad percent-encoding in an otpauth URL");
    out += *byte;
    i += 2;
  }
  // Control characters would end up on terminals.
  for (const char c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return invalid("a control character in an otpauth URL");
    }
  }
  if (!base::is_valid_utf8(out)) return invalid("an otpauth URL isn't UTF-8");
  return out;
}

bool read_number(std::string_view text, int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

Result<void> read_parameter(std::string_view name, std::string_view value, Otpauth& out) {
  if (name == "secret") {
    auto key = base::base32_decode(value);
    if (!key) return invalid("the secret of an otpauth URL isn't base32");
    out.key = base::SecretBytes::copy_of(*key);
    base::wipe(key->data(), key->size());
  } else if (name == "issuer") {
    out.issuer = value;
  } else if (name == "algorithm") {
    const auto hash = totp_hash_named(value);
    if (!hash) return invalid("unrecognized algorithm");
    out.params.hash = *hash;
  } else if (name == "digits") {
    if (!read_number(value, out.params.digits)) return invalid("digits can only be 6 or 8");
  } else if (name == "period") {
    if (!read_number(value, out.params.period_s)) return invalid("period must be a number");
  }
  return {};
}

// The colon may be escaped or not; where it isn't, those within the names are.
Result<void> read_label(std::string_view label, Otpauth& out) {
  size_t colon = label.find(':'), after = colon + 1;
  if (colon == label.npos) {
    colon = std::min(label.find("%3A"), label.find("%3a"));
    after = colon + 3;
  }
  if (colon != label.npos) {
    auto issuer = unescape(label.substr(0, colon));
    if (!issuer) return forward(issuer);
    out.issuer = std::move(*issuer);
    label.remove_prefix(after);
  }
  auto account = unescape(label);
  if (!account) return forward(account);
  account->erase(0, account->find_first_not_of(' '));
  out.account = std::move(*account);
  return {};
}

}  // namespace

std::string_view totp_hash_name(TotpHash hash) {
  switch (hash) {
    case TotpHash::kSha1:
      return "SHA1";
    case TotpHash::kSha256:
      return "SHA256";
    case TotpHash::kSha512:
      return "SHA512";
  }
  return "SHA1";
}

std::optional<TotpHash> totp_hash_named(std::string_view name) {
  for (const TotpHash hash : {TotpHash::kSha1, TotpHash::kSha256, TotpHash::kSha512}) {
    if (name == totp_hash_name(hash)) return hash;
  }
  return std::nullopt;
}

Result<void> check_totp(const TotpParams& params) {
  if (params.digits != 6 && params.digits != 8) return invalid("digits can only be 6 or 8");
  if (params.period_s <= 0) return invalid("period must be greater than zero");
  if (params.period_s > kTotpPeriodMaxS) return invalid("period must be at most 24 hours");
  if (params.skew < 0 || params.skew > kTotpSkewMax) return invalid("skew must be 0 or 1");
  return {};
}

std::string totp_code(const TotpParams& params, const base::SecretBytes& key, uint64_t step) {
  std::string message;
  base::append_u64(message, step);
  auto mac = hmac(digest_name(params.hash), key, message);
  REKEY_CHECK(mac.has_value());  // the three names are known
  // RFC 4226 5.3: four bytes from where the last four bits say, without the sign.
  const size_t offset = static_cast<unsigned char>(mac->back()) & 15;
  uint64_t number = base::read_u32(mac->data() + offset) & 0x7fffffff;
  std::string code(static_cast<size_t>(params.digits), '0');
  for (size_t i = code.size(); i-- > 0; number /= 10)
    code[i] = static_cast<char>('0' + number % 10);
  return code;
}

std::optional<int64_t> find_totp_step(const TotpParams& params, const base::SecretBytes& key,
                                      std::string_view code, int64_t now_s) {
  const int64_t present = now_s / params.period_s;
  std::optional<int64_t> found;
  for (int64_t step = present - params.skew; step <= present + params.skew; step++) {
    if (step < 0) continue;
    const std::string right = totp_code(params, key, static_cast<uint64_t>(step));
    if (base::equal_constant_time(right, code)) found = step;
  }
  return found;
}

std::string otpauth_url(const Otpauth& what) {
  std::string url(kScheme);
  url += "totp/";
  append_escaped(url, what.issuer, "@");
  url += ':';
  append_escaped(url, what.account, "@");
  url.append("?algorithm=").append(totp_hash_name(what.params.hash));
  url.append("&digits=").append(std::to_string(what.params.digits));
  url += "&issuer=";
  append_escaped(url, what.issuer);
  url.append("&period=").append(std::to_string(what.params.period_s));
  url.append("&secret=").append(base::base32_encode(what.key.reveal()));
  return url;
}

Result<Otpauth> parse_otpauth_url(std::string_view url) {
  if (url.size() > kOtpauthUrlBytesMax) return invalid("the otpauth URL is too long");
  if (!url.starts_with(kScheme)) return invalid("this is no otpauth URL");
  url.remove_prefix(kScheme.size());
  constexpr std::string_view kType = "totp/";
  if (!url.starts_with(kType)) return invalid("only otpauth://totp/ is taken");
  url.remove_prefix(kType.size());
  url = url.substr(0, url.find('#'));
  Otpauth out;
  const std::string_view label = url.substr(0, url.find('?'));
  auto labelled = read_label(label, out);
  if (!labelled) return forward(labelled);
  url.remove_prefix(std::min(label.size() + 1, url.size()));
  while (!url.empty()) {
    const std::string_view pair = url.substr(0, url.find('&'));
    url.remove_prefix(std::min(pair.size() + 1, url.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    auto value = unescape(pair.substr(std::min(equals + 1, pair.size())));
    if (!value) return forward(value);
    auto read = read_parameter(pair.substr(0, equals), *value, out);
    base::wipe(value->data(), value->size());
    if (!read) return forward(read);
  }
  if (auto good = check_totp(out.params); !good) return forward(good);
  if (out.issuer.size() > kOtpauthNameBytesMax || out.account.size() > kOtpauthNameBytesMax) {
    return invalid("a name in the otpauth URL is too long");
  }
  if (out.key.empty()) return invalid("the otpauth URL has no secret");
  if (out.key.size() > kTotpKeyBytesMax) return invalid("the secret is too long");
  return out;
}

}  // namespace rekey::crypto
