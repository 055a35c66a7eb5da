#!/usr/bin/env python3
"""Takes the disk away from a running server and gives it back.

usage: disk.py --server build/release/rekey [full] [refused] [read_only]

  full       a file system without a free block (a small tmpfs; left out where none can be mounted)
  refused    every write over a file's first block fails (RLIMIT_FSIZE)
  read_only  a data folder that can't be written to, at the start

While nothing can be written: writes are refused with a reason, health and seal-status answer, no
read is answered that the record doesn't hold; when the disk is back the server goes on by itself;
what was acknowledged is there, also after a restart, and the record holds every answer once."""
import argparse
import collections
import contextlib
import os
import resource
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../api"]

import record  # noqa: E402
import server  # noqa: E402

TMPFS_MIB = 64
BLOCK_BYTES = 4096
RECOVERY_SECONDS_MAX = 20
ALWAYS_ANSWERED = ["/v1/sys/health", "/v1/sys/seal-status"]


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Client:
    """Writes numbered rows and remembers what was answered, by user agent."""

    def __init__(self, under_test):
        self.server, self.count = under_test, 0
        self.answered, self.values = {}, {}

    def ask(self, method, path, body=b""):
        self.count += 1
        agent = f"disk-{self.count}"
        headers = {"X-Vault-Token": self.server.root, "User-Agent": agent}
        status, _, raw = self.server.request(method, path, body, headers)
        # What only says how the server is may be answered without a record.
        if status < 500 and path not in ALWAYS_ANSWERED:
            self.answered[agent] = status
        return status, raw.decode()

    def write(self, size=20):
        path, value = f"/v1/secret/data/{self.count % 500}", f"{self.count:0{size}d}"
        status, text = self.ask("POST", path, b'{"data":{"v":"%s"}}' % value.encode())
        if status == 200:
            self.values[path] = {value}
        elif status >= 500:
            self.values.setdefault(path, {None}).add(value)  # may have happened
        return status, text

    def read(self, path):
        status, text = self.ask("GET", path)
        if status == 200:
            expect(
                any(f'"v":"{v}"' in text for v in self.values[path] if v), f"{path} reads {text}"
            )
        return status, text

    def check_all(self):
        for path, may_be in self.values.items():
            status, text = self.read(path)
            expect(status == 200 or (status == 404 and None in may_be), f"{path}: {status} {text}")


def prepare(under_test):
    under_test.start()
    under_test.initialise()
    under_test.unseal()
    options = {"type": "kv", "options": {"version": "2"}}
    under_test.must("POST", "/v1/sys/mounts/secret", options, under_test.root)
    client = Client(under_test)
    for _ in range(20):
        expect(client.write()[0] == 200, "a write before the fault")
    return client


def write_until_refused(client, size):
    for _ in range(3000):
        status, text = client.write(size)
        if status != 200:
            expect(status == 503 or status == 507, f"a write without disk: {status} {text}")
            expect('"errors":["' in text, f"no reason given: {text}")
            return text
    raise Failed("writes went on though nothing could be written")


def use_without_disk(client):
    """Nobody hangs, nothing dies; reads may go on as long as the record can be kept."""
    for _ in range(10):
        for path in ALWAYS_ANSWERED:
            status, text = client.ask("GET", path)
            expect(status == 200, f"{path} without disk: {status} {text}")
        status, text = client.read(next(iter(client.values)))
        expect(status == 200 or '"errors":["' in text, f"a read without disk: {status} {text}")
        expect(client.write(2000)[0] in (200, 503, 507), "a write without disk")
    expect(client.server.alive(), "the server died")


def wait_for_writes(client):
    end = time.time() + RECOVERY_SECONDS_MAX
    while client.write()[0] != 200:
        expect(time.time() < end, f"no recovery: {client.write()}; {client.server.log_tail()}")
        time.sleep(0.1)


def check_after(client):
    """Recovered: all is there, now and after a restart, and all that was answered is recorded."""
    client.check_all()
    client.server.restart()
    client.server.unseal()
    client.check_all()
    client.server.stop()
    found = collections.Counter(
        (entry.get("remote", {}).get("user_agent", ""), entry["status"])
        for entry in record.read(f"{client.server.folder}/data/audit/log")
    )
    for agent, status in client.answered.items():
        expect(found[agent, status] == 1, f"{agent}, {status}: {found[agent, status]} entries")


def full(under_test):
    data = f"{under_test.folder}/data"
    os.makedirs(data)
    with small_file_system(data):
        client = prepare(under_test)
        ballast = f"{data}/ballast"
        fill(ballast)
        reason = write_until_refused(client, 20_000)
        use_without_disk(client)
        said = "the disk is full" in under_test.log_tail(20000)
        expect(said, f"the log doesn't say why: {reason}")
        os.remove(ballast)
        wait_for_writes(client)
        fill(ballast)
        write_until_refused(client, 20_000)
        under_test.process.kill()  # and starts again while it is still full
        under_test.process.wait()
        start_on_full_disk(under_test)
        os.remove(ballast)
        if not under_test.alive():
            under_test.start()
        under_test.unseal()
        wait_for_writes(client)
        check_after(client)


def start_on_full_disk(under_test):
    """It may serve or refuse to start; if it refuses it says why."""
    try:
        under_test.start()
    except server.ServerError as e:
        expect("space" in str(e), f"a start on a full disk: {e}")


@contextlib.contextmanager
def small_file_system(folder):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MIB}m,mode=700", "none", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        raise Skipped(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def fill(path):
    """Takes every block that is left."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (1 << 20, BLOCK_BYTES):
        with contextlib.suppress(OSError):
            while True:
                os.write(file, b"x" * size)
    os.close(file)


def refused(under_test):
    client = prepare(under_test)
    pid, unlimited = under_test.process.pid, resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (BLOCK_BYTES, unlimited))
    reason = write_until_refused(client, 2000)
    end = time.time() + 1
    while time.time() < end:
        use_without_disk(client)
    # With the record gone too nothing is served, and it says so.
    status, text = client.read(next(iter(client.values)))
    expect(status == 503 and "audit record" in text, f"a read without record: {status} {text}")
    status, text = client.ask("GET", "/v1/sys/health")
    expect('"record_writable":false' in text, f"health doesn't show it: {text}")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    wait_for_writes(client)
    expect("can be written again" in under_test.log_tail(), f"the log is silent on {reason}")
    check_after(client)


def read_only(under_test):
    data = f"{under_test.folder}/data"
    os.makedirs(data)
    with small_file_system(data):
        client = prepare(under_test)
        under_test.stop()
        subprocess.run(["mount", "-o", "remount,ro", data], check=True)
        try:
            under_test.start()
            raise Failed("it started on a folder that can't be written to")
        except server.ServerError as e:
            said = under_test.log_tail(400).lower()
            expect("read-only" in said and "error" in said, f"a start read-only: {e}")
        expect(under_test.process.wait() == 1, "the exit status")
        subprocess.run(["mount", "-o", "remount,rw", data], check=True)
        under_test.start()
        under_test.unseal()
        check_after(client)


CASES = {"full": full, "refused": refused, "read_only": read_only}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("cases", nargs="*", metavar="CASE", default=list(CASES))
    arguments = parser.parse_args()
    failures = 0
    for name in arguments.cases:
        binary = os.path.abspath(arguments.server)
        under_test = server.Server("rekey", binary, {"server": ["empty"]})
        try:
            CASES[name](under_test)
            print(f"{name}: fine")
        except Skipped as e:
            print(f"{name}: skipped: {e}")
        except (Failed, record.RecordError, server.ServerError, OSError) as e:
            print(f"{name}: failed: {e!r}\n{under_test.log_tail()}")
            failures += 1
        finally:
            under_test.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
