"""Real databases from Debian for one test: each in a folder of its own, on a random loopback port,
as its own unprivileged user where the test runs as root; never the machine's own ones."""
import glob
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../api")

from server import free_port, make_certificate  # noqa: E402

START_SECONDS_MAX = 60
CLIENT_SECONDS_MAX = 20
ROOT_PASSWORD = "first-Root'pass-1"
# The account that Rekey gets: rotating its password leaves the test's own account alone.
FIXED = "stays"
MANAGER, MANAGER_PASSWORD = "rekey_root", "Manager'pass-2"


def newest(pattern):
    found = sorted(glob.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{pattern}: not installed, see tools/packages-test.txt")
    return found[-1]


class Database:
    user, password_variable, question, refusals = "", "", "SELECT 1", ()

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix=f"{self.user}-test-")
        self.port = free_port()
        self.cert, self.key = make_certificate(self.folder)
        self.process, self.root_password = None, ROOT_PASSWORD
        self.as_user = []
        if os.geteuid() == 0:
            entry = pwd.getpwnam(self.user)
            self.as_user = [
                "setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"
            ]
            for path in (self.folder, self.cert, self.key):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        os.chmod(self.key, 0o600)

    def ca(self):
        with open(self.cert, encoding="ascii") as f:
            return f.read()

    def run(self, command, **more):
        return subprocess.run(
            self.as_user + command,
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": self.folder, "LC_ALL": "C"},
            check=False,
            **more,
        )

    def start(self):
        self.log = open(f"{self.folder}/log", "ab")
        self.process = subprocess.Popen(
            self.as_user + self.command(),
            stdout=self.log,
            stderr=self.log,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": self.folder, "LC_ALL": "C"},
        )
        end = time.time() + START_SECONDS_MAX
        while time.time() < end and self.process.poll() is None:
            if self.login(self.root_name, self.root_password):
                return
            time.sleep(0.05)
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as f:
            raise RuntimeError(f"{self.user} did not start: {f.read()[-2000:]}")

    def stop(self, how=None):
        # PostgreSQL's fast shutdown is SIGINT; the others don't take that for one.
        how = how or (signal.SIGINT if self.user == "postgres" else signal.SIGTERM)
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process:
            self.log.close()

    def close(self):
        self.stop(signal.SIGQUIT if self.user == "postgres" else signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def for_a_client(self):
        """What another program needs to use it: tests/clients, with a user FIXED whose password
        is `before`. A login works where the command ends with 0 and prints none of `refusals`."""
        self.make_fixed_user(FIXED, "before")
        return {
            "config": self.config(),
            "creation": self.creation,
            "rotation": self.rotation,
            "fixed": FIXED,
            "login_words": self.as_client("NAME", self.question),
            "password_variable": self.password_variable,
            "refusals": list(self.refusals),
        }

    def query(self, name, password, text):
        return self.client(self.as_client(name, text), self.password_variable, password)

    def login(self, name, password):
        done = self.query(name, password, self.question)
        return done.returncode == 0 and not any(
            word in done.stdout + done.stderr for word in self.refusals
        )

    def client(self, command, password_variable="", password="", text=None):
        env = {"PATH": os.environ["PATH"], "HOME": self.folder, "LC_ALL": "C"}
        if password_variable:
            env[password_variable] = password
        return subprocess.run(
            command,
            env=env,
            input=text,
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS_MAX,
            check=False,
        )


class Postgres(Database):
    user, root_name = "postgres", "postgres"
    plugin, password_variable = "postgresql-database-plugin", "PGPASSWORD"

    def __init__(self):
        super().__init__()
        self.bin = newest("/usr/lib/postgresql/*/bin")
        with open(f"{self.folder}/pw", "w", encoding="ascii") as f:
            f.write(ROOT_PASSWORD + "\n")
        os.chmod(f"{self.folder}/pw", 0o644)
        made = self.run(
            [
                f"{self.bin}/initdb", "-D", f"{self.folder}/data", "-U", "postgres", "-N",
                "--auth=scram-sha-256", f"--pwfile={self.folder}/pw", "-E", "UTF8",
            ]
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr}")

    def command(self):
        return [
            f"{self.bin}/postgres", "-D", f"{self.folder}/data", "-p", str(self.port),
            "-k", self.folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
            "-c", "ssl=on", "-c", f"ssl_cert_file={self.cert}", "-c", f"ssl_key_file={self.key}",
        ]  # fmt: skip

    def as_client(self, name, text):
        return [
            "psql", "-X", "-At", "-w",
            f"host=127.0.0.1 port={self.port} user={name} dbname=postgres connect_timeout=5",
            "-c", text,
        ]  # fmt: skip

    def admin(self, text):
        done = self.query(self.root_name, self.root_password, text)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def users(self):
        return self.admin("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'").split()

    def sessions(self, name):
        return int(self.admin(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{name}'"))

    def make_manager(self):
        quoted = MANAGER_PASSWORD.replace("'", "''")
        self.admin(f"CREATE ROLE {MANAGER} SUPERUSER LOGIN PASSWORD '{quoted}'")

    def make_fixed_user(self, name, password):
        self.admin(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")

    def config(self):
        return {
            "plugin_name": self.plugin,
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{self.port}"
            "/postgres?sslmode=verify-full",
            "tls_ca": self.ca(),
            "username": MANAGER,
            "password": MANAGER_PASSWORD,
            "password_authentication": "scram-sha-256",
        }

    creation = [
        'CREATE ROLE "{{name}}" WITH LOGIN PASSWORD \'{{password}}\' VALID UNTIL '
        "'{{expiration}}'; GRANT USAGE ON SCHEMA public TO \"{{name}}\"",
    ]
    rotation = ["ALTER ROLE \"{{name}}\" WITH PASSWORD '{{password}}'"]
    # Fails after its first statement.
    broken = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; SELECT no_such_function()"]
    slow = ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; SELECT pg_sleep(5)"]


class MariaDb(Database):
    user, root_name = "mysql", "tester"
    plugin, password_variable = "mysql-database-plugin", "MYSQL_PWD"

    def __init__(self):
        super().__init__()
        made = self.run(
            [
                "mariadb-install-db", "--no-defaults", f"--datadir={self.folder}/data",
                "--auth-root-authentication-method=normal", "--skip-test-db",
                "--innodb-log-file-size=8M",
            ]
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"mariadb-install-db: {made.stdout} {made.stderr}")
        with open(f"{self.folder}/init.sql", "w", encoding="ascii") as f:
            quoted = ROOT_PASSWORD.replace("'", "''")
            f.write(
                f"CREATE USER IF NOT EXISTS 'tester'@'%' IDENTIFIED BY '{quoted}';\n"
                "GRANT ALL PRIVILEGES ON *.* TO 'tester'@'%' WITH GRANT OPTION;\n"
                "DELETE FROM mysql.global_priv WHERE User = '';\n"
                "FLUSH PRIVILEGES;\n"
            )
        os.chmod(f"{self.folder}/init.sql", 0o644)

    def command(self):
        return [
            "mariadbd", "--no-defaults", f"--datadir={self.folder}/data", f"--port={self.port}",
            f"--socket={self.folder}/s", "--bind-address=127.0.0.1", "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M",
            f"--init-file={self.folder}/init.sql", f"--pid-file={self.folder}/pid",
            f"--ssl-cert={self.cert}", f"--ssl-key={self.key}", "--innodb-log-file-size=8M",
        ]  # fmt: skip

    def as_client(self, name, text):
        return [
            "mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", name,
            "--connect-timeout=5", "-N", "-B", "-e", text,
        ]  # fmt: skip

    def admin(self, text):
        done = self.query(self.root_name, self.root_password, text)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def users(self):
        return self.admin("SELECT user FROM mysql.user WHERE user LIKE 'v-%'").split()

    def sessions(self, name):
        return int(
            self.admin(
                f"SELECT count(*) FROM information_schema.processlist WHERE user = '{name}'"
            )
        )

    def make_manager(self):
        quoted = MANAGER_PASSWORD.replace("'", "''")
        self.admin(f"CREATE USER '{MANAGER}'@'%' IDENTIFIED BY '{quoted}'")
        self.admin(f"GRANT ALL PRIVILEGES ON *.* TO '{MANAGER}'@'%' WITH GRANT OPTION")

    def make_fixed_user(self, name, password):
        self.admin(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")

    def config(self):
        return {
            "plugin_name": self.plugin,
            "connection_url": f"{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{self.port})/",
            "tls_ca": self.ca(),
            "username": MANAGER,
            "password": MANAGER_PASSWORD,
        }

    creation = [
        "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; "
        "GRANT SELECT ON mysql.* TO '{{name}}'@'%';"
    ]
    rotation = ["ALTER USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"]
    broken = ["CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; SELECT no_such_function()"]
    slow = ["CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; SELECT SLEEP(5)"]


class Redis(Database):
    user, root_name = "redis", "default"
    plugin, password_variable = "redis-database-plugin", "REDISCLI_AUTH"
    question, refusals = "GET nothing", ("WRONGPASS", "NOAUTH", "NOPERM", "refused", "AUTH failed")

    def __init__(self):
        super().__init__()
        with open(f"{self.folder}/users.acl", "w", encoding="ascii") as f:
            for name, password in (("default", ROOT_PASSWORD), (MANAGER, MANAGER_PASSWORD)):
                digest = hashlib.sha256(password.encode()).hexdigest()
                f.write(f"user {name} on #{digest} ~* &* +@all\n")
        if self.as_user:
            entry = pwd.getpwnam(self.user)
            os.chown(f"{self.folder}/users.acl", entry.pw_uid, entry.pw_gid)

    def sessions(self, name):
        return self.admin("CLIENT LIST").count(f" user={name} ")

    def make_manager(self):
        pass  # it stands in the file

    def command(self):
        return [
            "redis-server", "--port", "0", "--tls-port", str(self.port), "--bind", "127.0.0.1",
            "--dir", self.folder, "--save", "", "--aclfile", f"{self.folder}/users.acl",
            "--tls-cert-file", self.cert, "--tls-key-file", self.key, "--tls-auth-clients", "no",
            "--tls-ca-cert-file", self.cert,
        ]  # fmt: skip

    def as_client(self, name, text):
        return [
            "redis-cli", "-h", "127.0.0.1", "-p", str(self.port), "--tls", "--cacert",
            self.cert, "--user", name, "--no-auth-warning", *text.split(),
        ]  # fmt: skip

    def admin(self, text):
        return self.query(self.root_name, self.root_password, text).stdout.strip()

    def users(self):
        return [name for name in self.admin("ACL USERS").split() if name.startswith("V_")]

    def make_fixed_user(self, name, password):
        self.admin(f"ACL SETUSER {name} on >{password} ~* +@read")

    def config(self):
        return {
            "plugin_name": self.plugin,
            "host": "127.0.0.1",
            "port": self.port,
            "tls": True,
            "ca_cert": self.ca(),
            "persistence_mode": "ACLFILE",
            "username": MANAGER,
            "password": MANAGER_PASSWORD,
        }

    creation = ['["~*", "+@read"]']
    rotation = []
    broken = ['["+@nosuchcategory"]']
    slow = None
