# SPDX-License-Identifier: ISC
"""Holds a queue that nobody works in against the state table of docs/queue.md."""
import journal

FOLDERS = ("mess", "intd", "todo", "info", "local", "remote", "bounce", "pid")


class Found:
    """A message of a queue: its state, and who is not done yet."""

    def __init__(self, number, has, state):
        self.number = number
        self.has = has      # folders that have a file of it
        self.state = state  # as the table calls it
        self.pending = set()  # addresses

    def __repr__(self):
        return f"{self.state} in {sorted(self.has)}, for {self.pending}"


def _recipients(record):
    return {field[1:].decode() for field in record.split(b"\0")
            if field.startswith(b"T")}


def _state(number, has, fresh):
    """The row of the table; AssertionError when there is none."""
    if "todo" in has:
        assert "mess" in has, f"{number} is in todo/ without a message: {has}"
        return "S4"
    if "info" in has:
        assert "mess" in has, f"{number} is in info/ without a message: {has}"
        return "S5"
    if fresh is not None and fresh.body is not None:
        # What an interrupted step has left does not count, and says so.
        assert not has & {"local", "remote", "bounce"} or "pid" in has, (
            f"{number} is fresh, and in {has}")
        return "F"
    if fresh is not None and "mess" in has:
        return "F large"
    if fresh is not None:
        return "S1"  # it had ended, or was not acknowledged
    if has <= {"mess", "pid"}:
        return "S2"
    assert has <= {"mess", "pid", "intd"}, (
        f"no state of the table: {number} is in {has}")
    return "S3"


def states(queue):
    """Every message of a queue_peer.Queue, by number."""
    files = {folder: queue.files(folder) for folder in FOLDERS}
    fresh = journal.messages(queue.dir)
    found = {}
    for number in set(fresh).union(*files.values()):
        has = {folder for folder in FOLDERS if number in files[folder]}
        message = fresh.get(number)
        one = Found(number, has, _state(number, has, message))
        found[number] = one
        if one.state == "S4":
            one.pending = _recipients(files["todo"][number].read_bytes())
        elif one.state == "S5":
            for folder in has & {"local", "remote"}:
                record = files[folder][number].read_bytes()
                assert record.endswith(b"\0"), (
                    f"{folder}/{number} is cut short: {record!r}")
                one.pending |= _recipients(record)
        elif one.state in ("F", "F large"):
            one.pending = _recipients(message.envelope)
        if one.state == "F large":
            assert files["mess"][number].stat().st_size == message.size, (
                f"mess/{number} is cut short")
    return found
