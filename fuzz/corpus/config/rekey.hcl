# A configuration for one machine under systemd (deploy/rekey.service). Vault's names and meaning;
# what is Rekey's own says so.

# The embedded store: one file of data. The record (audit log) stands beside it unless moved.
storage "lmdb" {
  path = "/var/lib/rekey"
}

# Rekey's own: another disk for the record makes both faster and one failing disk half as bad.
#audit_log {
#  path = "/var/lib/rekey/audit"
#}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/run/credentials/rekey.service/tls.crt"
  tls_key_file  = "/run/credentials/rekey.service/tls.key"
}

# Without a seal stanza the server starts sealed and waits for Shamir's shares
# (`rekey operator unseal`).
# With this one it unseals itself with a key that systemd hands over and no other process can read.
#seal "static" {
#  current_key_id = "2026-01"
#  current_key    = "file:///run/credentials/rekey.service/seal.key"
#}

api_addr          = "https://rekey.example.org:8200"
default_lease_ttl = "768h"
max_lease_ttl     = "768h"
log_level         = "info"
log_format        = "standard"
