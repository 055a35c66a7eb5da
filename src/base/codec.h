// Text forms of bytes. Decoders take exactly what the format allows and report anything else.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::base {

std::string hex_encode(std::string_view bytes);                // lower case
Result<std::string> hex_decode(std::string_view text);         // either case
std::string base64_encode(std::string_view bytes);             // RFC 4648 section 4, padded
void append_base64(std::string& out, std::string_view bytes);  // the same, behind what is there
Result<std::string> base64_decode(std::string_view text);      // padded or not, no line breaks
// The same in place of what `out` held, whose room is used again; its content is any on failure.
Result<void> base64_decode_to(std::string& out, std::string_view text);
std::string base64url_encode(std::string_view bytes);         // section 5, not padded
Result<std::string> base64url_decode(std::string_view text);  // padded or not

// Of ASCII letters, whatever the locale; other bytes stay as they are.
std::string to_lower(std::string_view text);

// Big-endian integers for keys and formats: byte order is then also number order.
void append_u16(std::string& out, uint16_t value);
void append_u32(std::string& out, uint32_t value);
void append_u64(std::string& out, uint64_t value);
uint16_t read_u16(const char* at);
uint32_t read_u32(const char* at);
uint64_t read_u64(const char* at);

// Cuts fields off the front of `bytes`; every read says whether there was enough.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}
  bool u8(uint8_t& out);
  bool u16(uint16_t& out);
  bool u32(uint32_t& out);
  bool u64(uint64_t& out);
  bool bytes(size_t count, std::string_view& out);
  bool string16(std::string_view& out);  // u16 length, then the bytes
  bool string32(std::string_view& out);  // u32 length, then the bytes
  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

void append_string16(std::string& out, std::string_view text);  // text of at most 65,535 bytes
void append_string32(std::string& out, std::string_view text);

bool is_valid_utf8(std::string_view text);

}  // namespace rekey::base
