#include "base/error.h"

namespace rekey::base {

std::string_view kind_name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return "invalid";
    case ErrorKind::kUnauthenticated:
      return "unauthenticated";
    case ErrorKind::kDenied:
      return "denied";
    case ErrorKind::kNotFound:
      return "not-found";
    case ErrorKind::kUnsupported:
      return "unsupported";
    case ErrorKind::kPrecondition:
      return "precondition";
    case ErrorKind::kConflict:
      return "conflict";
    case ErrorKind::kTooLarge:
      return "too-large";
    case ErrorKind::kMediaType:
      return "media-type";
    case ErrorKind::kLimited:
      return "limited";
    case ErrorKind::kSealed:
      return "sealed";
    case ErrorKind::kUninitialized:
      return "uninitialized";
    case ErrorKind::kUnavailable:
      return "unavailable";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kUpstream:
      return "upstream";
    case ErrorKind::kCorrupt:
      return "corrupt";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string Error::describe() const {
  std::string text(kind_name(kind_));
  text += ": " + message_;
  if (!detail_.empty()) text += " (" + detail_ + ")";
  text += " at ";
  text += where_.file_name();
  text += ":" + std::to_string(where_.line());
  return text;
}

}  // namespace rekey::base
