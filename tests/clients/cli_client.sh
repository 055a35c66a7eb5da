#!/usr/bin/env bash
# The command line through a server's whole life, as people's scripts use it. Reads VAULT_ADDR and
# VAULT_CACERT of a server that isn't initialised, REKEY_PROGRAM (the program), CLI_NAME (rekey or
# vault: under which name it is called), CLIENT_TEST_DIR and CLIENT_FILES (this folder); prints
# `ok NAME` or `FAIL NAME: why`.
set -u
export LC_ALL=C.UTF-8

cd "$CLIENT_TEST_DIR" || exit 1
mkdir -p bin
if [ "$CLI_NAME" = vault ]; then
  "$REKEY_PROGRAM" install-vault-alias bin >/dev/null || exit 1
else
  ln -s "$REKEY_PROGRAM" bin/rekey
fi
PATH="$PWD/bin:$PATH"
failed=0
code=0

# v ARGUMENTS: the output in $out, what was said to standard error in $err, the exit code in $code.
v() {
  out=$("$CLI_NAME" "$@" 2>err.txt)
  code=$?
  err=$(cat err.txt)
}

# field PYTHON-EXPRESSION: from $out as JSON, decoded as `a`.
field() {
  python3 -c 'import json, sys; a = json.loads(sys.argv[1]); print(eval(sys.argv[2]))' \
    "$out" "$1" 2>&1
}

data_and_version() {
  field '"%s %d" % (a["data"]["data"], a["data"]["metadata"]["version"])'
}

step() {
  name=$1
  good=1
}
is() { # WHAT EXPECTED GOT
  if [ "$2" != "$3" ]; then
    echo "FAIL $name: $1: expected '$2', got '$3' (exit $code): $out $err"
    good=0
    failed=1
  fi
}
has() { # WHAT PART WHOLE
  case $3 in
    *"$2"*) ;;
    *)
      echo "FAIL $name: $1: no '$2' in '$3' (exit $code)"
      good=0
      failed=1
      ;;
  esac
}
done_step() {
  ((good)) && echo "ok $name"
}
await_unsealed() {
  for _ in $(seq 100); do
    "$CLI_NAME" status >/dev/null 2>&1 && return
    sleep 0.1
  done
}

step version
v version
if [ "$CLI_NAME" = vault ]; then
  has version 'Vault v1.14.10 (Rekey ' "$out"
  v -version
  has -version 'Vault v1.14.10 (Rekey ' "$out"
else
  has version 'Rekey v' "$out"
fi
done_step

step init
v status
is 'status before init' 2 "$code"
has initialized 'Initialized        false' "$out"
v operator init -status
is 'init -status before' 2 "$code"
v operator init -key-shares=3 --key-threshold=2 -format=json
is init 0 "$code"
key1=$(field 'a["unseal_keys_b64"][0]') key2=$(field 'a["unseal_keys_hex"][1]')
key3=$(field 'a["unseal_keys_b64"][2]') root=$(field 'a["root_token"]')
is shares '3 2' "$(field '"%d %d" % (a["unseal_shares"], a["unseal_threshold"])')"
v operator init -status
is 'init -status after' 0 "$code"
v operator init
is 'init again' 2 "$code"
has 'init again' 'already initialized' "$err"
done_step

step unseal
v status -format=json
is sealed '2 True' "$code $(field 'a["sealed"]')"
v operator unseal "$key1"
has progress 'Unseal Progress    1/2' "$out"
v operator unseal -reset
has 'progress after reset' 'Unseal Progress    0/2' "$out"
v operator unseal "$key1"
printf '%s\n' "$key2" | "$CLI_NAME" operator unseal - >out.txt
is 'key from standard input' 0 $?
has unsealed 'Sealed          false' "$(cat out.txt)"
await_unsealed
v status
is 'status when unsealed' 0 "$code"
v operator unseal
is 'unseal without a terminal' 1 "$code"
done_step

step login
v secrets list
is 'without a token' 2 "$code"
has 'without a token' 'Code: 403' "$err"
[ "$CLI_NAME" = vault ] || has 'what to do' 'Log in with "rekey login"' "$err"
v login "$root"
has login 'You are now authenticated' "$out"
is 'token file' "$root 600" "$(cat ~/.vault-token) $(stat -c %a ~/.vault-token)"
v print token
is 'print token' "$root" "$out"
v token lookup -format=json
is policies "['root']" "$(field 'a["data"]["policies"]')"
printf '%s' hvs.wrong | "$CLI_NAME" login - >/dev/null 2>err.txt
is 'login with a wrong token' 2 $?
v print token
is 'the old token stays' "$root" "$out"
done_step

step policies
printf 'path "one/*" {\n capabilities=["read","list"]\n}\n' >reader.hcl
v policy fmt reader.hcl
is 'fmt' 0 "$code"
is 'formatted' 'path "one/*" {
  capabilities = ["read", "list"]
}' "$(cat reader.hcl)"
printf 'path "one/' >bad.hcl
v policy fmt bad.hcl
is 'fmt of a bad policy' 1 "$code"
v policy write reader reader.hcl
has write 'Success! Uploaded policy: reader' "$out"
"$CLI_NAME" policy write two - <<'POLICY' >/dev/null
path "two/data/*" { capabilities = ["create", "update", "read"] }
path "two/metadata/*" { capabilities = ["list", "read"] }
POLICY
is 'write from standard input' 0 $?
v policy list
is list 'default reader root two' "$(sort <<<"$out" | tr '\n' ' ' | sed 's/ $//')"
v policy read reader
is read "$(cat reader.hcl)" "$out"
v policy read none
is 'read of none' 2 "$code"
done_step

step tokens
v token create -policy=reader -ttl=1h -field=token
child=$out
v token lookup -format=json "$child"
is policies "['default', 'reader']" "$(field 'a["data"]["policies"]')"
accessor=$(field 'a["data"]["accessor"]')
v token capabilities "$child" one/a
is capabilities 'list, read' "$out"
v policy explain -token="$child" -format=json one/a
is explain one/a "$(field 'a["path"]')"
has 'explain names the policy' reader "$out"
VAULT_TOKEN=$child v token lookup -format=json
is self "$accessor" "$(field 'a["data"]["accessor"]')"
REKEY_TOKEN=$child VAULT_TOKEN=none v secrets list
is 'mounts for a reader' 2 "$code"
v token renew -increment=2h -format=json "$child"
is renew 7200 "$(field 'a["auth"]["lease_duration"]')"
v token create -type=batch -policy=reader -ttl=5m -format=json
has batch 'hvb.' "$(field 'a["auth"]["client_token"]')"
v token create -policy=reader -use-limit=1 -field=token
is 'first use' 0 "$(VAULT_TOKEN=$out "$CLI_NAME" token lookup >/dev/null 2>&1; echo $?)"
is 'second use' 2 "$(VAULT_TOKEN=$out "$CLI_NAME" token lookup >/dev/null 2>&1; echo $?)"
done_step

step 'kv version 1'
v secrets enable -path=one kv
has enable 'Success! Enabled the kv secrets engine at: one/' "$out"
printf 'line one\nline two\n' >file
v kv put one/a user=app pass=@file
has put 'Success! Data written to: one/a' "$out"
v kv get -field=pass one/a
is 'a file comes back' "$(cat file)" "$out"
printf piped | "$CLI_NAME" kv put -mount=one b v=- >/dev/null
v kv get -format=json -mount=one b
is 'standard input' piped "$(field 'a["data"]["v"]')"
v kv get one/a
has table 'user    app' "$out"
VAULT_TOKEN=$child v kv put one/a k=w
is 'write by a reader' 2 "$code"
v kv list one
is list 'Keys ---- a b' "$(tr '\n' ' ' <<<"$out" | sed 's/ $//')"
v kv delete one/b
v kv get one/b
is 'read of nothing' "2 No value found at one/b" "$code $err"
v kv metadata get one/a
is 'metadata of version 1' 1 "$code"
done_step

step 'kv version 2'
v secrets enable -path=two -version=2 kv
v kv put -cas=0 two/s a=1 b=2
has put 'version            1' "$out"
v kv put -cas=0 two/s a=3
is 'cas' 2 "$code"
has 'cas' 'check-and-set parameter did not match' "$err"
v kv patch two/s b=3
is patch 0 "$code"
v kv patch -method=rw -mount=two s c=4
is 'patch by reading' 0 "$code"
v kv patch -remove-data=a two/s
v kv get -format=json two/s
is 'after the patches' "{'b': '3', 'c': '4'} 4" "$(data_and_version)"
v kv get -version=1 -field=a two/s
is 'version 1' 1 "$out"
v kv rollback -version=1 two/s
v kv get -mount=two -field=b s
is rollback 2 "$out"
v kv delete two/s
v kv get -format=json two/s
is 'deleted' '0 None 5' "$code $(data_and_version)"
v kv get -field=a two/s
is 'field of the deleted' 2 "$code"
v kv undelete -versions=5 two/s
v kv get -field=a two/s
is undelete 1 "$out"
v kv destroy -versions=1,2 two/s
v kv get -version=1 -format=json two/s
is destroy True "$(field 'a["data"]["metadata"]["destroyed"]')"
v kv metadata put -max-versions=3 -custom-metadata=owner=ann -delete-version-after=1h two/s
v kv metadata get -format=json two/s
is max-versions 3 "$(field 'a["data"]["max_versions"]')"
is custom-metadata "{'owner': 'ann'}" "$(field 'a["data"]["custom_metadata"]')"
is delete-version-after 1h0m0s "$(field 'a["data"]["delete_version_after"]')"
v kv enable-versioning one
has upgrade 'Success! Tuned the secrets engine at: one/' "$out"
v kv get -field=user one/a
is 'after the upgrade' app "$out"
v kv metadata delete two/s
v kv list -format=json two
is 'list of nothing' '2 {}' "$code $out"
done_step

step operations
v write cubbyhole/x k=v m=@file
v read -field=k cubbyhole/x
is read v "$out"
v list -format=yaml cubbyhole
is 'list as yaml' '- x' "$out"
v read -format=yaml cubbyhole/x
has 'text of several lines' '  m: |
    line one
    line two' "$out"
printf '{"deep": {"list": [1, true]}}' | "$CLI_NAME" write cubbyhole/y - >/dev/null
v read --format json cubbyhole/y
is 'json from standard input' "{'list': [1, True]}" "$(field 'a["data"]["deep"]')"
VAULT_FORMAT=json v read cubbyhole/y
is VAULT_FORMAT "{'list': [1, True]}" "$(field 'a["data"]["deep"]')"
v delete cubbyhole/y
v read cubbyhole/y
is 'after delete' 2 "$code"
v write -field=id identity/entity name=ann
entity=$out
v list -detailed identity/entity/id
has 'list -detailed' 'Keys                                    name' "$out"
has 'list -detailed' "$entity    ann" "$out"
v list -detailed -format=json identity/entity/id
is 'list -detailed as json' ann "$(field "a['data']['key_info']['$entity']['name']")"
v audit query -path=identity/entity -format=yaml
has 'audit query as yaml' '    path: identity/entity' "$out"
v operator backup -format=json saved.backup
is 'backup as json' True "$(field 'a["rows"] > 0')"
v operator restore -verify-only -format=yaml saved.backup
has 'verify-only as yaml' 'rows: ' "$out"
v write cubbyhole/x
is 'write without data' 1 "$code"
v path-help sys/mounts
is path-help 0 "$code"
v read -output-curl-string cubbyhole/x
has curl-string "\$($CLI_NAME print token)" "$out"
out=$(eval "${out/curl /curl -s }")
is 'curl-string works' v "$(field 'a["data"]["k"]')"
done_step

step mounts
v secrets tune -max-lease-ttl=2h -description=tuned two
v secrets list -format=json
is max-lease-ttl 7200 "$(field 'a["two/"]["config"]["max_lease_ttl"]')"
is description tuned "$(field 'a["two/"]["description"]')"
v secrets move two three
has move 'Success! Finished moving secrets engine two/ to three/' "$out"
v secrets disable three
has disable 'Success! Disabled the secrets engine (if it existed) at: three/' "$out"
v auth list
has 'auth list' 'token/' "$out"
done_step

step wrapping
v kv get -wrap-ttl=60s -field=wrapping_token one/a
wrapping=$out
v unwrap -format=json "$wrapping"
is unwrap app "$(field 'a["data"]["data"]["user"]')"
v unwrap "$wrapping"
is 'unwrap again' 2 "$code"
v write -field=wrapping_token sys/wrapping/wrap k=v
VAULT_TOKEN=$out v unwrap -field=k
is 'unwrap of the own token' v "$out"
done_step

step revoke
v token revoke -accessor "$accessor"
has revoke 'Success! Revoked token (if it existed)' "$out"
VAULT_TOKEN=$child v token lookup
is 'after the revocation' 2 "$code"
done_step

step rotate
v operator key-status -format=json
term=$(field 'a["term"]')
v operator rotate -format=json
is term "$((term + 1))" "$(field 'a["term"]')"
done_step

step rekey
v operator rekey -init -key-shares=2 -key-threshold=2 -format=json
nonce=$(field 'a["nonce"]')
v operator rekey -nonce="$nonce" "$key1"
has progress 'Progress                 1/2' "$out"
v operator rekey -nonce="$nonce" -format=json "$key3"
is complete True "$(field 'a["complete"]')"
new1=$(field 'a["keys_base64"][0]') new2=$(field 'a["keys_base64"][1]')
v operator rekey -init -key-shares=1 -key-threshold=1 -verify -format=json
nonce=$(field 'a["nonce"]')
v operator rekey -nonce="$nonce" "$new1"
v operator rekey -nonce="$nonce" -format=json "$new2"
only=$(field 'a["keys_base64"][0]') nonce=$(field 'a["verification_nonce"]')
v operator rekey -verify -nonce="$nonce" "$only"
has verify 'verification successful' "$out"
v operator rekey -cancel
is 'cancel of nothing' 0 "$code"
done_step

step generate-root
v operator generate-root -init -format=json
nonce=$(field 'a["nonce"]') otp=$(field 'a["otp"]')
v operator generate-root -nonce="$nonce" -format=json "$only"
encoded=$(field 'a["encoded_token"]')
v operator generate-root -decode="$encoded" -otp="$otp"
new_root=$out
is length 28 "${#new_root}"
VAULT_TOKEN=$new_root v token lookup -format=json
is policies "['root']" "$(field 'a["data"]["policies"]')"
v operator generate-root -init
v operator generate-root -cancel
v operator generate-root -status -format=json
is canceled False "$(field 'a["started"]')"
done_step

step seal
v operator seal
has seal 'is sealed' "$out"
v status
is status 2 "$code"
v kv get one/a
is 'read when sealed' 2 "$code"
has 'read when sealed' 'Vault is sealed' "$err"
[ "$CLI_NAME" = vault ] || has 'what to do' 'rekey operator unseal' "$err"
v operator unseal "$only"
await_unsealed
v kv get -field=user one/a
is 'after unseal' app "$out"
done_step

step completion
complete() { # LINE: what bash offers at its end
  bash --norc -c '
    source <("$1" completion bash)
    read -ra COMP_WORDS <<<"$2"
    [[ $2 == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
    function=$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")
    "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "" 2>/dev/null
    echo "${COMPREPLY[@]}"' - "$CLI_NAME" "$1"
}
has 'first word' 'status' "$(complete "$CLI_NAME st")"
is 'second word' 'enable-versioning' "$(complete "$CLI_NAME kv en")"
has 'third word' 'patch' "$(complete "$CLI_NAME kv metadata ")"
is flag '-max-versions=' "$(complete "$CLI_NAME kv metadata put -max")"
"$CLI_NAME" completion fish >completion.fish
fish_says() {
  HOME=$PWD fish --no-config -c "source completion.fish; complete -C '$1'" | cut -f1 | tr '\n' ' '
}
has 'fish: first word' 'status ' "$(fish_says "$CLI_NAME st")"
is 'fish: second word' 'enable-versioning ' "$(fish_says "$CLI_NAME kv en")"
has 'fish: third word' 'patch ' "$(fish_says "$CLI_NAME kv metadata ")"
has 'fish: flag' '-max-versions ' "$(fish_says "$CLI_NAME kv metadata put -max")"
"$CLI_NAME" completion zsh >completion.zsh
zsh_completes() { # KEYS EXPECTED
  is "zsh: $1" '' "$(HOME=$PWD python3 "$CLIENT_FILES/type_at_zsh.py" completion.zsh "$1" "$2")"
}
zsh_completes "$CLI_NAME kv en\\t" enable-versioning
zsh_completes "$CLI_NAME kv metadata put -max\\t" '-max-versions='
done_step

step 'no server'
v read -address=https://127.0.0.1:1 x
is code 2 "$code"
has hint 'Is the server running' "$err"
VAULT_CACERT='' v status
is 'unknown CA' 1 "$code"
has 'unknown CA' _CACERT "$err"
VAULT_CACERT='' VAULT_SKIP_VERIFY=true v status
is 'no verification' 0 "$code"
v nonsense
is 'no such command' 127 "$code"
done_step

exit "$failed"
