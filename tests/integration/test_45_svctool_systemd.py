# SPDX-License-Identifier: ISC
"""svctool systemd: units that run a node's services."""
import subprocess


def test_units_of_a_node(make_node, tmp_path):
    node = make_node("--init-only")
    node.svctool("systemd", "--destdir", tmp_path)
    units = tmp_path / "etc/systemd/system"
    names = {path.name for path in units.iterdir()}
    assert names == {"mqmail.target"} | {
        f"mqmail-{path.name}.service"
        for path in (node.home / "service").iterdir()}
    text = (units / "mqmail-queue1.service").read_text()
    assert f'ExecStart="{node.home}/service/queue1/run"' in text
    assert f"WorkingDirectory={node.home}/service/queue1" in text
    before = {path: path.stat().st_mtime_ns for path in units.iterdir()}
    node.svctool("systemd", "--destdir", tmp_path)
    assert before == {path: path.stat().st_mtime_ns
                      for path in units.iterdir()}


def test_units_are_valid(make_node, tmp_path):
    """By systemd's own check."""
    node = make_node("--init-only")
    node.svctool("systemd", "--destdir", tmp_path)
    units = sorted((tmp_path / "etc/systemd/system").glob("mqmail*"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=60)
    assert [line for line in done.stdout.splitlines()
            if "mqmail" in line] == []


def test_the_target_brings_up_every_service(make_node, tmp_path):
    """Who enables the target alone, as svctool says, gets the services."""
    node = make_node("--init-only")
    (node.home / "service/queue2/down").write_text("")
    done = node.svctool("systemd", "--destdir", tmp_path)
    assert "enable --now mqmail.target" in done.stdout
    units = tmp_path / "etc/systemd/system"
    text = (units / "mqmail.target").read_text()
    wanted = {line.partition("=")[2] for line in text.splitlines()
              if line.startswith("Wants=")}
    assert wanted == {path.name for path in units.glob("*.service")}
    assert "mqmail-queue1.service" in wanted
    assert "mqmail-queue2.service" not in wanted  # down by wish


def test_the_destdir_is_made(make_node, tmp_path):
    node = make_node("--init-only")
    node.svctool("systemd", "--destdir", tmp_path / "a/b")
    assert (tmp_path / "a/b/etc/systemd/system/mqmail.target").exists()


def test_no_destdir_is_made_for_no_node(make_node, tmp_path):
    node = make_node("--init-only")
    done = node.run("svctool", "systemd", "--home", tmp_path / "none",
                    "--destdir", tmp_path / "d", code=1)
    assert "no node at" in done.stderr
    assert not (tmp_path / "d").exists()
