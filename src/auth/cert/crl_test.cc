// What bounds a mount's revocation lists. Logins as a whole: tests/clients/cert_client.py.
#include "auth/cert/crl.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "auth/cert/cert.h"
#include "base/check.h"
#include "storage/memory_store.h"

namespace rekey::auth::cert {
namespace {

class CrlTest : public ::testing::Test {
 protected:
  CrlTest() {
    keyring_->extend_reserve(barrier::kEncryptionReserve);
    mount_.path = "auth/cert/";
    mount_.uuid = "test";
  }

  // What writing a list by its URL answers where so many bytes of others are there.
  base::Result<logical::Response> write(std::string_view name, size_t stored_bytes) {
    logical::Request request;
    request.operation = logical::Operation::kUpdate;
    request.path = "crls/" + std::string(name);
    request.data = base::JsonObject{{"url", "https://example.org/crl"}};
    const auto match = method_.routes().match(request.path);
    const auto fields = logical::RouteTable::read_fields(match, request.data);
    barrier::Txn txn(*reader_, *keyring_, random_);
    barrier::View view(txn, mount_.storage_prefix());
    REKEY_CHECK(fields.has_value());
    for (size_t i = 0; stored_bytes > 0; i++) {
      const size_t bytes = std::min<size_t>(stored_bytes, 16 << 20);
      REKEY_CHECK(view.put("crl/other" + std::to_string(i), std::string(bytes, ' ')).has_value());
      stored_bytes -= bytes;
    }
    logical::Caller caller;
    logical::Context context{.request = request,
                             .fields = *fields,
                             .mount = mount_,
                             .caller = caller,
                             .storage = &view,
                             .clock = clock_,
                             .random = random_,
                             .lease_limits = {},
                             .server_limits = {},
                             .after_commit = {},
                             .decoded = nullptr,
                             .may_block = true};
    return (*match.route->handler(logical::Operation::kUpdate))(context);
  }

 private:
  base::SeededRandom random_{1};
  base::SystemClock clock_;
  storage::MemoryStore store_;
  std::shared_ptr<const barrier::Keyring> keyring_ =
      barrier::Keyring::generate(random_, clock_.wall());
  std::unique_ptr<storage::Reader> reader_ = std::move(*store_.open_reader());
  CertAuth method_;
  logical::Mount mount_;
};

TEST_F(CrlTest, ThoseOfAMountAreBoundedTogether) {
  EXPECT_TRUE(write("a", 0));
  EXPECT_TRUE(write("a", kCrlBytesTotalMax - 4096));
  const auto refused = write("a", kCrlBytesTotalMax);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "the CRLs of this mount are too large together");
}

}  // namespace
}  // namespace rekey::auth::cert
