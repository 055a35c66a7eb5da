"""Keys and signed tokens for the tests of logins, made with the openssl program: an independent
signer, and the standard library only."""
import base64
import json
import os
import subprocess


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=b""):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True)
    return done.stdout


class Key:
    """A P-256 or RSA key in a file of `folder`."""

    def __init__(self, folder, name, kind="EC"):
        self.file, self.kind, self.name = f"{folder}/{name}.key", kind, name
        option = "ec_paramgen_curve:P-256" if kind == "EC" else "rsa_keygen_bits:2048"
        openssl("genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", self.file)

    def public_pem(self):
        return openssl("pkey", "-in", self.file, "-pubout").decode().strip()

    def certificate_pem(self):
        made = openssl("req", "-x509", "-key", self.file, "-days", "2", "-subj", "/CN=signer")
        return made.decode().strip()

    def jwk(self):
        der = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")
        if self.kind == "EC":  # the point is the last 64 bytes
            jwk = {"kty": "EC", "crv": "P-256", "x": b64(der[-64:-32]), "y": b64(der[-32:])}
            return jwk | {"kid": self.name, "alg": "ES256", "use": "sig"}
        text = openssl("rsa", "-pubin", "-inform", "DER", "-modulus", "-noout", data=der).decode()
        modulus = bytes.fromhex(text.strip().split("=")[1])
        jwk = {"kty": "RSA", "n": b64(modulus), "e": "AQAB"}
        return jwk | {"kid": self.name, "alg": "RS256", "use": "sig"}

    def sign(self, claims, kid=None):
        header = {"alg": "ES256" if self.kind == "EC" else "RS256", "kid": kid or self.name}
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
        made = openssl("dgst", "-sha256", "-sign", self.file, data=text.encode())
        return text + "." + b64(fixed(made) if self.kind == "EC" else made)


def fixed(der):
    """r and s of an ECDSA signature, 32 bytes each, from DER."""
    out, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        out += der[at + 2 : at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + size
    return out


def certificates(folder):
    """A CA and a certificate for localhost and 127.0.0.1: files of CA, certificate, key."""
    ca, ca_key = f"{folder}/ca.pem", f"{folder}/ca.key"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=CA")
    cert, key, wish = f"{folder}/server.pem", f"{folder}/server.key", f"{folder}/server.csr"
    openssl("req", *curve, "-keyout", key, "-out", wish, "-subj", "/CN=localhost")
    with open(f"{folder}/names", "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    by = ["-CA", ca, "-CAkey", ca_key, "-set_serial", "7", "-days", "2"]
    openssl("x509", "-req", "-in", wish, *by, "-extfile", f"{folder}/names", "-out", cert)
    os.remove(wish)
    return ca, cert, key
