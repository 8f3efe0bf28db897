# SPDX-License-Identifier: ISC
"""Accounts for every message that was sent to a node that is being killed."""
import hashlib
import random
import re
import smtplib
import threading
import time

import delivery_log

SENT = "acknowledged"  # 250 after DATA: may never be lost
UNSURE = "unsure"      # no answer to the dot, or "later": there, or not
REFUSED = "refused"    # not sent whole, or refused for good: not there


class Ledger:
    """What was sent, from any number of threads, and what became of it."""

    def __init__(self, node, users):
        self.node = node
        self.users = users
        self.lock = threading.Lock()
        self.rows = {}   # id: [user, body, state]
        self.kills = []  # of delivery_log.Kill

    @staticmethod
    def sender(number):
        return f"s{number}@example.net"

    def new(self):
        """A new row; gives its id, user and whole text."""
        with self.lock:
            number = len(self.rows)
            user = random.choice(self.users)
            size = random.choice((10, 1000, 4000, 40000))
            line = hashlib.sha256(str(number).encode()).hexdigest() + "\r\n"
            body = line * (size // len(line) + 1)
            self.rows[number] = [user, body, REFUSED]
        text = (f"From: <{self.sender(number)}>\r\nX-Number: {number}\r\n"
                f"Subject: {number}\r\n\r\n{body}")
        return number, user, text

    def send(self):
        """One message on a connection of its own.  True when acknowledged."""
        number, user, text = self.new()
        state = REFUSED
        try:
            with smtplib.SMTP("127.0.0.1", self.node.smtp_port,
                              timeout=20) as client:
                client.ehlo("client.example.net")
                if (client.mail(self.sender(number))[0] == 250 and
                        client.rcpt(f"{user}@{self.node.domain}")[0] == 250):
                    state = UNSURE
                    code = client.data(text)[0]
                    if code == 250:
                        state = SENT
                    elif code // 100 == 5:
                        state = REFUSED
        except smtplib.SMTPDataError:
            state = REFUSED  # to DATA itself
        except (OSError, smtplib.SMTPException):
            pass  # the connection broke
        with self.lock:
            self.rows[number][2] = state
        return state == SENT

    def count(self, state):
        with self.lock:
            return sum(row[2] == state for row in self.rows.values())

    def kill(self, *pids):
        self.kills += delivery_log.kill(self.node, pids)

    def check(self):
        """Accounts for every message."""
        found = {}
        faults = []
        for user in self.users:
            for file in self.node.messages(user):
                data = file.read_bytes()
                match = re.search(rb"^X-Number: (\d+)$", data, re.MULTILINE)
                number = int(match[1]) if match else None
                if number not in self.rows:
                    faults.append(f"never sent: {file}")
                    continue
                owner, body, state = self.rows[number]
                if owner != user:
                    faults.append(f"{number} is {owner}'s: {file}")
                if state == REFUSED:
                    faults.append(f"{number} was refused: {file}")
                head, _, rest = data.partition(b"\n\n")
                if rest != body.replace("\r\n", "\n").encode():
                    faults.append(f"{number} is changed: {file}")
                if head.count(b"\nX-Number: ") != 1:
                    faults.append(f"{number} has another's header: {file}")
                found.setdefault(number, []).append(file.stat().st_ctime)
        for number, (user, _, state) in self.rows.items():
            if state == SENT and number not in found:
                faults.append(f"{number} for {user} is lost")
        repeated, ended = delivery_log.find_faults(
            self.node, self.kills,
            {(self.sender(number), self.rows[number][0]): times
             for number, times in found.items()})
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
            if not self.ledger.send():
                time.sleep(0.05)  # a listener that is down

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
