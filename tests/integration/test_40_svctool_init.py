# SPDX-License-Identifier: ISC
"""svctool init: what it makes, what it leaves alone, what it refuses."""
import os
import stat
import subprocess

import pytest

from node import BIN

ONE_USER = ["--user", "root"] if os.getuid() == 0 else []


def svctool(*words, code=0, environment=None):
    done = subprocess.run([BIN / "svctool", *map(str, words)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60,
                          env={**os.environ, **(environment or {})})
    assert done.returncode == code, done.stdout + done.stderr
    return done


def init(home, *words, **more):
    return svctool("init", "--home", home, "--me", "mail.example.test",
                   "--port", "127.0.0.1:2525", *ONE_USER, *words, **more)


def tree(folder):
    """Every file with its content and modification time."""
    return {path: (path.lstat().st_mtime_ns,
                   path.read_bytes() if path.is_file() else b"")
            for path in folder.rglob("*")}


@pytest.mark.parametrize("words", [
    [],
    ["frobnicate"],
    ["init", "--frobnicate"],
    ["init", "word"],
    ["init", "--queues", "0"],
    ["init", "--queues", "65"],
    ["init", "--queues", "two"],
    ["start", "--json"],
    ["stop", "now"],
    ["status", "--home"],
    ["check", "--home=/x", "y"],
    ["queue"],
    ["queue", "add"],
    ["queue", "frobnicate", "1"],
    ["queue", "add", "a/b"],
    ["queue", "add", ".hidden"],
    ["queue", "add", "1", "2"],
])
def test_wrong_words_are_usage(words):
    done = svctool(*words, code=100)
    assert done.stdout == ""
    assert "usage: svctool" in done.stderr


@pytest.mark.parametrize("command", [
    ["start"], ["stop"], ["status"], ["check"], ["queue", "add", "1"],
    ["systemd"], ["showctl"]])
def test_no_node_is_said(tmp_path, command):
    done = svctool(*command, "--home", tmp_path / "none", code=1)
    assert "no node at" in done.stderr
    assert "svctool init" in done.stderr


def test_a_second_run_changes_nothing(tmp_path):
    home = tmp_path / "node"
    first = init(home, "--domain", "example.test,example.org")
    assert "start it with" in first.stdout
    before = tree(home)
    second = init(home, "--domain", "example.test,example.org",
                  "--relay", "127.")
    assert "nothing to do" in second.stdout
    assert tree(home) == before


def test_what_is_missing_comes_back(tmp_path):
    home = tmp_path / "node"
    init(home)
    (home / "control/concurrencylocal").unlink()
    (home / "control/rcpthosts").write_text("kept.example\n")
    (home / "service/queue1/log/run").unlink()
    done = init(home)
    assert (home / "control/concurrencylocal").read_text() == "100\n"
    assert (home / "control/rcpthosts").read_text() == "kept.example\n"
    assert os.access(home / "service/queue1/log/run", os.X_OK)
    assert "concurrencylocal" in done.stdout
    assert "rcpthosts" not in done.stdout


def test_the_files_of_a_node(tmp_path):
    home = tmp_path / "node"
    init(home, "--queues", "3", "--domain", "example.test",
         "--smtps", "127.0.0.1:4650", "--relay", "192.0.2.,198.51.100.7")
    control = home / "control"
    assert (control / "me").read_text() == "mail.example.test\n"
    assert (control / "queue_count").read_text() == "3\n"
    assert (control / "envnoathost").read_text() == "example.test\n"
    assert (control / "virtualdomains").read_text() == (
        "example.test:example.test\n")
    rules = (control / "tcp.smtp").read_text()
    assert '192.0.2.:allow,RELAYCLIENT=""\n' in rules
    assert '198.51.100.7:allow,RELAYCLIENT=""\n' in rules
    assert (control / "tcp.smtp.cdb").exists()
    assert (home / "users/cdb").exists()
    assert sorted(path.name for path in (home / "service").iterdir()) == [
        "qmail-smtpd.2525", "qmail-smtpd.4650", "queue1", "queue2", "queue3"]
    assert sorted(path.name for path in (home / "queue").iterdir()) == [
        "queue1", "queue2", "queue3"]
    key = home / "tls/servercert.pem"
    assert stat.S_IMODE(key.stat().st_mode) & 0o007 == 0
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", key], check=True,
        stdout=subprocess.PIPE, text=True).stdout
    assert "DNS:mail.example.test" in text


def test_destdir_keeps_the_real_paths(tmp_path):
    svctool("init", "--home", "/srv/mail", "--destdir", tmp_path, "--me",
            "mail.example.test", *ONE_USER)
    run = (tmp_path / "srv/mail/service/queue1/run").read_text()
    assert "/srv/mail/queue/queue1" in run
    assert str(tmp_path) not in run
    assert (tmp_path / "srv/mail/queue/queue1/mess/0").is_dir()


def test_destdir_takes_no_domain(tmp_path):
    done = svctool("init", "--home", "/srv/mail", "--destdir", tmp_path,
                   "--me", "mail.example.test", "--domain", "example.test",
                   *ONE_USER, code=1)
    assert "--domain does not go with --destdir" in done.stderr


def test_other_folders_are_remembered(tmp_path):
    home, elsewhere = tmp_path / "node", tmp_path / "etc"
    init(home, environment={"CONTROLDIR": str(elsewhere)})
    assert (elsewhere / "me").exists()
    assert (elsewhere / "global_vars/CONTROLDIR").read_text() == (
        f"{elsewhere}\n")
    assert str(elsewhere) in (home / "service/queue1/run").read_text()


@pytest.mark.parametrize("port", ["0", "65536", "smtp", "localhost:25"])
def test_bad_ports_are_refused(tmp_path, port):
    done = svctool("init", "--home", tmp_path / "node", "--me", "m.example",
                   "--port", port, *ONE_USER, code=1)
    assert "is not" in done.stderr


def users_there():
    names = subprocess.run(["getent", "passwd"], stdout=subprocess.PIPE,
                           text=True, check=True).stdout
    return all(f"\n{name}:" in "\n" + names
               for name in ("qmaild", "qmailq", "vmail", "qmaill"))


def test_root_hears_of_missing_users(tmp_path):
    """Root without its users gets the commands; anybody else needs none."""
    home = tmp_path / "node"
    if os.getuid() == 0 and not users_there():
        done = svctool("init", "--home", home, "--me", "m.example", code=1)
        assert "useradd --system" in done.stdout
        assert "--create-users" in done.stderr
        assert not home.exists()
    else:
        svctool("init", "--home", home, "--me", "m.example")
        assert (home / "control/me").exists()
