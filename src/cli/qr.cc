#include "cli/qr.h"

#include <qrencode.h>

#include <memory>

namespace rekey::cli {

base::Result<std::string> qr_for_terminal(std::string_view text, bool colours) {
  using base::ErrorKind;
  if (text.size() > kQrTextBytesMax) {
    return base::fail(ErrorKind::kTooLarge, "too long for a QR code");
  }
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> code(
      QRcode_encodeData(static_cast<int>(text.size()),
                        reinterpret_cast<const unsigned char*>(text.data()), 0, QR_ECLEVEL_L),
      QRcode_free);
  if (code == nullptr) return base::fail(ErrorKind::kInternal, "no QR code could be made");
  constexpr int kQuiet = 2;  // half of what the standard asks for, as others do on terminals
  const auto dark = [&](int x, int y) {
    if (x < 0 || y < 0 || x >= code->width || y >= code->width) return false;
    return (code->data[y * code->width + x] & 1) != 0;
  };
  std::string out;
  for (int y = -kQuiet; y < code->width + kQuiet; y += 2) {
    // White letters on black: what is a block is light.
    if (colours) out += "\x1b[40;37;1m";
    for (int x = -kQuiet; x < code->width + kQuiet; x++) {
      const bool upper = dark(x, y), lower = dark(x, y + 1);
      out += upper ? (lower ? " " : "▄") : (lower ? "▀" : "█");
    }
    out += colours ? "\x1b[0m\n" : "\n";
  }
  return out;
}

}  // namespace rekey::cli
