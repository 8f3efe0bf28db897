# SPDX-License-Identifier: ISC
"""svctool start, stop, restart: all of a node comes up, and all of it goes."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from node import BIN, NO_LEAKS, SLOW, wait_until
from test_01_node import may_reach


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


def own_name():
    """As the kernel has it."""
    return Path("/proc/self/comm").read_text(encoding="utf-8").strip()


def test_stop_leaves_no_process_and_start_brings_all_back(node):
    assert node.status()["ok"]
    node.svctool("stop")
    assert node.processes() == []
    assert not node.status()["ok"]
    node.svctool("start")
    status = node.status()
    assert status["ok"]
    assert {service["name"] for service in status["services"]} == {
        "queue1", "queue2", "remote", "resolver", f"qmail-smtpd.{node.smtp_port}",
        f"qmail-smtpd.{node.smtps_port}", f"qmail-smtpd.{node.lmtp_port}",
        *(f"qmail-smtpd.{node.info[name]}" for name in (
            "submission", "submissions")), f"qmail-pop3d.{node.info['pop3']}"}


def test_a_node_without_its_name_can_be_stopped(node):
    """Only starting needs it."""
    me = node.control / "me"
    text = me.read_text()
    me.unlink()
    before = sorted(node.processes())
    for command in ("restart", "start"):
        done = node.svctool(command, code=1)
        assert f"has lost '{me}'" in done.stderr
        assert "put it back" in done.stderr and "init" not in done.stderr
    assert sorted(node.processes()) == before
    assert node.status()["ok"]
    assert f"{me}: no such file" in node.svctool("check", code=1).stdout
    assert "is stopped" in node.svctool("stop").stdout
    assert node.processes() == []
    me.write_text(text)
    node.svctool("start")
    assert node.status()["ok"]


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
        assert (f"port {port} on 127.0.0.1 is already in use by "
                f"{own_name()} (pid {os.getpid()}): stop that") in done.stderr
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
    said = node.svctool("status", code=1).stdout
    assert "NOT fine, svscan does not run" in said and "svctool start" in said
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
    done = node.svctool("start")
    assert f"{service}: down by wish: 'svc -u" in done.stdout
    assert "up, except for 1 service down by wish" in done.stdout
    status = node.status()
    assert status["ok"]
    state = next(row for row in status["services"] if row["name"] == service)
    assert (state["state"], state["off"]) == ("down", True)


def svc(node, letter, service):
    subprocess.run(["svc", letter, node.home / "service" / service],
                   check=True, timeout=60)


def service_state(node, name):
    return next(row for row in node.status()["services"]
                if row["name"] == name)


@pytest.mark.parametrize("kind", ["queue", "listener"])
def test_a_service_downed_by_svc_is_not_waited_for(node, kind):
    """svc -d is a wish; its log of before explains nothing."""
    name = ("queue1" if kind == "queue"
            else f"qmail-smtpd.{node.smtp_port}")
    svc(node, "-d", name)
    wait_until(lambda: service_state(node, name)["pid"] == 0, "it is down")
    begin = time.monotonic()
    done = node.svctool("start")
    assert time.monotonic() - begin < 20 * SLOW
    assert (f"down     {name}: down by wish: 'svc -u {node.home}/service/"
            f"{name}' starts it\n") in done.stdout
    assert done.stderr == ""
    assert "down by wish" in node.svctool("status", code=1).stdout
    svc(node, "-u", name)
    wait_until(lambda: node.status()["ok"], "it is up again")
    assert "down by wish" not in node.svctool("start").stdout


@pytest.fixture
def taken_port(node):
    """The port of the node's listener is another program's."""
    name = f"qmail-smtpd.{node.smtp_port}"
    svc(node, "-d", name)
    wait_until(lambda: service_state(node, name)["pid"] == 0, "it is down")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", node.smtp_port))
        taken.listen()
        svc(node, "-u", name)
        yield name


def test_start_sees_that_another_program_has_the_port(node, taken_port):
    """Somebody listens there, but it is not the node's listener."""
    before = node.log(taken_port)
    assert before
    done = node.svctool("start", code=1)
    assert f"up       {taken_port}" not in done.stdout
    assert f"{taken_port} ends whenever it is started" in done.stderr
    assert (f"the port is taken: {own_name()} (pid {os.getpid()}) listens on "
            f"127.0.0.1 port {node.smtp_port}, so this listener is not up") in (
        done.stderr)
    assert "cannot listen" in done.stderr  # the end of its log
    assert "up       queue2" in done.stdout  # the others are told of
    new = [line for line in done.stderr.splitlines() if line[0] == "@"]
    assert new and not set(new) & set(before.splitlines())


def test_a_listener_that_keeps_ending_is_restarting(node, taken_port):
    """It is no longer new, and has a pid at nearly every moment."""
    name = taken_port
    wait_until(lambda: service_state(node, name)["state"] == "restarting",
               lambda: f"restarting\n{node.svctool('status', code=1).stdout}")
    for _ in range(3):
        state = service_state(node, name)
        # On a busy machine it can live longer than what counts as new.
        assert state["state"] in ("restarting", "starting")
        assert not state["ok"]
    said = wait_until(
        lambda: "it ends again and again" in (
            said := node.svctool("status", code=1).stdout) and said,
        "status says it")
    assert f"log/{name}/current ends with: qmail-smtpd: fatal: " in said


def test_a_queue_that_keeps_ending_is_restarting(node):
    run = node.home / "service/queue1/run"
    text = run.read_text()
    run.write_text("#!/bin/sh\nexit 1\n")
    svc(node, "-t", "queue1")
    wait_until(lambda: service_state(node, "queue1")["state"] == "restarting",
               lambda: f"restarting\n{node.svctool('status', code=1).stdout}")
    run.write_text(text)
    wait_until(lambda: node.status()["ok"], "it is up again")
    assert service_state(node, "queue1")["state"] == "up"


def test_restart_tests_the_settings_first(node):
    """Each wrong file is named, and nothing is stopped."""
    before = sorted(node.processes())
    (node.control / "databytes").write_text("many\n")
    (node.control / "concurrencyl.queue2").write_text("-1\n")
    own = (node.home / "service" / f"qmail-smtpd.{node.smtp_port}" /
           "variables/MAXPERIP")
    own.write_text("few\n")
    done = node.svctool("restart", code=1)
    assert "databytes:1: 'many'" in done.stdout
    assert "concurrencyl.queue2:1: '-1'" in done.stdout
    assert str(own) in done.stdout and "'few'" in done.stdout
    assert "the 3 errors" in done.stderr
    assert sorted(node.processes()) == before
    node.send("alice", "still there")
    node.wait_messages("alice", 1)
    (node.control / "databytes").unlink()
    (node.control / "concurrencyl.queue2").unlink()
    own.unlink()
    node.svctool("restart")
    assert set(before).isdisjoint(node.processes())


def open_relay(node):
    (node.control / "rcpthosts").unlink()
    return "an open relay"


def open_services(node):
    (node.home / "service").chmod(0o777)
    return f"chmod 755 '{node.home}/service'"


def run_for_nobody(node):
    (node.home / "service/queue1/run").chmod(0o644)
    return "its mode is 644, which does not let its owner run it"


def domain_for_nobody(node):
    (node.control / "virtualdomains").write_text(
        f"{node.domain}:elsewhere.test\n")
    return "users/assign has no line for the prefix 'elsewhere.test-'"


def bad_rule(node):
    (node.control / "from.envrules").write_text("*:MAXPERIP=few\n")
    return "from.envrules:1: "


def no_certificate(node):
    (node.home / "tls/servercert.pem").write_text("nothing\n")
    return "servercert.pem: "


def no_greeting(node):
    (node.control / "smtpgreeting").write_text("")
    return "smtpgreeting: it has no line"


def no_cipher(node):
    (node.control / "tlsserverciphers").write_text("no-such-cipher\n")
    return "tlsserverciphers:1: no TLS 1.2 cipher in 'no-such-cipher'"


def lost_certificate(node):
    """One of the listeners is for SMTPS."""
    (node.home / "tls/servercert.pem").unlink()
    return "servercert.pem: no certificate '"


def lost_certificate_of_a_variable(node):
    file = node.control / "global_vars/SERVERCERT"
    file.write_text("/nonexistent.pem\n")
    return f"{file}: SERVERCERT: cannot read TLS certificate"


def lost_rules_of_a_variable(node):
    file = node.control / "global_vars/TCPRULES"
    file.write_text("/nonexistent.cdb\n")
    return f"{file}: TCPRULES: no file '/nonexistent.cdb'"


def number_of_workers_alone(node):
    file = node.control / "global_vars/OVERQUOTA_MAILSIZE"
    file.write_text("small\n")
    return f"{file}: OVERQUOTA_MAILSIZE is 'small'"


def port_alone(node):
    file = (node.home / "service" / f"qmail-smtpd.{node.smtp_port}" /
            "variables/LISTEN")
    file.write_text(f"{node.smtp_port}\n")
    return f"{file}: '--listen {node.smtp_port}' has no port"


def test_restart_stops_nothing_for_a_taken_port(node):
    """The port that a listener was just given is another program's."""
    before = sorted(node.processes())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen = (node.home / "service" / f"qmail-smtpd.{node.smtp_port}" /
                  "variables/LISTEN")
        saved = listen.read_text()
        listen.write_text(f"127.0.0.1:{port}\n")
        done = node.svctool("restart", code=1)
        assert (f"{listen}: port {port} on 127.0.0.1 is taken by "
                f"{own_name()} (pid {os.getpid()}), so") in done.stdout
    assert sorted(node.processes()) == before
    listen.write_text(saved)
    node.svctool("restart")


@pytest.mark.parametrize("damage", [
    open_relay, open_services, run_for_nobody, domain_for_nobody, bad_rule,
    no_certificate, no_greeting, no_cipher, lost_certificate,
    lost_certificate_of_a_variable, lost_rules_of_a_variable,
    number_of_workers_alone, port_alone], ids=lambda damage: damage.__name__)
def test_restart_stops_nothing_for_worse(node, damage):
    before = sorted(node.processes())
    wanted = damage(node)
    done = node.svctool("restart", code=1)
    assert wanted in done.stdout
    assert "the node goes on as it is" in done.stderr
    assert sorted(node.processes()) == before
    errors = [line for line in done.stdout.splitlines()
              if line.startswith("error ")]
    files = [line.split(": ")[0] for line in errors]
    assert len(set(files)) == len(files), "told twice"
    assert errors[0] in node.svctool("check", code=1).stdout


def test_restart_is_no_test_of_what_it_does_not_change(node):
    """A service that hangs is what it is for, and a domain's folder waits."""
    (node.home / "domains" / node.domain).rename(node.home / "domains/away")
    pid = pid_of(node, "qmail-smtpd")
    os.kill(pid, signal.SIGSTOP)
    # Two seconds end the one that hangs; a busy host starts none in them.
    node.svctool("restart", "--timeout", "2", code=None)
    assert pid not in node.processes()
    wait_until(lambda: node.status()["ok"], "it is up")


def test_the_queues_are_up_after_start(node):
    """start waits until they have looked through what they hold."""
    for name in ("queue1", "queue2"):
        assert node.inject("nobody@elsewhere.example", queue=name) == 0
    for _ in range(3):
        node.svctool("restart")
        assert [queue["state"] for queue in node.status()["queues"]] == [
            "up", "up"]


@pytest.mark.parametrize("kind", ["queue", "listener"])
def test_a_service_ends_with_its_killed_supervise(node, kind):
    """An orphan kept port or queue, and no HUP found it: no new domain."""
    name = ("queue1" if kind == "queue" else f"qmail-smtpd.{node.smtp_port}")
    old = service_state(node, name)["pid"]
    supervise = int(Path(f"/proc/{old}/stat").read_text()
                    .rpartition(")")[2].split()[1])
    assert Path(f"/proc/{supervise}/comm").read_text() == "supervise\n"
    os.kill(supervise, signal.SIGKILL)
    wait_until(lambda: old not in node.processes(), f"{name} has ended")
    # svscan looks every five seconds
    wait_until(lambda: node.status()["ok"], lambda: node.logs())
    node.run("vadddomain", "new.test", "secret")

    def is_known():
        with node.smtp() as client:
            client.ehlo()
            client.mail("sender@example.net")
            return client.rcpt("postmaster@new.test")[0] == 250

    wait_until(is_known, "the new domain is known")


def name_elsewhere(node):
    """The files that check says are of another place."""
    return [line.split(": ")[0].split(None, 1)[1] for line in
            node.svctool("check", code=1).stdout.splitlines()
            if "was the node moved or copied?" in line]


def test_a_copy_does_not_work_in_its_original(make_node):
    """Its services would: their files name the other folder."""
    node = make_node("--init-only")
    original, copy = node.home, node.home.parent / "copy"
    subprocess.run(["cp", "-a", original, copy], check=True)
    node.home = copy
    for command in ("start", "restart"):
        done = node.svctool(command, code=1)
        assert f"MQMAIL_HOME' names '{original}'" in done.stderr
        assert "svctool check" in done.stderr
    wrong = name_elsewhere(node)
    assert sorted(wrong) == sorted(map(str, [
        copy / "control/global_vars/MQMAIL_HOME",
        *copy.glob("service/*/run"), *copy.glob("service/*/log/run")]))
    for name in wrong:  # the remedy
        os.unlink(name)
    node.svctool("init")
    assert name_elsewhere(node) == []
    assert str(original) not in (copy / "service/queue1/run").read_text()
    node.svctool("start")
    assert node.status()["ok"]
    node.svctool("stop")
    node.home = original
    assert "0 errors" in node.svctool("check").stdout


def test_a_node_may_have_two_names(make_node):
    node = make_node("--init-only")
    other = node.home.parent / "name"
    other.symlink_to(node.home)
    node.home = other
    node.svctool("start")
    assert node.status()["ok"]
    assert name_elsewhere(node) == []
    node.svctool("stop")


@pytest.fixture
def users_node(make_node):
    """A node that belongs to an ordinary user."""
    if os.getuid() != 0:
        pytest.skip("not root")
    node = make_node("--init-only")
    (node.control / "global_vars/MQMAIL_USER").unlink()
    subprocess.run(["chown", "-R", "nobody:", node.home], check=True)
    return node


@pytest.mark.parametrize("words", [["start"], ["restart"],
                                   ["queue", "add", "3"]], ids=" ".join)
def test_root_does_not_start_a_users_programs(users_node, words):
    done = users_node.svctool(*words, code=1)
    assert "is that of the user 'nobody'" in done.stderr
    assert "runuser -u nobody" in done.stderr
    assert users_node.processes() == []
    assert not users_node.queue_dir("queue3").exists()


def test_what_another_started_is_not_stopped_by_silence(node):
    """The owner saw nothing of root's processes, and heard "is stopped"."""
    if os.getuid() != 0:
        pytest.skip("not root")
    if not may_reach(BIN):
        pytest.skip("another user cannot run the build")
    (node.control / "global_vars/MQMAIL_USER").unlink()
    subprocess.run(["chown", "-R", "nobody:", node.home], check=True)
    done = subprocess.run(
        [BIN / "svctool", "stop", "--home", node.home], user="nobody",
        group="nogroup", extra_groups=[], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=60 * SLOW)
    assert done.returncode == 1
    assert f"svscan (pid {pid_of(node, 'svscan')}) is another" in done.stderr
    assert "is stopped" in node.svctool("stop").stdout
    assert node.processes() == []


def record(node):
    """What start wrote down, as words."""
    words = (node.home / "run/svscan").read_text().split()
    return dict(zip(words[::2], words[1::2]))


def test_what_start_has_started_is_recorded(node):
    svscan = node.status()["svscan"]
    assert int(record(node)["pid"]) == svscan == pid_of(node, "svscan")
    stat = Path(f"/proc/{svscan}/stat").read_text().rpartition(")")[2].split()
    assert record(node)["started"] == stat[19]
    for pid in node.processes():
        assert os.getsid(pid) == svscan
    node.svctool("stop")
    assert not (node.home / "run/svscan").exists()


@pytest.mark.parametrize("event", ["log/svscan.log", "run/svscan",
                                   "service/queue1/supervise",
                                   "log/queue1/current"])
def test_stop_after_a_start_that_was_killed(make_node, event):
    """Whatever it had come to."""
    node = make_node("--init-only")
    # One that never comes up, so that start waits.
    run = node.home / "service/queue2/run"
    run.write_text("#!/bin/sh\nexec sleep 1000\n")
    with subprocess.Popen([BIN / "svctool", "start", "--home", node.home],
                          env=node.environment(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as start:
        wait_until((node.home / event).exists, event)
        start.kill()
    assert "is stopped" in node.svctool("stop").stdout
    assert node.processes() == []
    assert node.status()["svscan"] == 0


def test_two_starts_at_once_make_one_svscan(make_node):
    node = make_node("--init-only")
    starts = [subprocess.Popen([BIN / "svctool", "start", "--home", node.home],
                               env=node.environment(), text=True,
                               stdout=subprocess.PIPE) for _ in range(2)]
    said = sorted(start.communicate(timeout=60 * SLOW)[0].split()[0]
                  for start in starts)
    assert said == ["kept", "started"]
    assert [start.returncode for start in starts] == [0, 0]
    assert record(node)["pid"] == str(node.status()["svscan"])
    node.svctool("stop")
    assert node.processes() == []


def test_a_pid_that_another_program_has_now_is_not_killed(make_node):
    """The record of a run that nobody stopped, as after a kill of all."""
    node = make_node()
    text = (node.home / "run/svscan").read_text()
    node.svctool("stop")
    with subprocess.Popen(["sleep", "1000"], cwd=node.home,
                          start_new_session=True) as other:
        old = dict(zip(text.split()[::2], text.split()[1::2]))
        (node.home / "run/svscan").write_text(
            text.replace(f"pid {old['pid']}\n", f"pid {other.pid}\n"))
        assert node.status()["svscan"] == 0
        assert "is stopped" in node.svctool("stop").stdout
        node.svctool("start")
        assert node.status()["ok"]
        node.svctool("stop")
        assert other.poll() is None
        other.kill()


def test_nodes_beside_each_other(make_node):
    first, second = make_node(), make_node()
    before = sorted(second.processes())
    first.svctool("stop")
    assert sorted(second.processes()) == before
    first.svctool("start")
    first.svctool("restart")
    assert sorted(second.processes()) == before
    assert first.status()["ok"] and second.status()["ok"]


def test_a_copy_of_a_running_node_is_another(node):
    """Its record is the original's, which its stop must not end."""
    original, copy = node.home, node.home.parent / "copy"
    subprocess.run(["cp", "-a", original, copy], check=True)
    before = sorted(node.processes())
    node.home = copy
    status = node.status()
    assert (status["svscan"], status["ok"]) == (0, False)
    assert {service["state"] for service in status["services"]} == {"down"}
    assert "is stopped" in node.svctool("stop").stdout
    shutil.rmtree(copy)
    node.home = original
    assert sorted(node.processes()) == before
    assert node.status()["ok"]


def test_a_node_that_was_renamed_is_the_same(node):
    original, other = node.home, node.home.parent / "renamed"
    before = sorted(node.processes())
    original.rename(other)
    svscan = json.loads(subprocess.run(
        [BIN / "svctool", "status", "--json", "--home", other],
        stdout=subprocess.PIPE, text=True, check=False,
        timeout=60 * SLOW).stdout)["svscan"]
    assert svscan in before
    subprocess.run([BIN / "svctool", "stop", "--home", other], check=True,
                   timeout=60 * SLOW)
    other.rename(original)
    assert node.processes() == []


def test_start_in_a_folder_made_anew_ends_what_the_old_one_left(node):
    before = set(node.processes())
    shutil.rmtree(node.home)
    node.up()
    assert node.status()["ok"]
    assert before.isdisjoint(node.processes())


def test_stop_ends_what_does_not_heed_term(make_node):
    node = make_node("--init-only")
    service = node.home / "service/deaf"
    service.mkdir()
    (service / "run").write_text(
        "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n")
    (service / "run").chmod(0o755)
    node.svctool("start")
    pid = service_state(node, "deaf")["pid"]
    said = node.svctool("stop", "--timeout", "1").stdout
    assert "did not end in 1 s" in said
    assert f"(pid {pid})" in said and "KILL" in said
    assert node.processes() == []


def test_an_svscan_of_a_shell_is_left_to_who_started_it(make_node):
    """It is no session of its own: nobody knows what else is in that."""
    node = make_node("--init-only")
    with subprocess.Popen(["svscan", node.home / "service"],
                          env=node.environment(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as svscan:
        wait_until(lambda: service_state(node, "queue1")["state"] == "up",
                   node.logs)
        before = sorted(node.processes())
        assert node.status()["svscan"] == svscan.pid
        assert "runs already" in node.svctool("start").stdout
        done = node.svctool("stop", code=1)
        assert "was not started by 'svctool start'" in done.stderr
        assert sorted(node.processes()) == before
        svscan.terminate()
    folders = [path for path in (node.home / "service").iterdir()]
    subprocess.run(["svc", "-dx", *folders,
                    *(folder / "log" for folder in folders)], check=True,
                   timeout=60)
    wait_until(lambda: node.processes() == [], "all have ended")
    assert "is stopped" in node.svctool("stop").stdout


def test_a_damaged_record_is_said(node):
    file = node.home / "run/svscan"
    text = file.read_text()
    file.write_text("")
    done = node.svctool("stop", code=1)
    assert f"'{file}' is damaged" in done.stderr and "remove it" in done.stderr
    file.unlink()
    assert node.status()["svscan"] == int(text.split()[1])
    node.svctool("stop")
    assert node.processes() == []


def test_an_ordinary_users_node(users_node):
    """start, status and stop as that user, who sees no other's processes."""
    if not may_reach(BIN):
        pytest.skip("another user cannot run the build")

    def run(*words):
        return subprocess.run(
            [BIN / "svctool", *words, "--home", users_node.home],
            user="nobody", group="nogroup", extra_groups=[], check=True,
            stdout=subprocess.PIPE, text=True, timeout=120 * SLOW,
            env=users_node.environment() | NO_LEAKS).stdout

    run("start")
    try:
        assert ": up, svscan pid" in run("status")
        assert json.loads(run("status", "--json"))["ok"]
        assert users_node.status()["ok"]  # and as root
    finally:
        assert "is stopped" in run("stop")
    assert users_node.processes() == []


def test_stop_of_a_folder_that_was_removed(node):
    shutil.rmtree(node.home)
    assert node.processes()
    done = subprocess.run([BIN / "svctool", "stop", "--home", node.home],
                          stdout=subprocess.PIPE, text=True, check=True,
                          timeout=60 * SLOW)
    assert "svscan (pid " in done.stdout
    assert node.processes() == []
    done = subprocess.run([BIN / "svctool", "stop", "--home", node.home],
                          stderr=subprocess.PIPE, text=True, check=False,
                          timeout=60 * SLOW)
    assert done.returncode == 1 and "no node at" in done.stderr
