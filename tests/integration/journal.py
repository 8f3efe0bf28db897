# SPDX-License-Identifier: ISC
"""Reads a queue's journal as docs/queue.md describes it."""
import struct
import zlib

HALF = 2 * 1024 * 1024
HEADER = 512
MAGIC = b"mqmail journal 1\n"


def _generation(half):
    if not half.startswith(MAGIC):
        return 0
    generation, crc = struct.unpack_from("<QI", half, len(MAGIC))
    return generation if crc == zlib.crc32(half[:len(MAGIC) + 8]) else 0


def _records(half, generation):
    at = HEADER
    while at + 25 <= len(half):
        crc, length, found, kind, number = struct.unpack_from("<IIQBQ", half, at)
        end = at + 8 + length
        if found != generation or crc != zlib.crc32(half[at + 4:end]):
            return
        envelope = None if kind == ord("-") else half[at + 45:end]
        yield str(number), envelope
        at = end


def live(queue):
    """The envelopes that count, by the number of their message."""
    try:
        data = (queue / "lock/journal").read_bytes()
    except FileNotFoundError:
        return {}
    halves = sorted(((_generation(half), half) for half in
                     (data[:HALF], data[HALF:])), key=lambda pair: pair[0])
    found = {}
    for generation, half in halves:
        if generation == 0:
            continue
        for number, envelope in _records(half, generation):
            found.pop(number, None)
            if envelope is not None:
                found[number] = envelope
    return found
