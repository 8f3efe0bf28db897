# SPDX-License-Identifier: ISC
"""The account of deliveries that the crash tests rely on finds faults."""
import re
from types import SimpleNamespace

import pytest

from delivery_log import SLACK_S, TAI_0, UNLOGGED_S, Kill, find_faults

START = 1_000_000_000
U = "example.test-u@example.test"
FIRST = [(0, "running"), (1, "info msg 7: bytes 9 from <a@x> qp 3 uid 4"),
         (1, f"starting delivery 1: msg 7 to local {U}")]
SUCCESS = [*FIRST, (2, "delivery 1: success: did_1+0+0/")]
ENDED = [*SUCCESS, (2, "end msg 7")]
AGAIN = [(50, "running"), (50, f"starting delivery 1: msg 7 to local {U}"),
         (50, "delivery 1: success: did_1+0+0/"), (50, "end msg 7")]
WORKER = "delivery 1: deferral: The_delivery_worker_ended_before_it_answered."
LATE = 2 + 2 + SLACK_S + 0.1
FAR = 2 + UNLOGGED_S + 0.1

ROWS = [
    # name, lines, kills of queue1 (or program, queue, time), copies, fault
    ("once", ENDED, [], [2], None),
    ("another's number", [*ENDED, (3, "info msg 7: bytes 9 from <b@x> qp 3 "
                                   "uid 4"), *AGAIN], [], [2], None),
    ("S4 after its end", [*ENDED, (50, FIRST[1][1])], [2.5], [2],
     "is in queue1 again"),
    ("S5 after its end", [*ENDED, *AGAIN], [2.5], [2, 50], "message's end"),
    ("killed before the end", [*SUCCESS, *AGAIN], [2.5], [2, 50], None),
    ("killed too late", [*SUCCESS, *AGAIN], [LATE], [2, 50], "its success"),
    ("killed too early", [*SUCCESS, *AGAIN], [1.9 - SLACK_S], [2, 50],
     "its success"),
    ("not killed", [*SUCCESS, *AGAIN], [], [2, 50], "its success"),
    ("only the worker killed", [*SUCCESS, *AGAIN],
     [("qmail-vdeliver", "queue1", 2.5)], [2, 50], "its success"),
    ("another queue killed", [*SUCCESS, *AGAIN],
     [("qmail-send", "queue2", 2.5)], [2, 50], "its success"),
    ("without a result", [*FIRST, *AGAIN], [40], [2, 50], None),
    ("its worker ended", [*FIRST, (2, WORKER), *AGAIN],
     [("qmail-vdeliver", "queue1", 2)], [2, 50], None),
    ("its worker said no", [*FIRST, (2, "delivery 1: deferral: No_room./"),
                            *AGAIN], [], [2, 50], "2 copies"),
    ("two of one", ENDED, [FAR], [1, 2], "2 copies"),
    ("one is not in the log", ENDED, [2], [1, 2], None),
]


@pytest.mark.parametrize("name, lines, kills, copies, wanted", ROWS,
                         ids=[row[0] for row in ROWS])
def test_fault(tmp_path, name, lines, kills, copies, wanted):
    for queue in ("queue1", "queue2"):
        (tmp_path / "queue" / queue).mkdir(parents=True)
        (tmp_path / "log" / queue).mkdir(parents=True)
    stamped = [f"@{TAI_0 + START + at:016x}00000000 {text}\n"
               for at, text in lines]
    # multilog begins a new file now and then
    (tmp_path / "log/queue1/@400000003b9aca0a00000000.s").write_text(
        "".join(stamped[:2]))
    (tmp_path / "log/queue1/current").write_text("".join(stamped[2:]))
    faults, ended = find_faults(
        SimpleNamespace(home=tmp_path),
        [Kill(START + kill[2], *kill[:2]) if isinstance(kill, tuple) else
         Kill(START + kill, "qmail-send", "queue1") for kill in kills],
        {("a@x", "u"): [START + at for at in copies]})
    if wanted is None:
        assert faults == [], name
        assert ended == (2 if "b@x" in str(lines) else 1)
    else:
        assert any(re.search(wanted, fault) for fault in faults), faults
