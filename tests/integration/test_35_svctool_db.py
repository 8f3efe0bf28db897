# SPDX-License-Identifier: ISC
"""A node with a database of its own, by svctool db local."""
import json
import os
import stat
import subprocess

import pytest

import postgres
from node import wait_until

pytestmark = pytest.mark.skipif(postgres.programs() is None,
                                reason="no PostgreSQL server on this host")


@pytest.fixture
def local(make_node):
    """A node that is not started yet, with its database."""
    node = make_node("--init-only")
    node.svctool("db", "local")
    return node


def is_up(node):
    return node.svctool("db", "status", code=None).returncode == 0


def test_it_is_made_once_and_lives_with_the_node(local):
    setting = local.control / "pgsql"
    assert stat.S_IMODE(setting.stat().st_mode) == 0o640
    assert (local.home / "pgsql").stat().st_uid != 0 or os.geteuid() != 0
    # A warning: its own database is down with the node.
    said = local.svctool("db", "status", code=None)
    assert said.returncode == 111
    assert f"the service '{local.home}/service/pgsql': svc -u" in said.stderr
    local.svctool("start")
    assert is_up(local)
    assert "nothing to do" in local.svctool("db", "local").stdout
    assert "as it should be" in local.svctool("db", "check").stdout
    local.run("vconvert", "--to", "pgsql")
    (local.control / "userstore").write_text("pgsql\n")
    # Nobody would ask it.
    done = local.svctool("check", code=1)
    assert "no service that asks the database" in done.stdout
    assert "no service that asks" in local.svctool("restart", code=1).stdout
    local.svctool("init")
    local.svctool("start")
    local.run("vadduser", "-n", f"carol@{local.domain}")
    done = local.run("vuserinfo", "--json", "-D", local.domain)
    assert {user["name"] for user in json.loads(done.stdout)} == {
        "postmaster", "alice", "bob", "carol"}
    assert local.svctool("check").stdout.endswith("0 errors, 0 warnings\n")
    # What is committed is there again, and nobody waits for clients.
    local.svctool("restart")
    assert is_up(local)
    assert local.run("vuserinfo", "-n", f"carol@{local.domain}").stdout
    assert "database system was shut down" in local.log("pgsql")
    assert "interrupted" not in local.log("pgsql")


def test_only_the_node_gets_in(local):
    """By a socket of known users, and by no port."""
    conf = local.home / "pgsql"
    assert (conf / "pg_hba.conf").read_text().splitlines()[1:] == [
        "local all all peer map=mqmail"]
    assert "listen_addresses = ''" in (
        conf / "postgresql.auto.conf").read_text()
    assert stat.S_IMODE(conf.stat().st_mode) == 0o700


def test_another_database_is_left(make_node):
    node = make_node("--init-only")
    (node.control / "pgsql").write_text("host=db.example.test\n")
    done = node.svctool("db", "local", code=1)
    assert "names another database" in done.stderr
    assert not (node.home / "service/pgsql").exists()


def test_a_node_for_tests_has_its_users_there(make_node):
    node = make_node("--store", "pgsql")
    assert (node.control / "userstore").read_text() == "pgsql\n"
    # No daemon of this version reads the database: the files are there, too.
    done = node.run("vuserinfo", "--json", "-D", node.domain)
    assert {user["name"] for user in json.loads(done.stdout)} == {
        "postmaster", "alice", "bob"}


def test_check_tells_of_rows_what_to_do_with_rows(make_node):
    node = make_node("--store", "pgsql")
    subprocess.run(
        [postgres.programs() / "psql", "-q", "-X", "-d",
         (node.control / "pgsql").read_text().strip(), "-c", "UPDATE mq.users "
         "SET dir = '/nonexistent/bob' WHERE name = 'bob'"],
        check=True, timeout=60)
    said = node.svctool("check", code=1).stdout
    assert "correct dir of the user in mq.users" in said
    assert "vmkpasswd" not in said
