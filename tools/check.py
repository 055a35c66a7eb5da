#!/usr/bin/env python3
"""Holds the house rules that a compiler can't: arrows between rooms, banned calls, lengths, links.

usage: tools/check.py [--root DIR] [--update-ratchet]

Prints one line for each violation, `file:line: [rule] what and what instead`; ends with status 1
if there was any. Reads only:
  tools/layers.toml         which room may include which, and which library's headers
  tools/banned-allowed.txt  `rule path  # reason`: where a banned call is right; no unused lines
  tools/ratchet.txt         `file PATH LINES` and `function PATH NAME LINES`: what was too long when
                            the rule came; may shrink (--update-ratchet writes that), never grow
tools/check_test.py plants every kind of violation and checks that it is found.
"""

import argparse
import functools
import pathlib
import re
import sys
import tomllib

import cpp_text

FILE_LINES_MAX = 800
FILE_LINES_WARN = 400
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
PARAMETERS_MAX = 5

CPP_SUFFIXES = {".cc", ".h"}
TEXT_SUFFIXES = CPP_SUFFIXES | {".py", ".sh", ".cmake", ".hcl", ".toml", ".service"}
SKIPPED_FOLDERS = {"build", ".git", ".cache", "node_modules", "__pycache__", ".rekey"}

# Headers that come with the compiler or the system; whatever else is written in <> is a library.
SYSTEM_FOLDERS = {"sys", "netinet", "arpa", "linux", "net", "asm", "bits", "sanitizer"}
SYSTEM_HEADERS = {
    "cpuid.h", "dirent.h", "emmintrin.h", "endian.h", "errno.h", "fcntl.h", "grp.h", "ifaddrs.h",
    "immintrin.h", "limits.h", "malloc.h", "netdb.h", "poll.h", "pthread.h", "pwd.h", "sched.h",
    "signal.h", "spawn.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h",
    "syslog.h", "termios.h", "time.h", "unistd.h",
}
TEST_HEADERS = ("gtest/",)


class Ban:
    """A call that has a better place. `where` says which files it holds for."""

    def __init__(self, rule, pattern, instead, where=lambda f: f.in_src):
        self.rule, self.pattern, self.instead = rule, re.compile(pattern), instead
        self.where = where


def product(f):
    return f.in_src and not f.is_test


BANS = [
    Ban("stdout", r"\bstd::(cout|cerr|clog)\b|(?<![\w.>])(std::)?(f?printf|f?puts|putchar)\s*\(",
        "only cli and app talk to the terminal; else base/log.h",
        lambda f: product(f) and f.room not in ("cli", "app")),
    Ban("rand", r"(?<![\w.>])(std::)?(s?rand|[dlm]rand48)\s*\(|\brandom_device\b|\bmt19937\b",
        "a base::Random as an argument", product),
    Ban("entropy", r"\bgetrandom\s*\(|\bgetentropy\s*\(|\bRAND_(priv_)?bytes\b|/dev/u?random",
        "a base::Random as an argument"),
    Ban("clock", r"\b(system|steady|high_resolution)_clock::now\b|\bclock_gettime\s*\("
        r"|\bgettimeofday\s*\(|(?<![\w.>:])(std::|::)?time\s*\(\s*(nullptr|NULL|0|&)",
        "a base::Clock as an argument", product),
    Ban("sleep", r"\bsleep_(for|until)\s*\(|(?<![\w.>])(::)?(u|nano)?sleep\s*\(",
        "wait for the event, or on a condition with a deadline", product),
    Ban("memcmp", r"(?<![\w.>])(std::)?memcmp\s*\(",
        "base::equal_constant_time for secrets, string_view's == for the rest"),
    Ban("c-string", r"(?<![\w.>])(std::)?(v?sprintf|strn?cpy|strn?cat|strtok|gets|alloca)\s*\(",
        "std::string, std::format_to_n, snprintf"),
    Ban("c-number", r"(?<![\w.>])(std::)?(ato(i|l|ll|f)|strto(l|ul|ll|ull|d))\s*\("
        r"|\bstd::sto(i|l|ul|ll|ull|d|f)\s*\(", "std::from_chars", product),
    Ban("shell", r"(?<![\w.>:])(std::|::)?(system|popen|tmpnam|mktemp)\s*\(",
        "posix_spawn; mkstemp"),
    Ban("throw", r"\bthrow\b(?!\s*\()|\bthrow\s*\(", "return fail(...)"),
    Ban("regex", r"\bstd::(basic_)?w?regex\b|#\s*include\s*<regex>", "a small parser, or RE2"),
    # unique_ptr<T>(new T(...)) is how a class with a private constructor is made.
    Ban("new", r"^(?!.*_ptr<[^;]*\(new\b).*((?<!operator )\bnew\b\s*(\(|\[|[A-Za-z_:])"
        r"|(?<!operator )(?<!= )\bdelete\b)",
        "std::make_unique, a container", product),
    Ban("using-namespace", r"\busing\s+namespace\b(?!\s+std::(\w+_)?literals)",
        "name what you use", lambda f: f.is_cpp),
    Ban("macro", r"^\s*#\s*define\b", "a constant, a function, a template"),
    Ban("assert", r"(?<![\w.>])assert\s*\(", "REKEY_CHECK, which stays in a release"),
    Ban("exit", r"(?<![\w.>])(std::|::)?(_?exit|abort|quick_exit|_Exit)\s*\(",
        "return an Error, or REKEY_CHECK",
        lambda f: product(f) and f.room not in ("cli", "app")),
    Ban("detach", r"[.>]detach\s*\(\s*\)", "join it: a thread has an owner"),
    Ban("async", r"\bstd::async\b", "a pool that the owner made"),
    Ban("getenv", r"(?<![\w.>])(std::|::)?(secure_)?getenv\s*\(",
        "an argument; cli and app read the environment",
        lambda f: product(f) and f.room not in ("cli", "app", "config")),
    Ban("goto", r"\bgoto\b", "a function with an early return"),
]
MARKERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")  # an issue, or now


class File:
    def __init__(self, root, path, rooms):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.splitlines()
        self.is_cpp = path.suffix in CPP_SUFFIXES
        self.in_src = self.path.startswith("src/") and self.is_cpp
        self.room = room_of(self.path.removeprefix("src/"), rooms) if self.in_src else None
        self.is_test = path.name.endswith("_test.cc") or "/testing/" in self.path

    @functools.cached_property
    def code(self):
        return cpp_text.strip(self.text)


def room_of(path, rooms):
    parts = path.split("/")[:-1]
    for end in range(len(parts), 0, -1):
        if (name := "/".join(parts[:end])) in rooms:
            return name
    return None


class Report:
    def __init__(self):
        self.violations, self.warnings = [], []

    def fail(self, file, line, rule, what):
        self.violations.append((file, line, rule, what))


# --- arrows ---------------------------------------------------------------------------------------


class Layers:
    def __init__(self, root, report):
        self.uses, self.external, self.headers = {}, {}, {}
        try:
            table = tomllib.loads((root / "tools/layers.toml").read_text())
        except tomllib.TOMLDecodeError as error:
            report.fail("tools/layers.toml", 1, "layers", f"not TOML: {error}")
            return
        self.uses, self.external = table["rooms"], table["external"]
        self.headers = table["headers"]
        above = set()
        for room, used in self.uses.items():
            for name in used:
                if name not in above:
                    report.fail("tools/layers.toml", 1, "layers",
                                f"{room} uses {name}, which does not stand above it")
            above.add(room)
        for room in self.external:
            if room not in self.uses:
                report.fail("tools/layers.toml", 1, "layers", f"[external] {room} is no room")

    def below(self, room):
        """The rooms that `room` may include, itself among them."""
        found, rest = set(), [room]
        while rest:
            name = rest.pop()
            if name not in found:
                found.add(name)
                rest += self.uses.get(name, [])
        return found

    def library_of(self, header):
        for library, prefixes in self.headers.items():
            if header.startswith(tuple(prefixes)):
                return library
        return None


def check_arrows(file, layers, report):
    if not file.in_src:
        return
    if file.room is None:
        report.fail(file.path, 1, "layers", "this folder is no room of tools/layers.toml")
        return
    allowed = layers.below(file.room)
    for number, line in enumerate(file.code.splitlines(), 1):
        if match := re.match(r"\s*#\s*include\s*<<(.+)>>", line):
            check_own_include(file, number, match[1], allowed, layers, report)
        elif match := re.match(r"\s*#\s*include\s*<(.+)>", line):
            check_library_include(file, number, match[1], layers, report)


def check_own_include(file, number, header, allowed, layers, report):
    target = room_of(header, layers.uses)
    if target is None:
        report.fail(file.path, number, "layers",
                    f'"{header}" names no room: includes are written from src, as "base/error.h"')
    elif target not in allowed:
        report.fail(file.path, number, "layers", f"{file.room} must not know {target} ({header})")
    elif "/testing/" in header and not file.is_test:
        report.fail(file.path, number, "layers", f"{header} is for tests")


def check_library_include(file, number, header, layers, report):
    folder = header.split("/")[0]
    if "/" not in header and not header.endswith((".h", ".hpp")):
        return  # the C++ library
    if header in SYSTEM_HEADERS or ("/" in header and folder in SYSTEM_FOLDERS):
        return
    if header.startswith(TEST_HEADERS):
        if not file.is_test:
            report.fail(file.path, number, "layers", f"<{header}> is for tests")
        return
    library = layers.library_of(header)
    if library is None:
        report.fail(file.path, number, "layers",
                    f"<{header}>: name its library under [headers] in tools/layers.toml")
    elif library not in layers.external.get(file.room, []):
        report.fail(file.path, number, "layers",
                    f"<{header}>: {file.room} must not know {library}; see [external]")


# --- banned calls ---------------------------------------------------------------------------------


def read_allowed(root, report):
    allowed, path = {}, root / "tools/banned-allowed.txt"
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        entry, _, reason = line.partition("#")
        if not entry.strip():
            continue
        words = entry.split()
        if len(words) != 2 or not reason.strip():
            report.fail("tools/banned-allowed.txt", number, "allowlist",
                        "a line is: rule path  # reason")
            continue
        allowed[tuple(words)] = [number, False]
    return allowed


def check_banned(file, allowed, report):
    for ban in BANS if file.is_cpp else []:
        if not ban.where(file):
            continue
        for number, line in enumerate(file.code.splitlines(), 1):
            if not (match := ban.pattern.search(line)):
                continue
            if entry := allowed.get((ban.rule, file.path)):
                entry[1] = True
            else:
                report.fail(file.path, number, ban.rule,
                            f"`{match.group().strip()}`; instead: {ban.instead}")
    for number, line in enumerate(file.lines, 1):
        if file.path != "tools/check.py" and file.path != "tools/check_test.py":
            if match := MARKERS.search(line):
                report.fail(file.path, number, "marker", f"{match[1]}: do it, or open an issue")


def check_allowlist_used(allowed, report):
    for (rule, path), (number, used) in allowed.items():
        if not used:
            report.fail("tools/banned-allowed.txt", number, "allowlist",
                        f"`{rule} {path}` is not needed any more: delete the line")


# --- lengths --------------------------------------------------------------------------------------


class Ratchet:
    """Lengths that were over the limit when the rule came: key -> lines allowed."""

    def __init__(self, root):
        self.path, self.allowed, self.seen = root / "tools/ratchet.txt", {}, {}
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            words = line.partition("#")[0].split()
            if len(words) >= 3:
                self.allowed[" ".join(words[:-1])] = int(words[-1])

    def check(self, key, lines, limit, file, line, report):
        if lines <= limit:
            return
        self.seen[key] = lines
        allowed = self.allowed.get(key)
        if allowed is None:
            report.fail(file, line, "length", f"{key}: {lines} lines, at most {limit}: split it")
        elif lines > allowed:
            report.fail(file, line, "length", f"{key} grew from {allowed} to {lines} lines")

    def finish(self, report):
        for key, allowed in self.allowed.items():
            if self.seen.get(key, 0) < allowed:
                now = f"now {self.seen[key]}" if key in self.seen else "no longer too long"
                report.fail("tools/ratchet.txt", 1, "ratchet",
                            f"{key} {allowed}: {now}; run tools/check.py --update-ratchet")

    def update(self):
        """Writes what has shrunk. Never adds a line or raises a number: that is an edit by hand."""
        kept = [line for line in self.path.read_text().splitlines() if line.startswith("#")]
        kept += [f"{key} {min(allowed, self.seen[key])}"
                 for key, allowed in sorted(self.allowed.items()) if key in self.seen]
        self.path.write_text("\n".join(kept) + "\n")


def check_lengths(file, ratchet, report):
    if file.is_cpp or file.path.endswith(".py"):
        count = len(file.lines)
        ratchet.check(f"file {file.path}", count, FILE_LINES_MAX, file.path, 1, report)
        if FILE_LINES_WARN < count <= FILE_LINES_MAX:
            report.warnings.append(f"{file.path}: {count} lines, the aim is {FILE_LINES_WARN}")
    for number, line in enumerate(file.lines, 1):
        if len(line) > COLUMNS_MAX and "://" not in line and 'R"' not in line:
            report.fail(file.path, number, "columns", f"{len(line)} columns, at most {COLUMNS_MAX}")
    if not file.is_cpp:
        return
    for name, first, lines, parameters in cpp_text.functions(file.code):
        key = f"function {file.path} {name}"
        ratchet.check(key, lines, FUNCTION_LINES_MAX, file.path, first, report)
        if parameters > PARAMETERS_MAX and product(file):
            report.warnings.append(f"{file.path}:{first}: {name} has {parameters} parameters, "
                                   f"the aim is {PARAMETERS_MAX}: a struct")


# --- headers and documents ------------------------------------------------------------------------


def check_header(file, report):
    if not file.path.endswith(".h"):
        return
    if not file.lines or not file.lines[0].startswith("// "):
        report.fail(file.path, 1, "header", "begin with a comment: what it is, what it must never "
                    "know, on which thread it lives")
    if "#pragma once" not in file.lines:
        report.fail(file.path, 1, "header", "#pragma once is missing")


def check_links(root, path, report):
    """Relative links in a Markdown file lead somewhere."""
    text = path.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"```.*?```", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    name = path.relative_to(root).as_posix()
    for number, line in enumerate(text.splitlines(), 1):
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", re.sub(r"`[^`]*`", "", line)):
            if "://" not in target and not target.startswith("mailto:"):
                if not (path.parent / target).exists():
                    report.fail(name, number, "link", f"{target} is not there")
        if MARKERS.search(line):
            report.fail(name, number, "marker", "do it, or open an issue")


# --- all of it ------------------------------------------------------------------------------------


def files_of(root):
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if not SKIPPED_FOLDERS.intersection(relative.parts) and path.is_file():
            if not {"testdata", "corpus"}.intersection(relative.parts):
                yield path


def is_checked(path):
    if path.suffix == "":
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    return path.suffix in TEXT_SUFFIXES or path.name == "CMakeLists.txt"


def run(root, update_ratchet=False):
    report = Report()
    layers = Layers(root, report)
    allowed, ratchet = read_allowed(root, report), Ratchet(root)
    count = 0
    for path in files_of(root):
        if path.suffix == ".md":
            check_links(root, path, report)
        if not is_checked(path):
            continue
        count += 1
        file = File(root, path, layers.uses)
        check_arrows(file, layers, report)
        check_banned(file, allowed, report)
        check_lengths(file, ratchet, report)
        if file.in_src:
            check_header(file, report)
    check_allowlist_used(allowed, report)
    if update_ratchet:
        ratchet.update()
    else:
        ratchet.finish(report)
    return report, count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--update-ratchet", action="store_true")
    arguments = parser.parse_args()
    report, count = run(arguments.root.resolve(), arguments.update_ratchet)
    for warning in report.warnings:
        print(f"note: {warning}")
    for file, line, rule, what in report.violations:
        print(f"{file}:{line}: [{rule}] {what}")
    print(f"{count} files, {len(report.violations)} violations")
    return 1 if report.violations or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
