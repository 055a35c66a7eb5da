#include "audit/index_run.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr std::string_view kMagic("\xffRKIDX2\n", 8);
constexpr std::string_view kRunPrefix = "run-";
constexpr size_t kCheckBytes = 8;
constexpr size_t kFooterBytes = 160;
constexpr size_t kPageHeadBytes = 4 + kCheckBytes;
constexpr size_t kTimesBytes = 16;  // a block
constexpr size_t kHexDigits = 16;
constexpr size_t kTermBytesMax = 64 * 1024;

std::string check_of(std::string_view bytes) {
  return std::string(crypto::as_bytes(crypto::sha256(bytes)).substr(0, kCheckBytes));
}

std::unexpected<base::Error> damaged(std::string what) {
  return fail(ErrorKind::kCorrupt, "the audit index is damaged", std::move(what));
}

// What follows a term's key in a page, and the key itself.
bool cut_term(std::string_view& rest, std::string& key, uint64_t& last_block,
              std::string_view& list) {
  uint64_t shared = 0, more = 0, size = 0;
  if (!cut_varint(rest, shared) || !cut_varint(rest, more)) return false;
  if (shared > key.size() || more > rest.size() || shared + more > kTermBytesMax) return false;
  key.resize(shared);
  key += rest.substr(0, more);
  rest.remove_prefix(more);
  if (!cut_varint(rest, last_block) || !cut_varint(rest, size) || size > rest.size()) return false;
  list = rest.substr(0, size);
  rest.remove_prefix(size);
  return true;
}

}  // namespace

std::string run_name(uint64_t first_block, uint64_t end_block) {
  char name[64];
  std::snprintf(name, sizeof(name), "run-%016llx-%016llx",
                static_cast<unsigned long long>(first_block),
                static_cast<unsigned long long>(end_block));
  return name;
}

std::optional<std::pair<uint64_t, uint64_t>> parse_run_name(std::string_view name) {
  if (!name.starts_with(kRunPrefix) || name.size() != kRunPrefix.size() + 2 * kHexDigits + 1) {
    return std::nullopt;
  }
  uint64_t first = 0, end = 0;
  const char* at = name.data() + kRunPrefix.size();
  const bool read = std::from_chars(at, at + kHexDigits, first, 16).ptr == at + kHexDigits;
  at += kHexDigits + 1;
  if (!read || std::from_chars(at, at + kHexDigits, end, 16).ptr != at + kHexDigits) {
    return std::nullopt;
  }
  if (end <= first || end - first > kIndexRunBlocksMax || run_name(first, end) != name) {
    return std::nullopt;
  }
  return std::pair(first, end);
}

// --- writing ---

RunWriter::RunWriter(std::unique_ptr<IndexOutput> output, std::string_view log_id,
                     uint64_t first_block)
    : output_(std::move(output)), log_id_(log_id), first_block_(first_block) {}

Result<void> RunWriter::add(std::string_view key, uint64_t last_block, std::string_view list) {
  if (output_->size() == 0) {
    Result<void> begun = output_->append(kMagic);
    if (!begun) return begun;
  }
  size_t shared = 0;
  if (page_.empty()) {
    page_first_ = key;
  } else {
    const size_t both = std::min(key.size(), last_key_.size());
    while (shared < both && key[shared] == last_key_[shared]) ++shared;
  }
  append_varint(page_, shared);
  append_varint(page_, key.size() - shared);
  page_ += key.substr(shared);
  append_varint(page_, last_block - first_block_);
  append_varint(page_, list.size());
  page_ += list;
  last_key_ = key;
  ++terms_;
  return page_.size() < kIndexPageBytes ? Result<void>() : end_page();
}

Result<void> RunWriter::end_page() {
  if (page_.empty()) return {};
  append_varint(page_index_, output_->size());
  append_varint(page_index_, kPageHeadBytes + page_.size());
  append_varint(page_index_, page_first_.size());
  page_index_ += page_first_;
  ++pages_;
  std::string head;
  base::append_u32(head, static_cast<uint32_t>(page_.size()));
  head += check_of(page_);
  Result<void> written = output_->append(head);
  if (written) written = output_->append(page_);
  page_.clear();
  return written;
}

Result<void> RunWriter::finish(std::span<const BlockTimes> times) {
  Result<void> done = output_->size() == 0 ? output_->append(kMagic) : Result<void>();
  if (done) done = end_page();
  if (!done) return done;
  std::string tail;
  BlockTimes all;
  for (const BlockTimes& block : times) {
    base::append_u64(tail, static_cast<uint64_t>(block.first_ns));
    base::append_u64(tail, static_cast<uint64_t>(block.last_ns));
    all.add(block);
  }
  const uint64_t times_offset = output_->size(), index_offset = times_offset + tail.size();
  const std::string times_check = check_of(tail);
  tail += page_index_;
  std::string footer(kMagic);
  base::append_u64(footer, first_block_);
  base::append_u64(footer, times.size());
  footer += log_id_;
  base::append_u64(footer, terms_);
  base::append_u64(footer, times_offset);
  base::append_u64(footer, index_offset);
  base::append_u64(footer, pages_);
  base::append_u64(footer, static_cast<uint64_t>(all.first_ns));
  base::append_u64(footer, static_cast<uint64_t>(all.last_ns));
  footer += times_check;
  footer += check_of(page_index_);
  footer.resize(kFooterBytes - kCheckBytes, '\0');
  footer += check_of(footer);
  done = output_->append(tail + footer);
  return done ? output_->commit(output_->size() > kIndexUnsyncedBytesMax) : done;
}

// --- reading ---

Result<std::shared_ptr<const Run>> Run::open(const IndexFolder& folder, const std::string& name,
                                             std::string_view log_id) {
  const auto range = parse_run_name(name);
  if (!range) return damaged(name + " is not a run's name");
  Result<std::unique_ptr<IndexFile>> file = folder.open(name);
  if (!file) return base::forward(file);
  std::shared_ptr<Run> run(new Run());
  run->file_ = std::move(*file);
  run->first_block_ = range->first;
  run->end_block_ = range->second;
  Result<void> read = run->read_footer(log_id);
  if (read && run->bytes() <= kIndexUnsyncedBytesMax) read = run->check();
  if (!read) return base::forward(read);
  return std::shared_ptr<const Run>(std::move(run));
}

Result<void> Run::read_footer(std::string_view log_id) {
  const uint64_t size = file_->size();
  if (size < kMagic.size() + kFooterBytes) return damaged(name() + " is too short");
  const uint64_t end = size - kFooterBytes;
  Result<std::string> footer = file_->read(end, kFooterBytes);
  if (!footer) return base::forward(footer);
  const std::string_view bytes = *footer;
  const auto number = [&](size_t at) { return base::read_u64(bytes.data() + at); };
  const size_t checked = kFooterBytes - kCheckBytes;
  if (!bytes.starts_with(kMagic) || check_of(bytes.substr(0, checked)) != bytes.substr(checked)) {
    return damaged(name() + " has no footer");
  }
  const uint64_t blocks = end_block_ - first_block_;
  if (number(8) != first_block_ || number(16) != blocks ||
      bytes.substr(24, kIndexLogIdBytes) != log_id) {
    return damaged(name() + " belongs to another place or log");
  }
  terms_ = number(40);
  times_offset_ = number(48);
  const uint64_t index_offset = number(56);
  if (index_offset > end || times_offset_ > index_offset ||
      index_offset - times_offset_ != blocks * kTimesBytes) {
    return damaged(name() + " has a wrong size");
  }
  times_.first_ns = static_cast<int64_t>(number(72));
  times_.last_ns = static_cast<int64_t>(number(80));
  times_check_ = bytes.substr(88, kCheckBytes);
  Result<void> read = read_page_index(index_offset, end, bytes.substr(96, kCheckBytes));
  if (read && pages_.size() != number(64)) return damaged(name() + " has a wrong page index");
  return read;
}

Result<void> Run::read_page_index(uint64_t from, uint64_t to, std::string_view check) {
  Result<std::string> bytes = file_->read(from, to - from);
  if (!bytes) return base::forward(bytes);
  if (check_of(*bytes) != check) return damaged(name() + " has a damaged page index");
  uint64_t expected = kMagic.size();
  for (std::string_view rest = *bytes; !rest.empty();) {
    Page page;
    uint64_t size = 0;
    const bool read = cut_varint(rest, page.offset) && cut_varint(rest, page.size) &&
                      cut_varint(rest, size) && size <= rest.size();
    if (!read || page.offset != expected || page.size <= kPageHeadBytes ||
        page.size > kIndexPageBytesMax || page.size > times_offset_ - page.offset) {
      return damaged(name() + " has a wrong page index");
    }
    expected += page.size;
    page.first = rest.substr(0, size);
    rest.remove_prefix(size);
    if (!pages_.empty() && page.first <= pages_.back().first) {
      return damaged(name() + " has a wrong page index");
    }
    pages_.push_back(std::move(page));
  }
  if (expected != times_offset_) return damaged(name() + " has a wrong page index");
  return {};
}

Result<std::vector<BlockTimes>> Run::block_times() const {
  const size_t blocks = end_block_ - first_block_;
  Result<std::string> bytes = file_->read(times_offset_, blocks * kTimesBytes);
  if (!bytes) return base::forward(bytes);
  if (check_of(*bytes) != times_check_) return damaged(name() + " has damaged times");
  std::vector<BlockTimes> times(blocks);
  for (size_t i = 0; i < blocks; ++i) {
    times[i].first_ns = static_cast<int64_t>(base::read_u64(bytes->data() + i * kTimesBytes));
    times[i].last_ns = static_cast<int64_t>(base::read_u64(bytes->data() + i * kTimesBytes + 8));
  }
  return times;
}

Result<std::string> Run::read_page(size_t page) const {
  Result<std::string> bytes = file_->read(pages_[page].offset, pages_[page].size);
  if (!bytes) return bytes;
  const std::string_view payload = std::string_view(*bytes).substr(kPageHeadBytes);
  if (base::read_u32(bytes->data()) != payload.size() ||
      check_of(payload) != std::string_view(*bytes).substr(4, kCheckBytes)) {
    return damaged(name() + " has a damaged page");
  }
  return bytes->substr(kPageHeadBytes);
}

Result<void> Run::check() const {
  for (size_t page = 0; page < pages_.size(); ++page) {
    Result<std::string> bytes = read_page(page);
    if (!bytes) return base::forward(bytes);
  }
  Result<std::vector<BlockTimes>> times = block_times();
  return times ? Result<void>() : base::forward(times);
}

// The page in which the key is, if it is anywhere.
size_t Run::page_of(std::string_view key) const {
  const auto behind = std::ranges::upper_bound(pages_, key, {}, &Page::first);
  return behind == pages_.begin() ? 0 : static_cast<size_t>(behind - pages_.begin()) - 1;
}

// Visits terms from `key` on until visit returns false.
Result<void> Run::visit_from(
    std::string_view key,
    const std::function<bool(std::string_view, std::string_view)>& visit) const {
  for (size_t page = page_of(key); page < pages_.size(); ++page) {
    Result<std::string> bytes = read_page(page);
    if (!bytes) return base::forward(bytes);
    std::string found;
    for (std::string_view rest = *bytes; !rest.empty();) {
      uint64_t last_block = 0;
      std::string_view list;
      if (!cut_term(rest, found, last_block, list)) return damaged(name() + " has a wrong page");
      if (found >= key && !visit(found, list)) return {};
    }
  }
  return {};
}

Result<void> Run::find(std::string_view key, const VisitList& visit) const {
  Result<void> result;
  Result<void> walked = visit_from(key, [&](std::string_view found, std::string_view list) {
    if (found == key) result = visit(list);
    return false;
  });
  return walked ? result : walked;
}

Result<void> Run::find_all(std::string_view prefix, const VisitTerm& visit) const {
  Result<void> result;
  Result<void> walked = visit_from(prefix, [&](std::string_view found, std::string_view list) {
    if (!found.starts_with(prefix)) return false;
    result = visit(found, list);
    return result.has_value();
  });
  return walked ? result : walked;
}

Result<bool> RunCursor::next() {
  while (rest_.empty()) {
    if (page_ == run_->pages_.size()) return false;
    Result<std::string> bytes = run_->read_page(page_++);
    if (!bytes) return base::forward(bytes);
    bytes_ = std::move(*bytes);
    rest_ = bytes_;
    key_.clear();
  }
  if (!cut_term(rest_, key_, last_block_, list_))
    return damaged(run_->name() + " has a wrong page");
  last_block_ += run_->first_block();
  if (list_.empty() || last_block_ >= run_->end_block()) {
    return damaged(run_->name() + " has a wrong page");
  }
  return true;
}

// --- merging ---

RunMerge::RunMerge(std::vector<std::shared_ptr<const Run>> inputs,
                   std::unique_ptr<IndexOutput> output, std::string_view log_id)
    : inputs_(std::move(inputs)), writer_(std::move(output), log_id, inputs_[0]->first_block()) {
  cursors_.reserve(inputs_.size());  // they have views into themselves
}

Result<std::unique_ptr<RunMerge>> RunMerge::start(IndexFolder& folder,
                                                  std::vector<std::shared_ptr<const Run>> inputs,
                                                  std::string_view log_id) {
  REKEY_CHECK(!inputs.empty());
  for (size_t i = 1; i < inputs.size(); ++i) {
    REKEY_CHECK(inputs[i]->first_block() == inputs[i - 1]->end_block());
  }
  Result<std::unique_ptr<IndexOutput>> output =
      folder.create(run_name(inputs.front()->first_block(), inputs.back()->end_block()));
  if (!output) return base::forward(output);
  std::unique_ptr<RunMerge> merge(new RunMerge(std::move(inputs), std::move(*output), log_id));
  for (const auto& run : merge->inputs_) {
    Result<bool> live = merge->cursors_.emplace_back(run).next();
    if (!live) return base::forward(live);
    merge->live_.push_back(*live);
  }
  return merge;
}

std::string RunMerge::name() const {
  return run_name(inputs_.front()->first_block(), inputs_.back()->end_block());
}

Result<bool> RunMerge::step(size_t bytes) {
  const uint64_t until = writer_.bytes() + bytes;
  while (writer_.bytes() < until) {
    Result<bool> more = merge_term();
    if (!more) return more;
    if (*more) continue;
    std::vector<BlockTimes> times;
    for (const auto& run : inputs_) {
      Result<std::vector<BlockTimes>> part = run->block_times();
      if (!part) return base::forward(part);
      times.insert(times.end(), part->begin(), part->end());
    }
    Result<void> finished = writer_.finish(times);
    if (!finished) return base::forward(finished);
    return true;
  }
  return false;
}

// The smallest term that is left, with its lists one after the other; false if none is left.
Result<bool> RunMerge::merge_term() {
  const RunCursor* smallest = nullptr;
  for (size_t i = 0; i < cursors_.size(); ++i) {
    if (live_[i] && (smallest == nullptr || cursors_[i].key() < smallest->key())) {
      smallest = &cursors_[i];
    }
  }
  if (smallest == nullptr) return false;
  key_ = smallest->key();
  list_.clear();
  uint64_t last_block = inputs_.front()->first_block();
  for (size_t i = 0; i < cursors_.size(); ++i) {
    if (!live_[i] || cursors_[i].key() != key_) continue;
    // Only the first posting's distance changes: it is from the block before now.
    std::string_view list = cursors_[i].list();
    uint64_t head = 0;
    if (!cut_varint(list, head)) return damaged(inputs_[i]->name() + " has a wrong list");
    const uint64_t block = inputs_[i]->first_block() + (head >> 4);
    append_varint(list_, (block - last_block) << 4 | (head & 15));
    list_ += list;
    last_block = cursors_[i].last_block();
    Result<bool> live = cursors_[i].next();
    if (!live) return live;
    live_[i] = *live;
  }
  Result<void> added = writer_.add(key_, last_block, list_);
  if (!added) return base::forward(added);
  return true;
}

}  // namespace rekey::audit
