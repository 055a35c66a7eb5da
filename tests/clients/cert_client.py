#!/usr/bin/python3
"""Logins with client certificates: openssl makes an authority, clients and revocation lists, curl
and hvac (Debian's, unmodified) present them to a real server over TLS.

Reads VAULT_ADDR and VAULT_CACERT of a server that isn't initialised; prints a line a step,
`ok NAME` or `FAIL NAME: why`."""
import json
import os
import subprocess
import sys
import traceback

import hvac

FOLDER = os.path.join(os.environ["CLIENT_TEST_DIR"], "certificates")
AUTHORITY = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
CLIENT = [
    "basicConstraints=CA:FALSE",
    "extendedKeyUsage=clientAuth",
    "subjectKeyIdentifier=hash",
    "authorityKeyIdentifier=keyid",
]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=FOLDER)


def text(name):
    with open(f"{FOLDER}/{name}", encoding="ascii") as f:
        return f.read()


def make(name, subject, extensions, by=None, serial=1, days="30"):
    """A key and a certificate, name.key and name.pem; without `by` it signs itself."""
    with open(f"{FOLDER}/{name}.ext", "w", encoding="ascii") as f:
        f.write("\n".join(extensions) + "\n")
    openssl(
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject),
    )
    signer = ["-CA", f"{by}.pem", "-CAkey", f"{by}.key"] if by else ["-signkey", f"{name}.key"]
    openssl(
        *("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signer),
        *("-set_serial", str(serial), "-days", days, "-extfile", f"{name}.ext"),
    )


def make_crl(ca, revoked):
    """ca.crl, with these certificates in it."""
    open(f"{FOLDER}/index", "w").close()
    with open(f"{FOLDER}/ca.cnf", "w", encoding="ascii") as f:
        f.write(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=30\n"
            f"certificate={ca}.pem\nprivate_key={ca}.key\n"
        )
    for name in revoked:
        openssl("ca", "-config", "ca.cnf", "-revoke", f"{name}.pem")
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", f"{ca}.crl")


class Logins:
    def __init__(self):
        self.root = ""

    def api(self, method, path, body=None, certificate=None, token=""):
        """By curl: (status, decoded answer)."""
        command = ["curl", "--silent", "--show-error", "--cacert", os.environ["VAULT_CACERT"]]
        command += ["--request", method, "--write-out", "\n%{http_code}"]
        command += ["--header", f"X-Vault-Token: {token}"]
        if body is not None:
            command += ["--data", json.dumps(body)]
        if certificate:
            command += ["--cert", f"{certificate}.pem", "--key", f"{certificate}.key"]
        command.append(f"{os.environ['VAULT_ADDR']}/v1/{path}")
        out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=FOLDER).stdout
        answer, status = out.rsplit("\n", 1)
        return int(status), json.loads(answer) if answer else None

    def must(self, method, path, body=None):
        status, answer = self.api(method, path, body, token=self.root)
        assert status < 300, (method, path, status, answer)
        return answer

    def role(self, name, **fields):
        self.must("POST", f"auth/cert/certs/{name}", {"certificate": text("ca.pem"), **fields})

    def login(self, certificate, name=None):
        """What a login answers: its auth, or the error's text."""
        body = {"name": name} if name else {}
        status, answer = self.api("POST", "auth/cert/login", body, certificate)
        return answer["auth"] if status == 200 else answer["errors"][0]

    # --- the steps ---

    def start(self):
        client = hvac.Client(os.environ["VAULT_ADDR"], verify=os.environ["VAULT_CACERT"])
        made = client.sys.initialize(secret_shares=1, secret_threshold=1)
        client.sys.submit_unseal_key(made["keys"][0])
        self.root = made["root_token"]
        self.must("POST", "sys/auth/cert", {"type": "cert"})

    def certificates(self):
        os.mkdir(FOLDER)
        make("ca", "/CN=Example CA", AUTHORITY + ["subjectKeyIdentifier=hash"])
        make("middle", "/CN=Example Middle CA", AUTHORITY + CLIENT[2:], by="ca", serial=2)
        web = CLIENT + [
            "subjectAltName=DNS:web.example.org,email:web@example.org,URI:spiffe://example.org/web",
            "1.2.3.45=ASN1:UTF8String:team-a",
        ]
        make("web", "/O=Example/OU=ops/CN=web", web, by="ca", serial=4097)
        make("web2", "/O=Example/OU=ops/CN=web", web, by="ca", serial=4098)
        make("db", "/O=Example/OU=data/CN=db", CLIENT, by="middle", serial=7)
        make("server", "/CN=web", ["extendedKeyUsage=serverAuth"], by="ca", serial=8)
        make("evil-ca", "/CN=Example CA", AUTHORITY + ["subjectKeyIdentifier=hash"])
        make("evil", "/O=Example/OU=ops/CN=web", web, by="evil-ca", serial=4097)
        make("nameless", "/O=Example", CLIENT, by="ca", serial=9)
        # A client that sends the authority between, as most do.
        for end in ("pem", "key"):
            with open(f"{FOLDER}/db-chain.{end}", "w", encoding="ascii") as f:
                f.write(text(f"db.{end}") + (text("middle.pem") if end == "pem" else ""))

    def plain_login(self):
        self.role("web", token_policies="web", token_ttl="1h", display_name="shop")
        auth = self.login("web", "web")
        assert auth["policies"] == ["default", "web"] and auth["lease_duration"] == 3600, auth
        metadata = auth["metadata"]
        assert metadata["cert_name"] == "web" and metadata["common_name"] == "web", metadata
        assert metadata["serial_number"] == "4097", metadata
        assert len(metadata["subject_key_id"].split(":")) == 20, metadata
        assert len(metadata["authority_key_id"].split(":")) == 20, metadata
        looked_up = self.api("GET", "auth/token/lookup-self", token=auth["client_token"])[1]["data"]
        assert looked_up["display_name"] == "cert-shop", looked_up
        entity = self.must("GET", f"identity/entity/id/{auth['entity_id']}")["data"]
        assert [a["name"] for a in entity["aliases"]] == ["web"], entity
        # Another certificate of the same name is the same entity; no role named finds one.
        again = self.login("web2")
        assert again["entity_id"] == auth["entity_id"], again

    def refused(self):
        assert self.login(None, "web") == "no client certificate found"
        untrusted = "invalid certificate or no client certificate supplied"
        assert self.login("web", "none") == untrusted
        assert self.login("db", "web") == untrusted  # without what is between
        assert "failed to verify" in self.login("evil", "web") or (
            self.login("evil", "web") == untrusted
        )
        assert "failed to verify" in self.login("server", "web")
        assert "no common name" in self.login("nameless", "web")

    def chain(self):
        auth = self.login("db-chain", "web")
        assert auth["metadata"]["common_name"] == "db", auth
        self.must("POST", "auth/cert/certs/middle", {"certificate": text("middle.pem")})
        assert self.login("db", "middle")["metadata"]["cert_name"] == "middle"
        self.must("DELETE", "auth/cert/certs/middle")

    def rules(self):
        constraints = "no chain matching all constraints could be found for this login certificate"
        rules = {
            "allowed_names": ("web@example*", "db"),
            "allowed_common_names": ("w*b", "w"),
            "allowed_dns_sans": ("*.example.org", "example.org"),
            "allowed_email_sans": ("*@example.org", "*@example.com"),
            "allowed_uri_sans": ("spiffe://example.org/*", "spiffe://example.com/*"),
            "allowed_organizational_units": ("none,ops", "data"),
            "required_extensions": ("1.2.3.45:team-*", "1.2.3.45:team-b"),
        }
        for field, (good, bad) in rules.items():
            self.role("ruled", **{field: good})
            assert "client_token" in self.login("web", "ruled"), (field, good)
            self.role("ruled", **{field: bad})
            assert self.login("web", "ruled") == constraints, (field, bad)
            self.role("ruled", **{field: []})
        self.role(
            "ruled",
            required_extensions=["hex:1.2.3.45:0C06*", "1.2.3.45:*"],
            allowed_metadata_extensions="1.2.3.45,1.2.3.46",
        )
        assert self.login("web", "ruled")["metadata"]["1-2-3-45"] == "team-a"
        assert self.login("db-chain", "ruled") == constraints
        self.role("ruled", token_bound_cidrs="10.0.0.0/8")
        assert self.login("web", "ruled") == "permission denied"
        self.must("DELETE", "auth/cert/certs/ruled")

    def pinned_leaf(self):
        self.must(
            "POST", "auth/cert/certs/pin", {"certificate": text("web.pem"), "token_policies": "p"}
        )
        assert self.login("web", "pin")["policies"] == ["default", "p"]
        assert self.login("web2", "pin") == "invalid certificate or no client certificate supplied"
        assert self.login("evil", "pin") == "public key mismatch of a trusted leaf certificate"
        status, answer = self.api(
            "POST", "auth/cert/certs/bad", {"certificate": text("server.pem")}, token=self.root
        )
        assert status == 400 and "TLS client authentication" in answer["errors"][0], answer
        self.must("DELETE", "auth/cert/certs/pin")

    def renewal(self):
        token = self.login("web", "web")["client_token"]

        def renew(certificate):
            status, answer = self.api("POST", "auth/token/renew-self", {}, certificate, token)
            return "renewed" if status == 200 else answer["errors"][0]

        assert renew("web") == "renewed"
        assert renew("web2") == "renewed"  # the same client's next certificate
        assert "no client certificate" in renew(None)
        assert "not matching client identity" in renew("db-chain")
        self.must("POST", "auth/cert/config", {"disable_binding": True})
        assert renew(None) == "renewed"
        self.must("POST", "auth/cert/config", {"disable_binding": False})
        self.role("web", token_policies="other")
        assert "policies have changed" in renew("web")
        self.role("web", token_policies="web")

    def revoked(self):
        token = self.login("web", "web")["client_token"]
        make_crl("ca", ["web"])
        self.must("POST", "auth/cert/crls/Example", {"crl": text("ca.crl")})
        assert self.must("GET", "auth/cert/crls/example")["data"] == {"serials": {"4097": {}}}
        constraints = "no chain matching all constraints could be found for this login certificate"
        assert self.login("web", "web") == constraints
        # An address beside the list takes nothing off it.
        self.must("POST", "auth/cert/crls/example", {"url": "https://localhost/ca.crl"})
        assert self.login("web", "web") == constraints
        status, answer = self.api("POST", "auth/token/renew-self", {}, "web", token)
        assert (status, answer["errors"][0]) == (400, constraints), answer
        assert "client_token" in self.login("web2", "web")
        make_crl("ca", ["middle"])  # and with it whom it has vouched for
        self.must("POST", "auth/cert/crls/example", {"crl": text("ca.crl")})
        assert "client_token" in self.login("web", "web")
        assert self.login("db-chain", "web") == constraints
        self.must("DELETE", "auth/cert/crls/example")
        assert "client_token" in self.login("db-chain", "web")
        # Serial numbers of another authority are other certificates.
        make_crl("evil-ca", ["evil"])
        self.must("POST", "auth/cert/crls/evil", {"crl": text("evil-ca.crl")})
        make("other-ca", "/CN=Other CA", AUTHORITY)
        make_crl("other-ca", ["evil"])
        self.must("POST", "auth/cert/crls/evil", {"crl": text("other-ca.crl")})
        assert "client_token" in self.login("web", "web")

    def ocsp(self):
        self.role("ocsp", ocsp_enabled=True)
        assert "OCSP" in self.login("web", "ocsp")
        self.role("ocsp", ocsp_enabled=True, ocsp_fail_open=True)
        assert "client_token" in self.login("web", "ocsp")
        self.must("DELETE", "auth/cert/certs/ocsp")

    def alias_metadata(self):
        self.must("POST", "auth/cert/config", {"enable_identity_alias_metadata": True})
        auth = self.login("web", "web")
        entity = self.must("GET", f"identity/entity/id/{auth['entity_id']}")["data"]
        assert entity["aliases"][0]["metadata"] == auth["metadata"], entity

    def hvac_login(self):
        pair = (f"{FOLDER}/web.pem", f"{FOLDER}/web.key")
        client = hvac.Client(os.environ["VAULT_ADDR"], verify=os.environ["VAULT_CACERT"])
        answer = client.auth.cert.login(name="web", cert_pem=pair[0], key_pem=pair[1])
        assert answer["auth"]["metadata"]["cert_name"] == "web", answer
        root = hvac.Client(
            os.environ["VAULT_ADDR"], token=self.root, verify=os.environ["VAULT_CACERT"]
        )
        root.auth.cert.create_ca_certificate_role(
            name="byhvac", certificate=f"{FOLDER}/ca.pem", allowed_common_names="web"
        )
        assert root.auth.cert.list_certificate_roles()["data"]["keys"] == ["byhvac", "web"]
        read = root.auth.cert.read_ca_certificate_role("byhvac")["data"]
        assert read["allowed_common_names"] == ["web"], read
        root.auth.cert.delete_certificate_role("byhvac")


def main():
    logins = Logins()
    failed = False
    for step in (
        logins.certificates,
        logins.start,
        logins.plain_login,
        logins.refused,
        logins.chain,
        logins.rules,
        logins.pinned_leaf,
        logins.renewal,
        logins.revoked,
        logins.ocsp,
        logins.alias_metadata,
        logins.hvac_login,
    ):
        try:
            step()
            print(f"ok {step.__name__}", flush=True)
        except Exception:  # whatever a step finds; the next ones say more
            failed = True
            print(f"FAIL {step.__name__}: {traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
