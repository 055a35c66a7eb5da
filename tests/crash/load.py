"""What clients do to a server that is about to be killed, and what each of them may then rely on.

A Worker has rows of its own, so it alone knows what they must hold: `sure` is what was
acknowledged last, `maybe` what was asked for when the connection died. Every request carries a
user agent of its own, by which the record is searched afterwards."""
import http.client
import json
import random
import threading

NOTHING = "nothing"  # a row that was deleted
REQUEST_SECONDS_MAX = 30


class Broken(Exception):
    """The answer is not one that a correct server gives."""


class Row:
    def __init__(self):
        self.sure, self.maybe = NOTHING, []

    def may_be(self, value):
        return value == self.sure or value in self.maybe


class Worker(threading.Thread):
    """Draws operations until the server goes away. All of it follows from `seed` but the timing."""

    def __init__(self, number, port, root, seed):
        super().__init__(daemon=True)
        self.number, self.port, self.root = number, port, root
        self.random = random.Random(f"{seed}/{number}")
        self.rows = {}  # API path -> Row
        self.tokens = {}  # text -> "live", "revoked" or "maybe"
        self.answered = {}  # user agent -> status
        self.sent = 0
        self.problem = None
        self.connection = None

    # --- requests ---

    def ask(self, method, path, body=None, token=None):
        self.sent += 1
        agent = f"crash-{self.name}-{self.sent}"
        headers = {"X-Vault-Token": token or self.root, "User-Agent": agent}
        self.connection.request(
            method, f"/v1/{path}", json.dumps(body) if body is not None else None, headers
        )
        answer = self.connection.getresponse()
        raw = answer.read()
        self.answered[agent] = answer.status
        return answer.status, json.loads(raw) if raw else None

    def run(self):
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=REQUEST_SECONDS_MAX
        )
        steps = [
            (self.write_secret, 6),
            (self.read_secret, 6),
            (self.delete_secret, 1),
            (self.write_policy, 2),
            (self.make_token, 2),
            (self.revoke_token, 2),
            (self.use_token, 2),
        ]
        actions, weights = zip(*steps)
        try:
            while True:
                self.random.choices(actions, weights)[0]()
        except (OSError, http.client.HTTPException):
            pass  # the server is gone
        except Exception as e:  # whatever it is, the test must hear of it
            self.problem = e
        finally:
            self.connection.close()

    # --- operations ---

    def change(self, path, value, method, api_path, body):
        row = self.rows.setdefault(path, Row())
        row.maybe.append(value)
        status, answer = self.ask(method, api_path, body)
        if status not in (200, 204):
            raise Broken(f"{method} {api_path}: {status} {answer}")
        row.sure, row.maybe = value, []

    def some_path(self):
        return f"secret/data/crash/{self.number}/{self.random.randrange(5)}"

    def write_secret(self):
        path, value = self.some_path(), f"{self.name}-{self.sent}"
        self.change(path, value, "POST", path, {"data": {"v": value}})

    def delete_secret(self):
        path = self.some_path()
        self.change(path, NOTHING, "DELETE", path.replace("/data/", "/metadata/"), None)

    def read_secret(self):
        path = self.some_path()
        found = self.look(path)
        if not self.rows.setdefault(path, Row()).may_be(found):
            raise Broken(f"{path} is {found}, not {self.rows[path].sure}")

    def write_policy(self):
        name = f"crash-{self.number}-{self.random.randrange(2)}"
        rules = f'path "p/{self.name}/{self.sent}" {{ capabilities = ["read"] }}'
        path = f"sys/policies/acl/{name}"
        self.change(path, rules, "POST", path, {"policy": rules})

    def make_token(self):
        status, answer = self.ask("POST", "auth/token/create", {"policies": ["default"]})
        if status != 200:
            raise Broken(f"token create: {status} {answer}")
        self.tokens[answer["auth"]["client_token"]] = "live"

    def some_token(self, state):
        of_state = [token for token, now in self.tokens.items() if now == state]
        return self.random.choice(of_state) if of_state else None

    def revoke_token(self):
        if token := self.some_token("live"):
            self.tokens[token] = "maybe"
            status, answer = self.ask("POST", "auth/token/revoke", {"token": token})
            if status != 204:
                raise Broken(f"token revoke: {status} {answer}")
            self.tokens[token] = "revoked"

    def use_token(self):
        state = self.random.choice(["live", "revoked"])
        if token := self.some_token(state):
            self.check_token(token, state)

    def check_token(self, token, state):
        status, answer = self.ask("GET", "auth/token/lookup-self", token=token)
        if state != "maybe" and status != (200 if state == "live" else 403):
            raise Broken(f"a token that is {state}: {status} {answer}")
        return status

    # --- after the crash ---

    def look(self, path):
        status, answer = self.ask("GET", path)
        if status == 404:
            return NOTHING
        if status != 200:
            raise Broken(f"{path}: {status} {answer}")
        data = answer["data"]
        return data["policy"] if path.startswith("sys/") else data["data"]["v"]

    def check_everything(self, port):
        """After the restart: all that was acknowledged holds, what was in doubt is now settled."""
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS_MAX)
        for path, row in self.rows.items():
            found = self.look(path)
            if not row.may_be(found):
                raise Broken(f"{path} is {found}, not {row.sure} or {row.maybe}")
            row.sure, row.maybe = found, []
        for token, state in list(self.tokens.items()):
            status = self.check_token(token, state)
            self.tokens[token] = "live" if status == 200 else "revoked"
        self.connection.close()

    def successor(self, seed):
        """Goes on with the same rows in the next round; a thread can be started only once."""
        heir = Worker(self.number, self.port, self.root, seed)
        heir.rows, heir.answered, heir.sent = self.rows, self.answered, self.sent
        # A few are enough to be checked again each time.
        tokens = sorted(self.tokens.items())
        heir.tokens = dict(self.random.sample(tokens, min(20, len(tokens))))
        return heir
