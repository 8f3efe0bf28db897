# SPDX-License-Identifier: ISC
"""What the benchmark says of its results; it is not run here."""
import argparse
import importlib.machinery
import importlib.util
import pathlib
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCH))
    loader = importlib.machinery.SourceFileLoader("bench", str(BENCH / "bench"))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("bench", loader))
    loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCH))


def comparison(bench, rates):
    """Results of cases (mqmail, postfix, limit); None: the run failed."""
    cases = [case for case in bench.compare.CASES if case.name in rates]
    made = bench.compare.Comparison(
        cases, dict.fromkeys(("mqmail", "postfix", "limit")), "", print)
    for case, values in rates.items():
        for name, rate in zip(("mqmail", "postfix", "limit"), values):
            made.results[case][name] = [
                "it broke" if rate is None else (rate, 0.5)]
    return made


GOAL = "goal: 3.0 x postfix and 0.5 x limit at 4k-20: "


@pytest.mark.parametrize("new, kept, wanted", [
    ((3000, 1000, 6000), (3100, 1000, 4000),
     GOAL + "reached (4k-20-new 3.00 and 0.50, 4k-20-kept 3.10 and 0.78)"),
    ((2990, 1000, 4000), (4000, 1000, 4000),
     GOAL + "not reached (4k-20-new 2.99 and 0.75, 4k-20-kept 4.00 and 1.00)"),
    ((4000, 1000, 4000), (4000, 1000, 8200),
     GOAL + "not reached (4k-20-new 4.00 and 1.00, 4k-20-kept 4.00 and 0.49)"),
    ((4000, None, 4000), (4000, 1000, 4000), None),
    ((None, 1000, 4000), (4000, 1000, 4000), None),
])
def test_goal(bench, new, kept, wanted):
    made = comparison(bench, {"4k-20-new": new, "4k-20-kept": kept})
    assert made.goal() == wanted


def test_no_goal_without_all_it_asks_for(bench):
    assert comparison(bench, {"4k-20-new": (9, 1, 1)}).goal() is None
    made = comparison(bench, {"4k-20-new": (9, 1, 1), "4k-20-kept": (9, 1, 1)})
    for results in made.results.values():
        del results["postfix"]
    assert made.goal() is None


def test_a_server_that_cannot_run_is_a_failure(bench, monkeypatch, tmp_path,
                                               capsys):
    monkeypatch.setenv("PATH", str(tmp_path))  # so there is no Postfix
    options = argparse.Namespace(servers="limit,postfix,postfix-tuned",
                                 yardstick="", quick=True, rounds=2)
    makers, failures = bench.choose_servers(options, "build")
    assert list(makers) == ["limit"]
    assert failures == ["postfix: left out: not installed",
                        "postfix-tuned: left out: not installed"]
    options.servers = "postfix"
    _, failures = bench.run_comparison(
        options, bench.compare.CASES[:1], "build", str(tmp_path))
    assert failures == ["postfix: left out: not installed",
                        "no round was run"]
    assert "medians of 0 rounds" in capsys.readouterr().out


def test_a_round_without_room_is_a_failure(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "NEED_BYTES_PER_ROUND", 1 << 62)
    options = argparse.Namespace(servers="limit", yardstick="", quick=True,
                                 rounds=3)
    _, failures = bench.run_comparison(
        options, bench.compare.CASES[:1], "build", str(tmp_path))
    assert failures[0].startswith("rounds 1 to 3: left out: ")
    assert failures[1:] == ["no round was run"]


def test_held_messages_without_room_are_a_failure(bench, monkeypatch, tmp_path):
    node = bench.node
    monkeypatch.setattr(node, "HELD_BYTES", 1 << 50)
    server = argparse.Namespace(folder=str(tmp_path))
    failures = []
    assert node.held(server, ["held-100k", "held-1m"], "", "", print,
                     failures.append) == ([], [])
    assert [failure.split(": left out: ")[0] for failure in failures] == [
        "held-100k", "held-1m"]
