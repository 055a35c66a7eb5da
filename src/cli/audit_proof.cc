// audit prove, verify, key: what an auditor needs of the record.
#include <fmt/format.h>
#include <ostream>

#include "audit/entry_source.h"
#include "audit/proof.h"
#include "audit/tiles.h"
#include "audit/verify.h"
#include "cli/audit_common.h"
#include "cli/commands.h"
#include "cli/values.h"

namespace rekey::cli {

using base::Result;

namespace {

constexpr unsigned kVerifyThreadsMax = 256;

Result<std::string> prove_from_folder(const std::string& folder, uint64_t index) {
  auto source = audit::FolderSource::open(folder);
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
  if (const std::string folder = folder_of(context); !folder.empty()) {
    Result<std::string> proof = prove_from_folder(folder, index);
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

constexpr FlagSpec kFolderFlags[] = {kAuditFolderFlag};
constexpr FlagSpec kVerifyFlags[] = {
    kAuditFolderFlag,
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
