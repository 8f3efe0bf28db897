# SPDX-License-Identifier: ISC
"""svctool queue with messages: what operators do to a running queue's mail."""
import json
import os
import select
import subprocess
import uuid

import pytest

from node import wait_until
from queue_peer import DOMAIN, Intake

REMOTE = "carol@far.example"


@pytest.fixture
def node(make_node):
    return make_node("--no-listeners")


@pytest.fixture
def held(node):
    """A node whose queues keep all mail: deliveries are held."""
    for name in ("queue1", "queue2"):
        node.svctool("queue", "hold", name)
    yield node


def listed(node, *filters):
    done = node.svctool("queue", "list", "--json", *filters)
    return json.loads(done.stdout)


def put(node, *recipients, queue="queue1", sender="sender@example.net",
        text="Subject: injected\n\nHello.\n"):
    """One message that is on disk; what list says of it."""
    before = {row["id"] for row in listed(node)}
    assert node.inject(*recipients, queue=queue, sender=sender, text=text) == 0

    def kept():
        new = [row for row in listed(node, "--queue", queue)
               if row["id"] not in before]
        return new and new[0]

    return wait_until(kept, "the message is kept")


def go_on(node, *names):
    for name in names or ("queue1", "queue2"):
        node.svctool("queue", "release", name)


def test_list_and_filters(held):
    alice = f"alice@{held.domain}"
    one = put(held, alice, REMOTE, sender="a@one.example")
    two = put(held, REMOTE, queue="queue2", sender="b@two.example",
              text="Subject: long\n\n" + "x" * 3000)
    assert one["recipients"] == [alice, REMOTE]
    assert (one["queue"], two["queue"]) == ("queue1", "queue2")
    assert one["uuid"] and not one["held"] and one["tries"] == 0

    def ids(*filters):
        return [row["id"] for row in listed(held, *filters)]

    both = [one["id"], two["id"]]
    assert ids() == both
    assert ids("--sender", "*@ONE.example") == both[:1]
    assert ids("--recipient", "alice@*") == both[:1]
    assert ids("--domain", "far.*") == both
    assert ids("--lane", "far.example") == both
    assert ids("--larger", "2k") == both[1:]
    assert ids("--older", "1h") == []
    assert ids("--queue", "2") == both[1:]
    assert ids("--id", one["uuid"]) == both[:1]
    assert ids("--domain", "far.*", "--sender", "b@*") == both[1:]
    text = held.svctool("queue", "list", "--queue", "1").stdout
    assert f"queue1 {one['id']} {one['uuid']} age " in text
    assert f"\t{alice} held: its queue\n\t{REMOTE} held: its queue\n" in text
    ages = json.loads(held.svctool("queue", "ages", "--json").stdout)
    assert [(row["domain"], row["total"], row["counts"][0])
            for row in ages] == [("far.example", 2, 2), (held.domain, 1, 1)]
    assert "domain" in held.svctool("queue", "ages").stdout
    for words in (["--older", "1y"], ["--id", "x"], ["--larger", "-1"]):
        assert held.svctool("queue", "list", *words, code=100)


def test_show(held):
    row = put(held, REMOTE, text="Subject: seen\nX-A: b\n\nThe body.\n")
    # In the journal it is not routed yet, as far as this shows.
    wait_until(lambda: "left remote" in held.svctool(
        "queue", "show", row["id"]).stdout, "it is in files")
    done = held.svctool("queue", "show", row["id"])
    assert "Subject: seen\nX-A: b\n" in done.stdout
    assert "The body" not in done.stdout
    assert f"left remote {REMOTE}\n" in done.stdout
    done = held.svctool("queue", "show", row["uuid"], "--body", "--json")
    shown = json.loads(done.stdout)[0]
    assert shown["text"].endswith("\n\nThe body.\n")
    held.svctool("queue", "show", "5", code=1)


def test_hold_outlives_a_restart(held):
    """The others are delivered; the held one when it is released."""
    alice = f"alice@{held.domain}"
    rests = put(held, alice, text="Subject: rests\n\n")
    put(held, alice, text="Subject: goes\n\n")
    held.svctool("queue", "hold", "--id", rests["id"])
    assert listed(held, "--id", rests["id"])[0]["held"]
    go_on(held)
    assert b"Subject: goes" in held.wait_messages("alice", 1)[0]
    done = held.svctool("queue", "retry", rests["id"], code=1)
    assert "it is held; release it first" in done.stderr
    pid = held.queue("queue1")["pid"]
    subprocess.run(["svc", "-t", held.home / "service/queue1"], check=True)
    wait_until(lambda: held.queue("queue1")["pid"] not in (None, pid) and
               held.queue("queue1")["ok"], "another qmail-send")
    assert [row["held"] for row in listed(held)] == [True]
    subprocess.run(["svc", "-a", held.home / "service/queue1"], check=True)
    put(held, f"alice@{held.domain}", REMOTE)
    held.wait_messages("alice", 2)
    held.svctool("queue", "release", "--id", rests["uuid"])
    messages = held.wait_messages("alice", 3)
    assert any(b"Subject: rests" in message for message in messages)
    assert (held.queue_dir("queue1") / "lock/held").read_text() == ""


def test_delete_tells_nobody(held):
    sender = f"alice@{held.domain}"
    both = put(held, f"bob@{held.domain}", REMOTE, sender=sender)
    stays = put(held, REMOTE, sender=sender)
    done = held.svctool("queue", "delete", both["id"], "--dry-run")
    assert "would be it:" in done.stdout and len(listed(held)) == 2
    held.svctool("queue", "delete", both["id"])
    assert [row["id"] for row in listed(held)] == [stays["id"]]
    held.wait_log("queue1", f"delete msg {both['id']} by uid ")
    held.wait_log("queue1", f"end msg {both['id']}")
    done = held.svctool("queue", "delete", both["id"], code=1)
    assert "0 messages match" in done.stdout
    held.svctool("queue", "delete", code=100)
    held.svctool("queue", "delete", "--all")
    held.wait_empty()
    go_on(held)
    assert held.messages("alice") == []


def test_bounce_tells_the_sender_why(held):
    row = put(held, REMOTE, sender=f"alice@{held.domain}")
    held.svctool("queue", "bounce", "--domain", "far.example", code=100)
    held.svctool("queue", "bounce", "--domain", "far.example", "--text",
                 "We do not serve far.example any more. (#5.7.1)")
    assert row["id"] not in [row["id"] for row in listed(held)]
    go_on(held)
    report = held.wait_messages("alice", 1)[0]
    assert b"We do not serve far.example any more." in report
    assert REMOTE.encode() in report


def test_move_between_running_queues(held):
    alice, bob = f"alice@{held.domain}", f"bob@{held.domain}"
    large = "Subject: large\n\n" + "0123456789abcde\n" * 20000
    moved = [put(held, alice, bob, REMOTE, text=large), put(held, alice)]
    done = held.svctool("queue", "move", "--all", "--to", "2", "--json")
    assert [row["done"] for row in json.loads(done.stdout)] == [True, True]
    now = listed(held)
    assert {row["queue"] for row in now} == {"queue2"}
    assert {row["uuid"] for row in now} == {row["uuid"] for row in moved}
    assert sorted(map(len, (row["recipients"] for row in now))) == [1, 3]
    # It can come back.
    held.svctool("queue", "move", moved[1]["uuid"], "--to", "queue1")
    assert sorted(row["queue"] for row in listed(held)) == ["queue1", "queue2"]
    go_on(held)
    messages = held.wait_messages("alice", 2)
    assert any(message.endswith(large.encode()[-4000:])
               for message in messages)
    held.wait_messages("bob", 1)


def test_a_lane_rests(held):
    put(held, f"alice@{held.domain}", REMOTE)
    done = held.svctool("queue", "hold", "--lane", "far.example")
    assert "held lane far.example in queue1" in done.stdout
    assert (held.queue_dir("queue2") / "lock/held").read_text() == (
        "lane far.example\n")
    assert held.svctool("queue", "list").stdout.splitlines()[1:] == [
        f"\talice@{held.domain} held: its queue",
        f"\t{REMOTE} held: its lane"]
    assert listed(held)[0]["held_recipients"] == [
        f"alice@{held.domain}", REMOTE]
    go_on(held)
    held.wait_messages("alice", 1)
    assert listed(held)[0]["recipients"] == [REMOTE]
    assert "far.example held: its lane" in held.svctool("queue", "ages").stdout
    told = held.svctool("status").stdout
    assert "lane far.example is held: 'svctool queue release --lane " in told
    told = json.loads(held.svctool("status", "--json").stdout)
    assert told["queues"][0]["held_lanes"] == ["far.example"]
    held.svctool("queue", "release", "--lane", "far.example")
    assert (held.queue_dir("queue2") / "lock/held").read_text() == ""
    assert "held" not in held.svctool("status").stdout
    assert listed(held, "--recipient", f"alice@{held.domain}") == []


def test_a_message_is_no_queue(held):
    row = put(held, REMOTE)
    done = held.svctool("queue", "hold", row["id"], code=1)
    assert f"'svctool queue hold --id {row['id']}'" in done.stderr


def test_a_stopped_queue_is_only_looked_at(held):
    row = put(held, REMOTE)
    held.svctool("stop")
    assert [row["id"] for row in listed(held)] == [row["id"]]
    assert "Subject: injected" in held.svctool(
        "queue", "show", row["id"]).stdout
    done = held.svctool("queue", "delete", row["id"], code=1)
    assert "queue1 does not run" in done.stderr


def test_damage_is_named(held):
    """list, check, status and the log say what cannot be delivered."""
    row = put(held, f"alice@{held.domain}")
    held.svctool("stop")
    info = next(held.queue_dir("queue1").glob(f"info/*/{row['id']}"))
    info.write_bytes(b"garbage")
    done = held.svctool("queue", "list", code=1)
    assert f"message {row['id']} in queue1 cannot be delivered" in done.stderr
    done = held.svctool("check", code=None)
    assert str(row["id"]) in done.stdout
    held.svctool("start")
    go_on(held)
    wait_until(lambda: f"cannot use info/{row['id']}" in held.log("queue1"),
               lambda: f"it is told\n{held.logs()}")
    wait_until(lambda: held.queue("queue1")["damaged"] == 1, "and counted")
    done = held.svctool("queue", "delete", row["id"], code=1)
    assert f"cannot delete queue1 {row['id']}: no such message" in done.stderr


def test_qmail_rm(held):
    row = put(held, REMOTE)
    held.run("qmail-rm", "-n", row["id"])
    assert len(listed(held)) == 1
    held.run("qmail-rm", row["id"])
    assert listed(held) == []
    held.run("qmail-rm", code=100)


# -- one qmail-send, and workers of ours

def is_silent(client):
    """Nothing is answered, after a later client had its turn."""
    return not select.select([client.connection], [], [], 0.3)[0]


def operate_started(queue, *arguments, **options):
    """Once the queue was looked through."""
    client = Intake(queue)
    while True:
        code, text = client.operate(*arguments, **options)
        if "just starting" not in text:
            return code, text


def test_what_is_under_way_ends_first(queue):
    """Deleted meanwhile, a deferral is its end, and it is told nobody."""
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject([f"a@{DOMAIN}", f"b@{DOMAIN}"])
    worker.wait_jobs(2)
    number = worker.jobs[0].message_id
    client = Intake(queue)
    client.send_operate(Intake.DELETE, number)
    assert is_silent(client)
    other = Intake(queue)
    code, text = other.operate(Intake.BOUNCE, number, text="no")
    assert (code, text) == (71, "it is being ended")
    worker.answer(worker.held[0], "Z", "not now\n")
    worker.answer(worker.held[0], "K", "ok\n")
    assert client.answer() == (0, "")
    queue.wait_done()
    assert len(worker.jobs) == 2
    assert "bounce msg" not in queue.log()


def test_a_hold_waits_for_the_delivery(queue):
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject([f"a@{DOMAIN}"])
    worker.wait_jobs(1)
    number = worker.jobs[0].message_id
    client = Intake(queue)
    client.send_operate(Intake.HOLD, number)
    assert is_silent(client)
    worker.answer(worker.held[0], "Z", "not now\n")
    assert client.answer() == (0, "")
    assert (queue.dir / "lock/held").read_text() == f"msg {number}\n"
    assert set(queue.files("local")) == {str(number)}
    assert client.operate(Intake.RETRY, number)[0] == 71
    assert client.operate(Intake.RELEASE, number) == (0, "")
    assert client.operate(Intake.RETRY, number) == (0, "")
    worker.wait_jobs(2)
    worker.answer(worker.held[0], "K", "ok\n")
    queue.wait_done()


def test_kept_mail_of_another_system(queue):
    """Both of its channels end, without any worker; failures are told."""
    number = queue.put_remembered(
        local=[f"{DOMAIN}-a@{DOMAIN}"], remote=["b@far.example"])
    queue.start()
    code, text = operate_started(
        queue, Intake.BOUNCE, number, text="Not any more. (#5.7.1)")
    assert (code, text) == (0, "")
    assert str(number) not in queue.files("info")
    queue.wait_log(f"^.*bounce msg {number} qp")
    client = Intake(queue)
    assert client.operate(Intake.DELETE, number) == (255, "no such message")


def test_forgotten_mail_reports_nothing(queue):
    """What had failed before is told by the queue that has it now."""
    number = queue.put_remembered(
        local=[f"{DOMAIN}-a@{DOMAIN}"], bounce=b"<x@y>:\nno\n\n")
    queue.start()
    assert operate_started(queue, Intake.FORGET, number) == (0, "")
    queue.wait_done()
    assert "bounce msg" not in queue.log()


def test_only_two_users_may(queue):
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    queue.start()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65533)
            client = Intake(queue)
            client.send_operate(Intake.DELETE, 5)
            os._exit(0 if client.is_over() else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_move_that_was_cut_short(held):
    """It was handed over, and not forgotten: the next move does the rest."""
    row = put(held, REMOTE)
    held.svctool("queue", "hold", "--id", row["id"])

    def hand_over(name):
        class Other:
            dir = held.queue_dir(name)

        client = Intake(Other)
        assert client.commit(
            b"Subject: injected\n\nHello.\n", [REMOTE],
            ident=uuid.UUID(row["uuid"]), is_import=True)[0] == 0
        wait_until(lambda: listed(held, "--queue", name), "it is kept")

    hand_over("queue2")
    held.svctool("queue", "move", row["id"], "--to", "2")
    assert [row["queue"] for row in listed(held)] == ["queue2"]
    # Known there, and there no more: perhaps it was delivered.
    held.svctool("queue", "delete", "--queue", "2", "--all")
    hand_over("queue1")
    done = held.svctool("queue", "move", "--all", "--to", "2", code=1)
    assert "has had it, and has it no more" in done.stderr
    assert [row["held"] for row in listed(held)] == [True]
