# SPDX-License-Identifier: ISC
"""vdelivermail as a command of a .qmail file runs it."""

import os
import subprocess

import pytest

from delivery_peer import BIN, TIMEOUT, Node, message_file

MESSAGE = b"Subject: hello\n\nbody\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    return Node(tmp_path_factory.mktemp("node"), users=("alice", "bob"))


def deliver(node, stdin, *arguments, **environment):
    variables = {
        "EXT": "alice",
        "HOST": "example.test",
        "SENDER": "a@example.org",
        "RECIPIENT": "example.test-alice@example.test",
    }
    variables.update(environment)
    done = subprocess.run(
        [os.path.join(BIN, "vdelivermail"), *arguments], stdin=stdin,
        stdout=subprocess.PIPE, timeout=TIMEOUT, env=dict(
            node.environment,
            **{k: v for k, v in variables.items() if v is not None}))
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("arguments, environment, code, text", [
    (("", "bounce-no-mailbox"), {}, 0, ""),
    (("", "bounce-no-mailbox"), {"EXT": "ALICE"}, 0, ""),
    (("", "bounce-no-mailbox"), {"EXT": "nobody"}, 100,
     "no account nobody@example.test here by that name. (#5.1.1)\n"),
    (("", "delete"), {"EXT": "nobody"}, 0, ""),
    (("", "bob@example.test"), {"EXT": "nobody"}, 0, ""),
    (("", "x@example.org"), {"EXT": "nobody"}, 111, "Unable to forward message"),
    (("", "/etc"), {"EXT": "nobody"}, 111, "not below"),
    (("", "bounce-no-mailbox"), {"HOST": "other.test"}, 111, "other.test"),
    (("", "bounce-no-mailbox"), {"EXT": None}, 111, "EXT"),
    (("", "bounce-no-mailbox"), {"OVERQUOTA_MAILSIZE": "1k"}, 111,
     "OVERQUOTA_MAILSIZE"),
    (("", "bounce-no-mailbox"), {"MQMAIL_HOME": "/nonexistent"}, 111,
     "/nonexistent"),
    ((), {}, 111, "usage"),
    (("bounce-no-mailbox",), {}, 111, "usage"),
    (("", "explode"), {}, 111, "usage"),
    (("x", "delete"), {}, 111, "usage"),
])
def test_exit_codes(node, tmp_path, arguments, environment, code, text):
    message = message_file(tmp_path, MESSAGE)
    result = deliver(node, message, *arguments, **environment)
    os.close(message)
    assert result[0] == code, result
    assert text in result[1]
    assert code != 0 or result[1] == ""


def test_the_message_from_a_file_and_from_a_pipe(node, tmp_path):
    node.add_user("carol")
    large = MESSAGE + b"line\n" * 50000
    environment = {
        "EXT": "carol", "RECIPIENT": "example.test-carol@example.test"}
    message = message_file(tmp_path, large)
    assert deliver(node, message, "", "delete", **environment)[0] == 0
    # qmail-local's descriptor may stand anywhere.
    os.lseek(message, 100, os.SEEK_SET)
    assert deliver(node, message, "", "delete", **environment)[0] == 0
    with subprocess.Popen(["cat", str(tmp_path / "message")],
                          stdout=subprocess.PIPE) as cat:
        assert deliver(
            node, cat.stdout, "", "delete", **environment)[0] == 0
    assert node.messages("carol") == 3 * [
        b"Return-Path: <a@example.org>\n"
        b"Delivered-To: example.test-carol@example.test\n" + large]
