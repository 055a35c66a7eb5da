"""Raw connections to a server under attack, its memory, and whether others notice."""
import contextlib
import os
import resource
import socket
import ssl
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../api")

import server  # noqa: E402

READ_SECONDS_MAX = 15
# Short, so that the tests see them pass.
TIMEOUTS = """http_read_header_timeout = "2s"
  http_read_timeout = "4s"
  http_write_timeout = "3s"
  http_idle_timeout = "60s"
"""


class Failed(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Target(server.Server):
    """A server with short timeouts and as many connections as the machine lets it have."""

    def write_configuration(self):
        super().write_configuration()
        path = f"{self.folder}/server.hcl"
        with open(path, encoding="utf-8") as f:
            text = f.read()
        place = f'address = "127.0.0.1:{self.port}"\n'
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(place, f"{place}  {TIMEOUTS}", 1))

    def prepare_for_attack(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.start()
        self.initialise()
        self.unseal()
        options = {"type": "kv", "options": {"version": "2"}}
        self.must("POST", "/v1/sys/mounts/secret", options, self.root)
        self.must("POST", "/v1/secret/data/safe", {"data": {"v": "untouched"}}, self.root)
        return self

    def connect(self, timeout=READ_SECONDS_MAX):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout)
        if not self.tls:
            return raw
        context = ssl.create_default_context(cafile=self.cert)
        return context.wrap_socket(raw, server_hostname="localhost")

    def anonymous_bytes(self):
        """Memory that is the process's own, without the mapped store."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            for line in f:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        raise Failed("no RssAnon in /proc")

    def sockets(self):
        """How many the server has open."""
        folder, count = f"/proc/{self.process.pid}/fd", 0
        for descriptor in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                count += os.readlink(f"{folder}/{descriptor}").startswith("socket:")
        return count

    def check_others(self, seconds_max=5.0):
        """A well-behaved client beside the attack: answered rightly, and soon. (A millisecond on a
        machine of its own; the attacker and other tests share this one.)"""
        begun = time.monotonic()
        status, answer = self.call("GET", "/v1/secret/data/safe", token=self.root)
        took = time.monotonic() - begun
        expect(status == 200 and answer["data"]["data"] == {"v": "untouched"}, f"{status} {answer}")
        expect(took < seconds_max, f"another client waited {took:.1f} s")


def head(method, target, *lines):
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def send(connection, data):
    """Whatever the other side takes of it; it may close in the middle."""
    try:
        connection.sendall(data)
    except OSError:
        pass


def read_all(connection):
    """Until the other side closes; what came, and whether it did close."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except (TimeoutError, socket.timeout):
        return data, False
    except OSError:
        pass
    return data, True


def split_answers(data):
    """[(status, body)] of answers that all have a Content-Length."""
    answers = []
    while data:
        header, _, rest = data.partition(b"\r\n\r\n")
        lines = header.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        sizes = [int(x.split(":")[1]) for x in lines[1:] if x.lower().startswith("content-length")]
        size = sizes[0] if sizes else 0
        answers.append((status, rest[:size]))
        data = rest[size:]
    return answers
