"""Outside servers over real TLS, for logins that depend on one: an identity provider with OIDC
discovery, and Kubernetes' API as far as TokenReview, as their documents describe them; and what a
hostile one may do (slow, endless, too large, leading elsewhere)."""
import http.server
import json
import ssl
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.server.outside.seen.append(("GET", self.path))
        self.server.outside.get(self)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.outside.seen.append(("POST", self.path))
        self.server.outside.post(self, json.loads(body))


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


class Outside:
    def __init__(self, cert, key):
        self.seen = []
        self.listener = Listener(("127.0.0.1", 0), Handler)
        self.listener.outside = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.listener.socket = context.wrap_socket(
            self.listener.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://localhost:{self.listener.server_port}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()

    def get(self, request):
        request.answer(404, {})

    def post(self, request, body):
        request.answer(404, {})


class Provider(Outside):
    """OpenID Connect Discovery 1.0 and a JWKS. `mode` says how it misbehaves."""

    def __init__(self, cert, key):
        super().__init__(cert, key)
        self.keys, self.mode, self.issuer, self.jwks_uri, self.leads_to = [], "", "", "", ""

    def get(self, request):
        if self.mode == "slow":
            time.sleep(30)
        if self.mode == "endless":
            request.send_response(200)
            request.end_headers()
            while True:
                request.wfile.write(b" " * 65536)
        if self.mode == "redirect":
            return request.answer(302, {}, [("Location", self.leads_to)])
        if self.mode == "error":
            return request.answer(500, {"error": "no"})
        if request.path == "/.well-known/openid-configuration":
            return request.answer(
                200,
                {
                    "issuer": self.issuer or self.url,
                    "jwks_uri": self.jwks_uri or f"{self.url}/keys",
                    "id_token_signing_alg_values_supported": ["ES256"],
                },
            )
        if request.path != "/keys":
            return request.answer(404, {})
        if self.mode == "large":
            return request.answer(200, b'{"keys":[' + b'{"kty":"oct"},' * 100_000 + b"{}]}")
        if self.mode == "many":
            return request.answer(200, {"keys": [{"kty": "oct"}] * 300})
        return request.answer(200, {"keys": [key.jwk() for key in self.keys]})


class Kubernetes(Outside):
    """POST /apis/authentication.k8s.io/v1/tokenreviews: who may ask is checked by bearer token, a
    token is good while its account is there, and only audiences that it has are given back."""

    REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"

    def __init__(self, cert, key, reviewers):
        super().__init__(cert, key)
        self.reviewers = set(reviewers)
        self.tokens = {}  # token: (namespace, name, uid, audiences)
        self.accounts = set()  # uids that are there
        self.labels = {}  # namespace: labels
        self.audience = "https://kubernetes.default.svc"
        self.mode = ""

    def add(self, token, namespace, name, uid, audiences):
        self.tokens[token] = (namespace, name, uid, audiences)
        self.accounts.add(uid)

    def get(self, request):
        """GET /api/v1/namespaces/NAME: who may read is whoever may review."""
        if self.bearer(request) not in self.reviewers:
            return request.answer(403, {"kind": "Status", "code": 403, "reason": "Forbidden"})
        name = request.path.removeprefix("/api/v1/namespaces/")
        if name not in self.labels:
            return request.answer(404, {"kind": "Status", "code": 404, "reason": "NotFound"})
        about = {"name": name, "labels": self.labels[name]}
        return request.answer(200, {"kind": "Namespace", "apiVersion": "v1", "metadata": about})

    @staticmethod
    def bearer(request):
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def review(self, spec):
        known = self.tokens.get(spec["token"])
        wanted = spec.get("audiences") or [self.audience]
        if not known or known[2] not in self.accounts:
            return {"authenticated": False, "error": "[invalid bearer token]"}
        namespace, name, uid, audiences = known
        both = [a for a in wanted if a in audiences]
        if not both:
            return {"authenticated": False, "error": "[invalid bearer token, token audiences]"}
        user = {
            "username": f"system:serviceaccount:{namespace}:{name}",
            "uid": uid,
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"],
        }
        return {"authenticated": True, "user": user, "audiences": both}

    def post(self, request, body):
        if request.path != self.REVIEWS or body.get("kind") != "TokenReview":
            return request.answer(404, {"kind": "Status", "code": 404})
        if self.mode == "slow":
            time.sleep(30)
        if self.mode == "redirect":
            return request.answer(307, {}, [("Location", f"{self.url}{self.REVIEWS}?again")])
        if self.bearer(request) not in self.reviewers:
            return request.answer(401, {"kind": "Status", "code": 401, "reason": "Unauthorized"})
        status = self.review(body["spec"])
        if self.mode == "liar":  # says yes to everything, about whom it likes
            status = {"authenticated": True, "user": {"username": "admin", "uid": "0"}}
        return request.answer(201, body | {"status": status})
