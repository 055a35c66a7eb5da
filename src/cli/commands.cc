// The list of command tables and the flags that commands share.
#include "cli/commands.h"

#include "cli/command.h"

namespace rekey::cli {

namespace {

constexpr FlagSpec kHttpFlags[] = {
    {.name = "address",
     .help = "Address of the server.",
     .default_text = "https://127.0.0.1:8200",
     .env = "ADDR"},
    {.name = "agent-address",
     .help = "Address of an agent; used instead of -address.",
     .env = "AGENT_ADDR"},
    {.name = "ca-cert",
     .help = "Path of a PEM file with the CA certificates to check the server's certificate "
             "with. Taken before -ca-path.",
     .env = "CACERT"},
    {.name = "ca-path",
     .help = "Path of a folder of PEM files with CA certificates.",
     .env = "CAPATH"},
    {.name = "client-cert",
     .help = "Path of a PEM file with the certificate to show to the server.",
     .env = "CLIENT_CERT"},
    {.name = "client-key",
     .help = "Path of a PEM file with the private key of -client-cert.",
     .env = "CLIENT_KEY"},
    {.name = "disable-redirects",
     .kind = FlagKind::kSwitch,
     .help = "Take a redirect for the answer instead of following it once.",
     .env = "DISABLE_REDIRECTS"},
    {.name = "header",
     .kind = FlagKind::kPairs,
     .help = "An HTTP header to send with every request. Names that start with X-Vault- are "
             "refused."},
    {.name = "mfa",
     .kind = FlagKind::kTexts,
     .help = "A credential for multi-factor authentication, METHOD:PASSCODE.",
     .env = "MFA"},
    {.name = "namespace", .help = "Namespace of the command.", .env = "NAMESPACE", .alias = "ns"},
    {.name = "non-interactive", .kind = FlagKind::kSwitch, .help = "Never ask on the terminal."},
    {.name = "output-curl-string",
     .kind = FlagKind::kSwitch,
     .help = "Print the command for curl instead of making the request."},
    {.name = "output-policy",
     .kind = FlagKind::kSwitch,
     .help = "Print the policy that the request needs instead of making it."},
    {.name = "policy-override",
     .kind = FlagKind::kSwitch,
     .help = "Override a soft-mandatory policy."},
    {.name = "tls-server-name",
     .help = "Name to send and to expect in the server's certificate, instead of the address's.",
     .env = "TLS_SERVER_NAME"},
    {.name = "tls-skip-verify",
     .kind = FlagKind::kSwitch,
     .help = "Don't check the server's certificate. Whoever is in between can read everything.",
     .env = "SKIP_VERIFY"},
    {.name = "unlock-key", .help = "Key of a locked namespace; there are none."},
    {.name = "wrap-ttl",
     .kind = FlagKind::kDuration,
     .help = "Get the answer as a wrapping token that lives this long; see the unwrap command.",
     .env = "WRAP_TTL"},
};

constexpr FlagSpec kOutputFlags[] = {
    {.name = "field",
     .help = "Print only this field, as it is and without a line break at its end."},
    {.name = "format",
     .help = "How to print: \"table\", \"json\" or \"yaml\"; \"raw\" with read only.",
     .default_text = "table",
     .env = "FORMAT",
     .choices = "table json yaml"},
};

constexpr Group kGroups[] = {
    {"audit", "Ask and prove the record; audit devices",
     "Where the server writes who asked for what: its own record, and devices beside it.\n\n"
     "Who read this secret in the last hour?\n\n"
     "    $ rekey audit query -path=secret/data/app -from=-1h\n\n"
     "List the audit devices:\n\n"
     "    $ rekey audit list"},
    {"audit index", "Manage the record's index",
     "What queries of the record use.\n\n"
     "Make it anew:\n\n"
     "    $ rekey audit index rebuild"},
    {"auth", "Interact with auth methods",
     "Ways for people and machines to log in.\n\n"
     "List the auth methods:\n\n"
     "    $ rekey auth list\n\n"
     "Let people log in by name and password:\n\n"
     "    $ rekey auth enable userpass"},
    {"kv", "Interact with the key-value store",
     "Secrets as key and value, with versions where the store has them.\n\n"
     "Write \"bar=baz\" to the secret \"foo\" in the store at \"secret\":\n\n"
     "    $ rekey kv put -mount=secret foo bar=baz\n\n"
     "Read it back:\n\n"
     "    $ rekey kv get -mount=secret foo\n\n"
     "The mount may also be the start of the path:\n\n"
     "    $ rekey kv get secret/foo"},
    {"kv metadata", "Interact with the metadata of the key-value store",
     "What a versioned store knows of a secret besides its values.\n\n"
     "Read it:\n\n"
     "    $ rekey kv metadata get -mount=secret foo\n\n"
     "Keep five versions:\n\n"
     "    $ rekey kv metadata put -mount=secret -max-versions=5 foo\n\n"
     "Delete the secret with all its versions:\n\n"
     "    $ rekey kv metadata delete -mount=secret foo"},
    {"lease", "Interact with leases",
     "Secrets that were handed out for a time.\n\n"
     "Renew one:\n\n"
     "    $ rekey lease renew database/creds/readonly/2f6a614c...\n\n"
     "Revoke one:\n\n"
     "    $ rekey lease revoke database/creds/readonly/2f6a614c..."},
    {"mfa", "Enrol for a second factor",
     "Keys that authenticator apps make codes of, asked for when somebody logs in.\n\n"
     "Make your key and show it as a QR code:\n\n"
     "    $ rekey mfa enroll METHOD_ID"},
    {"operator", "Perform operator-specific tasks",
     "For those who run the server.\n\n"
     "Initialize a new server:\n\n"
     "    $ rekey operator init\n\n"
     "Unseal it, once with each key:\n\n"
     "    $ rekey operator unseal\n\n"
     "Replace the unseal keys:\n\n"
     "    $ rekey operator rekey -init"},
    {"policy", "Interact with policies",
     "Who may do what.\n\n"
     "List the policies:\n\n"
     "    $ rekey policy list\n\n"
     "Create or replace a policy from a file:\n\n"
     "    $ rekey policy write users ./users.hcl"},
    {"print", "Print what the command line would use",
     "Print the token that requests are made with:\n\n"
     "    $ rekey print token"},
    {"secrets", "Interact with secrets engines",
     "Where secrets are kept or made.\n\n"
     "List the secrets engines:\n\n"
     "    $ rekey secrets list\n\n"
     "Enable a key-value store:\n\n"
     "    $ rekey secrets enable -path=apps kv-v2"},
    {"token", "Interact with tokens",
     "What every request is made with.\n\n"
     "Create a token:\n\n"
     "    $ rekey token create\n\n"
     "Revoke a token and all that it made:\n\n"
     "    $ rekey token revoke hvs.CAESI...\n\n"
     "Renew a token:\n\n"
     "    $ rekey token renew hvs.CAESI..."},
};

}  // namespace

std::span<const std::span<const Command>> all_commands() {
  static const std::span<const Command> tables[] = {
      logical_commands(), kv_commands(),       kv_metadata_commands(), status_commands(),
      login_commands(),   token_commands(),    secrets_commands(),     auth_commands(),
      policy_commands(),  audit_commands(),    audit_log_commands(),   audit_proof_commands(),
      lease_commands(),   operator_commands(), rekey_commands(),       generate_root_commands(),
      backup_commands(),  mfa_commands(),      misc_commands(),
  };
  return tables;
}

std::span<const Group> all_groups() { return kGroups; }
std::span<const FlagSpec> http_flags() { return kHttpFlags; }
std::span<const FlagSpec> output_flags() { return kOutputFlags; }

std::vector<const FlagSpec*> flags_of(const Command& command) {
  std::vector<const FlagSpec*> flags;
  for (const FlagSpec& flag : command.flags) flags.push_back(&flag);
  if ((command.sets & kHttp) != 0) {
    for (const FlagSpec& flag : kHttpFlags) flags.push_back(&flag);
  }
  for (const FlagSpec& flag : kOutputFlags) {
    if (flag.name == "field" ? (command.sets & kField) != 0 : (command.sets & kFormat) != 0) {
      flags.push_back(&flag);
    }
  }
  return flags;
}

}  // namespace rekey::cli
