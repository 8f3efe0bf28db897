# SPDX-License-Identifier: ISC
"""What the benchmark says of its results; servers are not measured here."""
import argparse
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"
SERVERS = ("mqmail", "part1", "postfix", "limit.c")


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCH))
    loader = importlib.machinery.SourceFileLoader("bench", str(BENCH / "bench"))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("bench", loader))
    loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCH))


def comparison(bench, results):
    """Of (rate, cpu) of cases and SERVERS; None: the run failed."""
    cases = [case for case in bench.compare.CASES if case.name in results]
    made = bench.compare.Comparison(cases, dict.fromkeys(SERVERS), "", print)
    for case, values in results.items():
        for name, value in zip(SERVERS, values):
            made.results[case][name] = [
                "it broke" if value is None else value]
    return made


@pytest.mark.parametrize("case, values, wanted", [
    ("4k-20-new", ((4500, 0.2), (3000, 0.4), (1000, 2), (3000, 0.4)), [
        ("messages/s", ">= 4.50 x postfix", "4.50", "reached"),
        ("messages/s", ">= 1.60 x limit.c", "1.50", "not reached"),
        ("CPU a message", "<= 0.65 x part1", "0.50", "reached")]),
    ("4k-20-kept", ((4500, 0.3), (3000, 0.4), None, (2000, 0.4)), [
        ("messages/s", ">= 2.00 x limit.c", "2.25", "reached"),
        ("CPU a message", "<= 0.65 x part1", "0.75", "not reached")]),
    ("4k-20-new-slow", ((700, 1), (500, 1), (1000, 1), (100, 1)), [
        ("messages/s", ">= 1.60 x part1", "1.40", "not reached")]),
    ("64k-1-kept", ((700, 1), (500, 1), (1000, 1), (100, 1)), []),
    ("4k-20-new", (None, (3000, 0.4), (1000, 2), (3000, 0.4)), []),
])
def test_goals(bench, case, values, wanted):
    lines = bench.goals.lines(comparison(bench, {case: values}), {})
    assert lines[:1] == ["goals"] * bool(wanted)
    assert [line.split() for line in lines[1:]] == [
        f"{case} {' '.join(words)}".split() for words in wanted]


def test_goals_of_a_million_held_messages(bench):
    held = {"mqmail": {"held-1m": {"takes": 1, "knows": 3, "new": 3000,
                                   "kept": 900}},
            "part1": {"held-1m": {"takes": 1, "knows": 2, "new": 3000,
                                  "kept": 1000}}}
    lines = bench.goals.lines(None, held)
    assert [line.split("part1")[1].split() for line in lines[1:]] == [
        ["1.00", "reached"], ["1.50", "not", "reached"],
        ["1.00", "reached"], ["0.90", "not", "reached"]]
    assert bench.goals.lines(None, {"mqmail": held["mqmail"]}) == []


def test_the_table_has_the_ratios(bench):
    made = comparison(bench, {"4k-20-new": (
        (4500, 0.2), (3000, 0.4), None, (2000, 0.4))})
    rows = [line.split() for line in made.table().splitlines()
            if line.startswith("4k-20-new")]
    assert rows == [
        ["4k-20-new", "4500", "0.200", "3000", "0.400", "failed", "2000",
         "0.400"],
        ["4k-20-new", "1.50", "0.50", "-", "2.25", "0.50"]]


@pytest.mark.parametrize("words, servers, cases, rounds", [
    ("quick", "mqmail part1 postfix limit.c journal.c",
     "4k-20-new 4k-20-kept", 2),
    ("quick mqmail part1 kept", "mqmail part1", "4k-20-kept", 2),
    ("--rounds 5 part1 held-*", "part1", "held-0 held-100k held-1m", 5),
    ("postfix slow", "postfix", "4k-20-new-slow 4k-20-kept-slow", 3),
])
def test_words_choose(bench, words, servers, cases, rounds):
    options = bench.parse(["build", *words.split()])
    assert (list(options.servers), list(options.cases), options.rounds) == (
        servers.split(), cases.split(), rounds)


def test_without_words_all_is_measured(bench):
    options = bench.parse(["build"])
    assert options.servers == bench.SERVERS
    assert options.cases == bench.CASES
    assert options.rounds == 3


def test_an_unknown_word_is_refused(bench, capsys):
    with pytest.raises(SystemExit):
        bench.parse(["build", "mqmial"])
    assert "no server and no case is 'mqmial'" in capsys.readouterr().err


def chosen(bench, words):
    return bench.choose_servers(
        bench.parse(["build", "--part1", "no-such-commit", *words.split()]),
        "build", "")


def test_a_server_that_cannot_run_is_a_failure(bench, monkeypatch, tmp_path,
                                               capsys):
    monkeypatch.setattr(bench.postfix, "missing", lambda: "not installed")
    makers, failures = chosen(bench, "limit postfix part1 journal.c")
    assert list(makers) == ["limit"]
    assert failures == [
        "postfix: left out: not installed",
        "part1: left out: this history has no commit no-such-commit",
        "journal.c: left out: no such file was given (--yardstick)"]
    # Not named, part 1 and the yardsticks are left out with a word.
    makers, failures = chosen(bench, "quick")
    assert list(makers) == ["mqmail"]
    assert failures == ["postfix: left out: not installed"]
    said = capsys.readouterr().out
    assert [line.split(":")[0] for line in said.splitlines()] == [
        "part1", "limit.c", "journal.c"]


def test_a_round_without_room_is_a_failure(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "NEED_BYTES_PER_ROUND", 1 << 62)
    made = comparison(bench, {})
    failures = bench.run_comparison(made, 3, str(tmp_path))
    assert failures[0].startswith("rounds 1 to 3: left out: ")
    assert failures[1:] == ["no round was run"]


def test_held_messages_without_room_are_a_failure(bench, monkeypatch, tmp_path):
    node = bench.node
    monkeypatch.setattr(node, "HELD_BYTES", 1 << 50)
    server = argparse.Namespace(folder=str(tmp_path), name="mqmail")
    failures = []
    assert node.held([server], ["held-100k", "held-1m"], "", "", print,
                     failures.append) == ([], {"mqmail": {}})
    assert [failure.split(": left out: ")[0] for failure in failures] == [
        "held-100k", "held-1m"]


# Python statements of a file that is open as fd, and a second time with
# O_DSYNC as dsync; and whether they wait for the disk.
WAITING = (
    ("os.fsync(fd)", True), ("os.fdatasync(fd)", True),
    ("libc.syncfs(fd)", True), ("os.sync()", True),
    ("mmap.mmap(fd, 1).flush()", True),
    ("libc.msync(0, 0, 1)", False),
    ("libc.sync_file_range(fd, long(0), long(0), 7)", True),
    ("libc.sync_file_range(fd, long(0), long(0), 2)", False),
    ("os.write(fd, b'x')", False), ("os.write(dsync, b'x')", True),
    ("os.writev(dsync, [b'x'])", True), ("os.pwrite(fd, b'x', 1)", False),
    ("os.pwrite(dsync, b'x', 1)", True), ("os.pwritev(fd, [b'x'], 1)", False),
    ("os.pwritev(dsync, [b'x'], 1)", True),
    ("os.pwritev(fd, [b'x'], 1, os.RWF_DSYNC)", True),
    ("os.pwritev(fd, [b'x'], 1, os.RWF_SYNC)", True),
)
CLOCK = """
import ctypes, mmap, os, sys, tempfile, time
libc, long = ctypes.CDLL(None), ctypes.c_int64
with tempfile.NamedTemporaryFile(dir=sys.argv[1]) as file:
    fd = file.fileno()
    dsync = os.open(file.name, os.O_RDWR | os.O_DSYNC)
    os.write(fd, b"x")
    for statement in sys.stdin.read().splitlines():
        began = time.monotonic()
        eval(statement)
        print(time.monotonic() - began)
"""


def test_the_slow_disk_is_slow_where_a_disk_is(tmp_path):
    library = tmp_path / "slowsync.so"
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library,
                    BENCH / "slowsync.c"], check=True, timeout=120)
    # Longer than a busy machine keeps a call that waits for nothing.
    done = subprocess.run(
        [sys.executable, "-c", CLOCK, tmp_path],
        input="\n".join(statement for statement, _ in WAITING),
        env={**os.environ, "LD_PRELOAD": str(library), "SLOWSYNC_MS": "500"},
        stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    waited = [float(line) >= 0.5 for line in done.stdout.splitlines()]
    assert dict(zip([row[0] for row in WAITING], waited)) == dict(WAITING)
