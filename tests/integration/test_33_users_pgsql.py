# SPDX-License-Identifier: ISC
"""Users in PostgreSQL: a real server, stopped and hurt where it matters."""
import json
import os
import pwd
import shutil
import signal
import subprocess
import time

import pytest

from node import BIN, ROOT, SLOW, wait_until
from postgres import Pooler

pytestmark = pytest.mark.usefixtures("postgres")


class Home:
    """A node's folders, whose users are in the database."""

    def __init__(self, path, postgres):
        self.path = path
        for name in ("control", "users", "domains", "run"):
            (path / name).mkdir(parents=True)
        (path / "control/me").write_text("mail.example.test\n")
        self.env = dict(os.environ, MQMAIL_HOME=str(path), MQMAIL_USER="root")
        self.postgres = postgres
        self.conninfo = postgres.fresh_database(path)
        self.database = self.conninfo.split("dbname=")[1].split()[0]

    def run(self, program, *args, code=0, stdin=""):
        done = subprocess.run([BIN / program, *map(str, args)], input=stdin,
                              text=True, capture_output=True, env=self.env,
                              timeout=120 * SLOW)
        assert done.returncode == code, (program, args, done)
        return done.stdout if code == 0 else done.stderr

    def db(self, verb, *args, code=0):
        return self.run("svctool", "db", verb, "--home", self.path, *args,
                        code=code)

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def users(self, domain="a.test"):
        return {user["name"]: user for user in json.loads(
            self.run("vuserinfo", "--json", "-D", domain))}


@pytest.fixture
def home(tmp_path, postgres):
    return Home(tmp_path / "h", postgres)


@pytest.fixture
def domain(home):
    home.run("vadddomain", "-n", "a.test")
    return home


def test_the_schema_is_made_once(home):
    assert "nothing to do" in home.db("init")
    assert "nothing to do" in home.db("upgrade")
    status = json.loads(home.db("status", "--json"))
    assert status["writers"]["schema"] == status["writers"]["schema_newest"]
    assert not status["writers"]["is_standby"]
    assert "as it should be" in home.db("check")


def test_others_may_only_read(domain):
    """Dovecot and webmail are members of a role."""
    domain.run("vadduser", "-C", "al@a.test", stdin="secret\n")
    domain.sql("CREATE ROLE webmail LOGIN IN ROLE mqmail_read")
    try:
        def ask(text):
            done = subprocess.run(
                [domain.postgres.bin / "psql", "-X", "-A", "-t", "-c", text,
                 "-d", domain.conninfo.replace("user=mqmail", "user=webmail")],
                capture_output=True, text=True, timeout=60)
            return done.stdout.strip() or done.stderr

        assert ask("SELECT count(hash) FROM mq.users") == "2"
        assert ask("SELECT count(*) FROM indimail") == "2"
        for text in ("SELECT secret FROM mq.users", "SELECT * FROM mq.users",
                     "UPDATE mq.users SET hash = ''", "DELETE FROM mq.domains",
                     "DELETE FROM indimail", "SELECT * FROM mq.changes"):
            assert "permission denied" in ask(text), text
    finally:
        domain.sql("DROP ROLE webmail")


def test_init_without_the_right_to_make_roles(home):
    """The tables are made, and what is missing is said."""
    home.sql("DROP SCHEMA mq CASCADE; DROP SCHEMA public CASCADE; "
             "DROP OWNED BY mqmail_read")
    home.sql("CREATE ROLE plain LOGIN; "
             f"GRANT CREATE ON DATABASE {home.database} TO plain; "
             "CREATE SCHEMA public AUTHORIZATION plain; "
             "ALTER ROLE mqmail_read RENAME TO elsewhere")
    try:
        (home.path / "control/pgsql").write_text(
            home.conninfo.replace("user=mqmail", "user=plain"))
        said = home.db("init")
        assert "no role mqmail_read" in said and "made" in said
        home.sql("ALTER ROLE elsewhere RENAME TO mqmail_read")
        assert "no role" not in home.db("upgrade")
    finally:
        home.sql("DROP OWNED BY plain; DROP ROLE plain")


def test_upgrade_knows_versions(home):
    home.sql("DROP SCHEMA mq CASCADE")
    assert "svctool db init" in home.db("upgrade", code=1)
    assert "svctool db init" in home.run("vadddomain", "-n", "a.test",
                                         code=100)
    assert "made" in home.db("init")
    home.sql("INSERT INTO mq.schema_version (version) VALUES (99)")
    for verb in ("init", "upgrade", "status", "check"):
        assert "upgrade mqmail on this node" in home.db(verb, code=1)
    assert "version 99" in home.run("vadddomain", "-n", "a.test", code=100)
    assert not (home.path / "users/assign").exists()


def test_two_at_once_make_one_schema(home):
    home.sql("DROP SCHEMA mq CASCADE; DROP SCHEMA public CASCADE; "
             "CREATE SCHEMA public")
    many = [subprocess.Popen(
        [BIN / "svctool", "db", "init", "--home", home.path],
        stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [each.wait(60 * SLOW) for each in many] == [0] * 4
    versions = [row[0] for row in home.sql("SELECT version FROM "
                                           "mq.schema_version ORDER BY 1")]
    count = len(list((ROOT / "lookupd/schema").glob("*.sql")))
    assert versions == [str(i + 1) for i in range(count)]


@pytest.mark.parametrize("conninfo,reason", [
    ("host=/nonexistent dbname=x", "cannot connect"),
    ("host=127.0.0.1 port=1 user=x", "refused"),
    ("host=/nonexistent/a", "control/pgsql' says where"),
    ("no such word", "cannot be read"),
    ("", "missing or empty"),
])
def test_an_unreachable_database_is_said(domain, conninfo, reason):
    (domain.path / "control/pgsql").write_text(conninfo + "\n")
    code = 111 if conninfo.startswith("host=") else 100
    said = domain.run("vadduser", "-n", "x@a.test", code=code)
    assert reason in said
    assert not (domain.path / "domains/a.test/x").exists()


def test_passwords_of_connections_are_not_shown(home):
    secret = "hunter2 secret"
    (home.path / "control/pgsql").write_text(
        f"host=/nonexistent dbname=x password='{secret}'\n")
    (home.path / "control/pgsqlread").write_text(f"password={secret}\n")
    for words in (["qmail-showctl"], ["qmail-showctl", "--json"],
                  ["svctool", "showctl", "--home", home.path],
                  ["svctool", "db", "status", "--home", home.path],
                  ["svctool", "check", "--home", home.path],
                  ["vadddomain", "-n", "b.test"]):
        done = subprocess.run([BIN / words[0], *words[1:]], env=home.env,
                              capture_output=True, text=True,
                              timeout=60 * SLOW)
        assert "hunter2" not in done.stdout + done.stderr, words
        assert "secret" not in done.stdout + done.stderr, words


@pytest.mark.skipif(not Pooler.PROGRAM.exists(), reason="no pgbouncer")
def test_changes_through_a_pooler(home, postgres):
    pooler = postgres.pooler()
    try:
        control = home.path / "control"
        shutil.copy(control / "pgsql", control / "pgsqllisten")
        (control / "pgsql").write_text(pooler.conninfo(home.database))
        (control / "pgsqllisten").chmod(0o640)
        home.run("vadddomain", "-n", "a.test")
        for number in range(3):  # by other sessions of the server, too
            home.run("vadduser", "-n", f"u{number}@a.test")
            home.run("vmoduser", "-c", f"name {number}", f"u{number}@a.test")
        home.run("vadduser", "--file", "/dev/stdin", stdin="al@a.test pw\n")
        home.run("vdeluser", "-f", "u0@a.test")
        assert set(home.users()) == {"postmaster", "u1", "u2", "al"}
        assert "as it should be" in home.db("check")
    finally:
        pooler.remove()


def test_rows_and_folders(domain):
    domain.run("vadduser", "-q", "5M", "-c", "Al A", "al@a.test", stdin="pw\n")
    rows = domain.sql("SELECT pw_name, pw_domain, pw_gecos, pw_dir, pw_shell, "
                      "scram IS NOT NULL FROM indimail ORDER BY pw_name")
    folder = domain.path / "domains/a.test"
    assert rows == [["al", "a.test", "Al A", f"{folder}/al", "5242880S", "t"],
                    ["postmaster", "a.test", "Postmaster",
                     f"{folder}/postmaster", "NOQUOTA", "f"]]
    assert (folder / "al/Maildir/new").is_dir()
    assert not (folder / "vpasswd").exists()
    domain.run("vmoduser", "-n", "al@a.test")
    assert domain.sql("SELECT pw_name FROM indibak") == [["al"]]
    domain.run("vaddaliasdomain", "b.test", "a.test")
    assert domain.sql("SELECT * FROM aliasdomain") == [["b.test", "a.test"]]
    assert set(domain.users("b.test")) == {"al", "postmaster"}
    domain.run("vdeldomain", "-f", "b.test")
    assert domain.sql("SELECT * FROM aliasdomain") == []
    domain.run("vdeldomain", "-f", "a.test")
    assert domain.sql("SELECT name FROM mq.domains") == []
    assert domain.sql("SELECT * FROM mq.dir_control") == []


def test_a_kept_domain_is_taken_over(domain):
    domain.run("vadduser", "-n", "al@a.test")
    domain.run("vdeldomain", "-k", "a.test")
    assert domain.sql("SELECT is_active FROM mq.domains") == [["f"]]
    domain.run("vadddomain", "-n", "a.test")
    assert set(domain.users()) == {"al", "postmaster"}
    assert domain.sql("SELECT is_active FROM mq.domains") == [["t"]]


def test_secrets_are_kept_where_asked(domain):
    domain.run("vadduser", "-C", "al@a.test", stdin="clear\n")
    assert domain.sql("SELECT secret FROM mq.users WHERE name = 'al'") == [
        ["clear"]]
    domain.run("vpasswd", "al@a.test", stdin="other\n")
    assert domain.sql("SELECT secret IS NULL FROM mq.users "
                      "WHERE name = 'al'") == [["t"]]
    user = domain.users()["al"]
    assert user["has_scram"] and not user["has_secret"]


def test_changes_are_noted(domain):
    domain.sql("DELETE FROM mq.changes")
    domain.run("vadduser", "-n", "al@a.test")
    domain.run("vmoduser", "-q", "9M", "al@a.test")
    domain.run("vdeluser", "-f", "al@a.test")
    assert domain.sql("SELECT DISTINCT kind, domain, name FROM mq.changes "
                      "WHERE name = 'al'") == [["user", "a.test", "al"]]
    assert int(domain.sql("SELECT count(*) FROM mq.changes")[0][0]) >= 3
    # Of many the domain is noted.
    domain.sql("DELETE FROM mq.changes")
    domain.run("vadduser", "-i", "-n", stdin="".join(
        f"u{i}@a.test\n" for i in range(1500)))
    assert domain.sql("SELECT kind, domain, name FROM mq.changes") == [
        ["domain", "a.test", ""]]


def test_folders_are_counted(domain):
    (domain.path / "domains/a.test/.users_per_level").write_text("2\n")
    domain.run("vadduser", "-i", "-n", stdin="".join(
        f"u{i}@a.test\n" for i in range(5)))
    domain.run("vdeluser", "-f", "u0@a.test")
    domain.run("vadduser", "-n", "new@a.test")
    folder = domain.path / "domains/a.test"
    dirs = {name: user["dir"] for name, user in domain.users().items()}
    assert dirs["u1"] == f"{folder}/0/u1"
    assert dirs["u3"] == f"{folder}/1/u3"
    assert dirs["new"] == f"{folder}/new"  # the room of u0
    assert "as it should be" in domain.db("check")


def test_a_shared_folder_is_not_removed(domain):
    folder = domain.path / "domains/a.test"
    domain.run("vadduser", "-n", "al@a.test")
    domain.run("vadduser", "-n", "bob@a.test")
    for other in (f"{folder}/al", f"{folder}/al/", f"{folder}/al/in/side"):
        domain.sql(f"UPDATE indimail SET pw_dir = '{other}' "
                   "WHERE pw_name = 'bob'")
        assert "shares the folder" in domain.run("vdeluser", "-f", "al@a.test",
                                                 code=100)
    domain.sql(f"UPDATE indimail SET pw_dir = '{folder}/alice' "
               "WHERE pw_name = 'bob'")
    domain.run("vdeluser", "-f", "al@a.test")


@pytest.mark.parametrize("name", [
    "o'brien", 'qu"ote', "back\\slash", "$1", "a;drop", "x" * 64, "100%",
    "{a,b}", "a_b"])
def test_no_name_is_sql(domain, name):
    domain.env["ALLOWCHARS"] = "._-'+%${}"
    done = subprocess.run([BIN / "vadduser", "-n", f"{name}@a.test"],
                          env=domain.env, capture_output=True, text=True)
    assert done.returncode in (0, 100)
    if done.returncode == 0:
        assert set(domain.users()) == {"postmaster", name}
        assert domain.run("vuserinfo", "-n", f"{name}@a.test")
        domain.run("vdeluser", "-f", f"{name}@a.test")
    assert set(domain.users()) == {"postmaster"}
    domain.run("vuserinfo", f"{name}' OR true --@a.test", code=100)


def test_comments_and_passwords_are_any_text(domain):
    odd = "a\\b'c\"d%;--{}$1 \u00e4"
    domain.run("vadduser", "-c", odd, "-C", "al@a.test", stdin=odd + "\n")
    assert domain.users()["al"]["gecos"] == odd
    assert domain.sql("SELECT secret FROM mq.users WHERE name = 'al'") == [
        [odd]]


def test_edits_are_refused_while_the_database_is_away(domain):
    domain.run("vadduser", "-n", "al@a.test")
    before = sorted(domain.path.rglob("*"))
    domain.postgres.stop()
    try:
        for words in (["vadduser", "-n", "bob@a.test"],
                      ["vdeluser", "-f", "al@a.test"], ["vmoduser", "-p", "al@a.test"],
                      ["vpasswd", "-n", "al@a.test"], ["vadddomain", "-n", "b.test"],
                      ["vaddaliasdomain", "c.test", "a.test"],
                      ["vdeldomain", "-f", "a.test"], ["vuserinfo", "al@a.test"]):
            said = domain.run(*words, code=111)
            assert "cannot connect to the database" in said, words
    finally:
        domain.postgres.start()
    assert [path for path in sorted(domain.path.rglob("*"))
            if path.name != ".lock"] == [
                path for path in before if path.name != ".lock"]
    assert set(domain.users()) == {"al", "postmaster"}


def test_edits_are_refused_while_it_is_read_only(domain):
    domain.run("vadduser", "-n", "al@a.test")
    domain.sql(f"ALTER DATABASE {domain.database} "
               "SET default_transaction_read_only = on")
    for words in (["vadduser", "-n", "bob@a.test"], ["vdeluser", "-f", "al@a.test"],
                  ["vdeldomain", "-f", "a.test"]):
        assert "read-only" in domain.run(*words, code=111), words
    assert (domain.path / "domains/a.test/al/Maildir").is_dir()
    # Readers need no more.
    assert "al" in domain.run("vuserinfo", "-n", "al@a.test")


def test_a_paused_database_is_given_up(domain):
    (domain.path / "control/pgsql").write_text(
        domain.postgres.conninfo(domain.database, by_port=True) + "\n")
    domain.postgres.pause()
    try:
        begun = time.monotonic()
        said = domain.run("vadduser", "-n", "al@a.test", code=111)
        assert "no answer in time" in said
        assert time.monotonic() - begun < 20 * SLOW
    finally:
        domain.postgres.go_on()
    domain.run("vadduser", "-n", "al@a.test")


def test_another_host_is_taken_when_one_hangs(domain):
    """libpq alone would wait for the first one for ever."""
    import socket
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        (domain.path / "control/pgsql").write_text(
            f"host=127.0.0.1,127.0.0.1 port={deaf.getsockname()[1]},"
            f"{domain.postgres.port} dbname={domain.database} user=mqmail\n")
        domain.run("vadduser", "-n", "al@a.test")
    assert set(domain.users()) == {"al", "postmaster"}


def test_many_are_added_from_a_file(memory_path, postgres, capsys):
    """With hashes given: those of clear passwords take their time."""
    domain = Home(memory_path / "h", postgres)
    domain.run("vadddomain", "-n", "a.test")
    count = 5000
    lines = "".join(f"user{i}@a.test $6$salt$hash{i} 10M\n"
                    for i in range(count))
    begun = time.monotonic()
    (domain.path / "list").write_text(lines)
    domain.run("vadduser", "-e", "--file", domain.path / "list")
    span = time.monotonic() - begun
    with capsys.disabled():
        print(f" [{count / span * 60:.0f} a minute]", end="")
    assert domain.sql("SELECT count(*) FROM indimail") == [[str(count + 1)]]


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.skipif("address" in str(BIN), reason="sanitized build")
@pytest.mark.parametrize("command,wanted", [
    (("vadddomain", "-n", "new.test"), {"a.test", "new.test"}),
    (("vadduser", "-n", "al@a.test"), {"a.test"}),
    (("vdeluser", "-f", "old@a.test"), {"a.test"}),
    (("vaddaliasdomain", "alias.test", "a.test"), {"a.test"}),
    (("vdeldomain", "-f", "gone.test"), {"a.test"}),
])
def test_killed_at_any_change(home, memory_path, command, wanted):
    """As test_31, with rows: the same command again ends what was begun."""
    home.run("vadddomain", "-n", "a.test")
    home.run("vadduser", "-n", "old@a.test")
    (home.path / "domains/a.test/old/Maildir/new/1.a").write_text("mail")
    if command[0] == "vdeldomain":
        home.run("vadddomain", "-n", "gone.test")
        home.run("vaddaliasdomain", "gone2.test", "gone.test")
    shutil.copytree(home.path, memory_path / "saved")
    home.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
             "WHERE pid <> pg_backend_pid() AND datname = current_database()")
    home.postgres.sql(f"CREATE DATABASE {home.database}_saved TEMPLATE "
                      f"{home.database}", database="postgres")
    kills = 0
    for call in ("mkdir", "rename", "unlink", "rmdir", "sendto"):
        # An answer that was read is a statement more that is done.
        for number in range(1, 100):
            if number > 1 and call == "sendto" and number % 2:
                continue
            shutil.rmtree(home.path)
            shutil.copytree(memory_path / "saved", home.path)
            home.postgres.sql(
                f"DROP DATABASE {home.database} WITH (FORCE)",
                database="postgres")
            home.postgres.sql(
                f"CREATE DATABASE {home.database} TEMPLATE "
                f"{home.database}_saved", database="postgres")
            done = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                 f"trace={call}", "-e",
                 f"inject={call}:signal=KILL:when={number}",
                 BIN / command[0], *command[1:]], env=home.env,
                capture_output=True, timeout=60)
            was_killed = done.returncode in (-signal.SIGKILL,
                                             128 + signal.SIGKILL)
            kills += was_killed
            # Whoever mail is taken for has a folder, but who is being removed.
            for name in (home.path / "control/rcpthosts").read_text().split():
                for user in home.users(name).values():
                    assert os.path.isdir(user["dir"] + "/Maildir/new") or \
                        (command[0], user["name"]) == ("vdeluser", "old")
            if was_killed:
                again = subprocess.run([BIN / command[0], *command[1:]],
                                       env=home.env, capture_output=True,
                                       text=True, timeout=60)
                assert again.returncode in (0, 100), again
            assert {row[0] for row in home.sql(
                "SELECT name FROM mq.domains")} == wanted
            assert (("alias.test" in home.path.joinpath(
                "control/rcpthosts").read_text()) ==
                    (home.sql("SELECT * FROM aliasdomain") ==
                     [["alias.test", "a.test"]]))
            users = set(home.users())
            assert ("al" in users) == (command[0] == "vadduser")
            assert ("old" in users) == (command[0] != "vdeluser")
            if not was_killed:
                assert done.returncode == 0, done
                break
        assert not was_killed, f"{command} never ends at {call}"
    assert kills >= 5, "the command was hardly ever killed"
    assert "as it should be" in home.db("check")
