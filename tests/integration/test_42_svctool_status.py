# SPDX-License-Identifier: ISC
"""svctool status: what it says of services and queues, and its exit code."""
import json
import os
import signal
import socket
import subprocess

from node import wait_until


def test_a_node_that_is_up(node):
    done = node.svctool("status")
    assert f"node {node.home}: up, svscan pid" in done.stdout
    assert f"127.0.0.1:{node.smtp_port}" in done.stdout
    status = json.loads(node.svctool("status", "--json").stdout)
    assert status["ok"] is True
    assert status["home"] == str(node.home)
    for service in status["services"]:
        assert (service["state"], service["ok"], service["log"]) == (
            "up", True, True)
        assert service["pid"] > 0
    for queue in status["queues"]:
        assert queue["state"] == "up"
        assert (queue["ok"], queue["backlog"]) == (True, 0)
        assert queue["local_limit"] == 500
        assert queue["free_bytes"] > 0
        assert not queue["held_local"] and not queue["held_remote"]


def test_messages_are_counted(node):
    for number in range(5):
        node.send("alice", f"message {number}")
    node.wait_messages("alice", 5)
    node.wait_empty()

    def total(name):
        return sum(queue[name] for queue in node.status()["queues"])

    wait_until(lambda: total("finished") == 5, "the queues say so")
    assert (total("accepted"), total("delivered"), total("failed"),
            total("backlog")) == (5, 5, 0, 0)


def test_a_stopped_queue_is_not_fine(node):
    node.svctool("status")
    (node.home / "service/queue1/supervise/control").open("w").write("d")
    wait_until(lambda: node.queue("queue1")["state"] == "down",
               "queue1 is down")
    done = node.svctool("status", code=1)
    assert "NOT fine" in done.stdout
    status = node.status()
    assert status["ok"] is False
    assert [queue["ok"] for queue in status["queues"]] == [False, True]


def test_queues_that_are_down_are_named(make_node):
    """With what brings each of them up, for people and programs."""
    node = make_node("--queues", 3)
    assert "queue_problem" not in node.status()
    for name in ("queue1", "queue3"):
        subprocess.run(["svc", "-d", node.home / "service" / name],
                       check=True, timeout=60)
    wait_until(lambda: [queue["state"] for queue in node.status()["queues"]]
               == ["down", "up", "down"], "two are down")
    said = node.svctool("status", code=1).stdout
    assert ("\n2 of 3 queues take no new mail: queue1 (down), queue3 (down)\n"
            in said)
    for name in ("queue1", "queue3"):
        assert node.queue(name)["problem"] == (
            "its service is down: down by wish: "
            f"'svc -u {node.home}/service/{name}' starts it")
    node.send()  # the third takes it
    subprocess.run(["svc", "-d", node.home / "service/queue2"],
                   check=True, timeout=60)
    wait_until(lambda: node.queue("queue2")["state"] == "down", "all are")
    assert node.status()["queue_problem"].endswith(
        "3 of 3 queues take no new mail: queue1 (down), queue2 (down), "
        "queue3 (down); clients are told to try again later")


def test_a_process_stopped_by_a_signal_hangs(node):
    """It was "up", while every client timed out."""
    listener = f"qmail-smtpd.{node.smtp_port}"

    def services():
        return {row["name"]: row for row in node.status()["services"]}

    pids = {"queue1": node.queue("queue1")["pid"],
            listener: services()[listener]["pid"]}
    for name, pid in pids.items():
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: services()[name]["state"] == "hung", "it hangs")
            said = node.svctool("status", code=1).stdout
            assert f"'kill -CONT {pid}' lets it go on" in said
            if name == "queue1":
                assert node.queue("queue1")["state"] == "hung"
            said = node.svctool("check", code=1).stdout
            assert f"/service/{name}: the service hangs" in said
            assert f"'kill -CONT {pid}' lets it go on" in said
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: node.status()["ok"], node.logs)


def test_the_log_says_where_to_look_when_no_queue_runs(make_node):
    node = make_node("--env", "MQMAIL_TEST_TIMES=QUEUE_WAIT_MS=500")
    for number in (1, 2):
        control = node.home / f"service/queue{number}/supervise/control"
        control.open("w").write("d")
        wait_until(lambda: node.queue(f"queue{number}")["state"] == "down",
                   "it is down")
    with node.smtp() as client:
        client.ehlo()
        client.mail("sender@example.net")
        assert client.rcpt(f"alice@{node.domain}")[0] == 451
    wait_until(lambda: "all queues are down ('svctool status' shows more)"
               in node.log(f"qmail-smtpd.{node.smtp_port}"), node.logs)


def test_a_status_that_supervise_could_not_renew(node):
    """On a full disk the new process was called another program's."""
    name = f"qmail-smtpd.{node.smtp_port}"

    def service():
        return next(row for row in node.status()["services"]
                    if row["name"] == name)

    old = service()["pid"]
    in_the_way = node.home / "service" / name / "supervise/status.new"
    in_the_way.mkdir()
    os.kill(old, signal.SIGTERM)
    wait_until(lambda: service()["pid"] != old and node.status()["ok"],
               lambda: node.svctool("status", code=None).stdout)
    node.send()
    in_the_way.rmdir()
    assert service()["state"] == "up"


def test_a_stopped_node_is_not_fine(node):
    node.svctool("stop")
    done = node.svctool("status", code=1)
    assert "svscan does not run" in done.stdout
    status = node.status()
    assert all(service["state"] == "down" for service in status["services"])
    assert all(queue["state"] == "down" for queue in status["queues"])


def test_another_program_on_the_port_is_not_ours(node):
    """With the node down it was shown as up."""
    node.svctool("stop")
    name = f"qmail-smtpd.{node.smtp_port}"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", node.smtp_port))
        taken.listen()
        service = next(row for row in node.status()["services"]
                       if row["name"] == name)
    assert (service["state"], service["ok"]) == ("down", False)
    assert f"(pid {os.getpid()}) listens on" in service["problem"]


def test_each_listener_greeted(node):
    """Also the one that begins with TLS; its log shows who asked."""
    for port in (node.smtp_port, node.smtps_port, node.lmtp_port):
        before = node.log(f"qmail-smtpd.{port}").count(" from 127.0.0.1")
        assert node.status()["ok"]
        wait_until(lambda: node.log(f"qmail-smtpd.{port}").count(
            " from 127.0.0.1") > before, node.logs)


def test_a_queue_without_free_space_is_full(node):
    """It runs and takes nothing: status says so, with both amounts."""
    wanted = 1 << 60
    (node.control / "min_free").write_text(f"{wanted}\n")
    listener = node.home / "service" / f"qmail-smtpd.{node.smtp_port}"
    subprocess.run(["svc", "-h", listener], check=True, timeout=60)

    def refused():
        with node.smtp() as client:
            client.ehlo()
            client.mail("sender@example.net")
            return client.rcpt("alice@example.test")[0] == 452

    wait_until(refused, "the listener refuses mail")
    done = node.svctool("status", code=1)
    assert "NOT fine" in done.stdout
    assert f"MIN_FREE wants {wanted}" in done.stdout
    assert "control/min_free" in done.stdout
    for queue in node.status()["queues"]:
        assert (queue["state"], queue["ok"]) == ("full", False)
        assert 0 < queue["free_bytes"] < queue["min_free_bytes"] == wanted
        assert f"{queue['free_bytes']} bytes are free" in queue["problem"]
    (node.control / "min_free").unlink()
    assert {queue["state"] for queue in node.status()["queues"]} == {"up"}


def test_min_free_of_one_listener_counts(node):
    """What its own variables ask for is more than the settings do."""
    variables = node.home / "service" / f"qmail-smtpd.{node.smtp_port}" / (
        "variables")
    (variables / "MIN_FREE").write_text(f"{1 << 60}\n")
    assert node.queue("queue1")["state"] == "full"
