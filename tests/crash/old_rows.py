#!/usr/bin/env python3
"""Single rows of the store put back from an older copy of the file, deleted rows put back, rows
taken away: by somebody who has the disk, while no server runs and under a running one. Nothing of
it is ever served: an error, an alarm, and everything else goes on.

usage: old_rows.py --server build/release/rekey"""
import argparse
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../api")
import rows  # noqa: E402
import server  # noqa: E402

GUARDS = (b"core/ledger/", b"core/epoch", b"core/keyring", b"core/seal-config", b"core/version/")
OLD_POLICY = 'path "kv/*" { capabilities = ["read", "update"] }'
NEW_POLICY = 'path "kv/*" { capabilities = ["read"] }'


def expect(what, condition, seen=""):
    if not condition:
        raise SystemExit(f"FAIL {what}: {seen}")


class Test:
    def __init__(self, binary):
        self.server = server.Server("rekey", binary)
        self.data = f"{self.server.folder}/data"

    def call(self, method, path, body=None, token=None):
        return self.server.call(method, f"/v1/{path}", body, token or self.server.root)

    def must(self, method, path, body=None):
        return self.server.must(method, f"/v1/{path}", body, self.server.root)

    def open(self):
        """Starts and unseals; the status."""
        self.server.start()
        return self.server.call("PUT", "/v1/sys/unseal", {"key": self.server.keys[0]})

    def log(self):
        with open(f"{self.server.folder}/log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def metric(self, name):
        text = self.server.request("GET", "/v1/sys/metrics?format=prometheus",
                                   headers={"X-Vault-Token": self.server.root})[2].decode()
        return float(re.search(rf"^\w*_{name} (-?[\d.e+]+)", text, re.M).group(1))

    def set_up(self):
        self.server.start()
        self.server.initialise()
        self.server.unseal()
        self.must("POST", "sys/mounts/kv", {"type": "kv"})
        for name, value in (("a", "old"), ("steady", "same"), ("gone", "deleted"),
                            ("live", "old"), ("taken", "there")):
            self.must("POST", f"kv/{name}", {"v": value})
        self.must("POST", "sys/policies/acl/p", {"policy": OLD_POLICY})
        self.token = self.must("POST", "auth/token/create", {"policies": ["p"]})["auth"]
        self.token = self.token["client_token"]
        self.other = self.must("POST", "auth/token/create", {"policies": ["p"]})["auth"]
        self.other = self.other["client_token"]
        self.server.stop()
        self.before = rows.read(self.data)
        self.open()
        self.must("POST", "kv/a", {"v": "new"})
        self.must("POST", "kv/live", {"v": "new"})
        self.must("DELETE", "kv/gone")
        self.must("POST", "sys/policies/acl/p", {"policy": NEW_POLICY})
        self.must("POST", "auth/token/revoke", {"token": self.token})
        self.server.stop()
        self.after = rows.read(self.data)

    def changed(self):
        keys = [key for key in self.before
                if self.before[key] != self.after.get(key) and not key.startswith(GUARDS)]
        expect("the old copy differs", len(keys) >= 5, keys)
        return keys

    def nothing_old_is_served(self, what):
        """Every read gives today's answer or an error; which were errors."""
        errors = []
        for name, path, token, right in (
                ("a", "kv/a", None, (200, "new")), ("steady", "kv/steady", None, (200, "same")),
                ("gone", "kv/gone", None, (404, None)), ("taken", "kv/taken", None, (200, "there")),
                ("token", "kv/steady", self.token, (403, None)),
                ("other token", "kv/steady", self.other, (200, "same"))):
            status, answer = self.call("GET", path, token=token)
            if status >= 500:
                errors.append(name)
                continue
            value = answer["data"]["v"] if status == 200 else None
            expect(f"{what}: {name} is today's", (status, value) == right, (status, answer))
        status, answer = self.call("GET", "sys/policies/acl/p")
        if status >= 500:
            errors.append("policy")
        else:
            expect(f"{what}: policy", answer["data"]["policy"] == NEW_POLICY, answer)
        if self.call("POST", "kv/steady", {"v": "changed"}, self.other)[0] not in (403, 500, 503):
            expect(f"{what}: the old policy is in force", False)
        return errors

    def single_rows(self):
        seen = {}
        for key in self.changed():
            rows.write(self.data, {key: self.before[key]})
            status, answer = self.open()
            what = f"{key.decode()} put back"
            if status != 200:
                # What is read before anything is served refuses the whole.
                expect(what, "integrity" in json.dumps(answer), answer)
                errors = ["unseal"]
            else:
                errors = self.nothing_old_is_served(what)
                if errors:
                    expect(f"{what}: alarm", self.metric("ledger_refused_total") > 0)
            expect(f"{what}: in the log", not errors or key.decode() in self.log(), errors)
            for name in errors:
                seen.setdefault(name, []).append(key.decode())
            self.server.stop()
            # As the server left everything else, and this row as it was.
            rows.write(self.data, {key: self.after.get(key)})
        for name in ("a", "gone", "token"):
            expect(f"an older row of '{name}' is noticed", name in seen, seen)
        expect("an older policy is noticed", "policy" in seen or "unseal" in seen, seen)

    def taken_away(self):
        key = next(k for k in self.after if k.endswith(b"/taken"))
        row = self.after[key]
        rows.write(self.data, {key: None})
        status, answer = self.open()
        expect("a server with a row less opens", status == 200, answer)
        errors = self.nothing_old_is_served("taken away")
        expect("the row is missed, the rest served", errors == ["taken"], errors)
        expect("the count is an alarm", self.metric("ledger_missing_rows") == 1,
               self.metric("ledger_missing_rows"))
        expect("in the log", "not as many rows" in self.log())
        self.server.stop()
        rows.write(self.data, {key: row})

    def under_a_running_server(self):
        status, answer = self.open()
        expect("all is as it was", status == 200, answer)
        expect("and served", self.nothing_old_is_served("whole") == [])
        key = next(k for k in self.before if k.endswith(b"/live"))
        old = self.before[key]
        rows.write(self.data, {key: old})
        self.must("POST", "kv/another", {"v": "1"})  # the server looks at the file again
        status, answer = self.call("GET", "kv/live")
        expect("an older row under a running server", status == 500, (status, answer))
        expect("the rest", self.nothing_old_is_served("running") == [])
        status, answer = self.call("DELETE", "kv/live")
        expect("it can be deleted", status == 204, (status, answer))
        self.must("POST", "kv/live", {"v": "newer"})
        status, answer = self.call("GET", "kv/live")
        expect("and written anew", answer["data"]["v"] == "newer", answer)
        self.server.stop()

    def guards(self):
        """The ledger's rows and the keyring: the server stays sealed and says what to do."""
        now = rows.read(self.data)
        self.open()
        for i in range(5):
            self.must("POST", f"kv/more{i}", {"v": "1"})
        self.server.stop()
        later = rows.read(self.data)
        ring = [k for k in later if k.startswith(b"core/ledger/") and later[k] != now[k]]
        for key in (ring[0], ring[-1], b"core/keyring"):
            for value in (now[key], None):
                rows.write(self.data, {key: value})
                status, answer = self.open()
                expect(f"{key.decode()} {'older' if value else 'missing'}", status >= 400,
                       (status, answer))
                expect("it stays sealed", self.call("GET", "kv/a")[0] == 503)
                if key != b"core/keyring":
                    expect("and says why", "-accept-older-store" in json.dumps(answer), answer)
                self.server.stop()
                rows.write(self.data, {key: later[key]})
        rows.write(self.data, {ring[0]: now[ring[0]]})
        command = self.server.command
        self.server.command = lambda: command() + ["-accept-older-store"]
        status, answer = self.open()
        expect("the operator's word opens it", status == 200, answer)
        expect("with all in it", self.nothing_old_is_served("accepted") == [])
        self.server.command = command
        self.server.stop()
        status, answer = self.open()
        expect("and again without", status == 200, answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    test = Test(os.path.abspath(parser.parse_args().server))
    try:
        test.set_up()
        test.single_rows()
        test.taken_away()
        test.under_a_running_server()
        test.guards()
        print("older, deleted and missing rows: none was served")
    finally:
        test.server.close()


main()
