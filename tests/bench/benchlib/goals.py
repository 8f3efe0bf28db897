# SPDX-License-Identifier: ISC
"""What mqmail shall reach, and whether it did."""

# (case, what, at least or at most, times, server): messages a second ("rate")
# and CPU a message ("cpu") of the comparison; of held messages also the
# seconds until mail is taken ("takes") and until all is known ("knows").  "Not
# worse" leaves room for the noise of single measurements.
GOALS = (
    ("4k-20-new", "rate", ">=", 4.5, "postfix"),
    ("4k-20-new", "rate", ">=", 1.6, "limit.c"),
    ("4k-20-kept", "rate", ">=", 6.5, "postfix"),
    ("4k-20-kept", "rate", ">=", 2.0, "limit.c"),
    ("4k-20-new-slow", "rate", ">=", 1.6, "part1"),
    ("4k-20-kept-slow", "rate", ">=", 1.6, "part1"),
    ("4k-20-new", "cpu", "<=", 0.65, "part1"),
    ("4k-20-kept", "cpu", "<=", 0.65, "part1"),
    ("4k-20-new", "rate", "<=", 1.1, "mqmail-pgsql"),
    ("4k-20-kept", "rate", "<=", 1.1, "mqmail-pgsql"),
    ("4k-20-new", "cpu", ">=", 0.9, "mqmail-pgsql"),
    ("4k-20-kept", "cpu", ">=", 0.9, "mqmail-pgsql"),
    ("64k-100-kept", "rate", ">=", 1.0, "limit.c"),
    ("held-1m", "takes", "<=", 1.2, "part1"),
    ("held-1m", "knows", "<=", 1.2, "part1"),
    ("held-1m", "new", ">=", 0.95, "part1"),
    ("held-1m", "kept", ">=", 0.95, "part1"),
    ("relay-4k", "rate", ">=", 4.0, "postfix"),
)
TEXTS = {"rate": "messages/s", "cpu": "CPU a message",
         "takes": "start until mail is taken",
         "knows": "start until all is known",
         "new": "messages/s, new", "kept": "messages/s, kept"}


def held_ratio(held, case, what, server):
    """held: rows of node.held by server and case."""
    try:
        return held["mqmail"][case][what] / held[server][case][what]
    except KeyError:
        return None


def relay_ratio(relayed, case, server):
    """relayed: (rate, CPU) by case and server."""
    try:
        return relayed[case]["mqmail"][0] / relayed[case][server][0]
    except KeyError:
        return None


def lines(comparison, held, relayed=None):
    """One line for each goal that was measured; [] if none was.

    comparison may be None.
    """
    found = []
    for case, what, order, times, server in GOALS:
        ratio = (relay_ratio(relayed or {}, case, server)
                 if case.startswith("relay")
                 else comparison.ratio(case, "mqmail", server, what)
                 if comparison is not None and what in ("rate", "cpu")
                 else held_ratio(held, case, what, server))
        if ratio is None:
            continue
        is_reached = ratio >= times if order == ">=" else ratio <= times
        found.append(f"{case:<16}{TEXTS[what]:<26}{order} {times:.2f} x "
                     f"{server:<13}{ratio:>6.2f}  "
                     f"{'reached' if is_reached else 'not reached'}")
    return found and ["goals"] + found
