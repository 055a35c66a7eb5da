// Lines: one request as Vault's audit devices write it: a "request" line when it was let in or
// refused, a "response" line when it was answered
// (developer.hashicorp.com/vault/docs/audit/schema).
//
// Strings of request and response data, tokens and (as configured) accessors are keyed hashes under
// the device's own salt, numbers, booleans and RFC 3339 times stay as they are, as in Vault; with
// log_raw everything stays. What one request costs is bounded. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/record.h"
#include "auditdev/options.h"
#include "identity/token.h"
#include "logical/context.h"
#include "logical/request.h"

namespace rekey::auditdev {

// Strings of one body that are hashed; behind these the data is cut and says so.
inline constexpr size_t kLineLeavesMax = 4'096;
inline constexpr size_t kLineDepthMax = 300;
inline constexpr size_t kLineHeadersMax = 64;  // values of configured headers in one line

// A header that sys/config/auditing/request-headers names, as this request had it.
struct HeaderFact {
  std::string name;  // lower case
  std::vector<std::string> values;
  bool hmac = false;
};

// What is known of a request once it was let in or refused. Views and pointers that live for the
// call only.
struct RequestFacts {
  const logical::Request& request;
  logical::Operation operation;
  const logical::Mount* mount = nullptr;   // null: there is none
  const identity::Token* token = nullptr;  // null: none was sent, or not a good one
  bool decided = false;                    // a policy was asked
  bool allowed = false;
  std::string_view granting_policy;
  std::span<const HeaderFact> headers;
};

struct ResponseFacts {
  const logical::Response* response = nullptr;  // null: it failed
  const base::Json* data = nullptr;             // the response's, parsed; null: none, or no JSON
  std::string_view error;                       // as in the line; empty: none
  base::WallTime time{};
};

// How a device wants its lines.
struct LineStyle {
  const Options& options;
  const audit::Hasher& hasher;
};

// The part that both lines have: "auth":{...},"request":{...}.
std::string line_middle(const RequestFacts& facts, const LineStyle& style);
// Whole lines with their line break.
std::string request_line(std::string_view middle, base::WallTime time, std::string_view error,
                         const LineStyle& style);
std::string response_line(std::string_view middle, const RequestFacts& request,
                          const ResponseFacts& response, const LineStyle& style);
// What a device is tried with when it is enabled.
std::string test_line(std::string_view request_id, base::WallTime time, const LineStyle& style);

}  // namespace rekey::auditdev
