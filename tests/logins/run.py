#!/usr/bin/env python3
"""Logins that depend on an outside server: JWTs of an identity provider, and service accounts of
Kubernetes, each over real TLS, well-behaved and hostile.

usage: run.py --server build/release/rekey [jwt] [kubernetes]

Prints `ok NAME` or `FAIL NAME: why` a step; exit status 1 if anything failed."""
import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../api")
sys.path.insert(0, HERE)

import jose  # noqa: E402
import outside  # noqa: E402
import server  # noqa: E402

PATIENCE_SECONDS = 12  # an exchange with an outside server ends after ten


class Suite:
    ALLOW = 'outgoing { allow = ["localhost"] }'

    def __init__(self, binary):
        self.folder = tempfile.mkdtemp(prefix="rekey-logins-")
        self.rekey = server.Server("rekey", binary, {"rekey-config": [self.ALLOW]})
        ca, self.cert, self.key = jose.certificates(self.folder)
        with open(ca) as f:
            self.ca = f.read()
        self.now = int(time.time())

    def start(self):
        self.rekey.prepare()

    def close(self):
        self.rekey.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, path, body=None, token=None):
        return self.rekey.call(method, f"/v1/{path}", body, token or self.rekey.root)

    def must(self, method, path, body=None, token=None):
        status, answer = self.call(method, path, body, token)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def refused(self, method, path, body, status, text):
        got, answer = self.call(method, path, body)
        assert got == status and text in str(answer), f"{method} {path}: {got} {answer}"

    def later(self, seconds):
        self.rekey.advance(seconds)
        self.now += seconds


class Jwt(Suite):
    STEPS = [
        "discovery",
        "key_set_by_url",
        "several_key_sets",
        "a_new_key_is_found",
        "nonsense_fetches_nothing",
        "a_provider_that_is_down",
        "hostile_providers",
        "destinations",
    ]

    def start(self):
        super().start()
        self.first = jose.Key(self.folder, "first")
        self.second = jose.Key(self.folder, "second", "RSA")
        self.provider = outside.Provider(self.cert, self.key)
        self.provider.keys = [self.first]
        self.must("POST", "sys/auth/jwt", {"type": "jwt"})
        self.role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "rekey"}
        self.must("POST", "auth/jwt/role/r", self.role)

    def close(self):
        if hasattr(self, "provider"):
            self.provider.close()
        super().close()

    def claims(self, **changed):
        return {
            "iss": self.provider.url,
            "sub": "ci",
            "aud": "rekey",
            "iat": self.now,
            "exp": self.now + 600,
        } | changed

    def login(self, token, mount="jwt"):
        return self.must("POST", f"auth/{mount}/login", {"role": "r", "jwt": token})["auth"]

    def no_login(self, token, text, mount="jwt"):
        self.refused("POST", f"auth/{mount}/login", {"role": "r", "jwt": token}, 400, text)

    def by_discovery(self):
        return {"oidc_discovery_url": self.provider.url, "oidc_discovery_ca_pem": self.ca}

    def discovery(self):
        bound = {"bound_issuer": self.provider.url}
        self.must("POST", "auth/jwt/config", self.by_discovery() | bound)
        auth = self.login(self.first.sign(self.claims()))
        assert auth["metadata"] == {"role": "r"} and auth["entity_id"], auth
        fetched = len(self.provider.seen)
        for _ in range(3):
            self.login(self.first.sign(self.claims()))
        assert len(self.provider.seen) == fetched, "the keys are kept"
        self.no_login(self.first.sign(self.claims(iss="https://evil.example")), "iss")
        for audience in ("somebody", ["some", "body"], "rekey-2", "", []):
            self.no_login(self.first.sign(self.claims(aud=audience)), "audience")
        self.no_login(self.second.sign(self.claims()), "no known key")

    def key_set_by_url(self):
        self.later(60)
        url = {"jwks_url": f"{self.provider.url}/keys", "jwks_ca_pem": self.ca}
        self.must("POST", "auth/jwt/config", url)
        self.login(self.first.sign(self.claims()))
        unknown = url | {"jwks_ca_pem": ""}
        self.refused("POST", "auth/jwt/config", unknown, 400, "error checking jwks URL")

    def several_key_sets(self):
        other = outside.Provider(self.cert, self.key)
        other.keys = [self.second]
        both = (self.provider, other)
        pairs = [{"jwks_url": f"{p.url}/keys", "jwks_ca_pem": self.ca} for p in both]
        self.must("POST", "auth/jwt/config", {"jwks_pairs": pairs})
        assert self.must("GET", "auth/jwt/config")["data"]["jwks_pairs"] == pairs
        self.login(self.first.sign(self.claims()))
        self.login(self.second.sign(self.claims()))
        other.close()

    def a_new_key_is_found(self):
        self.must("POST", "auth/jwt/config", self.by_discovery())
        self.later(60)
        self.provider.keys = [self.second]
        self.login(self.second.sign(self.claims()))
        self.no_login(self.first.sign(self.claims()), "no known key")
        self.provider.keys = [self.first]
        self.later(60)

    def nonsense_fetches_nothing(self):
        self.login(self.first.sign(self.claims()))
        fetched = len(self.provider.seen)
        stranger = jose.Key(self.folder, "stranger")
        for kid in ("first", "a", "b", "../../keys", "c"):
            self.no_login(stranger.sign(self.claims(), kid=kid), "no known key")
        assert len(self.provider.seen) == fetched, self.provider.seen[fetched:]

    def a_provider_that_is_down(self):
        self.provider.mode = "error"
        self.later(600)  # past their freshness
        self.login(self.first.sign(self.claims()))
        self.later(3600)  # and past their age
        self.no_login(self.first.sign(self.claims()), "can't be fetched")
        fetched = len(self.provider.seen)
        self.no_login(self.first.sign(self.claims()), "can't be fetched")
        assert len(self.provider.seen) == fetched, "it was asked a moment ago"
        self.provider.mode = ""
        self.later(60)
        self.login(self.first.sign(self.claims()))

    def hostile_providers(self):
        for mode in ("large", "many", "endless", "error", "slow"):
            self.provider.mode = mode
            began = time.time()
            self.refused("POST", "auth/jwt/config", self.by_discovery(), 400, "error checking oidc")
            assert time.time() - began < PATIENCE_SECONDS, mode
            assert self.call("GET", "sys/health")[0] == 200
        self.provider.mode, self.provider.issuer = "", "https://somebody.else"
        self.refused("POST", "auth/jwt/config", self.by_discovery(), 400, "another issuer")
        self.provider.issuer = ""
        for self.provider.jwks_uri in (
            "file:///etc/passwd",
            "http://localhost:1/keys",
            "https://169.254.169.254/keys",
        ):
            self.refused("POST", "auth/jwt/config", self.by_discovery(), 400, "error checking oidc")
        self.provider.jwks_uri, self.provider.mode = "", "redirect"
        for self.provider.leads_to in (
            self.rekey.address + "/v1/sys/health",
            "https://169.254.169.254/latest/meta-data",
            "https://127.0.0.1:1/",
            self.provider.url + "/around",
        ):
            self.refused("POST", "auth/jwt/config", self.by_discovery(), 400, "error checking oidc")
        self.provider.mode = ""
        self.login(self.first.sign(self.claims()))  # none of it was kept

    def destinations(self):
        """What isn't on the list isn't spoken to, whoever configures it."""
        for url in (
            self.rekey.address,
            f"https://127.0.0.1:{self.provider.listener.server_port}",
            "http://169.254.169.254",
            "https://10.0.0.1",
            "http://[::1]:1",
            "http://0x7f000001:1",
        ):
            for body in ({"oidc_discovery_url": url}, {"jwks_url": url}):
                self.refused("POST", "auth/jwt/config", body, 400, "error checking")
        for url in ("file:///etc/passwd", "unix:///x", "gopher://x", "https://u:p@localhost/"):
            body = {"jwks_url": url}
            self.refused("POST", "auth/jwt/config", body, 400, "error checking jwks URL")


class Kubernetes(Suite):
    STEPS = [
        "configuration",
        "login",
        "audiences",
        "a_deleted_account",
        "local_check_first",
        "reviewers",
        "namespaces_by_label",
        "hostile_servers",
        "destinations",
    ]

    def start(self):
        super().start()
        self.signer = jose.Key(self.folder, "signer", "RSA")
        self.kubernetes = outside.Kubernetes(self.cert, self.key, ["reviewer"])
        self.must("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        self.config = {
            "kubernetes_host": self.kubernetes.url,
            "kubernetes_ca_cert": self.ca,
            "token_reviewer_jwt": "reviewer",
        }
        self.role = {
            "bound_service_account_names": "web,job-*",
            "bound_service_account_namespaces": "shop",
            "token_policies": "p",
        }

    def close(self):
        if hasattr(self, "kubernetes"):
            self.kubernetes.close()
        super().close()

    def token(self, namespace="shop", name="web", uid="u1", key=None, **changed):
        """A bound token as Kubernetes has issued them since 1.22, known to the server."""
        account = {"name": name, "uid": uid}
        pod = {"name": f"{name}-0", "uid": "p1"}
        claims = {
            "iss": "https://kubernetes.default.svc",
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": ["rekey"],
            "iat": self.now,
            "nbf": self.now,
            "exp": self.now + 3600,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": account, "pod": pod},
        } | changed
        token = (key or self.signer).sign(claims)
        self.kubernetes.add(token, namespace, name, uid, claims["aud"])
        return token

    def login(self, token, role="r"):
        return self.must("POST", "auth/kubernetes/login", {"role": role, "jwt": token})["auth"]

    def no_login(self, token, text="permission denied", role="r"):
        self.refused("POST", "auth/kubernetes/login", {"role": role, "jwt": token}, 403, text)

    def reviews(self):
        return len(self.kubernetes.seen)

    def configuration(self):
        self.must("POST", "auth/kubernetes/config", self.config)
        shown = self.must("GET", "auth/kubernetes/config")["data"]
        assert shown["token_reviewer_jwt_set"] and "'reviewer'" not in str(shown), shown
        self.must("POST", "auth/kubernetes/role/r", self.role)

    def login_(self):
        auth = self.login(self.token())
        assert auth["token_policies"] == ["default", "p"], auth
        assert auth["metadata"] == {
            "role": "r",
            "service_account_name": "web",
            "service_account_namespace": "shop",
            "service_account_secret_name": "",
            "service_account_uid": "u1",
        }, auth
        entity = self.must("GET", f"identity/entity/id/{auth['entity_id']}")["data"]
        assert [alias["name"] for alias in entity["aliases"]] == ["u1"], entity
        assert self.login(self.token(name="job-7", uid="u7"))["entity_id"] != auth["entity_id"]
        # An account of the same name that was made anew is somebody else.
        assert self.login(self.token(uid="u2"))["entity_id"] != auth["entity_id"]
        self.no_login(self.token(name="other", uid="u3"), "service account name not authorized")
        self.no_login(self.token(namespace="bank", uid="u4"), "namespace not authorized")
        self.no_login(self.token(exp=self.now - 100), "token is expired")
        self.no_login(self.token(nbf=self.now + 100), "token not yet valid")
        renewed = self.must("POST", "auth/token/renew-self", {}, auth["client_token"])
        assert renewed["auth"]["renewable"]

    def audiences(self):
        self.must("POST", "auth/kubernetes/role/aud", self.role | {"audience": "rekey"})
        self.login(self.token(), "aud")
        self.no_login(self.token(aud=["somebody"]), "invalid audience", "aud")
        # Good for somebody else and for us, as its claims have it; the server knows better.
        token = self.token()
        self.kubernetes.add(token, "shop", "web", "u1", ["somebody"])
        self.no_login(token, role="aud")
        # Nor is it taken where the server speaks of somebody else: name, namespace or uid.
        for other in (("bank", "web", "u1"), ("shop", "job-1", "u1"), ("shop", "web", "u2")):
            token = self.token()
            self.kubernetes.add(token, *other, ["rekey"])
            self.no_login(token, role="aud")

    def a_deleted_account(self):
        token = self.token(uid="u9")
        self.login(token)
        self.kubernetes.accounts.remove("u9")
        self.no_login(token)

    def local_check_first(self):
        """With pem_keys a token that the cluster didn't sign costs no call."""
        keys = {"pem_keys": [self.signer.public_pem()]}
        self.must("POST", "auth/kubernetes/config", self.config | keys)
        self.login(self.token())
        before = self.reviews()
        stranger = jose.Key(self.folder, "stranger", "RSA")
        self.no_login(self.token(key=stranger))
        head = jose.b64(b'{"alg":"none"}')
        self.no_login(head + "." + self.token().split(".")[1] + ".")
        self.no_login("nonsense")
        assert self.reviews() == before
        issuer = keys | {"issuer": "https://other", "disable_iss_validation": False}
        self.must("POST", "auth/kubernetes/config", self.config | issuer)
        self.no_login(self.token(), "invalid issuer")
        self.must("POST", "auth/kubernetes/config", self.config)

    def reviewers(self):
        """Without a reviewer's token the client's own one asks."""
        own = {k: v for k, v in self.config.items() if k != "token_reviewer_jwt"}
        self.must("POST", "auth/kubernetes/config", own | {"disable_local_ca_jwt": True})
        token = self.token()
        self.no_login(token)
        self.kubernetes.reviewers.add(token)
        self.login(token)
        self.must("POST", "auth/kubernetes/config", self.config | {"token_reviewer_jwt": "wrong"})
        self.no_login(token)
        self.must("POST", "auth/kubernetes/config", self.config)

    def namespaces_by_label(self):
        """A namespace is let in by its name or by its labels, as the cluster has them now."""
        selector = "bound_service_account_namespace_selector"
        role = self.role | {selector: "matchLabels: {stage: prod}"}
        self.must("POST", "auth/kubernetes/role/labels", role)
        shown = self.must("GET", "auth/kubernetes/role/labels")["data"]
        assert shown[selector] == "matchLabels: {stage: prod}"
        labels = self.kubernetes.labels
        labels |= {"bank": {"stage": "prod"}, "lab": {"stage": "dev"}, "bare": {}}
        self.login(self.token(), "labels")
        self.login(self.token(namespace="bank"), "labels")
        for name in ("lab", "bare"):
            self.no_login(self.token(namespace=name), "namespace not authorized", "labels")
        self.no_login(self.token(namespace="missing"), role="labels")
        self.no_login(self.token(namespace="../nodes"), role="labels")
        labels["bank"] = {"stage": "dev"}
        self.no_login(self.token(namespace="bank"), "namespace not authorized", "labels")
        # Who lies about his namespace is found out before its labels are asked for.
        labels["bank"] = {"stage": "prod"}
        token = self.token(namespace="bank")
        self.kubernetes.add(token, "lab", "web", "u1", ["rekey"])
        before = self.reviews()
        self.no_login(token, role="labels")
        assert self.reviews() == before + 1
        # Only by labels; JSON too.
        role = {"bound_service_account_names": "web", "bound_service_account_namespaces": ""}
        one_of = {"key": "stage", "operator": "In", "values": ["prod"]}
        role[selector] = json.dumps({"matchExpressions": [one_of]})
        self.must("POST", "auth/kubernetes/role/only", role)
        self.login(self.token(namespace="bank"), "only")
        self.no_login(self.token(), role="only")  # the cluster has no namespace "shop"
        # The client's own token is not for reading namespaces.
        own = {k: v for k, v in self.config.items() if k != "token_reviewer_jwt"}
        self.must("POST", "auth/kubernetes/config", own | {"disable_local_ca_jwt": True})
        token = self.token(namespace="bank")
        self.kubernetes.reviewers.add(token)
        self.no_login(token, "TokenReviewer JWT needs to be configured", "only")
        self.must("POST", "auth/kubernetes/config", self.config)

    def hostile_servers(self):
        for mode in ("liar", "redirect", "slow"):
            self.kubernetes.mode = mode
            began, before = time.time(), self.reviews()
            self.no_login(self.token())
            assert time.time() - began < PATIENCE_SECONDS, mode
            assert self.reviews() == before + 1, "a token is sent where it was configured"
        self.kubernetes.mode = ""
        self.login(self.token())
        # Another CA's word for the same name.
        os.makedirs(f"{self.folder}/other", exist_ok=True)
        with open(jose.certificates(f"{self.folder}/other")[0]) as f:
            other = {"kubernetes_ca_cert": f.read()}
        self.must("POST", "auth/kubernetes/config", self.config | other)
        before = self.reviews()
        self.no_login(self.token())
        assert self.reviews() == before

    def destinations(self):
        port = self.kubernetes.listener.server_port
        for host in (f"https://127.0.0.1:{port}", self.rekey.address, "https://169.254.169.254"):
            self.must("POST", "auth/kubernetes/config", self.config | {"kubernetes_host": host})
            before = self.reviews()
            self.no_login(self.token())
            assert self.reviews() == before
        for host in ("file:///etc", "unix:///x", "https://u:p@localhost"):
            body = self.config | {"kubernetes_host": host}
            self.refused("POST", "auth/kubernetes/config", body, 400, "kubernetes_host")


SUITES = {"jwt": Jwt, "kubernetes": Kubernetes}


def run(name, binary):
    suite, failed = SUITES[name](binary), 0
    try:
        suite.start()
        for step in suite.STEPS:
            try:
                getattr(suite, step + "_" if step == "login" else step)()
                print(f"ok {name} {step}", flush=True)
            except Exception:  # one step's failure doesn't hide the others'
                failed += 1
                print(f"FAIL {name} {step}: {traceback.format_exc(limit=-4)}", flush=True)
    finally:
        suite.close()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    options = parser.parse_args()
    names = options.suites or list(SUITES)
    return 1 if sum(run(name, os.path.realpath(options.server)) for name in names) else 0


if __name__ == "__main__":
    sys.exit(main())
