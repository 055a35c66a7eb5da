// EntryScanner: what the index and queries need of an entry, found in one pass over its JSON.
//
// Reads the compact JSON that record.h writes, without a tree and without copying. Members that it
// doesn't know are passed over; anything that isn't compact JSON is refused. Keeps its memory
// between entries. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace rekey::audit {

inline constexpr size_t kScanDepthMax = 64;    // an entry has at most kHashedDepthMax and its own
inline constexpr size_t kValueHexDigits = 64;  // of hmac-sha256:...
inline constexpr std::string_view kValueHashPrefix = "hmac-sha256:";

// Views into the entry, or into the scanner where text had escapes. Empty: not there.
struct ScannedEntry {
  int64_t time_ns = 0;  // since 1970
  std::string_view type, operation, path;
  std::string_view entity_id, display_name, accessor, token_type;
  std::string_view auth_mount;  // the path by which the token was made: auth/userpass/login/a
  std::string_view policies;    // as JSON
  std::string_view address, forwarded;
  std::string_view response_accessor;
  std::string_view error;
  uint32_t status = 0;
  // The hex digits of every keyed hash in request, response and auth.token, with repetitions.
  std::vector<std::string_view> values;
};

class EntryScanner {
 public:
  // False if it is no such JSON, or its time isn't in the record's form. `entry` must outlive the
  // use of what is found.
  bool scan(std::string_view entry);
  const ScannedEntry& found() const { return found_; }

 private:
  bool top_member(std::string_view name);
  bool auth();
  bool remote();
  bool body(bool is_response);
  template <class Member>
  bool object(Member member);
  bool string(std::string_view& raw);
  bool text(std::string_view& out);
  bool number(uint32_t& out);
  bool skip(bool keep_values);
  bool keep_value();
  bool eat(char c);
  char peek() const { return at_ < entry_.size() ? entry_[at_] : '\0'; }

  std::string_view entry_;
  size_t at_ = 0;
  ScannedEntry found_;
  std::deque<std::string> unescaped_;
};

}  // namespace rekey::audit
