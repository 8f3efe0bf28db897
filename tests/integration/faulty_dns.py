# SPDX-License-Identifier: ISC
"""A name server whose answers are wrong in every way: a function of the test
makes each, of (name, type), as parts of a message or as bytes."""
import contextlib
import socket
import struct
import threading

import ports

A, CNAME, SOA, MX, TXT, AAAA = 1, 5, 6, 15, 16, 28
SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 2, 3, 4, 5


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode()
                    for label in name.split(".") if label) + b"\0"


def record(name, kind, data, ttl=60):
    return (wire_name(name) + struct.pack(">HHIH", kind, 1, ttl, len(data)) +
            data)


def mx(name, preference, host):
    return record(name, MX, struct.pack(">H", preference) + wire_name(host))


def soa(zone):
    return record(zone, SOA, wire_name("ns." + zone) + wire_name(zone) +
                  struct.pack(">5I", 1, 60, 60, 60, 60))


class Query:
    def __init__(self, packet):
        self.id, = struct.unpack(">H", packet[:2])
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        self.name = ".".join(labels).lower()
        self.type, = struct.unpack(">H", packet[at + 1:at + 3])
        self.question = packet[12:at + 5]

    def reply(self, *answers, code=0, authority=(), truncated=False, id=None,
              question=None, flags=0x8400):
        """A message; authoritative, unless other flags are given."""
        head = struct.pack(">6H", self.id if id is None else id,
                           flags | code | (0x200 if truncated else 0), 1,
                           len(answers), len(authority), 0)
        return head + (question or self.question) + b"".join(
            [*answers, *authority])


class FaultyDns:
    """answer(query, is_tcp) gives the bytes to send; None: nothing."""

    def __init__(self, answer):
        self.answer = answer
        self.port = ports.take()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port), backlog=50)
        self.threads = [threading.Thread(target=each, daemon=True)
                        for each in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def serve_udp(self):
        while True:
            packet, peer = self.udp.recvfrom(65536)
            if not packet:
                return
            answer = self.answer(Query(packet), False)
            if answer is not None:
                self.udp.sendto(answer, peer)

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, struct.error):
                connection.settimeout(5)
                length, = struct.unpack(">H", connection.recv(2))
                answer = self.answer(
                    Query(connection.recv(length, socket.MSG_WAITALL)), True)
                if answer is not None:
                    connection.sendall(
                        struct.pack(">H", len(answer)) + answer)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self.tcp.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(20)
        self.udp.close()
        self.tcp.close()
