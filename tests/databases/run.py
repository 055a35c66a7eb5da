#!/usr/bin/env python3
"""The database engine against real databases: what it gives out logs in with the database's own
client, and doesn't any more once it was revoked, expired or rotated.

usage: run.py --server build/release/rekey [postgres] [mariadb] [redis]

The servers come from Debian (tools/packages-test.txt); each runs in a folder of its own. Prints
`ok NAME` or `FAIL NAME: why` a step; exit status 1 if anything failed."""
import argparse
import os
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../api")
sys.path.insert(0, HERE)

import server  # noqa: E402
import servers  # noqa: E402

WAIT_SECONDS_MAX = 25
KINDS = {"postgres": servers.Postgres, "mariadb": servers.MariaDb, "redis": servers.Redis}


def wait_until(what, condition):
    end = time.time() + WAIT_SECONDS_MAX
    while time.time() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited in vain until {what}")


class Suite:
    def __init__(self, kind, binary):
        self.database = KINDS[kind]()
        self.rekey = server.Server("rekey", binary, {"restarts": True})

    def start(self):
        self.database.start()
        self.database.make_manager()
        self.rekey.prepare()

    def close(self):
        self.rekey.close()
        self.database.close()

    # --- talking to Rekey ---

    def call(self, method, path, body=None, token=None):
        return self.rekey.call(method, f"/v1/{path}", body, token or self.rekey.root)

    def must(self, method, path, body=None, token=None):
        status, answer = self.call(method, path, body, token)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def refused(self, status_wanted, method, path, body=None, token=None):
        status, answer = self.call(method, path, body, token)
        assert status == status_wanted, f"{method} {path}: {status} {answer}"
        return answer["errors"][0] if answer["errors"] else ""

    def creds(self, role="app", token=None):
        answer = self.must("GET", f"database/creds/{role}", token=token)
        assert answer["lease_id"].startswith(f"database/creds/{role}/"), answer
        return answer

    def works(self, answer):
        data = answer["data"]
        return self.database.login(data["username"], data["password"])

    def gone(self, answer):
        wait_until("the login is refused", lambda: not self.works(answer))
        wait_until("the user is gone", lambda: not self.database.users())

    # --- the steps, in order ---

    def configure(self):
        self.must("POST", "sys/mounts/database", {"type": "database"})
        good = self.database.config() | {"allowed_roles": "app,short,fixed,timed,slow,broken"}
        wrong = self.refused(400, "POST", "database/config/db", good | {"password": "wrong"})
        assert wrong.startswith("error creating database object: error verifying connection"), wrong
        assert "wrong" not in wrong.replace("verifying", ""), wrong
        self.refused(400, "POST", "database/config/db", good | {"plugin_name": "none"})
        self.must("POST", "database/config/db", good)
        shown = self.must("GET", "database/config/db")["data"]
        assert shown["plugin_name"] == self.database.plugin, shown
        assert "password" not in shown["connection_details"], shown
        assert shown["connection_details"]["username"] == servers.MANAGER, shown
        assert self.must("LIST", "database/config")["data"]["keys"] == ["db"]

    def tls_is_checked(self):
        other = servers.make_certificate(self.rekey.folder)[0]
        with open(other, encoding="ascii") as f:
            pem = f.read()
        bad = self.database.config() | {"tls_ca": pem, "ca_cert": pem}
        self.refused(400, "POST", "database/config/other", bad)

    def roles(self):
        role = {"db_name": "db", "creation_statements": self.database.creation}
        self.must("POST", "database/roles/app", role | {"default_ttl": "1h", "max_ttl": "24h"})
        self.must("POST", "database/roles/short", role | {"default_ttl": 60, "max_ttl": 90})
        self.must("POST", "database/roles/not-allowed", role)
        shown = self.must("GET", "database/roles/app")["data"]
        assert shown["default_ttl"] == 3600 and shown["db_name"] == "db", shown
        assert "not an allowed role" in self.refused(400, "GET", "database/creds/not-allowed")
        assert "unknown role" in self.refused(400, "GET", "database/creds/none")

    def a_user_for_an_hour(self):
        answer = self.creds()
        assert answer["lease_duration"] == 3600 and answer["renewable"], answer
        assert self.works(answer)
        lease = answer["lease_id"]
        shown = self.must("PUT", "sys/leases/lookup", {"lease_id": lease})["data"]
        assert 3590 <= shown["ttl"] <= 3600 and shown["renewable"], shown
        keys = self.must("LIST", "sys/leases/lookup/database/creds/app")["data"]["keys"]
        assert keys == [lease.rsplit("/", 1)[1]], keys
        renewed = self.must("PUT", "sys/leases/renew", {"lease_id": lease, "increment": 7200})
        assert renewed["lease_duration"] == 7200 and renewed["lease_id"] == lease, renewed
        assert self.works(answer)
        self.must("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": True})
        assert not self.works(answer)
        assert self.database.users() == []
        assert self.refused(400, "PUT", "sys/leases/lookup", {"lease_id": lease}) == "invalid lease"

    def capped_at_the_role(self):
        answer = self.creds("short")
        assert answer["lease_duration"] == 60
        renewed = self.must(
            "PUT", "sys/leases/renew", {"lease_id": answer["lease_id"], "increment": 3600}
        )
        assert renewed["lease_duration"] <= 90 and renewed["warnings"], renewed
        self.must("PUT", "sys/leases/revoke", {"lease_id": answer["lease_id"], "sync": True})

    def expired(self):
        answer = self.creds("short")
        assert self.works(answer)
        self.rekey.advance(120)
        self.gone(answer)

    def by_prefix(self):
        answers = [self.creds() for _ in range(3)]
        assert all(self.works(one) for one in answers)
        self.must("PUT", "sys/leases/revoke-prefix/database/creds/app", {"sync": True})
        for one in answers:
            assert not self.works(one)
        after = self.creds()
        time.sleep(1.5)
        assert self.works(after), "what was given out after the cut-off lives"
        self.must("PUT", "sys/leases/revoke", {"lease_id": after["lease_id"], "sync": True})

    def with_its_token(self):
        self.must(
            "PUT",
            "sys/policies/acl/app",
            {"policy": 'path "database/creds/*" { capabilities = ["read"] }'},
        )
        made = self.must(
            "POST",
            "auth/token/create",
            # What a client chooses ends up in a name, and must not end up in a statement.
            {"policies": ["app"], "display_name": "x'\"; DROP ROLE postgres; --"},
        )["auth"]
        answer = self.creds(token=made["client_token"])
        assert self.works(answer)
        assert "'" not in answer["data"]["username"] and ";" not in answer["data"]["username"]
        self.must("POST", "auth/token/revoke", {"token": made["client_token"]})
        self.gone(answer)

    def with_its_parent_token(self):
        parent = self.must("POST", "auth/token/create", {"policies": ["root"], "ttl": "2h"})["auth"]
        child = self.must(
            "POST", "auth/token/create", {"policies": ["app"]}, parent["client_token"]
        )["auth"]
        answer = self.creds(token=child["client_token"])
        self.must("POST", "auth/token/revoke", {"token": parent["client_token"]})
        refused = self.call("PUT", "sys/leases/renew", {"lease_id": answer["lease_id"]})
        assert refused[0] == 400, "the lease is void as soon as the parent's revocation returned"
        self.gone(answer)

    def of_a_batch_token(self):
        made = self.must(
            "POST", "auth/token/create", {"policies": ["app"], "type": "batch", "ttl": "5m"}
        )["auth"]
        answer = self.creds(token=made["client_token"])
        assert answer["lease_duration"] <= 300, answer
        self.rekey.advance(400)
        self.gone(answer)

    def broken_statements(self):
        self.must(
            "POST",
            "database/roles/broken",
            {"db_name": "db", "creation_statements": self.database.broken},
        )
        status, answer = self.call("GET", "database/creds/broken")
        assert status >= 400 and answer["errors"], answer
        wait_until("nothing is left of it", lambda: self.database.users() == [])
        wait_until(
            "nothing waits",
            lambda: self.must("GET", "sys/leases/queue")["data"]["queues"] == [],
        )

    def killed_in_between(self):
        if self.database.slow is None:
            return
        self.must(
            "POST",
            "database/roles/slow",
            {"db_name": "db", "creation_statements": self.database.slow},
        )
        client = subprocess.Popen(
            ["curl", "-s", "-H", f"X-Vault-Token: {self.rekey.root}",
             f"{self.rekey.address}/v1/database/creds/slow"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(1.5)
        self.rekey.process.send_signal(signal.SIGKILL)
        self.rekey.process.wait()
        client.wait()
        self.rekey.start()
        self.rekey.unseal()
        self.rekey.advance(1200)
        wait_until("the half-made user is gone", lambda: self.database.users() == [])
        wait_until(
            "its lease is gone",
            lambda: self.call("LIST", "sys/leases/lookup/database/creds/slow")[0] == 404,
        )

    def a_database_that_is_down(self):
        answer = self.creds()
        self.database.stop()
        self.must("PUT", "sys/leases/revoke", {"lease_id": answer["lease_id"]})
        # In force at once, whatever the database does.
        self.refused(400, "PUT", "sys/leases/renew", {"lease_id": answer["lease_id"]})
        wait_until(
            "the queue says why",
            lambda: any(
                row["target"] == "db" and row["waiting"] == 1 and row.get("last_error")
                for row in self.must("GET", "sys/leases/queue")["data"]["queues"]
            ),
        )
        status, _ = self.call("GET", "database/creds/app")
        assert status >= 500, status
        self.database.start()
        self.rekey.advance(60)
        self.gone(answer)

    def given_up_and_tried_again(self):
        answer = self.creds()
        self.database.stop()
        self.must("PUT", "sys/leases/revoke", {"lease_id": answer["lease_id"]})

        def irrevocable():
            if self.must("GET", "sys/leases/count?type=irrevocable")["data"]["lease_count"] == 1:
                return True
            self.rekey.advance(600)
            return False

        wait_until("it is given up", irrevocable)
        listed = self.must("GET", "sys/leases?type=irrevocable")["data"]["leases"]
        assert listed[0]["lease_id"] == answer["lease_id"] and listed[0]["error"], listed
        self.database.start()
        self.must("POST", "sys/leases/retry")
        self.rekey.advance(1200)
        self.gone(answer)
        assert self.must("GET", "sys/leases/count?type=irrevocable")["data"]["lease_count"] == 0

    def forgotten(self):
        answer = self.creds()
        self.must("PUT", "sys/leases/revoke-force/database/creds/app")
        wait_until(
            "Rekey forgot it",
            lambda: self.call("LIST", "sys/leases/lookup/database/creds/app")[0] == 404,
        )
        assert self.works(answer), "the engine is not asked"
        for name in self.database.users():
            self.drop(name)

    def drop(self, name):
        if isinstance(self.database, servers.Postgres):
            self.database.admin(f'REVOKE ALL ON SCHEMA public FROM "{name}"; DROP ROLE "{name}"')
        elif isinstance(self.database, servers.MariaDb):
            self.database.admin(f"DROP USER '{name}'@'%'")
        else:
            self.database.admin(f"ACL DELUSER {name}")

    def rotated_root(self):
        assert self.database.login(servers.MANAGER, servers.MANAGER_PASSWORD)
        self.must("POST", "database/rotate-root/db")
        assert not self.database.login(servers.MANAGER, servers.MANAGER_PASSWORD)
        answer = self.creds()
        assert self.works(answer)
        self.must("PUT", "sys/leases/revoke", {"lease_id": answer["lease_id"], "sync": True})
        assert not self.works(answer)

    def fixed_user(self):
        self.database.make_fixed_user("fixed1", "before")
        assert self.database.login("fixed1", "before")
        role = {"db_name": "db", "username": "fixed1"}
        self.refused(400, "POST", "database/static-roles/fixed", role)
        self.refused(400, "POST", "database/static-roles/fixed", role | {"rotation_period": "1s"})
        self.must("POST", "database/static-roles/fixed", role | {"rotation_period": "24h"})
        assert not self.database.login("fixed1", "before")
        first = self.must("GET", "database/static-creds/fixed")["data"]
        assert first["username"] == "fixed1" and 0 < first["ttl"] <= 86400, first
        assert self.database.login("fixed1", first["password"])
        self.must("POST", "database/rotate-role/fixed")
        second = self.must("GET", "database/static-creds/fixed")["data"]
        assert second["password"] != first["password"]
        assert self.database.login("fixed1", second["password"])
        assert not self.database.login("fixed1", first["password"])
        self.rekey.advance(86401)
        wait_until(
            "it is rotated by time",
            lambda: self.must("GET", "database/static-creds/fixed")["data"]["password"]
            != second["password"],
        )
        third = self.must("GET", "database/static-creds/fixed")["data"]
        assert self.database.login("fixed1", third["password"])
        assert not self.database.login("fixed1", second["password"])
        self.must("DELETE", "database/static-roles/fixed")

    def now(self):
        return time.time() + self.rekey.offset_seconds

    def fixed_password(self, role):
        return self.must("GET", f"database/static-creds/{role}")["data"]["password"]

    def by_schedule(self):
        """A user whose password changes as cron says, in UTC; Rekey's clock is moved."""
        self.database.make_fixed_user("fixed2", "before")
        role = {"db_name": "db", "username": "fixed2"}
        path, daily = "database/static-roles/timed", {"rotation_schedule": "30 4 * * *"}
        self.refused(400, "POST", path, role | daily | {"rotation_period": "24h"})
        self.refused(400, "POST", path, role | daily | {"rotation_window": "1m"})
        self.refused(400, "POST", path, role | {"rotation_schedule": "61 4 * * *"})
        self.refused(400, "POST", path, role | {"rotation_schedule": "0 0 30 2 *"})
        assert self.database.login("fixed2", "before"), "what was refused changed nothing"
        self.must("POST", path, role | daily | {"rotation_window": "2h"})
        assert not self.database.login("fixed2", "before")
        shown = self.must("GET", path)["data"]
        assert shown["rotation_schedule"] == daily["rotation_schedule"], shown
        assert shown["rotation_window"] == 7200, shown
        first = self.must("GET", "database/static-creds/timed")["data"]
        until = (4 * 3600 + 30 * 60 - self.now()) % 86400
        assert abs(first["ttl"] - until) < 5 and first["rotation_schedule"] == "30 4 * * *", first
        self.rekey.advance(int(until) - 20)
        time.sleep(0.5)
        assert self.fixed_password("timed") == first["password"], "it isn't time yet"
        assert self.database.login("fixed2", first["password"])
        self.rekey.advance(30)
        wait_until("it is time", lambda: self.fixed_password("timed") != first["password"])
        second = self.must("GET", "database/static-creds/timed")["data"]
        assert self.database.login("fixed2", second["password"])
        assert not self.database.login("fixed2", first["password"])
        assert 86300 < second["ttl"] <= 86400, second

    def a_rotation_that_waits(self):
        """Due while the database is down: tried until it is there, and what is read works."""
        before = self.fixed_password("timed")
        self.database.stop()
        self.rekey.advance(86400)
        time.sleep(1)
        self.database.start()
        self.rekey.advance(60)
        wait_until("it is made up for", lambda: self.fixed_password("timed") != before)
        assert self.database.login("fixed2", self.fixed_password("timed"))
        assert not self.database.login("fixed2", before)
        self.must("DELETE", "database/static-roles/timed")
        assert self.call("GET", "database/static-creds/timed")[0] == 400

    def reset(self):
        """Closes the connections that are kept; the next use opens another."""
        answer = self.creds()
        assert self.database.sessions(servers.MANAGER) > 0
        self.must("POST", "database/reset/db")
        wait_until("none is open", lambda: self.database.sessions(servers.MANAGER) == 0)
        self.must("PUT", "sys/leases/revoke", {"lease_id": answer["lease_id"], "sync": True})
        assert not self.works(answer)
        self.refused(400, "POST", "database/reset/none")

    def restarted(self):
        answer = self.creds()
        self.rekey.restart()
        self.rekey.unseal()
        assert self.works(answer)
        self.rekey.advance(2 * 86400)
        self.gone(answer)

    def unmounted(self):
        answer = self.creds()
        self.must("DELETE", "sys/mounts/database")
        self.gone(answer)
        assert self.call("GET", "database/config/db")[0] == 404

    def the_record_has_no_password(self):
        with open(f"{self.rekey.folder}/log", encoding="utf-8", errors="replace") as f:
            log = f.read()
        assert servers.MANAGER_PASSWORD not in log


STEPS = [
    Suite.configure, Suite.tls_is_checked, Suite.roles, Suite.a_user_for_an_hour,
    Suite.capped_at_the_role, Suite.expired, Suite.by_prefix, Suite.with_its_token,
    Suite.with_its_parent_token, Suite.of_a_batch_token, Suite.broken_statements,
    Suite.killed_in_between, Suite.a_database_that_is_down, Suite.given_up_and_tried_again,
    Suite.forgotten, Suite.fixed_user, Suite.by_schedule, Suite.a_rotation_that_waits, Suite.reset,
    Suite.restarted, Suite.rotated_root, Suite.unmounted,
    Suite.the_record_has_no_password,
]  # fmt: skip


def run(kind, binary):
    suite, failed = None, 0
    try:
        suite = Suite(kind, binary)
        suite.start()
        for step in STEPS:
            try:
                begin = time.time()
                step(suite)
                print(f"ok {kind} {step.__name__} ({time.time() - begin:.1f} s)", flush=True)
            except Exception:  # noqa: BLE001: whatever it is, it is this step's failure
                failed += 1
                print(f"FAIL {kind} {step.__name__}: {traceback.format_exc()}", flush=True)
                if step in STEPS[:3]:
                    break
        if failed:
            print(suite.rekey.log_tail(4000))
    except Exception:  # noqa: BLE001
        failed += 1
        print(f"FAIL {kind}: {traceback.format_exc()}")
    finally:
        if suite is not None:
            suite.close()
    return failed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", required=True)
    parser.add_argument("databases", nargs="*", choices=[[], *KINDS])
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.server)
    return 1 if sum(run(kind, binary) for kind in arguments.databases or KINDS) else 0


if __name__ == "__main__":
    sys.exit(main())
