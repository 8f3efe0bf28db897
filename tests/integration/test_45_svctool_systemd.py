# SPDX-License-Identifier: ISC
"""svctool systemd: units that run a node's services."""
import os
import subprocess
from pathlib import Path

import pytest

from node import BIN, SLOW, wait_until


def test_units_of_a_node(make_node, tmp_path):
    node = make_node("--init-only")
    node.svctool("systemd", "--destdir", tmp_path)
    units = tmp_path / "etc/systemd/system"
    names = {path.name for path in units.iterdir()}
    assert names == {"mqmail.target"} | {
        f"mqmail-{path.name}.service"
        for path in (node.home / "service").iterdir()}
    text = (units / "mqmail-queue1.service").read_text()
    assert f'ExecStart="{node.home}/service/queue1/run"' in text
    assert f"WorkingDirectory={node.home}/service/queue1" in text
    before = {path: path.stat().st_mtime_ns for path in units.iterdir()}
    node.svctool("systemd", "--destdir", tmp_path)
    assert before == {path: path.stat().st_mtime_ns
                      for path in units.iterdir()}


@pytest.mark.skipif(os.getuid() != 0, reason="not root")
def test_a_users_node_runs_as_that_user(make_node, tmp_path):
    """Root would run what the user can change."""
    node = make_node("--init-only")
    units = tmp_path / "etc/systemd/system"
    node.svctool("systemd", "--destdir", tmp_path)
    assert "User=" not in (units / "mqmail-queue1.service").read_text()
    subprocess.run(["chown", "-R", "nobody:", node.home], check=True)
    node.svctool("systemd", "--destdir", tmp_path)
    for unit in units.glob("*.service"):
        assert "\nUser=nobody\n" in unit.read_text()


def test_units_are_valid(make_node, tmp_path):
    """By systemd's own check."""
    node = make_node("--init-only")
    node.svctool("systemd", "--destdir", tmp_path)
    units = sorted((tmp_path / "etc/systemd/system").glob("mqmail*"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60)
    assert [line for line in done.stdout.splitlines()
            if "mqmail" in line] == []


def test_the_target_brings_up_every_service(make_node, tmp_path):
    """Who enables the target alone, as svctool says, gets the services."""
    node = make_node("--init-only")
    (node.home / "service/queue2/down").write_text("")
    done = node.svctool("systemd", "--destdir", tmp_path)
    assert "enable --now mqmail.target" in done.stdout
    units = tmp_path / "etc/systemd/system"
    text = (units / "mqmail.target").read_text()
    wanted = {line.partition("=")[2] for line in text.splitlines()
              if line.startswith("Wants=")}
    assert wanted == {path.name for path in units.glob("*.service")}
    assert "mqmail-queue1.service" in wanted
    assert "mqmail-queue2.service" not in wanted  # down by wish


def test_the_destdir_is_made(make_node, tmp_path):
    node = make_node("--init-only")
    node.svctool("systemd", "--destdir", tmp_path / "a/b")
    assert (tmp_path / "a/b/etc/systemd/system/mqmail.target").exists()


def test_no_destdir_is_made_for_no_node(make_node, tmp_path):
    node = make_node("--init-only")
    done = node.run("svctool", "systemd", "--home", tmp_path / "none",
                    "--destdir", tmp_path / "d", code=1)
    assert "no node at" in done.stderr
    assert not (tmp_path / "d").exists()


CGROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified",
           "/sys/fs/cgroup")


@pytest.fixture
def unit_cgroup():
    """Makes the control group that systemd makes for a unit."""
    made = []

    def make(unit):
        for home in map(Path, CGROUPS):
            if (home / "cgroup.procs").exists() and os.access(home, os.W_OK):
                folder = home / unit
                break
        else:
            pytest.skip("no control group can be made here (needs root)")
        try:
            folder.mkdir()
        except OSError as error:
            pytest.skip(f"no control group can be made here: {error}")
        made.append(folder)
        return folder / "cgroup.procs"

    yield make
    for folder in made:
        folder.rmdir()


def test_what_systemd_runs_is_left_to_it(make_node, unit_cgroup):
    """svctool start took it for left over by a dead svscan, and ended it."""
    node = make_node("--init-only")
    service = node.home / "service/queue1"
    procs = unit_cgroup("mqmail-queue1.service")
    environment = {"PATH": os.environ["PATH"], "MQMAIL_HOME": str(node.home)}
    # As the unit says: WorkingDirectory=, ExecStart=, Restart=no.
    with subprocess.Popen(
            [service / "run"], cwd=service, env=environment,
            preexec_fn=lambda: procs.write_text(str(os.getpid()))) as queue:
        try:
            wait_until(lambda: node.queue("queue1")["state"] == "up",
                       lambda: "queue1 up")
            before = sorted(node.processes())
            for command in ("start", "stop", "restart"):
                done = node.svctool(command, code=1)
                assert "mqmail-queue1.service" in done.stderr
                assert "systemctl" in done.stderr
                assert "mqmail.target" in done.stderr
            done = node.svctool("queue", "fix", "1", code=1)
            assert "systemctl stop mqmail-queue1.service" in done.stderr
            assert sorted(node.processes()) == before
            # Another queue is nobody's, and can be mended.
            assert "fixed" in node.svctool("queue", "fix", "2").stdout
        finally:
            queue.terminate()
            assert queue.wait(60 * SLOW) == 0
    wait_until(lambda: node.processes() == [], lambda: "no process left")
    node.svctool("start")
    assert node.status()["ok"]


def test_an_own_unit_that_starts_the_node_is_no_obstacle(make_node,
                                                         unit_cgroup):
    """Its name is that of no service: then svctool may be what stops it."""
    node = make_node("--init-only")
    procs = unit_cgroup("mqmail-node.service")
    subprocess.run(
        [BIN / "svctool", "start", "--home", node.home], check=True,
        env=node.environment(), timeout=120 * SLOW, stdout=subprocess.DEVNULL,
        preexec_fn=lambda: procs.write_text(str(os.getpid())))
    assert "runs already" in node.svctool("start").stdout
    node.svctool("stop")
    assert node.processes() == []
