"""Attacks by many connections, or by one that goes on and on: slow, idle, deaf; and TLS itself."""
import contextlib
import socket
import ssl
import struct
import subprocess
import time

from wire import Failed, expect, head, read_all, send, split_answers

# The whole server's bound, whatever is thrown at it here.
GROWTH_BYTES_MAX = 200 << 20
SLOW_SECONDS_MAX = 8


@contextlib.contextmanager
def bounded_memory(target, what, bytes_max=GROWTH_BYTES_MAX):
    before = target.anonymous_bytes()
    yield
    grown = target.anonymous_bytes() - before
    expect(grown < bytes_max, f"{what}: {grown >> 20} MiB more")


def close_all(connections):
    for connection in connections:
        connection.close()


def play_idle(target, count):
    """Open connections that say nothing cost little and hold nobody up."""
    connections = []
    try:
        with bounded_memory(target, f"{count} idle connections"):
            for number in range(count):
                connections.append(target.connect())
                if number % 1000 == 999:
                    target.check_others()
            target.check_others()
        # Each of them is still served.
        token = f"X-Vault-Token: {target.root}"
        for connection in connections[:: max(1, count // 20)]:
            send(connection, head("GET", "/v1/secret/data/safe", token, "Connection: close"))
            expect(b"untouched" in read_all(connection)[0], "an idle connection was dropped")
    finally:
        close_all(connections)


def play_slow(target, count=300):
    """Heads and bodies that come a byte at a time are cut off after their time."""
    token = f"X-Vault-Token: {target.root}"
    half_head = head("POST", "/v1/secret/data/slow", token)[:-2]
    connections = [target.connect() for _ in range(count)]
    try:
        for number, connection in enumerate(connections):
            body = b"Content-Length: 1000\r\n\r\n" if number % 2 else b""
            send(connection, half_head + body)
        begun = time.monotonic()
        while time.monotonic() - begun < SLOW_SECONDS_MAX - 2:
            for connection in connections:
                send(connection, b"x")
            target.check_others()
            time.sleep(0.5)
        for connection in connections:
            connection.settimeout(2)
            answer, closed = read_all(connection)
            expect(closed, "a slow connection goes on and on")
            expect(not answer or answer.startswith(b"HTTP/1.1 408 "), f"slow: {answer[:200]!r}")
    finally:
        close_all(connections)


def wait_for_sockets(target, most, seconds_max=40):
    """Until the server has closed what it had to: a loaded machine is given time."""
    end = time.monotonic() + seconds_max
    while (left := target.sockets()) > most:
        expect(time.monotonic() < end, f"{left} sockets are open, {most} were expected")
        time.sleep(0.2)


def play_deaf(target, count=40):
    """Who asks for much and reads nothing is cut off; what waits for it is bounded."""
    before = target.sockets()
    token = f"X-Vault-Token: {target.root}"
    big = {"data": {"v": "x" * 500_000}}
    target.must("POST", "/v1/secret/data/big", big, target.root)
    connections = []
    try:
        with bounded_memory(target, "answers that nobody reads"):
            for _ in range(count):
                connection = target.connect()
                connections.append(connection)
                connection.settimeout(0.5)
                send(connection, head("GET", "/v1/secret/data/big", token) * 200)
            target.check_others()
        # None reads a byte: http_write_timeout ends them all. One that is left would be read below,
        # and so no longer be deaf.
        wait_for_sockets(target, before)
        target.check_others()
        for connection in connections:
            connection.settimeout(5)
            expect(read_all(connection)[1], "a deaf connection is kept")
    finally:
        close_all(connections)


def play_big_bodies(target, count=60):
    """Bodies just under the limit, all at once and none of them finished."""
    token = f"X-Vault-Token: {target.root}"
    size = 32 << 20
    begin = head("POST", "/v1/secret/data/big", token, f"Content-Length: {size}")
    connections = []
    try:
        with bounded_memory(target, "bodies that were announced"):
            for _ in range(count):
                connections.append(target.connect())
                send(connections[-1], begin + b" " * 100_000)
            target.check_others()
    finally:
        close_all(connections)


def play_churn(target, count=3000):
    """Connections that come and go, in the middle of anything."""
    token = f"X-Vault-Token: {target.root}"
    request = head("GET", "/v1/secret/data/safe", token)
    with bounded_memory(target, "connections that come and go", 60 << 20):
        for number in range(count):
            connection = target.connect()
            send(connection, request[: number % len(request)])
            if number % 3 == 0:  # a reset, not a farewell
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
        target.check_others()


# --- TLS ---


def raw_connection(target):
    return socket.create_connection(("127.0.0.1", target.port), 15)


def tls_record(kind, data, version=0x0301):
    return struct.pack("!BHH", kind, version, len(data)) + data


def handshakes():
    """[(name, bytes)]: none of them is the beginning of a handshake that can be finished."""
    claims_16_mib = b"\x01\xff\xff\xff"
    return [
        ("a hello that claims 16 MiB", tls_record(22, claims_16_mib + b"\x03\x03" + b"x" * 16000)),
        ("and sends some", tls_record(22, claims_16_mib + b"\x03\x03" + b"x" * 16000)
         + tls_record(22, b"x" * 16384) * 600),
        ("a record of 65,535", struct.pack("!BHH", 22, 0x0301, 65535) + b"x" * 65535),
        ("empty records", tls_record(22, b"") * 10000),
        ("empty data before the hello", tls_record(23, b"") * 10000),
        ("alerts", tls_record(21, b"\x01\x00") * 10000),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01" * 40),
        ("noise", bytes(range(256)) * 100),
        ("plain HTTP", head("GET", "/v1/sys/health")),
        ("one byte a record", b"".join(tls_record(22, b"\x01") for _ in range(20000))),
    ]


def play_handshakes(target):
    with bounded_memory(target, "handshakes", 60 << 20):
        for name, data in handshakes():
            connections = [raw_connection(target) for _ in range(20)]
            for connection in connections:
                connection.settimeout(12)
                send(connection, data)
            target.check_others()
            for connection in connections:
                _, closed = read_all(connection)
                expect(closed, f"{name}: the connection stays open")
            close_all(connections)


def openssl(target, *arguments, given=b"", seconds=20):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{target.port}", "-CAfile", target.cert,
         *arguments],
        input=given, capture_output=True, timeout=seconds, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


def play_old_tls(target):
    said = openssl(target, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    expect("Cipher is (NONE)" in said, f"TLS 1.1: {said[-500:]}")
    said = openssl(target, "-tls1_2", "-cipher", "NULL:eNULL:aNULL:RC4:3DES:@SECLEVEL=0")
    expect("Cipher is (NONE)" in said, f"weak ciphers: {said[-500:]}")


def play_renegotiation(target):
    """`R` makes s_client renegotiate, `k` update its keys."""
    said = openssl(target, "-tls1_2", given=b"R\n" * 5)
    expect("no renegotiation" in said or "renegotiation" not in said.split("RENEGOTIATING")[-1]
           or "error" in said, f"renegotiation: {said[-500:]}")
    expect("Secure Renegotiation IS supported" in said, f"renegotiation: {said[-800:]}")
    with bounded_memory(target, "key updates", 30 << 20):
        openssl(target, "-tls1_3", given=b"K\n" * 200)
        target.check_others()


def play_early_data(target):
    """No session is resumed, so nothing sent early is ever taken (it could be replayed)."""
    session = f"{target.folder}/session"
    first = head("GET", "/v1/sys/health", "Connection: close")
    openssl(target, "-tls1_3", "-sess_out", session, "-ign_eof", given=first)
    early = f"{target.folder}/early"
    with open(early, "wb") as f:
        f.write(head("POST", "/v1/secret/data/early", f"X-Vault-Token: {target.root}"))
    said = openssl(target, "-tls1_3", "-sess_in", session, "-early_data", early, "-ign_eof",
                   given=first)
    expect("Early data was accepted" not in said, "early data was accepted")
    expect("Reused, TLS" not in said, "a session was resumed")


def play_tls_mix(target):
    """A record cut in the middle of a request, and one altered on its way."""
    token = f"X-Vault-Token: {target.root}"
    with target.connect() as connection:
        for byte in head("GET", "/v1/secret/data/safe", token, "Connection: close"):
            connection.sendall(bytes([byte]))
        answers = split_answers(read_all(connection)[0])
        expect(answers[0][0] == 200, f"one byte a record: {answers}")
    relay = raw_connection(target)
    context = ssl.create_default_context(cafile=target.cert)
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(into, out, server_hostname="localhost")
    while True:
        try:
            tls.do_handshake()
            relay.sendall(out.read())
            break
        except ssl.SSLWantReadError:
            relay.sendall(out.read())
            into.write(relay.recv(65536))
    tls.write(head("GET", "/v1/secret/data/safe", token))
    record = bytearray(out.read())
    record[-1] ^= 1
    send(relay, bytes(record))
    answer, closed = read_all(relay)
    if not closed or b"untouched" in answer or len(answer) > 1000:
        raise Failed("an altered record was not refused")
