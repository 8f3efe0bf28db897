# SPDX-License-Identifier: ISC
"""qmail-queue, while it writes files alone, and queue-fix: kill -9 in front of
each system call that changes something.  Nothing is lost, nothing is there
twice, and a repair afterwards has nothing left to do.
"""
import os
import re
import shutil
import signal
import subprocess

import pytest

from node import BIN, NO_LEAKS
from queue_peer import DOMAIN

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace")

# make crash has them all.
STEP = 1 if os.environ.get("MQMAIL_CRASH_ROUNDS", "1") != "1" else 3

BODY = b"Subject: alone\n\n" + b"A line of the message.\n" * 4000 + b"end\n"


def steps(trace, calls, begin="", only=""):
    """The calls of a run, in order, as strace counts: (name, nth)."""
    found, count, is_begun = [], {}, begin == ""
    for line in trace.read_text(errors="replace").splitlines():
        match = re.match(r"(?:\d+ +)?(\w+)\(", line)
        if match is None:
            continue
        name = match[1]
        count[name] = count.get(name, 0) + 1
        is_begun = is_begun or begin in line
        if (is_begun and (not calls or name in calls) and
                re.search(only, line)):
            found.append((name, count[name]))
    return found


def run_to_die(queue, step, command, what="signal=KILL", **options):
    """Under strace, to be killed, or failed, at a step; the exit code."""
    name, nth = step
    return subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={name}",
         "-e", f"inject={name}:{what}:when={nth}", *command],
        env=queue.environment(**NO_LEAKS), check=False, timeout=60, **options).returncode


# -- qmail-queue

def inject_alone(queue, step=None):
    """qmail-queue with no qmail-send running; its exit code."""
    with open(queue.home / "message", "wb+") as message, \
            open(queue.home / "envelope", "wb+") as envelope:
        message.write(BODY)
        envelope.write(f"F\0Tu@{DOMAIN}\0\0".encode())
        message.seek(0)
        envelope.seek(0)
        files = {"stdin": message, "stdout": envelope,
                 "stderr": subprocess.DEVNULL}
        if step is not None:
            return run_to_die(queue, step, [BIN / "qmail-queue"], **files)
        return subprocess.run(
            ["strace", "-qq", "-o", queue.home / "trace",
             BIN / "qmail-queue"], env=queue.environment(**NO_LEAKS), check=False,
            timeout=60, **files).returncode


def is_whole(message):
    return re.fullmatch(rb"Received: [^\n]*\n(?:  [^\n]*\n)*" +
                        re.escape(BODY), message) is not None


def test_qmail_queue_alone_killed_at_each_step(make_queue):
    queue = make_queue(in_memory=True)
    assert inject_alone(queue) == 0
    # From the file in pid/ on; before that nothing is changed.
    todo = steps(queue.home / "trace", (), "O_CREAT")
    names = {name for name, _ in todo}
    assert {"openat", "write", "fsync", "renameat", "read"} <= names
    assert len(todo) > 20
    accepted = len(queue.files("todo"))
    assert accepted == 1
    states = set()
    for step in todo[::STEP]:
        code = inject_alone(queue, step)
        # The last ones come after the answer is known; it was not given.
        assert code in (-signal.SIGKILL, 128 + signal.SIGKILL, 0), step
        assert set(queue.files("todo")) <= set(queue.files("mess")), step
        now = len(queue.files("todo"))
        states.add(now - accepted)
        assert now - accepted in (0, 1), step
        if code == 0:
            assert now - accepted == 1, step
        accepted = now
        for number, path in queue.files("todo").items():
            assert is_whole(queue.path("mess", number).read_bytes()), step
            assert path.read_bytes().endswith(f"F\0Tu@{DOMAIN}\0".encode())
    assert states == {0, 1}
    assert queue.fix() == ""  # there is nothing that it need change
    # What never was in S4 goes when it is old; the others are delivered.
    for folder in ("mess", "intd", "pid"):
        for path in queue.files(folder).values():
            os.utime(path, (1, 1))
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(accepted)
    queue.wait_done()
    assert len(worker.jobs) == accepted
    assert all(is_whole(job.message) for job in worker.jobs)
    queue.wait_files(intd=0)
    queue.stop()


# -- queue-fix

CHANGES = ("mkdirat", "mknodat", "renameat", "renameat2", "unlinkat",
           "fchownat", "fchmodat", "ftruncate", "syncfs", "fsync", "flock")


def record(folder, name):
    """What a message has there."""
    return {"info": f"F{name}@x\0", "local": f"T{name}@x\0",
            "remote": f"T{name}@x\0", "bounce": f"<{name}@x>:\nno\n\n",
            }.get(folder, f"u1\0p1\0F{name}@x\0T{name}@x\0")


def make_foreign(queue, path):
    """A queue of split 5 with a split todo/, with files of other numbers."""
    if path.exists():
        shutil.rmtree(path)
    for folder in ("pid", "bounce", "lock"):
        (path / folder).mkdir(parents=True)
    for folder in ("mess", "info", "local", "remote", "todo", "intd"):
        for part in range(5):
            (path / folder / str(part)).mkdir(parents=True)
    (path / "mess/4/README").write_text("junk\n")
    (path / "todo/2/123").write_text("no message\n")
    numbers = []
    for name in ("one", "two", "three", "four"):
        file = path / f"pid/{name}"
        file.write_text(f"This is {name}.\n")
        numbers.append(file.stat().st_ino)
    # Each is called by the inode of another one.
    wrong = dict(zip(("one", "two", "three", "four"),
                     numbers[1:] + numbers[:1]))
    for name, number in wrong.items():
        part = str(number % 5)
        (path / f"pid/{name}").rename(path / "mess" / part / str(number))
        files = (("info", "local", "remote") if name in ("one", "two")
                 else ("todo", "intd"))
        for folder in files:
            (path / folder / part / str(number)).write_text(
                record(folder, name))
        if name == "two":
            (path / f"bounce/{number}").write_text(record("bounce", name))


def check_fixed(path, split):
    """Each message has all its files, under its inode's number."""
    found = {}
    for mess in path.glob("mess/*/[0-9]*"):
        number = mess.stat().st_ino
        part = str(number % split)
        assert mess == path / "mess" / part / str(number)
        name = re.fullmatch(r"This is (\w+)\.\n", mess.read_text())[1]
        files = ([f"{folder}/{part}/{number}"
                  for folder in ("info", "local", "remote")]
                 if name in ("one", "two") else
                 [f"{folder}/{number}" for folder in ("todo", "intd")])
        if name == "two":
            files.append(f"bounce/{number}")
        for file in files:
            assert (path / file).read_text() == record(
                file.split("/")[0], name), file
        found[name] = len(files)
    assert found == {"one": 3, "two": 4, "three": 2, "four": 2}
    others = [file for folder in ("todo", "intd", "info", "local", "remote",
                                  "bounce")
              for file in (path / folder).rglob("*") if file.is_file()]
    assert len(others) == 11
    assert (path / "mess/4.README").read_text() == "junk\n"
    assert not (path / "lock/fixing").exists()


def test_queue_fix_killed_at_each_step(make_queue):
    queue = make_queue(in_memory=True)
    path = queue.dir
    command = [BIN / "queue-fix", "-I", "-s", "3", path]
    make_foreign(queue, path)
    subprocess.run(["strace", "-qq", "-o", queue.home / "trace", *command],
                   env=queue.environment(**NO_LEAKS), check=True, timeout=60,
                   stdout=subprocess.DEVNULL)
    check_fixed(path, 3)
    todo = [step for step in steps(queue.home / "trace", CHANGES, "queue1")]
    assert len(todo) > 60
    kills = refused = 0
    for step in todo[::STEP]:
        make_foreign(queue, path)
        code = run_to_die(queue, step, command, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
        kills += code != 0
        if (path / "lock/fixing").exists():
            # Nobody may work with half a repair.
            refused += 1
            done = queue.run("qmail-send", path, code=111)
            assert b"queue-fix was interrupted" in done.stderr, step
        assert queue.run("queue-fix", "-I", "-s", "3", path, code=None
                         ).returncode == 0, step
        try:
            check_fixed(path, 3)
        except AssertionError as error:
            pytest.fail(f"killed at {step}: {error}")
        again = queue.run("queue-fix", "-I", "-s", "3", path).stdout.decode()
        assert again == f"{path}: left alone, as no message: " \
            "mess/4.README\n", step
    assert kills == len(todo[::STEP]) and refused > 40 // STEP


def test_queue_fix_takes_what_it_cannot_see_for_nothing(queue):
    """
    A folder, or a file's data, that could not be read was passed over, and
    then the other files of its messages removed: they had no message.
    """
    path = queue.dir
    command = [BIN / "queue-fix", "-I", "-s", "3", path]
    make_foreign(queue, path)
    subprocess.run(["strace", "-qq", "-o", queue.home / "trace", *command],
                   env=queue.environment(**NO_LEAKS), check=True, timeout=60,
                   stdout=subprocess.DEVNULL)
    todo = steps(queue.home / "trace", ("getdents64",)) + steps(
        queue.home / "trace", ("newfstatat",),
        only=r'"\w+/\d/[\d.]+", .*= 0$')
    assert {name for name, _ in todo} == {"getdents64", "newfstatat"}
    codes = []
    for step in todo[::7 * STEP]:  # one kind of folder after the other
        make_foreign(queue, path)
        codes.append(run_to_die(queue, step, command, "error=EIO",
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL))
        # Where messages are only looked at, to tell what is damaged.
        assert codes[-1] in (0, 111), step
        queue.run("queue-fix", "-I", "-s", "3", path)
        try:
            check_fixed(path, 3)
        except AssertionError as error:
            pytest.fail(f"failed at {step}: {error}")
    assert codes.count(111) > 15 // STEP, codes
