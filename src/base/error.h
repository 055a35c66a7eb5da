// Error and Result: how every fallible function of Rekey answers.
//
// An Error has a kind for the program, a message that is safe to show to the client, a detail for
// the operator (never shown to a client) and the place where it was made. Whatever a client, a
// disk, a clock or a peer can cause is an Error; a broken invariant of our own aborts (check.h).
// Nothing here knows HTTP: api/* holds the one table from kinds to status codes.
#pragma once

#include <expected>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace rekey::base {

enum class ErrorKind {
  kInvalid,          // the request is wrong and would be wrong again
  kUnauthenticated,  // no usable token
  kDenied,           // a token, but not allowed
  kNotFound,         // nothing there
  kUnsupported,      // the path exists, the operation doesn't
  kPrecondition,     // a condition of the request no longer holds
  kConflict,         // lost a race; the caller may retry
  kTooLarge,         // over a named limit
  kMediaType,        // a content type that isn't taken here
  kLimited,          // rate or quota
  kSealed,           // no key is reachable
  kUninitialized,    // there is no store yet
  kUnavailable,      // can't serve now (full disk, draining)
  kTimeout,          // an outside party was too slow
  kUpstream,         // an outside party answered with an error
  kCorrupt,          // stored bytes are not what was written
  kInternal,         // our mistake, or the operating system's
};

std::string_view kind_name(ErrorKind kind);

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message, std::string detail = {},
        std::source_location where = std::source_location::current())
      : kind_(kind), message_(std::move(message)), detail_(std::move(detail)), where_(where) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }  // safe for the client
  const std::string& detail() const { return detail_; }    // for operators only
  const std::source_location& where() const { return where_; }

  // "kind: message (detail) at file:line", for logs and test failures.
  std::string describe() const;

 private:
  ErrorKind kind_;
  std::string message_;
  std::string detail_;
  std::source_location where_;
};

template <class T>
using Result = std::expected<T, Error>;

// return fail(ErrorKind::kInvalid, "missing path");
inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string detail = {},
                                   std::source_location where = std::source_location::current()) {
  return std::unexpected(Error(kind, std::move(message), std::move(detail), where));
}

// Hands a failure up unchanged: if (!r) return forward(r);
template <class T>
std::unexpected<Error> forward(Result<T>& failed) {
  return std::unexpected(std::move(failed.error()));
}

}  // namespace rekey::base
