#!/usr/bin/python3
"""Writes openbao.txt: keys that an OpenBao server made, as its backups, and what it did with them.

    bao server -dev -dev-root-token-id=root -dev-listen-address=127.0.0.1:8555
    make_openbao_vectors.py http://127.0.0.1:8555
"""
import base64
import json
import os
import sys
import urllib.request

ADDRESS = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = base64.b64encode("Größe and 中文, made by OpenBao".encode()).decode()
CONTEXT = base64.b64encode(b"a context").decode()
ASSOCIATED = base64.b64encode(b"associated").decode()


def call(method, path, body=None):
    request = urllib.request.Request(
        f"{ADDRESS}/v1/{path}", method=method, headers={"X-Vault-Token": "root"},
        data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
        return json.loads(text)["data"] if text else {}


def make(name, **settings):
    call("POST", f"vectors/keys/{name}",
         {"exportable": True, "allow_plaintext_backup": True, **settings})


def backup(name):
    return call("GET", f"vectors/backup/{name}")["backup"]


def encrypted(name, context="", associated=""):
    body = {"plaintext": TEXT}
    if context:
        body["context"] = context
    if associated:
        body["associated_data"] = associated
    text = call("POST", f"vectors/encrypt/{name}", body)["ciphertext"]
    return ["encrypt", name, backup(name), context, TEXT, text, associated]


def signed(name, label, context="", **options):
    body = {"input": TEXT, **options}
    if context:
        body["context"] = context
    text = call("POST", f"vectors/sign/{name}", body)["signature"]
    return ["sign", name, backup(name), context, TEXT, text, label]


call("POST", "sys/mounts/vectors", {"type": "transit"})
rows = []
for type_ in ("aes128-gcm96", "aes256-gcm96", "chacha20-poly1305"):
    make(type_, type=type_)
    rows.append(encrypted(type_))
    rows.append(encrypted(type_, associated=ASSOCIATED))
    make("derived-" + type_, type=type_, derived=True)
    rows.append(encrypted("derived-" + type_, CONTEXT))
    make("convergent-" + type_, type=type_, derived=True, convergent_encryption=True)
    rows.append(encrypted("convergent-" + type_, CONTEXT))
    mac = call("POST", f"vectors/hmac/{type_}/sha2-512", {"input": TEXT})["hmac"]
    rows.append(["hmac", type_, backup(type_), "", TEXT, mac, "sha2-512"])
for type_ in ("rsa-2048", "rsa-3072"):
    make(type_, type=type_)
    rows.append(encrypted(type_))
    rows.append(signed(type_, "sha2-256:pss:auto"))
    rows.append(signed(type_, "sha2-512:pss:hash", hash_algorithm="sha2-512", salt_length="hash"))
    rows.append(signed(type_, "sha3-256:pkcs1v15:auto", hash_algorithm="sha3-256",
                       signature_algorithm="pkcs1v15"))
for type_ in ("ecdsa-p256", "ecdsa-p384", "ecdsa-p521"):
    make(type_, type=type_)
    rows.append(signed(type_, "sha2-256::auto"))
    rows.append(signed(type_, "sha2-512::auto:jws", hash_algorithm="sha2-512",
                       marshaling_algorithm="jws"))
make("ed25519", type="ed25519")
rows.append(signed("ed25519", "sha2-256::auto"))
make("derived-ed25519", type="ed25519", derived=True)
rows.append(signed("derived-ed25519", "sha2-256::auto", CONTEXT))
make("hmac", type="hmac", key_size=48)
mac = call("POST", "vectors/hmac/hmac", {"input": TEXT})["hmac"]
rows.append(["hmac", "hmac", backup("hmac"), "", TEXT, mac, "sha2-256"])
# A key with an archive: three versions, the first of which no longer decrypts.
make("old", type="aes256-gcm96")
first = call("POST", "vectors/encrypt/old", {"plaintext": TEXT})["ciphertext"]
call("POST", "vectors/keys/old/rotate")
second = call("POST", "vectors/encrypt/old", {"plaintext": TEXT})["ciphertext"]
call("POST", "vectors/keys/old/rotate")
call("POST", "vectors/keys/old/config", {"min_decryption_version": 2})
rows.append(["too-old", "old", backup("old"), "", TEXT, first, ""])
rows.append(["encrypt", "old", backup("old"), "", TEXT, second, ""])
with open(os.path.join(HERE, "openbao.txt"), "w", encoding="utf-8") as out:
    out.write("# Made by OpenBao 2.7.2 with make_openbao_vectors.py: what, key, its backup, context, "
              "input,\n# ciphertext, signature or HMAC, and associated data, form or hash. Base64.\n")
    for row in rows:
        out.write(" ".join(field or "-" for field in row) + "\n")
print(len(rows))
