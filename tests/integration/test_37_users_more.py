# SPDX-License-Identifier: ISC
"""The other commands of users and domains, on both stores."""
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from node import BIN, wait_until
from test_31_users_killed import cdb_get

STORES = ("cdb", "pgsql")


class Home:
    """A node's folders, whose users are in files or in a database."""

    def __init__(self, path, store, postgres=None):
        self.path = path
        self.store = store
        self.postgres = postgres
        for name in ("control", "users/logins", "domains", "run"):
            (path / name).mkdir(parents=True)
        (path / "control/me").write_text("mail.example.test\n")
        self.env = dict(os.environ, MQMAIL_HOME=str(path), MQMAIL_USER="root")
        if postgres is not None:
            conninfo = postgres.fresh_database(path)
            self.database = conninfo.split("dbname=")[1].split()[0]
        self.run("vadddomain", "-n", "a.test")
        self.folder = path / "domains/a.test"

    def call(self, program, *args, stdin="", **env):
        return subprocess.run(
            [BIN / program, *map(str, args)], input=stdin, text=True,
            capture_output=True, env=dict(self.env, **env), timeout=120)

    def run(self, program, *args, code=0, stdin="", **env):
        done = self.call(program, *args, stdin=stdin, **env)
        assert done.returncode == code, (program, args, done)
        return done.stdout if code == 0 else done.stderr

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def users(self, domain="a.test"):
        return {user["name"]: user for user in json.loads(
            self.run("vuserinfo", "--json", "-D", domain))}

    def add_mail(self, name, file="1.a", text="mail"):
        new = Path(self.users()[name]["dir"]) / "Maildir/new"
        (new / file).write_text(text)

    def lines(self, name):
        file = self.path / name
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture(params=STORES)
def home(request, memory_path):
    postgres = request.getfixturevalue("postgres") \
        if request.param == "pgsql" else None
    return Home(memory_path / "h", request.param, postgres)


@pytest.fixture
def other_filesystem(tmp_path, memory_path):
    """A folder that is on another filesystem than the home."""
    folder = Path(tempfile.mkdtemp(prefix="mqfs", dir="/var/tmp"))
    folder.chmod(0o755)
    if folder.stat().st_dev == memory_path.stat().st_dev:
        shutil.rmtree(folder)
        pytest.skip("one filesystem only")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


# Aliases.

def test_aliases(home):
    home.run("valias", "-i", "&bob@b.test", "sales@a.test")
    home.run("valias", "-i", "|/bin/cat > x y", "sales@a.test")
    home.run("valias", "-i", "&al@a.test", "info.desk@a.test")
    assert home.run("valias", "-s", "sales@a.test") == (
        "sales@a.test -> &bob@b.test\nsales@a.test -> |/bin/cat > x y\n")
    assert home.run("valias", "a.test").splitlines() == [
        "info.desk@a.test -> &al@a.test", "sales@a.test -> &bob@b.test",
        "sales@a.test -> |/bin/cat > x y"]
    assert home.run("valias", "-S", "al@a.test", "a.test") == (
        "info.desk@a.test -> &al@a.test\n")
    home.run("valias", "-u", "&bob@b.test", "-i", "&carl@b.test",
             "sales@a.test")
    home.run("valias", "-d", "|/bin/cat > x y", "sales@a.test")
    assert home.run("valias", "sales@a.test") == (
        "sales@a.test -> &carl@b.test\n")
    home.run("valias", "-d", "&carl@b.test", "sales@a.test")
    home.run("valias", "-D", "info.desk@a.test")
    assert home.run("valias", "a.test") == ""
    assert "no alias" in home.run("valias", "sales@a.test", code=100)


def test_daemons_find_aliases(home):
    home.run("valias", "-i", "&bob@b.test", "in.fo@a.test")
    if home.store == "cdb":
        assert (home.folder / ".qmail-in:fo").read_text() == "&bob@b.test\n"
        assert "bob@b.test" in home.run("lookup", "alias", "in.fo@a.test")
    else:
        assert home.sql("SELECT * FROM valias")[0][:3] == [
            "in.fo", "a.test", "&bob@b.test"]


@pytest.mark.parametrize("name,line", [
    ("default", "&a@b.test"), ("a/b", "&a@b.test"), ("x", ""), ("x", "#no"),
    ("x", "a\nb"), ("x", "y" * 2000), ("../x", "&a@b.test")])
def test_wrong_aliases_are_refused(home, name, line):
    home.run("valias", "-i", line, f"{name}@a.test", code=100)
    assert home.run("valias", "a.test") == ""


# Limits.

def test_limits_are_set_and_shown(home):
    home.run("vlimit", "-P", "3", "-A", "2", "-Q", "1g", "-q", "50M", "-m",
             "100", "-g", "ip", "-p", "cm", "-e", "01012099000000", "a.test")
    shown = home.run("vlimit", "-s", "a.test")
    for line in ("Max Pop Accounts     :             3",
                 "Max Domain Quota     :    1073741824",
                 "Default User Quota   :      52428800",
                 "Max Forwards         :     unlimited", "  NO_IMAP",
                 "  NO_POP", "  SMTP", "2099",
                 "pop account           :  DENY_CREATE  DENY_MODIFY "
                 "ALLOW_DELETE"):
        assert line in shown, shown
    home.run("vlimit", "-T", "-g", "i", "a.test")
    assert "\n  IMAP" in home.run("vlimit", "a.test")
    home.run("vlimit", "-D", "a.test")
    assert "NO_POP" not in home.run("vlimit", "a.test")
    home.run("vlimit", "-P", "many", "a.test", code=100)
    home.run("vlimit", "-Q", "5X", "a.test", code=100)


def test_limits_of_a_user(home):
    home.run("vadduser", "-n", "al@a.test")
    home.run("vlimit", "-M", "7", "al@a.test")
    assert "Max Domain Messages  :             7" in home.run(
        "vlimit", "al@a.test")
    home.run("vlimit", "-M", "7", "nobody@a.test", code=100)


def test_limits_hold(home):
    home.run("vlimit", "-P", "2", "-A", "1", "-F", "1", "-q", "5M", "a.test")
    home.run("vadduser", "-n", "al@a.test")
    assert home.users()["al"]["quota"] == "5242880S"
    home.run("vadduser", "-n", "-q", "1M", "bob@a.test")
    assert home.users()["bob"]["quota"] == "1048576S"
    assert "maxpopaccounts" in home.run("vadduser", "-n", "carl@a.test",
                                        code=100)
    assert not (home.folder / "carl").exists()
    home.run("vadduser", "-i", "-n", stdin="c@a.test\nd@a.test\n", code=100)
    home.run("valias", "-i", "&al@a.test", "one@a.test")
    assert "maxaliases" in home.run("valias", "-i", "&al@a.test",
                                    "two@a.test", code=100)
    home.run("valias", "-i", "&al@b.test", "two@a.test")
    assert "maxforwards" in home.run("valias", "-i", "&al@b.test",
                                     "three@a.test", code=100)
    home.run("valias", "-i", "&bob@a.test", "one@a.test")  # no alias more
    home.run("vlimit", "-n", "-1", "a.test")
    home.run("vlimit", "-P", "-1", "a.test")
    assert "expired" in home.run("vadduser", "-n", "x@a.test", code=100)


def test_a_list_has_the_domains_quota(home):
    home.run("vlimit", "-q", "5M", "a.test")
    home.run("vadduser", "-i", "-n", stdin="c@a.test\nd@a.test 1M\n")
    quotas = {name: user["quota"] for name, user in home.users().items()}
    assert quotas["c"] == "5242880S" and quotas["d"] == "1048576S"


# Filters.

def test_filters(home):
    home.run("vadduser", "-n", "al@a.test")
    home.run("vcfilter", "-i", "-t", "spam", "-h", "Subject", "-c",
             "Contains", "-k", "buy now", "-f", "Junk", "-b", "0",
             "al@a.test")
    home.run("vcfilter", "-i", "-c", "6", "-h", "-1", "-f", "/NoDeliver",
             "-b", "2&boss@a.test", "al@a.test")
    raw = home.run("vcfilter", "-r", "-s", "al@a.test").splitlines()
    assert raw == ["1 al@a.test spam 2 1 buy now Junk 0",
                   "2 al@a.test  0 6 N/A /NoDeliver 2&boss@a.test"]
    shown = home.run("vcfilter", "al@a.test")
    assert "Contains" in shown and "Void" in shown and "&boss" in shown
    home.run("vcfilter", "-u", "1", "-k", "sell", "al@a.test")
    home.run("vcfilter", "-d", "2", "al@a.test")
    assert home.run("vcfilter", "-r", "al@a.test") == (
        "1 al@a.test spam 2 1 sell Junk 0\n")
    if home.store == "cdb":
        assert "sell" in home.run("lookup", "filters", "al@a.test")
    else:
        assert home.sql("SELECT keyword FROM vfilter") == [["sell"]]
    home.run("vcfilter", "-d", "1", "al@a.test")
    assert home.run("vcfilter", "al@a.test") == ""


@pytest.mark.parametrize("options", [
    ("-c", "9", "-k", "x", "-f", "J", "-b", "0"),
    ("-c", "1", "-k", "", "-f", "J", "-b", "0"),
    ("-c", "1", "-k", "x", "-f", "../J", "-b", "0"),
    ("-c", "1", "-k", "x", "-f", "J", "-b", "7"),
    ("-c", "1", "-k", "x", "-f", "J", "-b", "2"),
    ("-c", "1", "-h", "No-Such", "-k", "x", "-f", "J", "-b", "0"),
    ("-c", "1", "-k", "x\ty", "-f", "J", "-b", "0")])
def test_wrong_filters_are_refused(home, options):
    home.run("vadduser", "-n", "al@a.test")
    home.run("vcfilter", "-i", *options, "al@a.test", code=100)
    assert home.run("vcfilter", "al@a.test") == ""


# Quotas.

@pytest.mark.parametrize("text,wanted", [
    ("50M", "52428800S"), ("1g", "1073741824S"), ("unlimited", "NOQUOTA"),
    ("NOQUOTA", "NOQUOTA"), ("1000S,50C", "1000S,50C"), ("50C", "50C"),
    ("+10M", "31457280S"), ("-10M", "10485760S"), ("2048", "2048S"),
    ("5X", None), ("", None), ("0", None), ("-1g", None), ("1M,2M", None)])
def test_quotas(home, text, wanted):
    home.run("vadduser", "-n", "-q", "20M", "al@a.test")
    (home.folder / "al/Maildir/maildirsize").write_text("20971520S\n0 0\n")
    for command in (("vsetuserquota", "al@a.test", text),
                    ("vmoduser", "-q", text, "al@a.test")):
        home.run("vmoduser", "-q", "20M", "al@a.test")
        home.run(*command, code=100 if wanted is None else 0)
        assert home.users()["al"]["quota"] == (wanted or "20971520S")
    assert not (home.folder / "al/Maildir/maildirsize").exists()


def test_vmoduser_sets_passwords_and_flags(home):
    home.run("vadduser", "-n", "al@a.test")
    home.run("vmoduser", "-P", "secret", "al@a.test")
    user = home.users()["al"]
    assert user["passwd"].startswith("$y$") and user["has_scram"]
    home.run("vmoduser", "-e", "-P", "$6$a$b", "-0", "-o", "al@a.test")
    user = home.users()["al"]
    assert user["passwd"] == "$6$a$b" and user["gid"] == 0x2200
    home.run("vmoduser", "-C", "al@a.test", code=100)


def test_what_was_done_is_said(home):
    """-v, of all that change something; without it nothing is."""
    folder = str(home.folder)
    for done, words in (
            ("al@a.test", ["vadduser", "-vn", "al@a.test"]),
            ("al%a.test", ["vpasswd", "-vn", "al%a.test"]),
            ("al@a.test", ["vmoduser", "-vp", "al@a.test"]),
            ("so@a.test", ["valias", "-vi", "al@a.test", "so@a.test"]),
            ("al@a.test bo@a.test",
             ["vrenameuser", "-v", "al@a.test", "bo@a.test"]),
            (f"bo@a.test {folder}/bo {folder}/x",
             ["vmoveuserdir", "-v", "bo@a.test", f"{folder}/x"]),
            ("192.0.2.1 a.test", ["vipmap", "-vi", "192.0.2.1", "a.test"]),
            ("bo@a.test", ["vdeluser", "-fv", "bo@a.test"]),
            ("b.test", ["vadddomain", "-vn", "b.test"]),
            ("c.test b.test", ["vaddaliasdomain", "-v", "c.test", "b.test"]),
            ("b.test d.test", ["vrenamedomain", "-v", "b.test", "d.test"]),
            ("d.test", ["vdeldomain", "-fv", "d.test"])):
        assert home.run(*words) == f"done: {done}\n"
    assert home.run("vadduser", "-inv", stdin="x@a.test\ny@a.test\n") == (
        "done: 2 users\n")
    assert home.run("vadduser", "-n", "z@a.test") == ""


def test_a_user_who_is_not_active_yet(home):
    home.run("vadduser", "-in", "al@a.test")
    assert not home.users()["al"]["is_active"]
    home.run("vmoduser", "-n", "al@a.test")
    assert home.users()["al"]["is_active"]
    home.run("vadduser", "-in", "--file", "/dev/null", "bo@a.test", code=100)


def test_last_logins_are_shown(home):
    home.run("vadduser", "-n", "al@a.test")
    assert home.run("vuserinfo", "-l", "al@a.test") == "last login    : never\n"
    if home.store == "pgsql":
        home.sql("INSERT INTO mq.last_auth SELECT id, 'pop3', '192.0.2.1', "
                 "to_timestamp(1700000000) FROM mq.users WHERE name = 'al'")
        home.sql("INSERT INTO mq.relay SELECT id, '192.0.2.2', "
                 "to_timestamp(1700000001) FROM mq.users WHERE name = 'al'")
    else:
        shard = home.path / "users/logins/a.test/c0"  # FNV-1a of the name
        shard.mkdir(parents=True)
        (shard / "al").write_text("pop3 192.0.2.1 1700000000\n"
                                  "relay 192.0.2.2 1700000001\n")
    shown = home.run("vuserinfo", "al@a.test", TZ="UTC")
    assert ("last pop3     : 2023-11-14 22:13:20 +0000 from 192.0.2.1\n"
            "last relay    : 2023-11-14 22:13:21 +0000 from 192.0.2.2\n"
            ) in shown
    assert home.users()["al"]["logins"] == [
        {"service": "pop3", "ip": "192.0.2.1", "at": 1700000000},
        {"service": "relay", "ip": "192.0.2.2", "at": 1700000001}]


def test_an_answer_in_absence(home):
    home.run("vadduser", "-n", "al@a.test")
    qmail = home.folder / "al/.qmail"
    home.run("vmoduser", "-l", "+", "al@a.test", stdin="I am away.\n")
    message = home.folder / "al/vacation/.vacation.msg"
    assert message.read_text() == "I am away.\n"
    assert "| autoresponder " in qmail.read_text()
    home.run("vmoduser", "-l", home.path / "control/me", "al@a.test")
    assert message.read_text() == "mail.example.test\n"
    home.run("vmoduser", "-l", "-", "al@a.test")
    assert not qmail.exists() and not message.exists()
    qmail.write_text("./Maildir/\n")
    home.run("vmoduser", "-l", "+", "al@a.test", stdin="x\n", code=100)
    home.run("vmoduser", "-l", "-", "al@a.test", code=100)
    home.run("vmoduser", "-l", "/nonexistent", "al@a.test", code=100)


# Names.

def test_a_user_is_renamed(home):
    home.run("vadduser", "-n", "-c", "Al", "al@a.test")
    home.run("vcfilter", "-i", "-c", "1", "-k", "x", "-f", "J", "-b", "0",
             "al@a.test")
    home.run("vlimit", "-M", "7", "al@a.test")
    home.add_mail("al")
    home.run("vadduser", "-n", "bob@a.test")
    home.run("vrenameuser", "al@a.test", "bob@a.test", code=100)
    home.run("vrenameuser", "al@a.test", "alan@a.test")
    user = home.users()["alan"]
    assert "al" not in home.users()
    assert user["gecos"] == "Al"
    assert user["dir"] == f"{home.folder}/alan"
    assert (home.folder / "alan/Maildir/new/1.a").read_text() == "mail"
    assert home.run("vcfilter", "-r", "alan@a.test") != ""
    assert "Domain Messages  :             7" in home.run(
        "vlimit", "alan@a.test")
    home.run("vadduser", "-n", "al@a.test")
    assert os.listdir(home.folder / "al/Maildir/new") == []
    # A folder of one letter is a level's.
    home.run("vrenameuser", "alan@a.test", "a@a.test")
    assert home.users()["a"]["dir"] == f"{home.folder}/a@"
    home.run("vrenameuser", "a@a.test", "alan@a.test")
    assert home.users()["alan"]["dir"] == f"{home.folder}/alan"
    for old, new in (("no@a.test", "x@a.test"), ("al@a.test", "x@b.test"),
                     ("postmaster@a.test", "x@a.test"),
                     ("al@a.test", "-x@a.test")):
        home.run("vrenameuser", old, new, code=100)


def test_a_domain_is_renamed(home):
    home.run("vadduser", "-n", "al@a.test")
    home.add_mail("al")
    home.run("valias", "-i", "&al@a.test", "info@a.test")
    home.run("vaddaliasdomain", "alias.test", "a.test")
    home.run("vadddomain", "-n", "c.test")
    home.run("vrenamedomain", "a.test", "c.test", code=100)
    home.run("vrenamedomain", "a.test", "b.test")
    assert set(home.users("b.test")) == {"postmaster", "al"}
    assert set(home.users("alias.test")) == {"postmaster", "al"}
    folder = home.path / "domains/b.test"
    assert home.users("b.test")["al"]["dir"] == f"{folder}/al"
    assert (folder / "al/Maildir/new/1.a").exists()
    assert not home.folder.exists()
    assert set(home.lines("control/rcpthosts")) == {
        "alias.test", "c.test", "b.test"}
    assert "info@b.test" in home.run("valias", "b.test")
    home.run("vuserinfo", "-n", "al@a.test", code=100)
    home.run("vrenamedomain", "alias.test", "other.test")
    assert "al" in home.users("other.test")
    home.run("vadddomain", "-n", "a.test")
    assert set(home.users("a.test")) == {"postmaster"}


def test_vdominfo(home):
    home.run("vadduser", "-n", "al@a.test")
    home.run("vaddaliasdomain", "alias.test", "a.test")
    home.run("vadddomain", "-n", "b.test")
    shown = home.run("vdominfo", "a.test")
    for text in ("    domain: a.test\n", "     Users: 2\n",
                 f"Domain Dir: {home.folder}\n", "AliasDomains:\nalias.test\n",
                 "vlimits: disabled"):
        assert text in shown
    assert "alias.test aliased to a.test" in home.run(
        "vdominfo", "-n", "alias.test")
    found = json.loads(home.run("vdominfo", "--json"))
    assert [each["domain"] for each in found] == ["a.test", "b.test"]
    home.run("vdominfo", "no.test", code=100)


# Filesystems.

def test_a_user_moves_to_another_filesystem(home, other_filesystem):
    home.run("vadduser", "-n", "al@a.test")
    home.add_mail("al")
    maildir = home.folder / "al/Maildir"
    (maildir / "cur/2.a:2,S").write_text("read")
    (maildir / ".Junk/cur").mkdir(parents=True)
    (maildir / "link").symlink_to("cur")
    os.utime(maildir / "new/1.a", (1000, 2000))
    to = other_filesystem / "x/al"
    assert "homeroots" in home.run("vmoveuserdir", "al@a.test", to, code=100)
    (home.path / "control/homeroots").write_text(f"{other_filesystem}\n")
    home.run("vmoveuserdir", "al@a.test", to)
    assert home.users()["al"]["dir"] == str(to)
    assert (to / "Maildir/new/1.a").stat().st_mtime == 2000
    assert (to / "Maildir/cur/2.a:2,S").read_text() == "read"
    assert (to / "Maildir/.Junk/cur").is_dir()
    assert os.readlink(to / "Maildir/link") == "cur"
    assert sorted(os.listdir(home.folder)) == sorted(
        {"postmaster", ".qmail-default", ".vpasswd.lock"}
        | ({"vpasswd", "vpasswd.cdb"} if home.store == "cdb" else set()))
    home.run("vmoveuserdir", "al@a.test", f"{home.folder}/postmaster/x",
             code=100)
    home.run("vmoveuserdir", "al@a.test", f"{home.folder}/al")
    assert (home.folder / "al/Maildir/new/1.a").exists()
    assert os.listdir(other_filesystem / "x") == []


def answer(home, text, program, *args):
    """The command at a terminal where text is typed."""
    master, slave = os.openpty()
    try:
        os.write(master, text.encode())
        return subprocess.run(
            [BIN / program, *args], stdin=slave, capture_output=True,
            text=True, env=home.env, timeout=120)
    finally:
        os.close(master)
        os.close(slave)


def test_a_domain_that_cannot_be_looked_at_is_not_removed_unasked(home):
    home.run("vadduser", "-n", "al@a.test")
    home.add_mail("al")
    if home.store == "cdb":
        (home.folder / "vpasswd").write_text("no line of it\n")
    else:
        (home.path / "control/pgsql").write_text("host=/nowhere\n")
    done = answer(home, "n\n", "vdeldomain", "a.test")
    assert done.returncode == 100, done
    assert "cannot be looked at" in done.stderr
    assert "nothing was removed" in done.stderr
    # Nor are the users left whose folders nobody would find any more.
    home.run("vdeldomain", "-f", "a.test", code=111)
    assert "a.test" in home.lines("control/rcpthosts")
    assert (home.folder / "al/Maildir/new/1.a").exists()


def test_scripts_lose_no_mail_unless_they_say_so(home):
    home.run("vadduser", "-n", "al@a.test")
    home.run("vaddaliasdomain", "alias.test", "a.test")
    assert "--yes" in home.run("vdeluser", "al@a.test", code=100)
    assert "--yes" in home.run("vdeldomain", "a.test", code=100)
    assert set(home.users()) == {"postmaster", "al"}
    home.run("vdeldomain", "alias.test")  # no mail goes
    home.run("vdeluser", "--yes", "al@a.test")
    home.run("vdeldomain", "--yes", "a.test")
    assert not home.folder.exists()


def test_a_domain_that_was_kept_is_removed(home):
    home.run("vadduser", "-n", "al@a.test")
    home.add_mail("al")
    home.run("vdeldomain", "-k", "a.test")
    assert home.folder.exists()
    home.run("vdeldomain", "-f", "a.test")
    assert not home.folder.exists()
    home.run("vadddomain", "-n", "a.test")
    assert list(home.users()) == ["postmaster"]


def test_filters_go_with_their_user(home):
    """Whoever removes or renames him: the next of the name has none."""
    def add(name):
        home.run("vadduser", "-n", f"{name}@a.test")
        home.run("vcfilter", "-i", "-c", "1", "-k", "x", "-f", "Inbox", "-b",
                 "2&old@b.test", f"{name}@a.test")
        home.run("vlimit", "-M", "7", f"{name}@a.test")

    def has_any(name):
        return "old@b.test" in home.run("vcfilter", "-r", f"{name}@a.test")

    add("al")
    home.run("vdeluser", "-f", "al@a.test")
    home.run("vadduser", "-n", "al@a.test")
    assert not has_any("al")
    if home.store == "cdb":
        return
    add("bob")
    home.sql("UPDATE indimail SET pw_name = 'ben' WHERE pw_name = 'bob'")
    home.sql("UPDATE indimail SET pw_gecos = 'Ben' WHERE pw_name = 'ben'")
    assert has_any("ben")
    home.sql("DELETE FROM indimail WHERE pw_name = 'ben'")
    for name in ("bob", "ben"):
        home.run("vadduser", "-n", "-q", "1M", f"{name}2@a.test")
        home.sql(f"UPDATE indimail SET pw_name = '{name}' "
                 f"WHERE pw_name = '{name}2'")
        assert not has_any(name)
    assert home.sql("SELECT count(*) FROM mq.limits") == [["0"]]


def set_dir(home, name, folder):
    """As other software may have put it there."""
    if home.store == "pgsql":
        home.sql(f"UPDATE indimail SET pw_dir = '{folder}' "
                 f"WHERE pw_name = '{name}' AND pw_domain = 'a.test'")
        return
    file = home.folder / "vpasswd"
    fields = [line.split(":") for line in file.read_text().splitlines()]
    for line in fields:
        if line[0] == name:
            line[5] = str(folder)
    file.write_text("".join(":".join(line) + "\n" for line in fields))
    home.run("vmkpasswd", "a.test")


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_users_of_other_domains_stay(home, is_elsewhere):
    """A folder that has other users' in it is nobody's to move or remove."""
    base = home.path / "base"
    base.mkdir()
    (home.path / "control/homeroots").write_text(f"{base}\n")
    home.run("vadddomain", "-n", *(["-B", base] if is_elsewhere else []),
             "b.test")
    home.run("vadduser", "-n", "bob@b.test")
    home.run("vadduser", "-n", "al@a.test")
    bob = Path(home.users("b.test")["bob"]["dir"])
    assert is_elsewhere == (base in bob.parents)
    mail = bob / "Maildir/new/1.a"
    mail.write_text("bob's")
    own = home.users()["al"]["dir"]
    other = home.path / "domains/b.test"
    for target in (other / "al", bob / "al", bob / "Maildir/al"):
        home.run("vmoveuserdir", "al@a.test", target, code=100)
    home.run("vadduser", "-n", "-B", bob, "new@a.test", code=100)
    for folder in (other, f"{bob.parent}/", bob.parent):
        set_dir(home, "al", folder)
        home.run("vdeluser", "-f", "al@a.test", code=100)
        home.run("vmoveuserdir", "al@a.test", home.folder / "al2", code=100)
        home.run("vrenameuser", "al@a.test", "alf@a.test")
        home.run("vrenameuser", "alf@a.test", "al@a.test")
        assert mail.read_text() == "bob's"
    home.run("vdeldomain", "-f", "a.test")
    assert mail.read_text() == "bob's"
    assert (other / ".qmail-default").exists()
    assert not Path(own).exists()


def test_base_paths(home, other_filesystem):
    base = other_filesystem
    home.run("vadduser", "-n", "-B", base, "al@a.test", code=100)
    (home.path / "control/homeroots").write_text(f"{base}\n")
    home.run("vadduser", "-n", "-B", base, "al@a.test")
    home.run("vadduser", "-n", "zoe@a.test", BASE_PATH=str(base))
    home.run("vadduser", "-n", "bob@a.test")
    dirs = {name: user["dir"] for name, user in home.users().items()}
    assert dirs["al"] == f"{base}/A2E/a.test/al"
    assert dirs["zoe"] == f"{base}/T2Zsym/a.test/zoe"
    assert dirs["bob"] == f"{home.folder}/bob"
    assert (base / "A2E/a.test/al/Maildir/new").is_dir()
    home.run("vadddomain", "-n", "-B", base, "b.test")
    home.run("vadduser", "-i", "-n", stdin="".join(
        f"{c}{c}@b.test\n" for c in "abcxyz"))
    assert home.users("b.test")["cc"]["dir"] == f"{base}/A2E/b.test/cc"
    # A run that was killed left the mail of an earlier one there.
    left = base / "A2E/a.test/.removed.al"
    (left / "Maildir/new").mkdir(parents=True)
    home.run("vdeluser", "-f", "al@a.test")
    assert not (base / "A2E/a.test/al").exists()
    assert not left.exists()
    home.run("vdeldomain", "-f", "b.test")
    assert not (base / "A2E/b.test/aa").exists()
    assert (base / "T2Zsym/a.test/zoe").exists()
    home.run("vdeldomain", "-f", "a.test")
    assert not (base / "T2Zsym/a.test/zoe").exists()


def test_filesystems_are_chosen(home):
    base = home.path / "homes"
    for name in ("one", "two"):
        (base / name).mkdir(parents=True)
    home.run("vfstab", "-i", "-n", "2", base / "one", code=100)
    (home.path / "control/homeroots").write_text(f"{base}\n")
    home.run("vadduser", "-b", "-n", "a@a.test", code=100)
    home.run("vfstab", "-i", "-n", "2000", base / "one")
    home.run("vfstab", "-i", "-n", "1000", "-q", "100g", base / "two")
    home.run("vfstab", "-i", "-m", "other.host", "/home/mail")
    shown = home.run("vfstab", "-s")
    assert "other.host" in shown and "ONLINE" in shown
    assert len(home.run("vfstab", "-s", "-m", "other.host").splitlines()) == 2
    for name in "abcdef":
        home.run("vadduser", "-b", "-n", f"{name}@a.test")
    dirs = [user["dir"] for user in home.users().values()]
    used = [sum(d.startswith(f"{base}/{n}/") for d in dirs)
            for n in ("one", "two")]
    assert sum(used) == 6, used
    home.run("vfstab", "-o", "0", base / "one")
    home.run("vadduser", "-b", "-n", "--file", "/dev/stdin",
             stdin="g@a.test\nh@a.test\n")
    assert home.users()["g"]["dir"].startswith(f"{base}/two/")
    assert "Selected" in home.run("vfstab", "-b")
    counts = {line.split()[0]: line.split()[4]
              for line in home.run("vfstab", "-s").splitlines()[1:]}
    assert int(counts[f"{base}/one"]) == used[0]
    assert int(counts[f"{base}/two"]) == used[1] + 2
    home.run("vfstab", "-d", base / "two")
    home.run("vadduser", "-b", "-n", "x@a.test", code=100)


# Of the node.

def test_vipmap(home):
    home.run("vipmap", "-i", "192.0.2.1", "a.test")
    home.run("vipmap", "-i", "2001:DB8:0::1", "a.test")
    assert home.run("vipmap", "-p") == ("192.0.2.1 a.test\n"
                                        "2001:db8::1 a.test\n")
    if home.store == "pgsql":
        assert len(home.sql("SELECT * FROM ip_alias_map")) == 2
    home.run("vipmap", "-i", "192.0.2.1", "no.test", code=100)
    home.run("vipmap", "-i", "nothing", "a.test", code=100)
    home.run("vipmap", "-d", "192.0.2.1", "a.test")
    assert home.run("vipmap") == "2001:db8::1 a.test\n"
    home.run("vipmap", "-d", "192.0.2.1", code=100)


def test_clearopensmtp(home):
    home.run("vadduser", "-n", "al@a.test")
    if home.store == "pgsql":
        home.sql("INSERT INTO mq.relay (user_id, ip, at) SELECT id, ip, "
                 "now() - age FROM mq.users, (VALUES "
                 "('192.0.2.1', interval '2 hours'), "
                 "('192.0.2.2', interval '1 minute')) v(ip, age) "
                 "WHERE name = 'al'")
    else:
        now = int(os.stat(home.path / "control/me").st_mtime)
        shard = home.path / "users/logins/a.test/00"
        shard.mkdir(parents=True)
        (shard / "al").write_text(
            f"pop3 192.0.2.1 {now - 7200}\nrelay 192.0.2.1 {now - 7200}\n"
            f"relay 192.0.2.2 {now}\n")
    assert home.run("clearopensmtp", "-v", RELAY_CLEAR_MINUTES="180") == (
        "0 removed\n")
    assert home.run("clearopensmtp", "-v") == "1 removed\n"
    if home.store == "pgsql":
        assert home.sql("SELECT ip FROM mq.relay") == [["192.0.2.2"]]
    else:
        assert "relay 192.0.2.1" not in (shard / "al").read_text()
        assert "pop3 192.0.2.1" in (shard / "al").read_text()
    home.run("clearopensmtp", RELAY_CLEAR_MINUTES="x", code=100)


def set_age(home, name, days):
    maildir = Path(home.users()[name]["dir"]) / "Maildir"
    then = os.stat(home.path / "control/me").st_mtime - days * 86400
    for path in (maildir, maildir / "cur"):
        os.utime(path, (then, then))
    if home.store == "pgsql":
        home.sql(f"UPDATE mq.users SET created = now() - interval '{days} "
                 f"days' WHERE name = '{name}'")


def test_old_users(home):
    for name in ("old", "older", "new"):
        home.run("vadduser", "-n", f"{name}@a.test")
        home.add_mail(name)
    home.run("vadduser", "-n", "-c", "keep", "kept@a.test")
    for name, days in (("old", 100), ("older", 400), ("kept", 400),
                       ("postmaster", 400)):
        set_age(home, name, days)
    shown = home.run("vdeloldusers", "-d", "a.test", "-a", "90", "-s", "keep")
    assert [line.split(":")[0] for line in shown.splitlines()] == [
        "old@a.test", "older@a.test"]
    assert "--yes" in home.run("vdeloldusers", "-p", "-a", "200", code=100)
    assert len(home.users()) == 5
    home.run("vdeloldusers", "-i", "-a", "90", "-s", "keep", "--yes")
    assert not home.users()["old"]["is_active"]
    assert home.users()["new"]["is_active"]
    home.run("vdeloldusers", "-c", "-a", "200", "-s", "keep", "--yes")
    assert os.listdir(home.folder / "older/Maildir/new") == []
    assert os.listdir(home.folder / "old/Maildir/new") == ["1.a"]
    set_age(home, "older", 400)
    home.run("vdeloldusers", "-p", "-s", "keep", "--yes",
             ACCT_INACT_EXPIRY="200")
    assert set(home.users()) == {"postmaster", "old", "new", "kept"}


def note_login(home, name, days):
    """As a login does that was so many days ago."""
    if home.store == "pgsql":
        home.sql("INSERT INTO mq.last_auth (user_id, service, at) SELECT id, "
                 f"'pop3', now() - interval '{days} days' FROM mq.users WHERE "
                 f"name = '{name}' ON CONFLICT (user_id, service) DO UPDATE "
                 "SET at = excluded.at")
        return
    at = int(os.stat(home.path / "control/me").st_mtime - days * 86400)
    shard = 2166136261
    for byte in name.encode():
        shard = (shard ^ byte) * 16777619 & 0xffffffff
    file = home.path / f"users/logins/a.test/{shard % 256:02x}/{name}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"pop3 192.0.2.1 {at}\n")


def take_mail(home):
    """QMAILQUEUE: each message in a file; what was taken, and forgotten."""
    folder = home.path / "taken"
    program = home.path / "take"
    if not program.exists():
        folder.mkdir()
        program.write_text("#!/bin/sh\n"
                           f"f=$(mktemp {folder}/XXXXXX) && cat >$f && "
                           "tr '\\0' ' ' <&1 >$f.to\n")
        program.chmod(0o755)
        home.env["QMAILQUEUE"] = str(program)
    taken = {file.read_text().strip(): file.with_suffix("").read_text()
             for file in folder.glob("*.to")}
    for file in folder.iterdir():
        file.unlink()
    return taken


def test_who_is_away_becomes_inactive_until_a_login(home):
    for name in ("away", "there", "off"):
        home.run("vadduser", "-n", f"{name}@a.test")
        set_age(home, name, 500)
    note_login(home, "away", 100)
    note_login(home, "there", 10)
    home.run("vmoduser", "-n", "off@a.test")
    # Deliveries are no logins.
    os.utime(home.folder / "away/Maildir")
    home.run("vdeloldusers", "-i", "--yes")  # never, unless the setting says so
    assert home.users()["away"]["is_active"]
    (home.path / "control/inactivedays").write_text("90\n")
    assert home.run("vdeloldusers", "-i", "--yes").startswith("away@a.test: ")
    users = home.users()
    assert [name for name in users if not users[name]["is_active"]] == [
        "away", "off"]
    assert "inactive until a login" in home.run("vuserinfo", "away@a.test")
    assert "until" not in home.run("vuserinfo", "off@a.test")
    assert home.run("vdeloldusers", "-i", "--yes") == ""
    take_mail(home)
    (home.path / "domains/.activated.msg").write_text("Here you are\n")
    note_login(home, "away", 0)
    note_login(home, "off", 0)
    assert home.run("vdeloldusers", "-i") == "away@a.test: active again\n"
    users = home.users()
    assert users["away"]["is_active"] and users["away"]["uid"] == 0
    assert not users["off"]["is_active"]
    (to, text), = take_mail(home).items()
    assert to == "F Taway@a.test" and text.endswith("\n\nHere you are\n")
    assert home.run("vdeloldusers", "-i") == ""
    # The operator's word is above it, in either direction.
    note_login(home, "away", 100)
    home.run("vdeloldusers", "-i", "--yes")
    home.run("vmoduser", "-n", "away@a.test")
    assert home.users()["away"]["uid"] == 0
    assert list(take_mail(home)) == ["F Taway@a.test"]


def test_new_users_are_greeted(home):
    take_mail(home)
    home.run("vadduser", "-n", "quiet@a.test")
    (home.path / "domains/.welcome.msg").write_text("Be welcome\n")
    home.run("vaddaliasdomain", "alias.test", "a.test")
    home.run("vadduser", "-n", "al@alias.test")
    (to, text), = take_mail(home).items()
    head, body = text.split("\n\n")
    assert to == "F Tal@a.test" and body == "Be welcome\n"
    for line in ("To: al@a.test", "From: <postmaster@a.test>",
                 "Subject: Welcome", "Auto-Submitted: auto-generated"):
        assert line in head.splitlines(), head
    home.run("vadddomain", "-n", "b.test")
    (home.path / "domains/b.test/.welcome.msg").write_text(
        "From: Us <us@b.test>\nSubject: Hello\n\nOf b\n")
    home.run("vadduser", "-n", "--file", "/dev/stdin",
             stdin="y@b.test\nbo@a.test\nx@b.test\n")
    taken = take_mail(home)
    assert "Be welcome" in taken["F Tbo@a.test"]
    of_b = taken["F Ty@b.test Tx@b.test"]
    assert "\nTo: undisclosed-recipients:;\n" in of_b
    assert of_b.endswith("\nFrom: Us <us@b.test>\nSubject: Hello\n\nOf b\n")
    # Nobody is told of a mailbox that takes no mail.
    home.run("vadduser", "-i", "-n", "later@a.test")
    assert take_mail(home) == {}
    (home.path / "domains/.activated.msg").write_text("Now\n")
    home.run("vmoduser", "-n", "later@a.test")
    home.run("vmoduser", "-c", "x", "later@a.test")
    (to, text), = take_mail(home).items()
    assert to == "F Tlater@a.test" and text.endswith("\n\nNow\n")
    # A queue that takes none is no reason not to have added the user.
    (home.path / "take").write_text("#!/bin/sh\nexit 81\n")
    done = home.call("vadduser", "-n", "last@a.test")
    assert done.returncode == 0 and "'.welcome.msg' was not sent" in done.stderr
    assert "last" in home.users()


def test_old_mail(home):
    home.run("vadduser", "-n", "al@a.test")
    trash = home.folder / "al/Maildir/.Trash"
    for part in ("new", "cur", "tmp"):
        (trash / part).mkdir(parents=True)
    for path in (trash / "cur/old", trash / "cur/young",
                 home.folder / "al/Maildir/new/unread",
                 home.folder / "al/Maildir/cur/read"):
        path.write_text("mail")
        if path.name != "young":
            os.utime(path, (1000, 1000))
    home.run("vdeloldusers", "-d", "a.test", "-u", "-1", "-t", "2", code=100)
    home.run("vdeloldusers", "-d", "a.test", "-u", "-1", "-t", "2", "--yes")
    assert os.listdir(trash / "cur") == ["young"]
    assert (home.folder / "al/Maildir/new/unread").exists()
    home.run("vdeloldusers", "-u", "2", "--yes")
    assert not (home.folder / "al/Maildir/new/unread").exists()
    assert (home.folder / "al/Maildir/cur/read").exists()
    assert "al" in home.users()


def test_bulletins(home):
    for name in ("al", "bob", "carl"):
        home.run("vadduser", "-n", f"{name}@a.test")
    home.run("vadduser", "-n", "off@a.test")
    home.run("vmoduser", "-n", "off@a.test")
    (home.path / "text").write_text("Subject: hi\n\nAll\n")
    (home.path / "but").write_text("bob@a.test\n# none\n")
    send = ("-f", home.path / "text", "-e", home.path / "but", "-h")
    assert set(home.run("vbulletin", *send, "-V", "-n", "a.test").split()) == {
        "al@a.test", "carl@a.test", "postmaster@a.test"}
    (home.path / "only").write_text("carl%a.test\nbob@a.test\nx@b.test\n")
    assert home.run("vbulletin", *send, "-S", home.path / "only", "-vn") == (
        "carl@a.test\n")
    home.run("vpopbull", *send, "a.test")
    found = list(home.folder.glob("*/Maildir/new/*"))
    assert len(found) == 3
    assert len({path.stat().st_ino for path in found}) == 1
    assert found[0].stat().st_nlink == 3
    assert stat.S_IMODE(found[0].stat().st_mode) == 0o600
    # Who has read it gets no second one.
    new = next(path for path in found if "/al/" in str(path))
    new.rename(new.parent.parent / f"cur/{new.name}:2,S")
    home.run("vbulletin", *send)
    assert len(list(home.folder.glob("*/Maildir/new/*"))) == 2
    home.run("vbulletin", "-f", home.path / "text", "-c")
    assert (home.folder / "bob/Maildir/new" / new.name).stat().st_nlink == 1
    home.run("vbulletin", "-f", home.path / "none", code=100)


def test_exports(home):
    home.run("vadduser", "-n", "al@a.test")
    home.run("valias", "-i", "&x@b.test", "info@a.test")
    home.run("vaddaliasdomain", "alias.test", "a.test")
    home.run("vadddomain", "-n", "all.test")
    (home.path / "domains/all.test/.qmail-default").write_text(
        "| vdelivermail '' postmaster@all.test\n")
    assert set(home.run("vexport", "a.test").split()) == {
        f"{name}@{domain}" for name in ("al", "postmaster", "info")
        for domain in ("a.test", "alias.test")}
    assert "info@a.test &x@b.test" in home.run("vexport", "--aliases")
    assert "al:*:0:0:al:" in home.run("vexport", "--vpasswd", "a.test")
    cdb = home.path / "control/validrcptto.cdb"
    home.run("vexport", "--validrcptto", cdb)
    for key, is_there in ((b"al@alias.test", True), (b"info@a.test", True),
                          (b"@all.test", True), (b"@a.test", False),
                          (b"no@a.test", False)):
        assert (cdb_get(cdb, key) is not None) == is_there, key


def test_the_hook_is_told(home):
    hook = home.path / "hook"
    hook.write_text(f"#!/bin/sh\n{{ echo \"$COMMAND\"; "
                    f"printf '<%s>\\n' \"$@\"; cat; }} >>{home.path}/told\n")
    hook.chmod(0o755)
    (home.path / "control/posthandle").write_text(f"{hook}\n")
    odd = "$(touch x);al"
    home.run("vadduser", "-n", "al@a.test")
    home.run("vrenameuser", "al@a.test", "bob@a.test")
    home.run("vadduser", "-n", "-i", stdin="c@a.test\nd@a.test\n")
    home.run("vadduser", "-n", f"{odd}@a.test", code=100)
    home.run("valias", "-i", "&x@b.test", "info@a.test")
    home.run("vdeluser", "-f", "bob@a.test")
    assert home.lines("told") == [
        "vadduser", "<al@a.test>", "vrenameuser", "<al@a.test>",
        "<bob@a.test>", "vadduser", "<>", "c@a.test", "d@a.test", "valias",
        "<info@a.test>", "vdeluser", "<bob@a.test>"]
    said = home.run("vadduser", "-n", "e@a.test", code=111,
                    POST_HANDLE="/bin/false")
    assert "the change is made, but not handled" in said
    assert "e" in home.users()
    home.run("vadddomain", "-n", "b.test", code=111,
             POST_HANDLE="/nonexistent")


def set_password(home, *texts, code=0):
    read, write = os.pipe()
    os.write(write, b"".join(text.encode() + b"\0" for text in texts))
    os.close(write)
    done = subprocess.run(["bash", "-c", f'exec "$0" 3<&{read}',
                           BIN / "vsetpass"], env=home.env, pass_fds=[read],
                          capture_output=True, text=True, timeout=60)
    os.close(read)
    assert done.returncode == code, done


def test_vsetpass(memory_path):
    """Of files; in a database lookupd answers, and test_35 has it."""
    home = Home(memory_path / "h", "cdb")
    home.run("vadduser", "-C", "al@a.test", stdin="first\n")
    before = home.users()["al"]
    set_password(home, "al@a.test", "wrong", "second", code=1)
    set_password(home, "al@a.test", "first", "", code=1)
    assert home.users()["al"] == before
    set_password(home, "al@a.test", "first", "second")
    after = home.users()["al"]
    assert after["passwd"] != before["passwd"] and after["has_secret"]
    set_password(home, "al@a.test", "first", "third", code=1)
    home.run("vmoduser", "-d", "al@a.test")
    set_password(home, "al@a.test", "second", "third", code=1)


# Killed.

def run_killed(home, memory_path, command, check, outside=None):
    """As test_31: the same command again ends what was begun."""
    saved = memory_path / "saved"
    shutil.copytree(home.path, saved, symlinks=True)
    if outside:
        shutil.copytree(outside, memory_path / "outside", symlinks=True)
    if home.postgres:
        home.postgres.sql(f"CREATE DATABASE {home.database}_saved TEMPLATE "
                          f"{home.database}", database="postgres")
    calls = ["mkdir", "rename", "unlink", "rmdir"]
    if home.postgres:
        calls.append("sendto")
    kills = 0
    for call in calls:
        number, was_killed = 0, True
        while was_killed:
            number += 1 if call != "sendto" else 2
            assert number < 300, f"{command} never ends at {call}"
            shutil.rmtree(home.path)
            shutil.copytree(saved, home.path, symlinks=True)
            if outside:
                for path in outside.iterdir():
                    shutil.rmtree(path)
                shutil.copytree(memory_path / "outside", outside,
                                symlinks=True, dirs_exist_ok=True)
            if home.postgres:
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
                 BIN / command[0], *map(str, command[1:])], env=home.env,
                capture_output=True, timeout=60)
            was_killed = done.returncode in (-signal.SIGKILL,
                                             128 + signal.SIGKILL)
            kills += was_killed
            assert was_killed or done.returncode == 0, done
            if was_killed:
                again = home.call(*command)
                # 100: it was all done, only not said any more.
                assert again.returncode in (0, 100), (call, number, again)
            check(call, number)
    assert kills >= 3, "the command was hardly ever killed"


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None or "address" in str(BIN),
    reason="no strace, or a sanitized build")


@needs_strace
def test_vrenameuser_killed(home, memory_path):
    home.run("vadduser", "-n", "al@a.test")
    home.add_mail("al")

    def check(*where):
        users = home.users()
        assert set(users) == {"postmaster", "alan"}, where
        assert (home.folder / "alan/Maildir/new/1.a").exists(), where
        assert users["alan"]["dir"] == f"{home.folder}/alan", where
        assert not (home.folder / "al").exists(), where

    run_killed(home, memory_path, ("vrenameuser", "al@a.test", "alan@a.test"),
               check)


@needs_strace
def test_vrenamedomain_killed(home, memory_path):
    home.run("vadduser", "-n", "al@a.test")
    home.add_mail("al")
    home.run("vaddaliasdomain", "alias.test", "a.test")

    def check(*where):
        users = home.users("b.test")
        assert set(users) == {"postmaster", "al"}, where
        assert Path(users["al"]["dir"], "Maildir/new/1.a").exists(), where
        assert set(home.users("alias.test")) == set(users), where
        assert set(home.lines("control/rcpthosts")) == {
            "b.test", "alias.test"}, where
        assert os.listdir(home.path / "domains") == ["b.test"], where
        home.run("vuserinfo", "-n", "al@a.test", code=100)

    run_killed(home, memory_path, ("vrenamedomain", "a.test", "b.test"), check)


@needs_strace
def test_vmoveuserdir_killed(home, memory_path, other_filesystem):
    home.run("vadduser", "-n", "al@a.test")
    home.add_mail("al")
    (home.folder / "al/Maildir/cur/2.a:2,S").write_text("read")
    (home.path / "control/homeroots").write_text(f"{other_filesystem}\n")
    to = other_filesystem / "al"

    def check(*where):
        assert home.users()["al"]["dir"] == str(to), where
        assert (to / "Maildir/new/1.a").read_text() == "mail", where
        assert (to / "Maildir/cur/2.a:2,S").read_text() == "read", where
        assert os.listdir(other_filesystem) == ["al"], where
        assert not (home.folder / "al").exists(), where
        assert not (home.folder / ".moved.al").exists(), where

    run_killed(home, memory_path, ("vmoveuserdir", "al@a.test", str(to)),
               check, other_filesystem)


# With a node that runs.

@pytest.mark.parametrize("store", STORES)
def test_mail_goes_where_the_commands_say(request, make_node, store,
                                          other_filesystem):
    if store == "pgsql":
        request.getfixturevalue("postgres")  # is there one?
    node = make_node("--store", store, "--init-only")
    user = node.maildir("alice").owner()
    shutil.chown(other_filesystem, user)
    (node.control / "homeroots").write_text(f"{other_filesystem}\n")
    if store == "pgsql":
        node.svctool("init")  # makes the service lookup
    node.up()
    domain = "example.test"
    node.run("valias", "-i", f"&bob@{domain}", f"sales@{domain}")
    node.run("vmoveuserdir", f"alice@{domain}", other_filesystem / "alice")
    node.run("vrenameuser", f"alice@{domain}", f"alan@{domain}")
    moved = other_filesystem / "alan/Maildir"
    assert moved.is_dir()
    # In a database RCPT is 451 until lookupd has found it.
    wait_until(lambda: store != "pgsql" or node.run(
        "lookup", "user", f"alan@{domain}", code=None).returncode == 0,
        node.logs)
    node.send("alan")
    node.send("sales")
    node.wait_messages("bob", 1)
    wait_until(lambda: len(os.listdir(moved / "new")) == 1, node.logs)
    node.run("vrenamedomain", domain, "other.test")

    def is_taken():
        with node.smtp() as client:
            client.helo()
            client.docmd("MAIL FROM:<a@example.net>")
            return (client.docmd(f"RCPT TO:<bob@{domain}>")[0] == 553 and
                    client.docmd("RCPT TO:<bob@other.test>")[0] == 250 and
                    client.data("\r\nmoved\r\n")[0] == 250)

    wait_until(is_taken, node.logs)
    new = node.home / "domains/other.test/bob/Maildir/new"
    wait_until(lambda: len(os.listdir(new)) == 2, node.logs)
