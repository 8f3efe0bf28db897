# SPDX-License-Identifier: ISC
"""Routes for recipients, programs instead of sessions, and AUTH over routes."""
import base64
import getpass
import grp
import hashlib
import hmac
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest

import ports
from name_server import NameServer
from node import BIN, SLOW, wait_until
from postfix_peer import relaying
from remote_peer import Peer, Report, make_home, send
from test_74_remote_delivery import LOCAL, ZONE, Host, World


@pytest.fixture
def home(tmp_path):
    return make_home(tmp_path)


def remote(home, *recipients, sender="s@example.org", **variables):
    """qmail-remote with what stands in the control folder."""
    done = subprocess.run(
        [BIN / "qmail-remote", "example.net", sender, *recipients],
        input=b"Subject: x\n\nHello.\n", stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=60 * SLOW,
        env={"MQMAIL_HOME": str(home), **variables})
    assert done.returncode == 0, done.stderr
    return Report(done.stdout)


def compile_cdb(home, name, text):
    (home / "control" / name).write_text(text)
    subprocess.run([BIN / "qmail-cdb", name], check=True,
                   env={"MQMAIL_HOME": str(home)})


def taken(link):
    link.hello()
    link.transaction()
    link.at_end()


# -- qmail-remote

@pytest.mark.parametrize("name", ["smtproutes", "moresmtproutes"])
def test_a_route_of_one_recipient(home, name):
    with Peer(taken) as rest, Peer(taken) as own:
        (home / "control/smtproutes").write_text(
            f":[127.0.0.1]:{rest.port}\n")
        text = f"Vip@Example.NET:[127.0.0.1]:{own.port}\n"
        if name == "smtproutes":
            with open(home / "control/smtproutes", "a") as routes:
                routes.write(text)
        else:
            compile_cdb(home, name, text)
        assert remote(home, "vip@example.net").letters == "rK"
        assert remote(home, "else@example.net").letters == "rK"
    assert "RCPT TO:<vip@example.net>" in own.links[0].commands
    assert "RCPT TO:<else@example.net>" in rest.links[0].commands


def test_smtproutes_cdb_by_the_command(home):
    with Peer(taken) as peer:
        compile_cdb(home, "smtproutes", f"example.net:[127.0.0.1]:{peer.port}\n")
        (home / "control/smtproutes").unlink()
        assert remote(home, "a@example.net").letters == "rK"


def test_several_routes_in_a_variable(home):
    with Peer(taken) as peer:
        (home / "control/smtproutes").write_text(":[127.0.0.1]:1\n")
        routes = f"other.test:h\nexample.net:[127.0.0.1]:{peer.port}"
        assert remote(home, "a@example.net",
                      SMTPROUTES=routes).letters == "rK"


def plain_as(user):
    def script(link):
        link.hello("AUTH PLAIN")
        line = link.take("AUTH PLAIN ", "235 fine")
        assert base64.b64decode(line.split()[2]) == f"\0{user}\0pw".encode()
        link.transaction()
        link.at_end()
    return script


def no_auth(link):
    link.hello("AUTH PLAIN")
    link.transaction()
    link.at_end()


def test_credentials_of_the_recipient(home):
    compile_cdb(home, "remote_auth",
                "vip@example.net vip pw\nsales-* sales pw\n")
    (home / "control/tlspolicy").write_text("example.net:none\n")
    with Peer(plain_as("vip"), plain_as("sales"), no_auth) as peer:
        (home / "control/smtproutes").write_text(
            f":[127.0.0.1]:{peer.port} /r\n")
        for name in ("vip", "sales-eu", "else"):
            assert remote(home, f"{name}@example.net").letters == "rK"


def test_variables_of_a_route(home):
    def script(link):
        assert link.socket.getpeername()[0] == "127.0.0.7"
        link.hello("AUTH CRAM-MD5 LOGIN")
        link.take("AUTH LOGIN", "334 VXNlcm5hbWU6")
        assert link.secret() == b"joe"
        link.say("334 UGFzc3dvcmQ6")
        assert link.secret() == b"pw"
        link.say("235 fine")
        link.transaction()
        link.at_end()
    (home / "control/tlspolicy").write_text("example.net:none\n")
    with Peer(script) as peer:
        (home / "control/smtproutes").write_text(
            f":[127.0.0.1]:{peer.port} joe pw "
            "AUTH_SMTP=LOGIN,OUTGOINGIP=127.0.0.7\n")
        assert remote(home, "a@example.net").letters == "rK"


def test_secure_auth_never_goes_in_plain(home):
    def script(link):
        link.hello("AUTH CRAM-MD5 PLAIN")
        link.at_end()
    (home / "control/tlspolicy").write_text("example.net:none\n")
    with Peer(script) as peer:
        (home / "control/smtproutes").write_text(
            f":[127.0.0.1]:{peer.port} joe pw SECURE_AUTH=1\n")
        assert remote(home, "a@example.net").letters == "Z"
    assert not any("AUTH" in line for line in peer.links[0].commands)


@pytest.mark.parametrize("value", ["smtp", "qmtp", "dynamic"])
def test_placement_is_refused(home, value):
    report = remote(home, "a@example.net", ROUTES=value)
    assert report.letters == "Z"
    assert "write static" in report.text


def test_the_name_of_an_address_that_the_system_chose(home):
    (home / "control/helohostbyip").write_text(
        "127.0.0.1:out1.example.org\n192.0.2.1:out2.example.org\n")
    with Peer(taken) as peer:
        assert send(home, peer.port).letters == "rK"
    assert peer.links[0].commands[0] == "EHLO out1.example.org"


def test_without_a_token_nothing_is_asked(home):
    (home / "control/smtproutes").write_text(
        ":[127.0.0.1]:1 joe /no/such/file AUTH_SMTP=XOAUTH2\n")
    report = remote(home, "a@example.net")
    assert report.letters == "Z"
    assert "I have no token" in report.text
    assert "/no/such/file" not in report.text


# -- AUTH with Postfix, whose SASL is Dovecot's

DOVECOT = """\
protocols =
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = no
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 0
first_valid_gid = 0
auth_failure_delay = 0
auth_mechanisms = {mechanisms}
# No penalty: it delays what comes after a refusal.
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  user = {user}
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-256
  args = {folder}/users
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={folder}
}}
"""
OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = sub
"""
POSTFIX = """\
smtpd_tls_security_level = may
smtpd_tls_chain_files = {pem}
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{port}
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""
KEY = b"a key of thirty-two bytes, shared"
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"]


def make_token(user):
    """A JSON web token (RFC 7519) that Dovecot verifies by itself."""
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    text = b".".join(encode(json.dumps(part).encode()) for part in (
        {"alg": "HS256", "typ": "JWT"},
        {"sub": user, "iat": 1700000000, "exp": 4000000000,
         "filler": "x" * 600}))
    return (text + b"." + encode(
        hmac.new(KEY, text, hashlib.sha256).digest())).decode()


@pytest.fixture(scope="module")
def sink():
    made = Host("127.0.0.1", ports.take())
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    pem = folder / "pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
         "/CN=peer", "-keyout", folder / "key", "-out", folder / "crt"],
        check=True, stderr=subprocess.DEVNULL)
    pem.write_text((folder / "key").read_text() + (folder / "crt").read_text())
    return pem


def dovecot_auth(folder, mechanisms):
    """Starts Dovecot's auth service; its process and port."""
    port = ports.take()
    user = "mail" if os.getuid() == 0 else getpass.getuser()
    entry = pwd.getpwnam(user)
    for name in ("run", "state", "keys/default/HS256"):
        (folder / name).mkdir(parents=True)
    (folder / "users").write_text("joe:{PLAIN}secret\n")
    (folder / "oauth2").write_text(OAUTH2.format(folder=folder))
    (folder / "keys/default/HS256/default").write_bytes(
        base64.b64encode(KEY))
    (folder / "conf").write_text(DOVECOT.format(
        folder=folder, port=port, user=user, uid=entry.pw_uid or 1000,
        group=grp.getgrgid(entry.pw_gid).gr_name,
        mechanisms=" ".join(mechanisms).lower()))
    process = subprocess.Popen(["dovecot", "-F", "-c", folder / "conf"],
                               stderr=subprocess.PIPE, text=True)

    def is_there():
        assert process.poll() is None, process.stderr.read()
        return subprocess.run(["bash", "-c", f"</dev/tcp/127.0.0.1/{port}"],
                              stderr=subprocess.DEVNULL).returncode == 0
    wait_until(is_there, "Dovecot")
    return process, port


@pytest.fixture(scope="module")
def submission(sink, certificate):
    """A Postfix that relays for who has authenticated."""
    if shutil.which("dovecot") is None:
        pytest.skip("Dovecot is not installed")
    os.chmod(certificate, 0o644)
    with tempfile.TemporaryDirectory(prefix="mq") as name:
        folder = Path(name)
        folder.chmod(0o755)
        process, port = dovecot_auth(folder, MECHANISMS)
        try:
            with relaying(sink.listener.getsockname()[1], POSTFIX.format(
                    pem=certificate, port=port)) as postfix:
                postfix.dovecot_log = folder / "log"
                yield postfix
        finally:
            process.terminate()
            process.wait(20 * SLOW)


def submit(home, submission, credentials):
    at = len(submission.log())
    (home / "control/smtproutes").write_text(
        f":[127.0.0.1]:{submission.port} {credentials}\n")
    report = remote(home, "a@example.net")
    return report, submission.log()[at:] + submission.dovecot_log.read_text()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_auth_with_postfix_and_dovecot(home, submission, sink, mechanism):
    before = len(sink.messages)
    secret = make_token("joe") if mechanism == "XOAUTH2" else "secret"
    if mechanism == "XOAUTH2":
        (home / "token").write_text(f"{secret}\n")
        secret = home / "token"
    report, log = submit(home, submission,
                         f"joe {secret} AUTH_SMTP={mechanism}")
    assert report.letters == "rK", (report.text, log)
    assert f"sasl_method={mechanism}, sasl_username=joe" in log
    sink.wait(before + 1)


def test_the_best_mechanism_unless_it_is_said(home, submission):
    report, log = submit(home, submission, "joe secret")
    assert report.letters == "rK", (report.text, log)
    assert "sasl_method=SCRAM-SHA-256" in log


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_secret_defers(home, submission, mechanism):
    report, log = submit(home, submission,
                         f"joe wrong AUTH_SMTP={mechanism}")
    assert report.letters == "Z", log
    assert "authentication was rejected" in report.text, log
    assert "wrong" not in report.text


def test_a_token_from_a_program(home, submission):
    program = home / "token-of"
    program.write_text(
        f"#!/bin/sh\n[ $1 = joe ] && echo {make_token('joe')}\n")
    program.chmod(0o755)
    report, log = submit(home, submission,
                         f"joe |{program} AUTH_SMTP=XOAUTH2")
    assert report.letters == "rK", (report.text, log)
    assert "sasl_method=XOAUTH2, sasl_username=joe" in log


# -- a whole node

@pytest.fixture(scope="module")
def name_server():
    server = NameServer({"peer.test": ZONE})
    yield server
    server.close()


@pytest.fixture
def world(make_node, name_server):
    made = World(make_node, name_server)
    yield made
    made.close()
    for service in ("remote", "queue1", "queue2"):
        assert "Sanitizer" not in made.node.log(service)


def variable(world, name, value, service="remote"):
    folder = world.node.home / "service" / service / "variables"
    (folder / name).write_text(f"{value}\n")
    return folder / name


def test_recipients_of_one_message_by_their_routes(world):
    one, two = world.host(2), world.host(3)
    (world.node.control / "smtproutes").write_text(
        f"vip@one.peer.test:[127.0.0.3]:{world.port}\n::{world.port}\n")
    world.node.up()
    assert world.node.inject("a@one.peer.test", "VIP@one.peer.test",
                             "b@one.peer.test", sender=LOCAL) == 0
    assert two.wait(1)[0][1] == ["VIP@one.peer.test"]
    one.wait(2)
    assert sorted(one.messages[0][1] + one.messages[1][1]) == [
        "a@one.peer.test", "b@one.peer.test"]
    world.node.wait_empty()


def test_a_large_message_by_two_routes(world):
    """Its body comes as a descriptor, which both jobs read."""
    one, two = world.host(2), world.host(3)
    (world.node.control / "smtproutes").write_text(
        f"vip@one.peer.test:[127.0.0.3]:{world.port}\n::{world.port}\n")
    world.node.up()
    text = "Subject: x\n\n" + "0123456789\n" * 20000
    assert world.node.inject("a@one.peer.test", "vip@one.peer.test",
                             text=text) == 0
    for host in (one, two):
        data = host.wait(1)[0][2].decode().replace("\r\n", "\n")
        assert data.endswith(text)
    world.node.wait_empty()


def test_a_route_of_a_recipient_at_a_dead_domain(world):
    two = world.host(3)  # nobody is at h4
    world.node.up()
    assert world.node.inject("vip@dead.peer.test") == 0
    world.wait_log("deferral|rests")
    compile_cdb(world.node.home, "moresmtproutes",
                f"vip@dead.peer.test:[127.0.0.3]:{world.port}\n")
    world.node.reread_remote()
    assert world.node.inject("vip@dead.peer.test") == 0
    world.node.retry_until(lambda: len(two.messages) == 2, "both arrive")
    world.node.wait_empty()


def test_a_route_that_goes_while_mail_waits(world):
    """The compiled file counts at once: what came before goes the new way."""
    one, two = world.host(2), world.host(3)
    compile_cdb(world.node.home, "moresmtproutes",
                f"vip@one.peer.test:[127.0.0.3]:{world.port}\n")
    world.node.up()
    assert world.node.inject("vip@one.peer.test") == 0
    two.wait(1)
    compile_cdb(world.node.home, "moresmtproutes", "other.test:h\n")
    assert world.node.inject("vip@one.peer.test") == 0
    one.wait(1)
    world.node.wait_empty()


def test_where_an_answer_comes_from(world):
    (world.node.control / "smtproutes").write_text(
        f"vip@one.peer.test:[127.0.0.3]:{world.port} joe pw AUTH_SMTP=PLAIN\n"
        f".peer.test:[127.0.0.2]:{world.port}\n")
    (world.node.control / "helohostbyip").write_text("127.0.0.1:lo.test\n")
    world.node.up()

    def route(*words):
        shown = world.node.svctool("route", *words, "--json").stdout
        return json.loads(shown)
    own, rest = route("VIP@one.peer.test"), route("one.peer.test")
    assert own["route"] == "smtproutes, line for 'vip@one.peer.test'"
    assert own["addresses"][0]["address"] == "127.0.0.3"
    assert own["user"] == "joe"
    assert own["addresses"][0]["helo"] == "lo.test"
    assert rest["route"] == "smtproutes, line for '.peer.test'"
    assert (rest["addresses"][0]["address"], rest["user"]) == (
        "127.0.0.2", None)
    variable(world, "SMTPROUTES", f":[127.0.0.9]:{world.port}")
    variable(world, "QMAILREMOTE", "/bin/true")
    by_variable = route("one.peer.test")
    assert by_variable["route"] == "variable SMTPROUTES, line for ''"
    assert by_variable["program"] == "/bin/true"
    text = world.node.svctool("route", "one.peer.test").stdout
    assert text.startswith("program /bin/true sends it, and not this way\n")
    for name in ("SMTPROUTES", "QMAILREMOTE"):
        (world.node.home / "service/remote/variables" / name).unlink()
    assert own["program"] is None
    text = world.node.svctool("route", "vip@one.peer.test").stdout
    assert "route smtproutes, line for 'vip@one.peer.test'\n" in text
    assert "with AUTH PLAIN as joe" in text and "pw" not in text


# -- a program instead of sessions

PROGRAM = """\
#!/usr/bin/python3
import fcntl, json, os, sys
host, sender, *recipients = sys.argv[1:]
body = sys.stdin.buffer.read().decode()
fds = []
for fd in os.listdir("/proc/self/fd"):
    try:
        os.fstat(int(fd))
        fds.append(int(fd))
    except OSError:
        pass  # the folder's own
with open("{folder}/runs", "a") as runs:
    fcntl.flock(runs, fcntl.LOCK_EX)
    print(json.dumps(dict(host=host, sender=sender, recipients=recipients,
        body=body, fds=sorted(fds), leader=os.getpgid(0) == os.getpid(),
        uuid=os.environ.get("MQMAIL_UUID"), extra=os.environ.get("QQEH"),
        program=os.environ.get("QMAILREMOTE"),
        own=os.environ.get("OWN"))), file=runs)
for each in recipients:
    print({{"no": "h550 nobody", "later": "s450 later"}}.get(
        each.split("@")[0], "r"), end="\\0")
print("Ktaken by a program", end="\\0")
"""


def use_program(world, text):
    folder = Path(tempfile.mkdtemp(prefix="mqprog", dir=world.node.home))
    folder.chmod(0o777)
    program = folder / "program"
    program.write_text(text.format(folder=folder))
    program.chmod(0o755)
    variable(world, "QMAILREMOTE", program)
    return folder


def runs(folder):
    file = folder / "runs"
    return [json.loads(line) for line in
            (file.read_text() if file.exists() else "").splitlines()]


@pytest.mark.parametrize("size", [100, 40000, 3000000])
def test_a_program_sends_it(world, size):
    folder = use_program(world, PROGRAM)
    variable(world, "OWN", "of the service")
    world.node.up()
    text = "Subject: x\n\n" + "0123456789\n" * (size // 11)
    assert world.node.inject("a@one.peer.test", "b@one.peer.test",
                             "c@any.invalid", sender=LOCAL, text=text) == 0
    world.node.wait_empty()
    done = sorted(runs(folder), key=lambda run: run["host"])
    assert [(run["host"], run["sender"], run["recipients"])
            for run in done] == [
        ("any.invalid", LOCAL, ["c@any.invalid"]),
        ("one.peer.test", LOCAL, ["a@one.peer.test", "b@one.peer.test"])]
    for run in done:
        assert run["body"].endswith(text)
        assert run["fds"] == [0, 1, 2]
        assert run["leader"] and run["program"] is None
        assert run["own"] == "of the service"
        assert re.fullmatch("[0-9a-f-]{36}", run["uuid"])
    world.wait_log("success.*taken_by_a_program", 3)


def test_each_recipient_of_a_program_has_its_result(world):
    folder = use_program(world, PROGRAM)
    world.node.up()
    assert world.node.inject("no@one.peer.test", "later@one.peer.test",
                             "yes@one.peer.test", sender=LOCAL) == 0
    world.wait_log("failure.*550_nobody")
    world.wait_log("deferral.*450_later")
    world.wait_log("success.*taken_by_a_program")
    assert world.node.backlog() == 1
    text = (folder / "program").read_text()
    (folder / "program").write_text(text.replace("s450 later", "r"))
    world.node.retry_until(lambda: world.node.backlog() == 0, "it goes")
    report = world.node.wait_messages("alice", 1)[0].decode()
    assert "550 nobody" in report and "yes@" not in report


@pytest.mark.parametrize("script, said", [
    ("echo oops", "without_its_end"),
    ("exit 100", "failed"),
    ("kill -9 $$", "failed"),
    ("yes K", "failed"),
    ("cat >/dev/null", "said_nothing"),
    ("trap '' TERM; sleep 300", "failed"),
])
def test_a_program_that_fails_defers(world, script, said):
    use_program(world, f"#!/bin/sh\n{script}\n")
    for name in ("timeoutconnect", "timeoutremote"):
        (world.node.control / name).write_text("1\n")
    world.node.up()
    assert world.node.inject("a@one.peer.test", sender=LOCAL) == 0
    world.wait_log(f"deferral.*{said}")
    assert world.node.backlog() == 1
    assert world.node.messages("alice") == []


def test_a_program_ends_with_the_service(world):
    folder = use_program(world, textwrap.dedent("""\
        #!/bin/sh
        echo $$ >> {folder}/pids
        sleep 300
        """))
    variable(world, "MQMAIL_TEST_TIMES", "REMOTE_DRAIN_MS=500")
    world.node.up()
    assert world.node.inject("a@one.peer.test", sender=LOCAL) == 0
    wait_until(lambda: (folder / "pids").exists() and
               (folder / "pids").read_text().endswith("\n"), world.node.logs)
    pid = int((folder / "pids").read_text().split()[0])
    world.service("-d")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"),
               lambda: f"end of {pid}\n{world.node.logs()}", 60 * SLOW)


def test_a_program_comes_and_goes_with_hup(world):
    one = world.host(2)
    folder = use_program(world, PROGRAM)
    value = (world.node.home / "service/remote/variables/QMAILREMOTE")
    program = value.read_text()
    value.unlink()
    world.node.up()
    assert world.node.inject("a@one.peer.test") == 0
    one.wait(1)
    (world.node.control / "qmailremote").write_text(program)
    world.node.reread_remote()
    for i in range(3):
        assert world.node.inject(f"b{i}@one.peer.test") == 0
    wait_until(lambda: len(runs(folder)) == 3, world.node.logs)
    assert len(one.messages) == 1
    (world.node.control / "qmailremote").unlink()
    world.node.reread_remote()
    assert world.node.inject("c@one.peer.test") == 0
    one.wait(2)
    world.node.wait_empty()


# -- svctool check

def found(world, code=1):
    shown = world.node.svctool("check", "--json", code=code).stdout
    return [(one["severity"], f"{one['file']} {one['text']}")
            for one in json.loads(shown)]


@pytest.mark.parametrize("name, value, text", [
    ("ROUTES", "smtp", "where its user is placed"),
    ("SMTPROUTES", "example.org", "has no ':'"),
    ("SMTPROUTE", ":h u p VAR=1", "no variable of a route"),
    ("QMAILREMOTE", "/no/such/program", "cannot run '/no/such/program'"),
    ("QMAILREMOTE", "program", "is not an absolute path"),
    ("DOMAINBINDINGS", "nofile", "no such file"),
])
def test_check_refuses_what_the_daemon_refuses(world, name, value, text):
    variable(world, name, value)
    assert any(severity == "error" and text in what
               for severity, what in found(world)), found(world)
    world.node.svctool("start", code=None)
    wait_until(lambda: "cannot start: " in world.node.log("remote"),
               world.node.logs)
    assert text in world.node.log("remote")


def test_what_was_not_read_again_is_told(world):
    """A route that was written counts after HUP: check and route say so."""
    node = world.node
    node.up()
    assert "was changed" not in node.svctool("check", code=None).stdout
    (node.control / "smtproutes").write_text("example.org:127.0.0.1:2525\n")
    found = node.svctool("check", code=None).stdout
    assert f"warning  {node.control}/smtproutes: it was changed after" in found
    assert "does not go this way yet" in node.svctool(
        "route", "example.org").stderr
    world.node.reread_remote()
    assert "was changed" not in node.svctool("check", code=None).stdout
    assert node.svctool("route", "example.org").stderr == ""


def test_check_tells_of_a_program_for_a_queue(world):
    file = variable(world, "QMAILREMOTE", "/bin/true", "queue1")
    assert any(severity == "warning" and str(file) in what and
               "has no effect here" in what
               for severity, what in found(world, None))
