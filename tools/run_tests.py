#!/usr/bin/env python3
"""Runs the stages of ./test and counts.

usage: ./test [STAGE...]      all of them, in this order, where none is named

  checks   the house's own checks: arrows, banned calls, lengths, format, documents, unit file
  unit     unit, contract and vector tests and the fuzz corpora, on the release build
  api      everything that runs the real program: API scripts, clients, crash, hostile, simulation
  tidy     clang-tidy's short list, on files that changed since they last passed
  asan     all of unit and api again under address and undefined-behaviour sanitizers
  fuzz     a minute of fuzzing in all
  tsan     unit tests, and what is labelled tsan, under the thread sanitizer

Ends with a line `N passed, M failed`. The status is 0 only where something ran and nothing failed.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

TOP = pathlib.Path(__file__).resolve().parent.parent
FUZZ_SECONDS_TOTAL = 60
TEST_SECONDS_MAX = 180  # a test that needs more says so with its TIMEOUT property

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.names = []  # of what failed

    def add(self, name, status):
        if status == "fail":
            self.failed += 1
            self.names.append(name)
        elif status == "skip":
            self.skipped += 1
        else:
            self.passed += 1


class Builds:
    """Builds presets in order. While tests run, which wait a lot, the next preset is built beside
    them, at low priority and silently."""

    def __init__(self, presets):
        self.waiting = list(dict.fromkeys(presets))
        self.ahead = None  # (preset, process, its output)
        self.done = {}     # preset -> whether it could be built

    @staticmethod
    def start(preset, nice, output):
        cache = TOP / "build" / preset / "CMakeCache.txt"
        environment = dict(os.environ)
        if cache.exists() and "GTest_DIR:PATH=GTest_DIR-NOTFOUND" in cache.read_text():
            environment["REKEY_CMAKE_ARGS"] = "-UGTest_DIR"  # ./run built before GoogleTest was there
        return subprocess.Popen(["nice", "-n", str(nice), TOP / "tools/build", preset],
                                env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT if output else None)

    def begin_next(self):
        if self.ahead is None and self.waiting:
            preset = self.waiting.pop(0)
            log = tempfile.TemporaryFile()
            self.ahead = (preset, self.start(preset, 10, log), log)

    def finish(self, preset):
        """Whether it is built; waits for it, and shows the progress of what wasn't begun yet."""
        if preset in self.done:
            return self.done[preset]
        begun = time.monotonic()
        while self.ahead is not None and preset not in self.done:
            ahead, process, log = self.ahead
            if process.poll() is None:
                print(f"  waiting for the {ahead} build, which began beside the tests", flush=True)
            self.done[ahead] = process.wait() == 0
            log.seek(0)
            if not self.done[ahead]:
                print(log.read().decode(errors="replace"), flush=True)
            self.ahead = None
        if preset not in self.done:
            self.waiting.remove(preset)
            self.done[preset] = self.start(preset, 0, None).wait() == 0
        print(f"  {preset} build: {minutes(time.monotonic() - begun)}", flush=True)
        return self.done[preset]

    def stop(self):
        if self.ahead is not None:
            self.ahead[1].terminate()


def ctest(stage, preset, select, counts):
    """Runs the selected tests of a build and counts; GoogleTest's programs by their cases."""
    folder = TOP / "build" / preset
    results = folder / "results" / stage
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    environment = dict(os.environ, **SANITIZER_OPTIONS, GTEST_OUTPUT=f"xml:{results}/")
    if symbolizer := shutil.which("llvm-symbolizer-19"):
        for tool in ("ASAN", "UBSAN", "TSAN"):
            environment[f"{tool}_SYMBOLIZER_PATH"] = symbolizer
    junit = results / "ctest.junit"
    subprocess.run(
        ["ctest", "--test-dir", folder, "-j", str(os.cpu_count()), "--output-on-failure", "-Q",
         "--timeout", str(TEST_SECONDS_MAX), "--output-junit", junit, *select],
        env=environment, stdin=subprocess.DEVNULL, check=False)
    if not junit.exists():
        print(f"  ctest ran nothing in {folder}")
        counts.add(f"{stage}: ctest", "fail")
        return
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        count_test(stage, case, results, counts)


def count_test(stage, case, results, counts):
    name, status = case.get("name"), case.get("status")
    if status == "fail":
        output = case.findtext("system-out") or ""
        print(f"--- {name} failed:\n{output[-20000:]}\n---", flush=True)
    xml = results / f"{name.removeprefix('unit.')}_test.xml"
    cases = list(ElementTree.parse(xml).getroot().iter("testcase")) if xml.exists() else []
    failures = sum(1 for one in cases if one.find("failure") is not None)
    if not cases or (status == "fail" and failures == 0):  # no cases, or it died at exit
        counts.add(f"{stage}: {name}",
                   {"run": "pass", "fail": "fail"}.get(status, "skip"))
        return
    for one in cases:
        failed = one.find("failure") is not None
        skipped = one.find("skipped") is not None or one.get("status") == "notrun"
        counts.add(f"{stage}: {one.get('classname')}.{one.get('name')}",
                   "fail" if failed else "skip" if skipped else "pass")


def tool(name, command, counts):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    counts.add(name, "pass" if done.returncode == 0 else "fail")


def stage_fuzz(counts):
    count = len(list((TOP / "fuzz").glob("*_fuzz.cc")))
    if count:
        rounds = -(-count // (os.cpu_count() or 1))
        tool("fuzz", [TOP / "tools/fuzz", str(max(1, FUZZ_SECONDS_TOTAL // rounds))], counts)


PROGRAM = "^(unit|fuzz|tools)\\."  # whatever is none of these runs the real program
HOUSE = "^tools\\."
STAGES = {
    "checks": ("release", lambda c: ctest("checks", "release", ["-R", HOUSE], c)),
    "unit": ("release", lambda c: ctest("unit", "release", ["-R", "^(unit|fuzz)\\."], c)),
    "api": ("release", lambda c: ctest("api", "release", ["-E", PROGRAM], c)),
    "tidy": ("release", lambda c: tool("tidy", [TOP / "tools/tidy"], c)),
    "asan": ("asan", lambda c: ctest("asan", "asan", ["-E", HOUSE], c)),
    "fuzz": ("asan", stage_fuzz),
    "tsan": ("tsan", lambda c: (ctest("tsan", "tsan", ["-R", "^unit\\."], c),
                                ctest("tsan-more", "tsan", ["-L", "^tsan$"], c))),
}


def minutes(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run_stages(names, builds, counts):
    for name in names:
        begun = time.monotonic()
        preset, action = STAGES[name]
        print(f"== {name}", flush=True)
        first = preset not in builds.done
        if builds.finish(preset):
            builds.begin_next()
            action(counts)
        elif first:
            counts.add(f"build {preset}", "fail")
        print(f"== {name}: {minutes(time.monotonic() - begun)}", flush=True)


def main(arguments):
    if {"-h", "--help"}.intersection(arguments):
        print(__doc__.strip())
        return 0
    if unknown := [name for name in arguments if name not in STAGES]:
        print(f"no stage {unknown[0]}; there are: {' '.join(STAGES)}", file=sys.stderr)
        return 2
    counts, started = Counts(), time.monotonic()
    builds = Builds(STAGES[name][0] for name in arguments or STAGES)
    try:
        run_stages(arguments or STAGES, builds, counts)
    finally:
        builds.stop()
    for name in counts.names:
        print(f"failed: {name}")
    skipped = f", {counts.skipped} skipped" if counts.skipped else ""
    print(f"{counts.passed} passed, {counts.failed} failed{skipped} "
          f"({minutes(time.monotonic() - started)})")
    return 0 if counts.failed == 0 and counts.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
