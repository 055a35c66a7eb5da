// The status line and header block of an answer. Pure; any thread.
#pragma once

#include <string>

#include "net/http_message.h"

namespace rekey::net {

struct AnswerForm {
  bool http_1_0 = false;
  bool head_request = false;  // the body is announced, not sent
  bool close = false;
};

std::string_view status_text(int status);  // "" where there is no registered phrase
bool may_have_body(int status);            // RFC 9110 section 6.4.1

// Appends everything up to and including the empty line.
void append_response_head(std::string& out, const Response& response, const AnswerForm& form);

// {"errors":["reason"]}; `reason` is one of net's literals.
std::string error_body(std::string_view reason);

}  // namespace rekey::net
