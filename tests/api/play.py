"""Plays a script at a server: sends each request, compares the answer with what the script
expects, collects failures."""
import base64
import hashlib
import hmac
import json
import re
import time
import urllib.parse

from pattern import Matcher, PatternError, parse, show
from script import Command
from server import make_certificate

# A bao run can't move time: it sleeps this long at most; otherwise the section's rest is left out.
SLEEP_SECONDS_MAX = 5
WAIT_SECONDS_MAX = 10
SHOWN_MAX = 1500  # characters of an answer in a failure's report
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Failure:
    def __init__(self, script, step, problems, request, got):
        self.script, self.step, self.problems, self.request, self.got = (
            script,
            step,
            problems,
            request,
            got,
        )

    def __str__(self):
        lines = [
            f"FAIL {self.script}:{self.step.line} [{self.step.section}]",
            f"  request:  {self.request}",
        ]
        lines += [f"  problem:  {p}" for p in self.problems[:12]]
        if len(self.problems) > 12:
            lines.append(f"  ... and {len(self.problems) - 12} more")
        return "\n".join(lines + [f"  got:      {self.got}"])


class Answer:
    def __init__(self, status, headers, raw):
        self.status, self.headers, self.raw = status, headers, raw

    def header(self, name):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ", ".join(values) if values else None

    def json(self):
        return json.loads(self.raw)

    def __str__(self):
        text = self.raw.decode(errors="replace")
        shown = text if len(text) < SHOWN_MAX else text[:SHOWN_MAX] + "..."
        return f"{self.status} {self.header('Content-Type') or '-'} {shown}"


def seconds(text):
    total = 0
    for number, unit in re.findall(r"(\d+)([smhd])", text):
        total += int(number) * UNITS[unit]
    return -total if text.startswith("-") else total


def merge_patterns(envelope, more):
    """`more`'s keys beside the envelope's: the old top-level duplication."""
    envelope.entries.update({k: v for k, v in more.entries.items() if k not in envelope.entries})
    envelope.marks.update(more.marks)
    envelope.open = envelope.open or more.open
    return envelope


def totp(url, now):
    """RFC 6238, from an otpauth URL as an app reads it."""
    known = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    secret = known["secret"] + "=" * (-len(known["secret"]) % 8)
    step = int(now) // int(known["period"])
    mac = hmac.digest(
        base64.b32decode(secret), step.to_bytes(8, "big"), known["algorithm"].lower()
    )
    at = mac[-1] & 15
    number = int.from_bytes(mac[at : at + 4], "big") & 0x7FFFFFFF
    return str(number)[-int(known["digits"]) :].zfill(int(known["digits"]))


class Player:
    """`observe(step, answer)`, if given, sees every answer in place of the comparison; captures
    happen all the same."""

    def __init__(self, script, server, observe=None):
        self.script, self.server, self.observe = script, server, observe
        self.failures, self.passed, self.left_out, self.skipping = [], 0, 0, None
        self.dead = False
        self.token, self.filled = "root", {}
        self.variables = {
            "root": server.root,
            "key": "".join(server.keys[:1]),
            "none": "",
            "dir": server.folder,
            "key_base64": "".join(server.keys_base64[:1]),
            "address": server.address,
            "port": str(server.port),
            "token_prefix": "s." if server.kind == "bao" else "hvs.",
            "cli": "bao" if server.kind == "bao" else "vault",
            "cli_name": "OpenBao" if server.kind == "bao" else "Vault",
            "version": "2.7.2" if server.kind == "bao" else "1.14.10",
            "replication_mode": "primary" if server.kind == "bao" else "disabled",
            "upgrade_shown": "0" if server.kind == "bao" else "2",
            "otp_length": "26" if server.kind == "bao" else "28",
        }

    def play(self):
        self.run(self.script.steps)

    def run(self, steps):
        for step in steps:
            if self.dead:
                return
            if self.skipping is not None and step.section == self.skipping:
                self.left_out += 1
                continue
            self.skipping = None
            try:
                if isinstance(step, Command):
                    self.command(step)
                else:
                    self.request(step)
            except (PatternError, ValueError, KeyError) as e:
                self.failures.append(
                    Failure(self.script.name, step, [f"{type(e).__name__}: {e}"], "-", "-")
                )
            except OSError as e:
                if not self.server.alive():
                    self.server_died(step)
                    return
                self.failures.append(
                    Failure(
                        self.script.name,
                        step,
                        [f"no answer: {e!r}"],
                        "-",
                        self.server.log_tail(600),
                    )
                )

    def server_died(self, step):
        """Nothing that follows can be shown; it counts as one failure."""
        if not self.dead:
            problem = f"the server ended, status {self.server.process.poll()}"
            self.failures.append(
                Failure(self.script.name, step, [problem], "-", self.server.log_tail(600))
            )
        self.dead = True

    # --- commands ---

    def command(self, step):
        argument = self.expand(step.argument)
        if step.name in ("restart", "seal", "unseal", "reload"):
            getattr(self.server, step.name)()
        elif step.name == "as":
            if argument not in self.variables:
                raise PatternError(f"no variable is called {argument}")
            self.token = argument
        elif step.name == "let":
            name, value = argument.split("=", 1)
            self.variables[name.strip()] = self.compute(value.strip())
        elif step.name == "loop":
            for i in range(int(argument)):
                self.variables["i"] = str(i)
                self.run(step.steps)
        elif step.name == "sleep":
            time.sleep(seconds(argument))
        elif (
            step.name == "wait"
        ):  # until a request is answered with a status; for what is done in the background
            method, path, status = argument.split()
            end = time.time() + WAIT_SECONDS_MAX
            while self.server.call(method, f"/v1/{path}", token=self.variables[self.token])[
                0
            ] != int(status):
                if time.time() > end:
                    raise ValueError(f"{argument}: not within {WAIT_SECONDS_MAX} s")
                time.sleep(0.05)
        elif step.name == "file":
            name, content = argument.split(" ", 1)
            with open(f"{self.server.folder}/{name}", "w") as f:
                f.write(content + "\n")
        elif step.name == "certificate":
            make_certificate(self.server.folder)
        elif step.name == "advance":
            if self.server.kind == "rekey":
                self.server.advance(seconds(argument))
            elif seconds(argument) <= SLEEP_SECONDS_MAX:
                time.sleep(seconds(argument) + 0.3)
            else:
                self.skipping = step.section
        else:
            raise PatternError(f"unknown command {step.name}")

    def compute(self, text):
        found = re.fullmatch(r"(\w+)\((.*)\)", text)
        if not found:
            return text
        function, args = found.group(1), [a.strip() for a in found.group(2).split(",")]
        if (
            function == "decode_root"
        ):  # generate-root's result: base64 of the token XOR the one-time password
            encoded = base64.b64decode(args[0] + "=" * (-len(args[0]) % 4))
            return bytes(a ^ b for a, b in zip(encoded, args[1].encode())).decode(errors="replace")
        if function == "base64":
            return base64.b64encode(args[0].encode()).decode()
        if function == "hex_to_base64":
            return base64.b64encode(bytes.fromhex(args[0])).decode()
        if function == "sha256":
            return hashlib.sha256(args[0].encode()).hexdigest()
        if function == "repeat":
            return args[0] * int(args[1])
        if function == "time":  # RFC 3339, from now
            return time.strftime(
                "%Y-%m-%dT%H:%M:%SZ",
                time.gmtime(time.time() + self.server.offset_seconds + seconds(args[0])),
            )
        if function == "totp":  # the code of an otpauth URL, now or so many seconds from now
            now = time.time() + self.server.offset_seconds
            return totp(args[0], now + (seconds(args[1]) if len(args) > 1 else 0))
        raise PatternError(f"no function is called {function}")

    def expand(self, text, quote=False):
        def value(found):
            if found.group(1) not in self.variables:
                raise PatternError(f"${{{found.group(1)}}} isn't set")
            plain = str(self.variables[found.group(1)])
            return json.dumps(plain)[1:-1] if quote else plain

        return re.sub(r"\$\{(\w+)\}", value, text)

    # --- requests ---

    def send(self, step):
        path = self.expand(step.path)
        path = path if path.startswith("/") else "/v1/" + path
        body = step.body
        headers = {k: self.expand(v) for k, v in step.headers.items()}
        if body.startswith("form: "):
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            body = self.expand(body[len("form: ") :])
        elif body.startswith("raw: "):
            body = self.expand(body[len("raw: ") :])
        else:
            body = self.expand(body, quote=True)
            if body:
                kind = "merge-patch+json" if step.method == "PATCH" else "json"
                headers.setdefault("Content-Type", f"application/{kind}")
        token = self.variables[self.token]
        if token and "X-Vault-Token" not in headers:
            headers["X-Vault-Token"] = token
        headers = {k: v for k, v in headers.items() if v != "-"}
        answer = Answer(*self.server.request(step.method, path, body.encode(), headers))
        return answer, f"{step.method} {path} {body}".strip()[:400]

    def request(self, step):
        expect = step.bao if self.server.kind == "bao" and step.bao else step.expect
        if expect.status == "skip":
            self.left_out += 1
            return
        answer, shown = self.send(step)
        if expect.status == "?":
            self.filled[expect.line] = answer
            self.failures.append(
                Failure(self.script.name, step, ["nothing expected yet"], shown, answer)
            )
            return
        matcher = Matcher(self.server.kind)
        try:
            self.compare(expect, step, answer, matcher)
        finally:
            self.variables.update(matcher.captured)
        if self.observe:
            self.observe(step, answer)
        elif matcher.problems:
            self.failures.append(Failure(self.script.name, step, matcher.problems, shown, answer))
        else:
            self.passed += 1

    def compare(self, expect, step, answer, matcher):
        if not re.fullmatch(expect.status.replace("x", "."), str(answer.status)):
            matcher.problems.append(f"status: expected {expect.status}, got {answer.status}")
        self.compare_headers(expect, step, answer, matcher)
        if expect.shape in ("any", "text", "match") or step.method in ("HEAD", "OPTIONS"):
            if expect.shape == "text" and answer.raw.decode() != self.expand(expect.body):
                matcher.problems.append(f"body: expected {expect.body!r}")
            if expect.shape == "match":
                matcher.problems += [
                    f"body: no line matches {line}"
                    for line in expect.body.split("\n")
                    if not re.search(line, answer.raw.decode(), re.M)
                ]
            return
        pattern = self.pattern(expect, answer)
        if pattern is None:
            if answer.raw:
                matcher.problems.append("body: expected none")
            return
        try:
            matcher.match(pattern, answer.json())
        except json.JSONDecodeError:
            matcher.problems.append(f"body: not JSON, expected {show(pattern)[:300]}")

    def compare_headers(self, expect, step, answer, matcher):
        wanted = {k: self.expand(v) for k, v in expect.headers.items()}
        if answer.raw and expect.shape not in ("any", "text", "match"):
            wanted.setdefault("Content-Type", "application/json")
        if not step.path.startswith("/") and (
            answer.status < 400 or answer.status in (403, 404, 405)
        ):
            wanted.setdefault("Cache-Control", "no-store")
        for name, value in wanted.items():
            got = answer.header(name)
            if got != (None if value == "-" else value) and not (value == "*" and got):
                matcher.problems.append(f"header {name}: expected {value!r}, got {got!r}")

    def error_pattern(self, text):
        """`! text` is exact, with \\n and \\t as in JSON; `!~ regex` matches the whole text."""
        if text.startswith("~ "):
            return "$re(" + json.dumps(self.expand(text[2:])) + ")"
        return '"' + self.expand(text.replace('"', '\\"')) + '"'

    def pattern(self, expect, answer):
        if expect.errors is not None:
            return parse(
                '{"errors": [' + ", ".join(self.error_pattern(e) for e in expect.errors) + "]}"
            )
        body = self.expand(expect.body, quote=True)
        if expect.shape in (None, "plain"):
            return parse(body) if body else None
        fields = {
            "request_id": "$uuid",
            "lease_id": '""',
            "renewable": "false",
            "lease_duration": "0",
            "data": "null",
            "wrap_info": "null",
            "warnings": "null",
            "auth": "null",
        }
        mount_type = '"mount_type"^: $string'
        if expect.shape == "wrap":
            fields["request_id"] = '$either("", $uuid)'  # Vault sends none, Rekey the record's
            mount_type = '"mount_type"?: $string'
        field = {"data": "data", "dup": "data", "auth": "auth", "wrap": "wrap_info"}[expect.shape]
        fields[field] = body or "null"
        fields.update({k: self.expand(v, quote=True) for k, v in expect.fields.items()})
        if "mount_type" in fields:
            mount_type = f'"mount_type"^: {fields.pop("mount_type")}'
        envelope = parse(
            "{" + "".join(f'"{k}": {v}, ' for k, v in fields.items()) + mount_type + "}"
        )
        return merge_patterns(envelope, parse(body)) if expect.shape == "dup" else envelope
