# SPDX-License-Identifier: ISC
"""Accounts for every message that was sent to a cluster that is being hurt.

What was accepted is in the right mailbox once, or in a queue of some node, or
counted as twice there, or lost.  It is read from the files, whoever lives.
"""
import collections
import itertools
import random
import re
from dataclasses import dataclass, field

import journal
import ledger
from node import SLOW

NUMBER = re.compile(rb"s(\d+)@example\.net")


@dataclass
class Account:
    """Numbers of messages; all that were accepted are in exactly one of
    delivered, duplicated, queued and lost."""
    accepted: int = 0
    unsure: int = 0  # no answer to the dot
    delivered: int = 0
    queued: int = 0
    duplicated: list = field(default_factory=list)
    lost: list = field(default_factory=list)
    misplaced: list = field(default_factory=list)  # not where its user is
    faults: list = field(default_factory=list)  # changed, never accepted

    @property
    def is_good(self):
        return not (self.lost or self.misplaced or self.faults)

    def __str__(self):
        head = (f"accepted {self.accepted} (and {self.unsure} unsure): "
                f"delivered {self.delivered}, queued {self.queued}, "
                f"duplicated {len(self.duplicated)}, lost {len(self.lost)}; "
                f"misplaced {len(self.misplaced)}, "
                f"other faults {len(self.faults)}")
        return "\n".join([head, *(
            f"  {what}: {row}" for what in ("lost", "misplaced", "faults")
            for row in getattr(self, what)[:10])])


def queued(node):
    """Numbers of the messages that a node's queues hold, by their files."""
    found = set()
    for folder in (node.home / "queue").iterdir():
        # In the order in which a message goes from one to the next.
        for envelope in journal.live(folder).values():
            found |= set(map(int, NUMBER.findall(envelope)))
        for pattern in ("todo/*", "info/*/*"):
            for file in folder.glob(pattern):
                try:
                    found |= set(map(int, NUMBER.findall(file.read_bytes())))
                except FileNotFoundError:
                    pass  # it went on meanwhile
    return found


class ClusterLedger(ledger.Ledger):
    """To the users of the clustered domain, or of another, at any of the nodes;
    nodes: only these take it."""

    SIZES = (10, 1000, 4000, 40000)
    FIRSTS = itertools.count(step=1000000)  # what others sent is not its own

    def __init__(self, cluster, users=None, nodes=None, domain=None):
        super().__init__(cluster, users or sorted(cluster.homes(domain)))
        self.first = next(self.FIRSTS)
        self.cluster = cluster
        self.nodes = nodes or cluster.nodes
        self.domain = domain or cluster.domain

    def _connect(self):
        client = random.choice(self.nodes).smtp()
        client.timeout = 20 * SLOW
        return client

    def _read(self, file, user, faults):
        number = self._number(file.read_bytes())
        if number is not None and number < self.first:
            return None
        return super()._read(file, user, faults)

    def _find(self, account):
        """The files of each message, by its number."""
        found = collections.defaultdict(list)
        for node in self.cluster.nodes:
            for user, file in node.mailboxes(self.domain):
                number = self._read(file, user, account.faults)
                if number is not None:
                    found[number].append(file)
        return found

    def account(self):
        """Also while it sends: of what was accepted before."""
        account = Account()
        with self.lock:
            rows = {number: (row, row.state)
                    for number, row in self.rows.items()}
        # From queue to queue and to the mailbox: what was on its way from one
        # to the next is found in the next.
        waiting = set().union(*map(queued, self.cluster.nodes))
        found = self._find(account)
        waiting |= set().union(*map(queued, self.cluster.nodes))
        if any(state == ledger.SENT and number not in waiting | found.keys()
               for number, (_, state) in rows.items()):
            account.faults.clear()
            found = self._find(account)
        homes = self.cluster.homes(self.domain)
        for number, (row, state) in rows.items():
            account.unsure += state == ledger.UNSURE
            copies = found.get(number, [])
            account.misplaced += [
                f"{number} for {row.user} in {homes.get(row.user)} is {file}"
                for file in copies
                if homes.get(row.user) not in file.parents]
            if len(copies) > 1:
                account.duplicated.append(number)
            if state != ledger.SENT:
                continue
            account.accepted += 1
            if len(copies) == 1:
                account.delivered += 1
            elif not copies and number in waiting:
                account.queued += 1
            elif not copies:
                account.lost.append(f"{number} for {row.user}")
        return account

    def check(self):
        """Zero lost and zero misplaced; gives the account."""
        account = self.account()
        print(account)
        assert account.is_good, f"{account}\n" + "\n".join(
            f"=== {node.name}\n{node.logs()}" for node in self.cluster.nodes)
        assert account.accepted > 0
        return account


class Load(ledger.Load):
    """As there, with a pause after each message of each session."""

    def __init__(self, of, threads=6, pause=0):
        super().__init__(of, threads)
        self.pause = pause
        for thread in self.threads:
            thread.daemon = True

    def run(self):
        while not self.is_over.is_set():
            self.ledger.send(self.is_over.is_set)
            self.is_over.wait(self.pause)
