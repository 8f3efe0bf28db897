# SPDX-License-Identifier: ISC
"""Accounts for every message that was sent to a node that is being killed."""
import collections
import hashlib
import random
import re
import smtplib
import threading
import time

import delivery_log
from node import SLOW

SENT = "acknowledged"  # 250 after the dot: may never be lost
UNSURE = "unsure"      # no answer to the dot: there, or not
LATER = "later"        # 4yz: not there
REFUSED = "refused"    # not sent whole, or 5yz: not there


class Row:
    """One transaction."""

    def __init__(self, user, line, count):
        self.user = user
        self.line, self.count = line, count
        self.state = REFUSED

    @property
    def body(self):
        return self.line * self.count


class Ledger:
    """What was sent, from any number of threads, and what became of it."""

    SIZES = (10, 1000, 4000, 40000, 300000)
    first = 0  # number

    def __init__(self, node, users):
        self.node = node
        self.domain = node.domain
        self.users = users
        self.lock = threading.Lock()
        self.rows = {}   # by number
        self.kills = []  # of delivery_log.Kill

    @staticmethod
    def sender(number):
        return f"s{number}@example.net"

    def _new(self, row):
        """The number of a new row, and its whole text."""
        with self.lock:
            number = self.first + len(self.rows)
            self.rows[number] = row
        return number, (f"From: <{self.sender(number)}>\r\n"
                        f"X-Number: {number}\r\nSubject: {number}\r\n\r\n"
                        f"{row.body}")

    def _connect(self):
        return smtplib.SMTP("127.0.0.1", self.node.smtp_port,
                            timeout=20 * SLOW)

    def _try(self, row):
        """One transaction on a connection of its own; its state."""
        number, text = self._new(row)
        state = REFUSED
        try:
            with self._connect() as client:
                client.ehlo("client.example.net")
                if (client.mail(self.sender(number))[0] == 250 and
                        client.rcpt(f"{row.user}@{self.domain}")[0] == 250):
                    state = row.state = UNSURE
                    code = client.data(text)[0]
                    state = {2: SENT, 4: LATER, 5: REFUSED}[code // 100]
        except smtplib.SMTPDataError:
            state = REFUSED  # to DATA itself
        except (OSError, smtplib.SMTPException):
            pass  # the connection broke
        with self.lock:
            row.state = state
        return state

    def send(self, is_over):
        """A message, again and again until it is acknowledged."""
        user = random.choice(self.users)
        size = random.choice(self.SIZES)
        line = hashlib.sha256(random.randbytes(8)).hexdigest() + "\r\n"
        count = size // len(line) + 1
        while self._try(Row(user, line, count)) != SENT and not is_over():
            time.sleep(0.05)  # a listener that is down

    def count(self, state):
        with self.lock:
            return sum(row.state == state for row in self.rows.values())

    def kill(self, *pids):
        self.kills += delivery_log.kill(self.node, pids)

    @staticmethod
    def _number(data):
        match = re.search(rb"^X-Number: (\d+)$", data, re.MULTILINE)
        return int(match[1]) if match else None

    def state_of(self, file):
        """That of the row of a stored message."""
        return self.rows[self._number(file.read_bytes())].state

    def _read(self, file, user, faults):
        """The number of a stored message, which is held against its row."""
        data = file.read_bytes()
        number = self._number(data)
        if number not in self.rows:
            faults.append(f"never sent: {file}")
            return None
        row = self.rows[number]
        if row.user != user:
            faults.append(f"{number} is {row.user}'s: {file}")
        if row.state in (LATER, REFUSED):
            faults.append(f"{number} was answered '{row.state}': {file}")
        head, _, rest = data.partition(b"\n\n")
        if rest != row.body.replace("\r\n", "\n").encode():
            faults.append(f"{number} is changed: {file}")
        if head.count(b"\nX-Number: ") != 1:
            faults.append(f"{number} has another's header: {file}")
        return number

    def check(self):
        """Accounts for every message."""
        copies, faults = collections.Counter(), []
        for user in self.users:
            copies.update(self._read(file, user, faults)
                          for file in self.node.messages(user))
        for number, row in self.rows.items():
            if row.state == SENT and copies[number] == 0:
                faults.append(f"{number} for {row.user} is lost")
            # A delivery that is repeated finds its own file.
            if copies[number] > 1:
                faults.append(f"{number} for {row.user} is there "
                              f"{copies[number]} times")
        repeated, ended = delivery_log.find_faults(self.node, self.kills)
        faults += repeated
        assert faults == [], "\n".join(faults[:20]) + self.node.logs()
        assert ended > 0, "the logs have no message's end"


class Load:
    """Threads that send without end until stopped."""

    def __init__(self, ledger, threads=6):
        self.ledger = ledger
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run)
                        for _ in range(threads)]

    def run(self):
        while not self.is_over.is_set():
            self.ledger.send(self.is_over.is_set)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
