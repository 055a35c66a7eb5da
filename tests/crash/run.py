#!/usr/bin/env python3
"""Kills a server under load, again and again, and checks what it promised.

usage: run.py --server build/release/rekey [--rounds 10] [--seed N] [--keep]

Each round: clients write, read, delete, revoke and change policies; kill -9 after a random time,
in some rounds again while it starts; `rekey audit verify` on what lies there; start, unseal; every
acknowledged change is there and nothing else; at the end the record is read with no code of
Rekey's: it hashes to the signed root, and each answered request stands in it once, with the status
that was answered. The long form is --rounds 200."""
import argparse
import collections
import functools
import os
import random
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../api"]

import load  # noqa: E402
import record  # noqa: E402
import server  # noqa: E402

WORKERS = 6
LOAD_SECONDS_MAX = 0.6


class Failed(Exception):
    pass


def kill(under_test):
    under_test.process.kill()
    under_test.process.wait()
    under_test.log.close()


@functools.cache
def commands_of(binary):
    done = subprocess.run([binary, "audit"], capture_output=True, text=True, check=False)
    return re.findall(r"^    (\w+)  ", done.stdout + done.stderr, re.MULTILINE)


def verify(under_test):
    """`rekey audit verify` on the files as they lie there, nobody serving."""
    folder = f"{under_test.folder}/data/audit/log"
    if "verify" not in commands_of(under_test.binary):
        return  # a build from before the command
    done = subprocess.run(
        [under_test.binary, "audit", "verify", f"-log={folder}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"audit verify: {done.returncode}\n{done.stdout}{done.stderr}")


def start_again(under_test, chance):
    """Starts and unseals; now and then the power goes again while it is at it."""
    while chance.random() < 0.3:
        process = subprocess.Popen(
            under_test.command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=under_test.folder,
        )
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.wait()
    under_test.start()
    if chance.random() < 0.3:
        kill(under_test)
        under_test.start()
    under_test.unseal()


def play_round(under_test, workers, chance):
    for worker in workers:
        worker.start()
    time.sleep(chance.uniform(0.02, LOAD_SECONDS_MAX))
    kill(under_test)
    for worker in workers:
        worker.join()
        if worker.problem:
            raise worker.problem
    verify(under_test)
    start_again(under_test, chance)
    for worker in workers:
        worker.check_everything(under_test.port)


def check_record(under_test, workers):
    entries = record.read(f"{under_test.folder}/data/audit/log")
    found = collections.defaultdict(list)
    for entry in entries:
        agent = entry.get("remote", {}).get("user_agent", "")
        if agent.startswith("crash-"):
            found[agent].append(entry["status"])
    answered = 0
    for worker in workers:
        for agent, status in worker.answered.items():
            answered += 1
            if found[agent] != [status]:
                raise Failed(f"{agent} was answered {status}, the record says {found[agent]}")
    twice = [agent for agent, statuses in found.items() if len(statuses) > 1]
    if twice:
        raise Failed(f"recorded twice: {twice[:10]}")
    return len(entries), answered


def run(arguments, under_test):
    chance = random.Random(arguments.seed)
    under_test.start()
    under_test.initialise()
    under_test.unseal()
    options = {"type": "kv", "options": {"version": "2"}}
    under_test.must("POST", "/v1/sys/mounts/secret", options, under_test.root)
    workers = [
        load.Worker(number, under_test.port, under_test.root, f"{arguments.seed}/0")
        for number in range(WORKERS)
    ]
    for number in range(1, arguments.rounds + 1):
        play_round(under_test, workers, chance)
        workers = [worker.successor(f"{arguments.seed}/{number}") for worker in workers]
        if number % 20 == 0:
            print(f"round {number}", flush=True)
    under_test.stop()
    verify(under_test)
    return check_record(under_test, workers)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--keep", action="store_true", help="leave the server's folder")
    arguments = parser.parse_args()
    under_test = server.Server("rekey", os.path.abspath(arguments.server), {"server": ["empty"]})
    passed = False
    try:
        entries, answered = run(arguments, under_test)
        passed = True
        print(
            f"{arguments.rounds} kills (seed {arguments.seed}): {answered} answers, "
            f"{entries} entries, nothing lost"
        )
    except (Failed, load.Broken, record.RecordError, server.ServerError, OSError) as e:
        print(f"failed (seed {arguments.seed}): {e!r}\n{under_test.log_tail()}")
        if arguments.keep:
            print(f"left in {under_test.folder}")
    finally:
        under_test.close(keep=arguments.keep and not passed)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
