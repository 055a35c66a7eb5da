"""Reads a record's public files (docs/formats/audit.md, C2SP tlog-tiles) with nothing of Rekey's:
the entries, and whether they hash to the root that the checkpoint states."""
import base64
import hashlib
import json
import os

TILE_WIDTH = 256


class RecordError(Exception):
    pass


def tile_name(number):
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    return "/".join(groups)


def checkpoint(folder):
    """(size, root) as the signed note says; the signature is `rekey audit verify`'s business."""
    with open(f"{folder}/log/checkpoint", encoding="utf-8") as f:
        lines = f.read().split("\n")
    return int(lines[1]), base64.b64decode(lines[2])


def split_bundle(data, count):
    entries, at = [], 0
    for _ in range(count):
        size = int.from_bytes(data[at : at + 2], "big")
        if size == 0 or at + 2 + size > len(data):
            raise RecordError("a bundle is cut short")
        entries.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return entries


def raw_entries(folder, size):
    entries = []
    for number in range(-(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - number * TILE_WIDTH)
        path = f"{folder}/log/tile/entries/{tile_name(number)}"
        if width < TILE_WIDTH and not os.path.exists(path):
            path += f".p/{width}"
        with open(path, "rb") as f:
            entries += split_bundle(f.read(), width)
    return entries


def root_of(entries):
    """The RFC 6962 tree head. A stack of (height, hash) is enough."""
    stack = []
    for entry in entries:
        height, node = 0, hashlib.sha256(b"\0" + entry).digest()
        while stack and stack[-1][0] == height:
            node = hashlib.sha256(b"\1" + stack.pop()[1] + node).digest()
            height += 1
        stack.append((height, node))
    if not stack:
        return hashlib.sha256(b"").digest()
    node = stack.pop()[1]
    while stack:
        node = hashlib.sha256(b"\1" + stack.pop()[1] + node).digest()
    return node


def read(folder):
    """Every entry under the checkpoint, decoded; RecordError unless they hash to its root."""
    size, root = checkpoint(folder)
    entries = raw_entries(folder, size)
    if root_of(entries) != root:
        raise RecordError(f"{size} entries do not hash to the checkpoint's root")
    return [json.loads(entry) for entry in entries]
