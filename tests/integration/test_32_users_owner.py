# SPDX-License-Identifier: ISC
"""Root's commands work inside a domain as the domain's owner."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest

from node import BIN

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="not root")
OWNER = "nobody"  # a system user that every host has


@pytest.fixture
def home():
    path = pathlib.Path(tempfile.mkdtemp(prefix="mq"))
    path.chmod(0o755)
    for name in ("control", "users", "domains", "run"):
        (path / name).mkdir()
    (path / "control/me").write_text("mail.example.test\n")
    yield path
    shutil.rmtree(path)


def run(home, program, *args, code=0, **options):
    env = dict(os.environ, MQMAIL_HOME=str(home), MQMAIL_USER=OWNER)
    # The owner must be able to run it, and the build may lie in a closed place.
    copy = home / "bin" / program
    copy.parent.mkdir(exist_ok=True)
    if not copy.exists():
        shutil.copy(BIN / program, copy)
    done = subprocess.run([copy, *args], env=env, text=True,
                          capture_output=True, timeout=60, **options)
    assert done.returncode == code, done
    return done.stderr


def test_everything_in_a_domain_is_its_owners(home):
    run(home, "vadddomain", "-n", "example.test")
    run(home, "vadduser", "-n", "alice@example.test")
    run(home, "vpasswd", "alice@example.test", "x")
    uid = pwd.getpwnam(OWNER).pw_uid
    folder = home / "domains/example.test"
    for path in [folder, *folder.rglob("*")]:
        assert path.lstat().st_uid == uid, path
    assert (folder / "vpasswd.cdb").stat().st_mode & 0o7777 == 0o640
    for path in ("control/rcpthosts", "users/assign", "users/cdb", "domains"):
        assert (home / path).stat().st_uid == 0
    assert f":{uid}:" in (home / "users/assign").read_text()
    run(home, "vdeluser", "-f", "alice@example.test")
    run(home, "vdeldomain", "-f", "example.test")
    assert list((home / "domains").iterdir()) == []


def test_the_owner_changes_users_and_others_do_not(home):
    run(home, "vadddomain", "-n", "example.test")
    owner = pwd.getpwnam(OWNER)
    run(home, "vadduser", "-n", "alice@example.test", user=owner.pw_uid,
        group=owner.pw_gid, extra_groups=[])
    other = owner.pw_uid - 1
    assert f"uid {owner.pw_uid}" in run(
        home, "vadduser", "-n", "bob@example.test", code=100, user=other,
        group=other, extra_groups=[])


def test_the_owner_need_not_read_how_to_reach_a_database(home):
    """That has a password; the users are in files."""
    run(home, "vadddomain", "-n", "example.test")
    (home / "control/pgsql").write_text("host=db.test password=x\n")
    (home / "control/pgsql").chmod(0o640)
    owner = pwd.getpwnam(OWNER)
    run(home, "vadduser", "-n", "alice@example.test", user=owner.pw_uid,
        group=owner.pw_gid, extra_groups=[])


def test_root_reaches_the_database_as_root(home, postgres):
    """And works in the domain's folder as its owner, all the same."""
    postgres.fresh_database(home)
    (home / "control/pgsql").chmod(0o600)
    run(home, "vadddomain", "-n", "example.test")
    run(home, "vadduser", "-n", "alice@example.test")
    run(home, "vmoduser", "-q", "5M", "alice@example.test")
    uid = pwd.getpwnam(OWNER).pw_uid
    folder = home / "domains/example.test"
    for path in [folder, *folder.rglob("*")]:
        assert path.lstat().st_uid == uid, path
    (home / "control/userstore").write_text("cdb\n")
    run(home, "vconvert", "--to", "cdb")
    assert (folder / "vpasswd").stat().st_uid == uid
    run(home, "vconvert", "--to", "pgsql")
    (home / "control/userstore").write_text("pgsql\n")
    run(home, "vuserinfo", "-n", "alice@example.test")
    run(home, "vdeluser", "-f", "alice@example.test")
    run(home, "vdeldomain", "-f", "example.test")
    assert list((home / "domains").iterdir()) == []


def test_links_of_the_owner_lead_root_nowhere(home):
    """What the owner could not do, root does not do for the owner."""
    uid = pwd.getpwnam(OWNER).pw_uid
    secret = home / "secret"
    (secret / "inner").mkdir(parents=True)
    (secret / "inner/file").write_text("secret")
    os.chmod(secret, 0o700)
    run(home, "vadddomain", "-n", "example.test")
    run(home, "vadduser", "-n", "alice@example.test")
    folder = home / "domains/example.test"
    for name in (".removed", "alice/Maildir/new/link", "bob"):
        (folder / name).symlink_to(secret / "inner")
        os.lchown(folder / name, uid, -1)
    (folder / ".vpasswd.lock").unlink()
    (folder / ".vpasswd.lock").symlink_to(secret / "lock")
    assert ".vpasswd.lock" in run(home, "vdeluser", "-f", "alice@example.test",
                                  code=111)
    assert not (secret / "lock").exists()
    (folder / ".vpasswd.lock").unlink()
    run(home, "vdeluser", "-f", "alice@example.test")
    assert "bob" in run(home, "vadduser", "-n", "bob@example.test", code=100)
    run(home, "vdeldomain", "-f", "example.test")
    assert (secret / "inner/file").read_text() == "secret"
    assert sorted(os.listdir(secret)) == ["inner"]


def test_a_missing_owner_is_named(home):
    env = dict(os.environ, MQMAIL_HOME=str(home), MQMAIL_USER="no-such-user")
    done = subprocess.run([BIN / "vadddomain", "-n", "example.test"], env=env,
                          capture_output=True, text=True)
    assert done.returncode == 100 and "no-such-user" in done.stderr
    assert list((home / "domains").iterdir()) == []


def test_the_node_says_who_it_runs_as(home):
    """Without MQMAIL_USER in the environment, as an operator has it."""
    variables = home / "control/global_vars"
    variables.mkdir()
    (variables / "MQMAIL_USER").write_text(f"{OWNER}\n")
    (variables / "ASSIGNDIR").write_text("elsewhere\n")
    (home / "elsewhere").mkdir()
    env = {name: value for name, value in os.environ.items()
           if name not in ("MQMAIL_USER", "ASSIGNDIR")}
    env["MQMAIL_HOME"] = str(home)
    for words in (["vadddomain", "-n", "example.test"],
                  ["qmail-newu"],
                  ["vadduser", "-n", "alice@example.test"],
                  ["vuserinfo", "alice@example.test"]):
        done = subprocess.run([BIN / words[0], *words[1:]], env=env,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
    uid = pwd.getpwnam(OWNER).pw_uid
    folder = home / "domains/example.test"
    assert {path.lstat().st_uid for path in [folder, *folder.rglob("*")]} == {
        uid}
    assert "example.test" in (home / "elsewhere/assign").read_text()
    assert list((home / "users").iterdir()) == []


def test_logins_are_not_the_owners_to_read(home):
    run(home, "vadddomain", "-n", "example.test")
    run(home, "vadduser", "-n", "al@example.test")
    shard = home / "users/logins/example.test/c0"  # FNV-1a of the name
    shard.mkdir(parents=True)
    (home / "users/logins").chmod(0o700)
    (shard / "al").write_text("pop3 192.0.2.1 1700000000\n")

    def shown(*args, code=0, **options):
        run(home, "vuserinfo", "-n", "al@example.test")  # the copy
        done = subprocess.run(
            [home / "bin/vuserinfo", *args, "al@example.test"], text=True,
            env=dict(os.environ, MQMAIL_HOME=str(home), MQMAIL_USER=OWNER),
            capture_output=True, timeout=60, **options)
        assert done.returncode == code, done
        return done.stdout

    owner = pwd.getpwnam(OWNER)
    assert "last pop3     : 2023-11-1" in shown()
    run(home, "vdeloldusers", "-d", "example.test")
    as_owner = {"user": owner.pw_uid, "group": owner.pw_gid,
                "extra_groups": []}
    assert "last login    : not known: cannot open" in shown(**as_owner)
    shown("-l", code=111, **as_owner)
