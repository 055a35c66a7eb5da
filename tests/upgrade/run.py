#!/usr/bin/env python3
"""Data folders that earlier builds left, kept in tests/upgrade/<name>/: this build serves what is
in them, goes on writing, and its record still proves what was recorded then.

usage: run.py --server build/release/rekey [NAME...]
       run.py --server build/release/rekey --make NAME     # a new sample, of this build

A release adds a sample and removes none. Where one can't be served any more, a migration is missing
(docs/formats/lmdb.md, Versions)."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../api")

import server  # noqa: E402

SAMPLE_BYTES_MAX = 600_000

# What is put in, in this order.
WRITES = [
    ("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}),
    ("sys/mounts/plain", {"type": "kv"}),
    ("secret/data/app/db", {"data": {"user": "app", "password": "first"}}),
    ("secret/data/app/db", {"data": {"user": "app", "password": "second"}}),
    ("secret/metadata/app/db", {"custom_metadata": {"owner": "billing"}, "max_versions": 5}),
    ("secret/data/long", {"data": {"v": "0123456789" * 1000}}),
    ("plain/a/b", {"k": "three"}),
    ("cubbyhole/mine", {"k": "four"}),
    ("sys/policies/acl/reader", {"policy": 'path "secret/*" { capabilities = ["read"] }'}),
    ("sys/policies/password/pins", {"policy": 'length = 12\nrule "charset" { charset = "01234" }'}),
    ("sys/quotas/rate-limit/most", {"rate": 100000}),
    ("sys/config/cors", {"allowed_origins": "https://console.example"}),
    ("sys/config/auditing/request-headers/X-Trace", {"hmac": True}),
    ("sys/audit/lines", {"type": "file", "options": {"file_path": "discard"}}),
    ("sys/mounts/transit", {"type": "transit"}),
    ("transit/keys/main", {}),
    ("sys/auth/userpass", {"type": "userpass"}),
    ("auth/userpass/users/joe", {"password": "joes-password", "token_policies": ["reader"]}),
    ("sys/auth/approle", {"type": "approle"}),
    ("auth/approle/role/batch", {"token_policies": ["reader"], "secret_id_ttl": 0}),
    ("auth/approle/role/batch/role-id", {"role_id": "the-role-id"}),
    ("auth/approle/role/batch/custom-secret-id", {"secret_id": "the-secret-id"}),
    ("identity/entity", {"name": "robot", "policies": ["reader"], "metadata": {"team": "x"}}),
    ("identity/group", {"name": "robots", "policies": ["reader"]}),
    ("auth/token/roles/limited", {"allowed_policies": ["reader"]}),
]
# What must be there afterwards: what these answer is kept beside the sample.
READS = [
    "secret/data/app/db", "secret/data/app/db?version=1", "secret/metadata/app/db",
    "secret/data/long", "plain/a/b", "cubbyhole/mine", "sys/policies/acl/reader",
    "sys/policies/password/pins", "sys/quotas/rate-limit/most", "sys/config/cors",
    "sys/config/auditing/request-headers", "sys/audit", "sys/mounts", "sys/auth",
    "transit/keys/main", "auth/userpass/users/joe", "auth/approle/role/batch",
    "auth/approle/role/batch/role-id", "identity/entity/name/robot",
    "identity/group/name/robots", "auth/token/roles/limited",
]
TEXT = "aGVsbG8="  # base64, to be encrypted


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


def read_all(under_test):
    return {path: under_test.must("GET", f"/v1/{path}", token=under_test.root)["data"]
            for path in READS}


def make(binary, name):
    under_test = server.Server("rekey", binary)
    folder = f"{HERE}/{name}"
    os.makedirs(folder)
    try:
        under_test.start()
        under_test.initialise(3, 2)
        under_test.unseal()
        for path, body in WRITES:
            under_test.must("POST", f"/v1/{path}", body, under_test.root)
        encrypted = under_test.must(
            "POST", "/v1/transit/encrypt/main", {"plaintext": TEXT}, under_test.root)
        under_test.must("POST", "/v1/sys/rotate", {}, under_test.root)
        expected = {
            "keys": under_test.keys,
            "root": under_test.root,
            "ciphertext": encrypted["data"]["ciphertext"],
            "answers": read_all(under_test),
        }
        under_test.stop()
        log = f"{under_test.folder}/data/audit/log"
        expected["verifier"] = run(binary, "audit", "key", f"-log={log}")
        with open(f"{log}/log/checkpoint", encoding="utf-8") as f:
            expected["checkpoint"] = f.read()
        with open(f"{folder}/expected.json", "w", encoding="utf-8") as f:
            json.dump(expected, f, indent=1, sort_keys=True)
            f.write("\n")
        with tarfile.open(f"{folder}/data.tar.xz", "w:xz", preset=9) as tar:
            tar.add(f"{under_test.folder}/data", "data", filter=without_locks)
        size = os.path.getsize(f"{folder}/data.tar.xz")
        expect(size <= SAMPLE_BYTES_MAX, f"{size} bytes are too much for the repository")
        print(f"{folder}: {size} bytes")
    finally:
        under_test.close()


def without_locks(member):
    return None if member.name.endswith("lock.mdb") else member


def run(binary, *arguments):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def unpack(under_test, name):
    with tarfile.open(f"{HERE}/{name}/data.tar.xz") as tar:
        tar.extractall(under_test.folder)  # ours; and Debian 12's Python knows no filter yet
    os.chmod(f"{under_test.folder}/data", 0o700)
    with open(f"{HERE}/{name}/expected.json", encoding="utf-8") as f:
        return json.load(f)


def check_use(under_test, expected):
    """Everything that was kept, and keys and passwords that still open what they opened."""
    answers = read_all(under_test)
    for path, answer in expected["answers"].items():
        expect(same(answers[path], answer), f"{path}: {answers[path]}, and was {answer}")
    decrypted = under_test.must("POST", "/v1/transit/decrypt/main",
                                {"ciphertext": expected["ciphertext"]}, under_test.root)
    expect(decrypted["data"]["plaintext"] == TEXT, f"decrypted: {decrypted}")
    for path, body in [
        ("auth/userpass/login/joe", {"password": "joes-password"}),
        ("auth/approle/login", {"role_id": "the-role-id", "secret_id": "the-secret-id"}),
    ]:
        token = under_test.must("POST", f"/v1/{path}", body)["auth"]["client_token"]
        under_test.must("GET", "/v1/secret/data/app/db", token=token)


def same(now, then):
    """Newer builds may say more, never something else."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(k in now and same(now[k], then[k]) for k in then)
    return now == then


def check_record(binary, under_test, expected, folder):
    """Against the key and the checkpoint that were kept elsewhere."""
    kept = f"{folder}/kept.checkpoint"
    with open(kept, "w", encoding="utf-8") as f:
        f.write(expected["checkpoint"])
    run(binary, "audit", "verify", f"-log={under_test.folder}/data/audit/log",
        f"-key={expected['verifier']}", f"-checkpoint={kept}")


def play(binary, name):
    under_test = server.Server("rekey", binary)
    try:
        expected = unpack(under_test, name)
        check_record(binary, under_test, expected, under_test.folder)
        under_test.root, under_test.keys = expected["root"], expected["keys"]
        under_test.start()
        under_test.unseal()
        check_use(under_test, expected)
        under_test.must("POST", "/v1/secret/data/new", {"data": {"v": "new"}}, under_test.root)
        found = under_test.must("GET", "/v1/sys/audit-log/query?path=secret/data/app/db",
                                token=under_test.root)
        expect(found["data"], "the record of then isn't found")
        under_test.restart()
        under_test.unseal()
        check_use(under_test, expected)
        under_test.must("GET", "/v1/secret/data/new", token=under_test.root)
        under_test.stop()
        check_record(binary, under_test, expected, under_test.folder)
    finally:
        under_test.close()


def newer_is_refused(binary, name):
    """A record of a newer format is left alone. (The store's: src/storage/lmdb_store_test.cc.)"""
    under_test = server.Server("rekey", binary)
    try:
        unpack(under_test, name)
        path = f"{under_test.folder}/data/audit/log/format"
        with open(path, encoding="utf-8") as f:
            text = f.read().replace("rekey-audit-log 1\n", "rekey-audit-log 2\n")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        try:
            under_test.start()
        except server.ServerError as e:
            expect("newer format" in str(e), f"refused without the reason: {e}")
            return
        raise Failed("a record of a newer format was opened")
    finally:
        under_test.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--make")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.server)
    if arguments.make:
        return make(binary, arguments.make)
    samples = [name for name in sorted(os.listdir(HERE))
               if os.path.exists(f"{HERE}/{name}/data.tar.xz")]
    expect(samples, "there are no samples")
    failures = 0
    for name in samples:
        if arguments.names and name not in arguments.names:
            continue
        try:
            play(binary, name)
            newer_is_refused(binary, name)
            print(f"{name}: served", flush=True)
        except (Failed, server.ServerError) as e:
            failures += 1
            print(f"{name}: failed: {e}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
