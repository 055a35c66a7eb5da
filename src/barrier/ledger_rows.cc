#include "barrier/ledger_rows.h"

#include <array>

#include "base/codec.h"

namespace rekey::barrier {
namespace {

using base::ByteReader;

constexpr size_t kMarkBytes = 2 + 7;
constexpr size_t kEntryBytes = kMarkBytes + 3;

std::unexpected<base::Error> corrupt(std::string why) {
  return base::fail(base::ErrorKind::kCorrupt, "a row of the ledger can't be read", std::move(why));
}

void append_mark(std::string& out, const RowMark& mark) {
  base::append_u16(out, mark.bucket);
  for (int shift = 48; shift >= 0; shift -= 8) out += static_cast<char>(mark.rest >> shift);
}

void append_entries(std::string& out, const std::vector<LedgerEntry>& entries) {
  base::append_u32(out, static_cast<uint32_t>(entries.size()));
  for (const LedgerEntry& entry : entries) {
    append_mark(out, entry.mark);
    for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(entry.date >> shift);
  }
}

uint64_t number_of(std::string_view bytes) {
  uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

RowMark mark_of(std::string_view bytes) {
  return {.bucket = base::read_u16(bytes.data()), .rest = number_of(bytes.substr(2, 7))};
}

// A list of things of one size, by growing mark.
template <class T, class Make>
bool read_list(ByteReader& reader, size_t each, size_t most, std::vector<T>& out, Make make) {
  uint32_t count = 0;
  std::string_view bytes;
  if (!reader.u32(count) || count > most || !reader.bytes(count * each, bytes)) return false;
  out.reserve(count);
  for (; !bytes.empty(); bytes.remove_prefix(each)) {
    T next = make(bytes.substr(0, each));
    if (!out.empty() && !(out.back() < next)) return false;
    out.push_back(std::move(next));
  }
  return true;
}

struct ByMark {
  LedgerEntry entry;
  bool operator<(const ByMark& other) const { return entry.mark < other.entry.mark; }
};

bool read_entries(ByteReader& reader, size_t most, std::vector<LedgerEntry>& out) {
  std::vector<ByMark> entries;
  const bool good = read_list(reader, kEntryBytes, most, entries, [](std::string_view bytes) {
    return ByMark{{.mark = mark_of(bytes),
                   .date = static_cast<RowDate>(number_of(bytes.substr(kMarkBytes)))}};
  });
  out.reserve(entries.size());
  for (const ByMark& item : entries) out.push_back(item.entry);
  return good;
}

}  // namespace

std::string ledger_row_key(uint64_t place) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string key(kLedgerPrefix);
  for (int shift = 12; shift >= 0; shift -= 4) key += kDigits[(place >> shift) & 15];
  return key;
}

std::string LedgerRow::dump() const {
  std::string out;
  out.reserve(40 + (puts.size() + part.size()) * kEntryBytes + erasures.size() * kMarkBytes);
  out += static_cast<char>(kLedgerRowVersion);
  out += static_cast<char>(ring_bits);
  base::append_u64(out, number);
  base::append_u64(out, before);
  base::append_u64(out, after);
  append_entries(out, puts);
  base::append_u32(out, static_cast<uint32_t>(erasures.size()));
  for (const RowMark& mark : erasures) append_mark(out, mark);
  append_entries(out, part);
  return out;
}

base::Result<LedgerRow> LedgerRow::parse(std::string_view plaintext) {
  ByteReader reader(plaintext);
  LedgerRow row;
  uint8_t version = 0, bits = 0;
  if (!reader.u8(version) || version != kLedgerRowVersion) return corrupt("unknown version");
  if (!reader.u8(bits) || bits < kLedgerRingBitsMin || bits > kLedgerRingBitsMax) {
    return corrupt("bad size of the ring");
  }
  row.ring_bits = bits;
  if (!reader.u64(row.number) || !reader.u64(row.before) || !reader.u64(row.after)) {
    return corrupt("too short");
  }
  if (row.before > row.after) return corrupt("revisions that go back");
  if (!read_entries(reader, kLedgerChangesMax, row.puts) ||
      !read_list(reader, kMarkBytes, kLedgerChangesMax, row.erasures, mark_of)) {
    return corrupt("bad changes");
  }
  if (!read_entries(reader, kLedgerPartEntriesMax, row.part) || !reader.done()) {
    return corrupt("bad entries");
  }
  const uint64_t place = row.number & (ring_size(bits) - 1);
  for (const LedgerEntry& entry : row.part) {
    if (part_of(entry.mark.bucket, bits) != place) return corrupt("an entry of another part");
  }
  return row;
}

}  // namespace rekey::barrier
