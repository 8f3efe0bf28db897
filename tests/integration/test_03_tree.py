# SPDX-License-Identifier: ISC
"""What docs/architecture.md and the build promise of the source tree."""
import re
import subprocess

import pytest

from node import ROOT

# From the top; each may include from itself and from what stands below.
ORDER = re.findall(
    r"^\| `(\w+)/` \|",
    (ROOT / "docs/architecture.md").read_text().split("\n## ")[0],
    re.MULTILINE)
ORDER.remove("tests")  # which may include all of them
SOURCES = [path for folder in ORDER
           for path in sorted((ROOT / folder).rglob("*.[ch]"))]
# The same inside svctool; its own files stand below all of them.
ROOMS = re.findall(r"^\| `(\w+)/` \|", (ROOT / "svctool/README.md").read_text(),
                   re.MULTILINE)


def test_the_document_names_each_folder_of_source():
    assert {path.parent.name for path in ROOT.glob("*/module.mk")} == set(ORDER)
    assert len(SOURCES) > 200


@pytest.mark.parametrize("folder", ORDER)
def test_includes_point_downwards(folder):
    allowed = set(ORDER[ORDER.index(folder):])
    upward = {(path.name, target) for path in SOURCES
              if path.is_relative_to(ROOT / folder)
              for target in re.findall(r'^#include "(\w+)/', path.read_text(),
                                       re.MULTILINE)
              if target not in allowed}
    assert upward == set()


def test_the_document_of_svctool_names_each_folder():
    assert {path.parent.name
            for path in ROOT.glob("svctool/*/*.c")} == set(ROOMS)


@pytest.mark.parametrize("room", [*ROOMS, ""])
def test_includes_in_svctool_point_downwards(room):
    allowed = set(ROOMS[ROOMS.index(room):]) if room else set()
    upward = {(path.name, target)
              for path in (ROOT / "svctool" / room).glob("*.[ch]")
              for target in re.findall(r'^#include "svctool/(\w+)/',
                                       path.read_text(), re.MULTILINE)
              if target not in allowed}
    assert upward == set()


def test_each_source_says_its_licence_first():
    assert [str(path) for path in SOURCES if not path.read_text().startswith(
        "/* SPDX-License-Identifier: ISC */\n")] == []


def test_each_fuzzer_compiles():
    """make fuzz needs another compiler, so that few runs would show it."""
    done = subprocess.run(
        "for file in tests/fuzz/fuzz_*.c; do "
        "cc -std=gnu17 -fsyntax-only -D_GNU_SOURCE -I. "
        "-include base/banned.h -Wall -Wextra -Werror $file; done",
        cwd=ROOT, shell=True, check=True, text=True, stderr=subprocess.PIPE)
    assert done.stderr == ""


def test_each_parser_of_the_fuzzers_has_a_corpus():
    """An empty one would begin with nothing that the parser takes."""
    targets = {path.stem[len("fuzz_"):]
               for path in (ROOT / "tests/fuzz").glob("fuzz_*.c")}
    corpora = {path.name for path in (ROOT / "tests/fuzz/corpus").iterdir()
               if any(path.iterdir())}
    assert targets == corpora


def test_documents_name_files_that_are_there():
    """Code and tests that the documents point to."""
    missing = set()
    for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md",
                 *ROOT.glob("*/README.md")]:
        for name in re.findall(r"`((?:base|control|lookupd|mailbox|queue|smtp|"
                               r"delivery|adminsrv|svctool|tests|docs)/"
                               r"[\w./-]+\.(?:c|h|py|md|mk|tbl))`",
                               path.read_text()):
            if not (ROOT / name).exists():
                missing.add((path.name, name))
    assert missing == set()
