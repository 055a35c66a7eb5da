"""Reads an API script (tests/api/*.txt) into steps. The format is described in tests/api/README.md.
Knows nothing of servers."""
import re

METHODS = "GET|PUT|POST|DELETE|LIST|PATCH|HEAD|HELP|SCAN|OPTIONS"
REQUEST = re.compile(rf"({METHODS}) (\S+)$")
HEADER = re.compile(r"([A-Z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*):(?: (.*))?$")
FIELD = re.compile(
    r"(lease_id|renewable|lease_duration|data|wrap_info|warnings|auth|mount_type): (.*)$"
)
EXPECT = re.compile(
    r"(bao )?=> (\?|skip|[1-5x][0-9x|]+)(?: (any|plain|data|dup|auth|wrap|text|match))?$"
)
COMMAND = re.compile(
    r"(restart|seal|unseal|advance|sleep|wait|as|let|loop|end|repeat|file|reload|certificate)"
    r"\b ?(.*)$"
)
SETTING = re.compile(
    r"(server|storage|listener|listener-config|config|bao-config|rekey-config): ?(.*)$"
)


class ScriptError(Exception):
    pass


class Expectation:
    """What must come back: status, headers, body in one of the shapes."""

    def __init__(self, line, status, shape):
        self.line, self.status, self.shape = line, status, shape
        self.headers, self.fields, self.errors, self.body = {}, {}, None, ""


class Request:
    def __init__(self, line, section, method, path):
        self.line, self.section, self.method, self.path = line, section, method, path
        self.headers, self.body = {}, ""
        self.expect, self.bao, self.differs = None, None, ""


class Command:
    def __init__(self, line, section, name, argument):
        self.line, self.section, self.name, self.argument = line, section, name, argument
        self.steps = []  # of a loop


class Script:
    def __init__(self, name):
        self.name, self.settings, self.steps = name, {}, []

    def requests(self, steps=None):
        for step in self.steps if steps is None else steps:
            if isinstance(step, Request):
                yield step
            else:
                yield from self.requests(step.steps)

    def commands(self, steps=None):
        for step in self.steps if steps is None else steps:
            if isinstance(step, Command):
                yield step
                yield from self.commands(step.steps)


class Reader:
    def __init__(self, name, text):
        self.script, self.lines, self.at, self.section = Script(name), text.split("\n"), 0, ""

    def error(self, what):
        raise ScriptError(f"{self.script.name}:{self.at}: {what}")

    def next_block(self):
        """The next lines up to an empty one, without comments, each with its number."""
        block = []
        while self.at < len(self.lines):
            line = self.lines[self.at].rstrip()
            self.at += 1
            if line.startswith("#"):
                continue
            if line:
                block.append((self.at, line))
            elif block:
                break
        return block

    def read(self):
        stack = [self.script.steps]
        while block := self.next_block():
            while block:
                number, line = block[0]
                if line.startswith("== "):
                    self.section, block = line.strip("= "), block[1:]
                elif found := REQUEST.match(line):
                    stack[-1].append(self.request(number, found, block[1:]))
                    break
                elif found := SETTING.match(line):
                    self.script.settings.setdefault(found.group(1), []).append(found.group(2))
                    block = block[1:]
                elif found := COMMAND.match(line):
                    self.command(number, found, stack)
                    block = block[1:]
                else:
                    self.error(f"line {number}: neither a request nor a command: {line}")
        if len(stack) != 1:
            self.error("a loop without its end")
        return self.script

    def command(self, number, found, stack):
        if found.group(1) == "end":
            if len(stack) == 1:
                self.error("end without loop")
            stack.pop()
            return
        step = Command(number, self.section, found.group(1), found.group(2))
        stack[-1].append(step)
        if step.name == "loop":
            stack.append(step.steps)

    def request(self, number, found, block):
        step = Request(number, self.section, found.group(1), found.group(2))
        target, body = step, []
        for number, line in block:
            if line.startswith("differs: "):
                step.differs = line[len("differs: ") :]
            elif expected := EXPECT.match(line):
                target.body, body = "\n".join(body), []
                target = Expectation(number, expected.group(2), expected.group(3))
                if expected.group(1):
                    step.bao = target
                else:
                    step.expect = target
            elif not body and (header := HEADER.match(line)):
                target.headers[header.group(1)] = header.group(2) or ""
            elif not body and target is not step and (field := FIELD.match(line)):
                target.fields[field.group(1)] = field.group(2)
            elif not body and target is not step and re.match("!( |~ |$)", line):
                target.errors = (target.errors or []) + (
                    [line[1:].removeprefix(" ")] if line != "!" else []
                )
            else:
                body.append(line)
        target.body = "\n".join(body)
        if not step.expect:
            self.error(f"line {step.line}: a request without its '=> STATUS'")
        if step.bao and not step.differs:
            self.error(f"line {step.line}: 'bao =>' needs a 'differs: reason' line")
        return step


def read(name, text):
    return Reader(name, text).read()
