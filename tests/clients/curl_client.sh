#!/usr/bin/env bash
# Plain curl through a server's whole life, as people's scripts and documentation do it.
# Reads VAULT_ADDR and VAULT_CACERT of a server that isn't initialised; prints `ok NAME` or
# `FAIL NAME: why`.
set -u

body=$(mktemp)
trap 'rm -f "$body"' EXIT
token=""
failed=0

# call METHOD PATH [JSON] [curl arguments]: the answer's status in $status, its body in $body.
call() {
  local method=$1 path=$2 data=${3:-}
  shift 2
  (($# > 0)) && shift
  local arguments=(--silent --show-error --cacert "$VAULT_CACERT" --request "$method"
    --output "$body" --write-out '%{http_code}' --header "X-Vault-Token: $token" "$@")
  [ -n "$data" ] && arguments+=(--data "$data")
  status=$(curl "${arguments[@]}" "$VAULT_ADDR/v1/$path")
}

# field PYTHON-EXPRESSION: from the last body, with `a` as the decoded answer.
field() {
  python3 -c 'import json, sys; a = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
    "$body" "$1" 2>&1
}

step() {
  name=$1
  good=1
}

# is WHAT EXPECTED GOT
is() {
  if [ "$2" != "$3" ]; then
    echo "FAIL $name: $1: expected '$2', got '$3': $(head -c 300 "$body")"
    good=0
    failed=1
  fi
}

done_step() {
  ((good)) && echo "ok $name"
}

step init
call GET sys/init
is initialised False "$(field 'a["initialized"]')"
call PUT sys/init '{"secret_shares": 3, "secret_threshold": 2}'
is status 200 "$status"
share1=$(field 'a["keys"][0]') share2=$(field 'a["keys_base64"][1]') share3=$(field 'a["keys"][2]')
root=$(field 'a["root_token"]')
done_step

step unseal
call GET sys/health
is 'health when sealed' 503 "$status"
call PUT sys/unseal "{\"key\": \"$share1\"}"
is progress 1 "$(field 'a["progress"]')"
call PUT sys/unseal "{\"key\": \"$share2\"}"
is sealed False "$(field 'a["sealed"]')"
for _ in $(seq 100); do
  call GET sys/health
  [ "$status" = 200 ] && break
  sleep 0.1
done
is health 200 "$status"
token=$root
done_step

step policies
call PUT sys/policies/acl/reader \
  '{"policy": "path \"one/*\" { capabilities = [\"read\", \"list\"] }"}'
is write 204 "$status"
call LIST sys/policies/acl
is list "['default', 'reader', 'root']" "$(field 'a["data"]["keys"]')"
call DELETE sys/policies/acl/none
is delete 204 "$status"
done_step

step tokens
call POST auth/token/create '{"policies": ["reader"], "ttl": "1h"}'
child=$(field 'a["auth"]["client_token"]') accessor=$(field 'a["auth"]["accessor"]')
token=$child
call GET auth/token/lookup-self
is policies "['default', 'reader']" "$(field 'a["data"]["policies"]')"
call GET sys/mounts
is 'mounts for a reader' 403 "$status"
token=""
call GET auth/token/lookup-self '' --header "Authorization: Bearer $child"
is bearer 200 "$status"
token=$root
done_step

step 'kv version 1'
call POST sys/mounts/one '{"type": "kv", "options": {"version": "1"}}'
is mount 204 "$status"
call POST one/a '{"k": "v"}'
is write 204 "$status"
call POST one/form '' --data-urlencode 'k=a b&c'
is 'write of a form' 204 "$status"
call GET one/form
is 'form read' 'a b&c' "$(field 'a["data"]["k"]')"
token=$child
call GET one/a
is read v "$(field 'a["data"]["k"]')"
call POST one/a '{"k": "w"}'
is 'write by a reader' 403 "$status"
call GET 'one/?list=true'
is list "['a', 'form']" "$(field 'a["data"]["keys"]')"
token=$root
call DELETE one/a
is delete 204 "$status"
call GET one/a
is 'read of nothing' "404 {'errors': []}" "$status $(field a)"
done_step

step 'kv version 2'
call POST sys/mounts/two '{"type": "kv", "options": {"version": "2"}}'
is mount 204 "$status"
for _ in $(seq 100); do # other servers prepare the mount in the background
  call GET two/config
  [ "$status" = 200 ] && break
  sleep 0.1
done
call POST two/data/s '{"data": {"k": "v"}, "options": {"cas": 0}}'
is version 1 "$(field 'a["data"]["version"]')"
call POST two/data/s '{"data": {"k": "w"}, "options": {"cas": 0}}'
is cas 400 "$status"
call PATCH two/data/s '{"data": {"l": "x"}}' --header 'Content-Type: application/merge-patch+json'
is patch 200 "$status"
call GET two/data/s
is read "{'k': 'v', 'l': 'x'}" "$(field 'a["data"]["data"]')"
call DELETE two/data/s
is delete 204 "$status"
call GET two/data/s
is 'read of the deleted' 404 "$status"
is 'data of the deleted' None "$(field 'a["data"]["data"]')"
is 'version of the deleted' 2 "$(field 'a["data"]["metadata"]["version"]')"
call LIST two/metadata
is list "['s']" "$(field 'a["data"]["keys"]')"
done_step

step wrapping
call POST one/a '{"k": "v"}'
call GET one/a '' --header 'X-Vault-Wrap-TTL: 60'
wrapping=$(field 'a["wrap_info"]["token"]')
call POST sys/wrapping/lookup "{\"token\": \"$wrapping\"}"
is lookup one/a "$(field 'a["data"]["creation_path"]')"
token=$wrapping
call POST sys/wrapping/unwrap
is unwrap v "$(field 'a["data"]["k"]')"
call POST sys/wrapping/unwrap
is 'unwrap again' 400 "$status"
token=$root
done_step

step revoke
call POST auth/token/revoke-accessor "{\"accessor\": \"$accessor\"}"
is revoke 204 "$status"
token=$child
call GET auth/token/lookup-self
is lookup 403 "$status"
token=$root
done_step

step rekey
call PUT sys/rekey/init '{"secret_shares": 1, "secret_threshold": 1}'
nonce=$(field 'a["nonce"]')
call PUT sys/rekey/update "{\"key\": \"$share1\", \"nonce\": \"$nonce\"}"
is progress 1 "$(field 'a["progress"]')"
call PUT sys/rekey/update "{\"key\": \"$share3\", \"nonce\": \"$nonce\"}"
is complete True "$(field 'a["complete"]')"
share=$(field 'a["keys"][0]')
done_step

step seal
call PUT sys/seal
is seal 204 "$status"
call GET one/a
is 'read when sealed' "503 {'errors': ['Vault is sealed']}" "$status $(field a)"
call PUT sys/unseal "{\"key\": \"$share\"}"
is sealed False "$(field 'a["sealed"]')"
for _ in $(seq 100); do
  call GET one/a
  [ "$status" = 200 ] && break
  sleep 0.1
done
is read v "$(field 'a["data"]["k"]')"
done_step

step 'generate-root'
token=""
call PUT sys/generate-root/attempt
nonce=$(field 'a["nonce"]') otp=$(field 'a["otp"]')
call PUT sys/generate-root/update "{\"key\": \"$share\", \"nonce\": \"$nonce\"}"
encoded=$(field 'a["encoded_root_token"]')
token=$(
  python3 - "$encoded" "$otp" <<'DECODE'
import base64, sys
raw = base64.b64decode(sys.argv[1] + "=" * (-len(sys.argv[1]) % 4))
print(bytes(a ^ b for a, b in zip(raw, sys.argv[2].encode())).decode())
DECODE
)
call GET auth/token/lookup-self
is policies "['root']" "$(field 'a["data"]["policies"]')"
done_step

exit "$failed"
