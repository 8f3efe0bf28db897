# SPDX-License-Identifier: ISC
"""Failure reports: their form, as Python's email reads it, and their ways."""
import email
import email.policy
import os
import signal
import uuid

import pytest

from node import wait_until
from queue_peer import DOMAIN


@pytest.fixture
def bouncing(queue):
    """A queue whose senders' domains are local, and a worker that fails
    recipients called gone... ."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}\n"
              f"mail.example.test:{DOMAIN}")
    queue.start()
    queue.worker(lambda job: ("D", "Sorry, no mailbox here. (#5.1.1)\n")
                 if job.extension.startswith("gone") else ("K", "ok\n"))
    return queue


def reports(queue):
    return [job for job in queue.workers[0].jobs
            if b"invoked for bounce" in job.message.split(b"\n")[0]]


def wait_reports(queue, count):
    wait_until(lambda: len(reports(queue)) >= count,
               lambda: f"{count} reports\n{queue.log()}")
    queue.wait_done()
    assert len(reports(queue)) == count
    return reports(queue)


def parse(job, sender="MAILER-DAEMON@mail.example.test"):
    """The parts of a report, checked for what every report has."""
    message = email.message_from_bytes(job.message,
                                       policy=email.policy.default)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["MIME-Version"] == "1.0"
    assert message["Date"].datetime and message["Message-ID"]
    assert message["From"].addresses[0].addr_spec == sender
    text, status, original = message.iter_parts()
    for part in (text, status, original):
        assert not part.defects
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    return message, text.get_content(), status.get_payload(), original


def test_report_of_two_of_three(bouncing):
    bouncing.inject([f"gone1@{DOMAIN}", f"u@{DOMAIN}", f"gone2@{DOMAIN}"],
                    sender="alice@example.net",
                    body=b"Subject: the original\nX-A: b\n\nbody\n")
    job, = wait_reports(bouncing, 1)
    assert job.sender == ""
    assert job.recipient == f"{DOMAIN}-alice@example.net"
    message, text, status, original = parse(job)
    assert message["To"].addresses[0].addr_spec == "alice@example.net"
    assert message["Subject"] == "failure notice"
    # QSBMF: its first line, and the one that ends it.
    assert text.startswith(
        "Hi. This is the qmail-send program at mail.example.test.\n")
    assert f"\n\n<gone1@{DOMAIN}>:\nSorry, no mailbox here. (#5.1.1)\n" in text
    assert "\n\n--- Below this line is a copy of the message." in text
    head, *fields = status
    assert head["Reporting-MTA"] == "dns; mail.example.test"
    assert head["Arrival-Date"]
    assert [(group["Final-Recipient"], group["Action"], group["Status"])
            for group in fields] == [
                (f"rfc822; gone{n}@{DOMAIN}", "failed", "5.1.1")
                for n in (1, 2)]
    inner = original.get_payload(0)
    assert inner["Subject"] == "the original"
    assert inner["Return-Path"] == "<alice@example.net>"
    assert inner.get_payload() == "body\n"


def test_large_original_is_cut_to_its_header(bouncing):
    bouncing.set("bouncemaxbytes", "2000")
    bouncing.send_signal(1)
    bouncing.inject([f"gone@{DOMAIN}"], body=b"Subject: big\n\n" +
                    b"line\n" * 1000)
    job, = wait_reports(bouncing, 1)
    assert len(job.message) < 4000
    _, text, _, original = parse(job)
    assert "header of the message" in text
    assert original.get_content_type() == "text/rfc822-headers"
    assert "Subject: big" in original.get_payload()
    assert "line" not in original.get_payload()


def test_eight_bit_original(bouncing):
    bouncing.inject([f"gone@{DOMAIN}"], body="Subject: ä\n\nöü\n".encode())
    job, = wait_reports(bouncing, 1)
    message, _, _, original = parse(job)
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert original["Content-Transfer-Encoding"] == "8bit"
    assert "öü\n".encode() in job.message


def test_double_bounce_goes_to_postmaster(bouncing):
    bouncing.inject([f"gone@{DOMAIN}"], sender="gone-too@example.net")
    first, double = wait_reports(bouncing, 2)
    assert first.recipient == f"{DOMAIN}-gone-too@example.net"
    assert double.sender == "#@[]"
    assert double.recipient == f"{DOMAIN}-postmaster@mail.example.test"
    _, text, _, original = parse(double)
    assert "the bounce bounced" in text
    assert original.get_payload(0)["Return-Path"] == "<>"


def test_triple_and_unwanted_double_bounces_are_discarded(bouncing):
    bouncing.inject([f"gone@{DOMAIN}"], sender="#@[]")
    bouncing.wait_log(r"^triple bounce: discarding bounce/\d+$")
    bouncing.set("doublebounceto", "")
    (bouncing.home / "control/doublebounceto").write_text("\n")
    bouncing.send_signal(1)
    bouncing.inject([f"gone@{DOMAIN}"], sender="")
    bouncing.wait_log(r"^double bounce: discarding bounce/\d+$")
    bouncing.wait_done()
    assert not reports(bouncing)


def test_words_and_addresses_of_an_operators_own(bouncing):
    for name, value in [
            ("bouncefrom", "mailer"), ("bouncehost", "bounce.example.test"),
            ("bouncesubject", "could not deliver"),
            ("doublebounceto", "ops"), ("doublebouncehost", "example.net"),
            ("doublebouncesubject", "could not report")]:
        bouncing.set(name, value)
    bouncing.send_signal(1)
    bouncing.inject([f"gone@{DOMAIN}"], sender="gone-too@example.net")
    first, double = wait_reports(bouncing, 2)
    message, *_ = parse(first, "mailer@bounce.example.test")
    assert message["Subject"] == "could not deliver"
    assert first.recipient == f"{DOMAIN}-gone-too@example.net"
    message, *_ = parse(double, "mailer@bounce.example.test")
    assert message["Subject"] == "could not report"
    assert double.recipient == f"{DOMAIN}-ops@example.net"
    assert message["To"].addresses[0].addr_spec == "ops@example.net"


def test_verp_sender_is_reported_to_its_list(bouncing):
    bouncing.inject([f"gone@{DOMAIN}"], sender="list-@example.net-@[]")
    job, = wait_reports(bouncing, 1)
    assert job.recipient == f"{DOMAIN}-list-@example.net"


def test_remembered_failures_are_reported_once_at_the_end(queue):
    """Notes of several tries, kept in bounce/ over a restart."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.start()
    queue.worker(lambda job: ("D", "no (#5.1.1)\n")
                 if job.extension == "gone1" else ("Z", "later\n"))
    queue.inject([f"gone1@{DOMAIN}", f"gone2@{DOMAIN}"])
    queue.wait_files(info=1, bounce=1)
    assert queue.stop() == 0
    queue.start()
    worker = queue.worker(lambda job: ("D", "no more (#5.2.0)\n")
                          if job.extension == "gone2" else ("K", "ok\n"))
    queue.hurry(queue.is_empty, "a try of the rest")
    job, = [job for job in worker.jobs if job.sender == ""]
    _, text, status, _ = parse(job)
    assert "<gone1@" in text and "<gone2@" in text
    assert [group["Status"] for group in status[1:]] == ["5.1.1", "5.2.0"]
    assert os.listdir(queue.dir / "bounce") == []


def test_too_old_is_reported(queue):
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    number = queue.put_remembered(sender="s@example.net", age=700000,
                                  local=[f"{DOMAIN}-u@{DOMAIN}"])
    young = queue.put_remembered(local=[f"{DOMAIN}-v@{DOMAIN}"], age=600000)
    queue.start()
    worker = queue.worker(lambda job: ("Z", "not now\n")
                          if job.sender else ("K", "ok\n"))
    wait_until(lambda: any(job.sender == "" for job in worker.jobs),
               lambda: f"a report\n{queue.log()}")
    _, text, _, _ = parse(next(job for job in worker.jobs
                               if job.sender == ""))
    assert "not now\nI'm not going to try again; this message has been in " \
        "the queue too long." in text
    queue.wait_log(f"^end msg {number}$")
    assert queue.path("info", young).exists()


@pytest.mark.parametrize("size, more", [(5 << 20, 3), (70 << 20, 1)])
def test_failures_that_no_report_has_room_for(queue, size, more):
    """One over 64 MiB was never read again, and its message never ended."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    note = b"<early@example.test>:\nno\n" + b"x" * 60000 + b"\n\n"
    notes = note * (size // len(note))
    number = queue.put_remembered(
        local=[f"{DOMAIN}-gone{n}@{DOMAIN}" for n in range(3)], bounce=notes)
    queue.start()
    worker = queue.worker(lambda job: ("D", "no more (#5.2.0)\n")
                          if job.extension.startswith("gone") else None)
    wait_until(lambda: worker.held, lambda: f"a report\n{queue.log()}")
    report = worker.held[0].message
    assert f"\n\nAnd at least {more} more, for which".encode() in report
    assert b"gone0@" not in report and len(report) < 9 << 20
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_log(f"^end msg {number}$")


def test_queuelifetime_of_an_operators_own(queue):
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    queue.set("queuelifetime", "3600")
    old, young = [queue.put_remembered(age=age, local=[f"{DOMAIN}-u@{DOMAIN}"])
                  for age in (4000, 2000)]
    queue.start()
    worker = queue.worker(lambda job: ("Z", "not now\n")
                          if job.sender else ("K", "ok\n"))
    queue.wait_log(f"^end msg {old}$")
    wait_until(lambda: any(job.message_id == young for job in worker.jobs),
               "the young one is tried")
    assert queue.path("info", young).exists()
    queue.set("queuelifetime", "1000")
    queue.send_signal(signal.SIGHUP)
    queue.hurry(lambda: not queue.path("info", young).exists(), "its end")
    assert len(wait_reports(queue, 2)) == 2


def test_lifetimes_of_domains(queue):
    """Each recipient has that of its domain, beside others of a message."""
    queue.set("virtualdomains", f"example.net:{DOMAIN}")
    queue.set("queuelifetime", "3600")
    queue.set("queuelifetimes", "short.test:1000\n.far.test:86400")
    kept = {queue.put_remembered(age=age, remote=[address])
            for age, address in ((2000, "a@other.test"),
                                 (5000, "a@x.far.test"))}
    ended = [queue.put_remembered(age=age, remote=addresses)
             for age, addresses in ((2000, ["b@Short.test"]),
                                    (2000, ["c@short.test", "d@other.test"]),
                                    (5000, ["e@other.test"]))]
    queue.start()
    queue.worker(lambda job: ("K", "ok\n"))
    far = queue.worker(lambda job: ("K", "ok\n")
                       if job.recipient.startswith("d@")
                       else ("Z", "not now\n"), channel="r")
    for number in ended:
        queue.wait_log(f"^end msg {number}$")
    wait_until(lambda: kept <= {job.message_id for job in far.jobs},
               "those that are kept are tried")
    failed = b"".join(job.message for job in reports(queue))
    assert len(reports(queue)) == 3
    assert all(b"Final-Recipient: rfc822; " + each in failed
               for each in (b"b@Short.test", b"c@short.test", b"e@other.test"))
    assert b"Final-Recipient: rfc822; d@" not in failed
    queue.wait_files(info=2)
    # By HUP, too; those that are due at once by the new settings.
    queue.set("queuelifetimes", "*:1000")
    queue.send_signal(signal.SIGHUP)
    queue.hurry(lambda: len(reports(queue)) == 5, "their end")


@pytest.mark.parametrize("damage", ["short", "long", "unreadable"])
def test_the_committed_length_decides(queue, damage):
    """Of a message whose end was interrupted: its report had what the file
    had, and nobody heard that something was missing."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    whole = b"Subject: x\n\nbegin\nend\n"
    number = queue.put_remembered(
        body=whole, bounce=b"<u@example.test>:\nno (#5.1.1)\n\n",
        info=b"Fs@example.net\0A000001\0I%s\0S%d\0" % (
            str(uuid.uuid4()).encode(), len(whole)))
    mess = queue.path("mess", number)
    mess.write_bytes({"short": whole[:18], "long": whole + b"more\n",
                      "unreadable": whole}[damage])
    if damage == "unreadable":
        queue.start("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P",
                    mess, "-e", "trace=pread64", "-e",
                    "inject=pread64:error=EIO")
    else:
        queue.start()
    worker = queue.worker()
    if damage != "long":
        queue.wait_log(f"^alert: cannot read mess/{number} for a bounce")
        queue.stop(signal.SIGKILL)
        assert worker.jobs == [] and queue.path("info", number).exists()
        mess.write_bytes(whole)
        queue.start()
        worker = queue.worker()
    job, = worker.wait_jobs(1)
    assert b">\n" + whole + b"\n--" in job.message
    queue.wait_done()
