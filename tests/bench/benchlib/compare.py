# SPDX-License-Identifier: ISC
"""The comparison: every case, server after server, several rounds."""

import statistics

from . import load
from .servers import Server, ServerError

# Rates of a first round, to choose how many messages make a run of a few
# seconds; later rounds go by what was measured.
FIRST_RATE = {"limit": 4000, "limit-1000": 4000, "yardstick": 3000,
              "mqmail": 3000, "postfix": 800, "postfix-tuned": 800}
# What mqmail shall reach in all of these cases: (times, server).
GOAL = ((3.0, "postfix"), (0.5, "limit"))
GOAL_CASES = ("4k-20-new", "4k-20-kept")
RUN_S = {4: 4, 64: 2}
MESSAGES_MAX = {4: 30000, 64: 4000}


class Case:
    def __init__(self, size_kb, sessions, kept):
        self.size_kb, self.sessions, self.kept = size_kb, sessions, kept
        self.name = f"{size_kb}k-{sessions}-{'kept' if kept else 'new'}"

    def first_rate(self, server):
        rate = FIRST_RATE[server]
        if self.sessions == 1:
            rate /= 8
        if self.size_kb == 64:
            rate /= 3
        return rate

    def messages(self, rate):
        # Whole milliseconds matter less with more, disk space more.
        count = int(rate * RUN_S[self.size_kb])
        return max(200, min(count, MESSAGES_MAX[self.size_kb]))


CASES = [Case(size_kb, sessions, kept) for size_kb in (4, 64)
         for sessions in (1, 20, 100) for kept in (False, True)]


class Comparison:
    """results[case][server] is a list of (rate, cpu) or of reasons."""

    def __init__(self, cases, makers, watch, say):
        self.cases, self.makers = cases, makers
        self.watch, self.say = watch, say
        self.results = {case.name: {name: [] for name in makers}
                        for case in cases}

    def round(self, folder):
        """One round in fresh folders: old ones make new files slow."""
        servers = []
        try:
            for name, maker in self.makers.items():
                server = maker(f"{folder}/{name}")
                servers.append(server)
                server.start()
                load.measure(server, self.watch, 1000, 20, 4096, True)
            for turn, case in enumerate(self.cases):
                turn %= len(servers)
                for server in servers[turn:] + servers[:turn]:
                    self.run(case, server)
        finally:
            for server in servers:
                server.stop()

    def run(self, case, server: Server):
        done = self.results[case.name][server.name]
        rates = [result[0] for result in done if isinstance(result, tuple)]
        rate = rates[-1] if rates else case.first_rate(server.name)
        try:
            result = load.measure(server, self.watch, case.messages(rate),
                                  case.sessions, case.size_kb * 1024,
                                  case.kept)
            self.say(f"{case.name} {server.name}: {result[0]:.0f} msg/s, "
                     f"{result[1]:.2f} ms CPU")
        except (load.LoadError, ServerError) as error:
            result = str(error)
            self.say(f"{case.name} {server.name}: failed: {result}")
        done.append(result)

    def median(self, case_name, server_name):
        """(rate, cpu, lowest rate, highest rate), or None."""
        good = [result for result in self.results[case_name][server_name]
                if isinstance(result, tuple)]
        if not good:
            return None
        rates = [rate for rate, _ in good]
        return (statistics.median(rates),
                statistics.median([cpu for _, cpu in good]),
                min(rates), max(rates))

    def failures(self):
        return [(case, server, result)
                for case, by_server in self.results.items()
                for server, results in by_server.items()
                for result in results if not isinstance(result, tuple)]

    def table(self):
        names = list(self.makers)
        lines = [f"{'case':<12}" + "".join(f"{name:>20}" for name in names) +
                 "".join(f"{title:>10}" for title, _, _ in self.ratios())]
        lines.append(" " * 12 + f"{'msg/s   CPU ms':>20}" * len(names))
        for case in self.cases:
            medians = {name: self.median(case.name, name) for name in names}
            line = f"{case.name:<12}"
            for name in names:
                line += ("{:>12.0f}{:>8.2f}".format(*medians[name][:2])
                         if medians[name] else f"{'failed':>20}")
            for _, above, below in self.ratios():
                both = medians[above] and medians[below]
                line += (f"{medians[above][0] / medians[below][0]:>10.2f}"
                         if both else f"{'-':>10}")
            lines.append(line)
        return "\n".join(lines)

    def goal(self):
        """The line about the goal; None unless all it asks for has run."""
        reached, figures = True, []
        for case in GOAL_CASES:
            rates = {name: (self.median(case, name) or (None,))[0]
                     for name in ("mqmail", *(name for _, name in GOAL))
                     if name in self.results.get(case, {})}
            if len(rates) <= len(GOAL) or None in rates.values():
                return None
            found = [(times, rates["mqmail"] / rates[name])
                     for times, name in GOAL]
            reached &= all(ratio >= times for times, ratio in found)
            figures.append(f"{case} " + " and ".join(
                f"{ratio:.2f}" for _, ratio in found))
        wanted = " and ".join(f"{times} x {name}" for times, name in GOAL)
        return (f"goal: {wanted} at 4k-20: "
                f"{'reached' if reached else 'not reached'} "
                f"({', '.join(figures)})")

    def ratios(self):
        """Columns (title, above, below) of the servers that run."""
        return [(f"{above[:2]}/{title}", above, below)
                for above, below, title in (
                    ("mqmail", "postfix", "pfx"),
                    ("mqmail", "postfix-tuned", "tuned"),
                    ("mqmail", "limit", "limit"),
                    ("mqmail", "yardstick", "yard"),
                    ("limit", "yardstick", "yard"),
                    ("limit", "postfix", "pfx"))
                if above in self.makers and below in self.makers]

    def as_json(self):
        rows = []
        for case in self.cases:
            for name in self.makers:
                median = self.median(case.name, name)
                rows.append({
                    "case": case.name, "server": name,
                    "rates": [r[0] for r in self.results[case.name][name]
                              if isinstance(r, tuple)],
                    "messages_per_s": median and median[0],
                    "cpu_ms_per_message": median and median[1]})
        return rows
