# SPDX-License-Identifier: ISC
"""Durable operations, and what each must have made durable before what.

strace watches the real program, and its calls are replayed on a disk that keeps
nothing without a sync (durable.py).  A new operation is one more row.  Of each
that is a command every sync is made to fail, too, one after the other: then it
must not say that all is well.  No file gets its name before its content is
synced, in any row.
"""
import os
import pwd
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import durable
import journal
from delivery_peer import BODY_MAX, Node, Send, message_file
from injected import injected, parts
from node import BIN, NO_LEAKS, wait_until
from queue_peer import DOMAIN, Intake

MESSAGE = "Subject: durable\n\nbody\n"
USER = r"domains/example\.test"
CAROL = USER + r"/carol(/Maildir(/(new|cur|tmp))?)?$|" + \
    USER + r"/carol(/Maildir)?=$"
# Nobody misses these after a power cut: locks, and folders that go anyway.
IGNORED = (r".*/?\.?(vpasswd)?\.lock$|-.*/\.removed.*/|-domains/\.removed.*/|"
           r".*/lock/health|.*/Maildir/maildirsize")


@dataclass
class Row:
    """One operation of a command."""
    name: str
    command: tuple
    # (call, what): before that call begins nothing is loose that is what.
    order: tuple = ()
    # Calls, of which the first of each kind come in this order.
    sequence: tuple = ()
    # At the end nothing is loose that is this, and not IGNORED.
    at_end: str = "."
    prepare: tuple = ()  # commands, or functions of the home
    stdin: str = ""
    env: tuple = ()
    sound: str = "^$"  # paths whose sync may fail
    step: int = 1  # of many syncs only each so many'th is made to fail


def without_maildir(home):
    shutil.rmtree(home / USER.replace("\\", "") / "bob/Maildir")


def more_hosts(home):
    (home / "control/morercpthosts").write_text("a.test\n")


def more_routes(home):
    (home / "control/moresmtproutes").write_text("a.test:b.test\n")


VDELIVERMAIL = dict(
    command=("vdelivermail", "", "bounce-no-mailbox"), stdin=MESSAGE,
    env=(("EXT", "bob"), ("HOST", "example.test"), ("SENDER", "a@b.test"),
         ("RECIPIENT", "example.test-bob@example.test")))
NEW_DOMAIN = r"domains/new\.test(/(?!.*/(new|cur|tmp)=).*)?=?$"
NEW_USER = (rf"name \S+ {USER}/vpasswd(\.cdb)?$", CAROL)

NODE = "node/"
INIT = ("svctool", "init", "--home", "{home}/node", "--me", "mail.example.test",
        "--port", "127.0.0.1:2525", "--domain", "example.test", "--user",
        pwd.getpwuid(os.getuid()).pw_name)
QUEUE_ADD = ("svctool", "queue", "add", "3", "--home", "{home}/node")

COMMANDS = [
    Row("vadduser", ("vadduser", "-n", "carol@example.test"),
        order=(NEW_USER,
               (rf"name \S+ {USER}/vpasswd\.cdb$", rf"{USER}/vpasswd=?$"))),
    Row("vadduser, many", ("vadduser", "-n", "-i"), order=(NEW_USER,),
        stdin="carol@example.test\n" + "".join(
            f"u{n}@example.test\n" for n in range(40))),
    Row("vpasswd", ("vpasswd", "alice@example.test", "secret"),
        order=((rf"name \S+ {USER}/vpasswd\.cdb$", rf"{USER}/vpasswd=?$"),)),
    Row("vmoduser", ("vmoduser", "-q", "10000", "alice@example.test"),
        order=((rf"name \S+ {USER}/vpasswd\.cdb$", rf"{USER}/vpasswd=?$"),)),
    Row("vdeluser", ("vdeluser", "-f", "alice@example.test"),
        order=((rf"remove {USER}/\.removed", rf"-?{USER}/(vpasswd.*|alice)$"),
               ),
        sequence=(rf"name {USER}/alice ", rf"name \S+ {USER}/vpasswd$",
                  rf"name \S+ {USER}/vpasswd\.cdb$",
                  rf"remove {USER}/\.removed")),
    Row("vadddomain", ("vadddomain", "-n", "new.test"),
        order=((r"name \S+ (users/(assign|cdb)|control/.*)$", NEW_DOMAIN),
               (r"name \S+ control/.*$", r"users/(assign|cdb)=?$"),
               (r"name \S+ control/rcpthosts$", r"control/virtualdomains=?$")),
        sequence=(r"name \S+ domains/new\.test/vpasswd\.cdb$",
                  r"name \S+ users/cdb$", r"name \S+ control/virtualdomains$",
                  r"name \S+ control/rcpthosts$")),
    Row("vaddaliasdomain", ("vaddaliasdomain", "al.test", "example.test"),
        order=((r"name \S+ control/.*$", r"users/(assign|cdb)=?$"),
               (r"name \S+ control/rcpthosts$", r"control/virtualdomains=?$"))),
    Row("vdeldomain", ("vdeldomain", "-f", "new.test"),
        prepare=(("vadddomain", "-n", "new.test"),),
        order=((r"name \S+ control/virtualdomains$", r"control/rcpthosts=?$"),
               (r"name domains/new\.test ", r"control/.*$"),
               (r"remove domains/\.removed", r"-?domains/[^/]*$|users/.*$")),
        sequence=(r"name \S+ control/rcpthosts$",
                  r"name \S+ control/virtualdomains$",
                  r"name domains/new\.test ", r"name \S+ users/assign$",
                  r"remove domains/\.removed")),
    Row("qmail-newu", ("qmail-newu",)),
    Row("qmail-newmrh", ("qmail-newmrh",), prepare=(more_hosts,)),
    Row("qmail-cdb", ("qmail-cdb", "moresmtproutes"), prepare=(more_routes,)),
    Row("svctool init", INIT, at_end=NODE, step=11,
        order=((r"name \S+ node/service/queue2$", r"node/queue/queue2(/.*)?$"),
               (r"name \S+ node/users/assign$",
                r"node/domains/[^/]+(/(vpasswd|\.qmail).*)?$"))),
    Row("svctool queue add", QUEUE_ADD, at_end=NODE, prepare=(INIT,), step=3,
        order=((r"name \S+ node/control/queue_count$",
                r"node/queue/queue3(/.*)?$"),)),
    Row("svctool queue remove",
        ("svctool", "queue", "remove", "3", "--home", "{home}/node"),
        prepare=(INIT, QUEUE_ADD), at_end=r"node/(?!log|service/|queue/)",
        order=((r"name node/service/queue3 |remove node/queue/queue3",
                r"node/control/queue_count=?$"),),
        sequence=(r"name \S+ node/control/queue_count$",
                  r"name node/service/queue3 ", r"remove node/queue/queue3")),
    Row("vdelivermail", **VDELIVERMAIL),
    Row("vdelivermail, no Maildir", **VDELIVERMAIL, prepare=(without_maildir,),
        order=(("name .*/tmp/.* .*/new/",
                r".*/bob/Maildir(/(new|cur|tmp))?=?$"),)),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A home that each row has a copy of, at the same place."""
    base = tmp_path_factory.mktemp("durable")
    node = Node(base / "home", users=("alice", "bob"))
    node.saved = base / "saved"
    shutil.copytree(base / "home", node.saved)
    return node


def words_of(saved, command):
    return [word.replace("{home}", saved.root) for word in command]


def fresh_home(saved, row):
    home = Path(saved.root)
    shutil.rmtree(home)
    shutil.copytree(saved.saved, home)
    for step in row.prepare:
        if callable(step):
            step(home)
        else:
            saved.run(*words_of(saved, step))
    return home


def run_row(saved, row, trace, *more):
    program, *words = words_of(saved, row.command)
    return durable.run(trace, [BIN / program, *words], *more,
                       env={**saved.environment, **dict(row.env)},
                       input=row.stdin)


def check(root, before, trace, order, at_end=None, loose=(),
          sequence=()):
    """Fails when something is loose too long, and when a rule never applied.

    loose: what is there before, but not durable.
    """
    seen = set()
    came = []

    def look(event, loose):
        came.extend(kind for kind in sequence
                    if kind not in came and re.match(kind, event))
        for rule in order:
            if re.match(rule[0], event):
                seen.add(rule)
                found = [what for what in loose if re.match(rule[1], what)]
                assert not found, f"not durable before '{event}': {found}"
        if at_end is not None and event == "exit":
            found = [what for what in loose if re.match(at_end, what) and
                     not re.match(IGNORED, what)]
            assert not found, f"not durable at the end: {found}"

    disk = durable.Disk(root, before, look)
    disk.replay(trace, loose)
    assert tuple(came) == sequence
    assert seen == set(order), set(order) - seen
    for _, what in order:
        assert any(re.match(what, one) for one in {*disk.ever, *loose}), what
    return disk


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_command(saved, tmp_path, row):
    home = fresh_home(saved, row)
    before = durable.snapshot(home)
    done = run_row(saved, row, tmp_path / "trace")
    assert done.returncode == 0, done.stdout
    disk = check(home, before, tmp_path / "trace", row.order, row.at_end,
                 sequence=row.sequence)
    assert disk.syncs
    every_sync_fails(
        tmp_path, disk.syncs[::row.step], row.sound,
        lambda more: (fresh_home(saved, row),
                      run_row(saved, row, tmp_path / "t", *more))[1])


def every_sync_fails(tmp_path, syncs, sound, run):
    """run, with one sync that fails, must not end well."""
    for call, path, of_path, of_call in syncs:
        if re.search(sound, path):
            continue
        # What is unlike in each run has no path; among threads, no number.
        has_path = not re.search(
            r"\.tmp\.\d+$|/(tmp|pid|intd)/\d|/mess/\d+", path)
        number = of_path if has_path else of_call
        fault = [*(["-P", path] if has_path else []), "-e",
                 f"inject={call}:error=EIO" +
                 (f":when={number}" if number > 0 else "")]
        done = run(fault)
        assert "INJECTED" in (tmp_path / "t").read_text(), (call, path)
        assert done.returncode not in (0, 100), (
            f"{call} of {path} fails ({of_path}), and it ends with "
            f"{done.returncode}\n{done.stdout}")


# -- queues

FILES = r"queue/queue1/(mess|todo|info|local|remote|bounce|intd)/.*"


def run_queue_program(queue, trace, program, *more):
    """queue-fix, or qmail-queue with a message."""
    if program == "queue-fix":
        return durable.run(trace, [BIN / program, queue.dir], *more,
                           env=queue.environment())
    envelope = queue.home / "envelope"
    envelope.write_bytes(b"Fs@example.net\0Tu@%s\0\0" % DOMAIN.encode())
    with open(envelope) as file:
        return durable.run(trace, [BIN / program], *more, input=MESSAGE,
                           env=queue.environment(), stdout=file)


def new_queue(queue):
    shutil.rmtree(queue.dir)


def killed_queue(queue):
    """Small and large mail that only the journal knows."""
    queue.set("holdlocal", "1")
    queue.start()
    for size in (100, 200000):
        assert Intake(queue).commit(b"x" * size, [f"u@{DOMAIN}"])[0] == 0
    queue.stop(signal.SIGKILL)
    queue.process = None


def queue_with_a_message(queue):
    """One that lies in another folder than its number says."""
    number = queue.put_remembered(local=[f"u@{DOMAIN}"])
    for folder in ("mess", "info", "local"):
        path = queue.path(folder, number)
        path.rename(queue.dir / folder / str((number + 1) % 23) / str(number))


QUEUES = [
    ("queue-fix, new", "queue-fix", new_queue,
     (("remove .*/lock/fixing", "."),)),
    ("queue-fix, killed", "queue-fix", killed_queue,
     ((r"(write|remove|name) .*/lock/journal\.\d", FILES),)),
    ("queue-fix, moved", "queue-fix", queue_with_a_message,
     ((r"name .*/mess/\d", r".*/lock/fixing=?$"),
      (r"remove .*/lock/fixing", r"-?" + FILES))),
    ("qmail-queue alone", "qmail-queue", lambda queue: None,
     ((r"name .*/intd/\d+ .*/todo/", r".*/(mess/.*|intd/.*=)$"),)),
]


@pytest.mark.parametrize("program, prepare, order", [
    row[1:] for row in QUEUES], ids=[row[0] for row in QUEUES])
def test_queue_program(make_queue, tmp_path, program, prepare, order):
    queue = make_queue()
    prepare(queue)
    home, saved = queue.home, tmp_path / "saved"
    subprocess.run(["cp", "-a", home, saved], check=True)
    before = durable.snapshot(home)
    done = run_queue_program(queue, tmp_path / "trace", program)
    assert done.returncode == 0, done.stdout
    # Names that a killed qmail-send gave may not be durable.
    loose = [path[len(str(home)) + 1:] for path in before
             if re.match(FILES, path[len(str(home)) + 1:]) and
             os.path.isfile(path)]
    disk = check(home, before, tmp_path / "trace", order, ".", loose)
    assert disk.syncs

    def again(more):
        shutil.rmtree(home)
        subprocess.run(["cp", "-a", saved, home], check=True)
        return run_queue_program(queue, tmp_path / "t", program, *more)

    # When the journal's ends are not durable the files decide.
    every_sync_fails(tmp_path, disk.syncs, r"/lock/journal\.\d$", again)


# -- daemons


def delivered(node, message, trace, *more):
    """What qmail-vdeliver says of one delivery."""
    send = Send(node)
    send.up(durable.strace(trace, *more), **NO_LEAKS)
    if len(message) <= BODY_MAX:
        send.job(0, "bob", message)
    else:
        file = message_file(trace.parent, message)
        send.job(0, "bob", file)
        os.close(file)
    result = send.result()
    assert send.hang_up() == 0
    return result


@pytest.mark.parametrize("prepare, size, order", [
    (None, 100, ()),
    (None, 3 << 20, ()),  # written, and synced, in another way
    (without_maildir, 100, (("name .*/tmp/.* .*/new/",
                             r".*/bob/Maildir(/(new|cur|tmp))?=?$"),)),
], ids=["small", "large", "no Maildir"])
def test_delivery(saved, tmp_path, prepare, size, order):
    """Also: no sync may fail, and the delivery be called one."""
    row = Row("", (), prepare=(prepare,) if prepare else ())
    order += (("sendmsg", r".*/Maildir/new/.*"),)
    home = fresh_home(saved, row)
    os.makedirs(home / "queue/queue1")
    before = durable.snapshot(home)
    message = MESSAGE.encode() + b"x" * size + b"\n"
    assert delivered(saved, message, tmp_path / "trace")[1] == "K"
    disk = check(home, before, tmp_path / "trace", order)
    paths = {(call, Path(path)) for call, path, _, _ in disk.syncs}
    assert {"tmp", "new"} <= {path.parent.name for _, path in paths} | {
        path.name for _, path in paths}
    for call, path in paths:
        fresh_home(saved, row)
        fault = ["-e", f"inject={call}:error=EIO"]
        if path.parent.name != "tmp":  # whose name is new each time
            fault += ["-P", str(path)]
        result = delivered(saved, message, tmp_path / "t", *fault)
        assert result[1] == "Z", (call, path)
        assert "INJECTED" in (tmp_path / "t").read_text()


def end_traced(queue):
    """Ends a qmail-send that strace has started."""
    pid = Path(f"/proc/{queue.process.pid}/task/{queue.process.pid}/children")
    os.kill(int(pid.read_text().split()[0]), signal.SIGTERM)
    assert queue.ended() == 0


SENDS = [  # bytes, what is durable before the answer, and before its end
    (100, r".*/lock/journal\.\d=$", r"queue/queue1/(mess|info|todo)/.*"),
    (200000, r".*/mess/.*", r"queue/queue1/(mess|info|todo)/.*"),
]


@pytest.mark.parametrize("size, answer, end", SENDS)
def test_queue_process(make_queue, tmp_path, size, answer, end):
    """The answer of a commit; and a clean stop, which makes it kept."""
    queue = make_queue()
    queue.set("holdlocal", "1")
    before = durable.snapshot(queue.home)
    trace = tmp_path / "trace"
    queue.start(*durable.strace(trace), **NO_LEAKS)
    assert Intake(queue).commit(b"x" * size, [f"u@{DOMAIN}"])[0] == 0
    wait_until(lambda: queue.files("info"), "it is kept")
    # It is the first to be written there after files were made.
    wait_until(lambda: not journal.live(queue.dir), "its end is noted")
    end_traced(queue)
    is_kept = []

    def look(event, loose):
        if event == "sendmsg" and not is_kept:
            assert not [one for one in loose if re.match(answer, one)], loose
        if re.match(r"name .*/pid/\d+ .*/info/", event):
            is_kept.append(event)
            assert not [one for one in loose if re.match(
                r".*/(mess|local)/.*|.*/pid/\d+=$", one)], loose
        if re.match(r"write .*/lock/journal", event) and is_kept:
            assert not [one for one in loose if re.match(end, one)], loose
        if event == "exit":
            assert not [one for one in loose if not re.match(
                IGNORED + r"|send\.log=|.*/(pid|lock)/.*", one)], loose

    disk = durable.Disk(queue.home, before, look)
    disk.replay(trace)
    assert is_kept and any("/lock/journal." in one for one in disk.ever)


def test_start_after_a_kill(make_queue, tmp_path):
    """What a killed qmail-send has named is durable before the journal, which
    still has it, notes its end."""
    queue = make_queue()
    queue.start()
    queue.worker(lambda job: ("Z", "later\n"))
    with injected(queue, "fsync:signal=KILL", paths=parts(queue, "info")):
        assert Intake(queue).commit(b"x", [f"u@{DOMAIN}"])[0] == 0
        assert queue.ended() == -signal.SIGKILL
    name, = queue.files("info").values()
    loose = str(name.relative_to(queue.home))
    assert journal.live(queue.dir)
    before = durable.snapshot(queue.home)
    trace = tmp_path / "trace"
    queue.start(*durable.strace(trace), **NO_LEAKS)
    wait_until(lambda: not journal.live(queue.dir), "its end is noted")
    end_traced(queue)
    check(queue.home, before, trace,
          ((r"write .*/lock/journal\.\d", r".*/info/\d+/\d+$"),), None, [loose])
