#!/usr/bin/env python3
"""Starts the real program in the ways in which people start it, and reads what it prints: -dev,
-standalone and ./run, configuration files; signals, backups and restores.

usage: start_test.py --server build/release/rekey [unittest's arguments]"""

import ctypes
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
REKEY = ""
READY_SECONDS_MAX = 20
FIRST_ANSWER_SECONDS_MAX = 2  # of a later start
FIRST_ANSWER_CPU_SECONDS_MAX = 1  # the processor's share of it: holds on a busy machine too
PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14  # linux/prctl.h, linux/capability.h
SLOW = 10  # sanitizers and busy machines get this factor for what isn't measured
INSTRUMENTED = 1  # a sanitizer's factor for what is


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Program:
    """One running server: what it printed, its address; stopped by stop()."""

    def __init__(self, folder, command, environment=None, before=None):
        self.output = pathlib.Path(folder, f"output-{time.monotonic_ns()}")
        clean = {k: v for k, v in os.environ.items()
                 if not k.startswith(("VAULT_", "REKEY_", "BAO_"))}
        self.begun = time.monotonic()
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder,
                start_new_session=True,  # no terminal
                preexec_fn=before,
                env={**clean, "HOME": str(folder), **(environment or {})})

    def text(self):
        return self.output.read_text(errors="replace")

    def wait_for(self, pattern):
        end = time.monotonic() + READY_SECONDS_MAX * SLOW
        while time.monotonic() < end:
            if found := re.search(pattern, self.text()):
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}: {self.text()}")
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in: {self.text()}")

    def cpu_seconds(self):
        """What the processors did for it so far."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self, how=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)


class StartTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rekey start ")  # with a blank in its name
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def start(self, *arguments, environment=None, command=None):
        program = Program(self.folder, command or [REKEY, "server", *arguments], environment)
        self.addCleanup(program.stop, signal.SIGKILL)
        return program

    def cli(self, *words, code=0, token=None, address=None, ca=None, **environment):
        env = {"PATH": os.environ["PATH"], "HOME": self.folder, "VAULT_MAX_RETRIES": "0",
               **environment}
        for name, value in (("TOKEN", token), ("ADDR", address), ("CACERT", ca)):
            if value:
                env[f"VAULT_{name}"] = str(value)
        done = subprocess.run([REKEY, *words], env=env, cwd=self.folder, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, check=False)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout} {done.stderr}")
        return done.stdout if code == 0 else done.stdout + done.stderr

    def cli_json(self, *words, **more):
        return json.loads(self.cli(*words, "-format=json", **more))

    def answers(self, address, ca=None):
        """Waits until the server answers; its seal status."""
        end = time.monotonic() + READY_SECONDS_MAX * SLOW
        while True:
            done = subprocess.run(
                [REKEY, "status", "-format=json", f"-address={address}"] +
                ([f"-ca-cert={ca}"] if ca else []),
                env={"HOME": self.folder, "VAULT_MAX_RETRIES": "0"}, capture_output=True,
                text=True, check=False)
            if done.returncode in (0, 2):
                return json.loads(done.stdout)
            if time.monotonic() > end:
                raise AssertionError(done.stderr)
            time.sleep(0.02)

    def serves(self, address, ca=None):
        """Waits until a server that unseals itself has done so: it answers a moment before."""
        end = time.monotonic() + READY_SECONDS_MAX * SLOW
        while self.answers(address, ca)["sealed"]:
            self.assertLess(time.monotonic(), end)


class DevTest(StartTest):
    def listen(self):
        self.port = free_port()
        return f"-dev-listen-address=127.0.0.1:{self.port}"

    def test_as_tutorials_use_it(self):
        program = self.start("-dev", self.listen())
        token = program.wait_for(r"\nRoot Token: (hvs\.\w{24})\n")[1]
        self.assertRegex(program.text(), r"\nUnseal Key: [A-Za-z0-9+/]{43}=\n")
        address = re.search(r"export VAULT_ADDR='(http://.*)'", program.text())[1]
        self.assertEqual(address, f"http://127.0.0.1:{self.port}")
        helper = pathlib.Path(self.folder, ".vault-token")
        self.assertEqual((helper.read_text(), helper.stat().st_mode & 0o777), (token, 0o600))
        self.cli("kv", "put", "secret/a", "k=v", address=address)  # the token comes from the file
        self.assertEqual(self.cli_json("kv", "get", "secret/a", address=address)["data"]["data"],
                         {"k": "v"})
        self.assertEqual(program.stop(), 0)

    def test_flags_and_variables(self):
        program = self.start("-dev", "-dev-root-token-id", "root", "--dev-kv-v1",
                             "-dev-no-store-token", self.listen())
        program.wait_for("Root Token: root\n")
        self.assertFalse(pathlib.Path(self.folder, ".vault-token").exists())
        mounts = self.cli_json("secrets", "list", address=f"http://127.0.0.1:{self.port}",
                               token="root")
        self.assertEqual(mounts["secret/"]["options"], {"version": "1"})
        program.stop()
        for prefix in ("VAULT", "REKEY"):
            port = free_port()
            program = self.start("-dev", environment={
                f"{prefix}_DEV_ROOT_TOKEN_ID": "mine",
                f"{prefix}_DEV_LISTEN_ADDRESS": f"127.0.0.1:{port}"})
            program.wait_for("Root Token: mine\n")
            self.assertIn(f"127.0.0.1:{port}", program.text())
            program.stop()

    def test_lockout_is_switched_off_by_a_variable(self):
        for variable, locks in (("VAULT_DISABLE_USER_LOCKOUT", False),
                                ("REKEY_DISABLE_USER_LOCKOUT", False), (None, True)):
            program = self.start("-dev", "-dev-root-token-id=root", self.listen(),
                                 environment={variable: "true"} if variable else {})
            program.wait_for("Root Token: root\n")
            to = {"address": f"http://127.0.0.1:{self.port}", "token": "root"}
            self.cli("auth", "enable", "userpass", **to)
            self.cli("write", "auth/userpass/users/u", "password=right", **to)
            for _ in range(6):
                self.cli("write", "auth/userpass/login/u", "password=wrong", code=2, **to)
            said = self.cli("write", "auth/userpass/login/u", "password=right",
                            code=2 if locks else 0, **to)
            self.assertIn("permission denied" if locks else "hvs.", said)
            program.stop()

    def test_vaults_flags_without_effect(self):
        pathlib.Path(self.folder, "conf.d").mkdir()
        program = self.start("-config=conf.d", "-dev", "-dev-ha", "-log-file", "x",
                             "-exit-on-core-shutdown", self.listen())
        program.wait_for("Root Token: hvs")
        for flag in ("-config", "-dev-ha", "-log-file", "-exit-on-core-shutdown"):
            self.assertIn(f"Warning: {flag} has no effect", program.text())
        program.stop()

    def test_tls(self):
        program = self.start("-dev-tls", "-dev-root-token-id=root", self.listen())
        program.wait_for("Root Token: root\n")
        address = re.search(r"export VAULT_ADDR='(https://.*)'", program.text())[1]
        ca = re.search(r"export VAULT_CACERT='(.*)'", program.text())[1]
        self.cli("kv", "put", "secret/a", "k=v", address=address, ca=ca, token="root")
        self.cli("status", code=1, address=address)
        program.stop()
        shutil.rmtree(pathlib.Path(ca).parent)


class StandaloneTest(StartTest):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.data = pathlib.Path(self.folder, "its data")
        self.environment = {"REKEY_LISTEN_ADDRESS": f"127.0.0.1:{self.port}"}
        self.address = f"https://127.0.0.1:{self.port}"

    def standalone(self, *more):
        return self.start(f"-standalone={self.data}", *more, environment=self.environment)

    def test_first_and_later_starts(self):
        first = self.standalone()
        token = first.wait_for(r"Root Token: +(hvs\.\w{24})\n")[1]
        first.wait_for("In another terminal:\n(.*\n){6}")
        said = first.text()
        self.assertIn("production", said)
        self.assertIn(self.address, said)
        ca = re.search(r"its CA in (.*)\.\n", said)[1]
        self.assertEqual(os.stat(self.data / "unseal.key").st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.data).st_mode & 0o077, 0)
        # The commands that it prints work as they are.
        commands = said.partition("In another terminal:")[2]
        script = commands.replace("<root token>", token)
        done = subprocess.run(["bash", "-e", "-c", script], capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "HOME": self.folder}, check=False)
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}{done.stderr}")
        self.assertEqual(first.stop(), 0)

        later = self.standalone()
        self.serves(self.address, ca)
        self.assertNotIn("hvs.", later.text())  # shown once
        data = self.cli_json("kv", "get", "secret/app", token=token, address=self.address, ca=ca)
        self.assertEqual(list(data["data"]["data"]), ["password"])
        self.assertEqual(later.stop(signal.SIGTERM), 0)

    def test_a_later_start_serves_within_two_seconds(self):
        first = self.standalone()
        first.wait_for("In another terminal")
        ca = self.data / "tls/ca.pem"
        self.serves(self.address, ca)
        first.stop()
        # Others may have the processors for a while; not five times in a row.
        for _ in range(5):
            program = self.standalone()
            self.serves(self.address, ca)
            took, cpu = time.monotonic() - program.begun, program.cpu_seconds()
            program.stop()
            print(f"a later start: answered after {took:.2f} s, {cpu:.2f} s of processor time",
                  file=sys.stderr)
            self.assertLess(cpu, FIRST_ANSWER_CPU_SECONDS_MAX * INSTRUMENTED)
            if took < FIRST_ANSWER_SECONDS_MAX * INSTRUMENTED:
                return
        self.fail("no later start served in time")

    def test_the_seals_key_is_replaced(self):
        key, previous = self.data / "unseal.key", self.data / "unseal.key.previous"
        first = self.standalone()
        token = first.wait_for(r"Root Token: +(hvs\.\w{24})\n")[1]
        ca = self.data / "tls/ca.pem"
        self.serves(self.address, ca)
        first.stop()
        key.rename(previous)
        with self.subTest("a new one is made, and the root key is sealed with it"):
            program = self.standalone()
            program.wait_for("the seal's key was replaced")
            self.serves(self.address, ca)
            self.assertNotEqual(key.read_bytes(), previous.read_bytes())
            self.cli("token", "lookup", token=token, address=self.address, ca=ca)
            program.stop()
        with self.subTest("the previous one isn't needed any more"):
            old = previous.read_bytes()
            previous.unlink()
            program = self.standalone()
            self.serves(self.address, ca)
            self.assertNotIn("replaced", program.text())
            program.stop()
            record = b"".join(path.read_bytes() for path in (self.data / "audit").rglob("*")
                              if path.is_file())
            self.assertIn(b"rotate-seal-key", record)
        with self.subTest("and opens nothing"):
            key.write_bytes(old)
            program = self.standalone()
            self.assertEqual(program.process.wait(READY_SECONDS_MAX * SLOW), 1)
            self.assertIn("sealed with another key file", program.text())

    def test_says_that_it_is_sealed(self):
        program = self.standalone()
        token = program.wait_for(r"Root Token: +(hvs\.\w{24})\n")[1]
        ca = self.data / "tls/ca.pem"
        self.serves(self.address, ca)
        self.cli("operator", "seal", token=token, address=self.address, ca=ca)
        sealed = self.answers(self.address, ca)
        self.assertEqual([sealed[name] for name in ("sealed", "recovery_seal", "n", "t")],
                         [True, True, 1, 1])
        self.assertIn("Total Recovery Shares    1",
                      self.cli("status", address=self.address, ca=ca, code=2))
        self.cli("operator", "unseal", "AA==", address=self.address, ca=ca)  # its seal does it
        self.serves(self.address, ca)
        self.assertEqual(program.stop(), 0)
        self.assertNotIn("[ERROR]", program.text())

    def test_recovery_keys(self):
        program = self.standalone()
        token = program.wait_for(r"Root Token: +(hvs\.\w{24})\n")[1]
        old = re.search(r"Recovery Key: (\S+)", program.text())[1]
        at = {"token": token, "address": self.address, "ca": self.data / "tls/ca.pem"}
        self.serves(self.address, at["ca"])
        rekey = ["operator", "rekey", "-target=recovery"]
        begun = self.cli_json(*rekey, "-init", "-verify", "-key-shares=3", "-key-threshold=2", **at)
        made = self.cli_json(*rekey, f"-nonce={begun['nonce']}", old, **at)
        keys, verify = made["keys_base64"], f"-nonce={made['verification_nonce']}"
        self.assertEqual(len(keys), 3)
        self.cli(*rekey, "-verify", verify, keys[0], **at)
        self.assertIn("verification successful", self.cli(*rekey, "-verify", verify, keys[2], **at))
        begun = self.cli_json("operator", "generate-root", "-init", **at)
        give = ["operator", "generate-root", f"-nonce={begun['nonce']}"]
        self.cli(*give, old, **at)
        self.cli(*give, keys[1], code=2, **at)  # the old one is none any more
        self.cli(*give, keys[1], **at)
        done = self.cli_json(*give, keys[0], **at)
        made = self.cli("operator", "generate-root", f"-decode={done['encoded_root_token']}",
                        f"-otp={begun['otp']}")
        self.assertEqual(self.cli_json("token", "lookup", **{**at, "token": made})["data"]
                         ["policies"], ["root"])
        self.assertEqual(program.stop(), 0)

    def test_names_in_the_certificate(self):
        self.standalone().wait_for("In another terminal")
        done = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in",
                               self.data / "tls/cert.pem"], capture_output=True, text=True,
                              check=True)
        for name in ("localhost", "127.0.0.1", "0:0:0:0:0:0:0:1", socket.gethostname()):
            self.assertIn(name, done.stdout)

    def test_only_one_server_has_the_folder(self):
        self.standalone().wait_for("In another terminal")
        second = self.start(f"-standalone={self.data}", environment={
            "REKEY_LISTEN_ADDRESS": f"127.0.0.1:{free_port()}"})
        self.assertEqual(second.process.wait(READY_SECONDS_MAX * SLOW), 1)
        self.assertIn("Error: ", second.text())


class ConfigurationTest(StartTest):
    def configure(self, text, name="server.hcl"):
        path = pathlib.Path(self.folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def hcl(self, port, more=""):
        return (f'storage "lmdb" {{ path = "{self.folder}/data" }}\n'
                f'listener "tcp" {{\n  address = "127.0.0.1:{port}"\n  tls_disable = true\n}}\n'
                f'disable_mlock = true\n{more}\n')

    def initialised(self, port):
        address = f"http://127.0.0.1:{port}"
        self.answers(address)
        made = self.cli_json("operator", "init", "-key-shares=1", "-key-threshold=1",
                             address=address)
        self.cli("operator", "unseal", made["unseal_keys_b64"][0], address=address)
        return address, made["unseal_keys_b64"][0], made["root_token"]

    def test_a_folder_of_hcl_and_json(self):
        port, other = free_port(), free_port()
        self.configure(self.hcl(port), "conf.d/10.hcl")
        self.configure(json.dumps({"listener": [{"tcp": {"address": f"127.0.0.1:{other}",
                                                         "tls_disable": True}}]}),
                       "conf.d/20.json")
        self.configure('cluster_name = "mine"\nnonsense = 1\n', "more.hcl")
        program = self.start("-config", f"{self.folder}/conf.d", "-config=more.hcl")
        address, _, _ = self.initialised(port)
        self.assertEqual(self.answers(f"http://127.0.0.1:{other}")["cluster_name"], "mine")
        self.assertIn("more.hcl:2", program.text())
        self.assertRegex(program.text(), rf'Listener 2: tcp \(addr: "127.0.0.1:{other}", tls: "dis')
        self.assertRegex(program.text(), r"Storage: lmdb \(.*/data\)\n")
        self.assertRegex(program.text(), "app: serving.*addresses=.*sealed=true")
        self.assertEqual(program.stop(signal.SIGTERM), 0)
        self.cli("status", code=1, address=address)

    def test_nonsense_stops_with_its_place(self):
        self.configure(self.hcl(free_port(), 'default_lease_ttl = "10x"'))
        program = self.start("-config=server.hcl")
        self.assertEqual(program.process.wait(READY_SECONDS_MAX * SLOW), 1)
        self.assertRegex(program.text(), r"server\.hcl:\d+: default_lease_ttl: expected a duration")

    def test_without_configuration(self):
        program = self.start()
        self.assertEqual(program.process.wait(READY_SECONDS_MAX * SLOW), 1)
        self.assertIn("-dev", program.text())
        program = self.start("-dev=maybe")
        self.assertEqual(program.process.wait(READY_SECONDS_MAX * SLOW), 1)
        self.assertIn('-dev: expected true or false, not "maybe"', program.text())
        program = self.start("-nonsense")
        self.assertEqual(program.process.wait(READY_SECONDS_MAX * SLOW), 1)

    def test_hangup_reads_certificates_and_log_level_again(self):
        def certificate(name):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", f"{self.folder}/key.pem",
                            "-out", f"{self.folder}/cert.pem", "-days", "2", "-subj", f"/CN={name}",
                            "-addext", "subjectAltName=IP:127.0.0.1"],
                           check=True, capture_output=True)
        port = free_port()
        certificate("before")
        text = self.hcl(port).replace("tls_disable = true",
                                      f'tls_cert_file = "{self.folder}/cert.pem"\n'
                                      f'tls_key_file = "{self.folder}/key.pem"')
        self.configure(text + 'log_level = "error"\n')
        program = self.start("-config=server.hcl")
        self.answers(f"https://127.0.0.1:{port}", f"{self.folder}/cert.pem")
        certificate("after")
        self.configure(text + 'log_level = "debug"\n')
        program.process.send_signal(signal.SIGHUP)
        self.answers(f"https://127.0.0.1:{port}", f"{self.folder}/cert.pem")
        program.wait_for("log level.*debug")
        self.configure(text + 'log_level = "nonsense"\n')
        program.process.send_signal(signal.SIGHUP)
        program.wait_for("stays as it was")
        self.answers(f"https://127.0.0.1:{port}", f"{self.folder}/cert.pem")

    def test_a_unix_socket(self):
        path = f"{self.folder}/rekey.sock"
        self.configure(f'storage "inmem" {{}}\nlistener "unix" {{ address = "{path}" }}\n')
        program = self.start("-config=server.hcl")
        self.assertFalse(self.answers(f"unix://{path}")["initialized"])
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertIn("the record is in memory too", program.text())
        self.assertEqual(program.stop(), 0)

    def test_memory_that_can_not_be_locked(self):
        if INSTRUMENTED != 1:
            self.skipTest("sanitizers lock no memory")

        def forbid():
            ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)  # root's; else an error
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))

        text = f'storage "inmem" {{}}\nlistener "unix" {{ address = "{self.folder}/s" }}\n'
        for more, starts in (("", False), ("disable_mlock = true\n", True)):
            self.configure(text + more)
            program = Program(self.folder, [REKEY, "server", "-config=server.hcl"], before=forbid)
            self.addCleanup(program.stop, signal.SIGKILL)
            if starts:
                program.wait_for("app: serving")
                self.assertEqual(program.stop(), 0)
            else:
                self.assertEqual(program.process.wait(READY_SECONDS_MAX * SLOW), 1)
                self.assertIn("disable_mlock", program.text())
            self.assertIn("memory can't be locked", program.text())

    def test_what_a_listener_can_not_open_is_named_by_its_place(self):
        self.configure('storage "inmem" {}\n'
                       f'listener "tcp" {{\n address = "127.0.0.1:{free_port()}"\n'
                       ' tls_cert_file = "/none"\n tls_key_file = "/none"\n}\n')
        program = self.start("-config=server.hcl")
        self.assertEqual(program.process.wait(READY_SECONDS_MAX * SLOW), 1)
        self.assertIn('server.hcl:2: listener "tcp": can\'t read the TLS certificate /none',
                      program.text())

    def test_backup_and_restore(self):
        port = free_port()
        self.configure(self.hcl(port))
        program = self.start("-config=server.hcl")
        address, key, token = self.initialised(port)
        self.cli("secrets", "enable", "-version=2", "-path=secret", "kv", token=token,
                 address=address)
        self.cli("kv", "put", "secret/a", "k=before", token=token, address=address)
        said = self.cli("operator", "backup", "b", token=token, address=address)
        self.assertRegex(said, r"rows +\d+")
        backup = pathlib.Path(self.folder, "b")
        self.assertEqual(backup.stat().st_mode & 0o777, 0o600)
        self.assertFalse(pathlib.Path(self.folder, "b.partial").exists())
        self.assertNotIn(b"before", backup.read_bytes())
        self.cli("operator", "backup", "b", code=1, token=token, address=address)  # not again
        reader = self.cli("token", "create", "-policy=default", "-field=token", token=token,
                          address=address)
        self.cli("operator", "backup", "c", code=2, token=reader, address=address)
        self.assertFalse(pathlib.Path(self.folder, "c.partial").exists())
        self.cli("operator", "restore", "-verify-only", "b")
        self.cli("kv", "put", "secret/a", "k=after", token=token, address=address)
        # Not while a server has the store; not what is damaged or cut off.
        self.assertIn("nothing was replaced",
                      self.cli("operator", "restore", "-config=server.hcl", "b", code=2))
        program.stop()
        whole = backup.read_bytes()
        for name, damaged in (("cut", whole[:-100]), ("none", b""),
                              ("flipped", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])):
            pathlib.Path(self.folder, name).write_bytes(damaged)
            self.cli("operator", "restore", "-verify-only", name, code=2)
            self.cli("operator", "restore", "-config=server.hcl", name, code=2)
        self.cli("operator", "restore", "b", code=1)  # into which store?

        said = self.cli("operator", "restore", "-config=server.hcl", "b")
        self.assertIn("-accept-older-store", said)
        program = self.start("-config=server.hcl")
        self.answers(address)
        refused = self.cli("operator", "unseal", key, code=2, address=address)
        self.assertIn("-accept-older-store", refused)
        program.stop()
        program = self.start("-config=server.hcl", "-accept-older-store")
        self.answers(address)
        self.cli("operator", "unseal", key, address=address)
        read = self.cli_json("kv", "get", "secret/a", token=token, address=address)
        self.assertEqual(read["data"]["data"], {"k": "before"})
        program.stop()
        record = b"".join(path.read_bytes() for path in
                          pathlib.Path(self.folder, "data/audit").rglob("*") if path.is_file())
        self.assertIn(b"accept-older-store", record)
        # Accepted once, it is in order from then on.
        program = self.start("-config=server.hcl")
        self.answers(address)
        self.cli("operator", "unseal", key, address=address)
        self.cli("kv", "put", "secret/a", "k=later", token=token, address=address)
        program.stop()
        # On another machine there is nothing that it could be older than.
        self.cli("operator", "restore", f"-data={self.folder}/other", "b")
        self.configure(self.hcl(port).replace("/data", "/other"), "other.hcl")
        program = self.start("-config=other.hcl")
        self.answers(address)
        self.cli("operator", "unseal", key, address=address)
        read = self.cli_json("kv", "get", "secret/a", token=token, address=address)
        self.assertEqual(read["data"]["data"], {"k": "before"})

    def test_nothing_to_back_up_in_memory(self):
        port = free_port()
        self.start("-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"
                   ).wait_for("Root Token")
        said = self.cli("operator", "backup", "b", code=2, token="root",
                        address=f"http://127.0.0.1:{port}")
        self.assertIn("in memory", said)


class RunTest(StartTest):
    """./run of a copy of the checkout whose folder has a blank in its name; it builds nothing."""

    def test_serves_and_stops(self):
        checkout = pathlib.Path(self.folder, "a checkout")
        (checkout / "tools").mkdir(parents=True)
        (checkout / "build/release").mkdir(parents=True)
        shutil.copy(TOP / "run", checkout / "run")
        shutil.copy(TOP / "tools/install-packages", checkout / "tools")
        (checkout / "tools/packages.txt").write_text("bash\n")
        (checkout / "tools/build").write_text("#!/bin/sh\n")
        (checkout / "tools/build").chmod(0o755)
        (checkout / "build/release/rekey").symlink_to(REKEY)
        port = free_port()
        for first in (True, False):
            program = self.start(command=[checkout / "run"], environment={
                "REKEY_LISTEN_ADDRESS": f"127.0.0.1:{port}"})
            program.wait_for("In another terminal")
            self.assertEqual("Root Token" in program.text(), first)
            self.serves(f"https://127.0.0.1:{port}", checkout / ".rekey/tls/ca.pem")
            self.assertEqual(program.stop(), 0)


if __name__ == "__main__":
    at = sys.argv.index("--server")
    REKEY = os.path.abspath(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    if "sanitize" in subprocess.run(["nm", "-D", REKEY], capture_output=True, text=True,
                                    check=False).stdout or "asan" in REKEY:
        SLOW, INSTRUMENTED = 40, 8
    unittest.main()
