#include "audit/wal.h"

#include <algorithm>
#include <cstring>

#include "audit/tiles.h"
#include "base/check.h"
#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr std::string_view kSegmentMagic("\xffRKSEG1\n", 8);
constexpr std::string_view kGroupMagic("\xffRKGRP1\n", 8);
constexpr size_t kWindowBytes = 1 << 20;
constexpr size_t kGroupBufferBytes = 64 * 1024;  // grows as needed
constexpr std::string_view kWalFolder = "wal/";

struct GroupHeader {
  uint64_t sequence, first_index, store_revision;
  uint32_t count, payload_bytes;
  std::string_view chain_before, chain;
};

// Of kGroupHeaderBytes bytes; false unless they are a group header of this log.
bool parse_group_header(std::string_view bytes, std::string_view log_id, GroupHeader& out) {
  base::ByteReader reader(bytes);
  std::string_view magic, id;
  uint64_t reserved;
  const bool whole = reader.bytes(8, magic) && reader.u64(out.sequence) &&
                     reader.u64(out.first_index) && reader.u32(out.count) &&
                     reader.u32(out.payload_bytes) && reader.u64(out.store_revision) &&
                     reader.u64(reserved) && reader.bytes(kLogIdBytes, id) &&
                     reader.bytes(32, out.chain_before) && reader.bytes(32, out.chain);
  return whole && magic == kGroupMagic && id == log_id && reserved == 0;
}

Hash group_chain(std::string_view header, std::span<const Hash> leaves) {
  const std::string_view hashed_header = header.substr(0, 96);
  return crypto::sha256(
      hashed_header, {reinterpret_cast<const char*>(leaves.data()), leaves.size() * sizeof(Hash)});
}

Hash to_hash(std::string_view bytes) {
  Hash hash;
  std::memcpy(hash.data(), bytes.data(), hash.size());
  return hash;
}

std::unexpected<base::Error> corrupt(std::string detail) {
  return fail(ErrorKind::kCorrupt, "the audit log is damaged", std::move(detail));
}

}  // namespace

void Group::add(std::string_view entry) {
  REKEY_CHECK(!entry.empty() && entry.size() <= 65'535);
  const size_t needed = used + 2 + entry.size();
  if (needed > buffer.size())
    buffer.grow(std::max({kGroupBufferBytes, needed, 2 * buffer.size()}), used);
  char* at = buffer.data() + used;
  at[0] = static_cast<char>(entry.size() >> 8);
  at[1] = static_cast<char>(entry.size());
  std::memcpy(at + 2, entry.data(), entry.size());
  used = needed;
  ++count;
}

// A moving view of one segment, so that reading it takes few calls.
class Wal::Reader {
 public:
  explicit Reader(BlockFile& file) : file_(file), window_(kWindowBytes) {}

  // Bytes [offset, offset + size); nothing if they lie behind the end. `offset` is a multiple of
  // kBlockBytes. Valid until the next call.
  Result<std::string_view> at(uint64_t offset, size_t size) {
    const uint64_t rounded = round_up_to_block(size);
    if (offset + rounded > file_.size()) return std::string_view();
    if (offset < start_ || offset + rounded > start_ + filled_) {
      window_.grow(rounded, 0);
      start_ = offset;
      filled_ = std::min<uint64_t>(window_.size(), file_.size() - offset);
      Result<void> read = file_.read(start_, {window_.data(), filled_});
      if (!read) {
        filled_ = 0;
        return base::forward(read);
      }
    }
    return std::string_view(window_.data() + (offset - start_), size);
  }

 private:
  BlockFile& file_;
  AlignedBuffer window_;
  uint64_t start_ = 0, filled_ = 0;
};

Wal::Wal(Disk& disk, Options options) : disk_(disk), options_(std::move(options)) {
  REKEY_CHECK(options_.log_id.size() == kLogIdBytes);
  REKEY_CHECK(options_.segments_max >= 2 && options_.segments_max <= kWalSlotsMax);
  slots_.resize(kWalSlotsMax);
}

std::string Wal::slot_path(const Slot& slot) const {
  return std::string(kWalFolder) + std::to_string(&slot - slots_.data());
}

Result<void> Wal::read_segment_header(Slot& slot) {
  AlignedBuffer block(kBlockBytes);
  Result<void> read = slot.file->read(0, {block.data(), kBlockBytes});
  if (!read) return read;
  const std::string_view bytes(block.data(), kSegmentHeaderBytes);
  if (bytes.find_first_not_of('\0') == bytes.npos) return {};  // never used
  base::ByteReader reader(bytes);
  std::string_view magic, id, chain, checksum;
  uint64_t segment_bytes = 0;
  const bool whole = reader.bytes(8, magic) && reader.u64(slot.number) &&
                     reader.u64(slot.first_group) && reader.u64(slot.first_index) &&
                     reader.u64(slot.store_revision) && reader.u64(segment_bytes) &&
                     reader.bytes(kLogIdBytes, id) && reader.bytes(32, chain) &&
                     reader.bytes(32, checksum);
  if (!whole || magic != kSegmentMagic || id != options_.log_id || slot.number == 0 ||
      segment_bytes != slot.file->size() ||
      crypto::as_bytes(crypto::sha256(bytes.substr(0, 96))) != checksum) {
    return corrupt(slot_path(slot) + " has no valid segment header");
  }
  slot.chain = to_hash(chain);
  slot.state = SlotState::kLive;
  return {};
}

Result<std::optional<uint64_t>> Wal::open() {
  std::vector<Slot*> live;
  for (Slot& slot : slots_) {
    Result<std::unique_ptr<BlockFile>> file = disk_.open_blocks(slot_path(slot));
    if (!file && file.error().kind() == ErrorKind::kNotFound) continue;
    if (!file) return base::forward(file);
    if ((*file)->size() < 2 * kBlockBytes) return corrupt(slot_path(slot) + " is too short");
    slot.file = std::move(*file);
    slot.state = SlotState::kFree;
    bytes_ += slot.file->size();
    Result<void> read = read_segment_header(slot);
    if (!read) return base::forward(read);
    if (slot.state == SlotState::kLive) live.push_back(&slot);
  }
  if (live.empty()) return std::nullopt;
  std::ranges::sort(live, {}, &Slot::number);
  for (size_t i = 1; i < live.size(); ++i) {
    if (live[i]->number != live[i - 1]->number + 1 ||
        live[i]->first_group < live[i - 1]->first_group ||
        live[i]->first_index < live[i - 1]->first_index) {
      return corrupt("a segment between " + slot_path(*live[i - 1]) + " and " +
                     slot_path(*live[i]) + " is missing");
    }
    live[i - 1]->end_index = live[i]->first_index;
  }
  return live.front()->first_index;
}

Result<Wal::Recovered> Wal::replay(const Visit& visit) {
  std::vector<Slot*> live;
  for (Slot& slot : slots_) {
    if (slot.state == SlotState::kLive) live.push_back(&slot);
  }
  std::ranges::sort(live, {}, &Slot::number);
  Recovered recovered;
  if (live.empty()) return recovered;
  next_group_ = live.front()->first_group;
  next_index_ = live.front()->first_index;
  chain_ = live.front()->chain;
  store_revision_ = live.front()->store_revision;
  for (size_t i = 0; i < live.size(); ++i) {
    const Slot* next = i + 1 < live.size() ? live[i + 1] : nullptr;
    Result<uint64_t> cut = replay_segment(*live[i], next, visit);
    if (!cut) return base::forward(cut);
    recovered.cut_bytes = *cut;
  }
  current_ = live.back();
  next_segment_ = current_->number + 1;
  recovered.end_index = next_index_;
  return recovered;
}

// Gives the bytes of a torn group at the end.
Result<uint64_t> Wal::replay_segment(Slot& slot, const Slot* next, const Visit& visit) {
  Reader reader(*slot.file);
  std::vector<Hash> leaves;
  uint64_t at = kBlockBytes, torn_bytes = 0;
  while (next == nullptr || next_group_ < next->first_group) {
    Result<std::string_view> head = reader.at(at, kGroupHeaderBytes);
    if (!head) return base::forward(head);
    GroupHeader header{};
    if (head->empty() || !parse_group_header(*head, options_.log_id, header) ||
        header.sequence != next_group_) {
      break;
    }
    torn_bytes = kGroupHeaderBytes + header.payload_bytes;
    const size_t group_bytes = kGroupHeaderBytes + header.payload_bytes;
    Result<std::string_view> whole = reader.at(at, group_bytes);
    if (!whole) return base::forward(whole);
    if (whole->empty() || !parse_group_header(*whole, options_.log_id, header)) break;
    const std::string_view payload = whole->substr(kGroupHeaderBytes);
    leaves.clear();
    const bool cut_well = visit_bundle(payload, header.count, [&](std::string_view entry) {
      leaves.push_back(leaf_hash(entry));
      return true;
    });
    if (!cut_well || header.first_index != next_index_ ||
        header.chain_before != crypto::as_bytes(chain_) ||
        crypto::as_bytes(group_chain(*whole, leaves)) != header.chain) {
      break;
    }
    Result<void> visited = visit(header.first_index, payload, leaves);
    if (!visited) return base::forward(visited);
    chain_ = to_hash(header.chain);
    store_revision_ = header.store_revision;
    next_index_ += header.count;
    ++next_group_;
    torn_bytes = 0;
    at += round_up_to_block(group_bytes);
  }
  const std::string place = "entry " + std::to_string(next_index_) + " on, in " + slot_path(slot) +
                            " at byte " + std::to_string(at);
  if (next != nullptr) {
    if (next_group_ != next->first_group || next_index_ != next->first_index ||
        chain_ != next->chain) {
      return corrupt("acknowledged entries are missing or altered: from " + place);
    }
    return 0;
  }
  // Only the last group can be torn. Anything valid behind it means that more was lost.
  for (uint64_t later = at; later + kBlockBytes <= slot.file->size(); later += kBlockBytes) {
    Result<std::string_view> head = reader.at(later, kBlockBytes);
    if (!head) return base::forward(head);
    GroupHeader header{};
    if (parse_group_header(head->substr(0, kGroupHeaderBytes), options_.log_id, header) &&
        header.sequence > next_group_) {
      return corrupt("acknowledged entries are missing or altered: from " + place);
    }
  }
  position_ = at;
  return torn_bytes;
}

Hash Wal::fill_header(Group& group) const {
  std::string header(kGroupMagic);
  base::append_u64(header, next_group_);
  base::append_u64(header, group.first_index);
  base::append_u32(header, group.count);
  base::append_u32(header, static_cast<uint32_t>(group.used - kGroupHeaderBytes));
  base::append_u64(header, std::max(group.store_revision, store_revision()));
  base::append_u64(header, 0);
  header += options_.log_id;
  header += crypto::as_bytes(chain_);
  const Hash chain = group_chain(header, group.leaves);
  header += crypto::as_bytes(chain);
  REKEY_CHECK(header.size() == kGroupHeaderBytes);
  std::memcpy(group.buffer.data(), header.data(), header.size());
  return chain;
}

Result<void> Wal::write(Group& group) {
  REKEY_CHECK(group.first_index == next_index_ && group.leaves.size() == group.count);
  const size_t size = round_up_to_block(group.used);
  if (current_ == nullptr || position_spoilt_ || position_ + size > current_->file->size()) {
    Result<void> started = start_segment(group.first_index);
    if (!started) return started;
  }
  const Hash chain = fill_header(group);
  std::memset(group.buffer.data() + group.used, 0, size - group.used);
  Result<void> written = current_->file->write(position_, {group.buffer.data(), size});
  if (!written) {
    position_spoilt_ = true;
    return written;
  }
  position_ += size;
  chain_ = chain;
  ++next_group_;
  next_index_ += group.count;
  if (group.store_revision > store_revision()) store_revision_ = group.store_revision;
  return {};
}

Result<void> Wal::start_segment(uint64_t first_index) {
  Result<Slot*> taken = take_free_slot();
  if (!taken) return base::forward(taken);
  Slot& slot = **taken;
  REKEY_CHECK(slot.file->size() >= options_.segment_bytes);
  AlignedBuffer block(kBlockBytes);
  std::string header(kSegmentMagic);
  base::append_u64(header, next_segment_);
  base::append_u64(header, next_group_);
  base::append_u64(header, first_index);
  base::append_u64(header, store_revision());
  base::append_u64(header, slot.file->size());
  header += options_.log_id;
  header += crypto::as_bytes(chain_);
  header += crypto::as_bytes(crypto::sha256(header));
  REKEY_CHECK(header.size() == kSegmentHeaderBytes);
  std::memcpy(block.data(), header.data(), header.size());
  Result<void> written = slot.file->write(0, {block.data(), kBlockBytes});
  std::lock_guard lock(mutex_);
  if (!written) {
    // Its header may be torn now, which would look like damage at the next start. If it can't be
    // removed it is the first to be tried again.
    slot.number = 0;
    if (disk_.remove(slot_path(slot))) {
      bytes_ -= slot.file->size();
      slot = Slot();
    }
    return written;
  }
  if (current_ != nullptr) current_->end_index = first_index;
  slot.state = SlotState::kLive;
  slot.number = next_segment_++;
  slot.first_group = next_group_;
  slot.first_index = first_index;
  slot.chain = chain_;
  slot.store_revision = store_revision();
  current_ = &slot;
  position_ = kBlockBytes;
  position_spoilt_ = false;
  return {};
}

Result<Wal::Slot*> Wal::take_free_slot() {
  Slot* found = nullptr;
  {
    std::unique_lock lock(mutex_);
    // Entries come faster than they are published: better late answers for a while than none.
    released_.wait_for(lock, options_.full_wait_max, [&] {
      for (size_t i = 0; i < slots_.size(); ++i) {
        const SlotState state = slots_[i].state;
        if (state == SlotState::kFree) return true;
        if (state == SlotState::kAbsent && i < options_.segments_max) return true;
      }
      return false;
    });
    // The oldest first, so that the segments on disk stay one unbroken row.
    for (Slot& slot : slots_) {
      const bool usable = slot.state == SlotState::kFree;
      if (usable && (found == nullptr || slot.number < found->number)) found = &slot;
    }
  }
  if (found != nullptr && found->file->size() >= options_.segment_bytes) return found;
  Slot* absent = found;  // one of a smaller size, from another configuration, is made anew
  if (absent == nullptr) {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < options_.segments_max && absent == nullptr; ++i) {
      if (slots_[i].state == SlotState::kAbsent) absent = &slots_[i];
    }
    if (absent == nullptr) {
      return fail(ErrorKind::kUnavailable, "the audit log can't be written",
                  "the write-ahead log is full: entries can't be published fast enough");
    }
    absent->state = SlotState::kMaking;
  }
  Result<void> made = make_file(*absent);
  if (!made) return base::forward(made);
  return absent;
}

// Leaves the slot free, or absent after a failure.
Result<void> Wal::make_file(Slot& slot) {
  Result<std::unique_ptr<BlockFile>> file =
      disk_.create_blocks(slot_path(slot), options_.segment_bytes);
  std::lock_guard lock(mutex_);
  if (!file) {
    if (slot.state == SlotState::kMaking) slot.state = SlotState::kAbsent;
    return base::forward(file);
  }
  if (slot.file != nullptr) bytes_ -= slot.file->size();
  slot = Slot();
  slot.file = std::move(*file);
  slot.state = SlotState::kFree;
  bytes_ += slot.file->size();
  return {};
}

void Wal::release(uint64_t index) {
  std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    if (slot.state == SlotState::kLive && &slot != current_ && slot.end_index <= index) {
      slot.state = SlotState::kFree;
      released_.notify_one();
    }
  }
}

bool Wal::releasable(uint64_t index) const {
  std::lock_guard lock(mutex_);
  return std::ranges::any_of(slots_, [&](const Slot& slot) {
    return slot.state == SlotState::kLive && &slot != current_ && slot.end_index <= index;
  });
}

Result<void> Wal::prepare_spare() {
  Slot* absent = nullptr;
  {
    std::lock_guard lock(mutex_);
    for (const Slot& slot : slots_) {
      if (slot.state == SlotState::kFree || slot.state == SlotState::kMaking) return {};
    }
    for (size_t i = 0; i < options_.segments_max && absent == nullptr; ++i) {
      if (slots_[i].state == SlotState::kAbsent) absent = &slots_[i];
    }
    if (absent == nullptr) return {};
    absent->state = SlotState::kMaking;
  }
  return make_file(*absent);
}

}  // namespace rekey::audit
