#!/usr/bin/python3
"""hvac (Debian's python3-hvac, unmodified) through a server's whole life.

Reads VAULT_ADDR and VAULT_CACERT of a server that isn't initialised; prints a line a step,
`ok NAME` or `FAIL NAME: why`."""
import base64
import datetime
import os
import sys
import time
import traceback

import hvac

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../logins"))

import jose  # noqa: E402
import outside  # noqa: E402

READ_KV = {
    "path": {
        "one/*": {"capabilities": ["read", "list"]},
        "two/data/*": {"capabilities": ["create", "update", "read", "patch"]},
    }
}


class Life:
    def __init__(self):
        self.client = self.connect()
        self.shares = []

    def connect(self, token=""):
        return hvac.Client(os.environ["VAULT_ADDR"], token=token, verify=os.environ["VAULT_CACERT"])

    def initialise(self):
        assert not self.client.sys.is_initialized()
        assert self.health_body().status_code == 501
        made = self.client.sys.initialize(secret_shares=3, secret_threshold=2)
        assert len(made["keys"]) == len(made["keys_base64"]) == 3
        self.shares, self.client.token = made["keys"], made["root_token"]
        assert self.client.sys.is_initialized() and self.client.sys.is_sealed()

    def unseal(self):
        status = self.client.sys.submit_unseal_key(self.shares[0])
        assert status["progress"] == 1 and status["sealed"] and status["nonce"], status
        status = self.client.sys.submit_unseal_key(reset=True)
        assert status["progress"] == 0
        status = self.client.sys.submit_unseal_keys(self.shares[:2])
        assert not status["sealed"], status
        self.wait_until_active()
        assert self.client.is_authenticated() and not self.client.sys.is_sealed()

    def health_body(self):
        """hvac gives the decoded body where the status is 200 and the response itself otherwise."""
        return self.client.sys.read_health_status(method="GET")

    def wait_until_active(self):
        for _ in range(200):
            if not self.client.sys.is_sealed() and isinstance(self.health_body(), dict):
                return
            time.sleep(0.05)
        raise AssertionError("not active")

    def health(self):
        health = self.health_body()
        assert health["initialized"] and not health["sealed"] and not health["standby"], health
        assert self.client.sys.read_health_status(method="HEAD").status_code == 200
        status = self.client.sys.read_seal_status()
        assert status["t"] == 2 and status["n"] == 3 and status["version"], status
        assert "ha_enabled" in self.client.sys.read_leader_status()

    def mounts(self):
        sys_ = self.client.sys
        assert "cubbyhole/" in sys_.list_mounted_secrets_engines()["data"]
        assert "cubbyhole/" in sys_.list_mounted_secrets_engines()  # hvac's users read both
        sys_.enable_secrets_engine("kv", path="one", options={"version": "1"}, description="v1")
        sys_.enable_secrets_engine("kv", path="two", options={"version": "2"})
        assert sys_.retrieve_mount_option("two", "version") == "2"
        sys_.tune_mount_configuration("one", default_lease_ttl="3600s", max_lease_ttl="8600s")
        tuned = sys_.read_mount_configuration("one")["data"]
        assert tuned["default_lease_ttl"] == 3600 and tuned["max_lease_ttl"] == 8600, tuned
        sys_.enable_secrets_engine("kv", path="gone")
        sys_.move_backend("gone", "moved")
        for _ in range(100):
            if "moved/" in sys_.list_mounted_secrets_engines()["data"]:
                break
            time.sleep(0.05)
        sys_.disable_secrets_engine("moved")
        assert "moved/" not in sys_.list_mounted_secrets_engines()["data"]

    def auth_methods(self):
        assert "token/" in self.client.sys.list_auth_methods()
        assert self.client.sys.read_auth_method_tuning("token")["data"]["max_lease_ttl"] > 0

    def policies(self):
        sys_ = self.client.sys
        sys_.create_or_update_policy("reader", READ_KV)
        sys_.create_or_update_policy("text", 'path "one/x" { policy = "write" }')
        assert {"default", "root", "reader"} <= set(sys_.list_policies()["data"]["policies"])
        assert "reader" in sys_.list_policies()["keys"]
        assert "one/*" in sys_.read_policy("reader")["rules"]
        assert "one/x" in sys_.read_policy("text")["data"]["rules"]
        sys_.delete_policy("text")
        self.raises(hvac.exceptions.InvalidPath, sys_.read_policy, "text")
        self.raises(hvac.exceptions.InvalidRequest, sys_.create_or_update_policy, "bad", "path {")

    def raises(self, kind, call, *arguments, **named):
        try:
            call(*arguments, **named)
        except kind as error:
            return error
        raise AssertionError(f"{call.__name__}: no {kind.__name__}")

    def tokens(self):
        token = self.client.auth.token
        made = token.create(policies=["reader"], ttl="1h", meta={"who": "hvac"}, display_name="t")
        child = made["auth"]["client_token"]
        seen = token.lookup(child)["data"]
        assert seen["policies"] == ["default", "reader"] and seen["meta"] == {"who": "hvac"}, seen
        assert 3500 < seen["ttl"] <= 3600 and seen["renewable"]
        assert token.lookup_accessor(made["auth"]["accessor"])["data"]["display_name"] == "token-t"
        assert made["auth"]["accessor"] in token.list_accessors()["data"]["keys"]
        assert token.renew(child, increment="2h")["auth"]["lease_duration"] == 7200
        assert (
            token.renew_accessor(made["auth"]["accessor"], increment="3h")["auth"]["lease_duration"]
            == 10800
        )
        other = self.connect(child)
        assert other.auth.token.lookup_self()["data"]["id"] == child
        assert other.auth.token.renew_self(increment="30m")["auth"]["lease_duration"] == 1800
        self.raises(hvac.exceptions.Forbidden, other.sys.list_policies)
        token.revoke(child)
        self.raises(hvac.exceptions.Forbidden, other.auth.token.lookup_self)
        assert not other.is_authenticated()
        orphan = token.create(policies=["reader"], no_parent=True)["auth"]
        assert orphan["orphan"]
        token.revoke_accessor(orphan["accessor"])
        batch = token.create(policies=["reader"], type="batch", ttl="1h")["auth"]
        assert (
            batch["token_type"] == "batch"
            and self.connect(batch["client_token"]).is_authenticated()
        )

    def token_roles(self):
        token = self.client.auth.token
        token.create_or_update_role(
            "app", allowed_policies=["reader"], orphan=True, path_suffix="sfx"
        )
        assert token.list_roles()["data"]["keys"] == ["app"]
        assert token.read_role("app")["data"]["orphan"]
        made = token.create(policies=["reader"], role_name="app")["auth"]
        assert made["orphan"], made
        token.delete_role("app")

    def capabilities(self):
        made = self.client.auth.token.create(policies=["reader"])["auth"]
        found = self.client.sys.get_capabilities(["one/a", "sys/x"], token=made["client_token"])
        assert found["data"]["one/a"] == ["list", "read"] and found["sys/x"] == ["deny"], found
        own = self.connect(made["client_token"]).sys.get_capabilities(["one/a"])
        assert own["capabilities"] == ["list", "read"], own

    def kv_version_1(self):
        kv = self.client.secrets.kv.v1
        kv.create_or_update_secret("a/b", {"k": "v"}, mount_point="one")
        read = kv.read_secret("a/b", mount_point="one")
        assert read["data"] == {"k": "v"} and read["lease_duration"] == 3600, read
        assert kv.list_secrets("a", mount_point="one")["data"]["keys"] == ["b"]
        kv.delete_secret("a/b", mount_point="one")
        self.raises(hvac.exceptions.InvalidPath, kv.read_secret, "a/b", mount_point="one")
        self.client.write("one/raw", k="w")
        assert self.client.read("one/raw")["data"] == {"k": "w"}
        assert self.client.list("one")["data"]["keys"] == ["raw"]
        assert self.client.read("one/none") is None
        self.client.delete("one/raw")

    def kv_version_2(self):
        kv, at = self.client.secrets.kv.v2, {"mount_point": "two"}
        kv.configure(max_versions=5, **at)
        assert kv.read_configuration(**at)["data"]["max_versions"] == 5
        assert kv.create_or_update_secret("s", {"k": 1}, cas=0, **at)["data"]["version"] == 1
        self.raises(
            hvac.exceptions.InvalidRequest, kv.create_or_update_secret, "s", {}, cas=0, **at
        )
        kv.patch("s", {"l": 2}, **at)
        read = kv.read_secret_version("s", **at)["data"]
        assert read["data"] == {"k": 1, "l": 2} and read["metadata"]["version"] == 2, read
        assert kv.read_secret_version("s", version=1, **at)["data"]["data"] == {"k": 1}
        kv.delete_latest_version_of_secret("s", **at)
        self.raises(hvac.exceptions.InvalidPath, kv.read_secret_version, "s", **at)
        kv.undelete_secret_versions("s", [2], **at)
        kv.delete_secret_versions("s", [1], **at)
        kv.destroy_secret_versions("s", [1], **at)
        versions = kv.read_secret_metadata("s", **at)["data"]["versions"]
        assert versions["1"]["destroyed"] and not versions["2"]["deletion_time"], versions
        kv.update_metadata("s", max_versions=3, cas_required=True, **at)
        assert kv.list_secrets("", **at)["data"]["keys"] == ["s"]
        kv.delete_metadata_and_all_versions("s", **at)
        self.raises(hvac.exceptions.InvalidPath, kv.read_secret_metadata, "s", **at)

    def transit(self):
        self.client.sys.enable_secrets_engine("transit")
        transit = self.client.secrets.transit

        def text(words):
            return base64.b64encode(words.encode()).decode()

        transit.create_key("app", exportable=True, allow_plaintext_backup=True)
        assert transit.list_keys()["data"]["keys"] == ["app"]
        sealed = transit.encrypt_data("app", text("hello"))["data"]["ciphertext"]
        assert transit.decrypt_data("app", sealed)["data"]["plaintext"] == text("hello")
        transit.rotate_key("app")
        renewed = transit.rewrap_data("app", sealed)["data"]["ciphertext"]
        assert renewed.startswith("vault:v2:"), renewed
        batch = transit.encrypt_data(
            "app", None, batch_input=[{"plaintext": text("a")}, {"plaintext": text("b")}]
        )["data"]["batch_results"]
        opened = transit.decrypt_data(
            "app", None, batch_input=[{"ciphertext": one["ciphertext"]} for one in batch]
        )["data"]["batch_results"]
        assert [one["plaintext"] for one in opened] == [text("a"), text("b")], opened
        refused = hvac.exceptions.InvalidRequest
        self.raises(refused, transit.decrypt_data, "app", "vault:v1:nonsense")
        key = transit.generate_data_key("app", "plaintext", bits=256)["data"]
        opened = transit.decrypt_data("app", key["ciphertext"])["data"]
        assert opened["plaintext"] == key["plaintext"]
        mac = transit.generate_hmac("app", text("x"), algorithm="sha2-512")["data"]["hmac"]
        assert transit.verify_signed_data(
            "app", text("x"), hmac=mac, hash_algorithm="sha2-512")["data"]["valid"]
        for kind in ("ed25519", "ecdsa-p256", "rsa-2048"):
            transit.create_key(kind, key_type=kind)
            signature = transit.sign_data(kind, text("x"))["data"]["signature"]
            for words, valid in (("x", True), ("y", False)):
                said = transit.verify_signed_data(kind, text(words), signature=signature)["data"]
                assert said["valid"] is valid, (kind, said)
        transit.create_key("per-user", derived=True, convergent_encryption=True)
        twice = {
            transit.encrypt_data("per-user", text("x"), context=text("ann"))["data"]["ciphertext"]
            for _ in range(2)
        }
        assert len(twice) == 1, twice
        transit.update_key_configuration("app", min_decryption_version=2)
        transit.update_key_configuration("app", min_encryption_version=2)
        self.raises(hvac.exceptions.InvalidRequest, transit.decrypt_data, "app", sealed)
        transit.trim_key("app", 2)
        assert list(transit.export_key("app", "encryption-key")["data"]["keys"]) == ["2"]
        backup = transit.backup_key("app")["data"]["backup"]
        transit.update_key_configuration("app", deletion_allowed=True)
        transit.delete_key("app")
        self.raises(hvac.exceptions.InvalidPath, transit.read_key, "app")
        transit.restore_key(backup)
        assert transit.decrypt_data("app", renewed)["data"]["plaintext"] == text("hello")
        assert len(transit.generate_random_bytes(n_bytes=7, output_format="hex")["data"][
            "random_bytes"]) == 14
        digest = transit.hash_data(text("hello"), output_format="hex")["data"]["sum"]
        assert digest.startswith("2cf2"), digest

    def wrapping(self):
        wrapped = self.client.auth.token.create(policies=["reader"], wrap_ttl="60s")["wrap_info"]
        assert wrapped["ttl"] == 60 and wrapped["wrapped_accessor"], wrapped
        made = self.client.sys.unwrap(wrapped["token"])["auth"]["client_token"]
        assert self.connect(made).is_authenticated()
        self.raises(hvac.exceptions.InvalidRequest, self.client.sys.unwrap, wrapped["token"])
        wrapped = self.client.write("sys/wrapping/wrap", wrap_ttl="5m", k="mine")["wrap_info"]
        assert self.connect(wrapped["token"]).sys.unwrap()["data"] == {"k": "mine"}

    def audit(self):
        assert isinstance(self.client.sys.list_enabled_audit_devices()["data"], dict)
        log = f"{os.environ['CLIENT_TEST_DIR']}/hvac-audit.log"
        self.client.sys.enable_audit_device("file", path="hvac", options={"file_path": log})
        assert "hvac/" in self.client.sys.list_enabled_audit_devices()
        assert self.client.sys.calculate_hash("hvac", "x")["data"]["hash"].startswith(
            "hmac-sha256:"
        )
        self.client.sys.disable_audit_device("hvac")
        assert os.path.getsize(log) > 0

    def leases(self):
        self.raises(hvac.exceptions.InvalidRequest, self.client.sys.read_lease, "none/x")
        self.client.sys.revoke_prefix("none")

    def rotate(self):
        before = self.client.sys.get_encryption_key_status()
        self.client.sys.rotate_encryption_key()
        after = self.client.sys.get_encryption_key_status()
        assert after["term"] == after["data"]["term"] == before["term"] + 1, (before, after)

    def rekey(self):
        sys_ = self.client.sys
        assert not sys_.read_rekey_progress()["started"]
        started = sys_.start_rekey(secret_shares=2, secret_threshold=2)
        assert started["required"] == 2
        sys_.cancel_rekey()
        started = sys_.start_rekey(secret_shares=2, secret_threshold=2)
        done = sys_.rekey_multi(self.shares[:2], nonce=started["nonce"])
        assert done["complete"] and len(done["keys"]) == 2, done
        self.shares = done["keys"]

    def rekey_with_verification(self):
        sys_ = self.client.sys
        started = sys_.start_rekey(secret_shares=3, secret_threshold=2, require_verification=True)
        done = sys_.rekey_multi(self.shares, nonce=started["nonce"])
        assert done["verification_required"], done
        assert sys_.read_rekey_verify_progress()["started"]
        verified = sys_.rekey_verify_multi(done["keys"][1:], nonce=done["verification_nonce"])
        assert verified["complete"], verified
        self.shares = done["keys"]

    def seal(self):
        self.client.sys.seal()
        assert self.client.sys.is_sealed()
        self.raises(hvac.exceptions.VaultDown, self.client.sys.list_policies)
        self.client.sys.submit_unseal_keys(self.shares[:2])
        self.wait_until_active()
        assert "reader" in self.client.sys.list_policies()["keys"]

    def generate_root(self):
        sys_ = self.client.sys
        length = sys_.read_root_generation_progress()["otp_length"]
        sys_.start_root_token_generation(otp="x" * length)
        sys_.cancel_root_generation()
        password = "".join(chr(ord("a") + i % 26) for i in range(length))
        started = sys_.start_root_token_generation(otp=password)
        sys_.generate_root(self.shares[0], started["nonce"])
        done = sys_.generate_root(self.shares[1], started["nonce"])
        assert done["complete"], done
        encoded = done["encoded_root_token"]
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        token = bytes(a ^ b for a, b in zip(raw, password.encode())).decode()
        assert self.connect(token).auth.token.lookup_self()["data"]["policies"] == ["root"]

    def approle(self):
        client, auth = self.client, self.client.auth.approle
        client.sys.enable_auth_method("approle")
        auth.create_or_update_approle(
            "web", token_policies=["web"], token_ttl="20m", secret_id_num_uses=2
        )
        assert auth.list_roles()["data"]["keys"] == ["web"]
        assert auth.read_role("web")["data"]["token_ttl"] == 1200
        role_id = auth.read_role_id("web")["data"]["role_id"]
        made = auth.generate_secret_id("web", metadata={"host": "a"})["data"]
        in_ = self.connect()
        got = in_.auth.approle.login(role_id, made["secret_id"])["auth"]
        assert got["token_policies"] == ["default", "web"] and got["metadata"]["host"] == "a", got
        assert in_.auth.token.lookup_self()["data"]["entity_id"] == got["entity_id"]
        assert in_.auth.token.renew_self()["auth"]["lease_duration"] == 1200
        looked = auth.read_secret_id("web", made["secret_id"])["data"]
        assert looked["secret_id_num_uses"] == 1, looked
        assert auth.list_secret_id_accessors("web")["data"]["keys"] == [made["secret_id_accessor"]]
        auth.destroy_secret_id_accessor("web", made["secret_id_accessor"])
        self.refused(lambda: in_.auth.approle.login(role_id, made["secret_id"]))
        auth.create_custom_secret_id("web", "of-my-own")
        wrapped = client.write("auth/approle/role/web/secret-id", wrap_ttl="1m")["wrap_info"]
        inside = self.connect(wrapped["token"]).sys.unwrap()["data"]["secret_id"]
        assert in_.auth.approle.login(role_id, inside)["auth"]["client_token"]
        auth.update_role_id("web", "web-role")
        assert in_.auth.approle.login("web-role", "of-my-own")["auth"]["client_token"]
        auth.delete_role("web")
        self.refused(lambda: in_.auth.approle.login("web-role", "of-my-own"))

    def userpass(self):
        self.client.sys.enable_auth_method("userpass")
        auth = self.client.auth.userpass
        auth.create_or_update_user("alice", password="correct horse", policies=["people"])
        assert auth.list_user()["data"]["keys"] == ["alice"]
        assert auth.read_user("alice")["data"]["token_policies"] == ["people"]
        person = self.connect()
        got = person.auth.userpass.login("Alice", "correct horse")["auth"]
        assert got["token_policies"] == ["default", "people"], got
        assert got["metadata"] == {"username": "alice"}, got
        assert person.auth.token.lookup_self()["data"]["display_name"] == "userpass-alice"
        self.refused(lambda: self.connect().auth.userpass.login("alice", "wrong"))
        self.refused(lambda: self.connect().auth.userpass.login("nobody", "wrong"))
        auth.update_password_on_user("alice", "new")
        self.refused(lambda: self.connect().auth.userpass.login("alice", "correct horse"))
        person.auth.userpass.login("alice", "new")

    def jwt(self):
        folder = os.environ["CLIENT_TEST_DIR"]
        key, now = jose.Key(folder, "provider"), int(time.time())
        self.client.sys.enable_auth_method("jwt")
        auth = self.client.auth.jwt
        auth.configure(jwt_validation_pubkeys=[key.public_pem()], bound_issuer="https://ci")
        assert auth.read_config()["data"]["bound_issuer"] == "https://ci"
        auth.create_role(
            name="deploy",
            role_type="jwt",
            user_claim="sub",
            bound_audiences=["rekey"],
            bound_claims={"ref": "main"},
            allowed_redirect_uris=[],
            token_policies=["deploy"],
        )
        assert auth.list_roles()["data"]["keys"] == ["deploy"]
        assert auth.read_role("deploy")["data"]["bound_claims"] == {"ref": "main"}
        claims = {"iss": "https://ci", "sub": "job", "aud": "rekey", "ref": "main"}
        claims |= {"iat": now, "exp": now + 300}
        job = self.connect()
        got = job.auth.jwt.jwt_login("deploy", key.sign(claims))["auth"]
        assert got["token_policies"] == ["default", "deploy"], got
        job.token = got["client_token"]
        assert job.auth.token.lookup_self()["data"]["display_name"] == "jwt-job"
        other = key.sign(claims | {"ref": "fork"})
        self.refused(lambda: self.connect().auth.jwt.jwt_login("deploy", other))
        auth.delete_role("deploy")

    def kubernetes(self):
        folder, now = os.environ["CLIENT_TEST_DIR"], int(time.time())
        os.makedirs(f"{folder}/kubernetes")
        ca, cert, key = jose.certificates(f"{folder}/kubernetes")
        cluster = outside.Kubernetes(cert, key, ["reviewer"])
        signer = jose.Key(folder, "cluster", "RSA")
        account = {"name": "web", "uid": "u1"}
        claims = {"aud": ["rekey"], "iat": now, "exp": now + 600}
        claims["kubernetes.io"] = {"namespace": "shop", "serviceaccount": account}
        token = signer.sign(claims)
        cluster.add(token, "shop", "web", "u1", ["rekey"])
        self.client.sys.enable_auth_method("kubernetes")
        auth = self.client.auth.kubernetes
        with open(ca) as f:
            auth.configure(
                kubernetes_host=cluster.url,
                kubernetes_ca_cert=f.read(),
                token_reviewer_jwt="reviewer",
                pem_keys=[signer.certificate_pem()],  # hvac takes no plain keys
            )
        assert auth.read_config()["kubernetes_host"] == cluster.url
        auth.create_role("web", ["web"], ["shop"], policies=["web"])
        assert auth.list_roles()["keys"] == ["web"]
        assert auth.read_role("web")["bound_service_account_names"] == ["web"]
        pod = self.connect()
        got = pod.auth.kubernetes.login("web", token)["auth"]
        assert got["metadata"]["service_account_uid"] == "u1", got
        pod.token = got["client_token"]
        assert pod.auth.token.lookup_self()["data"]["display_name"] == "kubernetes-shop-web"
        cluster.accounts.clear()
        self.refused(lambda: self.connect().auth.kubernetes.login("web", token))
        auth.delete_role("web")
        cluster.close()

    def identity(self):
        accessor = self.client.sys.list_auth_methods()["data"]["userpass/"]["accessor"]
        identity = self.client.secrets.identity
        person = self.connect()
        entity = person.auth.userpass.login("alice", "new")["auth"]["entity_id"]
        identity.update_entity(entity, name="alice", metadata={"team": "red"}, policies=["extra"])
        looked = person.auth.token.lookup_self()["data"]
        assert looked["identity_policies"] == ["extra"], looked
        assert identity.read_entity(entity)["data"]["aliases"][0]["mount_accessor"] == accessor
        assert identity.lookup_entity(name="alice")["data"]["id"] == entity
        other = identity.create_or_update_entity("alice2")["data"]["id"]
        group = identity.create_or_update_group(
            "devs", policies=["dev"], member_entity_ids=[entity]
        )["data"]["id"]
        looked = person.auth.token.lookup_self()["data"]
        assert looked["identity_policies"] == ["dev", "extra"], looked
        assert identity.read_entity(entity)["data"]["direct_group_ids"] == [group]
        assert "devs" in identity.list_groups_by_name()["data"]["keys"]
        identity.merge_entities([other], entity)
        assert identity.read_entity(entity)["data"]["merged_entity_ids"] == [other]
        outside = identity.create_or_update_group("ext", group_type="external")["data"]["id"]
        alias = identity.create_or_update_group_alias(
            "their-devs", mount_accessor=accessor, canonical_id=outside
        )["data"]["id"]
        assert identity.read_group_alias(alias)["data"]["name"] == "their-devs"
        identity.update_entity(entity, disabled=True)
        assert not person.is_authenticated()
        identity.update_entity(entity, disabled=False)
        assert person.is_authenticated()
        identity.delete_entity(entity)
        assert not person.is_authenticated()

    def refused(self, ask):
        try:
            ask()
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden):
            return
        raise AssertionError("was not refused")

    def last_words(self):
        mine = self.client.auth.token.create(policies=["root"])["auth"]["client_token"]
        other = self.connect(mine)
        expires = other.auth.token.lookup_self()["data"]["expire_time"]
        assert expires is None or datetime.datetime.fromisoformat(expires[:19])
        other.auth.token.revoke_self()
        assert not other.is_authenticated()


STEPS = [
    "initialise",
    "unseal",
    "health",
    "mounts",
    "auth_methods",
    "policies",
    "tokens",
    "token_roles",
    "capabilities",
    "approle",
    "userpass",
    "jwt",
    "kubernetes",
    "identity",
    "kv_version_1",
    "kv_version_2",
    "transit",
    "wrapping",
    "audit",
    "leases",
    "rotate",
    "rekey",
    "rekey_with_verification",
    "seal",
    "generate_root",
    "last_words",
]


def main():
    life, failed = Life(), 0
    for name in STEPS:
        try:
            getattr(life, name)()
            print(f"ok {name}", flush=True)
        except Exception:  # whatever the client raises is what is being tested
            failed += 1
            print(f"FAIL {name}: {traceback.format_exc(limit=-3)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
