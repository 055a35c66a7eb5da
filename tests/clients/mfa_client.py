#!/usr/bin/env python3
"""A person with a phone: enrols by the QR code that a scanner reads (zbarimg), gets codes from
Debian's oathtool, and logs in on a terminal. Reads VAULT_ADDR and VAULT_CACERT of a server that
isn't initialised, REKEY_PROGRAM and CLIENT_TEST_DIR; prints `ok NAME` or `FAIL NAME: why`."""
import base64
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
import urllib.parse

FOLDER = os.environ["CLIENT_TEST_DIR"]
REKEY = os.environ["REKEY_PROGRAM"]
ANSWER_SECONDS_MAX = 20
FAILED = []


def check(name, good, why=""):
    print(f"ok {name}" if good else f"FAIL {name}: {why}", flush=True)
    if not good:
        FAILED.append(name)


def rekey(*words, **more):
    return subprocess.run(
        [REKEY, *words], capture_output=True, text=True, timeout=60, check=False, **more
    )


def data(*words):
    done = rekey(*words, "-format=json")
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stderr}")
    return json.loads(done.stdout or "{}")


def scan(picture):
    """What a scanner reads in a picture file."""
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", picture],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip()


def draw(text, picture):
    """The half blocks of a terminal as a picture, eight points for each square."""
    rows = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        if not line or set(line) - set("█▀▄ "):
            continue
        rows.append([c in "▄ " for c in line])
        rows.append([c in "▀ " for c in line])
    with open(picture, "w") as out:
        out.write(f"P1\n{len(rows[0]) * 8} {len(rows) * 8}\n")
        for row in rows:
            line = "".join(("1" if dark else "0") * 8 for dark in row)
            out.write((line + "\n") * 8)


def oathtool(url, at=None):
    known = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    words = [f"--totp={known['algorithm'].lower()}", f"--digits={known['digits']}"]
    words += [f"--time-step-size={known['period']}s", "--base32", known["secret"]]
    if at:
        words.append(time.strftime("--now=%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)))
    done = subprocess.run(["oathtool", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def log_in_on_a_terminal(words, answers):
    """Runs it in a terminal and types each of the answers at a prompt; returns all it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(REKEY, [REKEY, *words])
    shown, typed = "", 0
    end = time.time() + ANSWER_SECONDS_MAX
    while time.time() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            part = os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # it ended
            break
        if not part:
            break
        shown += part
        if shown.count("(will be hidden): ") > typed < len(answers):
            time.sleep(0.2)  # until it reads without echo
            os.write(terminal, (answers[typed]() + "\n").encode())
            typed += 1
    return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def set_up():
    made = data("operator", "init", "-key-shares=1", "-key-threshold=1")
    data("operator", "unseal", made["unseal_keys_b64"][0])
    os.environ["VAULT_TOKEN"] = made["root_token"]
    rekey("auth", "enable", "userpass")
    rekey("write", "auth/userpass/users/alice", "password=pw")
    entity = data("write", "auth/userpass/login/alice", "password=pw")["auth"]["entity_id"]
    method = data(
        "write", "identity/mfa/method/totp", "issuer=Rekey Test", "method_name=phone"
    )["data"]["method_id"]
    return entity, method


def main():
    entity, method = set_up()

    made = data("mfa", "enroll", f"-entity={entity}", method)["data"]
    url = made["url"]
    with open(f"{FOLDER}/code.png", "wb") as picture:
        picture.write(base64.b64decode(made["barcode"]))
    check("a scanner reads the picture", scan(f"{FOLDER}/code.png") == url, "another text")

    again = rekey("mfa", "enroll", f"-entity={entity}", method)
    check("a key is shown once", again.returncode == 2 and url not in again.stdout, again.stdout)

    rekey("write", "identity/mfa/method/totp/admin-destroy", f"method_id={method}",
          f"entity_id={entity}")
    shown = rekey("mfa", "enroll", f"-entity={entity}", method)
    draw(shown.stdout, f"{FOLDER}/code.pbm")
    url = scan(f"{FOLDER}/code.pbm")
    key = re.search(r"Key: +([A-Z2-7 ]+)", shown.stdout)
    check("a scanner reads the terminal", url.startswith("otpauth://totp/Rekey%20Test:"),
          shown.stdout + shown.stderr)
    check("the key is there to type", key and key.group(1).replace(" ", "") in url, shown.stdout)

    done = rekey("write", "identity/mfa/login-enforcement/people", f"mfa_method_ids={method}",
                 "auth_method_types=userpass")
    check("an enforcement is written", done.returncode == 0, done.stderr)
    root = os.environ.pop("VAULT_TOKEN")

    # Nobody to ask: what is wanted is shown, and no token.
    words = ["login", "-method=userpass", "username=alice", "password=pw"]
    plain = rekey(*words, stdin=subprocess.DEVNULL)
    check("without a terminal it says what is wanted",
          plain.returncode == 0 and "mfa_request_id" in plain.stdout and method in plain.stdout
          and "hvs." not in plain.stdout, plain.stdout + plain.stderr)
    quiet, code = log_in_on_a_terminal([*words, "-non-interactive"], [])
    check("and with -non-interactive", code == 0 and "mfa_request_id" in quiet, quiet)
    asked = data(*words)["auth"]["mfa_requirement"]["mfa_request_id"]
    with open(f"{FOLDER}/payload.json", "w") as payload:
        json.dump({"mfa_request_id": asked, "mfa_payload": {method: [oathtool(url)]}}, payload)
    os.chmod(f"{FOLDER}/payload.json", 0o600)
    done = data("write", "sys/mfa/validate", f"@{FOLDER}/payload.json")
    check("write sys/mfa/validate completes it",
          done["auth"]["client_token"].startswith("hvs."), done)

    # The code that was just used, then the next one (which the skew already takes).
    shown, code = log_in_on_a_terminal(
        words, [lambda: oathtool(url), lambda: oathtool(url, time.time() + 30)]
    )
    check("a used code is asked for again, the next one lets in",
          code == 0 and "not accepted" in shown and "Success!" in shown, shown)
    me = rekey("token", "lookup", "-format=json")
    check("the token is kept", me.returncode == 0 and entity in me.stdout, me.stderr)

    # A new key, whose codes nobody has used.
    os.environ["VAULT_TOKEN"] = root
    rekey("write", "identity/mfa/method/totp/admin-destroy", f"method_id={method}",
          f"entity_id={entity}")
    url = data("mfa", "enroll", f"-entity={entity}", method)["data"]["url"]
    del os.environ["VAULT_TOKEN"]
    shown, code = log_in_on_a_terminal(["login", "-wrap-ttl=60s", *words[1:]],
                                       [lambda: oathtool(url)])
    check("a login that is wrapped shows the wrapping token",
          code == 0 and "wrapping_token" in shown, shown)

    shown, code = log_in_on_a_terminal(words, [lambda: "000000"] * 3)
    check("three wrong ones end it", code == 2 and "failed to satisfy enforcement" in shown, shown)
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
