# SPDX-License-Identifier: ISC
"""Reports about addresses and texts that are hard to tell, as Python's email reads
them: quotes, UTF-8 (RFC 6533), what is asked for, what remote hosts say."""
import email
import email.policy
import signal

import pytest

from node import wait_until
from queue_peer import DOMAIN
from test_53_queue_bounce import bouncing, parse, reports, wait_reports
from test_73_dsn import SENDER, envelope, groups

__all__ = ["bouncing"]


def types_of(job):
    """The report, and the types of its three parts."""
    message = email.message_from_bytes(job.message,
                                       policy=email.policy.default)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    parts = message.get_payload()
    assert parts[0].get_content_type() == "text/plain"
    # RFC 6522 3: it is the second part's subtype.
    assert message.get_param("report-type") == parts[1].get_content_subtype()
    return message, [part.get_content_type() for part in parts[1:]]


def fields(part):
    """The groups of fields of a message/global-delivery-status."""
    text = part.as_bytes().decode().split("\n\n", 1)[1]
    return [email.message_from_string(group, policy=email.policy.default)
            for group in text.strip().split("\n\n")]


# -- local parts that need quotes

@pytest.mark.parametrize("local, shown", [
    ("gone away", '"gone away"'), ('gone"quote', '"gone\\"quote"'),
    ("gone@at", '"gone@at"'), ("gone..dots", '"gone..dots"'),
    ("gone<x>", '"gone<x>"'), ("gone\\x", '"gone\\\\x"')])
def test_quoted_local_parts(bouncing, local, shown):
    """In all that shows them; the report goes to the address without."""
    bouncing.inject([f"{local}@{DOMAIN}"], sender=f"{local[4:]}x y@example.net")
    job, = wait_reports(bouncing, 1)
    assert job.recipient == f"{DOMAIN}-{local[4:]}x y@example.net"
    message, text, (_, group), original = parse(job)
    assert f"\n<{shown}@{DOMAIN}>:\n" in text
    assert group["Final-Recipient"] == f"rfc822; {shown}@{DOMAIN}"
    to, = message["To"].addresses
    assert (to.username, to.domain) == (f"{local[4:]}x y", "example.net")
    assert original.get_payload(0)["Return-Path"].startswith('<"')


# -- UTF-8

def test_utf8_recipient(bouncing):
    bouncing.inject([f"gone-grüße@{DOMAIN}", f"gone-ascii@{DOMAIN}"],
                    sender=SENDER, body="Subject: Grüße\n\nKörper\n".encode())
    job, = wait_reports(bouncing, 1)
    message, types = types_of(job)
    assert types == ["message/global-delivery-status", "message/global"]
    status, original = message.get_payload()[1:]
    assert status["Content-Transfer-Encoding"] == "8bit"
    head, *rest = fields(status)
    assert head["Reporting-MTA"] == "dns; mail.example.test"
    assert sorted(str(group["Final-Recipient"]) for group in rest) == [
        f"rfc822; gone-ascii@{DOMAIN}", f"utf-8; gone-grüße@{DOMAIN}"]
    assert {group["Action"] for group in rest} == {"failed"}
    assert {group["Status"] for group in rest} == {"5.1.1"}
    assert str(original.get_payload(0)["Subject"]) == "Grüße"
    assert f"<gone-grüße@{DOMAIN}>:".encode() in job.message


def test_utf8_sender(bouncing):
    """The fields are ASCII; the header of the original is not."""
    bouncing.inject([f"gone@{DOMAIN}"], sender="jörg@example.net")
    job, = wait_reports(bouncing, 1)
    assert job.recipient == f"{DOMAIN}-jörg@example.net"
    message, types = types_of(job)
    assert types == ["message/delivery-status", "message/global"]
    assert "To: <jörg@example.net>\n".encode() in job.message


def test_only_a_utf8_header_is_returned(bouncing):
    bouncing.inject(envelope=envelope([(f"gone@{DOMAIN}", "")], " RET=HDRS"),
                    body="Subject: Grüße\n\nsecret\n".encode())
    job, = wait_reports(bouncing, 1)
    message, types = types_of(job)
    assert types == ["message/delivery-status", "message/global-headers"]
    assert b"secret" not in job.message


@pytest.mark.parametrize("body, wanted", [
    (b"Subject: Gr\xfc\xdfe\n\nx\n", "message/rfc822"),  # not UTF-8
    ("Subject: x\n\nKörper\n".encode(), "message/rfc822"),
    (b"Subject: x\n\nx\n", "message/rfc822")])
def test_what_is_not_global(bouncing, body, wanted):
    bouncing.inject([f"gone@{DOMAIN}"], sender=SENDER, body=body)
    job, = wait_reports(bouncing, 1)
    assert types_of(job)[1] == ["message/delivery-status", wanted]
    assert body in job.message


def test_bytes_that_are_no_utf8_are_no_fields(queue):
    """A host's or a program's words; people see them as they are."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\nexample.net:{DOMAIN}")
    note = b"<gone@%s>:\nGr\xfc\xdfe \xc3\xa4 (#5.1.1)\n\n" % DOMAIN.encode()
    queue.put_remembered(sender=SENDER, local=[f"{DOMAIN}-u@{DOMAIN}"],
                         bounce=note)
    queue.start()
    queue.worker()
    job, = wait_reports(queue, 1)
    message, types = types_of(job)
    assert types[0] == "message/global-delivery-status"
    _, group = fields(message.get_payload(1))
    assert group["Diagnostic-Code"] == "X-mqmail; Gr??e ä (#5.1.1)"


# -- what remote hosts say

@pytest.mark.parametrize("text, host, status", [
    ("192.0.2.7 does not like recipient.\nRemote host said: 550 5.1.1 no\n",
     "[192.0.2.7]", "5.1.1"),
    ("192.0.2.7 failed after I sent the message.\n"
     "Remote host said: 554-5.6.0 first\n554 5.6.0 second\n",
     "[192.0.2.7]", "5.6.0"),
    ("Connected to 2001:db8::1 but sender was rejected.\n"
     "Remote host said: 550 no\n", "[2001:db8::1]", "5.0.0"),
    ("mx.far.example does not like recipient.\n"
     "Remote host said: 550 5.7.1 no\nGiving up on 192.0.2.8.\n",
     "[192.0.2.8]", "5.7.1"),
    ("Sorry, I couldn't find any host. (#5.1.2)\n", None, "5.1.2")])
def test_remote_host_is_named(queue, text, host, status):
    queue.set("virtualdomains", f"example.net:{DOMAIN}")
    queue.start()
    queue.worker()
    queue.worker(lambda job: ("D", text), channel="r")
    queue.inject(["a@far.example"], sender=SENDER)
    job, = wait_reports(queue, 1)
    _, _, (_, group), _ = parse(job)
    assert group["Status"] == status
    assert group["Remote-MTA"] == (host and f"dns; {host}")
    assert group["Diagnostic-Code"].startswith(
        "smtp; 55" if host else "X-mqmail; ")


# -- what is asked for

@pytest.mark.parametrize("ret, whole", [("", True), (" RET=FULL", True),
                                        (" RET=HDRS", False)])
@pytest.mark.parametrize("notify, wanted", [
    ("", [("gone", "failed")]),
    (" NOTIFY=NEVER", []),
    (" NOTIFY=FAILURE", [("gone", "failed")]),
    (" NOTIFY=DELAY", []),
    (" NOTIFY=SUCCESS", [("u", "delivered")]),
    (" NOTIFY=SUCCESS,FAILURE", [("gone", "failed"), ("u", "delivered")])])
def test_each_notify_with_each_ret(bouncing, notify, wanted, ret, whole):
    bouncing.inject(envelope=envelope(
        [(f"gone@{DOMAIN}", notify), (f"u@{DOMAIN}", notify)], ret),
        body=b"Subject: x\n\nsecret\n")
    found = wait_reports(bouncing, min(len(wanted), 1))
    if not wanted:
        return
    _, _, status, _ = parse(found[0])
    assert sorted(group[:2] for group in groups(status)) == wanted
    has_failure = ("gone", "failed") in wanted
    assert (b"secret" in found[0].message) == (whole and has_failure)


# -- bounces of bounces

def test_a_double_bounce_of_a_quoted_utf8_sender(bouncing):
    """Its report cannot be delivered; postmaster sees both addresses."""
    bouncing.inject([f"gone one@{DOMAIN}"], sender="gone grüße@example.net")
    first, double = wait_reports(bouncing, 2)
    assert first.recipient == f"{DOMAIN}-gone grüße@example.net"
    assert double.sender == "#@[]"
    message, types = types_of(double)
    assert types == ["message/global-delivery-status", "message/global"]
    _, group = fields(message.get_payload(1))
    assert group["Final-Recipient"] == 'utf-8; "gone grüße"@example.net'
    inner = message.get_payload(2).get_payload(0)
    assert inner["Return-Path"] == "<>"
    assert inner.get_content_type() == "multipart/report"


def test_nested_boundaries_differ(bouncing):
    """A report in a report: each of the parts is where it belongs."""
    bouncing.inject([f"gone@{DOMAIN}"], sender="gone-too@example.net",
                    body=b"Subject: innermost\n\nx\n")
    _, double = wait_reports(bouncing, 2)
    message = email.message_from_bytes(double.message)
    for depth in range(2):
        assert message.get_content_type() == "multipart/report", depth
        parts = message.get_payload()
        assert [part.get_content_type() for part in parts] == [
            "text/plain", "message/delivery-status", "message/rfc822"]
        message = parts[2].get_payload(0)
    assert message["Subject"] == "innermost"


def test_bouncemaxbytes_cuts_at_its_size(bouncing):
    """One byte more is too much, and 0 sets no limit."""
    def report(limit):
        bouncing.set("bouncemaxbytes", str(limit))
        bouncing.send_signal(signal.SIGHUP)
        before = len(reports(bouncing))
        bouncing.inject([f"gone@{DOMAIN}"], sender=SENDER,
                        body=b"Subject: big\n\n" + b"line\n" * 100)
        wait_until(lambda: len(reports(bouncing)) > before, bouncing.log)
        return reports(bouncing)[-1].message

    def original(message):
        return message.split(f"Return-Path: <{SENDER}>\n".encode())[1].rsplit(
            b"\n--", 2)[0]

    # Processes differ in the digits of their ids, which are in Received.
    size = len(original(report(0)))
    assert original(report(0)).endswith(b"line\n" * 100)
    assert original(report(size + 5)).endswith(b"line\n" * 100)
    cut = report(size - 5)
    assert b"Subject: big" in cut and b"line\n" not in cut
