// Opening a log: what the folder says it is, and whether what is there can be gone on with.
#include "audit/log_impl.h"
#include "base/codec.h"

namespace rekey::audit {

using base::ErrorKind;
using base::fail;
using base::Result;

namespace {

constexpr const char* kFormatPath = "format";
constexpr std::string_view kFormatLine = "rekey-audit-log 1";
constexpr std::string_view kFormatName = "rekey-audit-log ";
constexpr size_t kFormatBytesMax = 4096;
// How long a commit waits for the publisher while every segment is in use; then it fails.
constexpr std::chrono::milliseconds kWalFullWaitMax{2000};

}  // namespace

// kInvalid for a format that this program doesn't know, kCorrupt for anything else that is wrong.
Result<Log::Impl::Format> Log::Impl::parse_format(std::string_view text) {
  const size_t first = text.find('\n');
  const size_t second = first == text.npos ? first : text.find('\n', first + 1);
  if (text.starts_with(kFormatName) && first != text.npos && text.substr(0, first) != kFormatLine) {
    return fail(ErrorKind::kUnsupported, "the audit log has a newer format than this program knows",
                std::string(text.substr(0, first)));
  }
  if (second == text.npos || !text.ends_with('\n') || text.substr(0, first) != kFormatLine) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged", "the file `format` is damaged");
  }
  Result<std::string> id = base::hex_decode(text.substr(first + 1, second - first - 1));
  if (!id || id->size() != kLogIdBytes) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged", "the file `format` is damaged");
  }
  return Format{std::move(*id), std::string(text.substr(second + 1, text.size() - second - 2))};
}

// --- opening ---

Result<Log::Impl::Format> Log::Impl::read_or_make_format(base::Random& random) {
  Result<std::string> text = disk_->read(kFormatPath, kFormatBytesMax);
  if (text) return parse_format(*text);
  if (text.error().kind() != ErrorKind::kNotFound) return base::forward(text);
  Result<bool> remains = has_remains();
  if (!remains) return base::forward(remains);
  if (*remains) {
    return fail(ErrorKind::kCorrupt, "the audit log is damaged", "the file `format` is missing");
  }
  Result<VerifierKey> name = VerifierKey::make(options_.origin, std::string(32, '\0'));
  if (!name) return base::forward(name);
  Format format{random.bytes(kLogIdBytes), options_.origin};
  Result<void> made = disk_->replace(kFormatPath, std::string(kFormatLine) + "\n" +
                                                      base::hex_encode(format.log_id) + "\n" +
                                                      format.origin + "\n");
  if (!made) return base::forward(made);
  return format;
}

// Whether anything of a log is there, apart from its write-ahead log.
Result<bool> Log::Impl::has_remains() const {
  for (const char* path : {kSignedPath, kCheckpointPath, kKeyPath}) {
    Result<std::string> file = disk_->read(path, kNoteBytesMax);
    if (file) return true;
    if (file.error().kind() != ErrorKind::kNotFound) return base::forward(file);
  }
  Result<std::vector<std::string>> tiles = disk_->list("log/tile");
  if (!tiles) return base::forward(tiles);
  return !tiles->empty();
}

Result<void> Log::Impl::open(base::Random& random) {
  Result<Format> format = read_or_make_format(random);
  if (format && !options_.origin.empty() && format->origin != options_.origin) {
    return fail(ErrorKind::kPrecondition, "the audit log has another name",
                "on disk: " + format->origin + ", configured: " + options_.origin);
  }
  if (!format) {
    if (format.error().kind() != ErrorKind::kCorrupt) return base::forward(format);
    set_damaged(format.error());
    return {};
  }
  options_.origin = format->origin;
  const auto wait = options_.stepped ? std::chrono::milliseconds(0) : kWalFullWaitMax;
  id_ = format->log_id;
  wal_ = std::make_unique<Wal>(*disk_, Wal::Options{.log_id = format->log_id,
                                                    .segment_bytes = options_.wal_segment_bytes,
                                                    .segments_max = options_.wal_segments_max,
                                                    .full_wait_max = wait});
  publisher_ =
      std::make_unique<Publisher>(*disk_, *wal_,
                                  Publisher::Options{options_.origin, options_.checkpoint_interval,
                                                     options_.retry_interval, options_.stepped},
                                  clock_, operator_log_);
  Result<void> recovered = publisher_->recover();
  if (recovered && wal_->bytes() == 0) {
    Result<bool> remains = has_remains();
    if (!remains) return base::forward(remains);
    if (*remains) {
      recovered =
          fail(ErrorKind::kCorrupt, "the audit log is damaged", "the write-ahead log is missing");
    }
  }
  if (!recovered) {
    if (recovered.error().kind() != ErrorKind::kCorrupt) return recovered;
    set_damaged(recovered.error());
    return {};
  }
  Result<void> prepared = wal_->prepare_spare();
  if (!prepared) return prepared;
  next_index_ = publisher_->size();
  durable_ = next_index_;
  failed_size_ = next_index_;
  if (options_.stepped) return {};
  publisher_->start();
  thread_ = std::thread([this] { run(); });
  return {};
}

void Log::Impl::set_damaged(const base::Error& error) {
  damaged_ = true;
  refusal_ = error;
  refuses_ = true;
  operator_log_.error("audit", "the audit log is damaged; every request is refused",
                      {{"reason", error.detail()}});
}

}  // namespace rekey::audit
