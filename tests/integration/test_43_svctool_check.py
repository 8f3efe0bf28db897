# SPDX-License-Identifier: ISC
"""svctool check: each thing that can be wrong is found, with its remedy."""
import os
import shutil
import subprocess

import pytest


@pytest.fixture
def made(make_node):
    """A node that was never started."""
    return make_node("--init-only")


def test_a_new_node_is_right(made):
    done = made.svctool("check")
    assert done.stdout == f"checked {made.home}: 0 errors, 0 warnings\n"


def test_a_running_node_is_right(node):
    node.send("alice")
    node.wait_messages("alice", 1)
    assert "0 errors, 0 warnings" in node.svctool("check").stdout


def bad_number(node):
    (node.control / "concurrencylocal").write_text("many\n")
    return "concurrencylocal"


def bad_number_of_a_queue(node):
    (node.control / "holdlocal.queue2").write_text("perhaps\n")
    return "holdlocal.queue2"


def bad_line(node):
    (node.control / "virtualdomains").write_text("example.test\n")
    return "virtualdomains"


def writable_home(node):
    (node.home / "control").chmod(0o777)
    return "chmod 755"


def writable_run(node):
    (node.home / "service/queue1/run").chmod(0o775)
    return "service/queue1/run"


def run_not_executable(node):
    (node.home / "service/queue1/log/run").chmod(0o644)
    return "queue1/log/run"


def readable_key(node):
    (node.home / "tls/servercert.pem").chmod(0o644)
    return "servercert.pem: its mode is 644, which lets others read it"


def key_not_pem(node):
    (node.home / "tls/servercert.pem").write_text("nothing\n")
    return "servercert.pem"


def key_of_another(node):
    pem = node.home / "tls/servercert.pem"
    text = pem.read_text()
    key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
         "ec_paramgen_curve:P-256"], check=True, stdout=subprocess.PIPE,
        text=True).stdout
    pem.write_text(key + text[text.index("-----BEGIN CERTIFICATE"):])
    return "servercert.pem"


def expired(node):
    """A certificate whose last day was long ago."""
    pem = node.home / "tls/servercert.pem"
    ca = node.home / "tls/ca"
    ca.mkdir()
    (ca / "index.txt").write_text("")
    (ca / "serial").write_text("01\n")
    (ca / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={ca}/index.txt\n"
        f"serial={ca}/serial\nnew_certs_dir={ca}\ndefault_md=sha256\n"
        "policy=p\n[p]\ncommonName=supplied\n")
    openssl = ["openssl"]
    subprocess.run(
        [*openssl, "req", "-new", "-key", pem, "-subj", "/CN=m.example",
         "-out", ca / "req"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(
        [*openssl, "ca", "-batch", "-selfsign", "-config", ca / "ca.cnf",
         "-keyfile", pem, "-in", ca / "req", "-out", ca / "cert", "-notext",
         "-startdate", "20200101000000Z", "-enddate", "20210101000000Z"],
        check=True, stderr=subprocess.DEVNULL)
    text = pem.read_text()
    pem.write_text(text[:text.index("-----BEGIN CERTIFICATE")] +
                   (ca / "cert").read_text())
    return "the certificate has expired"


def stale_assign(node):
    os.utime(node.home / "users/cdb", (1, 1))
    return "run qmail-newu"


def stale_rules(node):
    os.utime(node.control / "tcp.smtp.cdb", (1, 1))
    return "tcprules"


def no_compiled_assign(node):
    (node.home / "users/cdb").unlink()
    return "users/cdb: No such file"


def queue_without_folder(node):
    shutil.rmtree(node.queue_dir("queue2") / "info")
    return "svctool queue fix queue2"


def queue_not_there(node):
    (node.control / "queue_count").write_text("3\n")
    return "it counts the queue"


def queue_without_service(node):
    shutil.rmtree(node.home / "service/queue2")
    return "svctool queue add queue2"


def copied_message(node):
    """As cp -r leaves it: a name that is not the inode."""
    folder = node.queue_dir("queue1") / "mess"
    split = len(list(folder.iterdir()))
    file = folder / "draft"
    file.write_text("x")
    number = file.stat().st_ino + split
    file.rename(folder / str(number % split) / str(number))
    return f"{number}: its inode is {number - split}"


def same_port(node):
    variables = node.home / "service" / f"qmail-smtpd.{node.smtps_port}"
    (variables / "variables/LISTEN").write_text(
        f"127.0.0.1:{node.smtp_port}\n")
    return f"port {node.smtp_port} is also that of"


def bad_listen(node):
    variables = node.home / "service" / f"qmail-smtpd.{node.smtps_port}"
    (variables / "variables/LISTEN").write_text("somewhere\n")
    return "variables/LISTEN"


@pytest.mark.parametrize("damage", [
    bad_number, bad_number_of_a_queue, bad_line, writable_home, writable_run,
    run_not_executable, readable_key, key_not_pem, key_of_another, expired,
    stale_assign, stale_rules, no_compiled_assign, queue_without_folder,
    queue_not_there, queue_without_service, copied_message, same_port,
    bad_listen], ids=lambda damage: damage.__name__)
def test_damage_is_found(made, damage):
    wanted = damage(made)
    done = made.svctool("check", code=1)
    errors = [line for line in done.stdout.splitlines()
              if line.startswith("error ")]
    assert any(wanted in line for line in errors), done.stdout
    assert all(str(made.home) in line for line in errors), done.stdout


def test_a_misspelt_setting_is_a_warning(made):
    (made.control / "concurencylocal").write_text("10\n")
    done = made.svctool("check")
    assert "concurencylocal: no program of this node reads it" in done.stdout
    assert "0 errors, 1 warnings" in done.stdout
