#include "logical/request.h"

namespace rekey::logical {

std::string_view operation_name(Operation operation) {
  switch (operation) {
    case Operation::kRead:
      return "read";
    case Operation::kList:
      return "list";
    case Operation::kCreate:
      return "create";
    case Operation::kUpdate:
      return "update";
    case Operation::kPatch:
      return "patch";
    case Operation::kDelete:
      return "delete";
    case Operation::kHelp:
      return "help";
  }
  return "unknown";
}

int status_of(base::ErrorKind kind) {
  using base::ErrorKind;
  switch (kind) {
    case ErrorKind::kInvalid:
      return 400;
    case ErrorKind::kUnauthenticated:
      return 403;
    case ErrorKind::kDenied:
      return 403;
    case ErrorKind::kNotFound:
      return 404;
    case ErrorKind::kUnsupported:
      return 405;
    case ErrorKind::kPrecondition:
      return 412;
    case ErrorKind::kConflict:
      return 409;
    case ErrorKind::kTooLarge:
      return 413;
    case ErrorKind::kMediaType:
      return 415;
    case ErrorKind::kLimited:
      return 429;
    case ErrorKind::kSealed:
      return 503;
    case ErrorKind::kUninitialized:
      return 501;
    case ErrorKind::kUnavailable:
      return 503;
    case ErrorKind::kTimeout:
      return 504;
    case ErrorKind::kUpstream:
      return 502;
    case ErrorKind::kCorrupt:
      return 500;
    case ErrorKind::kInternal:
      return 500;
  }
  return 500;
}

int status_of(const Response& response) {
  if (response.status != 0) return response.status;
  return response.says_nothing() ? 204 : 200;
}

int status_of(const base::Result<Response>& answer) {
  return answer ? status_of(*answer) : status_of(answer.error().kind());
}

}  // namespace rekey::logical
