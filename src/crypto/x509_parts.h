// What x509.cc and x509_chain.cc share: OpenSSL's objects with owners, and reading of small parts.
// For these two files alone. Any thread.
#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/x509.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace rekey::crypto {

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* object) const { release(object); }
};
using Bio = std::unique_ptr<BIO, Release<BIO, BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Release<X509, X509_free>>;

inline std::string bytes_of(const ASN1_STRING* text) {
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

// Empty where it can't be read.
inline std::string utf8_of(const ASN1_STRING* value) {
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, value);
  if (size < 0) return {};
  std::string out(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
  OPENSSL_free(text);
  return out;
}

// A password prompt on the terminal is never wanted.
inline int no_password(char*, int, int, void*) { return -1; }

// Certificates that never end say the year 9999; our clock ends in 2262.
inline base::Result<base::WallTime> wall_time_of(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return base::fail(base::ErrorKind::kInvalid, "a time in it can't be read");
  }
  const std::chrono::seconds seconds(timegm(&parts));
  const auto end = std::chrono::floor<std::chrono::seconds>(base::WallTime::max());
  const auto begin = std::chrono::ceil<std::chrono::seconds>(base::WallTime::min());
  if (seconds >= end.time_since_epoch()) return base::WallTime(end);
  if (seconds <= begin.time_since_epoch()) return base::WallTime(begin);
  return base::WallTime(seconds);
}

}  // namespace rekey::crypto
