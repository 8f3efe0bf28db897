# SPDX-License-Identifier: ISC
"""A domain that is not ASCII: U-label and A-label are one domain."""
import pytest

from node import wait_until

U, A = "bücher.test", "xn--bcher-kva.test"


def add(node, spelling):
    node.run("vadddomain", "-n", spelling)
    node.domain = A  # where node.maildir() looks


def send(node, *recipients):
    with node.smtp() as client:
        client.ehlo()
        assert client.docmd("MAIL", "FROM:<> SMTPUTF8")[0] == 250
        answers = []
        for recipient in recipients:
            client.send(f"RCPT TO:<{recipient}>\r\n".encode())
            answers.append(client.getreply())
        if 250 in [code for code, _ in answers]:
            client.data("Subject: test\n\nHello.\n")
    return answers


def codes(node, *recipients):
    return [code for code, _ in send(node, *recipients)]


@pytest.mark.parametrize("spelling", [U, A, U.upper()])
def test_mail_to_either_is_delivered(node, spelling):
    add(node, spelling)
    for other in (U, A, "BÜCHER.Test"):
        told = node.run("vadddomain", "-n", other, code=100).stderr
        assert f"the domain '{A}' exists already" in told
    node.run("vadduser", "-n", f"carol@{U}")
    node.run("vadduser", "-n", f"carol@{A}", code=100)
    assert (node.control / "rcpthosts").read_text().count("cher") == 1
    answers = send(node, f"carol@{U}", f"carol@{A}", f"Carol@{U.upper()}",
                   f"nobody@{U}")
    assert [code for code, _ in answers] == [250, 250, 250, 550]
    assert f"<nobody@{A}> is absent".encode() in answers[3][1]
    assert all(b"Delivered-To: " + A.encode() in message
               for message in node.wait_messages("carol", 1))
    node.wait_empty()
    node.run("vdeldomain", "-f", U)
    wait_until(lambda: codes(node, f"carol@{U}", f"carol@{A}") == [553, 553],
               "the domain is nobody's")


def test_lines_that_are_written_in_utf8(node):
    """As an operator's editor leaves them."""
    add(node, A)
    for name in ("rcpthosts", "virtualdomains"):
        file = node.control / name
        text = file.read_text()
        assert A in text
        file.write_text(text.replace(A, U, 1))  # the prefix stays
    node.run("vadddomain", "-n", U, code=100)
    node.svctool("stop")
    node.svctool("start")
    assert codes(node, f"postmaster@{U}", f"postmaster@{A}") == [250, 250]
    node.wait_messages("postmaster", 1)  # one mailbox, named twice
    node.run("vdeldomain", "-f", A)
    for name in ("rcpthosts", "virtualdomains"):
        assert "cher" not in (node.control / name).read_text()
