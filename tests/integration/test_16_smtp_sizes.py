# SPDX-License-Identifier: ISC
"""A message arrives byte for byte, whatever its size: in one packet to the
queue or in many, in the journal or in a file, in one packet to the worker or
by a descriptor, in memory there or not."""
import random

import pytest

from node import wait_until
from smtp_peer import shared_node, smtpd
from test_11_smtp_message import Inbox, strip_fields

PACKET = 60000
# Of the whole message, or of its text alone: both may be what a limit counts.
BORDERS = [4096, 16384, PACKET - 64, PACKET, 131072, 2 * 131072, 524288,
           1 << 20]
SIZES = sorted({0, 1, 2, *range(47000, 61001, 1000),
                *(border + more for border in BORDERS
                  for more in (-1, 0, 1))})


@pytest.fixture(scope="module")
def node():
    with shared_node("--queues", 1, "--default-journal") as made:
        yield made


def make_text(size):
    """So many bytes of all kinds but CR, in lines as stored, some with dots."""
    source = random.Random(size)
    text = bytearray(source.randbytes(size).replace(b"\r", b"\0"))
    for at in range(0, size, 700):
        text[at:at + 1] = source.choice((b"\n", b"."))
    if size > 0:
        text[-1:] = b"\n"
    return bytes(text)


def on_the_wire(text):
    lines = text.split(b"\n")[:-1]
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n"
                    for line in lines) + b".\r\n"


def send(client, text, user="alice"):
    client.ok("MAIL FROM:<sender@example.net>")
    client.ok(f"RCPT TO:<{user}@example.test>")
    assert client.data(on_the_wire(text)).code == 250


@pytest.fixture(scope="module")
def received(node, server):
    """How long our own line is, which counts in the queue."""
    with server.client() as client:
        client.hello()
        send(client, b"x\n", "bob")
    message, = node.wait_messages("bob", 1)
    return (len(message) - message.index(b"Received: ") -
            len(strip_fields(message)))


@pytest.mark.parametrize("is_kept", [False, True], ids=["fresh", "kept"])
def test_sizes_around_every_border(node, client, received, is_kept):
    inbox = Inbox(node)
    texts = [make_text(size) for size in SIZES]
    texts += [make_text(size - received) for size in SIZES if size > received]
    if is_kept:
        node.svctool("queue", "hold", "queue1")
    client.hello()
    for text in texts:
        send(client, text)
    if is_kept:
        kept = node.queue_dir("queue1") / "info"
        wait_until(lambda: len(list(kept.glob("*/*"))) == len(texts),
                   "all have files")
        node.svctool("queue", "release", "queue1")
    assert sorted(inbox.take(len(texts))) == sorted(texts)


def test_forty_megabytes(node, client):
    inbox = Inbox(node)
    text = make_text(40_000_000)
    client.hello()
    send(client, text)
    assert inbox.take() == [text]
