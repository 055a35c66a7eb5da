#!/usr/bin/env python3
"""Plays the examples of README.md and docs/*.md against a real server, so that they stay true.

usage: play_docs.py --server build/release/rekey [PAGE...]

A fenced block whose info string is `console play` is played; GitHub shows it like any `console`:

    ```console play
    $ rekey kv get -field=password secret/app    <- a command; lines after a `\\` and "> " lines
    hunter2                                         of a here-document belong to it
    $ rekey kv get secret/none   # exit 2        <- otherwise it must exit with 0
    ```

What follows a command is its output: `...` alone stands for any lines, inside a line for any text;
blanks count as one. Without any the output is not looked at. Other blocks are not played. All
blocks of a page run in one bash, in an empty folder, against a server of the page's own: `rekey
server -standalone` (unsealed, over TLS, nothing mounted), or, where the page holds a comment
`<!-- server: empty -->`, one started with `-config=rekey.hcl` that isn't initialised. `rekey` is in
PATH; VAULT_ADDR and VAULT_CACERT are set, VAULT_TOKEN to the root token where there is one.
A page that holds `<!-- databases: postgres mariadb redis -->` has those servers, from Debian,
beside it: $POSTGRES is the host and port of one, postgres.pem its certificate, rekey_root with
$ROOT_PASSWORD an account that may make users, and `legacy` and `nightly` are users.
Exit status 1 if anything differed, or if no block was found at all."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/api"))
sys.path.insert(0, str(TOP / "tests/databases"))

import server  # noqa: E402
import servers  # noqa: E402

COMMAND_SECONDS_MAX = 120
START_SECONDS_MAX = 120
DATABASES = {"postgres": servers.Postgres, "mariadb": servers.MariaDb, "redis": servers.Redis}
BLOCK = re.compile(r"^(`{3,})console play\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


def commands(block):
    """[(command, expected exit code, expected lines)] of a block."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif not found:
            raise ValueError(f"output before any command: {line!r}")
        elif (found[-1][0][-1].endswith("\\") or line.startswith("> ")) and not found[-1][1]:
            found[-1][0].append(line.removeprefix("> "))
        else:
            found[-1][1].append(line)
    parsed = []
    for words, expected in found:
        text = "\n".join(words)
        code = re.search(r"\s+# exit (\d+)$", text)
        command = text[:code.start()] if code else text
        parsed.append((command, int(code[1]) if code else 0, expected))
    return parsed


def line_matches(expected, line):
    pattern = ".*".join(re.escape(" ".join(part.split())) for part in
                        re.split(r"\.\.\.|…", expected))
    # Blanks around what may be anything are anything too.
    pattern = re.sub(r"(\\ )?\.\*(\\ )?", ".*", pattern)
    return re.fullmatch(pattern, " ".join(line.split())) is not None


def output_matches(expected, lines):
    if not expected:
        return not lines
    if expected[0].strip() in ("...", "…"):
        return any(output_matches(expected[1:], lines[skip:]) for skip in range(len(lines) + 1))
    return bool(lines) and line_matches(expected[0], lines[0]) and output_matches(expected[1:],
                                                                                  lines[1:])


class Shell:
    """One bash; what a command prints is read up to a line that only we know."""

    def __init__(self, folder, environment):
        self.process = subprocess.Popen(
            ["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=folder, env=environment, text=True,
            start_new_session=True)

    def run(self, command):
        mark = f"--{time.monotonic_ns()}--"
        # In the shell itself, so that variables stay; without its standard input.
        self.process.stdin.write(f"{{ {command}\n}} < /dev/null; code=$?; echo\n"
                                 f"echo {mark} $code\n")
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise ValueError(f"the shell ended: {lines}")
            if line.startswith(mark):
                return int(line.split()[1]), self.without_end(lines)
            lines.append(line.rstrip("\n"))

    @staticmethod
    def without_end(lines):
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    def close(self):
        self.process.stdin.close()
        self.process.wait(COMMAND_SECONDS_MAX)


def start(kind, binary, folder):
    """Starts the page's server: (process, environment)."""
    port = server.free_port()
    environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder),
                   "VAULT_ADDR": f"https://127.0.0.1:{port}", "LC_ALL": "C.UTF-8"}
    (folder / "bin").mkdir()
    (folder / "bin/rekey").symlink_to(binary)
    if kind == "empty":
        cert, key = server.make_certificate(str(folder))
        (folder / "rekey.hcl").write_text(
            f'storage "lmdb" {{\n  path = "{folder}/data"\n}}\nlistener "tcp" {{\n'
            f'  address = "127.0.0.1:{port}"\n  tls_cert_file = "{cert}"\n'
            f'  tls_key_file = "{key}"\n}}\n')
        command = ["server", "-config=rekey.hcl"]
        environment["VAULT_CACERT"] = cert
    else:
        command = ["server", "-standalone=its-data"]
        environment["REKEY_LISTEN_ADDRESS"] = f"127.0.0.1:{port}"
        environment["VAULT_CACERT"] = str(folder / "its-data/tls/ca.pem")
    output = open(folder / ".output", "w+", encoding="utf-8")
    process = subprocess.Popen([binary, *command], cwd=folder, env=environment,
                               stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    ready = "In another terminal" if kind != "empty" else "server started"
    end = time.monotonic() + START_SECONDS_MAX
    while ready not in (text := (folder / ".output").read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > end:
            raise ValueError(f"the server did not start: {text}")
        time.sleep(0.05)
    output.close()
    if token := re.search(r"Root Token: +(\S+)", text):
        environment["VAULT_TOKEN"] = token[1]
    environment.pop("REKEY_LISTEN_ADDRESS", None)
    return process, environment


def start_databases(text, folder, environment, running):
    """Those that the page asks for; appends to `running` what is to be closed."""
    asked = re.search(r"<!-- databases: ([a-z ]+) -->", text)
    for name in asked[1].split() if asked else []:
        database = DATABASES[name]()
        running.append(database)
        database.start()
        database.make_manager()
        for user in ("legacy", "nightly"):
            database.make_fixed_user(user, "before")
        (folder / f"{name}.pem").write_text(database.ca(), encoding="ascii")
        environment[name.upper()] = f"127.0.0.1:{database.port}"
        environment["ROOT_PASSWORD"] = servers.MANAGER_PASSWORD


def play(page, binary):
    """(played, failed) commands of one page; prints what failed."""
    text = page.read_text(encoding="utf-8")
    blocks = [match[2] for match in BLOCK.finditer(text)]
    if not blocks:
        return 0, 0
    kind = "empty" if "<!-- server: empty -->" in text else "standalone"
    played = failed = 0
    with tempfile.TemporaryDirectory(prefix="rekey-docs-") as name:
        folder = pathlib.Path(name)
        process, environment = start(kind, binary, folder)
        databases = []
        try:
            start_databases(text, folder, environment, databases)
            shell = Shell(folder, environment)
            for block in blocks:
                for command, code, expected in commands(block):
                    got, lines = shell.run(command)
                    played += 1
                    if got == code and (not expected or output_matches(expected, lines)):
                        continue
                    failed += 1
                    print(f"FAIL {page.relative_to(TOP)}: $ {command}\n"
                          f"  exit {got}, expected {code}")
                    for title, part in (("expected", expected), ("got", lines)):
                        print(f"  {title}:", *part, sep="\n    ")
            shell.close()
        finally:
            process.terminate()
            process.wait()
            for database in databases:
                database.close()
    return played, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("pages", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    pages = [page.resolve() for page in arguments.pages] or [
        TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
    total = wrong = 0
    for page in pages:
        played, failed = play(page, os.path.realpath(arguments.server))
        total += played
        wrong += failed
        if played:
            print(f"{'FAIL' if failed else 'ok  '} {page.relative_to(TOP)}: {played} commands",
                  flush=True)
    print(f"{total - wrong} commands as documented, {wrong} not")
    return 1 if wrong or not total else 0


if __name__ == "__main__":
    sys.exit(main())
