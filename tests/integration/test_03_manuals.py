# SPDX-License-Identifier: ISC
"""The manual pages, as make install puts them into place."""
import re
import shutil
import subprocess

import pytest

from installed import install
from node import ROOT

# Pages of others that ours may name.
FOREIGN = {
    "crypt(3)", "envdir(8)", "flock(1)", "fnmatch(3)", "groupadd(8)", "hosts(5)",
    "journalctl(1)",
    "multilog(8)", "openssl-ciphers(1)", "supervise(8)", "svscan(8)",
    "systemd(1)", "tcpclient(1)", "tcprules(1)", "tcpserver(1)", "touch(1)",
    "useradd(8)",
}
REFERENCE = re.compile(r"(?<![\w.-])([a-z][\w.-]*\([1-9]\))")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def pages(installed):
    """Text by name: {"svctool(8)": ...}."""
    man = installed.parent / "share/man"
    return {f"{path.stem}({path.suffix[1:]})": path.read_text()
            for path in man.glob("man[58]/*")}


def references(text):
    """What a page names, by macro and in its text."""
    found = {f"{name}({section})" for name, section in re.findall(
        r"^(?:\..*)?\bXr ([\w.-]+) (\d)\b", text, re.MULTILINE)}
    return found | set(REFERENCE.findall(text.replace("\\-", "-")))


def test_each_program_has_a_page(installed, pages):
    programs = {f"{path.name}(8)" for path in installed.iterdir()}
    assert len(programs) > 20
    assert programs - pages.keys() == set()
    assert {page for page in pages if page.endswith("(8)")} == programs


def test_each_page_in_the_tree_is_installed(pages):
    in_tree = {f"{path.stem}({path.suffix[1:]})"
               for path in ROOT.glob("*/*.[1-9]")}
    assert in_tree - pages.keys() == set()


def test_each_reference_has_a_page(pages):
    assert sum(len(references(text)) for text in pages.values()) > 50
    missing = {(page, name) for page, text in pages.items()
               for name in references(text)
               if name not in pages and name not in FOREIGN}
    assert missing == set()


def test_each_reference_of_the_documents_has_a_page(pages):
    documents = [*ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"),
                 ROOT / "README.md", ROOT / "NEWS"]
    system_calls = re.compile(r"\([23]\)$")
    missing = {(path.name, name) for path in documents
               for name in REFERENCE.findall(path.read_text())
               if name not in pages and name not in FOREIGN and
               not system_calls.search(name)}
    assert missing == set()


def test_each_page_has_what_a_reader_looks_for(pages):
    for name, text in pages.items():
        sections = re.findall(r"^\.Sh (.*)$", text, re.MULTILINE)
        wanted = {"NAME", "DESCRIPTION", "SEE ALSO", "STANDARDS"}
        if name.endswith("(8)"):
            wanted |= {"SYNOPSIS", "EXIT STATUS", "SECURITY", "BUGS"}
        assert wanted - set(sections) == set(), name


def test_lint_is_clean(installed, pages):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    paths = sorted((installed.parent / "share/man").glob("man[58]/*"))
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *paths],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("", 0)
    assert len(paths) == len(pages)


def test_each_setting_is_in_its_page(pages):
    """With its variable, from the table that the programs use."""
    table = (ROOT / "control/settings.tbl").read_text()
    rows = re.findall(r'^SETTING\((\w+), [A-Z]+, "[^"]*", "[^"]*",'
                      r'[^,]+,[^,]+,\s*"([^"]*)"', table, re.MULTILINE)
    assert len(rows) == len(re.findall("^SETTING", table, re.MULTILINE))
    assert len(rows) > 30
    page = pages["mqmail-control(5)"]
    items = set(re.findall(r"^\.It Ic (.*)$", page, re.MULTILINE))
    assert {name for name, _ in rows} == items
    text = page.replace("\\&", "")
    assert [name for name, variable in rows
            if variable and f"Ev {variable}" not in text] == []
