# SPDX-License-Identifier: ISC
"""What is measured of nodes alone: idle connections, a full queue, syncs.

Each function gives lines for people and a dictionary for programs.
"""

import contextlib
import glob
import json
import os
import resource
import shutil
import smtplib
import socket
import statistics
import subprocess
import threading
import time

from . import load
from .servers import ServerError

IDLE = 5000
HELD = {"held-0": 0, "held-100k": 100_000, "held-1m": 1_000_000}
HELD_FILES, HELD_BYTES = 3, 3 * 4096 + 3 * 256
HELD_ROUNDS = 3
SCAN_TIMEOUT_S = 300
MESSAGES = 12000
SYNCS = "fsync,fdatasync,sync_file_range,syncfs,sync,msync"


def _kernel_kb():
    """Kernel memory that connections and their threads take, system-wide."""
    with open("/proc/meminfo", encoding="ascii") as file:
        values = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return sum(values[name] for name in
               ("SUnreclaim", "KernelStack", "PageTables"))


def _connect(port, count):
    connections = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), 30)
        connections.append(sock)
        if sock.recv(512)[:3] != b"220":
            raise ServerError(f"connection {len(connections)} was refused")
        sock.sendall(b"EHLO bench.example.org\r\n")
    for number, sock in enumerate(connections, 1):
        if sock.recv(4096)[:3] != b"250":
            raise ServerError(f"connection {number} got no answer to EHLO")
    return connections


def idle(server):
    """Memory of IDLE connections that have said EHLO and wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 200:
        raise ServerError(f"only {hard} open files are allowed, "
                          f"{IDLE + 200} needed: raise ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        for sock in _connect(server.port, 50):
            sock.close()
        time.sleep(1)
        pss, kernel = server.processes.memory_kb(), _kernel_kb()
        connections = _connect(server.port, IDLE)
        time.sleep(1)
        pss = (server.processes.memory_kb() - pss) / IDLE
        kernel = (_kernel_kb() - kernel) / IDLE
        began = time.monotonic()
        load.send(server.port, 500, 20, 4096, True)
        took = time.monotonic() - began
        for sock in connections:
            sock.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return ([f"idle {server.name}: {IDLE} connections, each {pss:.1f} KiB of the processes' "
             f"memory (Pss) and {kernel:.1f} KiB of the kernel's (both ends); "
             f"500 messages beside them took {took:.1f} s"],
            {"connections": IDLE, "process_kib": pss, "kernel_kib": kernel,
             "beside_s": took})


def _status(server):
    done = subprocess.run(
        [f"{server.build}/bin/svctool", "status", "--home", server.folder,
         "--json"], stdout=subprocess.PIPE, text=True, check=False,
        env=server.environment, timeout=60)
    return json.loads(done.stdout)["queues"]


def _send_first(port, began):
    """Seconds from began until a message is accepted."""
    while time.monotonic() - began < SCAN_TIMEOUT_S:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
                client.sendmail("bench@example.org", f"1@{load.DOMAIN}",
                                "Subject: first\n\n")
            return time.monotonic() - began
        except (OSError, smtplib.SMTPException):
            time.sleep(0.01)
    raise ServerError(f"no mail is taken after {SCAN_TIMEOUT_S} s")


def _forget_files():
    """Has the kernel know no file, as after a boot.

    Else whoever was filled last would find all of its files in memory.
    """
    os.sync()
    with contextlib.suppress(OSError):
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")


def _start(server, held):
    """Starts a stopped node; (until it takes mail, until all is known)."""
    _forget_files()
    began = time.monotonic()
    starter = threading.Thread(target=server.up)
    starter.start()
    try:
        answers = _send_first(server.port, began)
    finally:
        starter.join()
    while True:
        queues = _status(server)
        known = sum(queue["backlog"] for queue in queues)
        if known == held and all(queue["state"] == "up" for queue in queues):
            return answers, time.monotonic() - began
        if time.monotonic() - began > SCAN_TIMEOUT_S:
            raise ServerError(
                f"after {SCAN_TIMEOUT_S} s the queues know {known} messages "
                f"of {held}: {queues}")
        time.sleep(0.05)


def _send_memory_kb():
    """Rss of every qmail-send, by pid."""
    sizes = {}
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, encoding="ascii") as file:
                if file.read() != "qmail-send\n":
                    continue
            with open(os.path.dirname(path) + "/statm",
                      encoding="ascii") as file:
                pages = int(file.read().split()[1])
        except OSError:
            continue
        sizes[int(path.split("/")[2])] = pages * resource.getpagesize() // 1024
    return sizes


def fill(server, program, count, *more):
    """Messages for its stopped queues; more: what else hold is told."""
    queues = sorted(glob.glob(f"{server.folder}/queue/queue[0-9]*"))
    fillers = [subprocess.Popen([program, queue, str(count // len(queues)),
                                 *more]) for queue in queues]
    for filler in fillers:
        if filler.wait() != 0:
            raise ServerError("hold could not fill the queues")


def _room(folder, count):
    """Why there is no room for count held messages; None if there is."""
    free = shutil.disk_usage(folder).free
    inodes = os.statvfs(folder).f_favail
    if free < count * HELD_BYTES + (4 << 30):
        return (f"{free >> 30} GB free, "
                f"{(count * HELD_BYTES + (4 << 30)) >> 30} GB needed")
    if inodes and inodes < count * HELD_FILES + 100_000:
        return f"{inodes} inodes free, {count * HELD_FILES + 100_000} needed"
    return None


def _start_held(servers, count):
    """Starts stopped nodes in turns, several times; rows without rates."""
    starts = {server.name: [] for server in servers}
    for turn in range(HELD_ROUNDS):
        for server in servers:
            if turn > 0:
                server.halt()
            starts[server.name].append(_start(server, count))
    sizes = _send_memory_kb()
    rows = {}
    for server in servers:
        takes, knows = map(statistics.median, zip(*starts[server.name]))
        rows[server.name] = {
            "held": count, "takes": takes, "knows": knows,
            "qmail_send_kib": sum(sizes.get(pid, 0)
                                  for pid in server.processes.pids())}
    return rows


def _held_line(name, row, before):
    """Of one node; before is its row of fewer messages, or None."""
    growth = ""
    if before is not None:
        row["bytes_per_message"] = (
            (row["qmail_send_kib"] - before["qmail_send_kib"]) * 1024 /
            (row["held"] - before["held"]))
        growth = f", {row['bytes_per_message']:.0f} bytes a message"
    return (f"{name}: mail taken after {row['takes']:.2f} s, all known after "
            f"{row['knows']:.2f} s; qmail-send together "
            f"{row['qmail_send_kib']} KiB{growth}; " + ", ".join(
                f"{mode} {row[mode]:.0f} msg/s {row[mode + '_cpu']:.3f} ms"
                for mode in ("kept", "new")))


def held(servers, names, watch, program, say, fail):
    """Throughput and start time with messages held in the queues.

    The servers take turns.  fail is called with the reason for each name that
    is left out.  The rows are by server and case.
    """
    lines, rows, now = [], {server.name: {} for server in servers}, 0
    for name in sorted(names, key=HELD.get):
        count = HELD[name]
        reason = _room(servers[0].folder, (count - now) * len(servers))
        if reason:
            fail(f"{name}: left out: {reason}")
            continue
        for server in servers:
            say(f"{name}: filling {server.name}")
            server.halt()
            fill(server, program, count - now, "86400")
        now = count
        for server, row in _start_held(servers, count).items():
            rows[server][name] = row
        for mode, kept in (("kept", True), ("new", False)):
            rates = {server.name: [] for server in servers}
            for _ in range(HELD_ROUNDS):
                for server in servers:
                    rates[server.name].append(load.measure(
                        server, watch, MESSAGES, 20, 4096, kept))
            for server in servers:
                row = rows[server.name][name]
                row[mode], row[f"{mode}_cpu"] = map(
                    statistics.median, zip(*rates[server.name]))
        for server in servers:
            own = rows[server.name]
            first = next(iter(own.values()))
            lines.append(_held_line(
                f"{name} {server.name}", own[name],
                first if first is not own[name] else None))
            say(lines[-1])
    return lines, rows


def wait_until_traced(pids, timeout_s=60):
    """Until strace holds every thread."""
    deadline = time.monotonic() + timeout_s
    waiting = set(pids)
    while waiting:
        for pid in list(waiting):
            try:
                traced = [_tracer(path) for path in
                          glob.glob(f"/proc/{pid}/task/[0-9]*/status")]
            except OSError:
                continue  # a thread has just ended: look again
            if all(traced):
                waiting.remove(pid)
        if time.monotonic() > deadline:
            raise ServerError(f"strace does not hold {sorted(waiting)}")
        time.sleep(0.1)


def _tracer(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("TracerPid:"))


def _sync_counts(server, messages, sessions, report):
    """Calls per message, by name, as strace counts them."""
    # Every thread of a process is found by -f.
    command = ["strace", "-f", "-c", "-o", report, "-e", f"trace={SYNCS}"]
    pids = server.processes.pids()
    for pid in pids:
        command += ["-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until_traced(pids)
        load.send(server.port, messages, sessions, 4096, True)
        time.sleep(1)
    finally:
        tracer.send_signal(2)
        tracer.wait(timeout=60)
    counts = {}
    with open(report, encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if len(fields) >= 5 and fields[-1] in SYNCS.split(","):
                counts[fields[-1]] = int(fields[3]) / messages
    if not counts:
        raise ServerError("strace saw no sync at all")
    return counts


def syncs(server):
    """Counts the calls that make messages durable."""
    lines, rows = [], []
    for messages, sessions in ((100, 1), (2000, 20)):
        counts = _sync_counts(server, messages, sessions,
                              f"{server.folder}.strace")
        text = ", ".join(f"{value:.2f} {name}"
                         for name, value in sorted(counts.items()))
        lines.append(f"syncs {server.name}: {sessions} sessions, a message: "
                     f"{text}")
        rows.append({"sessions": sessions, "per_message": counts})
    return lines, rows
