# SPDX-License-Identifier: ISC
"""svctool init: what it makes, what it leaves alone, what it refuses."""
import os
import shutil
import signal
import stat
import subprocess

import pytest

from node import BIN, SLOW

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
    ["init", "--queues", "129"],
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


@pytest.mark.parametrize("words, wanted", [
    ([], "queue needs a verb and a queue: add, remove, hold, release or fix"),
    (["frob"], "queue has no verb 'frob': it has add, remove, hold, release"),
    (["frob", "1"], "queue has no verb 'frob'"),
    (["hold"], "queue hold needs a queue: a number"),
    (["fix", "1", "2"], "queue fix takes one queue, and '2' is one too many"),
])
def test_the_verbs_of_queue_are_said(words, wanted):
    done = svctool("queue", *words, code=100)
    assert wanted in done.stderr.splitlines()[0]


def test_help_is_a_command_too():
    assert svctool("help").stdout == svctool("--help").stdout
    assert svctool("help", "queue").stdout == svctool("queue",
                                                      "--help").stdout
    assert "there is no command 'me'" in svctool("help", "me",
                                                 code=100).stderr


@pytest.mark.parametrize("command", [
    ["start"], ["stop"], ["status"], ["check"], ["queue", "add", "1"],
    ["systemd"], ["showctl"]])
def test_no_node_is_said(tmp_path, command):
    done = svctool(*command, "--home", tmp_path / "none", code=1)
    assert "no node at" in done.stderr
    assert "svctool init" in done.stderr


def test_showctl_ends_with_its_reader(tmp_path):
    """As in 'svctool showctl | head': without a word."""
    init(tmp_path / "node", "--domain", "example.test")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [BIN / "svctool", "showctl", "--home", tmp_path / "node"],
        stdout=writer, stderr=subprocess.PIPE, timeout=60 * SLOW)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_a_second_run_changes_nothing(tmp_path):
    home = tmp_path / "node"
    first = init(home, "--domain", "example.test,example.org")
    assert "start it with" in first.stdout
    before = tree(home)
    second = init(home, "--domain", "example.test,example.org",
                  "--relay", "127.")
    assert "nothing to do" in second.stdout
    assert tree(home) == before


def test_options_without_effect_are_named(tmp_path):
    """An existing node dropped them without a word."""
    home = tmp_path / "node"
    init(home, "--queues", "3", "--relay", "127.")
    before = tree(home)
    done = svctool("init", "--home", home, "--me", "new.test", "--queues", "2",
                   "--smtps", "2525", "--relay", "127.,10.")
    assert [line.split(": ")[0] for line in done.stdout.splitlines()
            if line.startswith("unused ")] == [
        "unused   --me new.test", "unused   --queues 2",
        "unused   --smtps 2525", "unused   --relay 10."]
    assert "nothing to do" in done.stdout
    assert tree(home) == before
    done = svctool("init", "--home", home, "--address", "127.0.0.1")
    assert "unused   --address 127.0.0.1: " in done.stdout


def test_a_home_that_is_too_long_is_refused(tmp_path):
    """Its queues could not make their sockets, which only start told."""
    home = tmp_path / ("x" * 90)
    done = init(home, code=1)
    assert f"the name of '{home}' has {len(str(home))} bytes" in done.stderr
    assert "it may have 82 at most" in done.stderr
    assert not home.exists()


def test_what_is_missing_comes_back(tmp_path):
    home = tmp_path / "node"
    init(home)
    (home / "control/locals").unlink()
    (home / "control/rcpthosts").write_text("kept.example\n")
    (home / "service/queue1/log/run").unlink()
    done = init(home)
    assert (home / "control/locals").read_text() == "mail.example.test\n"
    assert (home / "control/rcpthosts").read_text() == "kept.example\n"
    assert os.access(home / "service/queue1/log/run", os.X_OK)
    assert "control/locals" in done.stdout
    assert "rcpthosts" not in done.stdout


def test_only_what_is_missing_is_made(tmp_path):
    """No port, queue or name that only another node would have."""
    home = tmp_path / "node"
    init(home, "--domain", "example.test", "--queues", "1")
    wanted = look(home)
    (home / "tls/servercert.pem").unlink()
    (home / "service/qmail-smtpd.2525/run").unlink()
    (home / "service/queue1/variables").rmdir()
    done = svctool("init", "--home", home)
    assert look(home) == wanted
    assert "for mail.example.test" in done.stdout
    name = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-in",
         home / "tls/servercert.pem"], check=True, stdout=subprocess.PIPE,
        text=True).stdout
    assert "mail.example.test" in name
    assert "nothing to do" in svctool("init", "--home", home).stdout


def test_no_queue_is_made_that_is_not_counted(tmp_path):
    home = tmp_path / "node"
    init(home, "--queues", "3")
    before = tree(home)
    done = init(home, "--queues", "5", code=1)
    assert "--queues 5: the node has 3" in done.stderr
    assert "svctool queue add" in done.stderr
    assert tree(home) == before


@pytest.mark.parametrize("name, remedy", [
    ("me", "--me"),
    ("rcpthosts", "cat locals; sed 's/:.*//' virtualdomains"),
])
def test_what_nobody_else_knows_is_asked_for(tmp_path, name, remedy):
    home = tmp_path / "node"
    init(home, "--domain", "example.test")
    (home / "control" / name).unlink()
    before = tree(home)
    done = svctool("init", "--home", home, code=1)
    assert "has lost" in done.stderr
    assert f"{home}/control/{name}'" in done.stderr
    assert remedy in done.stderr
    assert tree(home) == before


def test_the_files_of_a_node(tmp_path):
    home = tmp_path / "node"
    init(home, "--queues", "3", "--domain", "example.test",
         "--smtps", "127.0.0.1:4650", "--relay", "192.0.2.,198.51.100.7")
    control = home / "control"
    assert (control / "me").read_text() == "mail.example.test\n"
    assert (control / "queue_count").read_text() == "3\n"
    assert (control / "envnoathost").read_text() == "example.test\n"
    assert (control / "virtualdomains").read_text() == (
        "example.test:example.test\n"
        "mail.example.test:mail.example.test\n")
    rules = (control / "tcp.smtp").read_text()
    assert '192.0.2.:allow,RELAYCLIENT=""\n' in rules
    assert '198.51.100.7:allow,RELAYCLIENT=""\n' in rules
    assert (control / "tcp.smtp.cdb").exists()
    assert (home / "users/cdb").exists()
    assert sorted(path.name for path in (home / "service").iterdir()) == [
        "qmail-smtpd.2525", "qmail-smtpd.4650", "queue1", "queue2", "queue3",
        "remote", "resolver"]
    assert (home / "run/tcpto").read_bytes() == b""
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
                   *ONE_USER, code=100)
    assert "--domain does not go with --destdir" in done.stderr


def test_other_folders_are_remembered(tmp_path):
    home, elsewhere = tmp_path / "node", tmp_path / "etc"
    init(home, environment={"CONTROLDIR": str(elsewhere)})
    assert (elsewhere / "me").exists()
    assert (elsewhere / "global_vars/CONTROLDIR").read_text() == (
        f"{elsewhere}\n")
    assert str(elsewhere) in (home / "service/queue1/run").read_text()


@pytest.mark.parametrize("words, wanted", [
    (["--port", "0"], "--port: '0' is not PORT"),
    (["--port", "65536"], "--port: '65536' is not PORT"),
    (["--port", "smtp"], "--port: 'smtp' is not PORT"),
    (["--smtps", "localhost:25"], "--smtps: 'localhost' is not an IP"),
    (["--lmtp", "24,24"], "--lmtp: port 24 is asked for twice"),
    (["--port", "25", "--smtps", "127.0.0.1:25"], "--smtps: port 25 is asked"),
    (["--address", "here"], "--address: 'here' is not an IP address"),
    (["--me", ""], "--me"),
    (["--me", "two words"], "--me"),
    (["--me", "mail..example.test"], "'mail..example.test' is no domain name"),
    (["--me", "user@example.test"], "--me"),
    (["--domain", "example.test,bad_one"], "--domain: 'bad_one' is no"),
    (["--domain", "../etc"], "--domain: '../etc' is no domain name"),
    (["--relay", "10.0.0.0/8"], "--relay '10.0.0.0/8' is not an IPv4"),
    (["--relay", "10."] + ["--relay", "10"], "--relay '10' is not an IPv4"),
    (["--relay", "2001:db8::"], "--relay '2001:db8::' is not an IPv4"),
    (["--relay", "192.0.2.256"], "--relay '192.0.2.256' is not an IPv4"),
    (["--queues", "129"], "--queues is 1 to 128"),
])
def test_bad_values_are_refused_before_anything_is_made(tmp_path, words,
                                                        wanted):
    done = svctool("init", "--home", tmp_path / "node", "--me", "m.example",
                   *ONE_USER, *words, code=100)
    assert wanted in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("network", ["127.", "192.0.2.1", "192.0.2.16-31",
                                     "10.1-7."])
def test_good_relays_are_taken(tmp_path, network):
    init(tmp_path / "node", "--relay", network)
    rules = (tmp_path / "node/control/tcp.smtp").read_text()
    assert f'{network}:allow,RELAYCLIENT=""\n' in rules


def test_an_unknown_user_is_refused_before_anything_is_made(tmp_path):
    done = svctool("init", "--home", tmp_path / "node", "--me", "m.example",
                   "--user", "no-such-user", code=1)
    assert "no system user 'no-such-user'" in done.stderr
    assert list(tmp_path.iterdir()) == []


as_root = pytest.mark.skipif(os.getuid() != 0, reason="not root")


@as_root
@pytest.mark.parametrize("how", ["option", "variable"])
def test_another_user_is_not_mixed_into_a_node(tmp_path, how):
    """Owners were chosen when the node was made."""
    home = tmp_path / "node"
    init(home)
    before = tree(home)
    words = {"option": ["--user", "nobody"], "variable": []}[how]
    done = svctool("init", "--home", home, "--port", "2526", *words, code=1,
                   environment={"MQMAIL_USER": "nobody"})
    assert "runs as 'root'" in done.stderr
    assert "'nobody'" in done.stderr
    assert tree(home) == before
    # Without one it goes on as what it is.
    svctool("init", "--home", home, "--port", "127.0.0.1:2525")
    assert tree(home) == before


@as_root
def test_root_does_not_mix_into_an_ordinary_users_node(tmp_path):
    home = tmp_path / "node"
    init(home)
    os.chown(home / "control/global_vars", 65534, 65534)
    before = tree(home)
    done = init(home, "--smtps", "2526", code=1)
    assert "is that of user 65534" in done.stderr
    assert tree(home) == before


def look(home):
    """What a node consists of: names, modes, owners and settings."""
    seen = {}
    for path in home.rglob("*"):
        name = str(path.relative_to(home))
        text = ""
        if path.is_file() and name.split("/")[0] in (
                "control", "service", "users") and path.suffix != ".cdb" and (
                    path.name != "cdb"):
            text = path.read_text().replace(str(home), "HOME")
        if not name.endswith("/trigger"):
            seen[name] = (stat.S_IFMT(path.lstat().st_mode),
                          stat.S_IMODE(path.lstat().st_mode),
                          path.lstat().st_uid, text)
    return seen


# What a reader of the disk can see changes at these; every nth of them.
KILLS = [("rename", 2), ("mkdir", 8), ("chmod", 6), ("chown", 1)]


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
@pytest.mark.skipif("address" in str(BIN), reason="sanitized build")
@pytest.mark.parametrize("call, step", KILLS)
def test_init_ends_what_a_killed_init_began(memory_path, call, step):
    words = ["--domain", "example.test,example.org", "--relay", "127."]
    init(memory_path / "whole", *words)
    wanted = look(memory_path / "whole")
    kills = 0
    for number in range(1, 1000, step):
        home = memory_path / f"n{number}"
        done = subprocess.run(
            ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
             f"inject={call}:signal=KILL:when={number}", BIN / "svctool",
             "init", "--home", home, "--me", "mail.example.test", "--port",
             "127.0.0.1:2525", *ONE_USER, *words],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
        if done.returncode == 0:
            break
        kills += 1
        init(home, *words)
        assert look(home) == wanted, f"killed at {call} {number}"
        assert "nothing to do" in init(home, *words).stdout
        shutil.rmtree(home)
    assert kills > 3 or (call == "chown" and os.getuid() != 0)


def test_init_ends_a_domain_that_was_half_made(memory_path):
    """Its folder is there, and what makes it a domain is not."""
    home = memory_path / "node"
    init(home)
    (home / "domains/example.test").mkdir(mode=0o751)
    done = init(home, "--domain", "example.test")
    assert "made     domain example.test" in done.stdout
    assert "example.test" in (
        home / "control/rcpthosts").read_text().splitlines()
    (home / "control/rcpthosts").write_text("")
    passwd = home / "domains/example.test/vpasswd"
    passwd.write_text(passwd.read_text().replace(
        "postmaster:", "postmaster:$6$mine", 1))
    done = init(home, "--domain", "example.test")
    assert "example.test" in (home / "control/rcpthosts").read_text()
    assert "$6$mine" in passwd.read_text()  # the password that it had


def test_a_local_name_of_the_node_stays_local(memory_path):
    """Made without a domain, its own name is local; a domain leaves it so."""
    home = memory_path / "node"
    init(home)
    assert (home / "control/locals").read_text() == "mail.example.test\n"
    init(home, "--domain", "example.test")
    assert (home / "control/locals").read_text() == "mail.example.test\n"
    assert (home / "control/virtualdomains").read_text() == (
        "example.test:example.test\n")


def test_the_name_of_the_node_may_be_the_domain(memory_path):
    home = memory_path / "node"
    svctool("init", "--home", home, "--me", "example.test", "--domain",
            "example.org,example.test", "--port", "127.0.0.1:2525", *ONE_USER)
    assert (home / "control/virtualdomains").read_text() == (
        "example.org:example.org\nexample.test:example.test\n")


def users_there():
    names = subprocess.run(["getent", "passwd"], stdout=subprocess.PIPE,
                           text=True, check=True).stdout
    return all(f"\n{name}:" in "\n" + names
               for name in ("qmaild", "qmailq", "vmail", "qmaill", "qmailr",
                            "mqresolve", "mqlookup", "mqcluster",
                            "mqadmin", "mqproxy"))


def test_root_hears_of_missing_users(memory_path):
    """Root without its users gets the commands; anybody else needs none."""
    home = memory_path / "node"
    if os.getuid() == 0 and not users_there():
        done = svctool("init", "--home", home, "--me", "m.example", code=1)
        assert "useradd --system" in done.stdout
        assert "--create-users" in done.stderr
        assert not home.exists()
    else:
        svctool("init", "--home", home, "--me", "m.example")
        assert (home / "control/me").exists()
