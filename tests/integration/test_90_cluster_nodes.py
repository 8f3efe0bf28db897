# SPDX-License-Identifier: ISC
"""Nodes become a cluster: svctool cluster init, token, join, leave, revoke."""
import json
import os
import stat
import subprocess

import pytest

import postgres as server
from node import BIN, ROOT, wait_until

pytestmark = pytest.mark.skipif(server.programs() is None,
                                reason="no PostgreSQL server on this host")


def old_database(postgres, name):
    """One with the first version of the schema; its connection string."""
    postgres.sql(f"CREATE DATABASE {name}", database="postgres")
    postgres.command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
                     postgres.conninfo(name), "-f",
                     ROOT / "lookupd/schema/001.sql")
    postgres.sql("INSERT INTO mq.schema_version (version) VALUES (1)", name)
    return postgres.conninfo(name)


def test_the_schema_is_upgraded_with_its_rows(make_node, postgres):
    node = make_node("--init-only")
    (node.control / "pgsql").write_text(old_database(postgres, "old") + "\n")
    postgres.sql("INSERT INTO mq.domains (name) VALUES ('example.test'); "
                 "INSERT INTO mq.users (domain_id, name, dir) "
                 "VALUES (1, 'postmaster', '/d/postmaster')", "old")
    done = node.svctool("db", "check", code=1)
    assert "svctool db upgrade" in done.stderr
    done = node.svctool("db", "upgrade")
    assert "from version 1 to 2" in done.stdout
    assert "as it should be" in node.svctool("db", "check").stdout
    assert postgres.sql("SELECT pw_name, host FROM hostcntrl", "old") == [
        ["postmaster", ""]]


def test_where_users_are(make_node, postgres):
    """The views of the reference, what is counted, and what is noted."""
    node = make_node("--init-only")
    conninfo = postgres.fresh_database(node.home)
    name = conninfo.split("dbname=")[1].split()[0]
    postgres.sql(
        "INSERT INTO mq.nodes (name, host, smtp_port) "
        "VALUES ('mail1', '192.0.2.1', 2525), ('mail2', '192.0.2.2', 2526); "
        "INSERT INTO mq.stores (name, node) VALUES ('s1', 'mail1'); "
        "INSERT INTO mq.domains (name, is_clustered, default_place) "
        "VALUES ('example.test', true, 's1'), ('own.test', false, ''); "
        "INSERT INTO mq.users (domain_id, name, dir, store_id) "
        "VALUES (1, 'postmaster', '/d/p', 1), (1, 'alice', '/d/a', 1), "
        "(2, 'postmaster', '/o/p', NULL)", name)
    assert postgres.sql("SELECT pw_name, pw_domain, host FROM hostcntrl "
                        "ORDER BY 2, 1", name) == [
        ["*", "example.test", "mail1"], ["alice", "example.test", "mail1"],
        ["postmaster", "example.test", "mail1"],
        ["postmaster", "own.test", ""]]
    assert postgres.sql("SELECT host, ipaddr FROM host_table ORDER BY 1",
                        name) == [["mail1", "192.0.2.1"],
                                  ["mail2", "192.0.2.2"]]
    assert postgres.sql("SELECT host, domain, port FROM smtp_port ORDER BY 1",
                        name) == [["mail1", "example.test", "2525"],
                                  ["mail2", "example.test", "2526"]]
    assert postgres.sql("SELECT domain, distributed, mdahost, dbname FROM "
                        "dbinfo ORDER BY 3", name) == [
        ["example.test", "1", "192.0.2.1", name],
        ["example.test", "1", "192.0.2.2", name]]
    assert "as it should be" in node.svctool("db", "check").stdout
    postgres.sql("UPDATE mq.users SET store_id = NULL WHERE name = 'alice'; "
                 "DELETE FROM mq.domains WHERE name = 'own.test'", name)
    assert postgres.sql("SELECT users FROM mq.store_users", name) == [["1"]]
    # A lease that goes on is no change; what others must know is one.
    postgres.sql("DELETE FROM mq.changes; UPDATE mq.nodes SET "
                 "lease_until = now() + '15 s'; "
                 "UPDATE mq.stores SET lease_until = now()", name)
    assert postgres.sql("SELECT kind FROM mq.changes", name) == []
    postgres.sql("UPDATE mq.nodes SET is_revoked = true WHERE name = 'mail2'; "
                 "UPDATE mq.stores SET node = NULL", name)
    assert postgres.sql("SELECT kind, domain, name FROM mq.changes "
                        "ORDER BY 1", name) == [["node", "", "mail2"],
                                                ["store", "", "s1"]]
    assert postgres.sql("SELECT name, is_alive FROM mq.live_nodes "
                        "ORDER BY 1", name) == [["mail1", "t"],
                                                ["mail2", "f"]]
