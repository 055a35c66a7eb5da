// operator backup, restore. A backup is fetched from a server that goes on serving; a restore works
// on the store's folder while no server has it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <cerrno>
#include <filesystem>
#include <ostream>
#include <system_error>

#include "cli/commands.h"
#include "cli/operator_common.h"
#include "config/config.h"
#include "storage/data_folder.h"
#include "storage/lmdb_backup.h"

namespace rekey::cli {

using base::ErrorKind;
using base::Json;
using base::Result;

namespace {

std::vector<Row> report_rows(const storage::BackupReport& report) {
  return {{"bytes", std::to_string(report.bytes)},
          {"rows", std::to_string(report.rows)},
          {"store_revision", std::to_string(report.revision)}};
}

base::JsonObject report_json(const storage::BackupReport& report) {
  return {{"bytes", static_cast<int64_t>(report.bytes)},
          {"rows", static_cast<int64_t>(report.rows)},
          {"store_revision", static_cast<int64_t>(report.revision)}};
}

constexpr base::Duration kPollEvery = std::chrono::milliseconds(200);
constexpr std::string_view kBackup = "sys/storage/backup";

base::Error system_error(std::string_view what) {
  return {ErrorKind::kInvalid,
          fmt::format("{}: {}", what, std::generic_category().message(errno)),
          {},
          std::source_location::current()};
}

// A backup that is being written: beside its final name, which it gets when it is complete.
class PartialFile {
 public:
  explicit PartialFile(const std::string& path) : path_(path), partial_(path + ".partial") {}
  ~PartialFile() {
    if (fd_.valid()) unlink(partial_.c_str());
  }
  Result<void> open() {
    struct stat info{};
    if (stat(path_.c_str(), &info) == 0) {
      return base::fail(ErrorKind::kInvalid, path_ + " exists; an older backup isn't overwritten");
    }
    fd_ =
        storage::UniqueFd(::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd_.valid()) return std::unexpected(system_error("can't make " + partial_));
    return {};
  }
  Result<void> add(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = write(fd_.get(), bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return std::unexpected(system_error("can't write " + partial_));
      bytes.remove_prefix(static_cast<size_t>(put));
    }
    return {};
  }
  // Verifies what was written and gives it its name.
  Result<storage::BackupReport> finish() {
    if (fsync(fd_.get()) != 0) return std::unexpected(system_error("can't sync " + partial_));
    auto report = storage::verify_backup(partial_);
    if (!report) return report;
    // link() fails where the name is taken, as rename() would not.
    if (link(partial_.c_str(), path_.c_str()) != 0) {
      return std::unexpected(system_error("can't make " + path_));
    }
    return report;  // the destructor removes the other name
  }

 private:
  std::string path_, partial_;
  storage::UniqueFd fd_;
};

uint64_t number_of(const Json& object, std::string_view name) {
  const Json* value = object.find(name);
  return value == nullptr ? 0 : static_cast<uint64_t>(value->as_int().value_or(0));
}

// Waits until the server has made the backup `status` tells of; its size.
Result<uint64_t> await_backup(Context& context, Json status) {
  const std::string path = fmt::format("{}/{}", kBackup, status.string_or("id", ""));
  while (true) {
    const std::string state = status.string_or("state", "");
    if (state == "done") return number_of(status, "bytes");
    if (state != "running") {
      return base::fail(ErrorKind::kUpstream, "the server could not make it: " +
                                                  status.string_or("error", "no reason given"));
    }
    context.console().wait(kPollEvery);
    Result<Reply> reply = context.api().get(path);
    if (!reply) return forward(reply);
    if (reply->data() == nullptr) return base::fail(ErrorKind::kUpstream, "an empty answer");
    status = *reply->data();
  }
}

Result<storage::BackupReport> fetch(Context& context, const Json& started, PartialFile& file) {
  auto size = await_backup(context, started);
  if (!size) return forward(size);
  Call call{.path = fmt::format("{}/{}/data", kBackup, started.string_or("id", ""))};
  for (uint64_t have = 0; have < *size;) {
    call.query = {{"offset", std::to_string(have)}};
    Result<Reply> piece = context.api().send(call);
    if (!piece) return forward(piece);
    if (piece->body.empty()) return base::fail(ErrorKind::kUpstream, "the backup ended early");
    if (Result<void> added = file.add(piece->body); !added) return forward(added);
    have += piece->body.size();
  }
  return file.finish();
}

int backup(Context& context) {
  const std::string& path = context.argument(0);
  PartialFile file(path);
  const bool only_shown =
      context.flags().on("output-curl-string") || context.flags().on("output-policy");
  if (!only_shown) {
    if (Result<void> opened = file.open(); !opened) {
      return context.fail(1, "Error taking the backup: ", opened.error());
    }
  }
  Result<Reply> started = context.api().post(kBackup, {});
  if (!started) return context.fail(2, "Error taking the backup: ", started.error());
  if (started->data() == nullptr) return context.fail(2, "Error taking the backup: empty answer");
  auto report = fetch(context, *started->data(), file);
  // So that the server's disk has the space again; a failure means that it takes an hour.
  (void)context.api().erase(fmt::format("{}/{}", kBackup, started->data()->string_or("id", "")));
  if (!report) return context.fail(2, "Error taking the backup: ", report.error());
  if (context.show_structured(report_json(*report))) return 0;
  return context.say(fmt::format("Success! Wrote and verified the backup: {}\n\n{}", path,
                                 format_pairs(report_rows(*report))));
}

// Where the store is that a server with these flags would use.
Result<std::string> store_folder(const Flags& flags) {
  const int given = static_cast<int>(flags.given("config")) +
                    static_cast<int>(flags.given("standalone")) +
                    static_cast<int>(flags.given("data"));
  if (given != 1) {
    return base::fail(ErrorKind::kInvalid,
                      "say which server's store it is by one of -config, as the server is started "
                      "with, -standalone or -data");
  }
  if (flags.given("data")) return flags.text("data");
  if (flags.given("standalone")) return flags.text("standalone") + "/data";
  auto sources = config::read_sources(flags.texts("config"));
  if (!sources) return forward(sources);
  auto parsed = config::parse(*sources);
  if (!parsed) return forward(parsed);
  if (!parsed->storage || parsed->storage->kind != config::StorageKind::kLmdb) {
    return base::fail(ErrorKind::kInvalid, "the configuration names no store on disk");
  }
  return parsed->storage->path;
}

int restore(Context& context) {
  const std::string& path = context.argument(0);
  if (context.flags().on("verify-only")) {
    auto report = storage::verify_backup(path);
    if (!report) return context.fail(2, "The backup is not usable: ", report.error());
    if (context.show_structured(report_json(*report))) return 0;
    context.say("Success! The backup is complete and undamaged: " + path + "\n");
    context.console().out << format_pairs(report_rows(*report));
    return 0;
  }
  Result<std::string> folder = store_folder(context.flags());
  if (!folder) return context.fail(1, "Error restoring: ", folder.error());
  const base::SystemClock clock;
  const base::Log log(clock, STDERR_FILENO, base::LogLevel::kWarn);
  auto restored = storage::restore_backup(path, *folder, log);
  if (!restored) {
    std::string text = "Error restoring, nothing was replaced: " + restored.error().message();
    if (!restored.error().detail().empty()) text += " (" + restored.error().detail() + ")";
    return context.fail(2, text);
  }
  base::JsonObject shown = report_json(restored->backup);
  shown.set("store_before", restored->kept_path);
  if (context.show_structured(std::move(shown))) return 0;
  std::vector<Row> rows = report_rows(restored->backup);
  if (!restored->kept_path.empty()) rows.push_back({"the store before", restored->kept_path});
  context.say(fmt::format("Success! Verified {} and restored it into: {}\n", path, *folder));
  context.console().out << format_pairs(rows);
  if (restored->kept_path.empty()) return 0;
  context.say("\n" + wrap_text(fmt::format(
                         "The store is now older than the record of what was done since. So that "
                         "nobody can do this unnoticed, the server stays sealed until you accept "
                         "it: start it once with \"{} server ... -accept-older-store\". That is "
                         "recorded. The unseal keys are those of the time of the backup.",
                         context.program())));
  return 0;
}

constexpr FlagSpec kRestoreFlags[] = {
    {.name = "config",
     .kind = FlagKind::kTexts,
     .help = "The server's configuration: file or folder, as for the server command."},
    {.name = "standalone", .help = "The folder of a server that is started with -standalone."},
    {.name = "data", .help = "The store's own folder, which holds data.mdb."},
    {.name = "verify-only",
     .kind = FlagKind::kSwitch,
     .help = "Check the backup and change nothing. Needs no server and no key."},
};

constexpr Command kCommands[] = {
    {.name = "operator backup",
     .summary = "Save a backup of the server's data",
     .usage = "[options] FILE",
     .help =
         "Saves all data, encrypted as it is stored, while the server goes on, and checks what\n"
         "was saved. A file that exists isn't overwritten. The token needs sudo on\n"
         "sys/storage/backup and what is below it.\n\n"
         "    $ rekey operator backup rekey-$(date +%F).backup\n\n"
         "What opens it again are the unseal keys, or the key file of the seal: keep those\n"
         "somewhere else.",
     .run = backup,
     .sets = kHttp | kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "operator restore",
     .summary = "Put a backup in place of a server's data",
     .usage = "[options] FILE",
     .help = "Checks a backup and then puts it in place of the store of a server that is stopped.\n"
             "The store that was there is kept beside it.\n\n"
             "    $ rekey operator restore -config=/etc/rekey/rekey.hcl rekey-2026-11-01.backup\n\n"
             "Whether a backup is usable:\n\n"
             "    $ rekey operator restore -verify-only rekey-2026-11-01.backup",
     .run = restore,
     .flags = kRestoreFlags,
     .sets = kFormat,
     .arguments_min = 1,
     .arguments_max = 1},
};

}  // namespace

std::span<const Command> backup_commands() { return kCommands; }

}  // namespace rekey::cli
