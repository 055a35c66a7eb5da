// What outsiders' code says of a log that we wrote: tests/audit-thirdparty, with the Go project's
// note and tlog packages from Debian's golang-golang-x-mod-dev.
#include <gtest/gtest.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "audit/log.h"
#include "audit/tiles.h"
#include "base/codec.h"
#include "base/testing/source_dir.h"

namespace rekey::audit {
namespace {

constexpr uint64_t kOldSize = 700;
constexpr uint64_t kSize = 66'000;  // two levels of tiles and the beginning of a third

// The exit status of a program, or -1 if it couldn't be run.
int run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (::posix_spawn(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0)
    return -1;
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class ThirdParty : public ::testing::Test {
 protected:
  ThirdParty() {
    std::string pattern = ::testing::TempDir() + "rekey-thirdparty-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~ThirdParty() override { std::filesystem::remove_all(directory_); }

  std::string put(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }

  // Makes a log, and the command that has it checked.
  std::vector<std::string> make_log() {
    const base::SystemClock clock;
    const base::Log no_log(clock, -1);
    base::SystemRandom random;
    Log::Options options;
    options.directory = directory_ + "/audit";
    options.origin = "rekey.test/thirdparty";
    auto log = *Log::open(options, clock, random, no_log);
    EXPECT_TRUE(log->set_signer(*crypto::Ed25519PrivateKey::from_seed(
        base::SecretBytes::copy_of(std::string(crypto::kEd25519SeedBytes, 't')))));
    const auto fill_to = [&](uint64_t end) {
      for (uint64_t i = log->durable_size(); i < end;) {
        if (log->append("{\"n\":" + std::to_string(i) + "}")) ++i;
      }
      EXPECT_TRUE(log->wait_durable(end));
      return log->checkpoint_now()->note;
    };
    const std::string old_checkpoint = put("old", fill_to(kOldSize));
    fill_to(kSize);
    std::string consistency;
    for (const crypto::Sha256Digest& hash : *log->consistency_proof(kOldSize, kSize)) {
      consistency += base::base64_encode(crypto::as_bytes(hash)) + "\n";
    }
    std::vector<std::string> command = {
        base::testing::source_dir() + "/tests/audit-thirdparty/check", directory_ + "/audit/log",
        log->verifier_key(), old_checkpoint, put("consistency", consistency)};
    for (uint64_t index : {uint64_t{0}, uint64_t{255}, uint64_t{65'535}, kSize - 1}) {
      command.push_back(put("proof" + std::to_string(index), *log->prove(index)));
    }
    return command;
  }

  std::string directory_;
};

TEST_F(ThirdParty, GoChecksumDatabaseCodeAcceptsOurLogAndRefusesAnAlteredOne) {
  const std::vector<std::string> command = make_log();
  EXPECT_EQ(run(command), 0) << "needs golang-go and golang-golang-x-mod-dev";
  const std::string tile = directory_ + "/audit/" + tile_path(0, 3);
  std::fstream file(tile, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(100);
  file.put('x');
  file.close();
  EXPECT_EQ(run(command), 1) << "an altered tile was accepted";
}

}  // namespace
}  // namespace rekey::audit
