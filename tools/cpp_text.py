"""Just enough C++ for tools/check.py: comments and literals away, where functions begin and end."""

import re

DATA = "\x01"

def strip(text):
    """The text without comments and without what stands inside literals; same line breaks.

    `#include "x"` becomes `#include <<x>>`. A line break inside a raw string is followed by DATA.
    """
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^()\\\s]{0,16})\(.*?\)\1"'
        r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group()
        breaks = "\n" * found.count("\n")
        if found[0] == "/":
            return " " + breaks
        if found[0] == "R":
            return '""' + breaks.replace("\n", "\n" + DATA)
        return found[0] + breaks + found[0]

    includes = re.compile(r'^(\s*#\s*include\s+)"([^"]*)"', re.M)
    return token.sub(blank, includes.sub(r"\1<<\2>>", text))


def functions(code):
    """(name, first line, lines, parameters) of each function body, by its braces.

    Good for clang-formatted code of our style. A lambda or a local class counts with the function
    around it; a brace of an initialiser list in a constructor is not taken for the body. The lines
    of a raw string are data and don't count.
    """
    found, stack, head, head_line, line, data_lines = [], [], "", 0, 1, 0
    code = re.sub(r"^[ \t]*#[^\n]*(\\\n[^\n]*)*", "", code, flags=re.M)
    for char in code:
        if char == "\n":
            line += 1
        if char == DATA:
            data_lines += 1
        elif char == "{":
            kind = kind_of_brace(head, stack)
            stack.append((kind, head, head_line, data_lines))
            head = ""
        elif char == "}" and stack:
            kind, opened_head, first, data_before = stack.pop()
            if kind == "function":
                lines = line - first + 1 - (data_lines - data_before)
                found.append((name_of(opened_head), first, lines, parameters_of(opened_head)))
            head = opened_head + "{}" if kind == "initialiser" else ""
        elif char == ";" and not in_parentheses(head):
            head = ""
        elif char == ":" and head.strip() in ("public", "private", "protected"):
            head = ""
        else:
            if not head.strip():
                head_line = line
            head += char
    return found


def in_parentheses(head):
    return head.count("(") > head.count(")")


def kind_of_brace(head, stack):
    if stack and stack[-1][0] in ("function", "block", "initialiser"):
        return "block"
    head = head.strip()
    if re.search(r"\bnamespace\b|\bextern\s*\"", head):
        return "scope"
    if in_parentheses(head):
        return "initialiser"  # a default argument: f(X x = {})
    if re.search(r"\)\s*(noexcept\s*)?:\s.*[\w>]$", head, re.S):
        return "initialiser"  # Class::Class(...) : member{...}
    if re.match(r"(template\s*<.*>\s*)?(class|struct|union|enum)\b", head, re.S) and not re.search(
            r"\)\s*(const|noexcept|override|final|&)*\s*(->.*)?$", head, re.S):
        return "scope"
    if "(" in head and not re.search(r"=\s*$", head) and not re.search(r"^[^(]*[^=!<>]=[^=]", head):
        return "function"
    return "initialiser" if head else "block"


def name_of(head):
    flat = re.sub(r"\s+", " ", re.sub(r"^\s*template\s*<.*?>\s*(?=\w)", "", head, flags=re.S))
    if match := re.match(r"\s*TEST\w*\(([^)]*)\)", flat):
        return match[1].replace(", ", ".").replace(",", ".").strip()
    match = re.search(r"([\w:~]+|operator\s*[^\s(]+(?:\(\))?)\s*\(", flat)
    return match[1].strip() if match else "?"


def parameters_of(head):
    start = head.find("(")
    depth, count, any_text = 0, 1, False
    for char in head[start:] if start >= 0 else "":
        if char in "(<[{":
            depth += 1
        elif char in ")>]}":
            depth -= 1
            if depth == 0:
                break
        elif char == "," and depth == 1:
            count += 1
        elif depth >= 1 and not char.isspace():
            any_text = True
    return count if any_text else 0
