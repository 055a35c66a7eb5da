#include "app/certificates.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "crypto/x509.h"

namespace rekey::app {
namespace {

using base::ErrorKind;
using base::Result;

constexpr int kAuthorityDays = 3650;
constexpr int kServerDays = 825;  // what clients on all platforms accept

std::unexpected<base::Error> file_error(const std::string& path) {
  return base::fail(ErrorKind::kUnavailable, "cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace

Result<void> write_file(const std::string& path, std::string_view content, unsigned mode) {
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return file_error(temporary);
  const bool written =
      write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()) &&
      fchmod(fd, mode) == 0 && fsync(fd) == 0;
  close(fd);
  if (!written || rename(temporary.c_str(), path.c_str()) != 0) return file_error(path);
  return {};
}

Result<CertificateFiles> ensure_certificates(const std::string& folder, const base::Clock& clock,
                                             base::Random& random) {
  const CertificateFiles files{folder + "/ca.pem", folder + "/cert.pem", folder + "/key.pem"};
  if (std::filesystem::exists(files.cert) && std::filesystem::exists(files.key)) return files;
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) {
    return base::fail(ErrorKind::kUnavailable, "cannot make " + folder + ": " + problem.message());
  }
  auto authority =
      crypto::make_certificate_authority("Rekey local CA", clock.wall(), kAuthorityDays, random);
  if (!authority) return forward(authority);
  char name[256] = "localhost";
  (void)gethostname(name, sizeof name - 1);
  crypto::ServerCertificateRequest request{.common_name = "localhost",
                                           .dns_names = {"localhost"},
                                           .ip_addresses = {"127.0.0.1", "::1"},
                                           .valid_days = kServerDays};
  if (std::string(name) != "localhost") request.dns_names.emplace_back(name);
  auto certificate = crypto::issue_server_certificate(*authority, request, clock.wall(), random);
  if (!certificate) return forward(certificate);
  // The key of the CA isn't kept: nothing else is to be signed with it.
  auto ca = write_file(files.ca, authority->certificate_pem, 0644);
  if (!ca) return forward(ca);
  auto key = write_file(files.key, certificate->private_key_pem.reveal(), 0600);
  if (!key) return forward(key);
  auto cert = write_file(files.cert, certificate->certificate_pem, 0644);
  if (!cert) return forward(cert);
  return files;
}

}  // namespace rekey::app
