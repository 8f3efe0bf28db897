# SPDX-License-Identifier: ISC
"""The comparison: every case, server after server, several rounds."""

import statistics

from . import load
from .servers import ServerError

# Rates of a first round, to choose how many messages make a run of a few
# seconds; later rounds go by what was measured.
FIRST_RATE = {"postfix": 800, "postfix-tuned": 800, "journal.c": 5000}
OTHER_FIRST_RATE = 3000
RUN_S = {4: 4, 64: 2}
MESSAGES_MAX = {4: 40000, 64: 6000}


class Case:
    """is_slow: each sync takes some milliseconds longer (slowsync.c)."""

    def __init__(self, size_kb, sessions, kept, is_slow=False):
        self.size_kb, self.sessions, self.kept = size_kb, sessions, kept
        self.is_slow = is_slow
        self.name = (f"{size_kb}k-{sessions}-{'kept' if kept else 'new'}"
                     f"{'-slow' if is_slow else ''}")

    def first_rate(self, server):
        rate = FIRST_RATE.get(server, OTHER_FIRST_RATE)
        if self.sessions == 1:
            rate /= 8
        if self.size_kb == 64:
            rate /= 3
        if self.is_slow:
            rate /= 3
        return rate

    def messages(self, rate):
        # Whole milliseconds matter less with more, disk space more.
        count = int(rate * RUN_S[self.size_kb])
        return max(200, min(count, MESSAGES_MAX[self.size_kb]))


CASES = [Case(size_kb, sessions, kept) for size_kb in (4, 64)
         for sessions in (1, 20, 100) for kept in (False, True)]
CASES += [Case(4, 20, kept, True) for kept in (False, True)]


class Comparison:
    """results[case][server] is a list of (rate, cpu) or of reasons.

    makers make a server by its name, in a fresh folder: called with whether
    its disk is slow.
    """

    def __init__(self, cases, makers, watch, say):
        self.cases, self.makers = cases, makers
        self.watch, self.say = watch, say
        self.rounds = 0
        self.results = {case.name: {name: [] for name in makers}
                        for case in cases}

    def round(self):
        for is_slow in (False, True):
            cases = [case for case in self.cases if case.is_slow == is_slow]
            if cases:
                self.run_cases(cases, is_slow)
        self.rounds += 1

    def run_cases(self, cases, is_slow):
        servers = []
        try:
            for maker in self.makers.values():
                server = maker(is_slow)
                servers.append(server)
                server.start()
                load.measure(server, self.watch, 1000, 20, 4096, True)
            for turn, case in enumerate(cases, self.rounds):
                turn %= len(servers)
                for server in servers[turn:] + servers[:turn]:
                    self.run(case, server)
        finally:
            for server in servers:
                server.stop()

    def run(self, case, server):
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
        """(rate, cpu), or None."""
        good = [result for result in
                self.results.get(case_name, {}).get(server_name, [])
                if isinstance(result, tuple)]
        if not good:
            return None
        return (statistics.median(rate for rate, _ in good),
                statistics.median(cpu for _, cpu in good))

    def ratio(self, case_name, above, below, what):
        """Of the medians of "rate" or "cpu"; None unless both were measured.
        """
        which = ("rate", "cpu").index(what)
        medians = [self.median(case_name, name) for name in (above, below)]
        return None if None in medians else (
            medians[0][which] / medians[1][which])

    def failures(self):
        return [(case, server, result)
                for case, by_server in self.results.items()
                for server, results in by_server.items()
                for result in results if not isinstance(result, tuple)]

    def table(self):
        """The medians, and what the first server's are of each other's."""
        first, *others = self.makers
        lines = [f"{'case':<16}" + "".join(f"{name:>18}"
                                           for name in self.makers),
                 " " * 16 + f"{'msg/s  CPU ms':>18}" * len(self.makers)]
        for case in self.cases:
            medians = [self.median(case.name, name) for name in self.makers]
            lines.append(f"{case.name:<16}" + "".join(
                "{:>10.0f}{:>8.3f}".format(*median) if median
                else f"{'failed':>18}" for median in medians))
        if not others:
            return "\n".join(lines)
        lines += ["", f"{first + ' /':<16}" + "".join(
            f"{name:>18}" for name in others),
            " " * 16 + f"{'msg/s     CPU':>18}" * len(others)]
        for case in self.cases:
            line = f"{case.name:<16}"
            for name in others:
                ratios = [self.ratio(case.name, first, name, what)
                          for what in ("rate", "cpu")]
                line += (f"{'-':>18}" if None in ratios else
                         "{:>10.2f}{:>8.2f}".format(*ratios))
            lines.append(line)
        return "\n".join(lines)

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
