"""Starts, initialises, unseals, restarts and stops one server under test: Rekey, or OpenBao as
the oracle.
Shared by the API scripts, the client tests and tools/compare-with-bao."""
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

START_SECONDS = 30
STOP_SECONDS = 15


class ServerError(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(folder):
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            key,
            "-out",
            cert,
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


class Server:
    """One server in its own folder on its own loopback port; `settings` are the script's."""

    def __init__(self, kind, binary, settings=None, tls=False):
        self.kind, self.binary, self.settings = kind, binary, settings or {}
        self.dev = self.settings.get("server", [""])[0].startswith("dev")
        self.tls = tls or self.settings.get("listener", [""])[0] == "tls"
        self.folder = tempfile.mkdtemp(prefix=f"{kind}-test-")
        self.port, self.cluster_port = free_port(), free_port()
        self.process, self.root, self.keys, self.keys_base64 = None, "", [], []
        self.offset_seconds = 0
        self.cert, self.key = make_certificate(self.folder) if self.tls else ("", "")

    @property
    def address(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    # --- the process ---

    def write_configuration(self):
        storage = self.settings.get("storage", ["durable"])[0]
        if storage == "durable":
            # OpenBao's durable store takes seconds to elect itself; only scripts that restart
            # the server need it.
            storage = (
                "lmdb"
                if self.kind == "rekey"
                else "raft"
                if self.settings.get("restarts")
                else "inmem"
            )
        os.makedirs(f"{self.folder}/data", exist_ok=True)
        path = "" if storage == "inmem" else f'path = "{self.folder}/data"'
        path += '\n  node_id = "n1"' if storage == "raft" else ""
        tls = (
            f'tls_cert_file = "{self.cert}"\n  tls_key_file = "{self.key}"'
            if self.tls
            else "tls_disable = true"
        )
        # OpenBao turns the unauthenticated forms off unless told otherwise.
        extra = (
            "disable_unauthed_rekey_endpoints = false\n"
            "  disable_unauthed_generate_root_endpoints = false"
            if self.kind == "bao"
            else ""
        )
        extra += "\n  ".join(self.settings.get("listener-config", []))
        top = "unsafe_allow_api_audit_creation = true" if self.kind == "bao" else ""
        more = "\n".join(
            self.settings.get("config", []) + self.settings.get(f"{self.kind}-config", [])
        )
        with open(f"{self.folder}/server.hcl", "w") as f:
            f.write(
                f'''storage "{storage}" {{
  {path}
}}
listener "tcp" {{
  address = "127.0.0.1:{self.port}"
  {tls}
  {extra}
}}
api_addr = "{self.address}"
cluster_addr = "https://127.0.0.1:{self.cluster_port}"
disable_mlock = true
log_level = "info"
{top}
{more}
'''.replace(
                    "${dir}", self.folder
                )
            )

    def command(self):
        clock = [f"-test-clock={self.folder}/clock"] if self.kind == "rekey" else []
        if not self.dev:
            self.write_configuration()
            return [self.binary, "server", f"-config={self.folder}/server.hcl"] + clock
        flags = self.settings["server"][0].split()[1:]
        return (
            [
                self.binary,
                "server",
                "-dev",
                f"-dev-listen-address=127.0.0.1:{self.port}",
                "-dev-root-token-id=root",
            ]
            + flags
            + clock
        )

    def start(self):
        with open(f"{self.folder}/clock", "w") as f:
            f.write(f"{self.offset_seconds}\n")
        self.log = open(f"{self.folder}/log", "ab")
        env = {
            k: v for k, v in os.environ.items() if not k.startswith(("VAULT_", "BAO_", "REKEY_"))
        }
        self.process = subprocess.Popen(
            self.command(),
            stdout=self.log,
            stderr=self.log,
            env={**env, "HOME": self.folder},
            cwd=self.folder,
        )
        end = time.time() + START_SECONDS
        while time.time() < end and self.alive():
            try:
                status = self.call("GET", "/v1/sys/health?uninitcode=200&sealedcode=299")[0]
                if not self.dev and status in (200, 299):
                    return
                # Dev mode initialises itself after the listener is up, and says when it is done.
                if self.dev and status == 200 and "Root Token: " in self.log_tail():
                    self.root = "root"
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise ServerError(f"the server did not start: {self.log_tail()}")

    def alive(self):
        return self.process and self.process.poll() is None

    def log_tail(self, size=2000):
        with open(f"{self.folder}/log", "rb") as f:
            return f.read().decode(errors="replace")[-size:]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process:
            self.log.close()

    def close(self, keep=False):
        self.stop()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- requests ---

    def request(self, method, path, body=b"", headers=None):
        """One request on a connection of its own: (status, [(header, value)], body bytes)."""
        if self.tls:
            context = ssl.create_default_context(cafile=self.cert)
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=60, context=context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            try:
                connection.request(method, path, body=body or None, headers=headers or {})
            except (BrokenPipeError, ConnectionResetError):
                pass  # a body over the limit may be refused before all of it is sent
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except http.client.HTTPException as e:
            raise ConnectionError(f"broken answer: {e!r}") from e
        finally:
            connection.close()

    def call(self, method, path, body=None, token=None):
        """A JSON request made by the runner itself: (status, decoded body or None)."""
        headers = {"X-Vault-Token": token} if token else {}
        status, _, raw = self.request(
            method, path, json.dumps(body).encode() if body is not None else b"", headers
        )
        return status, json.loads(raw) if raw else None

    def must(self, method, path, body=None, token=None):
        status, answer = self.call(method, path, body, token)
        if status >= 300:
            raise ServerError(f"{method} {path}: {status} {answer}; {self.log_tail()}")
        return answer

    # --- life ---

    def initialise(self, shares=1, threshold=1):
        answer = self.must(
            "PUT", "/v1/sys/init", {"secret_shares": shares, "secret_threshold": threshold}
        )
        self.keys, self.keys_base64, self.root = (
            answer["keys"],
            answer["keys_base64"],
            answer["root_token"],
        )

    def unseal(self):
        for key in self.keys:
            if not self.must("PUT", "/v1/sys/unseal", {"key": key})["sealed"]:
                break
        end = time.time() + START_SECONDS
        while time.time() < end:  # OpenBao answers before its mounts are up
            if (
                self.call("GET", "/v1/sys/health")[0] == 200
                and self.call("GET", "/v1/sys/mounts", token=self.root)[0] != 503
            ):
                return
            time.sleep(0.02)
        raise ServerError(f"not unsealed: {self.log_tail()}")

    def seal(self):
        self.must("PUT", "/v1/sys/seal", token=self.root)

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)

    def advance(self, seconds):
        """Moves Rekey's clock; the server reads the file's offset at SIGUSR2."""
        self.offset_seconds += seconds
        with open(f"{self.folder}/clock", "w") as f:
            f.write(f"{self.offset_seconds}\n")
        self.process.send_signal(signal.SIGUSR2)
        time.sleep(0.2)

    def prepare(self):
        """Starts it and brings it to the state that the script's `server:` setting asks for."""
        self.start()
        mode = self.settings.get("server", ["unsealed"])[0].split()[0]
        if mode == "unsealed":
            self.initialise()
            self.unseal()
