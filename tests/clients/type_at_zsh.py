#!/usr/bin/env python3
"""Types at an interactive zsh on a terminal of its own: type_at_zsh.py SCRIPT KEYS EXPECTED.

Sources SCRIPT, types KEYS and waits until zsh shows EXPECTED. Exit status 1, and what was shown, if
it doesn't within some seconds."""

import os
import pty
import select
import sys
import time

SECONDS_MAX = 60
READY = "ready-to-type"


def main():
    script, keys, expected = sys.argv[1:]
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "dumb"
        os.execvp("zsh", ["zsh", "-f", "-i"])
    # The word is in two parts, so that its echo isn't taken for its output.
    os.write(terminal, f"PS1='> '; source {script}; print {READY[:5]}''{READY[5:]}\n".encode())
    shown, typed = "", False
    end = time.monotonic() + SECONDS_MAX
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
        if not typed and READY in shown:
            os.write(terminal, keys.encode().decode("unicode_escape").encode())
            typed, shown = True, ""
        if typed and expected in shown:
            os.kill(process, 9)
            return 0
    os.kill(process, 9)
    print(shown)
    return 1


if __name__ == "__main__":
    sys.exit(main())
