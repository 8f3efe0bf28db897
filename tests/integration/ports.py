# SPDX-License-Identifier: ISC
"""Ports of loopback, which nobody else gets while a test has them.

A socket that is bound and does not listen holds each: no bind() without
SO_REUSEADDR gets it, nor does a client by chance, but a server can listen there,
as all of them set SO_REUSEADDR.
"""
import random
import socket

_held = []


def hold(port):
    """The socket that holds it; None when it is taken."""
    each = socket.socket()
    try:
        each.bind(("127.0.0.1", port))
    except OSError:
        each.close()
        return None
    # After bind(): so two who hold cannot both have it.
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return each


def take(count=1):
    """The first of count ports, below those that the kernel gives to clients."""
    while True:
        port = random.randrange(10000, 32000)
        sockets = [hold(port + i) for i in range(count)]
        if None not in sockets:
            _held.extend(sockets)
            return port
        for each in sockets:
            if each is not None:
                each.close()


def give_back():
    """All that were taken."""
    while _held:
        _held.pop().close()
