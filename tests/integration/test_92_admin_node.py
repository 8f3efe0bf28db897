# SPDX-License-Identifier: ISC
"""The service admin of a whole node of root's, whose roles are users."""
import json
import shutil
import tempfile
from pathlib import Path

import pytest

import ports
import postgres
from admin_peer import PASSWORD
from node import wait_until
from test_48_roles import REASON, RoleNode, status_of

pytestmark = [
    pytest.mark.skipif(bool(REASON), reason=REASON),
    pytest.mark.skipif(postgres.programs() is None,
                       reason="no PostgreSQL server on this host")]


@pytest.fixture(scope="module")
def node(held_ports):
    base = Path(tempfile.mkdtemp(prefix="mq"))
    base.chmod(0o755)
    node = RoleNode(base)
    node.admin = ports.take(2)
    try:
        node.init("--create-users")
        node.read_ids()
        node.run("svctool", "db", "local")
        node.run("svctool", "start")
        node.run("vconvert", "--to", "pgsql")
        (node.control / "userstore").write_text("pgsql\n")
        node.run("svctool", "init", "--address", "127.0.0.1", "--admin",
                 node.admin, "--api", node.admin + 1)
        node.run("svctool", "restart")
        node.run("mgmtpass", "-u", "root", "-a", "-", input=PASSWORD + "\n")
        for program in ("vadduser", "vadddomain", "vdeldomain", "svctool"):
            node.run("vpriv", "-i", "root", program, "*")
        yield node
    finally:
        node.run("svctool", "stop", code=None)
        left = node.processes()
        shutil.rmtree(base)
        assert left == []


def client(node, command, code=0):
    return node.run("adminclient", "-k", "-h", "127.0.0.1", "-p", node.admin,
                    "-u", "root", "-P", PASSWORD, "-c", command,
                    code=code).stdout


def test_it_is_no_root_and_does_what_root_does(node):
    assert client(node, "vadddomain -n far.test") == ""
    assert client(node, "vadduser -n bob@far.test") == ""
    assert "far.test" in (node.home / "users/assign").read_text()
    home = next((node.home / "domains/far.test").glob("**/bob"))
    assert home.stat().st_uid == node.uids["vmail"]
    processes = {}
    for pid in node.processes():
        processes.setdefault(
            Path(f"/proc/{pid}/comm").read_text().strip(), []).append(pid)
    [server], [helper] = processes["adminsrv"], processes["admin-run"]
    status = status_of(server)
    assert set(status["Uid"]) == {str(node.uids["mqadmin"])}
    assert set(status["Groups"]) <= {
        str(node.gids[name]) for name in ("mqadmin", "mqlookup", "qcerts")}
    assert status["NoNewPrivs"] == ["1"]
    assert int(status["CapEff"][0], 16) == 0
    assert set(status_of(helper)["Uid"]) == {"0"}
    # Nothing of adminsrv's is open in the helper but its end of the pair.
    assert {path.name for path in Path(f"/proc/{helper}/fd").iterdir()} == {
        "0", "1", "2", "3"}
    assert client(node, "vdeldomain -f far.test") == ""


def test_the_node_shows_and_checks_it(node):
    report = json.loads(client(node, "svctool status --json"))
    [service] = [each for each in report["services"]
                 if each["name"] == "admin"]
    assert service["ok"] and service["ready"]
    checked = json.loads(client(node, "svctool check --json"))
    assert "admin" not in json.dumps(checked)


def test_it_ends_with_the_node_and_its_helper_with_it(node):
    def helpers():
        return [pid for pid in node.processes() if Path(
            f"/proc/{pid}/comm").read_text().strip() == "admin-run"]

    before = helpers()
    node.run("svctool", "restart")
    wait_until(lambda: len(helpers()) == 1 and helpers() != before, node.logs)
    assert "svscan" in client(node, "svctool status --json")
