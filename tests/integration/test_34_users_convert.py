# SPDX-License-Identifier: ISC
"""vconvert: users from one store to the other, and from other systems."""
import os
import shutil
import signal
import subprocess

import pytest

from node import BIN
from test_33_users_pgsql import Home

pytestmark = pytest.mark.usefixtures("postgres")


@pytest.fixture
def home(tmp_path, postgres):
    """Whose users are in files, with a database beside it."""
    made = Home(tmp_path / "h", postgres)
    made.store = made.path / "control/userstore"
    made.store.write_text("cdb\n")
    made.run("vadddomain", "-n", "a.test")
    made.run("vadddomain", "-n", "b.test")
    return made


def add_users(home):
    home.run("vadduser", "-C", "-q", "5M,9C", "-c", "Al A", "al@a.test",
             stdin="pw\n")
    home.run("vadduser", "-e", "bob@a.test", "$6$x$y")
    home.run("vmoduser", "-n", "-ps", "bob@a.test")
    home.run("vadduser", "-n", "carol@b.test")
    home.run("vaddaliasdomain", "c.test", "a.test")


def test_there_and_back(home):
    add_users(home)
    before = {name: home.users(name) for name in ("a.test", "b.test")}
    text = (home.path / "domains/a.test/vpasswd").read_text()
    assert "{SCRAM-SHA-256}" in text and text.splitlines()[1].endswith(":pw")
    assert home.run("vconvert", "--to", "pgsql").splitlines() == [
        "a.test: 3 users", "b.test: 2 users"]
    home.store.write_text("pgsql\n")
    assert {name: home.users(name) for name in before} == before
    assert home.sql("SELECT alias, domain FROM aliasdomain") == [
        ["c.test", "a.test"]]
    assert "as it should be" in home.db("check")
    # And back, without what was there.
    for name in before:
        for file in (home.path / "domains" / name).glob("vpasswd*"):
            file.unlink()
    home.run("vmoduser", "-c", "Al B", "al@a.test")
    home.run("vconvert", "--to", "cdb", "a.test", "b.test")
    home.store.write_text("cdb\n")
    before["a.test"]["al"]["gecos"] = "Al B"
    assert {name: home.users(name) for name in before} == before
    assert sorted((home.path / "domains/a.test/vpasswd").read_text()
                  .splitlines()) == sorted(
                      text.replace("Al A", "Al B").splitlines())


def test_what_belongs_to_users(home):
    """Aliases, limits and filters, there and back."""
    add_users(home)
    home.run("valias", "-i", "&al@a.test", "sales.all@a.test")
    home.run("valias", "-i", "|exit 0", "sales.all@a.test")
    home.run("vlimit", "-P", "7", "a.test")
    for word in ("buy", "sell"):
        home.run("vcfilter", "-i", "-t", "spam", "-h", "2", "-c", "1", "-k",
                 word, "-f", "Junk", "-b", "0", "al@a.test")

    def told():
        return [home.run("valias", "a.test"),
                home.run("vlimit", "-s", "a.test"),
                home.run("vcfilter", "-r", "al@a.test")]

    before = told()
    assert "sales.all" in before[0] and "sell" in before[2]
    home.run("vconvert", "--to", "pgsql")
    home.store.write_text("pgsql\n")
    assert told() == before
    # Back, without what was there, and with what was changed.
    folder = home.path / "domains/a.test"
    for file in (folder / ".qmail-sales:all", folder / ".domain_limits",
                 folder / "al/.vfilter"):
        file.unlink()
    home.run("vcfilter", "-d", "1", "al@a.test")
    before[2] = before[2].splitlines(keepends=True)[1]
    home.run("vconvert", "--to", "cdb")
    home.store.write_text("cdb\n")
    assert told() == before
    # Filters that were removed are removed there.
    home.run("vcfilter", "-d", "2", "al@a.test")
    home.run("vconvert", "--to", "pgsql", "a.test")
    assert home.sql("SELECT count(*) FROM mq.filters") == [["0"]]


def test_again_is_what_changed(home):
    add_users(home)
    home.run("vconvert", "--to", "pgsql")
    home.sql("DELETE FROM mq.changes")
    home.run("vconvert", "--to", "pgsql")
    assert home.sql("SELECT * FROM mq.changes") == []
    home.run("vmoduser", "-q", "8M", "al@a.test")
    home.run("vdeluser", "-f", "bob@a.test")
    done = subprocess.run([BIN / "vconvert", "--to", "pgsql", "a.test"],
                          env=home.env, capture_output=True, text=True)
    assert done.returncode == 0
    assert "'a.test' has 1 users there" in done.stderr
    assert home.sql("SELECT DISTINCT name FROM mq.changes") == [["al"]]
    assert home.sql("SELECT pw_shell FROM indimail WHERE pw_name = 'al'") == [
        ["8388608S"]]


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.skipif("address" in str(BIN), reason="sanitized build")
def test_killed_and_run_again(home):
    folder = home.path / "domains/a.test"
    with open(folder / "vpasswd", "a", encoding="utf8") as text:
        text.writelines(f"u{i}:*:0:0::{folder}/{i // 100}/u{i}:NOQUOTA\n"
                        for i in range(25000))
    home.run("vmkpasswd", "a.test")
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e",
         "inject=sendto:signal=KILL:when=40", BIN / "vconvert", "--to",
         "pgsql"], env=home.env, capture_output=True)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert int(home.sql("SELECT count(*) FROM mq.users")[0][0]) < 25000
    home.run("vconvert", "--to", "pgsql")
    assert home.sql("SELECT count(*) FROM mq.users") == [["25002"]]
    assert "as it should be" in home.db("check")


FILES = {
    "passwd": ("root:x:0:0:root:/root:/bin/bash\n"
               "al:$6$x$y:1000:1000:Al A,,,:/home/al:/bin/sh\n", {
                   "root": ("*", "root", "NOQUOTA", []),
                   "al": ("$6$x$y", "Al A", "NOQUOTA", [])}),
    "vpopmail": ("Al:$1$x$y:1:0:Al A:/old/al:50MB:pw\n"
                 "bob:$1$x$z:0:66:Bob::NOQUOTA\n", {
                     "al": ("$1$x$y", "Al A", "52428800S", []),
                     "bob": ("$1$x$z", "Bob", "NOQUOTA",
                             ["no_pop", "no_dialup"])}),
    "indimail": ("pw_name,pw_domain,pw_passwd,pw_uid,pw_gid,pw_gecos,pw_dir,"
                 "pw_shell,scram\n"
                 'al,a.test,$6$x$y,1,8,"Al ""A"", jr",/old/al,10S,'
                 '"{SCRAM-SHA-256}4096,c2E=,a2V5,c3I="\n', {
                     "al": ("$6$x$y", 'Al "A", jr', "10S", ["no_imap"])}),
    "indimail tsv": ("pw_name\tpw_domain\tpw_passwd\tpw_gecos\tpw_shell\n"
                     "al\ta.test\t$6$x$y\tAl\\\\A\tNOQUOTA\n", {
                         "al": ("$6$x$y", "Al\\A", "NOQUOTA", [])}),
}


@pytest.mark.parametrize("store", ["cdb", "pgsql"])
@pytest.mark.parametrize("name", FILES)
def test_imports(home, name, store):
    home.run("vconvert", "--to", "pgsql")
    home.store.write_text(store + "\n")
    text, wanted = FILES[name]
    (home.path / "file").write_text(text)
    words = ["vconvert", "--from", name.split()[0], "--file",
             home.path / "file", "--domain", "a.test"]
    count = len(wanted)
    assert home.run(*words) == (
        f"{count} users added, 0 were there already\n")
    users = home.users()
    assert {user: (row["passwd"], row["gecos"], row["quota"], row["flags"])
            for user, row in users.items() if user != "postmaster"} == wanted
    for user in wanted:
        assert os.path.isdir(users[user]["dir"] + "/Maildir/new")
    assert users["al"]["has_scram"] == (name == "indimail")
    assert users["al"]["has_secret"] == (name == "vpopmail")
    assert home.run(*words) == (
        f"0 users added, {count} were there already\n")


@pytest.mark.parametrize("name,text,reason", [
    ("passwd", "al:x:1:1\n", "line 1"),
    ("passwd", "\nAl Bert:x:1:1:x:/:/\n", "line 2"),
    ("vpopmail", "al:x:1:0:A:/d:1X\n", "'1X'"),
    ("indimail", "al,a.test,x\n", "export with a header"),
    ("indimail", "pw_name,pw_passwd\nal\n", "line 2"),
    ("indimail", "pw_name,pw_domain,pw_passwd\nal,none.test,x\n", "none.test"),
    ("mbox", "", "no format"),
])
def test_bad_files_are_refused(home, name, text, reason):
    (home.path / "file").write_text(text)
    said = home.run("vconvert", "--from", name, "--file", home.path / "file",
                    "--domain", "a.test", code=100)
    assert reason in said
    assert set(home.users()) == {"postmaster"}


def test_there_is_a_bar_on_a_terminal(home):
    home.run("vadduser", "-i", "-n", stdin="".join(
        f"u{i}@a.test\n" for i in range(10)))
    main, terminal = os.openpty()
    with os.fdopen(main, "rb", buffering=0) as shown:
        done = subprocess.run([BIN / "vconvert", "--to", "pgsql"],
                              env=home.env, stdout=subprocess.DEVNULL,
                              stderr=terminal)
        os.close(terminal)
        assert done.returncode == 0
        assert b"\033[K" in shown.read(1000)
