#include "engine/identity/qr_picture.h"

#include <qrencode.h>
#include <zlib.h>

#include <memory>

#include "base/codec.h"

namespace rekey::engine::identity {
namespace {

using base::ErrorKind;
using base::Result;

constexpr size_t kQuiet = 4;  // empty squares around the code, as scanners want them

void append_chunk(std::string& png, std::string_view type, std::string_view data) {
  base::append_u32(png, static_cast<uint32_t>(data.size()));
  const size_t begin = png.size();
  png.append(type).append(data);
  const auto* bytes = reinterpret_cast<const unsigned char*>(png.data() + begin);
  const uLong crc = crc32(0, bytes, static_cast<uInt>(png.size() - begin));
  base::append_u32(png, static_cast<uint32_t>(crc));
}

// One bit a pixel; each line begins with its filter, none.
std::string lines_of(const QRcode& code, size_t pixels) {
  const auto width = static_cast<size_t>(code.width);
  const size_t scale = pixels / (width + 2 * kQuiet);
  const size_t margin = (pixels - scale * width) / 2;
  const size_t line_bytes = 1 + (pixels + 7) / 8;
  std::string lines(line_bytes * pixels, '\xff');
  for (size_t y = 0; y < pixels; y++) lines[y * line_bytes] = 0;
  for (size_t y = 0; y < width * scale; y++) {
    for (size_t x = 0; x < width * scale; x++) {
      if ((code.data[y / scale * width + x / scale] & 1) == 0) continue;
      const size_t at = margin + x;
      char& byte = lines[(margin + y) * line_bytes + 1 + at / 8];
      byte = static_cast<char>(byte & ~(0x80 >> (at % 8)));
    }
  }
  return lines;
}

}  // namespace

Result<std::string> qr_png(std::string_view text, size_t pixels) {
  if (text.size() > kQrTextBytesMax) {
    return base::fail(ErrorKind::kTooLarge, "too long for a QR code");
  }
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> code(
      QRcode_encodeData(static_cast<int>(text.size()),
                        reinterpret_cast<const unsigned char*>(text.data()), 0, QR_ECLEVEL_M),
      QRcode_free);
  if (code == nullptr) return base::fail(ErrorKind::kInternal, "no QR code could be made");
  pixels = std::max(pixels, static_cast<size_t>(code->width) + 2 * kQuiet);
  const std::string lines = lines_of(*code, pixels);
  std::string packed(compressBound(lines.size()), '\0');
  uLongf size = packed.size();
  if (compress(reinterpret_cast<Bytef*>(packed.data()), &size,
               reinterpret_cast<const Bytef*>(lines.data()), lines.size()) != Z_OK) {
    return base::fail(ErrorKind::kInternal, "a picture couldn't be compressed");
  }
  packed.resize(size);
  std::string png = "\x89PNG\r\n\x1a\n";
  std::string header;
  base::append_u32(header, static_cast<uint32_t>(pixels));
  base::append_u32(header, static_cast<uint32_t>(pixels));
  header.append("\x01\x00\x00\x00\x00", 5);  // 1 bit, grey, the usual methods, not interlaced
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", packed);
  append_chunk(png, "IEND", {});
  return png;
}

}  // namespace rekey::engine::identity
