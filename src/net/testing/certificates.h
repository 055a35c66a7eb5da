// Certificates made for one test: a CA, and what it signs, as PEM files in a folder of their own.
#pragma once

#include <string>
#include <string_view>

namespace rekey::net::testing {

// A folder that is removed with its contents.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct CertificateFiles {
  std::string cert_file;
  std::string key_file;
};

// EC P-256, valid for a day. The CA's files are ca.pem and ca.key in the folder.
class TestCa {
 public:
  explicit TestCa(const TemporaryFolder& folder);
  const std::string& ca_file() const { return ca_.cert_file; }
  // Writes NAME.pem and NAME.key, over older ones. For localhost, 127.0.0.1 and `common_name`.
  CertificateFiles issue(const std::string& name, const std::string& common_name) const;

 private:
  const TemporaryFolder& folder_;
  CertificateFiles ca_;
};

}  // namespace rekey::net::testing
