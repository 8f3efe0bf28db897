# SPDX-License-Identifier: ISC
"""svctool start, stop, restart: all of a node comes up, and all of it goes."""
import os
import signal
import socket

import pytest

from node import wait_until


def pid_of(node, name):
    """The pid of the first process of that name, or None."""
    for pid in node.processes():
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                if comm.read() == name + "\n":
                    return pid
        except OSError:
            continue
    return None


def test_stop_leaves_no_process_and_start_brings_all_back(node):
    assert node.status()["ok"]
    node.svctool("stop")
    assert node.processes() == []
    assert not node.status()["ok"]
    node.svctool("start")
    status = node.status()
    assert status["ok"]
    assert {service["name"] for service in status["services"]} == {
        "queue1", "queue2", f"qmail-smtpd.{node.smtp_port}",
        f"qmail-smtpd.{node.smtps_port}", f"qmail-smtpd.{node.lmtp_port}"}


def test_start_and_stop_twice_are_no_failure(node):
    before = sorted(node.processes())
    assert "runs already" in node.svctool("start").stdout
    assert sorted(node.processes()) == before
    node.svctool("stop")
    assert "is stopped" in node.svctool("stop").stdout


def test_restart_gives_new_processes(node):
    before = set(node.processes())
    node.svctool("restart")
    assert node.status()["ok"]
    assert before.isdisjoint(node.processes())


def test_a_busy_port_is_said_before_anything_starts(make_node):
    node = make_node("--init-only")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen = (node.home / "service" / f"qmail-smtpd.{node.smtp_port}" /
                  "variables/LISTEN")
        listen.write_text(f"127.0.0.1:{port}\n")
        done = node.svctool("start", code=1)
        assert f"port {port} on 127.0.0.1 is already in use" in done.stderr
        assert node.processes() == []
    node.svctool("start")
    assert node.status()["ok"]


@pytest.mark.parametrize("victim", ["svscan", "supervise", "qmail-start",
                                    "qmail-send", "qmail-vdeliver",
                                    "qmail-smtpd", "multilog"])
def test_stop_ends_what_a_kill_left(node, victim):
    os.kill(pid_of(node, victim), signal.SIGKILL)
    node.svctool("stop")
    assert node.processes() == []


def test_start_cleans_up_after_a_killed_svscan(node):
    os.kill(pid_of(node, "svscan"), signal.SIGKILL)
    wait_until(lambda: pid_of(node, "svscan") is None, "svscan is gone")
    done = node.svctool("start")
    assert "of an earlier run" in done.stdout
    status = node.status()
    assert status["ok"]
    assert status["svscan"] == pid_of(node, "svscan")


@pytest.mark.parametrize("victim", ["qmail-send", "qmail-vdeliver",
                                    "qmail-smtpd"])
def test_a_killed_process_is_started_again(node, victim):
    old = pid_of(node, victim)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: old not in node.processes(), f"{victim} is gone")
    wait_until(lambda: node.status()["ok"] and
               all(queue["workers"] > 0
                   for queue in node.status()["queues"]),
               f"the node is whole again\n{node.logs()}")


def test_a_service_that_keeps_ending_is_said(make_node):
    node = make_node("--init-only")
    service = f"qmail-smtpd.{node.smtp_port}"
    (node.home / "service" / service / "variables/OPTIONS").write_text(
        "--no-such-option\n")
    done = node.svctool("start", code=1)
    assert f"{service} ends whenever it is started" in done.stderr
    assert "usage" in done.stderr  # the end of its log


def test_a_service_marked_down_is_not_waited_for(make_node):
    node = make_node("--init-only")
    service = f"qmail-smtpd.{node.smtp_port}"
    (node.home / "service" / service / "down").write_text("")
    node.svctool("start")
    status = node.status()
    assert status["ok"]
    state = next(row for row in status["services"] if row["name"] == service)
    assert (state["state"], state["off"]) == ("down", True)
