"""Attacks that are one message: malformed and smuggled HTTP, paths, bodies."""
import json

from wire import expect, head, read_all, send, split_answers


def ask(target, data):
    with target.connect() as connection:
        send(connection, data)
        return read_all(connection)


def refusals(target):
    """[(name, bytes, status)]: each is refused with that status, and its connection closed."""
    token = f"X-Vault-Token: {target.root}"
    post = head("POST", "/v1/secret/data/a", token, "Content-Type: application/json")[:-2]
    get = head("GET", "/v1/sys/health", token)[:-2]
    return [
        ("both lengths", post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("two lengths", post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        ("bad chunk", post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("endless chunk size", post + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 9000, 400),
        ("obs-fold", get + b"X: a\r\n b\r\n\r\n", 400),
        ("bare LF", get.replace(b"\r\n", b"\n") + b"\n", 400),
        ("NUL in a header", get + b"X: a\0b\r\n\r\n", 400),
        ("100,000 headers", get + b"a: b\r\n" * 100_000 + b"\r\n", 431),
        ("a header of 1 MiB", get + b"a: " + b"b" * (1 << 20) + b"\r\n\r\n", 431),
        ("a target of 1 MiB", head("GET", "/v1/" + "a" * (1 << 20)), 414),
        ("authority form", head("GET", "x:80"), 400),
        ("connect", head("CONNECT", "x:80"), 501),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("unknown expectation", post + b"Expect: miracles\r\nContent-Length: 1\r\n\r\n", 417),
        ("a body over the limit", post + b"Content-Length: 999999999999\r\n\r\n", 413),
        ("SSH", b"SSH-2.0-OpenSSH_9.2p1\r\n", 400),
    ]


def play_refusals(target):
    for name, data, status in refusals(target):
        answer, closed = ask(target, data)
        expect(answer.startswith(b"HTTP/1.1 %d " % status), f"{name}: {answer[:200]!r}")
        expect(closed, f"{name}: the connection stays open")
        expect(b'"errors":[' in answer, f"{name}: no reason: {answer!r}")


def play_smuggling(target):
    """Whatever a front end might have made of the first request, the second doesn't happen."""
    token = target.root.encode()
    smuggled = (
        b"POST /v1/secret/data/smuggled HTTP/1.1\r\nHost: x\r\nX-Vault-Token: " + token + b"\r\n"
        b'Content-Length: 23\r\n\r\n{"data":{"v":"stolen"}}'
    )
    begin = head("POST", "/v1/secret/data/a")[:-2]
    size = b"Content-Length: %d\r\n" % len(smuggled)
    chunks = b"Transfer-Encoding: chunked\r\n"
    for name, data in [
        ("CL.TE", begin + size + chunks + b"\r\n0\r\n\r\n" + smuggled),
        ("TE.CL", begin + chunks + size + b"\r\n0\r\n\r\n" + smuggled),
        ("TE.TE", begin + chunks + b"Transfer-Encoding: x\r\n\r\n0\r\n\r\n" + smuggled),
        ("TE and a tab", begin + size + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + smuggled),
        ("CL.0", begin + size + b"\r\n" + smuggled),
        ("CL.CL", begin + size + b"Content-Length: 0\r\n\r\n" + smuggled),
        ("a line in a header", begin + b"X: a\n\n" + smuggled),
        ("CR in a header", begin + b"X: a\r\r\n\r\n" + smuggled),
        ("a chunk that is too long", begin + chunks + b"\r\n1\r\nab\r\n0\r\n\r\n" + smuggled),
        ("chunk extension", begin + chunks + b"\r\n1;\nab\r\n0\r\n\r\n" + smuggled),
        ("a GET's body", head("GET", "/v1/sys/health")[:-2] + size + b"\r\n" + smuggled),
    ]:
        with target.connect(timeout=0.5) as connection:
            send(connection, data)
            read_all(connection)
        status, answer = target.call("GET", "/v1/secret/data/smuggled", token=target.root)
        expect(status == 404, f"{name}: smuggled: {answer}")


def play_tolerated(target):
    """What is odd but allowed is answered like anything else."""
    token = f"X-Vault-Token: {target.root}"
    path = "/v1/secret/data/safe"
    for name, data in [
        ("absolute form", head("GET", f"http://elsewhere{path}", token, "Connection: close")),
        ("upgrade", head("GET", path, token, "Upgrade: h2c", "Connection: close, Upgrade")),
        ("websocket", head("GET", path, token, "Upgrade: websocket", "Connection: Upgrade, close")),
        ("HTTP/1.0", f"GET {path} HTTP/1.0\r\n{token}\r\n\r\n".encode()),
    ]:
        answer, _ = ask(target, data)
        expect(answer.startswith(b"HTTP/1.1 200 ") and b"untouched" in answer, f"{name}: {answer}")
    pipelined = head("GET", path, token) * 199 + head("GET", path, token, "Connection: close")
    answers = split_answers(ask(target, pipelined)[0])
    expect([status for status, _ in answers] == [200] * 200, f"pipelining: {len(answers)} answers")
    with target.connect() as connection:
        expectation = ["Expect: 100-continue", "Content-Length: 2"]
        send(connection, head("POST", "/v1/secret/data/b", token, *expectation))
        answer = connection.recv(1000)
        expect(answer.startswith(b"HTTP/1.1 100 "), f"Expect: {answer!r}")


# What is left of each is one clear path, or an error: never another one's secret.
PATHS = [
    "secret/data/../data/safe",
    "secret/data/x/%2e%2e/safe",
    "secret/data/x/..%2fsafe",
    "secret/data/%2e/safe",
    "secret/data/./safe",
    "secret%2fdata%2f..%2fdata%2fsafe",
    "secret/data/safe%00",
    "secret/data/safe\\..\\x",
    "secret/data/%c0%ae%c0%ae/safe",
    "secret/data/safe%",
    "secret/data/safe%4",
    "secret/data/safe%zz",
    "secret/data/safe%25%32%65",
    "secret/data/%ff%fe",
    "secret/data/safe;x=y",
    "secret/data/" + "a/" * 3000 + "safe",
    "secret/data/" + "%2e%2e/" * 1000 + "sys/mounts",
]


def play_paths(target):
    """With a token that may read secret/data/x/* alone, no spelling of a path reads another."""
    rules = 'path "secret/data/x/*" { capabilities = ["read", "create", "update", "list"] }'
    target.must("POST", "/v1/sys/policies/acl/x", {"policy": rules}, target.root)
    made = target.must("POST", "/v1/auth/token/create", {"policies": ["x"]}, target.root)
    token = f"X-Vault-Token: {made['auth']['client_token']}"
    for path in PATHS:
        answer, _ = ask(target, head("GET", f"/v1/{path}", token, "Connection: close"))
        status = int(answer.split()[1])
        expect(status in (400, 403, 404, 405, 413, 414), f"{path[:60]}: {answer[:300]!r}")
        expect(b"untouched" not in answer, f"{path[:60]} read the secret")


def bodies():
    """[(name, bytes, statuses)] for a KV write; where one is taken, a fourth says what is kept."""
    deep = 100_000
    digits = b"9" * 500_000
    return [
        ("deep arrays", b'{"data":' + b"[" * deep + b"]" * deep + b"}", {400}),
        ("deep objects", b'{"data":' + b'{"a":' * deep + b"1" + b"}" * deep + b"}", {400}),
        ("deep and unclosed", b'{"data":' + b"[" * deep, {400}),
        ("a million members", b'{"data":{"a":[' + b"0," * 1_000_000 + b"0]}}", {400, 413}),
        ("a million keys", json.dumps({"data": {str(i): i for i in range(300_000)}}).encode(),
         {400, 413}),
        # The last one counts, as in Vault; a number is kept as it was written.
        ("duplicate keys", b'{"data":{"v":"1"},"data":{"v":"2"}}', {200}, b'"v":"2"'),
        ("duplicate keys inside", b'{"data":{"v":"1","v":"2"}}', {200}, b'{"v":"2"}'),
        ("a key twice in escapes", b'{"data":{"v":"1","\\u0076":"2"}}', {200}, b'{"v":"2"}'),
        ("a huge exponent", b'{"data":{"v":1e999999}}', {200}, b'"v":1e999999}'),
        ("beyond 64 bits", b'{"data":{"v":-99999999999999999999.5}}', {200},
         b'"v":-99999999999999999999.5}'),
        ("a long number", b'{"data":{"v":' + digits + b"}}", {200}, digits),
        ("invalid UTF-8", b'{"data":{"v":"\xff\xfe"}}', {400}),
        ("overlong UTF-8", b'{"data":{"v":"\xc0\xaf"}}', {400}),
        ("half a surrogate", b'{"data":{"v":"\\ud800"}}', {200, 400}),
        ("a raw NUL", b'{"data":{"v":"\0"}}', {400}),
        ("an escaped NUL", b'{"data":{"v":"\\u0000"}}', {200}, b'"v":"\\u0000"}'),
        ("NUL in a key", b'{"data":{"a\\u0000b":"1"}}', {200}, b'"a\\u0000b":"1"'),
        ("a byte order mark", b'\xef\xbb\xbf{"data":{"v":"1"}}', {400}),
        ("two documents", b'{"data":{"v":"1"}}{"data":{"v":"2"}}', {400}),
        ("NaN", b'{"data":{"v":NaN}}', {400}),
        ("a comment", b'{/**/"data":{"v":"1"}}', {400}),
        ("no JSON", b"\x1f\x8b\x08\x00", {400}),
    ]


def play_bodies(target):
    before = target.anonymous_bytes()
    token = {"X-Vault-Token": target.root}
    for name, body, statuses, *kept_as in bodies():
        status, _, answer = target.request(
            "POST", "/v1/secret/data/body", body, token
        )
        expect(status in statuses, f"{name}: {status} {answer[:200]!r}")
        if status == 200:
            # What was taken can be read again, and is JSON.
            kept = target.request("GET", "/v1/secret/data/body", headers=token)[2]
            json.loads(kept, parse_int=str)
            expect(not kept_as or kept_as[0] in kept, f"{name}: kept as {kept[:200]!r}")
    grown = target.anonymous_bytes() - before
    expect(grown < 100 << 20, f"JSON bombs left {grown >> 20} MiB behind")
