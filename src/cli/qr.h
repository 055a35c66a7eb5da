// A QR code for a terminal: two rows of squares in a line of half blocks. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::cli {

inline constexpr size_t kQrTextBytesMax = 1024;

// With its quiet margin, each line ended. `colours`: with the escape sequences that make it dark on
// light whatever the terminal's own colours are. kTooLarge for a text that doesn't fit.
base::Result<std::string> qr_for_terminal(std::string_view text, bool colours);

}  // namespace rekey::cli
