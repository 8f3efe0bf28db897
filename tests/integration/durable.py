# SPDX-License-Identifier: ISC
"""What a power cut could take, at each moment of a program that strace watched.

The calls of the trace are replayed on a disk that keeps nothing without a sync:
what was written, made, renamed or removed is *loose* until the file, its folder
or the whole filesystem is synced.  Loose things below the root are named

    domains/d/vpasswd       the file has that name (or is a new folder)
    domains/d/vpasswd=      its content, or a new folder itself
    -domains/d/old          it has that name no more
"""
import collections
import os
import re
import subprocess

from node import NO_LEAKS, SLOW

WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate",
          "copy_file_range", "sendfile", "fallocate")
NAMES = ("openat", "open", "creat", "mkdir", "mkdirat", "mknodat", "mknod",
         "rename", "renameat", "renameat2", "link", "linkat", "symlink",
         "symlinkat", "unlink", "unlinkat", "rmdir")
SYNCS = ("fsync", "fdatasync", "syncfs", "sync")
SAYS = ("sendmsg", "sendto", "exit_group")
TRACED = WRITES + NAMES + SYNCS + SAYS

TOKEN = re.compile(r'\s*((?:"(?:[^"\\]|\\.)*"\.*|\{.*?\}|\[.*?\]|<[^>]*>|'
                   r'[^,"<{\[])*),?')


def strace(trace, *more):
    """The words in front of a program's, to watch it."""
    return ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(trace),
            "-e", "trace=" + ",".join(TRACED), "-e", "signal=none", *more]


def run(trace, command, *more, env=None, **options):
    """Runs a program under strace; the CompletedProcess."""
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [*strace(trace, *more), *map(str, command)],
        env={**(env or os.environ), **NO_LEAKS}, timeout=60 * SLOW,
        stderr=subprocess.STDOUT, text=True, check=False, **options)


def snapshot(root):
    """The names that are there before: those are durable."""
    return {os.path.join(folder, name) for folder, folders, files in
            os.walk(root) for name in folders + files}


class Disk:
    """Replays a trace.  Each event, a call that begins, is given to look."""

    def __init__(self, root, before, look):
        self.root = os.path.realpath(root)
        self.known = {os.path.realpath(self.root) + path[len(str(root)):]
                      for path in before}
        self.look = look
        self.loose = {}  # what: the call that loosened it
        self.ever = set()
        self.seq = 0
        # The syncs: call, path, and its number among those of that call and
        # path, and among those of that call; 0 when several threads sync.
        self.syncs = []
        self.counts = collections.Counter()

    def replay(self, trace, loose=()):
        """loose: what another process may have left so."""
        self.loose = dict.fromkeys(loose, 0)
        begun = {}
        for line in open(trace, errors="replace"):
            match = re.match(r"(\d+) +(.*)", line.rstrip("\n"))
            task, text = match.groups()
            self.seq += 1
            if text.endswith("<unfinished ...>"):
                text = text[:-len("<unfinished ...>")].rstrip()
                begun[task] = (text, self.seq)
                self._begin(text)
                continue
            start = self.seq
            if text.startswith("<... "):
                first, start = begun.pop(task)
                text = first + text.split("resumed>", 1)[1]
            else:
                self._begin(text)
            self._end(text, start, task)
        if len({key[0] for key in self.counts}) > 1:
            self.syncs = [(*sync[:2], 0, 0) for sync in self.syncs]
        self.look("exit", self.loose)

    # -- one call

    def _take_apart(self, text):
        """Its name, its arguments, what it gave."""
        match = re.match(r"(\w+)\((.*)", text)
        if match is None:
            return None, [], ""
        name, rest = match.groups()
        found = re.match(r"(.*)\)\s+= (.*)$", rest)
        args, result = found.groups() if found else (rest, "")
        return name, [one for one in TOKEN.findall(args) if one], result

    @staticmethod
    def _of_fd(arg):
        found = re.match(r"(?:-?\d+|AT_FDCWD)<(.*)>$", arg)
        return found.group(1) if found else None

    def _path(self, args, index):
        """The path at index, which may have its folder in front."""
        text = args[index].strip('"')
        folder = self._of_fd(args[index - 1]) if index > 0 else None
        return os.path.normpath(os.path.join(folder or os.getcwd(), text))

    def _is_ours(self, path):
        return path is not None and path.startswith(self.root + "/")

    def _rel(self, path):
        return path[len(self.root) + 1:] if self._is_ours(path) else path

    def _pair(self, name, args):
        if name in ("rename", "link"):
            return self._path(args, 0), self._path(args, 1)
        return self._path(args, 1), self._path(args, 3)

    def _single(self, name, args):
        at = 1 if name in ("openat", "mkdirat", "mknodat", "unlinkat") else 0
        return self._path(args, at)

    def _begin(self, text):
        name, args, _ = self._take_apart(text)
        if name is None:
            return
        if name in ("rename", "renameat", "renameat2", "link", "linkat"):
            old, new = self._pair(name, args)
            self.look(f"name {self._rel(old)} {self._rel(new)}", self.loose)
            content = self._rel(old) + "="
            assert content not in self.loose or not self._is_ours(new), (
                f"{content} is not synced, but gets its name: {text}")
        elif name in ("unlink", "unlinkat", "rmdir"):
            self.look(f"remove {self._rel(self._single(name, args))}",
                      self.loose)
        elif name in WRITES:
            path = self._of_fd(args[2 if name == "copy_file_range" else 0])
            if self._is_ours(path):
                self.look(f"write {self._rel(path)}", self.loose)
        elif name in SAYS:
            self.look(name, self.loose)

    def _loosen(self, what):
        self.loose[what] = self.seq
        self.ever.add(what)

    def _gone(self, path):
        """Whatever was loose of it, or below it, does not matter any more."""
        rel = self._rel(path)
        for what in list(self.loose):
            bare = what.rstrip("=")
            if bare == rel or bare.startswith(rel + "/"):
                del self.loose[what]
        if path in self.known:
            self._loosen("-" + rel)
        self.known = {one for one in self.known
                      if one != path and not one.startswith(path + "/")}

    def _made(self, path, has_content):
        rel = self._rel(path)
        self.loose.pop("-" + rel, None)
        self._loosen(rel)
        if has_content:
            self._loosen(rel + "=")

    def _moved(self, old, new):
        """Loose contents go with it."""
        rel_old, rel_new = self._rel(old), self._rel(new)
        for what in list(self.loose):
            if what == rel_old + "=" or what.startswith(rel_old + "/"):
                self.loose[rel_new + what[len(rel_old):]] = \
                    self.loose.pop(what)
        below = {new + one[len(old):] for one in self.known
                 if one.startswith(old + "/")}
        self._gone(old)
        if self._is_ours(new):
            self.known |= below
            self._made(new, False)

    def _end(self, text, start, task):
        name, args, result = self._take_apart(text)
        if name is None or result == "" or result[0] in "-?":
            return
        if name in WRITES:
            fd = args[2] if name == "copy_file_range" else args[0]
            path = self._of_fd(fd)
            if self._is_ours(path) and "SYNC" not in text.split(">", 1)[1]:
                self._loosen(self._rel(path) + "=")
        elif name in ("openat", "open", "creat", "mkdir", "mkdirat",
                      "mknod", "mknodat"):
            if name in ("openat", "open") and "O_CREAT" not in text and \
                    "O_TRUNC" not in text:
                return
            path = self._single(name, args)
            if not self._is_ours(path):
                return
            is_new = self._rel(path) not in self.loose and \
                path not in self.known
            if is_new:
                self._made(path, "mkdir" in name)
            elif "O_TRUNC" in text:
                self._loosen(self._rel(path) + "=")
        elif name in ("symlink", "symlinkat"):
            path = self._path(args, len(args) - 1)
            if self._is_ours(path):
                self._made(path, False)
        elif name in ("link", "linkat", "rename", "renameat", "renameat2"):
            old, new = self._pair(name, args)
            if name in ("link", "linkat"):
                if self._is_ours(new):
                    self._made(new, False)
            elif self._is_ours(old):
                self._moved(old, new)
        elif name in ("unlink", "unlinkat", "rmdir"):
            path = self._single(name, args)
            if self._is_ours(path):
                self._gone(path)
        elif name in SYNCS:
            path = self._of_fd(args[0]) if args else ""
            path = re.sub(r" \(deleted\)$", "", path)
            self.counts.update([(task, name, path), (task, name)])
            self.syncs.append((name, path, self.counts[task, name, path],
                               self.counts[task, name]))
            self._sync(name, path, start)

    def _sync(self, name, path, start):
        for what, seq in list(self.loose.items()):
            if seq > start:
                continue  # loosened while it ran
            bare = os.path.join(self.root, what.strip("-").rstrip("="))
            if name in ("syncfs", "sync") or \
                    (what.endswith("=") and bare == path) or \
                    (not what.endswith("=") and
                     os.path.dirname(bare) == path):
                del self.loose[what]
