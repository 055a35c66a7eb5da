#!/usr/bin/env python3
"""What somebody who can write the data folder may try: files of another server put in place of
these, a store or a record alone exchanged, single bits turned. Whatever the server then serves is
right, or it says that something is wrong.

usage: files.py --server build/release/rekey [swapped] [store_bits] [record_bits] [--flips 60]"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../api"]

import server  # noqa: E402

server.START_SECONDS = 10  # a damaged store may never get that far

ROWS = 40
SEED = 20261128


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


def prepare(under_test):
    """A few hundred entries in the record, a few dozen rows, then stopped."""
    under_test.start()
    under_test.initialise()
    under_test.unseal()
    options = {"type": "kv", "options": {"version": "2"}}
    under_test.must("POST", "/v1/sys/mounts/secret", options, under_test.root)
    for number in range(ROWS):
        data = {"data": {"v": f"{under_test.port}-{number}", "long": "x" * 50 * number}}
        under_test.must("POST", f"/v1/secret/data/{number}", data, under_test.root)
    for number in range(300):
        under_test.must("GET", f"/v1/secret/data/{number % ROWS}", token=under_test.root)
    under_test.stop()
    return under_test


def unseal(under_test, share):
    return under_test.call("PUT", "/v1/sys/unseal", {"key": share})


def store_files(folder):
    return [path for path in pathlib.Path(folder).iterdir() if path.name != "audit"]


def put(files, folder):
    for path in store_files(folder):
        path.unlink()
    for path in files:
        shutil.copy2(path, folder)


def swapped(binary, _):
    """Of two servers the store alone, then the record alone, is exchanged."""
    one, other = (prepare(server.Server("rekey", binary)) for _ in range(2))
    try:
        data, foreign = f"{one.folder}/data", f"{other.folder}/data"
        for _ in range(3):  # the other one is older: its record is ahead of this store
            other.start()
            unseal(other, other.keys[0])
            other.must("POST", "/v1/secret/data/1", {"data": {"v": "again"}}, other.root)
            other.stop()
        shutil.copytree(data, f"{one.folder}/kept")
        put(store_files(foreign), data)
        one.start()
        status, answer = unseal(one, one.keys[0])
        expect(status >= 400, f"this server's share opens another's store: {answer}")
        status, answer = unseal(one, other.keys[0])
        expect(status >= 400 and "another store" in answer["errors"][0],
               f"another's store beside this record: {status} {answer}")
        expect(one.call("GET", "/v1/sys/seal-status")[1]["sealed"], "it is open all the same")
        one.stop()

        put(store_files(f"{one.folder}/kept"), data)
        shutil.rmtree(f"{data}/audit")
        shutil.copytree(f"{foreign}/audit", f"{data}/audit")
        one.start()
        status, answer = unseal(one, one.keys[0])
        expect(status >= 400 and "another store" in answer["errors"][0],
               f"another's record beside this store: {status} {answer}")
        one.stop()
        # Nor is a new store begun on it.
        put([], data)
        one.start()
        shares = {"secret_shares": 1, "secret_threshold": 1}
        status, answer = one.call("PUT", "/v1/sys/init", shares)
        expect(status >= 400 and "another store" in answer["errors"][0], f"init: {status} {answer}")
        one.stop()

        shutil.rmtree(data)
        shutil.copytree(f"{one.folder}/kept", data)
        one.start()
        one.unseal()
        check_rows(one)
    finally:
        one.close()
        other.close()


def check_rows(under_test):
    """Each row is right or an error; how many are errors."""
    errors = 0
    for number in range(ROWS):
        status, answer = under_test.call("GET", f"/v1/secret/data/{number}", token=under_test.root)
        if status == 200:
            right = {"v": f"{under_test.port}-{number}", "long": "x" * 50 * number}
            expect(answer["data"]["data"] == right, f"row {number} is served as {answer['data']}")
        else:
            expect(status >= 400 and (answer["errors"] or status == 404), f"{status} {answer}")
            errors += 1
    return errors


def turn_a_bit(path, chance, used=None):
    """One bit of the bytes that aren't zero; the rest is not in use."""
    data = bytearray(path.read_bytes())
    places = [at for at in range(len(data)) if data[at]] if used is None else used
    at = chance.choice(places)
    data[at] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"{path.name}, byte {at}"


def store_bits(binary, flips):
    """Anywhere in the store's file, also in what LMDB keeps for itself."""
    one = prepare(server.Server("rekey", binary))
    chance = random.Random(SEED)
    seen = {"refused at the start": 0, "sealed": 0, "served with errors": 0, "served rightly": 0}
    file = pathlib.Path(f"{one.folder}/data/data.mdb")
    try:
        good = file.read_bytes()
        audit = f"{one.folder}/data/audit"
        shutil.copytree(audit, f"{one.folder}/audit-kept")
        used = [at for at in range(len(good)) if good[at]]
        for _ in range(flips):
            file.write_bytes(good)
            shutil.rmtree(audit)
            shutil.copytree(f"{one.folder}/audit-kept", audit)
            where = turn_a_bit(file, chance, used)
            seen[outcome_with(one, where)] += 1
        expect(seen["served with errors"] + seen["sealed"] > 0, f"no bit met a row: {seen}")
        print(f"  {flips} bits of the store: {seen}")
    finally:
        one.close()


def outcome_with(one, where):
    try:
        one.start()
    except server.ServerError:
        alive = one.alive()
        # Where the pages above all rows are met, it answers everything with an error.
        status, answer = one.call("GET", "/v1/sys/seal-status") if alive else (500, {"errors": [1]})
        expect(status >= 500 and answer["errors"], f"{where}: it neither serves nor ends")
        one.stop()
        return "served with errors" if alive else "refused at the start"
    try:
        status, answer = unseal(one, one.keys[0])
        if status != 200 or answer["sealed"]:
            return "sealed"
        return "served with errors" if check_rows(one) else "served rightly"
    except Failed as e:
        raise Failed(f"{where}: {e}") from e
    except OSError:
        # A tree of pages that leads nowhere ends the process; nothing wrong was served by then.
        expect(not one.alive(), f"{where}: it hangs")
        return "refused at the start"
    finally:
        one.stop()


def record_bits(binary, flips):
    """In each file of the record: verify names it, or the server does, or, where the file is only
    a second copy, what is served of the record is still proven."""
    one = prepare(server.Server("rekey", binary))
    chance = random.Random(SEED)
    audit = pathlib.Path(f"{one.folder}/data/audit")
    kept = f"{one.folder}/audit-kept"
    try:
        shutil.copytree(audit, kept)
        files = [path for path in sorted(audit.rglob("*")) if path.is_file()
                 and "index" not in path.parts and any(path.read_bytes())]
        key = subprocess.run([binary, "audit", "key", f"-log={audit}/log"], capture_output=True,
                             text=True, check=True).stdout.strip()
        expect(verify(binary, audit, key) == "", "the record is good before")
        for number in range(max(flips, len(files))):
            shutil.rmtree(audit)
            shutil.copytree(kept, audit)
            where = turn_a_bit(files[number % len(files)], chance)
            if not verify(binary, audit, key):
                expect_noticed_by_server(one, where)
        print(f"  {max(flips, len(files))} bits in {len(files)} files of the record")
    finally:
        one.close()


def verify(binary, audit, key):
    """What it finds; empty for nothing."""
    done = subprocess.run(
        [binary, "audit", "verify", f"-log={audit}/log", f"-key={key}"],
        capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def expect_noticed_by_server(one, where):
    """Verify reads the public part, and of the private one what the tiles can be held against."""
    try:
        one.start()
    except server.ServerError:
        one.stop()
        return
    try:
        unseal(one, one.keys[0])
        status, _ = one.call("GET", "/v1/secret/data/0", token=one.root)
        expect(status >= 400, f"{where}: neither verify nor the server notices")
    finally:
        one.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--flips", type=int, default=60)
    parser.add_argument("parts", nargs="*")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.server)
    failures = 0
    for part in (swapped, store_bits, record_bits):
        if arguments.parts and part.__name__ not in arguments.parts:
            continue
        try:
            part(binary, arguments.flips)
            print(f"{part.__name__}: right", flush=True)
        except (Failed, server.ServerError) as e:
            failures += 1
            print(f"{part.__name__}: failed: {e}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
