#!/usr/bin/env python3
"""Runs the API scripts against Rekey, or against OpenBao, the oracle that they were written with.

usage: run.py (--server build/release/rekey | --bao) [--tls] [--jobs N] [--fill] [--keep]
              [SCRIPT ...]

SCRIPT is a file or a name without `.txt`; all of them by default. Exit status 1 if anything failed.
--fill writes the answers into `=> ?` expectations; --keep leaves the servers' folders behind."""
import argparse
import concurrent.futures
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import fill  # noqa: E402
import play  # noqa: E402
import script  # noqa: E402
import server  # noqa: E402


def find(names):
    if not names:
        return sorted(f"{HERE}/{n}" for n in os.listdir(HERE) if n.endswith(".txt"))
    return [n if os.path.isfile(n) else f"{HERE}/{n.removesuffix('.txt')}.txt" for n in names]


def run_one(path, arguments):
    """Plays one script at a server of its own: (name, player or None, error text)."""
    name = os.path.basename(path)
    kind = "bao" if arguments.bao else "rekey"
    binary = "bao" if arguments.bao else os.path.abspath(arguments.server)
    under_test = None
    try:
        read = script.read(name, open(path).read())
        read.settings["restarts"] = any(c.name == "restart" for c in read.commands())
        under_test = server.Server(kind, binary, read.settings, arguments.tls)
        under_test.prepare()
        player = play.Player(read, under_test)
        player.play()
        if arguments.fill and player.filled:
            fill.fill(path, player)
        return name, player, ""
    except (script.ScriptError, server.ServerError, OSError, ValueError) as e:
        return name, None, f"FAIL {name}: {type(e).__name__}: {e}"
    finally:
        if under_test:
            under_test.close(arguments.keep)


def omitted(count):
    return f", {count} left out" if count else ""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server")
    parser.add_argument("--bao", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fill", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--summary", action="store_true", help="only one line a script")
    parser.add_argument("scripts", nargs="*")
    arguments = parser.parse_args()
    if bool(arguments.server) == bool(arguments.bao):
        parser.error("give either --server or --bao")
    passed = failed = left_out = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name, player, error in pool.map(
            lambda p: run_one(p, arguments), find(arguments.scripts)
        ):
            if error:
                print(error, flush=True)
                failed += 1
                continue
            if not arguments.summary and not arguments.fill:
                for failure in player.failures:
                    print(failure, flush=True)
            verdict = "FAIL" if player.failures else "ok  "
            counts = f"{player.passed} passed, {len(player.failures)} failed"
            print(f"{verdict} {name}: {counts}{omitted(player.left_out)}", flush=True)
            passed, failed, left_out = (
                passed + player.passed,
                failed + len(player.failures),
                left_out + player.left_out,
            )
    print(f"{passed} passed, {failed} failed{omitted(left_out)}")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
