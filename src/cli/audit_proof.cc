// audit prove, verify, key, archive: what an auditor needs of the record.
#include <fmt/format.h>
#include <ostream>

#include "audit/entry_source.h"
#include "audit/proof.h"
#include "audit/query.h"
#include "audit/retention.h"
#include "audit/tiles.h"
#include "audit/verify.h"
#include "cli/audit_common.h"
#include "cli/commands.h"
#include "cli/values.h"

namespace rekey::cli {

using base::Result;

namespace {

constexpr unsigned kVerifyThreadsMax = 256;

Result<std::string> prove_from_folder(const Context& context, uint64_t index) {
  auto source = open_folder(context);
  if (!source) return base::forward(source);
  if (index >= (*source)->signed_size()) {
    return base::fail(
        base::ErrorKind::kNotFound,
        fmt::format("the last checkpoint is over {} entries", (*source)->signed_size()));
  }
  auto entry = (*source)->entry(index);
  if (!entry) return base::forward(entry);
  audit::TileTree tree((*source)->disk(), (*source)->signed_size());
  auto path = audit::inclusion_path(tree, index, (*source)->signed_size());
  if (!path) return base::forward(path);
  return audit::TlogProof{*entry, index, std::move(*path), (*source)->checkpoint()}.text();
}

int prove(Context& context) {
  uint64_t index = 0;
  if (!read_number(context.argument(0), index)) {
    return context.fail(1, "An entry's index is a whole number.");
  }
  std::string text;
  if (!folder_of(context).empty()) {
    Result<std::string> proof = prove_from_folder(context, index);
    if (!proof) return cannot_read(context, proof.error());
    text = std::move(*proof);
  } else {
    auto reply = context.api().get("sys/audit-log/proof/" + std::to_string(index));
    if (!reply) return context.fail(2, "Error proving the entry: ", reply.error());
    if (reply->data() != nullptr) text = reply->data()->string_or("proof", "");
  }
  context.console().out << text;
  return 0;
}

int key(Context& context) {
  std::string text;
  if (const std::string folder = folder_of(context); !folder.empty()) {
    Result<std::string> file = read_file(folder + "/key");
    if (!file) return context.fail(2, "Error reading the key: ", file.error());
    text = file->substr(0, file->find('\n'));
  } else {
    auto reply = context.api().get("sys/audit-log/key");
    if (!reply) return context.fail(2, "Error reading the key: ", reply.error());
    if (reply->data() != nullptr) text = reply->data()->string_or("key", "");
  }
  return context.say(text);
}

Result<std::optional<audit::VerifierKey>> trusted_key(const Context& context) {
  std::string text = context.flags().text("key");
  if (text.empty()) return std::nullopt;
  if (text.starts_with('@')) {
    Result<std::string> file = read_file(text.substr(1));
    if (!file) return base::forward(file);
    text = file->substr(0, file->find('\n'));
  }
  Result<audit::VerifierKey> parsed = audit::VerifierKey::parse(text);
  if (!parsed) return base::forward(parsed);
  return std::move(*parsed);
}

// A proof by itself: no log is needed.
int check_proof(Context& context, const std::optional<audit::VerifierKey>& trusted) {
  if (!trusted) return context.fail(1, "-proof needs -key, the log's verifier key.");
  Result<std::string> text = read_file(context.flags().text("proof"));
  if (!text) return context.fail(1, "Error reading the proof: ", text.error());
  Result<audit::TlogProof> proof = audit::TlogProof::parse(*text);
  if (!proof) return context.fail(2, "The proof is none: ", proof.error());
  Result<audit::ProvenEntry> proven = audit::verify_proof(*proof, proof->extra, *trusted);
  if (!proven) return context.fail(2, "The proof doesn't hold: ", proven.error());
  context.warn(fmt::format("Entry {} is in the log {} of {} entries.", proven->index,
                           proven->head.origin, proven->head.size));
  return context.say(proof->extra);
}

void say_report(Context& context, const audit::VerifyReport& report) {
  std::vector<Row> rows = {
      {"Log", report.origin},
      {"Entries under the checkpoint", std::to_string(report.size)},
      {"Entries checked", std::to_string(report.entries_checked)},
      {"Bytes of entries", std::to_string(report.entry_bytes)},
      {"Durable, not signed yet", std::to_string(report.entries_behind_checkpoint)},
      {"Kept checkpoints checked", std::to_string(report.kept_checkpoints_checked)},
      {"Verifier key", report.verifier_key}};
  context.console().out << format_pairs(rows);
  if (report.own_key) {
    context.warn(
        "WARNING! The key is the folder's own: give -key, kept elsewhere, to be sure who signed.");
  }
}

int verify(Context& context) {
  auto trusted = trusted_key(context);
  if (!trusted) return context.fail(1, "Error reading the key: ", trusted.error());
  if (!context.flags().text("proof").empty()) return check_proof(context, *trusted);
  const std::string folder = folder_of(context);
  if (folder.empty()) {
    return context.fail(1, "Verifying reads the log's files: -log=FOLDER, the record's folder.");
  }
  audit::VerifyOptions options;
  options.key = *trusted;
  for (const std::string& path : context.flags().texts("checkpoint")) {
    Result<std::string> note = read_file(path);
    if (!note) return context.fail(1, "Error reading a checkpoint: ", note.error());
    options.kept_checkpoints.push_back(std::move(*note));
  }
  const int64_t threads = context.flags().integer("threads").value_or(2);
  if (threads < 1 || threads > kVerifyThreadsMax) {
    return context.fail(1, fmt::format("-threads is 1 to {}.", kVerifyThreadsMax));
  }
  options.threads = static_cast<unsigned>(threads);
  auto disk = audit::open_posix_disk_for_reading(folder);
  if (!disk) return context.fail(1, "Error reading the record: " + with_detail(disk.error()));
  std::unique_ptr<audit::Disk> archive;
  if (const std::string path = context.flags().text("archive"); !path.empty()) {
    auto opened = audit::open_posix_disk_for_reading(path);
    if (!opened)
      return context.fail(1, "Error reading the archive: " + with_detail(opened.error()));
    archive = std::move(*opened);
    options.archive = archive.get();
  }
  auto report = audit::verify_log(**disk, options);
  if (!report) return context.fail(1, "Error reading the record: " + with_detail(report.error()));
  say_report(context, *report);
  for (const audit::VerifyFinding& finding : report->findings) {
    context.warn(finding.place + ": " + finding.problem);
  }
  if (report->findings_left_out > 0) {
    context.warn(fmt::format("... and {} more", report->findings_left_out));
  }
  if (!report->ok()) return context.fail(2, "The record is damaged or was altered.");
  return context.say("The record is as it was written.");
}

int archive(Context& context) {
  const std::string folder = folder_of(context), to = context.flags().text("to");
  const bool drop = context.flags().on("drop");
  if (folder.empty()) {
    return context.fail(1,
                        "Archiving works on the record's files while no server runs: -log=FOLDER.");
  }
  if (to.empty() != drop) {
    return context.fail(1, "Either -to=FOLDER, or -drop to have the entries gone for good.");
  }
  auto before = audit::parse_query_time(context.flags().text("before"), base::SystemClock().wall());
  if (!before) return context.fail(1, "-before: " + before.error().message());
  auto source = audit::FolderSource::open(folder);
  if (!source) return cannot_read(context, source.error());
  auto disk = audit::open_posix_disk(folder);
  if (!disk) return context.fail(2, "Error opening the record: " + with_detail(disk.error()));
  std::unique_ptr<audit::Disk> place;
  if (!drop) {
    auto opened = audit::open_posix_disk(to);
    if (!opened)
      return context.fail(2, "Error opening the archive: " + with_detail(opened.error()));
    place = std::move(*opened);
  }
  const uint64_t signed_size = (*source)->signed_size();
  auto below = audit::entries_before(**disk, signed_size, *before);
  if (!below) return cannot_read(context, below.error());
  auto retired = audit::retire_entries(**disk, place.get(), signed_size, *below);
  if (!retired) return context.fail(2, "Error archiving: " + with_detail(retired.error()));
  return context.say(fmt::format("Success! {} entries were {}; the record begins with entry {}.",
                                 retired->entries, drop ? "dropped" : "moved",
                                 retired->first_kept));
}

constexpr FlagSpec kArchiveFlags[] = {
    kAuditFolderFlag,
    {.name = "before", .help = "Entries before this go: 2026-11-24T09:00:00Z, 2026-11-24, -2160h."},
    {.name = "to", .help = "The folder for them; what is there already stays."},
    {.name = "drop", .kind = FlagKind::kSwitch, .help = "No folder: they are gone for good."},
};
constexpr FlagSpec kFolderFlags[] = {kAuditFolderFlag, kAuditArchiveFlag};
constexpr FlagSpec kVerifyFlags[] = {
    kAuditFolderFlag,
    kAuditArchiveFlag,
    {.name = "key", .help = "The verifier key that you trust, or @FILE with it."},
    {.name = "checkpoint", .kind = FlagKind::kTexts, .help = "A checkpoint that you kept; a file."},
    {.name = "proof", .help = "Check this proof (a file) instead of a log."},
    {.name = "threads",
     .kind = FlagKind::kInteger,
     .help = "How many threads.",
     .default_text = "2"},
};

constexpr Command kCommands[] = {
    {.name = "audit prove",
     .summary = "Prove that an entry is in the record",
     .usage = "[options] INDEX",
     .help = "Prints a proof (c2sp.org/tlog-proof@v1) that an auditor can check with nothing but "
             "the log's verifier key.\n\n"
             "    $ rekey audit prove 4711 > entry.tlog-proof",
     .run = prove,
     .flags = kFolderFlags,
     .arguments_min = 1,
     .arguments_max = 1},
    {.name = "audit verify",
     .summary = "Verify the record's files",
     .usage = "[options]",
     .help = "Hashes every entry and compares it with the tree, the tree with the signed "
             "checkpoint, and both with checkpoints that you kept. Names the place of what is "
             "wrong. Ends with 0 if all is well, 2 if not, 1 if it couldn't tell.\n\n"
             "    $ rekey audit verify -log=/var/lib/rekey/audit/log -key=@rekey.vkey\n\n"
             "Check a proof that somebody sent:\n\n"
             "    $ rekey audit verify -proof=entry.tlog-proof -key=@rekey.vkey",
     .run = verify,
     .flags = kVerifyFlags,
     .sets = kNoFlags},
    {.name = "audit archive",
     .summary = "Move old entries of the record elsewhere",
     .usage = "[options]",
     .help = "Moves the oldest entries, in whole blocks of 256, to another folder while no server "
             "runs. The tree's hashes stay: what is left can be proven as before, and what was "
             "moved with -archive=FOLDER.\n\n"
             "    $ rekey audit archive -log=/var/lib/rekey/audit/log -before=-2160h "
             "-to=/mnt/archive",
     .run = archive,
     .flags = kArchiveFlags,
     .sets = kNoFlags},
    {.name = "audit key",
     .summary = "Print the record's verifier key",
     .usage = "[options]",
     .help = "Prints the key that verifies the record's checkpoints, in signed-note form "
             "(name+hash+key). Keep it where the server can't reach it.\n\n"
             "    $ rekey audit key > rekey.vkey",
     .run = key,
     .flags = kFolderFlags},
};

}  // namespace

std::span<const Command> audit_proof_commands() { return kCommands; }

}  // namespace rekey::cli
