# SPDX-License-Identifier: ISC
"""The account of deliveries that the crash tests rely on finds faults."""
import re
from types import SimpleNamespace

import pytest

from delivery_log import REMEMBERED_S, SLACK_S, TAI_0, Kill, find_faults

START = 1_000_000_000
U = "example.test-u@example.test"
FIRST = [(0, "running"), (1, "info msg 7: bytes 9 from <a@x> qp 3 uid 4"),
         (1, f"starting delivery 1: msg 7 to local {U}")]
SUCCESS = [*FIRST, (2, "delivery 1: success: did_1+0+0/")]
ENDED = [*SUCCESS, (2, "end msg 7")]
AGAIN = [(50, "running"), (50, f"starting delivery 1: msg 7 to local {U}"),
         (50, "delivery 1: success: did_1+0+0/"), (50, "end msg 7")]
AGAIN_8 = [(50, f"starting delivery 2: msg 8 to local {U}"),
           (50, "delivery 2: success: did_1+0+0/"), (50, "end msg 8")]
LATE = 2 + REMEMBERED_S + SLACK_S + 0.1
EARLY = 2 - SLACK_S - 0.1
WORKER = "delivery 1: deferral: The_delivery_worker_ended_before_it_answered."
AGAIN_S4 = (50, FIRST[1][1])

ROWS = [
    # name, lines, kills of queue1 (or program, queue, time), fault
    ("once", ENDED, [], None),
    ("another's number", [*ENDED, (3, "info msg 8: bytes 9 from <b@x> qp 3 "
                                   "uid 4"), *AGAIN_8], [], None),
    ("killed before the end is noted", [*ENDED, *AGAIN], [2.5], None),
    ("killed long after its end", [*ENDED, *AGAIN], [LATE], "a@x is in"),
    ("S4 long after its end", [*ENDED, AGAIN_S4], [LATE], "a@x is in"),
    ("not killed after its end", [*ENDED, *AGAIN], [], "a@x is in"),
    ("killed before the end", [*SUCCESS, *AGAIN], [2.5], None),
    ("killed too late", [*SUCCESS, *AGAIN], [LATE], "'u'. is in"),
    ("killed too early", [*SUCCESS, *AGAIN], [EARLY], "'u'. is in"),
    ("not killed", [*SUCCESS, *AGAIN], [], "'u'. is in"),
    ("only the worker killed", [*SUCCESS, *AGAIN],
     [("qmail-vdeliver", "queue1", 2.5)], "'u'. is in"),
    ("another queue killed", [*SUCCESS, *AGAIN],
     [("qmail-send", "queue2", 2.5)], "'u'. is in"),
    ("without a result", [*FIRST, *AGAIN], [40], None),
    ("its worker ended", [*FIRST, (2, WORKER), *AGAIN],
     [("qmail-vdeliver", "queue1", 2)], None),
    ("its worker said no", [*FIRST, (2, "delivery 1: deferral: No_room./"),
                            *AGAIN], [], None),
]


@pytest.mark.parametrize("name, lines, kills, wanted", ROWS,
                         ids=[row[0] for row in ROWS])
def test_fault(tmp_path, name, lines, kills, wanted):
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
         Kill(START + kill, "qmail-send", "queue1") for kill in kills])
    if wanted is None:
        assert faults == [], name
        assert ended == sum(line.startswith("end msg") for _, line in lines)
    else:
        assert any(re.search(wanted, fault) for fault in faults), faults
