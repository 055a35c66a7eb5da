"""Body patterns of the API scripts: JSON plus placeholders, captures and `...`.

    {"keys": ["a", $string], "ttl": $near(3600), "token": tok=$token_service, "extra"?: null, ...}

An object's key set must match exactly unless the pattern holds `...`; a key followed by `?` may be
missing; one followed by `~` is sent by OpenBao only, by `^` by Vault and Rekey only.
An array must match item by item; a `...` at its end allows more. `name=` stores what was found
under that name, to be used later as ${name}. Knows nothing of HTTP.
"""
import base64
import binascii
import json
import re


class PatternError(Exception):
    """The script itself is wrong: a pattern that can't be read or a variable that isn't set."""


class Placeholder:
    def __init__(self, name, args):
        self.name, self.args = name, args

    def __repr__(self):
        return f"${self.name}" + (f"({', '.join(map(show, self.args))})" if self.args else "")


class Capture:
    def __init__(self, name, value):
        self.name, self.value = name, value

    def __repr__(self):
        return f"{self.name}={show(self.value)}"


class Object:
    def __init__(self):
        self.entries, self.marks, self.open = {}, {}, False

    def __repr__(self):
        parts = [f'"{k}"{self.marks.get(k, "")}: {show(v)}' for k, v in self.entries.items()]
        return "{" + ", ".join(parts + (["..."] if self.open else [])) + "}"


class Array:
    def __init__(self):
        self.items, self.open = [], False

    def __repr__(self):
        return "[" + ", ".join([show(i) for i in self.items] + (["..."] if self.open else [])) + "]"


def show(value):
    if isinstance(value, (Placeholder, Capture, Object, Array)):
        return repr(value)
    return json.dumps(value)


class Parser:
    TOKEN = re.compile(
        r'\s*(\.\.\.|[{}\[\](),:?~^=]|\$[a-z_0-9]+|"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[A-Za-z_]\w*)'
    )

    def __init__(self, text):
        self.tokens, at = [], 0
        text = text.strip()
        while at < len(text):
            found = self.TOKEN.match(text, at)
            if not found:
                raise PatternError(f"can't read the pattern at: {text[at:at + 40]!r}")
            self.tokens.append(found.group(1))
            at = found.end()
        self.at = 0

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted=None):
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise PatternError(f"expected {wanted or 'a value'}, found {token or 'the end'}")
        self.at += 1
        return token

    def value(self):
        token = self.take()
        if token == "{":
            return self.object()
        if token == "[":
            return self.array()
        if token.startswith("$"):
            return Placeholder(token[1:], self.arguments() if self.peek() == "(" else [])
        if (
            token[0] == '"'
            or token[0] == "-"
            or token[0].isdigit()
            or token in ("true", "false", "null")
        ):
            return json.loads(token, strict=False)
        if self.peek() == "=":
            self.take("=")
            return Capture(token, self.value())
        raise PatternError(f"can't read the pattern at {token!r}")

    def arguments(self):
        self.take("(")
        args = []
        while self.peek() != ")":
            args.append(self.value())
            if self.peek() == ",":
                self.take(",")
        self.take(")")
        return args

    def object(self):
        out = Object()
        while self.peek() != "}":
            if self.peek() == "...":
                self.take()
                out.open = True
            else:
                key = json.loads(self.take(), strict=False)
                if self.peek() in ("?", "~", "^"):
                    out.marks[key] = self.take()
                self.take(":")
                out.entries[key] = self.value()
            if self.peek() == ",":
                self.take(",")
        self.take("}")
        return out

    def array(self):
        out = Array()
        while self.peek() != "]":
            if self.peek() == "...":
                self.take()
                out.open = True
            else:
                out.items.append(self.value())
            if self.peek() == ",":
                self.take(",")
        self.take("]")
        return out


def parse(text):
    parser = Parser(text)
    value = parser.value()
    if parser.peek():
        raise PatternError(f"something follows the pattern: {parser.peek()!r}")
    return value


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
# Token forms, by the kind of server: Vault since 1.10, and OpenBao, which keeps the older ones.
TOKENS = {
    "rekey": {
        "token_service": r"hvs\.[A-Za-z0-9_-]{24,}",
        "token_batch": r"hvb\.[A-Za-z0-9_-]{60,}",
        "token_root": r"hvs\.[A-Za-z0-9]{24}",
    },
    "bao": {
        "token_service": r"s\.[A-Za-z0-9]{24,}",
        "token_batch": r"b\.[A-Za-z0-9_-]{60,}",
        "token_root": r"s\.[A-Za-z0-9]{24}",
    },
}
STRINGS = {
    "uuid": UUID,
    "time": TIME,
    "accessor": re.compile(r"[A-Za-z0-9]{24}"),
    "hex": re.compile(r"([0-9a-f]{2})+"),
    "nonempty": re.compile(r"(?s).+"),
}
NEAR_SECONDS = 15  # how much of a TTL may have passed by the time that it is read


def is_base64(value):
    try:
        return bool(base64.b64decode(value, validate=True))
    except binascii.Error:
        return False


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


class Matcher:
    """Compares a value with a pattern: `problems` are the differences, `captured` the captures."""

    def __init__(self, kind):
        self.tokens, self.problems, self.captured = TOKENS[kind], [], {}
        self.foreign = (
            "^" if kind == "bao" else "~"
        )  # the mark of keys that this kind of server does not send

    def fail(self, where, expected, got):
        self.problems.append(f"{where or 'body'}: expected {show(expected)}, got {json.dumps(got)}")

    def match(self, pattern, value, where=""):
        if isinstance(pattern, Capture):
            self.captured[pattern.name] = value
            self.match(pattern.value, value, where)
        elif isinstance(pattern, Placeholder):
            if not self.holds(pattern, value, where):
                self.fail(where, pattern, value)
        elif isinstance(pattern, Object):
            self.match_object(pattern, value, where)
        elif isinstance(pattern, Array):
            self.match_array(pattern, value, where)
        elif type(pattern) is not type(value) or pattern != value:
            self.fail(where, pattern, value)

    def match_object(self, pattern, value, where):
        if not isinstance(value, dict):
            return self.fail(where, pattern, value)
        entries = {k: v for k, v in pattern.entries.items() if pattern.marks.get(k) != self.foreign}
        for key, wanted in entries.items():
            if key in value:
                self.match(wanted, value[key], f"{where}.{key}")
            elif pattern.marks.get(key) != "?":
                self.problems.append(f"{where}.{key}: missing, expected {show(wanted)}")
        if not pattern.open:
            for key in value.keys() - entries.keys():
                self.problems.append(
                    f"{where}.{key}: not expected, got {json.dumps(value[key])[:200]}"
                )

    def match_array(self, pattern, value, where):
        wrong_length = not isinstance(value, list) or len(value) < len(pattern.items)
        if wrong_length or (len(value) > len(pattern.items) and not pattern.open):
            return self.fail(where, pattern, value)
        for i, wanted in enumerate(pattern.items):
            self.match(wanted, value[i], f"{where}[{i}]")

    def quietly(self, pattern, value):
        """True if it matches; captures are kept, problems are not."""
        before = len(self.problems)
        self.match(pattern, value)
        good = len(self.problems) == before
        del self.problems[before:]
        return good

    def holds(self, placeholder, value, where):
        name, args = placeholder.name, placeholder.args
        text = isinstance(value, str)
        if name in self.tokens:
            return text and bool(re.fullmatch(self.tokens[name], value))
        if name in STRINGS:
            return text and bool(STRINGS[name].fullmatch(value))
        if name in SIMPLE:
            return SIMPLE[name](value)
        if name == "re":
            return text and bool(re.fullmatch(args[0], value, re.S))
        if name == "has":
            return text and args[0] in value
        if name == "near":
            return is_int(value) and args[0] - NEAR_SECONDS <= value <= args[0]
        if name == "range":
            return is_int(value) and args[0] <= value <= args[1]
        if name == "either":
            return any(self.quietly(a, value) for a in args)
        if name == "each":
            return isinstance(value, list) and all(self.quietly(args[0], v) for v in value)
        if name == "values":
            return isinstance(value, dict) and all(self.quietly(args[0], v) for v in value.values())
        if name == "includes":
            return isinstance(value, list) and all(
                any(self.quietly(i, v) for v in value) for i in args
            )
        if name == "excludes":
            return isinstance(value, list) and not any(
                self.quietly(i, v) for i in args for v in value
            )
        if name == "set":
            return (
                isinstance(value, list)
                and len(value) == len(args)
                and all(any(self.quietly(i, v) for v in value) for i in args)
            )
        raise PatternError(f"no placeholder is called ${name} (at {where or 'the body'})")


SIMPLE = {
    "any": lambda v: True,
    "string": lambda v: isinstance(v, str),
    "int": is_int,
    "number": lambda v: is_int(v) or isinstance(v, float),
    "bool": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
    "base64": lambda v: isinstance(v, str) and is_base64(v),
}
