// A QR code as a PNG picture. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace rekey::engine::identity {

inline constexpr size_t kQrTextBytesMax = 1024;

// Black on white, `pixels` in each direction, or as many as the code needs with one for each of its
// squares. kTooLarge for a longer text than fits.
base::Result<std::string> qr_png(std::string_view text, size_t pixels);

}  // namespace rekey::engine::identity
