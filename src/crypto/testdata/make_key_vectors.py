#!/usr/bin/python3
"""Writes the vectors for ciphers, key wrapping, signatures and HMACs from Debian's
python3-cryptography-vectors: NIST's CAVP files, RFCs 4231 and 7539, and OpenSSL's own.

    apt-get download python3-cryptography-vectors && dpkg -x *.deb x
    make_key_vectors.py x/usr/lib/python3/dist-packages/cryptography_vectors
"""
import os
import re
import sys

SOURCE = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))


def records(name):
    """(section, {field: value}) for each group of `key = value` lines."""
    section, current, out = "", {}, []
    for line in open(os.path.join(SOURCE, name), encoding="utf-8"):
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            if current:
                out.append((section, current))
                current = {}
            section = line[1:-1]
        elif "=" in line and not line.startswith("#"):
            key, value = (part.strip() for part in line.split("=", 1))
            if key in current:
                out.append((section, current))
                current = {}
            current[key] = value
        elif line == "FAIL":
            current["FAIL"] = "yes"
        elif not line and current:
            out.append((section, current))
            current = {}
    if current:
        out.append((section, current))
    return out


def write(name, head, rows):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as out:
        out.write(f"# {head}\n")
        for row in rows:
            out.write(" ".join(field or "-" for field in row) + "\n")
    print(name, len(rows))


def hash_name(text):
    return {"SHA1": "sha1", "SHA-1": "sha1"}.get(
        text, "sha2-" + text.replace("SHA-", "").replace("SHA", "")
    )


def ecdsa():
    rows, seen = [], {}
    for section, r in records("asymmetric/ECDSA/FIPS_186-3/SigVer.rsp"):
        curve, _, hash_ = section.partition(",")
        if curve not in ("P-256", "P-384", "P-521") or "R" not in r:
            continue
        width = {"P-256": 64, "P-384": 96, "P-521": 132}[curve]
        good = r["Result"].startswith("P")
        seen[section, good] = seen.get((section, good), 0) + 1
        if seen[section, good] > 2:
            continue
        numbers = [str(int(r[k], 16)) for k in ("Qx", "Qy")]
        fixed = "".join(r[k].lstrip("0").rjust(width, "0") for k in ("R", "S"))
        rows.append([curve, hash_name(hash_), *numbers, r["Msg"], fixed, "ok" if good else "fail"])
    write(
        "nist_ecdsa.txt",
        "NIST CAVP, FIPS 186-3 SigVer: curve hash x y (decimal) message r||s result",
        rows,
    )


def rsa(name, padding):
    rows, seen, modulus, bits = [], {}, "", ""
    for section, r in records(f"asymmetric/RSA/FIPS_186-2/{name}"):
        bits = section.replace("mod = ", "")
        modulus = r.get("n", modulus)
        if bits not in ("2048", "3072", "4096") or "S" not in r:
            continue
        good = r["Result"].startswith("P")
        key = bits, r["SHAAlg"], good
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            continue
        salt = str(len(r["SaltVal"]) // 2) if padding == "pss" and r["SaltVal"] != "00" else "0"
        rows.append(
            [padding, hash_name(r["SHAAlg"]), salt, str(int(modulus, 16)), str(int(r["e"], 16)),
             r["Msg"], r["S"], "ok" if good else "fail"]
        )
    return rows


def wrapping():
    rows = []
    for name in ("KWP_AE_256.txt", "KWP_AD_256.txt"):
        count = {}
        for section, r in records("keywrap/kwtestvectors/" + name):
            if "K" not in r:
                continue
            bad = "P" not in r
            count[section, bad] = count.get((section, bad), 0) + 1
            if count[section, bad] <= 6:
                rows.append([r["K"], r.get("P", ""), r["C"], "fail" if bad else "ok"])
    write("nist_kwp_256.txt", "NIST CAVP, SP 800-38F KWP with AES-256: key plain wrapped result", rows)


def ciphers():
    rows, count = [], {}
    for section, r in records("ciphers/AES/GCM/gcmEncryptExtIV128.rsp"):
        if len(r.get("IV", "")) != 24 or len(r.get("Tag", "")) != 32:
            continue
        shape = len(r["PT"]), len(r["AAD"])
        count[shape] = count.get(shape, 0) + 1
        if count[shape] <= 4:
            rows.append(["aes128", r["Key"], r["IV"], r["AAD"], r["PT"], r["CT"] + r["Tag"], "ok"])
    for _, r in records("ciphers/ChaCha20Poly1305/openssl.txt"):
        if len(r["IV"]) != 24 or len(r["Tag"]) != 32:
            continue
        bad = "Result" in r
        rows.append(["chacha20", r["Key"], r["IV"], r["AAD"], r["Plaintext"],
                     r["Ciphertext"] + r["Tag"], "fail" if bad else "ok"])
    write(
        "ciphers.txt",
        "NIST CAVP (AES-128-GCM) and OpenSSL's evpciph.txt (ChaCha20-Poly1305): "
        "cipher key nonce associated plain sealed result",
        rows,
    )


def hmacs():
    rows = []
    for bits in ("224", "256", "384", "512"):
        for _, r in records(f"HMAC/rfc-4231-sha{bits}.txt"):
            rows.append([f"sha2-{bits}", r["Key"], r["Msg"], r["MD"]])
    write("rfc4231_hmac.txt", "RFC 4231: hash key message mac", rows)


def oaep():
    rows = []
    for hash_ in ("sha256", "sha512"):
        text = open(os.path.join(SOURCE, f"asymmetric/RSA/oaep-custom/oaep-{hash_}-{hash_}.txt"),
                    encoding="utf-8").read()
        for block in text.split("# Private key")[1:2]:
            fields = re.findall(r"^# ([^\n:]+):\n([0-9a-f]+)$", block, re.M)
            found = {}
            for name, value in fields:
                found.setdefault(name, value)
            key = [found[k] for k in ("Modulus", "Public exponent", "Exponent", "Prime 1", "Prime 2",
                                      "Prime exponent 1", "Prime exponent 2", "Coefficient")]
            rows.append(["sha2-" + hash_[3:], *(str(int(k, 16)) for k in key), found["Message"],
                         found["Encryption"]])
    write("oaep.txt", "pyca's OAEP vectors (hash and MGF1 the same): "
          "hash n e d p q dp dq qinv message ciphertext", rows)


ecdsa()
write("nist_rsa_signatures.txt",
      "NIST CAVP, FIPS 186-3 SigVer: padding hash salt n e (decimal) message signature result",
      rsa("SigVerPSS_186-3.rsp", "pss") + rsa("SigVer15_186-3.rsp", "pkcs1"))
wrapping()
ciphers()
hmacs()
oaep()
