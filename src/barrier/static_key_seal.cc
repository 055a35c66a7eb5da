// StaticKeySeal: declared in seal.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "barrier/seal.h"
#include "barrier/sealed_blob.h"
#include "base/codec.h"
#include "crypto/digest.h"

namespace rekey::barrier {

using base::ErrorKind;
using base::SecretBytes;

namespace {

constexpr size_t kKeyFileBytesMax = 128;  // 64 hex digits and white space
constexpr size_t kKeyIdBytes = 8;

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<base::Error> refuse(const std::string& path, std::string_view why,
                                    std::source_location where = std::source_location::current()) {
  return base::fail(ErrorKind::kInvalid, "seal key file " + path + " " + std::string(why), {},
                    where);
}

std::string errno_text() { return std::error_code(errno, std::generic_category()).message(); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  return text;
}

// 32 raw bytes, or the text of 32 bytes. Raw comes first: 32 bytes can't be the text of 32 bytes.
base::Result<SecretBytes> key_in(const std::string& path, std::string_view contents) {
  if (contents.size() == kRootKeyBytes) return SecretBytes::copy_of(contents);
  const std::string_view text = trim(contents);
  base::Result<std::string> bytes = base::hex_decode(text);
  if (!bytes || bytes->size() != kRootKeyBytes) bytes = base::base64_decode(text);
  if (!bytes || bytes->size() != kRootKeyBytes) {
    return refuse(path, "must hold 32 bytes, raw or as hex or base64 text");
  }
  return SecretBytes::copy_of(*bytes);
}

std::string key_id_of(const SecretBytes& key) {
  const crypto::Sha256Digest digest = crypto::sha256("rekey/v1/static-key-id", key.reveal());
  return base::hex_encode(crypto::as_bytes(digest).substr(0, kKeyIdBytes));
}

}  // namespace

class StaticKeySeal::Passkey {};

StaticKeySeal::StaticKeySeal(Passkey, SecretBytes key)
    : key_(std::move(key)), key_id_(key_id_of(key_)) {}

base::Result<std::unique_ptr<StaticKeySeal>> StaticKeySeal::open(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (file.fd() < 0) return refuse(path, "can't be opened: " + errno_text());
  struct stat status{};
  if (fstat(file.fd(), &status) != 0) return refuse(path, "can't be examined: " + errno_text());
  if (!S_ISREG(status.st_mode)) return refuse(path, "is not a regular file");
  if (status.st_uid != 0 && status.st_uid != geteuid()) {
    return refuse(path, "must belong to the server's user or to root");
  }
  if ((status.st_mode & 0077) != 0) {
    return refuse(path, "may be used by others than its owner; do: chmod 600 " + path);
  }
  SecretBytes contents(kKeyFileBytesMax + 1);
  size_t size = 0;
  while (size < contents.size()) {
    const ssize_t count =
        read(file.fd(), contents.reveal_for_writing().data() + size, contents.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse(path, "can't be read: " + errno_text());
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  base::Result<SecretBytes> key = key_in(path, contents.reveal().substr(0, size));
  if (!key) return base::forward(key);
  return std::make_unique<StaticKeySeal>(Passkey{}, std::move(*key));
}

base::Result<std::unique_ptr<StaticKeySeal>> StaticKeySeal::create(const std::string& path,
                                                                   base::Random& random) {
  const SecretBytes key = random.secret(kRootKeyBytes);
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file.fd() < 0) return refuse(path, "can't be made: " + errno_text());
  const std::string text = base::hex_encode(key.reveal()) + "\n";
  if (write(file.fd(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      fsync(file.fd()) != 0) {
    return refuse(path, "can't be written: " + errno_text());
  }
  // A key file that is lost in a power cut, after the store was sealed with it, loses the store.
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const File parent(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (parent.fd() < 0 || fsync(parent.fd()) != 0) {
    return refuse(path, "can't be made durable: " + errno_text());
  }
  return open(path);
}

base::Result<WrappedRootKey> StaticKeySeal::wrap(const SecretBytes& root_key, const ShareCounts&,
                                                 base::Random& random) const {
  WrappedRootKey wrapped;
  wrapped.config.type = type();
  wrapped.config.nonce = random.uuid();
  wrapped.config.key_id = key_id_;
  wrapped.config.wrapped_root_key =
      seal_blob(key_, wrapped.config.meaning(), root_key.reveal(), random);
  return wrapped;
}

base::Result<SecretBytes> StaticKeySeal::unwrap(const SealConfig& config,
                                                const SecretBytes&) const {
  if (config.type != type()) {
    return base::fail(ErrorKind::kPrecondition,
                      "the store was initialized with another type of seal",
                      "configured: static; in the store: " + config.type);
  }
  if (is_outdated(config)) return previous_->unwrap(config, {});
  if (config.key_id != key_id_) {
    return base::fail(ErrorKind::kPrecondition, "the store was sealed with another key file",
                      "key in the file: " + key_id_ + "; in the store: " + config.key_id);
  }
  return open_blob(key_, config.meaning(), config.wrapped_root_key);
}

bool StaticKeySeal::is_outdated(const SealConfig& config) const {
  return previous_ != nullptr && config.type == type() && config.key_id != key_id_ &&
         config.key_id == previous_->key_id_;
}

}  // namespace rekey::barrier
