#!/usr/bin/env python3
"""Takes unmodified Vault clients through a real server's life: hvac, node-vault and plain curl;
and Rekey's own command line under both its names.

usage: run.py (--server build/release/rekey | --bao) [--plain] [hvac] [hvac-engines] [cert] [...]

Each client gets a server of its own over TLS (--plain: without). A client whose package is missing
fails, it isn't left out: python3-hvac is in tools/packages-test.txt, node-vault in
node/package.json (`npm ci` is run when it isn't there). Exit status 1 if anything failed."""
import argparse
import contextlib
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../api")
sys.path.insert(0, f"{HERE}/../databases")

import server  # noqa: E402
import servers  # noqa: E402

CLIENT_SECONDS_MAX = 180
OUTGOING = 'outgoing { allow = ["localhost"] }'  # where the fake Kubernetes is


def npm_packages():
    if not os.path.isdir(f"{HERE}/node/node_modules/node-vault"):
        subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=f"{HERE}/node",
            check=True,
            stdout=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def databases(folder):
    """PostgreSQL, MariaDB and Redis, and the file that tells a client of them."""
    started, described = [], {}
    kinds = {"postgres": servers.Postgres, "mariadb": servers.MariaDb, "redis": servers.Redis}
    try:
        for name, kind in kinds.items():
            database = kind()
            started.append(database)
            database.start()
            database.make_manager()
            described[name] = database.for_a_client()
        path = f"{folder}/databases.json"
        with open(path, "w", encoding="ascii") as f:
            json.dump(described, f)
        yield {"DATABASES": path}
    finally:
        for database in started:
            database.close()


CLIENTS = {
    "hvac": (lambda: None, ["/usr/bin/python3", f"{HERE}/hvac_client.py"]),
    "hvac-engines": (lambda: None, ["/usr/bin/python3", f"{HERE}/hvac_engines_client.py"]),
    "cert": (lambda: None, ["/usr/bin/python3", f"{HERE}/cert_client.py"]),
    "node": (npm_packages, ["node", f"{HERE}/node/node_vault_client.js"]),
    "node-engines": (npm_packages, ["node", f"{HERE}/node/node_vault_engines.js"]),
    "curl": (lambda: None, ["bash", f"{HERE}/curl_client.sh"]),
    "jwt": (lambda: None, ["/usr/bin/python3", f"{HERE}/jwt_client.py"]),
    "mfa": (lambda: None, ["/usr/bin/python3", f"{HERE}/mfa_client.py"]),
    "cli": (lambda: None, ["bash", f"{HERE}/cli_client.sh"]),
    "cli-vault": (lambda: None, ["bash", f"{HERE}/cli_client.sh"]),
}


def run_client(name, kind, binary, tls):
    """Returns (passed, failed) and prints what failed."""
    prepare, command = CLIENTS[name]
    under_test = server.Server(kind, binary, {"server": ["empty"], "rekey-config": [OUTGOING]}, tls)
    beside = contextlib.ExitStack()
    try:
        prepare()
        under_test.start()
        env = {
            k: v for k, v in os.environ.items() if not k.startswith(("VAULT_", "BAO_", "REKEY_"))
        }
        env |= {
            "VAULT_ADDR": under_test.address,
            "VAULT_CACERT": under_test.cert or "/dev/null",
            "CLIENT_TEST_DIR": under_test.folder,
            "CLIENT_FILES": HERE,
            "REKEY_PROGRAM": os.path.realpath(binary),
            "CLI_NAME": "vault" if name == "cli-vault" else "rekey",
            "HOME": under_test.folder,
        }
        if name.endswith("-engines"):
            env |= beside.enter_context(databases(under_test.folder))
        done = subprocess.run(
            command,
            env=env,
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS_MAX,
            check=False,
        )
    except (OSError, RuntimeError, subprocess.SubprocessError, server.ServerError) as error:
        print(f"FAIL {name}: {error}")
        return 0, 1
    finally:
        beside.close()
        under_test.close()
    passed = sum(line.startswith("ok ") for line in done.stdout.split("\n"))
    failed = sum(line.startswith("FAIL ") for line in done.stdout.split("\n"))
    if done.returncode and not failed:
        print(f"FAIL {name}: exit status {done.returncode}: {done.stderr[-2000:]}")
        failed = 1
    for block in done.stdout.split("FAIL ")[1:]:
        print(f"FAIL {name}: {block.split(chr(10) + 'ok ')[0]}")
    print(f"{'FAIL' if failed else 'ok  '} {name}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server")
    parser.add_argument("--bao", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("clients", nargs="*", choices=[[], *CLIENTS])
    arguments = parser.parse_args()
    if bool(arguments.server) == arguments.bao:
        parser.error("give either --server or --bao")
    kind, binary = ("bao", "bao") if arguments.bao else ("rekey", os.path.abspath(arguments.server))
    counts = [
        run_client(name, kind, binary, not arguments.plain) for name in arguments.clients or CLIENTS
    ]
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
