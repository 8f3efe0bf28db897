# SPDX-License-Identifier: ISC
"""A queue as another system of qmail's family leaves it, taken over."""
import os
import shutil
import subprocess

import pytest

from node import BIN, wait_until
from queue_peer import DOMAIN

SPLIT = 151
LONG_AGO = 1_000_000_000
STRANGER = 64005
LOST = 99999999999  # the number of no message


class Foreign:
    """A queue of split 151 with split todo/ and intd/, written by hand."""

    def __init__(self, path):
        self.path = path
        for folder in ("pid", "bounce", "lock", "trash"):
            (path / folder).mkdir(parents=True)
        for folder in ("mess", "info", "local", "remote", "todo", "intd"):
            for part in range(SPLIT):
                (path / folder / str(part)).mkdir(parents=True)
        (path / "lock/sendmutex").touch()
        (path / "lock/tcpto").write_bytes(bytes(1024))
        os.mkfifo(path / "lock/trigger", 0o622)

    def file(self, folder, number):
        if folder == "bounce":
            return self.path / folder / str(number)
        return self.path / folder / str(number % SPLIT) / str(number)

    def message(self, name):
        """S2: a message that is named by its inode; the number."""
        first = self.path / f"pid/{name}"
        first.write_text(f"Subject: {name}\n\nThis is {name}.\n")
        number = first.stat().st_ino
        first.rename(self.file("mess", number))
        return number

    def queued(self, name, *recipients):
        """S4: qmail-queue links the envelope from intd/ to todo/."""
        number = self.message(name)
        self.file("intd", number).write_bytes(
            b"u1000\0p4711\0Fs@example.net\0" +
            b"".join(b"T%s\0" % to.encode() for to in recipients))
        os.link(self.file("intd", number), self.file("todo", number))
        return number

    def preprocessed(self, name, local=(), remote=(), bounce=None):
        """S5; a recipient that begins with D: is done."""
        number = self.message(name)
        # Newer ones keep lines of the environment behind the sender.
        self.file("info", number).write_bytes(
            b"Fs@example.net\0eQUEUEDIR=/var/indimail/queue/queue1\0")
        for folder, recipients in (("local", local), ("remote", remote)):
            record = b"".join(
                b"D%s\0" % to[2:].encode() if to.startswith("D:") else
                b"T%s\0" % to.encode() for to in recipients)
            if record:
                self.file(folder, number).write_bytes(record)
        if bounce is not None:
            self.file("bounce", number).write_text(bounce)
        for folder in ("mess", "info"):
            os.utime(self.file(folder, number), (LONG_AGO, LONG_AGO))
        return number

    def junk(self):
        """What lies about in old queues."""
        # An injection that was cut off in S3, and one in S1.
        number = self.message("unfinished")
        self.file("intd", number).write_bytes(b"u0\0")
        os.utime(self.file("mess", number), (LONG_AGO, LONG_AGO))
        old = self.path / "pid/123.1000000000.1"
        old.write_text("Received: cut off")
        os.utime(old, (LONG_AGO, LONG_AGO))
        # Files whose message has gone.
        for folder in ("todo", "intd", "info", "local", "remote", "bounce"):
            self.file(folder, LOST).write_bytes(b"Tlost@x\0")
        # What somebody put there, also into folders that have to go.
        for name in ("mess/3/README", "mess/99/core", "mess/99/.nfs0001",
                     "todo/7/notes", "info/150/" + "x" * 200, "trash/1234"):
            (self.path / name).write_text("junk\n")
        (self.path / "local/120/old").mkdir()
        (self.path / "local/120/old/copy.txt").write_text("junk\n")

    def own(self, uid):
        for path in [self.path, *self.path.rglob("*")]:
            os.chown(path, uid, uid, follow_symlinks=False)
            if path.is_file():
                path.chmod(0o644)


def fill(foreign, others=("elsewhere.example",)):
    """Messages in each state; what is to become of them."""
    elsewhere = f"x@{others[0]}"
    foreign.queued("todo-local", f"alice@{DOMAIN}", f"bob@{DOMAIN}")
    foreign.queued("todo-remote", elsewhere)
    foreign.queued("todo-both", f"alice@{DOMAIN}", elsewhere)
    foreign.preprocessed("held-local", local=[
        f"D:{DOMAIN}-alice@{DOMAIN}", f"{DOMAIN}-bob@{DOMAIN}"])
    foreign.preprocessed("held-remote", remote=[elsewhere, "D:y@z.example"])
    foreign.preprocessed("held-both", local=[f"{DOMAIN}-alice@{DOMAIN}"],
                         remote=[elsewhere])
    # All is done, and only the end was interrupted.
    foreign.preprocessed("held-ended", local=[f"D:{DOMAIN}-bob@{DOMAIN}"])
    for number in range(30):
        foreign.queued(f"many-{number}", f"bob@{DOMAIN}")
    return {
        "alice": {"todo-local", "todo-both", "held-both"},
        "bob": {"todo-local", "held-local"} |
               {f"many-{number}" for number in range(30)},
        "remote": {"todo-remote", "todo-both", "held-remote", "held-both"},
    }


def subjects(messages):
    found = []
    for message in messages:
        lines = message.split(b"\n")
        (name,) = [line[9:].decode() for line in lines
                   if line.startswith(b"Subject: ")]
        assert message.endswith(f"This is {name}.\n".encode()), message
        found.append(name)
    return found


def retained(node):
    """The subjects of messages that remote/ has, each with what is left."""
    found = {}
    queue = node.queue_dir("queue1")
    for path in queue.glob("remote/*/*"):
        mess = queue / "mess" / path.parent.name / path.name
        (name,) = subjects([mess.read_bytes()])
        left = [field[1:] for field in path.read_bytes().split(b"\0")
                if field.startswith(b"T")]
        assert left == [b"x@elsewhere.example"], (name, left)
        found[name] = path
    return found


def stopped(make_node):
    """A node without its queue; nothing is sent to other hosts, since what is as
    old as these messages bounces when its first attempt fails."""
    node = make_node("--queues", "1")
    node.svctool("stop")
    (node.control / "concurrencyremote").write_text("0\n")
    shutil.rmtree(node.queue_dir("queue1"))
    return node


def test_messages_of_every_state_go_on(make_node):
    node = stopped(make_node)
    queue = node.queue_dir("queue1")
    foreign = Foreign(queue)
    wanted = fill(foreign)
    foreign.junk()
    if os.getuid() == 0:
        foreign.own(STRANGER)

    would = node.run("queue-fix", "-N", queue, code=1).stdout
    assert "would move to the folder of its number: mess/" in would
    assert (queue / "mess/150").is_dir()  # nothing is changed
    said = node.run("queue-fix", queue).stdout
    assert said.count("would ") == 0
    for line in (f"remove, since it has no message: todo/{LOST % SPLIT}/{LOST}",
                 "left alone, as no message: mess/3/README",
                 "move out of a folder that goes: mess/99/core",
                 "remove folder mess/150", "remove folder todo/0"):
        assert f"{queue}: {line}\n" in said, line
    again = node.run("queue-fix", "-v", queue).stdout
    assert f"{queue}: 0 changes made\n" in again, again
    assert node.run("queue-fix", "-N", queue).stdout == again.rpartition(
        f"{queue}: 0 ")[0]
    # Junk is where it was, or one folder up; nothing of it is lost.
    for name in ("mess/3/README", "mess/99.core", "mess/99..nfs0001",
                 "todo/7.notes", "info/150." + "x" * 200, "trash/1234",
                 "local/120.old/copy.txt"):
        assert (queue / name).read_text() == "junk\n", name
    assert len(list((queue / "mess").glob("*/"))) == 23
    assert not [path for path in (queue / "todo").iterdir()
                if path.is_dir()]
    if os.getuid() == 0:
        owners = {path.owner() for path in queue.glob("mess/*/[0-9]*")}
        assert owners == {"root"}

    node.svctool("start")
    alice = node.wait_messages("alice", len(wanted["alice"]))
    bob = node.wait_messages("bob", len(wanted["bob"]))
    assert sorted(subjects(alice)) == sorted(wanted["alice"])
    assert sorted(subjects(bob)) == sorted(wanted["bob"])
    wait_until(lambda: set(retained(node)) == wanted["remote"],
               lambda: f"{retained(node)}\n{node.logs()}")
    wait_until(lambda: len(list(queue.glob("info/*/*"))) ==
               len(wanted["remote"]) and
               not list(queue.glob("todo/[0-9]*[0-9]")),
               lambda: f"the others are over\n{node.logs()}")
    # What was never queued goes by itself: it was long ago.  What lies in pid/
    # is as old as its last change, and that no test can make so long ago.
    wait_until(lambda: not list((queue / "intd").glob("[0-9]*")),
               "the unfinished one is removed")
    wait_until(lambda: not any(
        b"Subject: unfinished" in path.read_bytes()
        for path in queue.glob("mess/*/[0-9]*")), "and its message")
    # And the queue serves on.
    node.send("alice", "afterwards")
    node.wait_messages("alice", len(wanted["alice"]) + 1)


def by_inodes(queue):
    return {path.name: str(path.stat().st_ino)
            for path in queue.glob("mess/*/[0-9]*") if path.name.isdigit()}


@pytest.mark.parametrize("options", [(), ("--inodes",), ("-I",)])
def test_a_copy_of_it_goes_on_too(make_node, options):
    """Copied by cp: no file is named by its inode, and none needs to be; for
    another system, that takes the numbers of such files again, they can be."""
    node = stopped(make_node)
    queue = node.queue_dir("queue1")
    other = node.home / "other"
    foreign = Foreign(other)
    wanted = fill(foreign)
    foreign.junk()
    subprocess.run(["cp", "-a", other, queue], check=True)
    numbers = set(by_inodes(queue))
    node.run("queue-fix", *options, "-s", "37", queue)
    again = node.run("queue-fix", "-v", *options, "-s", "37", queue).stdout
    assert f"{queue}: 0 changes made\n" in again, again
    found = by_inodes(queue)
    if options:
        assert set(found) == set(found.values())
    else:
        assert set(found) == numbers
    node.svctool("start")
    for user in ("alice", "bob"):
        messages = node.wait_messages(user, len(wanted[user]))
        assert sorted(subjects(messages)) == sorted(wanted[user])
    wait_until(lambda: set(retained(node)) == wanted["remote"],
               lambda: f"{retained(node)}\n{node.logs()}")


@pytest.mark.parametrize("name, damage, wanted", [
    ("two with one name", lambda f: (
        (f.path / "mess/1/77").write_text("x"),
        (f.path / "mess/2/77").write_text("y")),
     "two messages are called 77"),
    ("a file for a folder", lambda f: (
        (f.path / "bounce").rmdir(), (f.path / "bounce").write_text("x")),
     "bounce' is not a folder; move it away"),
    ("no place to move to", lambda f: (
        (f.path / "mess/99/core").write_text("x"),
        (f.path / "mess/99.core").write_text("y")),
     "mess/99/core' to 'mess/99.core'; move it away"),
])
def test_what_cannot_be_repaired_is_explained(queue, name, damage, wanted):
    shutil.rmtree(queue.dir)
    foreign = Foreign(queue.dir)
    fill(foreign)
    before = len(list(queue.dir.glob("mess/*/*")))
    damage(foreign)
    done = queue.run("queue-fix", queue.dir, code=111)
    assert wanted in done.stderr.decode(), name
    assert len(list(queue.dir.glob("mess/*/*"))) >= before


def test_nobody_else_works_in_a_queue_that_is_being_repaired(queue):
    """
    A message that qmail-queue alone wrote meanwhile was taken for one that
    has no message, and removed; and a qmail-send between the halves of a
    repair would have removed what did not lie where it should.
    """
    # A qmail-queue at work keeps queue-fix out.
    read, write = os.pipe()
    envelope = queue.home / "envelope"
    envelope.write_bytes(b"Fs@x\0Tu@" + DOMAIN.encode() + b"\0\0")
    with open(envelope, "rb+") as file:
        writer = subprocess.Popen(
            [BIN / "qmail-queue"], stdin=read, stdout=file,
            env=queue.environment())
    os.close(read)
    wait_until(lambda: queue.files("mess"), "it has begun")
    fix = subprocess.Popen(
        [BIN / "queue-fix", "-s", "5", queue.dir], env=queue.environment(),
        stdout=subprocess.DEVNULL)
    os.write(write, b"Subject: x\n\nx\n")
    assert fix.poll() is None
    assert (queue.dir / "mess/22").is_dir()
    os.close(write)
    assert writer.wait(60) == 0
    assert fix.wait(60) == 0
    assert not (queue.dir / "mess/22").exists()
    assert len(queue.files("todo")) == 1

    # A repair that was interrupted keeps all others out.
    (queue.dir / "lock/fixing").write_text("numbers\n")
    done = queue.run("qmail-send", queue.dir, code=111)
    assert b"queue-fix was interrupted" in done.stderr
    done = queue.inject(code=63, QUEUEDIR=str(queue.dir))
    assert b"run it again" in done.stderr
    said = queue.fix("-s", "5")
    assert "end the repair that was interrupted: lock/fixing" in said
    assert queue.fix("-s", "5") == ""
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(1)
    queue.wait_done()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("variable, wanted", [(None, "nobody"),
                                              ("daemon", "daemon")])
def test_the_queue_of_a_node_belongs_to_its_user(tmp_path, variable, wanted):
    """By hand queue-fix gave it to qmailq, whom the node does not run as."""
    variables = tmp_path / "control/global_vars"
    variables.mkdir(parents=True)
    (variables / "MQMAIL_USER").write_text("nobody\n")
    (tmp_path / "queue").mkdir()
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("MQMAIL_")}
    if variable is not None:
        environment["MQMAIL_USER"] = variable
    for path in (str(tmp_path / "queue/queue1/"), "queue2"):
        subprocess.run([BIN / "queue-fix", path], env=environment, check=True,
                       stdout=subprocess.DEVNULL, cwd=tmp_path / "queue",
                       timeout=60)
    for name in ("queue1", "queue2"):
        folder = tmp_path / "queue" / name
        assert {path.owner() for path in folder.rglob("*")} == {wanted}
