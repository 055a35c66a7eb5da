#!/usr/bin/env python3
"""A store that was put back from an older copy: refused at unseal with the reason, accepted only by
the operator's explicit, recorded word, once; also after somebody raised the copy's revision.

usage: tests/operator_older_store.py SERVER_PROGRAM
"""

import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "api"))
import server  # noqa: E402


class AcceptingServer(server.Server):
    accept = False

    def command(self):
        return super().command() + (["-accept-older-store"] if self.accept else [])


def expect(what, condition, seen=""):
    if not condition:
        sys.exit(f"FAIL {what}: {seen}")
    print(f"ok   {what}")


def record(folder):
    """Every whole entry of the write-ahead log and the bundles that holds this text."""
    return b"".join(p.read_bytes() for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file())


def unseal(under_test):
    return under_test.call("PUT", "/v1/sys/unseal", {"key": under_test.keys[0]})


def main():
    under_test = AcceptingServer("rekey", os.path.abspath(sys.argv[1]))
    data, copy = f"{under_test.folder}/data", f"{under_test.folder}/copy"
    audit = f"{under_test.folder}/audit"
    try:
        under_test.start()
        under_test.initialise()
        under_test.unseal()
        under_test.must("POST", "/v1/sys/mounts/kv", {"type": "kv"}, under_test.root)
        under_test.must("POST", "/v1/kv/a", {"v": "old"}, under_test.root)
        under_test.stop()
        store = [name for name in os.listdir(data) if name not in ("audit",)]
        os.makedirs(copy)
        for name in store:
            shutil.copy2(f"{data}/{name}", f"{copy}/{name}")
        under_test.start()
        under_test.unseal()
        under_test.must("POST", "/v1/kv/a", {"v": "new"}, under_test.root)
        under_test.stop()

        def put_back():
            for name in store:
                shutil.copy2(f"{copy}/{name}", f"{data}/{name}")

        put_back()
        under_test.start()
        status, answer = unseal(under_test)
        expect("an older store is refused", status >= 400, (status, answer))
        expect("the refusal says why and what to do",
               "older than the audit record" in json.dumps(answer)
               and "-accept-older-store" in json.dumps(answer), answer)
        expect("it stays sealed",
               under_test.call("GET", "/v1/kv/a", token=under_test.root)[0] == 503)
        under_test.stop()

        under_test.accept = True
        under_test.start()
        status, answer = unseal(under_test)
        expect("the operator's word opens it", status == 200 and not answer["sealed"], answer)
        value = under_test.must("GET", "/v1/kv/a", token=under_test.root)["data"]["v"]
        expect("with the older value", value == "old", value)
        under_test.stop()
        where = audit if os.path.isdir(audit) else data
        expect("the acceptance is in the record", b'"accept-older-store"' in record(where))

        under_test.accept = False
        under_test.restart()
        status, answer = unseal(under_test)
        expect("accepted once, it opens without", status == 200 and not answer["sealed"], answer)
        under_test.stop()

        put_back()
        under_test.start()
        status, answer = unseal(under_test)
        expect("the same copy put back again is refused again", status >= 400, answer)
    finally:
        under_test.close()


main()
