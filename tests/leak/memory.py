"""Looks for byte strings in the writable memory of another process."""
import re

REGION_BYTES_MAX = 1 << 30
PIECE_BYTES = 1 << 20


def regions(pid):
    """[(start, end, name)] of what may hold data; a store's map is a file and searched as one."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        for line in f:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            start, end = int(match[1], 16), int(match[2], 16)
            name = match[4]
            shared_file = name.startswith("/") and match[3].endswith("s")
            if "r" not in match[3] or shared_file or name.startswith("[v"):  # vdso and such
                continue
            if end - start <= REGION_BYTES_MAX:
                found.append((start, end, name))
    return found


def find(pid, needles):
    """[(needle's name, address, region, surroundings)]; PermissionError where it may not."""
    longest = max(len(needle) for needle in needles.values())
    hits = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, name in regions(pid):
            at = start
            while at < end:
                size = min(PIECE_BYTES + longest, end - at)
                try:
                    memory.seek(at)
                    data = memory.read(size)
                except (OSError, ValueError):
                    break  # a page that is gone, or was never there
                for needle_name, needle in needles.items():
                    place = data.find(needle)
                    while 0 <= place < PIECE_BYTES:
                        around = data[max(0, place - 40) : place + len(needle) + 40]
                        hits.append((needle_name, hex(at + place), name, around))
                        place = data.find(needle, place + 1)
                at += PIECE_BYTES
    return hits
