# SPDX-License-Identifier: ISC
"""The commands killed at every system call that changes something on disk.

strace kills the command at its Nth call of one kind, for every N until the
command ends unharmed.  After each kill the node must still work for what was
there before, and nothing may be accepted that could not be delivered; the same
command again must end what was begun.
"""

import json
import os
import shutil
import signal
import struct
import subprocess

import pytest

from node import BIN

# What a reader of the disk can see changes at these only.
CALLS = ("mkdir", "rename", "unlink", "rmdir", "fchmod", "chmod")

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="no strace"),
    # LeakSanitizer does not run under another tracer.
    pytest.mark.skipif("address" in str(BIN), reason="sanitized build"),
]


def cdb_get(path, key):
    """The value behind a key in a cdb, or None; a damaged file fails."""
    data = path.read_bytes()
    value = 5381
    for byte in key:
        value = ((value << 5) + value ^ byte) & 0xffffffff
    table, slots = struct.unpack_from("<II", data, value % 256 * 8)
    for i in range(slots):
        at = table + (value // 256 + i) % slots * 8
        slot_hash, position = struct.unpack_from("<II", data, at)
        if position == 0:
            return None
        if slot_hash == value:
            sizes = struct.unpack_from("<II", data, position)
            found = data[position + 8:position + 8 + sum(sizes)]
            if found[:sizes[0]] == key:
                return found[sizes[0]:]
    return None


class Home:
    def __init__(self, path):
        self.path = path
        self.env = dict(os.environ, MQMAIL_HOME=str(path), MQMAIL_USER="root")

    def run(self, program, *args, codes=(0,)):
        done = subprocess.run([BIN / program, *args], env=self.env, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode in codes, (program, args, done)
        return done

    def kill_at(self, call, number, program, *args):
        """True when it was killed, False when it ended before."""
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
             "-e", f"inject={call}:signal=KILL:when={number}",
             BIN / program, *args],
            env=self.env, capture_output=True, timeout=60)
        assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL)
        return done.returncode != 0

    def lines(self, name):
        file = self.path / name
        return file.read_text().splitlines() if file.exists() else []

    def users(self, domain):
        done = self.run("vuserinfo", "--json", "-D", domain, codes=(0, 100))
        if done.returncode == 100:
            return None
        return {user["name"]: user for user in json.loads(done.stdout)}

    def check(self, removed=None):
        """What is accepted can be delivered; nothing is said twice.

        The user being removed may be there without a folder: mail waits.
        """
        virtual = self.lines("control/virtualdomains")
        assert len(virtual) == len(set(virtual))
        assign = self.lines("users/assign")
        assert len(assign) == len(set(assign))
        for domain in self.lines("control/rcpthosts"):
            assert f"{domain}:{domain}" in virtual
        for line in virtual:
            domain = line.split(":")[0]
            entry = cdb_get(self.path / "users/cdb", f"!{domain}-".encode())
            assert entry is not None, domain
            folder = self.path / os.fsdecode(entry.split(b"\0")[3])
            assert cdb_get(folder / "vpasswd.cdb", b"postmaster")
            assert (folder / ".qmail-default").exists()
            for user in self.users(domain).values():
                value = cdb_get(folder / "vpasswd.cdb", user["name"].encode())
                if value is not None and user["name"] != removed:
                    assert os.path.isdir(user["dir"] + "/Maildir/new"), user


def run_killed(path, prepare, command, check):
    """Calls check(home) after each kill and the same command again.

    prepare are the commands, or functions of the home, that make what is there
    before.
    """
    home = Home(path / "home")
    for name in ("control", "users", "domains", "run"):
        (home.path / name).mkdir(parents=True)
    (home.path / "control/me").write_text("mail.test\n")
    home.run("vadddomain", "-n", "old.test")
    home.run("vadduser", "-n", "old@old.test")
    for step in prepare:
        if callable(step):
            step(home)
        else:
            home.run(*step)
    shutil.copytree(home.path, path / "saved")

    removed = "old" if command[0] == "vdeluser" else None
    kills = 0
    for call in CALLS:
        was_killed = True
        for number in range(1, 200):
            shutil.rmtree(home.path)
            shutil.copytree(path / "saved", home.path)
            was_killed = home.kill_at(call, number, *command)
            kills += was_killed
            home.check(removed)
            assert {"postmaster", "old"} - {removed} <= set(
                home.users("old.test"))
            if was_killed:
                # 100: it was all done, only not said any more.
                home.run(*command, codes=(0, 100))
                home.check()
            check(home)
            if not was_killed:
                break
        assert not was_killed, f"{command} never ends at {call}"
    assert kills >= 8, "the command was hardly ever killed"


def test_vadddomain(memory_path):
    def check(home):
        assert home.lines("control/rcpthosts") == ["old.test", "new.test"]
        assert home.lines("control/virtualdomains") == [
            "old.test:old.test", "new.test:new.test"]
        assert set(home.users("new.test")) == {"postmaster"}
        home.run("vadduser", "-n", "alice@new.test")
        home.run("vadddomain", "-n", "new.test", codes=(100,))

    run_killed(memory_path, [], ("vadddomain", "-n", "new.test"), check)


def test_vaddaliasdomain(memory_path):
    def check(home):
        assert set(home.users("mail.test")) == {"postmaster", "old"}
        assert home.lines("control/rcpthosts") == ["old.test", "mail.test"]
        assert home.lines("control/locals") == []
        assert (home.path / "control/locals").exists()

    run_killed(memory_path, [], ("vaddaliasdomain", "mail.test", "old.test"),
               check)


def test_vadduser(memory_path):
    def check(home):
        assert set(home.users("old.test")) == {"postmaster", "old", "alice"}
        folder = home.path / "domains/old.test"
        assert cdb_get(folder / "vpasswd.cdb", b"alice")
        assert os.listdir(folder / "alice/Maildir/new") == []

    run_killed(memory_path, [], ("vadduser", "-n", "alice@old.test"), check)


def test_vdeluser(memory_path):
    """Neither the user nor old mail is left, for a new user of the name."""
    def put_mail(home):
        new = home.path / "domains/old.test/old/Maildir/new"
        for name in ("1.a", "2.a", "3.a"):
            (new / name).write_text("mail")

    def check(home):
        assert set(home.users("old.test")) == {"postmaster"}
        home.run("vadduser", "-n", "old@old.test")
        folder = home.path / "domains/old.test"
        assert os.listdir(folder / "old/Maildir/new") == []
        assert not (folder / ".removed").exists()

    run_killed(memory_path, [put_mail], ("vdeluser", "-f", "old@old.test"), check)


def test_vdeldomain(memory_path):
    def check(home):
        assert home.lines("control/rcpthosts") == ["old.test"]
        assert home.lines("control/virtualdomains") == ["old.test:old.test"]
        assert len(home.lines("users/assign")) == 2
        assert os.listdir(home.path / "domains") == ["old.test"]
        home.run("vdeldomain", "-f", "new.test", codes=(100,))

    run_killed(
        memory_path,
        [("vadddomain", "-n", "new.test"), ("vadduser", "-n", "a@new.test"),
         ("vaddaliasdomain", "alias.test", "new.test")],
        ("vdeldomain", "-f", "new.test"), check)
