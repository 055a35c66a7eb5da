#!/usr/bin/env python3
"""Tests of what ./run and ./test are made of, with stand-ins for apt-get, sudo and id."""

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import run_tests

TOP = pathlib.Path(__file__).resolve().parent.parent
ABSENT = "rekey-no-such-package"
TOOLS = ("bash", "cat", "comm", "dirname", "dpkg-query", "env", "mktemp", "readlink", "rm", "sed",
         "sort", "tr", "uname")


class ScriptTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, path, text, mode=0o644):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target


class InstallPackagesTest(ScriptTest):
    def setUp(self):
        super().setUp()
        (self.folder / "bin").mkdir()
        for name in TOOLS:
            (self.folder / "bin" / name).symlink_to(shutil.which(name))
        self.calls = self.folder / "calls"
        self.stand_in("id", "echo 0")
        self.stand_in("apt-get", f'echo "$DEBIAN_FRONTEND: $*" >>{self.calls}')

    def stand_in(self, name, body):
        self.write(f"bin/{name}", f"#!/usr/bin/env bash\n{body}\n", 0o755)

    def install(self, packages):
        packages = self.write("list.txt", packages)
        return subprocess.run([TOP / "tools/install-packages", packages], text=True,
                              env={"PATH": str(self.folder / "bin")}, stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)

    def test_nothing_missing(self):
        done = self.install("# a comment\nbash   # a shell\n\ncoreutils\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertFalse(self.calls.exists())

    def test_what_is_provided_is_not_missing(self):
        self.assertEqual(self.install("awk\n").returncode, 0)  # mawk's or gawk's
        self.assertFalse(self.calls.exists())

    def test_installs_only_what_is_missing_and_says_so(self):
        done = self.install(f"bash\n{ABSENT}-b\n{ABSENT}-a # why\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{ABSENT}-a {ABSENT}-b", done.stdout)
        update, install = self.calls.read_text().splitlines()
        self.assertRegex(update, r"^noninteractive: .*\bupdate$")
        self.assertRegex(install, rf"--no-install-recommends {ABSENT}-a {ABSENT}-b\s*$")
        self.assertNotIn("bash", install)

    def test_through_sudo(self):
        self.stand_in("id", "echo 1000")
        self.stand_in("sudo", f'[ "$*" = "-n true" ] || {{ echo "sudo" >>{self.calls}; "$@"; }}')
        self.assertEqual(self.install(ABSENT).returncode, 0)
        lines = self.calls.read_text().splitlines()
        self.assertEqual(lines[0::2], ["sudo", "sudo"])
        self.assertIn(ABSENT, lines[3])

    def test_neither_root_nor_sudo(self):
        self.stand_in("id", "echo 1000")
        for refuse in (False, True):
            if refuse:
                self.stand_in("sudo", "exit 1")
            done = self.install(ABSENT)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"apt-get install --no-install-recommends {ABSENT}", done.stderr)
            self.assertFalse(self.calls.exists())

    def test_apt_fails(self):
        self.stand_in("apt-get", "echo 'E: no such package' >&2; exit 100")
        done = self.install(ABSENT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("E: no such package", done.stderr)


class BuildTest(ScriptTest):
    def setUp(self):
        super().setUp()
        self.write("one/CMakeLists.txt", "cmake_minimum_required(VERSION 3.23)\n"
                   "project(x NONE)\n"
                   "add_custom_command(OUTPUT made COMMAND cat ${CMAKE_SOURCE_DIR}/from > made\n"
                   "  DEPENDS from)\nadd_custom_target(all_of_it ALL DEPENDS made)\n")
        self.write("one/CMakePresets.json",
                   '{"version": 4, "configurePresets": [{"name": "release",'
                   '"generator": "Ninja", "binaryDir": "${sourceDir}/build/release"}]}')
        self.write("one/from", "1")
        (self.folder / "one/tools").mkdir()
        shutil.copy(TOP / "tools/build", self.folder / "one/tools/build")

    def build(self, checkout="one"):
        return subprocess.run([self.folder / checkout / "tools/build", "release"], text=True,
                              cwd="/", stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def made(self, checkout="one"):
        return (self.folder / checkout / "build/release/made").read_text()

    def test_builds_and_builds_again(self):
        done = self.build()
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(self.made(), "1")
        self.write("one/from", "2")
        os.utime(self.folder / "one/from", (2e9, 2e9))
        self.assertEqual(self.build().returncode, 0)
        self.assertEqual(self.made(), "2")

    def test_a_failing_build_says_why(self):
        self.build()
        (self.folder / "one/from").unlink()
        done = self.build()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("from", done.stdout + done.stderr)

    def test_a_failing_configuration_says_why(self):
        self.write("one/CMakeLists.txt", "cmake_minimum_required(VERSION 3.23)\nproject(x NONE)\n"
                   "message(FATAL_ERROR because)\n")
        done = self.build()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("because", done.stderr)
        self.write("one/CMakeLists.txt", "cmake_minimum_required(VERSION 3.23)\nproject(x NONE)\n")
        self.assertEqual(self.build().returncode, 0)

    def test_a_moved_checkout(self):
        self.build()
        (self.folder / "one").rename(self.folder / "two")
        self.write("two/from", "3")
        done = self.build("two")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(self.made("two"), "3")


class RunTest(ScriptTest):
    """./run's words to the server, with a stand-in for the program and the build."""

    def run_it(self, *arguments, **environment):
        for name in ("tools/install-packages", "tools/build"):
            self.write(f"top/{name}", "#!/bin/sh\n", 0o755)
        self.write("top/build/release/rekey", '#!/bin/sh\npwd\nprintf "%s\\n" "$@"\n', 0o755)
        shutil.copy(TOP / "run", self.folder / "top/run")
        done = subprocess.run([self.folder / "top/run", *arguments], text=True, cwd="/tmp",
                              env=dict(os.environ, **environment), capture_output=True, check=True)
        return done.stdout.splitlines()

    def test_standalone_beside_the_script(self):
        self.assertEqual(self.run_it("-log-level=debug"),
                         ["/tmp", "server", f"-standalone={self.folder}/top/.rekey",
                          "-log-level=debug"])

    def test_data_elsewhere(self):
        self.assertEqual(self.run_it(REKEY_DATA="/srv/a b"), ["/tmp", "server",
                                                              "-standalone=/srv/a b"])

    def test_another_mode(self):
        for mode in ("-config=x.hcl", "--config=x.hcl", "-dev", "--dev",
                     "-dev-root-token-id=root"):
            self.assertEqual(self.run_it(mode), ["/tmp", "server", mode])
        self.assertEqual(self.run_it("-config", "a b"), ["/tmp", "server", "-config", "a b"])


class CountTest(ScriptTest):
    """What ./test makes of ctest's and GoogleTest's reports."""

    def count(self, name, status, gtest=None):
        if gtest:
            self.write("base_test.xml", f"<testsuites><testsuite>{gtest}</testsuite></testsuites>")
        counts = run_tests.Counts()
        case = ElementTree.fromstring(f'<testcase name="{name}" status="{status}"/>')
        with contextlib.redirect_stdout(io.StringIO()):
            run_tests.count_test("unit", case, self.folder, counts)
        return counts.passed, counts.failed, counts.skipped, counts.names

    FINE = '<testcase classname="A" name="fine" status="run"/>'
    WRONG = '<testcase classname="A" name="wrong" status="run"><failure/></testcase>'
    SKIPPED = '<testcase classname="A" name="left" status="run"><skipped/></testcase>'

    def test_a_test_without_cases(self):
        self.assertEqual(self.count("api.kv", "run"), (1, 0, 0, []))
        self.assertEqual(self.count("api.kv", "fail"), (0, 1, 0, ["unit: api.kv"]))
        self.assertEqual(self.count("api.kv", "notrun"), (0, 0, 1, []))

    def test_cases(self):
        self.assertEqual(self.count("unit.base", "run", self.FINE * 2 + self.SKIPPED),
                         (2, 0, 1, []))
        self.assertEqual(self.count("unit.base", "fail", self.FINE + self.WRONG),
                         (1, 1, 0, ["unit: A.wrong"]))

    def test_a_crash_is_a_failure(self):
        self.assertEqual(self.count("unit.base", "fail"), (0, 1, 0, ["unit: unit.base"]))
        # All cases passed, then a sanitizer spoke at exit.
        self.assertEqual(self.count("unit.base", "fail", self.FINE), (0, 1, 0, ["unit: unit.base"]))


if __name__ == "__main__":
    unittest.main()
