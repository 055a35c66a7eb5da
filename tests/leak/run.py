#!/usr/bin/env python3
"""Canary secrets go through a real server in every way there is; then they are looked for in all
that it leaves behind: its log, the data folder with the record and its index, a backup, errors,
metrics, cores, and, when it is sealed, its memory.

usage: run.py --server build/release/rekey [--keep]

The memory part needs the right to read another process's memory (root); without it, that the right
is missing is what is checked."""
import argparse
import base64
import glob
import json
import os
import resource
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../api"]

import memory  # noqa: E402
import server  # noqa: E402

LETTERS = "canaryCANARY"
SEALED_SECONDS_MAX = 5
BACKUP_SECONDS_MAX = 20


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Canaries:
    """Secrets that occur nowhere by chance, each under a name that says how it got in."""

    def __init__(self):
        self.needles = {}

    def new(self, name):
        text = f"{LETTERS}-{os.urandom(12).hex()}"
        self.add(name, text)
        return text

    def add(self, name, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.needles[name] = data
        self.needles[f"{name}, in base64"] = base64.b64encode(data).rstrip(b"=")[:-1]
        self.needles[f"{name}, in hex"] = data.hex().encode()


def use(under_test, canaries):
    """Everything that takes or gives a secret; what comes back that should not is a failure."""
    root = under_test.root
    canaries.add("root token", root)
    for number, key in enumerate(under_test.keys):
        canaries.add(f"share {number}", bytes.fromhex(key))
    call, must = under_test.call, under_test.must
    for path, version in (("secret", "2"), ("plain", "1")):
        options = {"type": "kv", "options": {"version": version}}
        must("POST", f"/v1/sys/mounts/{path}", options, root)
    for number in range(30):
        value = canaries.new(f"KV v2 value {number}")
        data = {"data": {"v": value, "deep": {"v": [value]}}}
        must("POST", f"/v1/secret/data/{number}", data, root)
        must("GET", f"/v1/secret/data/{number}", token=root)
        must("POST", f"/v1/plain/{number}", {"v": canaries.new(f"KV v1 value {number}")}, root)
        must("GET", f"/v1/plain/{number}", token=root)
    big = canaries.new("a large value")
    must("POST", "/v1/secret/data/big", {"data": {"v": big * 5000}}, root)
    must("GET", "/v1/secret/data/big", token=root)
    wanted = {"policies": ["default"], "meta": {"a": "b"}}
    made = must("POST", "/v1/auth/token/create", wanted, root)
    token = made["auth"]["client_token"]
    canaries.add("token", token)
    must("POST", "/v1/cubbyhole/a", {"v": canaries.new("cubbyhole value")}, token)
    must("POST", "/v1/auth/token/lookup", {"token": token}, root)
    must("GET", "/v1/auth/token/lookup-self", token=token)
    batch = must("POST", "/v1/auth/token/create", {"type": "batch", "policies": ["default"]}, root)
    canaries.add("batch token", batch["auth"]["client_token"])
    call("GET", "/v1/auth/token/lookup-self", token=batch["auth"]["client_token"])
    wrap(under_test, canaries)
    provoke_errors(under_test, canaries, token)


def wrap(under_test, canaries):
    headers = {"X-Vault-Token": under_test.root, "X-Vault-Wrap-TTL": "5m"}
    _, _, raw = under_test.request("GET", "/v1/secret/data/0", headers=headers)
    wrapped = raw.decode().split('"token":"')[1].split('"')[0]
    canaries.add("wrapping token", wrapped)
    body = {"v": canaries.new("wrapped value")}
    under_test.request("POST", "/v1/sys/wrapping/wrap", json.dumps(body).encode(), headers)
    under_test.must("POST", "/v1/sys/wrapping/unwrap", token=wrapped)
    under_test.call("POST", "/v1/sys/wrapping/unwrap", token=wrapped)


def provoke_errors(under_test, canaries, token):
    """Secrets in requests that are refused, in every place where somebody may put one."""
    new = canaries.new
    root = {"X-Vault-Token": under_test.root}
    wrong = [
        ("POST", "/v1/secret/data/x", b'{"data":{"v":"%s"' % new("cut JSON").encode(), root),
        ("POST", "/v1/secret/data/x", b"%s" % new("no JSON").encode(), root),
        ("POST", "/v1/secret/data/x", b'{"data":"%s"}' % new("wrong type").encode(), root),
        ("POST", "/v1/secret/data/x",
         b'{"data":{"v":"%s"},"options":{"cas":99}}' % new("failed check-and-set").encode(), root),
        ("POST", "/v1/auth/token/create", b'{"ttl":"%s"}' % new("a bad duration").encode(), root),
        ("POST", "/v1/auth/token/create", b'{"num_uses":"%s"}' % new("bad number").encode(), root),
        ("POST", "/v1/auth/token/lookup", b'{"token":"%s"}' % new("no token").encode(), root),
        ("POST", "/v1/auth/token/revoke", b'{"token":"%s"}' % new("another one").encode(), root),
        ("POST", "/v1/sys/unseal", b'{"key":"%s"}' % new("a wrong share").encode(), {}),
        ("POST", "/v1/secret/data/x", b'{"data":{"v":"%s"}}' % new("a refused write").encode(),
         {"X-Vault-Token": token}),
        ("GET", "/v1/secret/data/0", b"", {"X-Vault-Token": new("a bad token")}),
        ("GET", "/v1/secret/data/0", b"", {"X-Vault-Token": "hvb." + new("a bad batch token")}),
        ("GET", "/v1/secret/data/0", b"", {"Authorization": "Bearer " + new("a bearer token")}),
        ("GET", "/v1/secret/data/0", b"", {"Authorization": "Basic " + new("a password")}),
        ("GET", "/v1/secret/data/0", b"", {**root, "Cookie": new("a cookie")}),
        ("GET", "/v1/secret/data/0", b"", {**root, "X-Vault-Wrap-TTL": new("a wrap TTL")}),
        ("POST", "/v1/auth/userpass/login/joe",
         b'{"password":"%s"}' % new("a login's password").encode(), {}),
        ("PATCH", "/v1/secret/data/0", b'{"data":{"v":"%s"}}' % new("wrong media").encode(), root),
        ("POST", "/v1/nowhere/at/all", b'{"v":"%s"}' % new("no such path").encode(), root),
    ]
    for method, path, body, headers in wrong:
        _, _, answer = under_test.request(method, path, body, headers)
        sent = body + "".join(headers.values()).encode()
        mine = [name for name, needle in canaries.needles.items() if needle in sent]
        for name in mine:
            if not name.startswith("root token"):
                expect(canaries.needles[name] not in answer, f"{name} comes back: {answer!r}")


def in_files(folder, needles):
    hits = []
    for path in glob.glob(f"{folder}/**", recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as f:
                data = f.read()
            hits += [f"{name} in {path}" for name, needle in needles.items() if needle in data]
    return hits


def check_outputs(under_test, needles):
    """What anybody may see while it runs."""
    for path in ("sys/health", "sys/seal-status", "sys/metrics?format=prometheus", "sys/metrics",
                 "sys/internal/specs/openapi", "sys/mounts", "sys/audit"):
        _, _, raw = under_test.request("GET", f"/v1/{path}",
                                       headers={"X-Vault-Token": under_test.root})
        seen = [name for name, needle in needles.items() if needle in raw]
        expect(not seen, f"{path} shows {seen}")


def check_backup(under_test, needles):
    """What an operator carries away; it lies in the server's folder for check_files, too."""
    root = under_test.root
    made = under_test.must("POST", "/v1/sys/storage/backup", token=root)["data"]
    path = f"/v1/sys/storage/backup/{made['id']}"
    end = time.time() + BACKUP_SECONDS_MAX
    while under_test.must("GET", path, token=root)["data"]["state"] == "running":
        expect(time.time() < end, "a backup goes on and on")
        time.sleep(0.05)
    _, _, raw = under_test.request("GET", f"{path}/data", headers={"X-Vault-Token": root})
    expect(len(raw) > 100_000, f"a backup of {len(raw)} bytes")
    seen = [name for name, needle in needles.items() if needle in raw]
    expect(not seen, f"the backup shows {seen}")


def check_index(under_test):
    """That there is one to be searched by check_files, and that it finds these requests."""
    found = under_test.must(
        "GET", "/v1/sys/audit-log/query?path=secret/data/0", token=under_test.root)
    expect(found["data"], f"the record's index is empty: {found}")
    # What is in memory of it is written when the server ends.
    under_test.stop()
    runs = glob.glob(f"{under_test.folder}/data/audit/log/index/*")
    expect(runs, "the record has no index on disk")
    under_test.start()
    under_test.unseal()


def check_files(under_test, needles):
    hits = in_files(under_test.folder, needles)
    expect(not hits, f"on disk: {hits[:20]}")


def check_sealed_memory(under_test, needles):
    pid = under_test.process.pid
    expect(os.stat(f"/proc/{pid}/mem").st_uid == 0, "other processes of its user may look into it")
    if os.geteuid() != 0:
        try:
            memory.find(pid, needles)
        except PermissionError:
            print("memory: may not be read, as it should be; searched only by root")
            return
        raise Failed("the memory of the server can be read without root")
    before = memory.find(pid, needles)
    expect(any(name == "share 0" or "token" in name or "value" in name for name, *_ in before)
           or before == [], "the search itself is broken")
    under_test.seal()
    # The threads that held a request let go of it within moments.
    end = time.time() + SEALED_SECONDS_MAX
    while (hits := memory.find(pid, needles)) and time.time() < end:
        time.sleep(0.2)
    for name, address, region, around in hits[:20]:
        print(f"  {name} at {address} {region}: {around!r}")
    expect(not hits, f"sealed, and {len(hits)} canaries are in memory: "
                     f"{sorted({name for name, *_ in hits})}")


def check_no_core(under_test):
    """Neither by its own limits nor, because it isn't dumpable, when somebody lifts them."""
    pid = under_test.process.pid
    with open(f"/proc/{pid}/limits", encoding="utf-8") as f:
        cores = [line for line in f if line.startswith("Max core file size")]
    expect(cores and cores[0].split()[4:6] == ["0", "0"], f"core files are allowed: {cores}")
    if os.geteuid() == 0:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        try:
            resource.prlimit(pid, resource.RLIMIT_CORE, unlimited)
        except PermissionError:  # root in a sandbox, without CAP_SYS_RESOURCE
            print("cores: the limit can't be lifted here; shown by the limit alone")
    under_test.process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(pid, 0)
    under_test.process.returncode = -os.WTERMSIG(status)
    expect(os.WTERMSIG(status) == signal.SIGABRT, f"it ended by itself: {status}")
    expect(not os.WCOREDUMP(status), "the kernel wrote a core")
    cores = [path for path in os.listdir(under_test.folder) if "core" in path]
    expect(not cores, f"it left {cores}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    under_test = server.Server(
        "rekey", os.path.abspath(arguments.server), {"server": ["empty"]}, tls=True
    )
    try:
        under_test.start()
        under_test.initialise(3, 2)
        under_test.unseal()
        canaries = Canaries()
        use(under_test, canaries)
        check_outputs(under_test, canaries.needles)
        check_backup(under_test, canaries.needles)
        check_index(under_test)
        check_files(under_test, canaries.needles)
        check_sealed_memory(under_test, canaries.needles)
        check_no_core(under_test)
        check_files(under_test, canaries.needles)
        print(f"{len(canaries.needles)} forms of canaries, none of them left behind")
        return 0
    except (Failed, OSError, server.ServerError) as e:
        print(f"failed: {e}\n{under_test.log_tail(1000)}")
        return 1
    finally:
        under_test.close(keep=arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
