# SPDX-License-Identifier: ISC
"""qmail-cdb, qmail-tcpto and qmail-tcpok, as an operator runs them."""
import socket
import struct
import time

import pytest


@pytest.fixture
def node(make_node):
    return make_node("--init-only")


def put_entry(node, address, failures, age_s, port=25):
    """As remote delivery notes it, in the first set of the table."""
    record = struct.pack("=16sHHIq", socket.inet_aton(address),
                         socket.AF_INET, port, failures,
                         int(time.time()) - age_s)
    with (node.home / "run/tcpto").open("ab") as table:
        table.write(record)


def test_what_did_not_answer_is_shown_and_forgotten(node):
    assert node.run("qmail-tcpto").stdout == ""
    put_entry(node, "192.0.2.1", 3, 100)
    put_entry(node, "192.0.2.2", 1, 100)
    one, two = node.run("qmail-tcpto").stdout.splitlines()
    assert one.startswith("192.0.2.1:25 timed out 10") and \
        "# recent timeouts: 3; left alone for " in one
    assert "# recent timeouts: 1; it is tried" in two
    (node.control / "tcptowait").write_text("50\n")
    assert "left alone" not in node.run("qmail-tcpto").stdout
    node.run("qmail-tcpok")
    assert node.run("qmail-tcpto").stdout == ""
    node.run("qmail-tcpok", "192.0.2.1:25")
    assert "usage" in node.run("qmail-tcpok", "192.0.2.1", code=100).stderr


def test_the_table_need_not_be_there(node):
    (node.home / "run/tcpto").unlink()
    assert node.run("qmail-tcpto").stdout == ""
    node.run("qmail-tcpok")
    assert not (node.home / "run/tcpto").exists()
    node.svctool("init", "--user", "root")
    assert (node.home / "run/tcpto").exists()


def test_compiled_files_are_judged(node):
    file = node.control / "moresmtproutes"
    file.write_text("a.test:relay.test\nb.test\n")
    done = node.run("qmail-cdb", "moresmtproutes", code=100)
    assert "moresmtproutes:2: 'b.test' has no ':'" in done.stderr
    found = node.svctool("check", code=1).stdout
    assert "moresmtproutes.cdb" in found
    assert "run qmail-cdb moresmtproutes" in found
    file.write_text("a.test:relay.test\n")
    node.run("qmail-cdb", "moresmtproutes")
    (node.control / "remote_auth").write_text("a@b.test joe secret\n")
    node.run("qmail-cdb", "remote_auth")
    assert (node.control / "remote_auth.cdb").stat().st_mode & 0o007 == 0
    (node.control / "outgoingip.a.test").write_text("127.0.0.1\n")
    assert "0 errors, 0 warnings" in node.svctool("check").stdout
    (node.control / "outgoingip.a.test").write_text("127.0.0.1\nme\n")
    found = node.svctool("check", code=1).stdout
    assert f"{node.control}/outgoingip.a.test:2: 'me' is not an IP" in found
    (node.control / "outgoingip.a.test").unlink()
    (node.control / "moresmtproutes.cdb").write_text("no cdb")
    found = node.svctool("check", code=1).stdout
    assert f"{node.control}/moresmtproutes.cdb: " in found
