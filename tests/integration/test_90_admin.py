# SPDX-License-Identifier: ISC
"""adminsrv's line protocol, its clients, rights, lock-outs and audit."""
import json
import os
import re
import socket
import subprocess

import pytest

from admin_peer import PASSWORD, AdminServer, RawClient
from node import BIN, DEADLINE_S, ROOT, make_folder, wait_until

PROGRAMS = ("vadduser", "vpasswd", "vdeluser", "vsetuserquota", "valias",
            "vuserinfo", "vdominfo", "vlimit", "vrenameuser", "vmoduser",
            "svctool", "vadddomain", "vdeldomain", "vpriv", "mgmtpass")


@pytest.fixture(scope="module")
def world(postgres):
    server = AdminServer(make_folder(in_memory=True) / "h", postgres)
    for domain in ("a.test", "b.test"):
        server.run("vadddomain", "-n", domain)
    server.add_admin("root", *PROGRAMS)
    server.add_admin("boss", *PROGRAMS, domains="a.test")
    server.start()
    yield server
    server.stop()
    subprocess.run(["rm", "-r", server.path.parent], check=True)


def users(server, domain):
    return {user["name"] for user in json.loads(
        server.run("vuserinfo", "--json", "-D", domain))}


# -- the dialogue

def test_the_dialogue_byte_for_byte(world):
    with RawClient(world) as client:
        client.expect(b"Login: ")
        client.send(b"root\n")
        client.expect(b"Password: ")
        client.send(PASSWORD.encode() + b"\n")
        client.expect(b"OK\n")
        client.send(b"25 vdominfo -n a.test\n\n")
        records = client.records()
    assert records[-1] == b"RETURNSTATUS0"
    wanted = world.run("vdominfo", "-n", "a.test")
    assert b"".join(records[:-1]).decode() == wanted


def test_in_one_write_and_without_the_second_line(world):
    with RawClient(world) as client:
        client.send(b"root\n" + PASSWORD.encode() +
                    b"\n25 /usr/bin/vdominfo -n a.test\n")
        data = b"".join(client.records())
    assert data.startswith(b"Login: Password: OK\n")
    assert data.endswith(b"RETURNSTATUS0")


def test_a_byte_at_a_time(world):
    with RawClient(world) as client:
        for byte in b"root\n" + PASSWORD.encode() + b"\n25 vdominfo a.test\n\n":
            client.send(bytes([byte]))
        assert client.records()[-1] == b"RETURNSTATUS0"


@pytest.mark.parametrize("line, said", [
    (b"x vdominfo\n", "indisrvr: incorrect syntax [x vdominfo]10\n"),
    (b"-1 vdominfo\n", "indisrvr: incorrect syntax [-1 vdominfo]11\n"),
    (b"44 vdominfo\n", "indisrvr: incorrect syntax [44 vdominfo]11\n"),
    (b"4294967321 vdominfo\n", "incorrect syntax"),
    (b"25\n", "indisrvr: incorrect syntax [25]2\n"),
    (b"\n", "indisrvr: incorrect syntax []0\n"),
    (b"25 vdominfo 'a\n", "incorrect syntax"),
    (b"25 vdominfo a\\\n", "incorrect syntax"),
    (b"25 vdominfo a.test\0b.test\n", "incorrect syntax"),
    (b"25 " + b"x " * 70 + b"\n", "incorrect syntax"),
    (b"0 vdominfo a.test\n", "indisrvr: command mismatch [vdominfo]8 "
                             "[vadduser]8\n"),
    (b"25 " + b"x" * 20000 + b"\n", "indisrvr: incomplete line\n"),
], ids=range(12))
def test_what_is_no_command(world, line, said):
    with RawClient(world) as client:
        client.log_in()
        client.send(line)
        assert said in b"".join(client.records()).decode()


@pytest.mark.parametrize("line", [
    b"20 vadddomain x.test; vdeldomain a.test\n",
    b"20 vadddomain $(id)\n",
    b"20 vadddomain -n \"a b\"\n",
    b"20 vadddomain -n `id`\n",
    b"20 vadddomain -n 'x.test\\n' | id\n",
    b"20 vadddomain -n ../../etc\n",
    b"20 vadddomain --home /tmp x.test\n",
])
def test_no_shell_sees_a_line(world, line):
    before = world.run("vdominfo", "-n")
    with RawClient(world) as client:
        client.log_in()
        client.send(line + b"\n")
        said, status = client.status()
    assert status == 100 and "uid=" not in said
    assert world.run("vdominfo", "-n") == before


def test_words_are_taken_as_a_shell_would(world):
    done = world.client(command="vadduser -n -c 'It\\'\"'\"s a \\\"name\\\"' "
                                "quoted@a.test")
    assert done.returncode != 0  # a quote stays open
    done = world.client(command="vadduser -n -c \"A 'b' \\\"c\\\"\" q\\uote@a.test")
    assert done.returncode == 0, done
    assert "A 'b' \"c\"" in world.run("vuserinfo", "quote@a.test")


# -- logins

@pytest.mark.parametrize("user, password", [
    ("nobody", "x"), ("root", "wrong"), ("root", ""), ("", ""),
    ("' OR 1=1 --", "x"), ("root\t", PASSWORD), ("x" * 250, "y" * 500),
], ids=range(7))
def test_one_answer_to_each_failure(world, user, password):
    with RawClient(world) as client:
        client.send(f"{user}\n{password}\n25 vdominfo\n\n".encode())
        assert b"".join(client.records()) == (
            b"Login: Password: indisrvr: Password incorrect\n")


def test_a_disabled_administrator_gets_the_same(world):
    world.add_admin("gone", "vdominfo")
    world.run("mgmtpass", "-u", "gone", "-d")
    done = world.client(user="gone", command="vdominfo")
    assert done.returncode == 111
    assert "indisrvr: Password incorrect" in done.stderr
    assert "disabled" in world.run("mgmtpass", "-u", "gone", "-i")
    world.run("mgmtpass", "-u", "gone", "-e")
    assert world.client(user="gone", command="vdominfo -n").returncode == 0


def test_a_name_is_locked_out_on_all_nodes(world):
    world.add_admin("lock", "vdominfo")
    (world.control / "loginfailures").write_text("3\n")
    world.process.send_signal(1)
    try:
        def is_locked():
            world.client(user="lock", password="wrong", command="vdominfo")
            return "locked out" in world.run("mgmtpass", "-u", "lock", "-i")

        wait_until(is_locked, world.log)
        done = world.client(user="lock", command="vdominfo")
        assert "indisrvr: Password incorrect" in done.stderr
    finally:
        (world.control / "loginfailures").unlink()
        world.process.send_signal(1)
    world.run("mgmtpass", "-u", "lock", "-p", "-", stdin=PASSWORD + "\n")
    assert "active" in world.run("mgmtpass", "-u", "lock", "-i")


def test_passwords_are_nowhere(world):
    done = world.client(
        command="vadduser hidden@a.test Very-Secret-1")
    assert done.returncode == 0, done
    done = world.client(
        command="vmoduser -PVery-Secret-2 hidden@a.test")
    assert done.returncode == 0, done
    for row in world.audit():
        assert "Very-Secret" not in str(row)
    assert "Very-Secret" not in world.log()
    assert PASSWORD not in world.log()
    assert ["root", "127.0.0.1", "vadduser", "hidden@a.test ***",
            "exit 0"] in [list(row) for row in world.audit()]
    assert "vmoduser [-P*** hidden@a.test]" in world.log()


# -- rights

def test_what_no_right_names_is_forbidden(world):
    world.add_admin("few", ("vuserinfo", "-n *@a.test"), "vdominfo")
    done = world.client(user="few", command="vuserinfo -n postmaster@a.test")
    assert (done.returncode, done.stdout.strip()) == (
        0, "name          : postmaster@a.test")
    for command in ("vuserinfo -n postmaster@b.test", "vuserinfo a@a.test",
                    "vadduser -n x@a.test", "vpriv -s", "crc"):
        done = world.client(user="few", command=command)
        assert done.returncode == 1
        words = command.split(" ", 1)
        assert done.stdout == (
            f"few: {BIN.resolve()}/{words[0]} args "
            f"[{words[1] if len(words) > 1 else ''}]: permission denied\n")
    world.run("vpriv", "-u", "few", "vuserinfo", "-n*")
    assert world.client(
        user="few", command="vuserinfo -n postmaster@b.test").returncode == 0
    assert "vuserinfo            -n*" in world.run("vpriv", "-s", "few")
    world.run("vpriv", "-d", "few", "vuserinfo")
    assert world.client(
        user="few", command="vuserinfo -n postmaster@b.test").returncode == 1


def test_what_the_node_has_not_is_unauthorized(world):
    with RawClient(world) as client:
        client.log_in()
        client.send(b"12 crc /\n\n")
        said, status = client.status()
    assert status == 1 and said.endswith("permission denied\n")


@pytest.mark.parametrize("command", [
    "vadduser -n new@b.test", "vadduser -n new@A.test@b.test",
    "vadduser -n -B /etc new@a.test", "vadduser --file /etc/passwd",
    "vadduser -n -- new@a.test", "vadduser", "vuserinfo -D b.test",
    "vuserinfo -n postmaster@a.test -D b.test", "vdominfo", "vdominfo b.test",
    "vmoduser -l /etc/passwd postmaster@a.test", "vadddomain -n c.test",
    "vdeldomain -f a.test", "vlimit -Q 1 a.test", "vpriv -i boss vpriv *",
    "mgmtpass -u boss -D all", "svctool status", "svctool log",
    "svctool log --address x@b.test", "svctool log --id 1 --address x@a.test",
    "valias -i '|/bin/id' x@a.test", "valias -i /etc/passwd x@a.test",
    "valias -i ./Maildir/ x@a.test", "valias -i '&a@c.test\n|id' x@a.test",
    "vrenameuser postmaster@a.test x@b.test",
])
def test_an_administrator_of_a_domain_stays_in_it(world, command):
    before = world.sql("SELECT * FROM mq.users ORDER BY id")
    if "\n" in command:
        with RawClient(world) as client:
            client.log_in("boss")
            client.send(b"6 " + command.encode() + b"\n\n")
            assert "incorrect syntax" in b"".join(client.records()).decode()
        return
    done = world.client(user="boss", command=command)
    assert done.returncode == 1, done
    assert "permission denied" in done.stdout
    assert world.sql("SELECT * FROM mq.users ORDER BY id") == before


def test_an_administrator_of_a_domain_has_it(world):
    for command in ("vadduser -n -c 'A B' new@a.test", "vpasswd new@A.TEST pw",
                    "valias -i '&new@c.test' x@a.test", "vuserinfo --json -D a.test",
                    "vdominfo a.test", "vlimit -s a.test",
                    "vrenameuser new@a.test newer@a.test",
                    "vdeluser -f newer@a.test"):
        done = world.client(user="boss", command=command)
        assert done.returncode == 0, (command, done)


@pytest.mark.parametrize("command", [
    "svctool stop", "svctool restart", "svctool init --user root",
    "svctool db init", "svctool cluster leave", "svctool status --home /tmp/x",
    "svctool --home=/tmp/x status", "svctool systemd", "svctool"])
def test_svctool_does_not_leave_the_node(world, command):
    done = world.client(command=command)
    assert done.returncode == 1
    assert "permission denied" in done.stdout


# -- audit

def test_each_change_is_a_row(world):
    count = len(world.audit())
    assert world.client(command="vdominfo -n").returncode == 0
    assert world.client(command="valias -s a.test").returncode == 0
    assert len(world.audit()) == count
    assert world.client(command="vadduser -n rows@a.test").returncode == 0
    assert world.client(command="vadduser -n rows@a.test").returncode == 100
    assert world.client(user="boss",
                        command="vadduser -n x@b.test").returncode == 1
    assert [list(row) for row in world.audit()[count:]] == [
        ["root", "127.0.0.1", "vadduser", "-n rows@a.test", "exit 0"],
        ["root", "127.0.0.1", "vadduser", "-n rows@a.test", "exit 100"],
        ["boss", "127.0.0.1", "vadduser", "-n x@b.test", "denied"]]
    node, milliseconds = world.sql(
        "SELECT node, ms FROM mq.audit WHERE who = 'boss' ORDER BY id DESC "
        "LIMIT 1")[0]
    assert node == "mail.example.test" and int(milliseconds) >= 0


# -- the client

def test_the_client_gives_the_status_and_the_output(world):
    done = world.client(command="vuserinfo -n nobody@a.test")
    here = subprocess.run([BIN / "vuserinfo", "-n", "nobody@a.test"],
                          env=world.env, capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout) == (here.returncode,
                                              here.stdout + here.stderr)


def test_the_client_copies_its_input(world):
    done = world.client("-i", command="vadduser in@a.test", stdin="from-stdin\n")
    assert done.returncode == 0, done
    # Without, the program has no input.
    done = world.client(command="vadduser none@a.test", stdin="from-stdin\n")
    assert done.returncode != 0
    assert "in" in users(world, "a.test")
    assert "none" not in users(world, "a.test")


def test_the_client_checks_the_certificate(world):
    done = subprocess.run(
        [BIN / "adminclient", "-h", "127.0.0.1", "-p", str(world.port), "-u",
         "root", "-P", PASSWORD, "-c", "vdominfo"], capture_output=True,
        text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 111 and "certificate" in done.stderr
    done = subprocess.run(
        [BIN / "adminclient", "-k", "-h", "127.0.0.1", "-p", str(world.port),
         "-u", "root", "-P", PASSWORD, "-c", "vdominfo -n"],
        capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 0


def test_the_client_knows_the_commands(world):
    done = world.client(command="sh -c id")
    assert done.returncode == 100
    assert "invalid or unauthorized command" in done.stderr


# -- bad weather

def test_a_program_that_takes_too_long_is_ended(postgres, tmp_path):
    server = AdminServer(tmp_path / "h", postgres)
    server.run("vadddomain", "-n", "a.test")
    server.add_admin("root", "vadduser")
    server.start(times="ADMIN_RUN_MS=500 ADMIN_LOGIN_MS=1500")
    try:
        with RawClient(server) as client:
            client.log_in()
            # It waits for a password that does not come.
            client.send(b"0 vadduser x@a.test\n\n")
            said, status = client.status()
        assert status == 111 and "took longer" in said
        with RawClient(server) as client:
            client.expect(b"Login: ")
            assert b"incomplete line" in b"".join(client.records())
        assert users(server, "a.test") == {"postmaster"}
    finally:
        server.stop()


def test_without_the_database(postgres, tmp_path):
    """Who was there is known still, and only looks."""
    server = AdminServer(tmp_path / "h", postgres)
    server.run("vadddomain", "-n", "a.test")
    server.add_admin("root", "svctool", "vadduser")
    server.add_admin("other", "svctool")
    server.start()
    try:
        assert server.client(command="svctool showctl").returncode == 0
        postgres.stop()
        done = server.client(command="svctool showctl")
        assert done.returncode == 0
        assert re.match("indisrvr: the database is away; rights are those of "
                        r"\d+ s ago\n", done.stdout)
        done = server.client(command="vadduser -n x@a.test")
        assert done.returncode == 111
        assert "nothing is changed meanwhile" in done.stdout
        done = server.client(user="other", command="svctool showctl")
        assert "temporary authentication error" in done.stderr
        postgres.start()
        wait_until(lambda: server.client(
            command="vadduser -n x@a.test").returncode == 0, server.log)
    finally:
        if postgres.process is None:
            postgres.start()
        server.stop()


def test_without_its_helper_it_ends(postgres, tmp_path):
    server = AdminServer(tmp_path / "h", postgres)
    server.start()
    children = ROOT.__class__(
        f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    helper = int(children.read_text().split()[0])
    os.kill(helper, 9)
    server.process.wait(DEADLINE_S)
    assert "admin-run has ended" in server.log()
    server.process = None
    server.log_file.close()


def test_no_byte_without_tls(world):
    with socket.create_connection(("127.0.0.1", world.port), DEADLINE_S) as raw:
        raw.sendall(b"root\nx\n25 vdominfo\n")
        assert b"Login" not in raw.recv(1000)
    wait_until(lambda: "unable to accept SSL connection" in world.log(),
               world.log)


def test_many_at_once(world):
    many = [RawClient(world) for _ in range(20)]
    for client in many:
        client.log_in()
    for client in many:
        client.send(b"25 vdominfo -n a.test\n\n")
    assert {client.status() for client in many} == {
        (world.run("vdominfo", "-n", "a.test"), 0)}
    for client in many:
        client.socket.close()
