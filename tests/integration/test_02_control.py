# SPDX-License-Identifier: ISC
"""qmail-newu, qmail-newmrh and qmail-showctl, as an operator runs them."""

import json
import os
import shutil
import struct
import subprocess

import pytest

BUILD = os.environ.get("MQMAIL_BUILD", "build/plain")


@pytest.fixture
def home(tmp_path):
    for name in ("control", "users"):
        (tmp_path / name).mkdir()
    (tmp_path / "control/me").write_text("mail.example.org\n")
    return tmp_path


def run(home, *command, **variables):
    """Runs a program of the build with nothing but the node's home set."""
    return subprocess.run(
        [os.path.join(BUILD, "bin", command[0]), *command[1:]],
        env={"MQMAIL_HOME": str(home), **variables},
        capture_output=True, text=True, timeout=60)


def records(path):
    """The records of a cdb file in their order."""
    data = path.read_bytes()
    end = min(struct.unpack_from("<I", data, 8 * i)[0] for i in range(256))
    at = 2048
    found = []
    while at < end:
        key, value = struct.unpack_from("<II", data, at)
        at += 8
        found.append((data[at:at + key], data[at + key:at + key + value]))
        at += key + value
    return found


@pytest.mark.parametrize("program",
                         ["qmail-cdb", "qmail-newu", "qmail-newmrh",
                          "qmail-showctl"])
def test_command_line(home, program):
    wrong = run(home, program, "--nonsense")
    assert wrong.returncode == 100
    assert f"usage: {program}" in wrong.stderr
    right = run(home, program, "--help")
    assert right.returncode == 0
    assert right.stdout.startswith(f"usage: {program}")
    assert right.stderr == ""


@pytest.mark.parametrize("program", ["qmail-newu", "qmail-newmrh"])
def test_takes_no_arguments(home, program):
    assert run(home, program, "x").returncode == 100


def test_newu(home):
    (home / "users/assign").write_text(
        "=Alice:alice:1001:1002:/home/alice:::\n"
        "+example.test-:example.test:89:89:/d/example.test:-::\n.\n")
    done = run(home, "qmail-newu")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert records(home / "users/cdb") == [
        (b"!alice\0", b"alice\0001001\0001002\0/home/alice\0\0"),
        (b"!example.test-",
         b"example.test\00089\00089\0/d/example.test\0-\0"),
        (b"", b"-")]
    # A bad line is named, and changes nothing.
    before = (home / "users/cdb").read_bytes()
    (home / "users/assign").write_text(
        "=a:a:1:1:/a:::\n=b:b:x:1:/b:::\n.\n")
    done = run(home, "qmail-newu")
    assert done.returncode == 100
    assert "users/assign:2: uid 'x' is not a number" in done.stderr
    assert (home / "users/cdb").read_bytes() == before
    assert sorted(os.listdir(home / "users")) == ["assign", "cdb"]


def test_newu_in_another_folder(home):
    (home / "other").mkdir()
    (home / "other/assign").write_text(".\n")
    assert run(home, "qmail-newu", ASSIGNDIR="other").returncode == 0
    assert records(home / "other/cdb") == [(b"", b"")]


def test_newu_says_why_it_cannot(home):
    assert run(home, "qmail-newu").returncode == 100  # there is no text
    (home / "users/assign").mkdir()
    done = run(home, "qmail-newu")
    assert done.returncode == 111
    assert "cannot read" in done.stderr


def test_newmrh(home):
    (home / "control/morercpthosts").write_text(
        "# more\nExample.TEST \n\n.sub.test\n")
    done = run(home, "qmail-newmrh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert records(home / "control/morercpthosts.cdb") == [
        (b"example.test", b""), (b".sub.test", b"")]
    (home / "control/morercpthosts").write_text("a b\n")
    done = run(home, "qmail-newmrh")
    assert done.returncode == 100
    assert "morercpthosts:1: 'a b' is not a domain" in done.stderr


def test_showctl_text(home):
    (home / "control/rcpthosts").write_text("a.test\n# no\nb.test\n")
    (home / "control/databyte").write_text("1\n")
    done = run(home, "qmail-showctl", MAXPERIP="7")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    at = lines.index(f"rcpthosts: 2 lines ({home}/control/rcpthosts)")
    assert lines[at + 1:at + 3] == ["\ta.test", "\tb.test"]
    assert "maxperip: 7 connections (variable MAXPERIP)" in lines
    assert "databytes: 0 bytes (default)" in lines
    assert "databyte: no program reads this file" in lines


def test_showctl_json(home):
    control = home / "control"
    (control / "concurrencyl.queue2").write_text("3\n")
    (control / "holdremote").write_text("1\n")
    (control / "bouncesubject").write_bytes(b"caf\xe9\n")
    done = run(home, "qmail-showctl", "--json", "--queue", "queue2")
    assert done.returncode == 0
    assert f"there is no queue '{home}/queue/queue2'" in done.stderr
    (home / "queue/queue2").mkdir(parents=True)
    done = run(home, "qmail-showctl", "--json", "--queue", "queue2")
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert shown["control_dir"] == str(control)
    assert shown["queue"] == "queue2"
    assert shown["unknown_files"] == []
    settings = shown["settings"]
    assert settings["concurrencylocal"] == {
        "value": 3, "is_set": True, "unit": "deliveries", "default": "500",
        "source": f"{control}/concurrencyl.queue2"}
    assert settings["holdremote"]["value"] is True
    assert settings["locals"]["value"] == ["mail.example.org"]
    assert settings["locals"]["is_set"] is False
    assert settings["bouncesubject"]["value"] == "caf\ufffd"
    one = run(home, "qmail-showctl", "--json", "me", "maxhops")
    assert sorted(json.loads(one.stdout)["settings"]) == ["maxhops", "me"]


def test_showctl_shows_every_mistake(home):
    control = home / "control"
    (control / "databytes").write_text("12x\n")
    (control / "holdlocal").write_text("yes\n")
    (control / "from.envrules").write_text("*@a.test:A=1\nwrong\n")
    done = run(home, "qmail-showctl", "--json")
    assert done.returncode == 100
    wrong = {name: row["error"]
             for name, row in json.loads(done.stdout)["settings"].items()
             if "error" in row}
    assert sorted(wrong) == ["databytes", "fromenvrules", "holdlocal"]
    assert wrong["databytes"].startswith(
        f"{control}/databytes:1: '12x' is not a number of bytes; write ")
    assert wrong["fromenvrules"].startswith(f"{control}/from.envrules:2: ")
    assert len(done.stderr.splitlines()) == 3
    # What was not asked for does not count.
    assert run(home, "qmail-showctl", "me").returncode == 0
    unknown = run(home, "qmail-showctl", "nosuch")
    assert unknown.returncode == 100
    assert "there is no setting 'nosuch'" in unknown.stderr


def test_showctl_without_a_folder(home):
    shutil.rmtree(home / "control")
    done = run(home, "qmail-showctl")
    assert done.returncode == 111
    assert "cannot open folder" in done.stderr


def test_manual_has_every_setting(home):
    names = json.loads(run(home, "qmail-showctl", "--json").stdout)["settings"]
    page = open(os.path.join(BUILD, "control/mqmail-control.5")).read()
    for name in names:
        assert f".It Ic {name}\n" in page
    assert page.startswith(".\\\"")
    assert ".Sh BUGS\n" in page
    assert run(home, "qmail-showctl", "--man").stdout in page
