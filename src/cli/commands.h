// The command tables, one for each file of commands, and what several of those files use.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "cli/command.h"

namespace rekey::cli {

std::span<const Command> audit_commands();
std::span<const Command> audit_log_commands();
std::span<const Command> audit_proof_commands();
std::span<const Command> auth_commands();
std::span<const Command> backup_commands();
std::span<const Command> generate_root_commands();
std::span<const Command> kv_commands();
std::span<const Command> kv_metadata_commands();
std::span<const Command> lease_commands();
std::span<const Command> logical_commands();
std::span<const Command> login_commands();
std::span<const Command> mfa_commands();
std::span<const Command> misc_commands();
std::span<const Command> operator_commands();
std::span<const Command> policy_commands();
std::span<const Command> rekey_commands();
std::span<const Command> secrets_commands();
std::span<const Command> status_commands();
std::span<const Command> token_commands();

// The record's newest entries that fit the flags of `audit query`.
int list_entries(Context& context);
// What list commands print: the keys, or that there are none (exit code 2).
int show_keys(Context& context, const Reply& reply, std::string_view path);
// What write commands print: the answer, or where the data went.
int show_written(Context& context, const Reply& reply, std::string_view path);
// What status and unseal print of sys/seal-status; `leader` is sys/leader's answer, or null.
int show_seal_status(Context& context, const base::Json& seal, const base::Json& leader);
// What login wants for a method ("userpass"), for `auth help`; nothing for an unknown one.
std::optional<std::string_view> login_help(std::string_view method);

}  // namespace rekey::cli
