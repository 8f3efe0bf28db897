# SPDX-License-Identifier: ISC
"""Nobody's mail waits for another's: neither for his deliveries nor for a disk
that is slow at one thing; and each message counts once."""
import signal
import subprocess
import time
import uuid

import json
import pytest

from injected import injected, journals, needs_strace, parts
from node import SLOW, wait_until
from queue_peer import DOMAIN, Intake

OTHER = "other.test"
SLOW_S = 4


def large():
    """A body that has a file."""
    return b"x" * 200000


def lanes(queue):
    """A lane for each of two domains."""
    queue.set("virtualdomains", f"{DOMAIN}:{DOMAIN}\n{OTHER}:{DOMAIN}")
    queue.set("virtuallanes", "1")


def hung(job):
    """Deliveries to one of them never end."""
    return None if job.recipient.endswith(f"@{DOMAIN}") else ("K", "ok\n")


def status(queue):
    done = queue.run("svctool", "status", "--json", "--home", queue.home,
                     code=None)
    return json.loads(done.stdout)["queues"][0]


def is_tried(worker, domain):
    return any(name.endswith(f"@{domain}") for name in worker.recipients())


# -- deliveries

def test_a_domain_that_hangs_leaves_deliveries_to_others(queue):
    """It had all that the queue, or the worker, makes at the same time."""
    lanes(queue)
    queue.start()
    worker = queue.worker(hung, take=40)
    client = Intake(queue)
    for count in range(60):
        assert client.commit(b"x", [f"u{count}@{DOMAIN}"])[0] == 0
    worker.wait_jobs(20)
    for count in range(20):
        assert client.commit(b"x", [f"v{count}@{OTHER}"])[0] == 0
    wait_until(lambda: sum(name.endswith(OTHER)
                           for name in worker.recipients()) == 20,
               "the others are delivered")
    assert len(worker.held) <= 30


def test_one_lane_has_all_deliveries(queue):
    """There is nobody else, without virtuallanes."""
    queue.start()
    worker = queue.worker(lambda job: None, take=40)
    client = Intake(queue)
    for count in range(60):
        assert client.commit(b"x", [f"u{count}@{DOMAIN}"])[0] == 0
    worker.wait_jobs(40)


def test_a_domain_that_hangs_leaves_memory_to_others(queue):
    """After a start nobody knew whose mail it was that was read from disk, and
    there was no place left for that of others."""
    lanes(queue)
    for count in range(300):
        queue.put_remembered(local=[f"{DOMAIN}-u{count}@{DOMAIN}"], age=100)
    for count in range(20):
        queue.put_remembered(local=[f"{DOMAIN}-v{count}@{OTHER}"], age=10)
    # Then there is place for 64.
    queue.start("prlimit", "--nofile=512:512")
    worker = queue.worker(hung)
    wait_until(lambda: sum(name.endswith(OTHER)
                           for name in worker.recipients()) == 20,
               "the others are delivered")
    assert len(worker.held) < 64
    # And nothing was lost of the first one's.
    worker.decide = lambda job: ("K", "ok\n")
    for job in list(worker.held):
        worker.answer(job, "K", "ok\n")
    queue.wait_done()
    assert len(set(worker.recipients())) == len(worker.jobs) == 320


# -- counts

def test_a_message_with_two_channels_counts_once(queue):
    """It was two messages in svctool status, as soon as it was kept."""
    queue.put_remembered(local=[f"{DOMAIN}-u@{DOMAIN}"],
                         remote=["r@elsewhere.test"], age=1000)
    queue.start()

    def counts(wanted):
        wait_until(lambda: status(queue)["backlog"] == wanted,
                   lambda: f"{wanted} messages; {status(queue)}")

    wait_until(lambda: status(queue)["state"] == "up", "it was looked through")
    counts(1)
    worker = queue.worker(lambda job: None)
    worker.wait_jobs(1)
    counts(1)
    worker.answer(worker.held[0], "Z", "later\n")
    queue.wait_log("deferral")
    counts(1)
    # One that this process keeps.
    queue.inject([f"v@{DOMAIN}", "w@elsewhere.test"])
    worker.wait_jobs(2)
    worker.answer(worker.held[0], "Z", "later\n")
    queue.wait_files(info=2)
    wait_until(lambda: queue.log().count("deferral") == 2, "it is deferred")
    counts(2)
    # One channel of each ends.
    worker.decide = lambda job: ("K", "ok\n")
    queue.hurry(lambda: not queue.files("local"), "no local ones are left")
    counts(2)


def test_lanes_that_rest_are_counted(queue):
    """svctool status always said that none did."""
    queue.start()
    worker = queue.worker(lambda job: None)
    queue.inject()
    worker.wait_jobs(1)
    worker.back_off(worker.jobs[0].lane, 600)
    wait_until(lambda: status(queue)["lanes_backing_off"] == 1, "one rests")
    worker.back_off(worker.jobs[0].lane, 0)
    wait_until(lambda: status(queue)["lanes_backing_off"] == 0, "none rests")


# -- the loop waits for no disk

@needs_strace
def test_a_large_body_is_opened_beside_the_loop(make_queue):
    """While the disk took its time for that nobody else was served."""
    queue = make_queue(in_memory=True)  # no disk but strace's is slow
    queue.set("concurrencylocal", "1")
    queue.start()
    worker = queue.worker(lambda job: None)
    client = Intake(queue)
    assert client.commit(b"x", [f"first@{DOMAIN}"])[0] == 0
    worker.wait_jobs(1)
    assert client.commit(large(), [f"large@{DOMAIN}"])[0] == 0
    with injected(queue, f"openat:delay_enter={SLOW_S}000000",
                  paths=parts(queue, "mess")):
        worker.decide = lambda job: ("K", "ok\n")
        worker.answer(worker.held[0], "K", "ok\n")
        slowest, end = 0, time.monotonic() + SLOW_S
        while time.monotonic() < end:
            before = time.monotonic()
            assert client.commit(b"x", [f"small@{DOMAIN}"])[0] == 0
            slowest = max(slowest, time.monotonic() - before)
            time.sleep(0.1)
    wait_until(lambda: f"large@{DOMAIN}" in
               [name.removeprefix(f"{DOMAIN}-")
                for name in worker.recipients()], "it is delivered")
    queue.wait_done()
    assert slowest < SLOW_S / 2


@needs_strace
@pytest.mark.parametrize("call", ["statfs", "pwrite64"])
def test_what_the_queue_says_of_itself_is_written_beside_the_loop(
        make_queue, call):
    queue = make_queue(in_memory=True)
    queue.start()
    queue.worker()
    client = Intake(queue)
    with injected(queue, f"{call}:delay_enter={SLOW_S}000000",
                  paths=[queue.dir, queue.dir / "lock/health"]):
        slowest, end = 0, time.monotonic() + SLOW_S
        while time.monotonic() < end:
            before = time.monotonic()
            assert client.commit(b"x", [f"small@{DOMAIN}"])[0] == 0
            slowest = max(slowest, time.monotonic() - before)
            time.sleep(0.1)
    assert slowest < SLOW_S / 2
    queue.wait_done()


# -- after a kill

def test_what_had_files_at_once_is_known(queue):
    """An envelope that is too large for the journal was not found in it, and the
    client that had no answer was told that its message was not queued."""
    queue.set("holdlocal", "1")
    queue.start()
    ident = uuid.uuid4()
    to = [f"{number}{'x' * 890}@{DOMAIN}" for number in range(300)]
    assert Intake(queue).commit(b"x\n", to, ident=ident)[0] == 0
    queue.stop(signal.SIGKILL)
    queue.start()
    client = Intake(queue)
    assert client.ask(ident) == 0
    assert client.ask(uuid.uuid4()) == Intake.ABSENT


def test_a_restart_within_a_second_gives_other_numbers(queue):
    """The next message got the number, and so the files, of one that was never
    in the journal."""
    queue.set("holdlocal", "1")
    to = [f"{number}{'x' * 890}@{DOMAIN}" for number in range(300)]
    time.sleep(1 - time.time() % 1)
    queue.start()
    first = Intake(queue)
    assert first.commit(b"x\n", to)[0] == 0
    queue.stop(signal.SIGKILL)
    queue.start()
    second = Intake(queue)
    assert second.commit(b"y\n", to[:1])[0] == 0
    assert first.id < second.id


@needs_strace
def test_only_what_the_journal_has_waits_for_it(queue):
    """All kept mail waited for the note that one of them counts no more."""
    queue.times["STAY_MS"] = 500
    queue.start()
    queue.worker(lambda job: None)
    queue.inject()
    with injected(queue, "pwritev2:error=EIO", paths=journals(queue)):
        queue.wait_files(info=1)
        queue.stop(signal.SIGKILL)
    queue.put_remembered(local=[f"{DOMAIN}-kept@{DOMAIN}"], age=100)
    paths = [f"-P{path}" for path in journals(queue)]
    queue.start("strace", "-D", "-f", "-qq", "-o", "/dev/null", *paths, "-e",
                "trace=pwritev2", "-e", "inject=pwritev2:error=EIO")
    worker = queue.worker()
    worker.wait_jobs(1)
    wait_until(lambda: status(queue)["state"] == "up", "it was looked through")
    assert worker.recipients() == [f"{DOMAIN}-kept@{DOMAIN}"]
    queue.wait_log("^end msg")
    queue.stop(signal.SIGKILL)
    queue.start()
    worker = queue.worker()
    worker.wait_jobs(1)
    queue.wait_done()
    assert worker.recipients() == [f"{DOMAIN}-u@{DOMAIN}"]


# A look for a message's file fails once; who lists a folder first waits; and
# the journal cannot be written: while the files are there that say so.
SHIM = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
static atomic_int looks, lists;
static int is_there(const char *name)
{
	return access(getenv(name), F_OK) == 0;
}
int faccessat(int fd, const char *name, int mode, int flags)
{
	int (*real)(int, const char *, int, int) =
	    (int (*)(int, const char *, int, int))dlsym(RTLD_NEXT, "faccessat");
	if (strcmp(name, getenv("NUMBER")) == 0 && looks++ == 0) {
		errno = EIO;
		return -1;
	}
	return real(fd, name, mode, flags);
}
struct dirent *readdir(DIR *stream)
{
	struct dirent *(*real)(DIR *) =
	    (struct dirent *(*)(DIR *))dlsym(RTLD_NEXT, "readdir");
	if (gettid() != getpid() && looks > 0 && lists++ == 0)
		while (is_there("LISTED"))
			usleep(10000);
	return real(stream);
}
ssize_t pwritev2(int fd, const struct iovec *v, int count, off_t at, int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int) = (ssize_t (*)
	    (int, const struct iovec *, int, off_t, int))
	    dlsym(RTLD_NEXT, "pwritev2");
	if (at >= 0 && is_there("BROKEN")) { /* not the log */
		errno = EIO;
		return -1;
	}
	return real(fd, v, count, at, flags);
}
"""


@needs_strace
@pytest.mark.skipif(SLOW > 1, reason="sanitizers want to be loaded first")
def test_found_kept_later_it_waits_for_the_journal(queue, tmp_path):
    """
    Whether one of the journal's messages was kept could be told later only; a
    scan that was under way found it then, and it was delivered, although the
    journal counted it still: killed, the next process delivered it again.
    """
    (tmp_path / "shim.c").write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "shim.so",
                    tmp_path / "shim.c", "-ldl"], check=True)
    queue.times["STAY_MS"] = 500
    queue.start()
    queue.worker(lambda job: None)
    queue.inject()
    with injected(queue, "pwritev2:error=EIO", paths=journals(queue)):
        queue.wait_files(info=1)
        queue.stop(signal.SIGKILL)
    number, = queue.files("info")
    for name in ("listed", "broken"):
        (tmp_path / name).touch()
    queue.put_remembered(local=[f"{DOMAIN}-kept@{DOMAIN}"], age=100)
    queue.start(LD_PRELOAD=str(tmp_path / "shim.so"), NUMBER=number,
                LISTED=str(tmp_path / "listed"),
                BROKEN=str(tmp_path / "broken"))
    queue.wait_log("^alert: cannot tell whether message")
    queue.wait_log("^alert: cannot write .*journal")  # it was told
    worker = queue.worker()
    (tmp_path / "listed").unlink()
    wait_until(lambda: status(queue)["state"] == "up", "it was looked through")
    worker.wait_jobs(1)
    assert worker.recipients() == [f"{DOMAIN}-kept@{DOMAIN}"]
    (tmp_path / "broken").unlink()
    worker.wait_jobs(2)
    queue.wait_done()
    queue.stop(signal.SIGKILL)
    queue.start()
    worker = queue.worker()
    queue.inject([f"next@{DOMAIN}"])
    queue.wait_done()
    assert worker.recipients() == [f"{DOMAIN}-next@{DOMAIN}"]
