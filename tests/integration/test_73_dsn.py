# SPDX-License-Identifier: ISC
"""What senders are told: RFC 3461 over SMTP and in the queue, RFC 3464 reports
as Python's email reads them, and the settings of bounces."""
import email
import email.policy
import signal
import subprocess
import time

import pytest

from node import wait_until
from queue_peer import DOMAIN, Intake, Queue
from smtp_peer import Client, any_certificate, shared_node
from test_53_queue_bounce import bouncing, parse, wait_reports

__all__ = ["bouncing"]
SENDER = "alice@example.net"
HUP = signal.SIGHUP


def envelope(recipients, message="", sender=SENDER):
    """As qmail-queue reads it: recipients are (address, parameters)."""
    record = f"e{message}\0" if message else ""
    record += f"F{sender}\0"
    for address, dsn in recipients:
        record += (f"r{dsn}\0" if dsn else "") + f"T{address}\0"
    return record.encode() + b"\0"


def try_until(queue, check, what):
    """Tries what waits, also what a scan has not found yet."""
    def look():
        queue.send_signal(signal.SIGALRM)
        time.sleep(0.1)
        return check()

    wait_until(look, lambda: f"{what}\n{queue.log()}")


def groups(status):
    return [(group["Final-Recipient"].split("; ")[1].split("@")[0],
             group["Action"], group["Status"]) for group in status[1:]]


# -- reports of a queue

def test_success_is_told_when_asked_for(bouncing):
    bouncing.inject(envelope=envelope(
        [(f"u@{DOMAIN}", " NOTIFY=SUCCESS ORCPT=rfc822;the+2Bu@example.org"),
         (f"v@{DOMAIN}", " NOTIFY=FAILURE"), (f"w@{DOMAIN}", "")],
        " RET=FULL ENVID=QQ+20314"),
        body=b"Subject: the original\n\nsecret\n")
    job, = wait_reports(bouncing, 1)
    assert job.sender == "" and job.recipient == f"{DOMAIN}-{SENDER}"
    message, text, status, original = parse(job)
    assert message["Subject"] == "delivery notice"
    assert groups(status) == [("u", "delivered", "2.0.0")]
    assert status[0]["Original-Envelope-Id"] == "QQ 314"
    assert status[1]["Original-Recipient"] == "rfc822; the+u@example.org"
    assert email.utils.parsedate_to_datetime(status[1]["Last-Attempt-Date"])
    assert f"    u@{DOMAIN}\n" in text
    # RFC 3461 4.3: the whole message only with a failure.
    assert original.get_content_type() == "text/rfc822-headers"
    assert b"the original" in job.message and b"secret" not in job.message


def test_failures_and_successes_share_a_report(bouncing):
    bouncing.inject(envelope=envelope(
        [(f"u@{DOMAIN}", " NOTIFY=SUCCESS,FAILURE"),
         (f"gone1@{DOMAIN}", " NOTIFY=NEVER"),
         (f"gone2@{DOMAIN}", " NOTIFY=SUCCESS,DELAY"),
         (f"gone3@{DOMAIN}", " NOTIFY=FAILURE ORCPT=rfc822;g3@example.org"),
         (f"gone4@{DOMAIN}", " ORCPT=utf-8;g4@example.org")]),
        body=b"Subject: x\n\nwhole\n")
    job, = wait_reports(bouncing, 1)
    message, text, status, original = parse(job)
    assert message["Subject"] == "failure notice"
    assert sorted(groups(status)) == [("gone3", "failed", "5.1.1"),
                                      ("gone4", "failed", "5.1.1"),
                                      ("u", "delivered", "2.0.0")]
    assert {group["Original-Recipient"] for group in status[1:]} == {
        "rfc822; g3@example.org", "utf-8; g4@example.org", None}
    # QSBMF has paragraphs of failures only.
    assert [line for line in text.splitlines() if line.startswith("<")] == [
        f"<gone3@{DOMAIN}>:", f"<gone4@{DOMAIN}>:"]
    assert "DSN:" not in text
    assert original.get_payload(0).get_payload() == "whole\n"


@pytest.mark.parametrize("dsn", [" RET=HDRS", " REQUIRETLS"])
def test_only_the_header_is_returned(bouncing, dsn):
    bouncing.inject(envelope=envelope([(f"gone@{DOMAIN}", "")], dsn),
                    body=b"Subject: x\n\nsecret\n")
    job, = wait_reports(bouncing, 1)
    assert b"secret" not in job.message
    assert job.needs_tls == (dsn == " REQUIRETLS")


def test_never_is_silent(bouncing):
    bouncing.inject(envelope=envelope([(f"gone@{DOMAIN}", " NOTIFY=NEVER"),
                                       (f"u@{DOMAIN}", " NOTIFY=NEVER")]))
    bouncing.inject(envelope=envelope(
        [(f"u@{DOMAIN}", " NOTIFY=SUCCESS")], sender=""))
    wait_reports(bouncing, 0)
    assert "bounce" not in bouncing.log()


def test_bad_parameters_are_no_envelope(queue):
    queue.start()
    for bad in (" NOTIFY=NEVER\r\nDATA", " NOTIFY=SOMETIMES", "NOTIFY=NEVER"):
        queue.inject(envelope=envelope([(f"u@{DOMAIN}", bad)]), code=79)
    assert queue.is_empty()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("is_tried", [True, False])
def test_what_is_to_be_told_survives(queue, end, is_tried):
    """In the journal, todo/ and info/; also through queue-fix."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    if is_tried:
        queue.worker(lambda job: ("Z", "later\n"))
    queue.inject(envelope=envelope(
        [("far@remote.example", " NOTIFY=DELAY"),
         (f"a@{DOMAIN}", ""),
         (f"b@{DOMAIN}", " NOTIFY=SUCCESS ORCPT=rfc822;b@example.org"),
         (f"c@{DOMAIN}", " NOTIFY=NEVER")], " RET=HDRS ENVID=x1"))
    if is_tried:
        queue.wait_files(info=1, local=1)
    queue.stop(end)
    queue.fix()
    assert len(queue.messages()) == 1
    if is_tried:
        number, = queue.files("info")
        assert b"NOTIFY" not in queue.path("local", number).read_bytes()
    queue.start()
    queue.worker(lambda job: ("D", "no (#5.1.1)\n")
                 if job.extension in "ac" else ("K", "ok\n"))
    far = queue.worker(lambda job: ("K", "ok\n"), channel="r")
    try_until(queue, queue.is_empty, "no message is left")
    job, = wait_reports(queue, 1)
    _, _, status, _ = parse(job)
    assert sorted(groups(status)) == [("a", "failed", "5.1.1"),
                                      ("b", "delivered", "2.0.0")]
    assert status[0]["Original-Envelope-Id"] == "x1"
    assert [(one.dsn, one.rcpt_dsn) for one in far.jobs] == [
        (" RET=HDRS ENVID=x1", " NOTIFY=DELAY")]
    assert {one.extension: one.rcpt_dsn for one in queue.workers[0].jobs
            if one.extension in "abc"} == {
        "a": "", "b": " NOTIFY=SUCCESS ORCPT=rfc822;b@example.org",
        "c": " NOTIFY=NEVER"}


def test_success_of_one_try_and_failure_of_another(queue):
    """Notes of both are remembered meanwhile, in bounce/."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    queue.worker(lambda job: ("Z", "later\n") if job.extension == "b"
                 else ("K", "ok\n"))
    queue.inject(envelope=envelope([(f"a@{DOMAIN}", " NOTIFY=SUCCESS"),
                                    (f"b@{DOMAIN}", "")]))
    queue.wait_files(info=1, local=1, bounce=1)
    number, = queue.files("bounce")
    assert queue.path("bounce", number).read_bytes().startswith(
        f"<a@{DOMAIN}>:\nDSN: delivered ".encode())
    queue.stop(signal.SIGKILL)
    queue.start()
    queue.worker(lambda job: ("D", "no (#5.1.1)\n")
                 if job.extension == "b" else ("K", "ok\n"))
    try_until(queue, queue.is_empty, "no message is left")
    job, = wait_reports(queue, 1)
    assert groups(parse(job)[2]) == [("a", "delivered", "2.0.0"),
                                     ("b", "failed", "5.1.1")]


def test_import_keeps_what_is_to_be_told(queue):
    """The records of a message that comes from another queue or node."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    client = Intake(queue)
    record = (f"a3\0nDSN\0e ENVID=moved\0F{SENDER}\0"
              f"r NOTIFY=SUCCESS\0Da@{DOMAIN}\0"
              f"r NOTIFY=SUCCESS\0Tb@{DOMAIN}\0").encode()
    record = record.replace(b"nDSN", f"n<a@{DOMAIN}>:\nDSN: delivered "
                            "1700000000\n\n".encode())
    body = b"Subject: x\n\nx\n"
    assert client.commit(body, record=record, is_import=True)[0] == 0
    queue.worker()
    job, = wait_reports(queue, 1)
    _, _, status, _ = parse(job)
    assert status[0]["Original-Envelope-Id"] == "moved"
    assert groups(status) == [("a", "delivered", "2.0.0"),
                              ("b", "delivered", "2.0.0")]
    assert status[1]["Last-Attempt-Date"].startswith("Tue, 14 Nov 2023")


def test_relayed_unless_the_next_hop_tells(queue):
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    queue.worker()
    far = queue.worker(lambda job: ("K", "ok\n", "knows" in job.recipient),
                       channel="r")
    queue.inject(envelope=envelope(
        [("a@knows.example", " NOTIFY=SUCCESS"),
         ("b@not.example", " NOTIFY=SUCCESS")], " ENVID=e"))
    job, = wait_reports(queue, 1)
    _, text, status, _ = parse(job)
    assert groups(status) == [("b", "relayed", "2.0.0")]
    assert "b@not.example" in text
    assert {one.rcpt_dsn for one in far.jobs} == {" NOTIFY=SUCCESS"}


def test_remote_reply_is_taken_apart(queue):
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    queue.worker()
    queue.worker(lambda job: ("D", "192.0.2.7 does not like recipient.\n"
                              "Remote host said: 550 5.7.26 go away\n"
                              "Giving up on 192.0.2.7.\n"), channel="r")
    queue.inject(["a@far.example"], sender=SENDER)
    job, = wait_reports(queue, 1)
    _, _, (_, group), _ = parse(job)
    assert group["Status"] == "5.7.26"
    assert group["Remote-MTA"] == "dns; [192.0.2.7]"
    assert group["Diagnostic-Code"] == "smtp; 550 5.7.26 go away"


# -- delays

def test_delay_is_told_once(queue):
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.set("delaynotice", "1")
    queue.start()
    queue.worker(lambda job: ("K", "ok\n") if job.sender == ""
                 else ("Z", "busy (#4.4.1)\n"))
    queue.inject(envelope=envelope(
        [(f"a@{DOMAIN}", " ORCPT=rfc822;a@example.org"),
         (f"b@{DOMAIN}", " NOTIFY=FAILURE"),
         (f"c@{DOMAIN}", " NOTIFY=DELAY")]), body=b"Subject: x\n\nsecret\n")
    queue.wait_files(info=1, local=1)
    number, = queue.files("info")
    try_until(queue, lambda: b"\0W10\0" in queue.path(
        "info", number).read_bytes(), "a notice")
    job, = [job for job in queue.workers[0].jobs if job.sender == ""]
    message, text, status, _ = parse(job)
    assert message["Subject"] == "delay notice"
    assert groups(status) == [("a", "delayed", "4.4.1"),
                              ("c", "delayed", "4.4.1")]
    until = email.utils.parsedate_to_datetime(status[1]["Will-Retry-Until"])
    assert abs(until.timestamp() - time.time() - 604800) < 60
    assert status[1]["Original-Recipient"] == "rfc822; a@example.org"
    assert b"secret" not in job.message and "still trying" in text
    # Neither the next try nor the next process tells it again.
    for _ in range(2):
        queue.stop()
        queue.start()
        queue.worker(lambda job: ("K", "ok\n") if job.sender == ""
                     else ("Z", "busy (#4.4.1)\n"))
        try_until(queue, lambda: len(queue.workers[0].jobs) >= 6,
                  "two tries")
        assert all(job.sender for job in queue.workers[0].jobs)


def test_bounces_have_a_lifetime_of_their_own(queue):
    queue.set("bouncelifetime", "0")
    queue.set("doublebounceto", "")
    bounce, mail = (queue.put_remembered(
        sender, local=[f"{DOMAIN}-u@{DOMAIN}"], age=100)
        for sender in ("", SENDER))
    queue.start()
    queue.worker(lambda job: ("Z", "later\n"))
    queue.wait_log(f"^double bounce: discarding bounce/{bounce}$")
    queue.wait_files(info=1)
    assert list(queue.files("info")) == [str(mail)]


# -- settings

def test_words_and_names_of_bounces(bouncing):
    for name, value in {
            "bouncefrom": "postman", "bouncehost": "example.org",
            "bouncesubject": "it came back",
            "bouncemessage": "Call us:\n# not this\n+1 555",
            "doublebouncesubject": "twice",
            "doublebouncemessage": "Nobody is there.",
            "doublebounceto": "boss", "doublebouncehost": DOMAIN}.items():
        bouncing.set(name, value)
    bouncing.send_signal(HUP)
    bouncing.inject([f"gone@{DOMAIN}"], sender="gone@example.net")
    first, double = wait_reports(bouncing, 2)
    message, text, _, _ = parse(first, "postman@example.org")
    assert message["Subject"] == "it came back"
    assert ("mail.example.test.\nCall us:\n+1 555\n\n<gone@") in text
    message, text, _, _ = parse(double, "postman@example.org")
    assert double.recipient == f"{DOMAIN}-boss@{DOMAIN}"
    assert message["Subject"] == "twice" and "Nobody is there.\n\n<" in text


def test_triple_bounce_ends(bouncing):
    bouncing.set("doublebounceto", f"gone-boss@{DOMAIN}".split("@")[0])
    bouncing.set("doublebouncehost", DOMAIN)
    bouncing.send_signal(HUP)
    bouncing.inject([f"gone@{DOMAIN}"], sender="gone@example.net")
    wait_reports(bouncing, 2)
    bouncing.wait_log(r"^triple bounce: discarding bounce/\d+$")
    bouncing.wait_done()


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_bounceprocessor_is_run_for_each_failure(bouncing):
    ran = bouncing.home / "ran"
    bouncing.set("bounceprocessor", program(
        bouncing.home / "processor",
        f'cat "$1" >>{ran}\nshift\nprintf "%s|" "$@" >>{ran}\nexit 3'))
    bouncing.send_signal(HUP)
    bouncing.inject([f"gone1@{DOMAIN}", f"u@{DOMAIN}", f"gone2@{DOMAIN}"],
                    sender=SENDER, body=b"Subject: x\n\nmessage\n")
    wait_reports(bouncing, 1)
    found = ran.read_text()
    for number in (1, 2):
        assert ("\n\nmessage\nSorry, no mailbox here. (#5.1.1)\n||"
                f"gone{number}@{DOMAIN}|{SENDER}|") in found
    bouncing.wait_log("^warning: bounceprocessor failed for message", 2)


def test_bounces_go_to_a_queue_of_their_own(bouncing, make_queue):
    other = Queue(make_queue().home, bouncing.home / "bounces/queue1")
    other.set("virtualdomains", f"example.net:{DOMAIN}")
    other.start()
    other.worker()
    bouncing.set("bouncequeue", other.dir)
    bouncing.send_signal(HUP)
    bouncing.inject(envelope=envelope([(f"gone@{DOMAIN}", "")],
                                      " REQUIRETLS"))
    job, = wait_reports(other, 1)
    assert job.recipient == f"{DOMAIN}-{SENDER}" and job.needs_tls
    bouncing.wait_log(r"^bounce msg \d+ qp \d+$")
    bouncing.wait_done()
    # It waits while that queue is down.
    other.stop()
    bouncing.inject([f"gone@{DOMAIN}"], sender=SENDER)
    bouncing.wait_log("cannot hand a bounce to the queue for bounces")
    other.start()
    other.worker()
    wait_reports(other, 1)
    bouncing.wait_done()
    # A folder of queues, and a program.
    bouncing.set("bouncequeue", other.dir.parent)
    bouncing.send_signal(HUP)
    bouncing.inject([f"gone@{DOMAIN}"], sender=SENDER)
    wait_reports(other, 2)
    got = bouncing.home / "got"
    bouncing.set("bouncequeue", program(bouncing.home / "queue-program",
                                        f"cat >{got}; cat <&1 >>{got}"))
    bouncing.send_signal(HUP)
    bouncing.inject([f"gone@{DOMAIN}"], sender=SENDER)
    bouncing.wait_done()
    wait_until(lambda: got.exists() and got.read_bytes().endswith(
        b"\nF\0T%s\0\0" % SENDER.encode()), lambda: got.read_bytes())
    other.stop()


def test_rules_choose_for_a_bounce(bouncing):
    (bouncing.home / "control/bounce.envrules").write_text(
        "news@*:NULLQUEUE=1\n")
    bouncing.send_signal(HUP)
    bouncing.inject([f"gone@{DOMAIN}"], sender="news@example.net")
    bouncing.wait_log(r"^bounce msg ")
    bouncing.wait_done()
    bouncing.inject([f"gone@{DOMAIN}"], sender=SENDER)
    job, = wait_reports(bouncing, 1)
    assert job.recipient.endswith(SENDER)


def test_a_delay_says_the_lifetime_of_its_domain(queue):
    queue.set("virtualdomains", f"example.net:{DOMAIN}")
    queue.set("delaynotice", "1")
    queue.set("queuelifetimes", "short.test:5000")
    queue.start()
    queue.worker(lambda job: ("K", "ok\n"))
    queue.worker(lambda job: ("Z", "later\n"), channel="r")
    queue.inject(["a@short.test"], sender=SENDER)
    queue.wait_files(info=1, remote=1)
    try_until(queue, lambda: queue.workers[0].jobs, "a notice")
    _, _, status, _ = parse(queue.workers[0].jobs[0])
    arrived, until = (
        email.utils.parsedate_to_datetime(str(group[name])) for group, name in (
            (status[0], "Arrival-Date"), (status[1], "Will-Retry-Until")))
    assert (until - arrived).total_seconds() == 5000


def test_a_step_of_the_schedule(queue):
    queue.set("retrysteplocal", "5")
    queue.set("retrysteps", ".example:7\nfar.test:3")
    queue.start()
    queue.worker(lambda job: ("Z", "later\n"))
    queue.worker(lambda job: ("Z", "later\n"), channel="r")
    queue.inject([f"a@{DOMAIN}", "x@mail.example"])
    queue.inject(["x@mail.example", "y@FAR.test"])
    queue.inject(["x@other.test"])
    queue.wait_files(info=3, local=1, remote=3)

    def steps(folder):
        return sorted(round((path.stat().st_mtime -
                             queue.path("mess", name).stat().st_mtime) ** .5)
                      for name, path in queue.files(folder).items())

    assert [step in (5, 6) for step in steps("local")] == [True]
    assert all(step - wanted in (0, 1, 2) for step, wanted in
               zip(steps("remote"), (3, 7, 20))), steps("remote")


# -- over SMTP

@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1) as made:
        yield made


def refused(client, line):
    return str(client.say(line)).split(" (")[0]


def test_parameters_over_smtp(node):
    with Client(node.smtp_port) as client:
        assert any("DSN" in line for line in client.hello().lines)
        for bad in ("RET=ALL", "ENVID=", "ENVID=+2", "ENVID=" + "x" * 101,
                    "RET=FULL RET=FULL"):
            assert refused(client, f"MAIL FROM:<a@b.example> {bad}") == (
                "501 5.5.4 invalid parameter syntax"), bad
        assert refused(client, "MAIL FROM:<a@b.example> REQUIRETLS") == (
            "555 5.5.4 parameter not implemented")
        client.ok("MAIL FROM:<a@b.example> RET=hdrs ENVID=" + "x" * 100)
        for bad in ("NOTIFY=NEVER,SUCCESS", "NOTIFY=", "NOTIFY=X",
                    "ORCPT=rfc822", "ORCPT=rfc822;a=b",
                    "ORCPT=rfc822;" + "x" * 500):
            assert refused(client, f"RCPT TO:<alice@{node.domain}> {bad}") \
                == "501 5.5.4 invalid parameter syntax", bad
        client.ok(f"RCPT TO:<alice@{node.domain}> NOTIFY=success,delay "
                  "ORCPT=rfc822;a+2Bb@c.example")
    with Client(node.smtp_port) as client:
        client.ok("HELO x")
        assert refused(client, "MAIL FROM:<a@b.example> RET=FULL") == (
            "555 parameter not implemented")
        client.ok("MAIL FROM:<a@b.example>")
        assert refused(client, f"RCPT TO:<alice@{node.domain}> "
                       "NOTIFY=NEVER") == "555 parameter not implemented"


@pytest.mark.parametrize("hello", ["EHLO", "LHLO"])
def test_a_delivery_is_told_of(node, hello):
    """Local virtual users, from SMTP to the report in the sender's Maildir."""
    before = len(node.messages("bob"))
    with Client(node.lmtp_port if hello == "LHLO" else
                node.smtp_port) as client:
        client.hello(hello)
        client.ok(f"MAIL FROM:<bob@{node.domain}> ENVID=mine")
        client.ok(f"RCPT TO:<alice@{node.domain}> NOTIFY=SUCCESS")
        client.ok(f"RCPT TO:<alice@{node.domain}> NOTIFY=NEVER")
        assert client.data("Subject: told\r\n\r\nsecret\r\n.\r\n").code == 250
    report = node.wait_messages("bob", before + 1)[-1]
    message = email.message_from_bytes(report, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    status = list(message.iter_parts())[1].get_payload()
    assert status[0]["Original-Envelope-Id"] == "mine"
    assert groups(status) == [("alice", "delivered", "2.0.0")]
    node.wait_empty()


def test_unknown_user_over_smtp(node):
    before = len(node.messages("bob"))
    with node.smtp() as client:
        client.ehlo()
        assert client.has_extn("dsn")
        for notify in ("NEVER", "FAILURE"):
            client.mail(f"bob@{node.domain}", ["RET=HDRS"])
            assert client.rcpt(f"alice@{node.domain}", [])[0] == 250
            # Known at RCPT, so it has gone by delivery.
            node.run("vadduser", f"brief-{notify.lower()}@{node.domain}",
                     "secret")
            assert client.rcpt(f"brief-{notify.lower()}@{node.domain}",
                               [f"NOTIFY={notify}"])[0] == 250
            node.run("vdeluser", "-f", f"brief-{notify.lower()}@{node.domain}")
            client.data("Subject: x\r\n\r\nsecret\r\n")
    report = node.wait_messages("bob", before + 1)[-1]
    message = email.message_from_bytes(report, policy=email.policy.default)
    status = list(message.iter_parts())[1].get_payload()
    assert [group[:2] for group in groups(status)] == [
        ("brief-failure", "failed")]
    assert b"secret" not in report.split(b"Below this line")[1]
    node.wait_empty()


def test_requiretls_is_offered_under_tls_alone(node):
    (node.control / "requiretls").write_text("1\n")
    subprocess.run(["svc", "-h", *(node.home / "service").glob("*smtpd*")],
                   check=True, timeout=60)

    def is_offered():
        with Client(node.smtp_port) as client:
            lines = client.hello().lines
            assert not any("REQUIRETLS" in line for line in lines)
            client.start_tls(any_certificate())
            if not any("REQUIRETLS" in line for line in client.hello().lines):
                return False
            client.ok("MAIL FROM:<a@b.example> REQUIRETLS")
            return True

    wait_until(is_offered, "REQUIRETLS is offered")
