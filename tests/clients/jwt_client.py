#!/usr/bin/env python3
"""A verifier that knows nothing of Rekey: Debian's python3-jwt, with the keys that are shown.
Reads VAULT_ADDR and VAULT_CACERT of a server that isn't initialised, and REKEY_PROGRAM; prints
`ok NAME` or `FAIL NAME: why`."""
import json
import os
import ssl
import subprocess
import sys
import urllib.request

import jwt

REKEY = os.environ["REKEY_PROGRAM"]
ADDRESS = os.environ["VAULT_ADDR"]
TLS = ssl.create_default_context(cafile=os.environ["VAULT_CACERT"])
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
SLY = 'red", "admin": true, "x": "\\'
FAILED = []


def check(name, good, why=""):
    print(f"ok {name}" if good else f"FAIL {name}: {why}", flush=True)
    if not good:
        FAILED.append(name)


def rekey(*words, sent=None):
    done = subprocess.run(
        [REKEY, *words, "-format=json"],
        input=sent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr}")
    return json.loads(done.stdout) if done.stdout.startswith("{") else {}


def fetch(path):
    with urllib.request.urlopen(ADDRESS + path, context=TLS, timeout=30) as answer:
        return json.load(answer)


def set_up():
    made = rekey("operator", "init", "-key-shares=1", "-key-threshold=1")
    rekey("operator", "unseal", made["unseal_keys_b64"][0])
    os.environ["VAULT_TOKEN"] = made["root_token"]
    subprocess.run([REKEY, "auth", "enable", "userpass"], check=True, capture_output=True)
    policy = 'path "identity/oidc/token/*" { capabilities = ["read"] }'
    rekey("write", "sys/policies/acl/token", f"policy={policy}")
    rekey("write", "auth/userpass/users/alice", "password=pw", "token_policies=token")
    auth = rekey("write", "auth/userpass/login/alice", "password=pw")["auth"]
    entity = json.dumps({"name": "alice", "metadata": {"team": SLY}})
    rekey("write", f"identity/entity/id/{auth['entity_id']}", "-", sent=entity)
    return auth


def keys_by_id(configuration):
    path = configuration["jwks_uri"].removeprefix(ADDRESS)
    shown = jwt.PyJWKSet.from_dict(fetch(path))
    return {key.key_id: key.key for key in shown.keys}


def verify(token, keys, algorithm, configuration, audience="shop"):
    return jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=[algorithm],
        audience=audience,
        issuer=configuration["issuer"],
        options={"require": ["exp", "iat", "iss", "aud", "sub"]},
    )


def try_algorithm(algorithm, auth, configuration):
    rekey("write", f"identity/oidc/key/{algorithm}", f"algorithm={algorithm}",
          "allowed_client_ids=shop")
    template = '{"name": {{identity.entity.name}}, "team": {{identity.entity.metadata.team}}}'
    rekey("write", f"identity/oidc/role/{algorithm}", f"key={algorithm}", "client_id=shop",
          f"template={template}", "ttl=1h")
    root, os.environ["VAULT_TOKEN"] = os.environ["VAULT_TOKEN"], auth["client_token"]
    token = rekey("read", f"identity/oidc/token/{algorithm}")["data"]["token"]
    os.environ["VAULT_TOKEN"] = root
    claims = verify(token, keys_by_id(configuration), algorithm, configuration)
    check(f"{algorithm} is verified", claims["sub"] == auth["entity_id"], claims)
    check(f"{algorithm} says what the template says",
          claims["name"] == "alice" and claims["team"] == SLY and "admin" not in claims, claims)
    # After a rotation it still is, by the key that isn't used any more.
    rekey("write", "-force", f"identity/oidc/key/{algorithm}/rotate")
    verify(token, keys_by_id(configuration), algorithm, configuration)
    rekey("write", f"identity/oidc/key/{algorithm}/rotate", "verification_ttl=0s")
    check(f"{algorithm} rotates", jwt.get_unverified_header(token)["kid"]
          in keys_by_id(configuration), "the first key is gone too early")
    for what, change in {
        "another audience": {"audience": "other"},
        "another issuer": {"configuration": {**configuration, "issuer": "https://x"}},
    }.items():
        try:
            verify(token, **{"keys": keys_by_id(configuration), "algorithm": algorithm,
                             "configuration": configuration, **change})
            check(f"{algorithm}, {what}", False, "was taken")
        except jwt.InvalidTokenError:
            pass


def main():
    auth = set_up()
    configuration = fetch("/v1/identity/oidc/.well-known/openid-configuration")
    check("the algorithms are told",
          sorted(configuration["id_token_signing_alg_values_supported"]) == sorted(ALGORITHMS),
          configuration)
    for algorithm in ALGORITHMS:
        try_algorithm(algorithm, auth, configuration)
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
