# SPDX-License-Identifier: ISC
"""Who may send what where: relaying, recipients, limits, rules."""
import re
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from node import wait_until
from smtp_peer import shared_node, smtpd


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 2) as made:
        yield made


@contextmanager
def control(node, **files):
    """Control files for a while; None: the file is away."""
    saved = {}
    try:
        for name, text in files.items():
            file = node.control / name.replace("__", ".")
            saved[file] = file.read_bytes() if file.exists() else None
            if text is None:
                file.unlink(missing_ok=True)
            else:
                file.write_text(text)
        yield
    finally:
        for file, content in saved.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(content)


def make_rules(path, text):
    subprocess.run(["tcprules", path, f"{path}.tmp"], input=text.encode(),
                   check=True)


@contextmanager
def ask(node, *options, **env):
    """A function that gives RCPT's reply, in a session after MAIL."""
    with smtpd(node, *options, **env) as server, server.client() as client:
        client.hello()
        client.ok("MAIL FROM:<sender@example.net>")
        yield lambda address: client.say(f"RCPT TO:<{address}>")


def test_rcpthosts(node):
    with control(node, rcpthosts="example.test\n.sub.example\n"):
        with ask(node) as rcpt:
            assert rcpt("alice@example.test").code == 250
            assert rcpt("alice@EXAMPLE.test").code == 250
            assert rcpt("x@a.sub.example").code == 250
            assert rcpt("x@sub.example").code == 553
            assert rcpt("x@other.example").code == 553
            assert rcpt("alice%other.example@other.example").code == 553
            assert rcpt('"alice@example.test"@other.example').code == 553


def test_morercpthosts(node):
    with control(node, morercpthosts="More.example\n"):
        node.run("qmail-newmrh")
        try:
            with ask(node) as rcpt:
                assert rcpt("x@more.EXAMPLE").code == 250
                assert rcpt("x@less.example").code == 553
        finally:
            (node.control / "morercpthosts.cdb").unlink()


def test_relayclient_opens_and_appends(node, tmp_path):
    rules = tmp_path / "rules.cdb"
    make_rules(rules, '127.0.0.1:allow,RELAYCLIENT=""\n')
    with ask(node, TCPRULES=rules) as rcpt:
        assert rcpt("x@elsewhere.example").code == 250
        assert rcpt("root").code == 250
    rules = tmp_path / "append.cdb"
    make_rules(rules, '127.:allow,RELAYCLIENT="@example.test"\n')
    with smtpd(node, TCPRULES=rules) as server, server.client() as client:
        client.begin("alice")
        assert client.data("x\r\n.\r\n").code == 250
        server.wait_log(re.escape("RCPT <alice@example.test> AUTH <local-rcpt>"))


def test_rules_of_tcprules_count_soon(node, tmp_path):
    """Within a second, and without a signal."""
    rules = tmp_path / "rules.cdb"
    make_rules(rules, ":allow\n")

    def greeting():
        with server.client(greet=False) as client:
            return client.read().code

    def mail(argument):
        with server.client() as client:
            client.hello()
            return client.say(f"MAIL FROM:<>{argument}").code

    with smtpd(node, TCPRULES=rules) as server:
        with server.client() as client:
            assert client.hello().code == 250
        make_rules(rules, "127.0.0.1:deny\n:allow\n")
        wait_until(lambda: greeting() == 554, "a denial")
        with server.client(greet=False) as client:
            assert client.read().code == 554
            assert client.is_closed()
        server.wait_log(r"tcpserver: deny \d+ ")
        damaged = tmp_path / "damaged"
        damaged.write_bytes(b"no cdb")
        damaged.replace(rules)
        wait_until(lambda: greeting() == 421, "damaged rules are seen")
        make_rules(rules, ':allow,DATABYTES="77"\n')
        wait_until(lambda: greeting() == 220, "rules that work again")
        assert mail(" SIZE=78") == 552
        make_rules(rules, ':allow,DATABYTES="many"\n')
        wait_until(lambda: mail("") == 451, "a variable that is no number")


def test_postmaster_is_always_taken(node):
    with ask(node) as rcpt:
        for address in ["postmaster", "Postmaster", "POSTMASTER@example.test"]:
            assert rcpt(address).code == 250


def test_localiphost(node):
    with control(node, localiphost="example.test\n"):
        with smtpd(node) as server, server.client() as client:
            client.begin("alice@[127.0.0.1]")
            assert client.say("RCPT TO:<alice@[127.0.0.2]>").code == 553
            assert client.say("RCPT TO:<nobody@[127.0.0.1]>").code == 550
            assert client.data("x\r\n.\r\n").code == 250
            server.wait_log(re.escape("RCPT <alice@example.test>"))


def test_unknown_mailboxes_are_refused(node):
    with ask(node) as rcpt:
        assert str(rcpt("nobody@example.test")) == (
            "550 5.1.1 sorry, sender@example.net mailbox "
            "<nobody@example.test> is absent on this domain (#5.1.1)")
        assert rcpt("ALICE@example.test").code == 250
        assert rcpt('"alice"@example.test').code == 250
        assert rcpt("alice-ext@example.test").code == 250
        assert rcpt("nobody-ext@example.test").code == 550
        assert rcpt("@x.example:nobody@example.test").code == 550


def test_percenthack_is_judged_as_delivered(node):
    files = {"percenthack": "gate.test\n",
             "rcpthosts": "example.test\ngate.test\n"}
    with control(node, **files):
        with ask(node) as rcpt:
            assert rcpt("alice%example.test@gate.test").code == 250
            assert rcpt("alice%example.test@GATE.test").code == 250
            assert str(rcpt("nobody%example.test@gate.test")) == (
                "550 5.1.1 sorry, sender@example.net mailbox "
                "<nobody%example.test@gate.test> is absent on this domain "
                "(#5.1.1)")
            assert rcpt("nobody%example.test%gate.test@gate.test").code == 550
            assert rcpt("nobody@gate.test").code == 250  # not the store's
            assert rcpt("nobody%other.test@gate.test").code == 250
        with control(node, chkrcptdomains="gate.test\n"):
            with ask(node) as rcpt:
                assert rcpt("nobody%example.test@gate.test").code == 250


def test_inactive_and_overquota_mailboxes_are_refused(node):
    node.run("vadduser", "idle@example.test", "secret")
    node.run("vadduser", "full@example.test", "secret")
    node.run("vmoduser", "-n", "idle@example.test")
    node.run("vmoduser", "-b", "full@example.test")
    with ask(node) as rcpt:
        assert "is inactive on this domain (#5.2.1)" in rcpt(
            "idle@example.test").text
        assert "is overquota on this domain (#5.2.2)" in rcpt(
            "full@example.test").text


def test_qmail_files_stand_for_mailboxes(node):
    folder = node.home / "domains/example.test"
    default = folder / ".qmail-default"
    saved = default.read_text()
    files = [folder / ".qmail-john:doe", folder / ".qmail-list-default"]
    try:
        for file in files:
            file.write_text("./Maildir/\n")
        with ask(node) as rcpt:
            assert rcpt("John.Doe@example.test").code == 250
            assert rcpt("list-owner@example.test").code == 250
            assert rcpt("lists@example.test").code == 550
            assert rcpt("a/../../x@example.test").code == 550
            for text, code in [
                    ("| vdelivermail '' alice@example.test\n", 250),
                    ("| vdelivermail '' delete\n", 250),
                    ("./Maildir/\n", 250),
                    ("# nothing\n| vdelivermail '' bounce-no-mailbox\n", 550),
                    ("| vdelivermail '' bounce-no-mailbx\n", 250),
                    ("| vdelivermail '' bounce-no-mailbox\r\n", 550)]:
                default.write_text(text)
                assert rcpt("nobody@example.test").code == code, text
    finally:
        default.write_text(saved)
        for file in files:
            file.unlink()


def test_the_check_can_be_turned_off_and_limited(node):
    with ask(node, CHECKRECIPIENT="0") as rcpt:
        assert rcpt("nobody@example.test").code == 250
    with control(node, chkrcptdomains="other.example\n"):
        with ask(node) as rcpt:
            assert rcpt("nobody@example.test").code == 250
    with control(node, chkrcptdomains="a.example\nExample.Test\nz.example\n"):
        with ask(node) as rcpt:
            assert rcpt("nobody@example.test").code == 550


def test_could_not_tell_is_not_absent(node):
    """A damaged or missing user database defers, whoever is asked for."""
    cdb = node.home / "domains/example.test/vpasswd.cdb"
    saved = cdb.with_suffix(".saved")
    shutil.copy2(cdb, saved)
    try:
        with ask(node) as rcpt:
            cdb.unlink()
            for user in ["alice", "nobody"]:
                assert str(rcpt(f"{user}@example.test")) == (
                    "451 4.3.2 Sorry, I got a temporary database error "
                    "(#4.3.2)")
            cdb.write_bytes(b"x" * 3000)
            assert rcpt("alice@example.test").code == 451
            assert rcpt("postmaster@example.test").code == 250
            saved.replace(cdb)
            assert rcpt("alice@example.test").code == 250
            assert rcpt("nobody@example.test").code == 550
    finally:
        if saved.exists():
            saved.replace(cdb)


def test_too_many_unknown_mailboxes_end_the_session(node):
    with smtpd(node, MAX_RCPT_ERRCOUNT="3") as server:
        with server.client() as client:
            client.hello()
            client.ok("MAIL FROM:<a@b>")
            for _ in range(4):
                assert client.say("RCPT TO:<x@example.test>").code == 550
            assert "421 4.7.1 too many invalid addresses, goodbye" in str(
                client.read())
            assert client.is_closed()
        server.wait_log(re.escape(
            "Too many Invalid RECIPIENTS (4): MAIL from <a@b> "
            "last RCPT <x@example.test>"))


def test_maxrecipients(node):
    with ask(node, MAXRECIPIENTS="2") as rcpt:
        assert rcpt("alice@example.test").code == 250
        assert rcpt("nobody@example.test").code == 550
        assert rcpt("bob@example.test").code == 250
        assert str(rcpt("alice@example.test")) == (
            "452 4.5.3 sorry, too many recipients (#4.5.3)")


def test_recipients_are_bounded_without_a_setting(node):
    with smtpd(node, CHECKRECIPIENT="0") as server:
        with server.client() as client:
            client.hello()
            client.ok("MAIL FROM:<>")
            codes = []
            line = "RCPT TO:<" + "x" * 230 + "@example.test>\r\n"
            for _ in range(50):
                client.write(line * 100)
                codes += [client.read().code for _ in range(100)]
            assert codes[0] == 250 and codes[-1] == 452
            assert codes.count(250) > 3000
            assert client.data(".\r\n").code == 250


def test_envrules_hold_for_one_transaction(node):
    rules = ("*@big.example:DATABYTES=1000\n"
             "<>:MAXRECIPIENTS=1\n"
             "*@relay.example:RELAYCLIENT=@example.test\n")
    with control(node, from__envrules=rules):
        with smtpd(node, DATABYTES="100") as server:
            with server.client() as client:
                client.hello()
                assert client.say("MAIL FROM:<a@b> SIZE=500").code == 552
                client.ok("MAIL FROM:<A@BIG.example> SIZE=500")
                client.ok("RSET")
                assert client.say("MAIL FROM:<a@b> SIZE=500").code == 552
                client.ok("MAIL FROM:<>")
                client.ok("RCPT TO:<alice@example.test>")
                assert client.say("RCPT TO:<bob@example.test>").code == 452
                client.ok("RSET")
                client.ok("MAIL FROM:<a@relay.example>")
                client.ok("RCPT TO:<x@y.example>")
                client.ok("RSET")
                client.ok("MAIL FROM:<a@b>")
                assert client.say("RCPT TO:<x@y.example>").code == 553


def test_domainqueue_chooses_the_queue(node):
    queue = node.queue_dir("queue2")
    with control(node, domainqueue=f"example.test:QUEUEDIR={queue}\n"):
        with smtpd(node) as server, server.client() as client:
            numbers = []
            for _ in range(4):
                client.begin()
                reply = client.data("x\r\n.\r\n")
                numbers.append(re.search(r" (qp \d+)$", reply.text)[1])

            def are_logged():  # in any file: the log may be rotated
                texts = [file.read_text(errors="replace") for file in
                         (node.home / "log/queue2").glob("[@c]*")]
                return all(any(f" {number} uid" in text for text in texts)
                           for number in numbers)

            wait_until(are_logged, "four messages in queue2")


def test_a_bad_rule_file_is_named(node):
    with control(node, domainqueue="no colon here\n"):
        done = node.run("qmail-smtpd", "--listen", "127.0.0.1:0", code=100)
        assert "domainqueue:1" in done.stderr


def test_submission_is_for_clients_that_may_relay(node, tmp_path):
    with smtpd(node, "--submission") as server, server.client() as client:
        client.hello()
        assert str(client.say("MAIL FROM:<a@b>")) == (
            "530 5.7.1 authentication required (#5.7.1)")
    rules = tmp_path / "rules.cdb"
    make_rules(rules, '127.0.0.1:allow,RELAYCLIENT=""\n')
    with ask(node, "--submission", TCPRULES=rules) as rcpt:
        assert rcpt("x@elsewhere.example").code == 250


def test_qmailqueue_takes_the_message(node, tmp_path):
    program = tmp_path / "filter"
    program.write_text("""#!/bin/sh
cat >"$OUT.message" && cat <&1 >"$OUT.envelope"
echo "$TCPREMOTEIP $PROTO" >"$OUT.vars"
exit $CODE
""")
    program.chmod(0o755)
    out = tmp_path / "out"
    for code, wanted in [
            (0, "250 2.0.0 ok"),
            (31, "554 5.3.0 qq mail server permanently rejected message (#5.3.0)"),
            (53, "452 4.3.0 qq write error or disk full (#4.3.0)"),
            (71, "451 4.3.0 qq mail server temporarily rejected message"),
            (11, "554 5.1.3 qq envelope address too long (#5.1.3)")]:
        with smtpd(node, QMAILQUEUE=program, OUT=out, CODE=code) as server:
            with server.client() as client:
                client.begin("alice@example.test", "bob@example.test")
                reply = client.data("hello\r\n.\r\n")
                assert str(reply).startswith(wanted), code
                line = server.wait_log(r"(?m)^.* qp \d+ id .*$")[0]
                assert ("(permanent): " in line) == (reply.code == 554)
                assert ("(temporary): " in line) == (400 < reply.code < 500)
        assert (tmp_path / "out.message").read_text().endswith("\nhello\n")
        assert (tmp_path / "out.envelope").read_bytes() == (
            b"Fsender@example.net\0Talice@example.test\0Tbob@example.test\0\0")
        assert (tmp_path / "out.vars").read_text() == "127.0.0.1 TCP\n"


def test_a_program_may_say_why(node, tmp_path):
    program = tmp_path / "filter"
    program.write_text("""#!/bin/sh
cat >/dev/null; printf 'Dno \\303\\274 %0600d' 0 >&$ERROR_FD; exit 88
""")
    program.chmod(0o755)
    with smtpd(node, QMAILQUEUE=program) as server, server.client() as client:
        client.begin()
        reply = client.data("hello\r\n.\r\n")  # Client checks its form
        assert str(reply).startswith("554 5.3.0 no ?? 000")


def test_no_queue_no_mail(node):
    """A full disk and a dead queue are said at RCPT already, and pass."""
    with smtpd(node, MIN_FREE=str(2 ** 62)) as server:
        with server.client() as client:
            client.hello()
            client.ok("MAIL FROM:<a@b>")
            reply = client.say("RCPT TO:<alice@example.test>")
            assert str(reply) == (
                "452 4.3.0 qq write error or disk full (#4.3.0)")
            assert client.say("DATA").code == 503
        server.wait_log("disk full .*: MAIL from <a@b> RCPT <alice@")
        line = server.wait_log("every queue is full: queue '.*/queue1' has "
                               r"(\d+) bytes free, min_free wants (\d+): ")
        assert 0 < int(line[1]) < int(line[2]) == 2 ** 62
    queue = node.queue_dir("queue2")
    with smtpd(node, MIN_FREE=str(2 ** 62), QUEUEDIR=queue) as server:
        with server.client() as client:
            client.hello()
            client.ok("MAIL FROM:<a@b>")
            assert client.say("RCPT TO:<alice@example.test>").code == 452
        server.wait_log(rf": queue '{queue}' has \d+ bytes free")
    node.svctool("stop")
    try:
        with smtpd(node, times="QUEUE_WAIT_MS=500") as server, \
                server.client() as client:
            client.hello()
            client.ok("MAIL FROM:<a@b>")
            codes = [client.say("RCPT TO:<alice@example.test>").code,
                     client.say("DATA").code]
            assert codes[0] == 451 or codes[1] == 451, codes
            server.wait_log(r"qmail-smtpd: pid \d+ from 127.*qq .*RCPT <alice@")
    finally:
        node.up()
    node.wait_empty()
    before = len(node.messages("alice"))
    node.send()
    node.wait_messages("alice", before + 1)


def test_syntax_errors_are_logged(node):
    """Operators were asked why mail was refused, and had no line of it."""
    with smtpd(node) as server, server.client() as client:
        client.hello()
        assert client.say("MAIL FROM:<a b>").code == 555
        server.wait_log(r"from 127\.0\.0\.1 syntax error: "
                        r"COMMAND <FROM:_a_b_>")
        assert client.say("MAIL FROM:<a@example.net> FOO=1").code == 555
        server.wait_log(r"syntax error: COMMAND <FOO=1>")
        client.ok("MAIL FROM:<a@example.net>")
        assert client.say("RCPT TO:<>").code == 555
        server.wait_log(r"syntax error: COMMAND <TO:__>")
        assert client.say("RCPT TO:<alice>").code == 555
        server.wait_log(r"recipient without a domain: "
                        r"MAIL from <a@example.net> RCPT <alice>")
        assert client.say("\x01\x02").code == 500
        server.wait_log(r"syntax error: COMMAND <__>")
        assert client.say("NOOP " + "x" * 20000).code == 553
        server.wait_log(r"from 127\.0\.0\.1 command too long")
