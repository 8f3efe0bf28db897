# SPDX-License-Identifier: ISC
"""Reads a queue's journal as docs/queue.md describes it."""
import struct
import uuid
import zlib
from dataclasses import dataclass

PAGE = 4096
SEGMENTS = 4
MAGIC = b"mqmail journal 2\n"
# Of a record: CRC, length, generation, page of its batch, type, ID.
HEAD = struct.Struct("<IIQIBQ")
# Of a message, behind that: UUID, birth, length of the body, is it here,
# length of the envelope.
MESSAGE = struct.Struct("<16sqQBI")


@dataclass
class Message:
    """A message that counts; body is None when it is in mess/."""
    number: str
    uuid: uuid.UUID
    birth: int
    size: int
    envelope: bytes
    body: bytes


def generation(segment):
    """The number in a segment's first page; 0 when there is none."""
    if not segment.startswith(MAGIC):
        return 0
    found, _, crc = struct.unpack_from("<QQI", segment, len(MAGIC))
    return found if crc == zlib.crc32(segment[:len(MAGIC) + 16]) else 0


def _record(segment, at, wanted):
    """The record there: its end, type, number and what is behind; or None."""
    if at + HEAD.size > len(segment):
        return None
    crc, length, found, _, kind, number = HEAD.unpack_from(segment, at)
    end = at + 8 + length
    if found != wanted or crc != zlib.crc32(segment[at + 4:end]):
        return None
    return end, chr(kind), str(number), segment[at + HEAD.size:end]


def _records(segment, wanted):
    at = PAGE
    while at < len(segment):
        record = _record(segment, at, wanted)
        if record is None and at % PAGE != 0:
            at += PAGE - at % PAGE
            record = _record(segment, at, wanted)
        if record is None:
            return
        at = record[0]
        yield record[1:]


def _message(number, data):
    ident, birth, size, is_here, length = MESSAGE.unpack_from(data)
    body = data[MESSAGE.size + length:]
    assert not is_here or len(body) == size
    return Message(number, uuid.UUID(bytes=ident), birth, size,
                   data[MESSAGE.size:MESSAGE.size + length],
                   body if is_here else None)


def segments(queue):
    """Those that count, the oldest first: (generation, content)."""
    found = []
    for place in range(SEGMENTS):
        try:
            segment = (queue / f"lock/journal.{place}").read_bytes()
        except FileNotFoundError:
            continue
        if generation(segment) != 0:
            found.append((generation(segment), segment))
    found.sort()
    return [pair for pair in found
            if (pair[0] >> 32) + SEGMENTS > found[-1][0] >> 32]


def messages(queue, also_over=False):
    """Those that count, by number; or all that are still there."""
    found, over = {}, set()
    for number, segment in segments(queue):
        for kind, name, data in _records(segment, number):
            if kind == "+":
                found[name] = _message(name, data)
            else:
                over.add(name)
    return {name: message for name, message in found.items()
            if also_over or name not in over}


def live(queue):
    """The envelopes that count, by the number of their message."""
    return {name: message.envelope
            for name, message in messages(queue).items()}
