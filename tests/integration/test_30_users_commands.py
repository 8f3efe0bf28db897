# SPDX-License-Identifier: ISC
"""The user and domain commands, as operators run them, on a node's files."""

import crypt
import json
import os
import pathlib
import signal
import subprocess
import warnings

import pytest

from node import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MQMAIL_BUILD", ROOT / "build/plain"))
warnings.filterwarnings("ignore", category=DeprecationWarning)


class Home:
    """A node's folders, without daemons."""

    def __init__(self, path):
        self.path = path
        for name in ("control", "users", "domains", "run"):
            (path / name).mkdir()
        (path / "control/me").write_text("mail.example.test\n")
        self.env = dict(os.environ, MQMAIL_HOME=str(path), MQMAIL_USER="root")
        for name in ("ALLOWCHARS", "HARD_QUOTA", "PASSWORD_HASH"):
            self.env.pop(name, None)

    def run(self, program, *args, stdin="", code=0, env=(), warns=False):
        done = subprocess.run(
            [BUILD / "bin" / program, *map(str, args)],
            input=stdin, text=True, capture_output=True, timeout=120,
            env=dict(self.env, **dict(env)))
        assert done.returncode == code, (program, args, done)
        assert bool(done.stderr) == (code != 0 or warns), done.stderr
        return done.stdout if code == 0 else done.stderr

    def read(self, name):
        return (self.path / name).read_text()

    def lines(self, name):
        return self.read(name).splitlines()

    def all_users(self):
        return self.run("vuserinfo", "-npugcd", "-D", "example.test")

    def user(self, address):
        return json.loads(self.run("vuserinfo", "--json", address))


@pytest.fixture(params=["cdb", "pgsql"])
def home(request, tmp_path):
    """Of either store; test that look into the files of one say which."""
    made = Home(tmp_path)
    made.store = request.param
    only = request.node.get_closest_marker("store")
    if only is not None and only.args[0] != request.param:
        pytest.skip(f"about {only.args[0]}")
    if request.param == "pgsql":
        request.getfixturevalue("postgres").fresh_database(tmp_path)
    return made


@pytest.fixture
def domain(home):
    home.run("vadddomain", "example.test", "secret")
    return home


def test_vadddomain_makes_everything(home):
    home.run("vadddomain", "Example.Test", stdin="secret\n")
    folder = home.path / "domains/example.test"
    assert home.lines("control/virtualdomains") == [
        "example.test:example.test"]
    assert home.lines("control/rcpthosts") == ["example.test"]
    assign = home.lines("users/assign")
    assert assign[-1] == "."
    assert assign[0].startswith("+example.test-:example.test:")
    assert assign[0].endswith(f":{folder}:-::")
    assert (folder / ".qmail-default").read_text() == (
        "| vdelivermail '' bounce-no-mailbox\n")
    assert folder.stat().st_mode & 0o7777 == 0o751
    user = home.user("postmaster@example.test")
    assert user["is_active"] and user["flags"] == ["postmaster"]
    assert user["dir"] == str(folder / "postmaster")
    assert crypt.crypt("secret", user["passwd"]) == user["passwd"]
    assert "exists already" in home.run(
        "vadddomain", "example.test", "x", code=100)


def test_vadddomain_with_a_catch_all(home):
    home.run("vadddomain", "-n", "-E", "Al@B.test", "a.test")
    assert (home.path / "domains/a.test/.qmail-default").read_text() == (
        "| vdelivermail '' al@b.test\n")
    for address in ("al", "a;b@b.test", "$(id)@b.test"):
        home.run("vadddomain", "-n", "-E", address, "c.test", code=100)
    assert not (home.path / "domains/c.test").exists()
    home.run("vadddomain", "-n", "-E", "al@b.test", "-b", "c.test")
    assert "bounce-no-mailbox" in (
        home.path / "domains/c.test/.qmail-default").read_text()


@pytest.mark.parametrize("name", [
    "", "a b.test", "a_b.test", "-a.test", "../x", "a..test", "a:b", "a/b"])
def test_bad_domain_names(home, name):
    home.run("vadddomain", name, "secret", code=100)
    assert not (home.path / "users/assign").exists()
    assert list((home.path / "domains").iterdir()) == []


def test_vadddomain_takes_a_domain_out_of_locals(home):
    (home.path / "control/locals").write_text("a.test\nb.test\n")
    home.run("vadddomain", "a.test", "x")
    assert home.lines("control/locals") == ["b.test"]


def test_fifty_first_domain_goes_to_morercpthosts(home):
    hosts = [f"d{n}.test" for n in range(50)]
    (home.path / "control/rcpthosts").write_text("\n".join(hosts) + "\n")
    home.run("vadddomain", "-n", "More.test")
    assert home.lines("control/rcpthosts") == hosts
    assert home.lines("control/morercpthosts") == ["more.test"]
    cdb = (home.path / "control/morercpthosts.cdb").read_bytes()
    assert b"more.test" in cdb
    assert "exists already" in home.run(
        "vadddomain", "-n", "more.test", code=100)
    home.run("vdeldomain", "-f", "more.test")
    assert home.read("control/morercpthosts") == ""
    cdb = (home.path / "control/morercpthosts.cdb").read_bytes()
    assert b"more.test" not in cdb


def test_vadddomain_repairs_a_lost_line(domain):
    domain.run("vadduser", "alice@example.test", "pw")
    (domain.path / "control/rcpthosts").unlink()
    (domain.path / "users/cdb").unlink()
    domain.run("vadddomain", "example.test", "new")
    assert domain.lines("control/rcpthosts") == ["example.test"]
    assert domain.user("alice@example.test")["is_active"]
    hashed = domain.user("postmaster@example.test")["passwd"]
    assert crypt.crypt("new", hashed) == hashed


def test_vadddomain_refuses_a_name_in_other_use(home):
    (home.path / "control/virtualdomains").write_text("a.test:fred\n")
    assert "fred" in home.run("vadddomain", "a.test", "x", code=100)
    assert home.lines("control/virtualdomains") == ["a.test:fred"]
    assert not (home.path / "users/assign").exists()


def test_alias_domain(domain):
    # The node's own name is local as long as there is no control/locals.
    domain.run("vaddaliasdomain", "mail.example.test", "example.test")
    assert domain.read("control/locals") == ""
    assert "mail.example.test:mail.example.test" in domain.lines(
        "control/virtualdomains")
    assert "mail.example.test" in domain.lines("control/rcpthosts")
    domain.run("vadduser", "alice@mail.example.test", "x")
    assert domain.user("alice@example.test")["domain"] == "example.test"
    # vpopmail's order of the two names does as well.
    domain.run("vaddaliasdomain", "example.test", "second.test")
    domain.run("vaddaliasdomain", "second.test", "example.test", code=100)
    domain.run("vaddaliasdomain", "x.test", "y.test", code=100)
    said = domain.run("vaddaliasdomain", "x.test", "second.test", code=100)
    assert "'second.test' is itself an alias of 'example.test'" in said
    said = domain.run("vadddomain", "second.test", "x", code=100)
    assert "'second.test' is an alias of 'example.test'" in said
    assert "vdeldomain second.test" in said and "'example.test' as it" in said
    # An alias is removed alone, a domain with its aliases.
    domain.run("vdeldomain", "-f", "second.test")
    assert "alice@example.test" in domain.run(
        "vuserinfo", "-n", "alice@mail.example.test")
    domain.run("vdeldomain", "-f", "example.test", warns=True)  # of control/me
    for name in ("control/virtualdomains", "control/rcpthosts"):
        assert domain.read(name) == ""
    assert domain.lines("users/assign") == ["."]
    assert not (domain.path / "domains/example.test").exists()


def test_a_domain_is_not_made_an_alias(domain):
    """The remedy must not delete its users and mail unasked."""
    domain.run("vadddomain", "new.test", "x")
    said = domain.run("vaddaliasdomain", "new.test", "example.test", code=100)
    assert "users and mail of its own" in said
    assert "would delete its users" in said
    assert "remove that first" not in said


@pytest.mark.parametrize("command", [
    ["vadddomain", "x.test", "x"], ["vdeldomain", "-f", "x.test"],
    ["vadduser", "a@x.test", "x"], ["vuserinfo", "a@x.test"],
    ["qmail-newu"], ["qmail-showctl"], ["qmail-qstat"], ["qmail-queue"]])
def test_no_node_there(tmp_path, command):
    """Who forgot MQMAIL_HOME is told that it is missing."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("QUEUEDIR", "QUEUE_BASE")}
    environment["MQMAIL_HOME"] = str(tmp_path / "none")
    if os.getuid() == 0:  # the host may lack the users of a node
        environment["MQMAIL_USER"] = "root"
    done = subprocess.run(
        [BUILD / "bin" / command[0], *command[1:]], env=environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "MQMAIL_HOME" in done.stderr, done.stderr


def test_vdeldomain(domain):
    domain.run("vadddomain", "other.test", "x")
    domain.run("vadduser", "alice@example.test", "x")
    domain.run("vdeldomain", "-f", "example.test")
    assert sorted(os.listdir(domain.path / "domains")) == ["other.test"]
    assert domain.lines("control/rcpthosts") == ["other.test"]
    assert domain.lines("control/virtualdomains") == ["other.test:other.test"]
    assert len(domain.lines("users/assign")) == 2
    assert "no virtual domain" in domain.run(
        "vdeldomain", "-f", "example.test", code=100)
    assert "no virtual domain" in domain.run(
        "vadduser", "bob@example.test", "x", code=100)


def test_vdeldomain_can_keep_the_mail(domain):
    domain.run("vadduser", "alice@example.test", "x")
    mail = domain.path / "domains/example.test/alice/Maildir/new/1.x"
    mail.write_text("mail")
    domain.run("vdeldomain", "-k", "example.test")
    assert mail.exists() and domain.read("control/rcpthosts") == ""
    domain.run("vadddomain", "example.test", "new")
    assert domain.user("alice@example.test")["used_messages"] == 1
    domain.run("vdeldomain", "-f", "example.test")
    assert not mail.exists()


def test_vdeldomain_never_removes_a_system_users_home(home):
    precious = home.path / "fred"
    precious.mkdir()
    (precious / "file").write_text("x")
    (home.path / "users/assign").write_text(
        f"+fred-:fred:0:0:{precious}:-::\n.\n")
    home.run("vdeldomain", "-f", "fred")
    assert (precious / "file").exists()


def test_vadduser(domain):
    domain.run("vadduser", "-q", "50M,1000C", "-c", "Bob B", "Bob@Example.test",
               stdin="secret\n")
    user = domain.user("bob@example.test")
    assert user["gecos"] == "Bob B"
    assert user["quota"] == "52428800S,1000C"
    assert (user["quota_bytes"], user["quota_messages"]) == (52428800, 1000)
    assert user["used_bytes"] == 0
    assert user["flags"] == [] and user["gid"] == 0
    assert crypt.crypt("secret", user["passwd"]) == user["passwd"]
    assert user["passwd"].startswith("$y$")
    assert user["has_scram"] and not user["has_secret"]
    for folder in ("tmp", "new", "cur"):
        assert os.listdir(pathlib.Path(user["dir"], "Maildir", folder)) == []
    assert "exists already" in domain.run(
        "vadduser", "bob@example.test", "x", code=100)


def test_vadduser_options(domain):
    domain.run("vadduser", "-e", "a1@example.test", "$6$x$y")
    assert domain.user("a1@example.test")["passwd"] == "$6$x$y"
    domain.run("vadduser", "-n", "a2@example.test")
    assert domain.user("a2@example.test")["passwd"] == "*"
    domain.run("vadduser", "-h", "SHA-256", "a3@example.test", "x")
    assert domain.user("a3@example.test")["passwd"].startswith("$5$")
    out = domain.run("vadduser", "-r", "16", "a4@example.test")
    made = out.split("Password: ")[1].strip()
    hashed = domain.user("a4@example.test")["passwd"]
    assert len(made) == 16 and crypt.crypt(made, hashed) == hashed
    domain.run("vadduser", "a5@example.test", "x", env={"HARD_QUOTA": "5k"})
    assert domain.user("a5@example.test")["quota"] == "5120S"
    domain.run("vadduser", "a+6@example.test", "x", code=100)
    domain.run("vadduser", "a+6@example.test", "x", env={"ALLOWCHARS": "+"})


@pytest.mark.parametrize("args", [
    ("a:b@example.test", "x"), ("a\nb@example.test", "x"),
    ("a/b@example.test", "x"), ("..@example.test", "x"),
    ("alice", "x"), ("@example.test", "x"), ("alice@absent.test", "x"),
    ("alice@example.test", ""), ("-q", "much", "alice@example.test", "x"),
    ("-c", "a:b", "alice@example.test", "x"),
    ("-c", "a\nb", "alice@example.test", "x"),
    ("-e", "alice@example.test", "x:y"),
    ("-h", "rot13", "alice@example.test", "x"),
    ("alice@example.test",), (), ("-z", "alice@example.test")])
def test_vadduser_refuses(domain, args):
    before = domain.all_users()
    domain.run("vadduser", *args, code=100)
    assert domain.all_users() == before


def test_bulk(domain):
    domain.run("vadddomain", "-n", "other.test")
    rows = [f"u{n}@{'other' if n % 3 == 0 else 'example'}.test pw{n}"
            for n in range(600)]
    rows[5] += " 10M"
    domain.run("vadduser", "-i", "-h", "MD5", stdin="\n".join(rows))
    users = json.loads(domain.run("vuserinfo", "--json", "-D", "example.test"))
    assert len(users) == 401
    parents = [os.path.dirname(user["dir"]) for user in users]
    assert max(map(parents.count, set(parents))) == 100
    for user in users[1:]:
        assert os.path.isdir(user["dir"] + "/Maildir/new")
    user = domain.user("u5@example.test")
    assert user["quota"] == "10485760S"
    assert crypt.crypt("pw5", user["passwd"]) == user["passwd"]
    assert domain.user("u3@other.test")["domain"] == "other.test"
    # One bad line, and nobody is added.
    for bad in ("u1@example.test x", "x@example.test", "y@absent.test x",
                "new@example.test x"):
        domain.run("vadduser", "-i", stdin=f"new@example.test x\n{bad}\n",
                   code=100)
    names = domain.run("vuserinfo", "-n", "-D", "example.test")
    assert names.count("\n") == 401


def test_vdeluser(domain):
    domain.run("vadduser", "alice@example.test", "x")
    home = domain.path / "domains/example.test/alice"
    (home / "Maildir/new/1.x").write_text("mail")
    domain.run("vdeluser", "-f", "Alice@example.test")
    assert not home.exists()
    domain.run("vuserinfo", "alice@example.test", code=100)
    domain.run("vdeluser", "-f", "alice@example.test", code=100)
    assert "vdeldomain" in domain.run(
        "vdeluser", "-f", "postmaster@example.test", code=100)


def test_vpasswd(domain):
    domain.run("vadduser", "-c", "A", "-q", "9M", "alice@example.test", "old")
    before = domain.user("alice@example.test")
    domain.run("vpasswd", "alice@example.test", stdin="new\n")
    after = domain.user("alice@example.test")
    assert crypt.crypt("new", after["passwd"]) == after["passwd"]
    assert dict(before, passwd="") == dict(after, passwd="")
    domain.run("vpasswd", "bob@example.test", "x", code=100)
    domain.run("vpasswd", "-e", "alice@example.test", "a\nb", code=100)


def test_vmoduser(domain):
    domain.run("vadduser", "alice@example.test", "x")
    domain.run("vmoduser", "-n", "-q", "7M", "-c", "Alice", "-pi",
               "alice@example.test")
    user = domain.user("alice@example.test")
    assert not user["is_active"] and user["flags"] == ["no_pop", "no_imap"]
    assert (user["quota"], user["gecos"]) == ("7340032S", "Alice")
    domain.run("vmoduser", "-n", "-t", "-pb", "alice@example.test")
    user = domain.user("alice@example.test")
    assert user["is_active"] and user["flags"] == ["no_imap", "bounce_mail"]
    domain.run("vmoduser", "-x", "alice@example.test")
    assert domain.user("alice@example.test")["flags"] == []
    domain.run("vmoduser", "-n", "bob@example.test", code=100)


@pytest.mark.parametrize("option", ["-n", "-b", "-tb", "-xpb"])
def test_the_postmaster_always_gets_mail(domain, option):
    folder = domain.path / "domains/example.test"
    before = domain.all_users()
    assert "RFC 5321 4.5.1" in domain.run(
        "vmoduser", option, "Postmaster@example.test", code=100)
    assert domain.all_users() == before
    domain.run("vmoduser", "-pi", "-q", "7M", "postmaster@example.test")
    user = domain.user("postmaster@example.test")
    assert user["is_active"] and user["quota"] == "7340032S"
    assert user["flags"] == ["no_pop", "no_imap", "postmaster"]


@pytest.mark.store("cdb")
def test_a_postmaster_without_mail_can_be_mended(domain):
    vpasswd = domain.path / "domains/example.test/vpasswd"
    name, passwd, uid, gid, rest = vpasswd.read_text().split(":", 4)
    assert (name, uid, gid) == ("postmaster", "0", "128")
    vpasswd.write_text(f"{name}:{passwd}:16:144:{rest}")  # as another system's
    domain.run("vmkpasswd", "example.test")
    domain.run("vmoduser", "-c", "P", "postmaster@example.test")
    domain.run("vmoduser", "-n", "postmaster@example.test")
    domain.run("vmoduser", "-tb", "postmaster@example.test")
    user = domain.user("postmaster@example.test")
    assert user["is_active"] and user["flags"] == ["postmaster"]
    assert user["gecos"] == "P"


def test_vmoduser_forgets_the_size(domain):
    domain.run("vadduser", "-q", "7M", "alice@example.test", "x")
    size = domain.path / "domains/example.test/alice/Maildir/maildirsize"
    size.write_text("7340032S\n10 1\n")
    domain.run("vmoduser", "-c", "Alice", "alice@example.test")
    assert size.exists()
    domain.run("vmoduser", "-q", "NOQUOTA", "alice@example.test")
    assert not size.exists()
    domain.run("vmoduser", "-q", "1M", "alice@example.test")
    size.mkdir()
    domain.run("vmoduser", "-q", "2M", "alice@example.test", code=111)
    assert domain.user("alice@example.test")["quota"] == "2097152S"


def set_quota_by_hand(domain, quota):
    vpasswd = domain.path / "domains/example.test/vpasswd"
    rest = vpasswd.read_text().strip().rpartition(":")[0]
    vpasswd.write_text(f"{rest}:{quota}\n")
    return vpasswd.with_suffix(".cdb")


@pytest.mark.store("cdb")
@pytest.mark.parametrize("quota", ["50M", "1mbs,1000C", "unlimited"])
def test_vmkpasswd_takes_foreign_quotas(domain, quota):
    set_quota_by_hand(domain, quota)
    domain.run("vmkpasswd", "example.test")
    assert domain.user("postmaster@example.test")["quota"] == quota


@pytest.mark.store("cdb")
def test_vmkpasswd_refuses_what_is_no_quota(domain):
    cdb = set_quota_by_hand(domain, "50X")
    before = cdb.read_bytes()
    told = domain.run("vmkpasswd", "example.test", code=100)
    assert "/vpasswd': user 'postmaster': '50X' is no quota: write NOQUOTA, " \
        "or bytes (50000000S or 50M)" in told
    assert cdb.read_bytes() == before
    domain.run("vmoduser", "-q", "50X", "postmaster@example.test", code=100)
    domain.run("vadduser", "-q", "50X", "alice@example.test", "x", code=100)
    domain.run("vmoduser", "-q", "50M", "postmaster@example.test")
    domain.run("vmkpasswd", "example.test")
    assert domain.user("postmaster@example.test")["quota"] == "52428800S"


def test_vuserinfo(domain):
    domain.run("vadduser", "-c", "Jörg", "-q", "1M", "alice@example.test", "x")
    new = domain.path / "domains/example.test/alice/Maildir/new"
    (new / "1.a,S=100").write_text("x" * 100)
    (new / "2.a").write_text("x" * 23)
    text = domain.run("vuserinfo", "alice@example.test")
    assert "name          : alice@example.test\n" in text
    assert "gecos         : Jörg\n" in text
    assert "quota         : 1048576S\ncurr quota    : 123S,2C\n" in text
    assert domain.run("vuserinfo", "-d", "alice@example.test") == (
        f"dir           : {new.parent.parent}\n")
    assert domain.user("alice@example.test")["gecos"] == "Jörg"
    domain.run("vuserinfo", "nobody@example.test", code=100)
    domain.run("vuserinfo", "alice@absent.test", code=100)


@pytest.mark.store("cdb")
def test_lost_files_are_our_trouble(domain):
    vpasswd = domain.path / "domains/example.test/vpasswd"
    text = vpasswd.read_text()
    vpasswd.unlink()
    for program, args in (("vadduser", ["a@example.test", "x"]),
                          ("vdeluser", ["a@example.test"]),
                          ("vuserinfo", ["postmaster@example.test"])):
        assert str(vpasswd) in domain.run(program, *args, code=111)
    vpasswd.write_text(text + "damaged line\n")
    assert "vpasswd:2: " in domain.run(
        "vadduser", "a@example.test", "x", code=111)
    vpasswd.write_text(text)
    (domain.path / "domains/example.test/vpasswd.cdb").unlink()
    domain.run("vmkpasswd", "example.test")
    assert (domain.path / "domains/example.test/vpasswd.cdb").exists()
    (domain.path / "users/cdb").write_text("")
    assert "users/cdb" in domain.run("vadduser", "a@example.test", "x", code=111)


def test_daemons_are_told(home, tmp_path):
    """HUP to those that run under a pid file, and to nothing else."""
    daemons = {}
    for name, file in (("qmail-send", "qmail-send.queue1.pid"),
                       ("qmail-smtpd", "qmail-smtpd.25.pid"),
                       ("another", "qmail-send.queue2.pid")):
        program = tmp_path / name
        program.symlink_to("/bin/sleep")
        # Under nohup the signal would be ignored, and that is inherited.
        daemons[name] = subprocess.Popen(
            [program, "100"],
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
        # The kernel names a process a moment after it has closed Popen's pipe.
        comm = f"/proc/{daemons[name].pid}/comm"
        wait_until(lambda comm=comm, name=name:
                   open(comm, encoding="ascii").read() == name + "\n",
                   f"{comm} is {name}")
        (home.path / "run" / file).write_text(f"{daemons[name].pid}\n")
    (home.path / "run/qmail-send.queue3.pid").write_text("1\n")
    (home.path / "run/qmail-send.queue4.pid").write_text("nonsense")
    try:
        home.run("vadddomain", "-n", "a.test")
        for name in ("qmail-send", "qmail-smtpd"):
            assert daemons[name].wait(30) == -signal.SIGHUP
        assert daemons["another"].poll() is None
    finally:
        for daemon in daemons.values():
            daemon.kill()
            daemon.wait()


def test_many_at_once(domain):
    """Commands that run at the same time lose nothing of each other."""
    started = [subprocess.Popen(
        [BUILD / "bin/vadduser", "-n", f"p{n}@example.test"], env=domain.env)
        for n in range(20)]
    started += [subprocess.Popen(
        [BUILD / "bin/vadddomain", "-n", f"d{n}.test"], env=domain.env)
        for n in range(10)]
    assert [process.wait(120) for process in started] == [0] * 30
    names = domain.run("vuserinfo", "-n", "-D", "example.test")
    assert names.count("@") == 21
    assert len(domain.lines("users/assign")) == 12
    assert len(domain.lines("control/rcpthosts")) == 11


def test_settings_that_name_a_removed_domain_are_said(domain):
    """Of an alias domain, too: all go with the domain."""
    domain.run("vaddaliasdomain", "mail.example.test", "example.test")
    control = domain.path / "control"
    (control / "envnoathost").write_text("example.test\n")
    (control / "doublebouncehost").write_text("mail.example.test\n")
    (control / "bouncehost").write_text("example.org\n")
    done = subprocess.run([BUILD / "bin/vdeldomain", "-f", "example.test"],
                          env=domain.env, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0
    lines = sorted(line.split(":", 2)[2] for line in
                   done.stderr.splitlines())
    assert [line.split("'")[1::2] for line in lines] == [
        [f"{control}/doublebouncehost", "mail.example.test"],
        [f"{control}/envnoathost", "example.test"],
        [f"{control}/me", "mail.example.test",
         "vaddaliasdomain mail.example.test DOMAIN"]]
    assert all("write another domain there" in line for line in lines[:2])
    assert (control / "envnoathost").read_text() == "example.test\n"


@pytest.mark.store("cdb")
@pytest.mark.parametrize("content", [b"", b"x" * 5000])
def test_a_damaged_cdb_names_the_program_that_makes_it(domain, content):
    (domain.path / "users/cdb").write_bytes(content)
    text = domain.run("vadduser", "-n", "alice@example.test", code=111)
    assert "users/cdb' is " in text
    assert "qmail-newu makes it again, from 'assign'" in text
    domain.run("qmail-newu")
    domain.run("vadduser", "-n", "alice@example.test")
