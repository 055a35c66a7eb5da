// What an audit device is: its row behind the barrier, and its options as Vault names them,
// checked.
//
// Error texts are Vault's where it has one. Knows no socket and no file. Values; any thread.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

#include "auditdev/filter.h"
#include "base/error.h"
#include "base/secret_bytes.h"

namespace rekey::auditdev {

inline constexpr size_t kSaltBytes = 32;
inline constexpr size_t kPrefixBytesMax = 256;                        // the text before each line
inline constexpr size_t kOptionBytesMax = 4'096;                      // one option's value
inline constexpr size_t kDevicePathBytesMax = 256;                    // the name of a device
inline constexpr std::chrono::milliseconds kWriteTimeout{2'000};      // where none is configured
inline constexpr std::chrono::milliseconds kWriteTimeoutMax{30'000};  // a longer one is cut to this

// A row: what was asked for when the device was enabled, and the key of its hashes.
struct Config {
  std::string path;  // "file/": ends with a slash
  std::string type;  // file, syslog, socket
  std::string description;
  bool local = false;
  std::map<std::string, std::string> options;
  base::SecretBytes salt;

  std::string encode() const;
  static base::Result<Config> decode(std::string_view row);
};

enum class Kind { kFile, kStdout, kDiscard, kSyslog, kTcp, kUdp, kUnix };

struct Options {
  Kind kind = Kind::kFile;
  std::string file_path;
  unsigned mode = 0600;  // of a file that is made, or found; 0: left as it is
  std::string address;   // host:port, or a unix socket's path
  std::chrono::milliseconds write_timeout = kWriteTimeout;
  int facility = 4;  // syslog's number; AUTH
  std::string tag = "vault";
  bool hmac_accessor = true;
  bool log_raw = false;
  bool elide_list_responses = false;
  bool fallback = false;  // takes only what no other device takes
  std::string prefix;
  Filter filter;  // takes everything where none is configured
};

// kInvalid in Vault's words.
base::Result<Options> parse_options(const std::string& type,
                                    const std::map<std::string, std::string>& options);

}  // namespace rekey::auditdev
