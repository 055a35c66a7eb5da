#!/usr/bin/env python3
"""Attacks a real server over plain HTTP and TLS: every attack meets a clear error or a closed
connection, memory stays bounded, and a client beside it is served as if nothing happened.

usage: run.py --server build/release/rekey [--idle 10000] [plain] [tls] [NAME...]

src/net has tests of its own for the parser and the limits; this plays the whole program."""
import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import crowds  # noqa: E402
import messages  # noqa: E402
from wire import Failed, Target, server  # noqa: E402

MESSAGES = [
    messages.play_refusals,
    messages.play_smuggling,
    messages.play_tolerated,
    messages.play_paths,
    messages.play_bodies,
]
CROWDS = [crowds.play_slow, crowds.play_deaf, crowds.play_big_bodies, crowds.play_churn]
TLS_ONLY = [
    crowds.play_handshakes,
    crowds.play_old_tls,
    crowds.play_renegotiation,
    crowds.play_early_data,
    crowds.play_tls_mix,
]
TLS_IDLE = 200  # a handshake costs both sides a signature


def attacks(kind, idle):
    """[(name, function)]; over TLS with fewer connections, because the attacker pays as well."""
    several = MESSAGES + (CROWDS if kind == "plain" else TLS_ONLY)
    named = [(one.__name__.removeprefix("play_"), one) for one in several]
    if kind == "tls":
        named.append(("deaf", lambda target: crowds.play_deaf(target, 30)))
        idle = TLS_IDLE
    return named + [("idle", lambda target: crowds.play_idle(target, idle))]


def play(kind, arguments):
    target = Target(
        "rekey", os.path.abspath(arguments.server), {"server": ["empty"]}, tls=kind == "tls"
    )
    failures = 0
    try:
        target.prepare_for_attack()
        for name, attack in attacks(kind, arguments.idle):
            if arguments.names and name not in arguments.names:
                continue
            begun = time.monotonic()
            try:
                attack(target)
                target.check_others()
                if not target.alive():
                    raise Failed("the server died")
            except (Failed, OSError, server.ServerError, ValueError, IndexError) as e:
                failures += 1
                print(f"{kind} {name}: failed: {e!r}\n{target.log_tail(1500)}", flush=True)
                continue
            memory = target.anonymous_bytes() >> 20
            print(f"{kind} {name}: {time.monotonic() - begun:.1f} s, {memory} MiB", flush=True)
    finally:
        target.close()
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections over plain HTTP")
    parser.add_argument("names", nargs="*", help="plain or tls, and names of attacks")
    arguments = parser.parse_args()
    kinds = [name for name in arguments.names if name in ("plain", "tls")] or ["plain", "tls"]
    arguments.names = [name for name in arguments.names if name not in ("plain", "tls")]
    return 1 if sum(play(kind, arguments) for kind in kinds) else 0


if __name__ == "__main__":
    sys.exit(main())
