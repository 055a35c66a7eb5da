"""Writes what a server answered into a script's `=> ?` lines, as a pattern to be reviewed by
whoever wrote the request.
A tool for authors; no test runs it."""
import json
import re

from pattern import TIME, UUID

WIDTH = 100
ENVELOPE = {
    "lease_id": "",
    "renewable": False,
    "lease_duration": 0,
    "data": None,
    "wrap_info": None,
    "warnings": None,
    "auth": None,
}


def value(v, variables):
    if isinstance(v, str):
        for name, known in variables.items():
            if v and v == known and len(v) > 8:
                return '"${' + name + '}"'
        if UUID.fullmatch(v):
            return "$uuid"
        if TIME.fullmatch(v):
            return "$time"
        if re.fullmatch(r"s\.[A-Za-z0-9]{24,}", v):
            return "$token_service"
        if re.fullmatch(r"b\.[A-Za-z0-9_-]{60,}", v):
            return "$token_batch"
        if re.fullmatch(r"[A-Za-z0-9]{24}", v) and v.lower() != v:
            return "$accessor"
        if re.fullmatch(r"[a-z]+_[0-9a-f]{8}", v):
            return '$re("%s_[0-9a-f]{8}")' % v.split("_")[0]
    if isinstance(v, bool):
        return json.dumps(v)
    if isinstance(v, int) and 3_000_000_000 > v > 1_500_000_000:
        return "$int"
    return json.dumps(v, ensure_ascii=False)


def layout(v, variables, indent=0):
    pad = " " * (indent + 2)
    if isinstance(v, dict):
        inline = (
            "{"
            + ", ".join(
                f'{json.dumps(k, ensure_ascii=False)}: {layout(x, variables)}' for k, x in v.items()
            )
            + "}"
        )
        if len(inline) + indent <= WIDTH and "\n" not in inline:
            return inline
        # One entry a line for objects of objects, otherwise lines filled up to the width.
        parts = [
            f'{json.dumps(k, ensure_ascii=False)}: {layout(x, variables, indent + 2)}'
            for k, x in v.items()
        ]
        lines, line = [], ""
        for i, part in enumerate(parts):
            part += "," if i + 1 < len(parts) else ""
            if line and (
                "\n" in part or "\n" in line or len(line) + len(part) + 1 + indent > WIDTH - 2
            ):
                lines.append(line)
                line = part
            else:
                line = f"{line} {part}" if line else part
        return "{\n" + "\n".join(pad + l for l in lines + [line]) + "\n" + " " * indent + "}"
    if isinstance(v, list):
        inline = "[" + ", ".join(layout(x, variables) for x in v) + "]"
        if len(inline) + indent <= WIDTH and "\n" not in inline:
            return inline
        return (
            "[\n"
            + ",\n".join(pad + layout(x, variables, indent + 2) for x in v)
            + "\n"
            + " " * indent
            + "]"
        )
    return value(v, variables)


def expectation(answer, variables):
    if not answer.raw:
        return [f"=> {answer.status}"]
    try:
        body = answer.json()
    except ValueError:
        return [
            f"=> {answer.status} text",
            f"Content-Type: {answer.header('Content-Type')}",
            answer.raw.decode(errors="replace"),
        ]
    if isinstance(body, dict) and set(body) == {"errors"}:
        return (
            [f"=> {answer.status}"]
            + [("! " + json.dumps(e)[1:-1].replace('\\"', '"')) for e in body["errors"]]
            + ([] if body["errors"] else ["!"])
        )
    if isinstance(body, dict) and set(body) == {"help", "openapi", "see_also"}:
        return [
            f"=> {answer.status} plain",
            '{"help": $nonempty, "openapi"?: $either(null, $object), "see_also": null}',
        ]
    if not isinstance(body, dict) or "request_id" not in body or "wrap_info" not in body:
        return [f"=> {answer.status} plain"] + layout(body, variables).split("\n")
    shape, focus = "data", "data"
    if body.get("auth"):
        shape = focus = "auth"
    elif body.get("wrap_info"):
        shape, focus = "wrap", "wrap_info"
    elif set(body) - set(ENVELOPE) - {"request_id", "mount_type"}:
        shape = "dup"
    lines = [f"=> {answer.status} {shape}"]
    for k, default in ENVELOPE.items():
        if k != focus and body.get(k) != default:
            lines.append(f"{k}: {layout(body[k], variables, -1000)}")
    return lines + (
        loosen(layout(body[focus], variables).split("\n")) if body[focus] is not None else []
    )


def loosen(lines):
    """What a moment's delay changes."""
    text = "\n".join(lines)
    if '"expire_time"' in text:
        text = re.sub(
            r'"ttl": (\d{2,})', lambda m: f'"ttl": $near({-(-int(m.group(1)) // 60) * 60})', text
        )
    return text.split("\n")


def fill(path, player):
    lines = open(path).read().split("\n")
    for number in sorted(player.filled, reverse=True):
        wanted = lines[number - 1]
        new = expectation(player.filled[number], player.variables)
        if wanted.startswith("bao "):
            new[0] = "bao " + new[0]
        lines[number - 1 : number] = new
    with open(path, "w") as f:
        f.write("\n".join(lines))
