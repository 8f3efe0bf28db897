# SPDX-License-Identifier: ISC
"""svctool check: each thing that can be wrong is found, with its remedy."""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

from node import wait_until


@pytest.fixture
def made(make_node):
    """A node that was never started."""
    return make_node("--init-only")


def test_a_new_node_is_right(made):
    done = made.svctool("check")
    assert done.stdout == (
        f"{not_running(made)}checked {made.home}: 0 errors, 0 warnings\n")


def not_running(node):
    """Of a node that is stopped, as one that was never started is."""
    return (f"note     {node.home}/service: the node is not running: "
            "svctool start\n")


def test_a_running_node_is_right(node):
    node.send("alice")
    node.wait_messages("alice", 1)
    done = node.svctool("check")
    assert done.stdout == f"checked {node.home}: 0 errors, 0 warnings\n"


def test_a_node_that_was_stopped_is_a_note(node):
    node.svctool("stop")
    assert not_running(node) in node.svctool("check").stdout
    assert [row["severity"] for row in
            json.loads(node.svctool("check", "--json").stdout)] == ["note"]


def test_a_node_that_died_is_an_error(node):
    """As after a power cut: nobody told it to end.  check was clean."""
    for pid in node.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: node.processes() == [], "it is dead")
    done = node.svctool("check", code=1)
    assert (f"error    {node.home}/service: the node is not running, and "
            "nobody stopped it: 10 of its services ran until") in done.stdout
    node.svctool("stop")  # now it is meant so
    assert not_running(node) in node.svctool("check").stdout
    node.svctool("start")
    assert "0 errors, 0 warnings" in node.svctool("check").stdout


def service_dir(node, name):
    return node.home / "service" / name


def svc(letter, folder):
    subprocess.run(["svc", letter, folder], check=True, timeout=60)


def state_of(node, name):
    return next(row for row in node.status()["services"]
                if row["name"] == name)


def test_a_service_that_is_down_is_found(node):
    folder = service_dir(node, "queue2")
    svc("-d", folder)
    wait_until(lambda: state_of(node, "queue2")["pid"] == 0, "it is down")
    assert (f"warning  {folder}: the service is down by wish (svc -d): svc -u "
            f"'{folder}' starts it\n") in node.svctool("check").stdout
    (folder / "down").write_text("")
    assert f"note     {folder}: the service is down by wish (a file 'down')" \
        in node.svctool("check").stdout


def test_a_service_that_keeps_ending_is_found(node):
    name = f"qmail-smtpd.{node.smtp_port}"
    folder = service_dir(node, name)
    (folder / "run").write_text("#!/bin/sh\necho no >&2; exit 1\n")
    svc("-t", folder)
    # Each second it starts for a moment.
    wait_until(lambda: state_of(node, name)["state"] == "restarting",
               "it keeps ending")
    wait_until(lambda: f"error    {folder}: the service is restarting: it ends "
               "again and" in node.svctool("check", code=1).stdout,
               "the check tells")


def test_a_lost_svscan_is_found(node):
    os.kill(node.status()["svscan"], signal.SIGKILL)
    wait_until(lambda: node.status()["svscan"] == 0, "it is gone")
    done = node.svctool("check", code=1)
    assert f"{node.home}/service: svscan does not run, so" in done.stdout


def test_a_logger_that_reads_nothing_is_found(node):
    """The service shows as up until the pipe is full, and then hangs."""
    folder = service_dir(node, "queue1")
    pid = int.from_bytes((folder / "log/supervise/status").read_bytes()[12:16],
                         "little")
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(node, "queue1")["log_state"] == "stopped",
               "it is seen")
    service = state_of(node, "queue1")
    assert (service["state"], service["ok"]) == ("up", False)
    assert f"'kill -CONT {pid}' lets it go on" in service["log_problem"]
    assert (f"error    {folder}/log: the service's log is stopped: its logger "
            f"(multilog, pid {pid})") in node.svctool("check", code=1).stdout
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: node.status()["ok"], "it goes on")
    svc("-d", folder / "log")
    wait_until(lambda: state_of(node, "queue1")["log_state"] == "down",
               "it is down")
    assert f"svc -u {folder}/log' starts it" in node.svctool(
        "check", code=1).stdout


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


def message_of_another_split(node):
    """As it lies in a queue that has other folders."""
    folder = node.queue_dir("queue1") / "mess"
    split = len(list(folder.iterdir()))
    number = 1764000000000000 - 1764000000000000 % split + 1
    (folder / "2" / str(number)).write_text("x")
    return f"mess/2/{number}: it belongs into mess/1 (was the queue copied"


def damaged_message(node):
    """Its envelope, so that nobody can tell where it goes."""
    queue = node.queue_dir("queue1")
    number = 1764000000000000
    split = len(list((queue / "mess").iterdir()))
    (queue / "mess" / str(number % split) / str(number)).write_text("x")
    (queue / "todo" / str(number)).write_text("no envelope")
    return f"1 message cannot be delivered: {number}: QUEUEDIR="


def same_port(node):
    variables = node.home / "service" / f"qmail-smtpd.{node.smtps_port}"
    (variables / "variables/LISTEN").write_text(
        f"127.0.0.1:{node.smtp_port}\n")
    return f"port {node.smtp_port} is also that of"


def bad_listen(node):
    variables = node.home / "service" / f"qmail-smtpd.{node.smtps_port}"
    (variables / "variables/LISTEN").write_text("somewhere\n")
    return "variables/LISTEN"


def junk(path):
    """A cdb file's place, with something else in it."""
    path.write_bytes(b"this is no constant database\n" * 200)


def cut(path):
    """What a full disk leaves of a copy."""
    path.write_bytes(path.read_bytes()[:-30])


def junk_access_rules(node):
    junk(node.control / "tcp.smtp.cdb")
    return "tcp.smtp.cdb: table 0 is outside the file"


def cut_access_rules(node):
    cut(node.control / "tcp.smtp.cdb")
    return "make it again from its source: 'tcprules "


def zeros_for_access_rules(node):
    """What a power cut may leave."""
    size = (node.control / "tcp.smtp.cdb").stat().st_size
    (node.control / "tcp.smtp.cdb").write_bytes(bytes(size))
    return "tcp.smtp.cdb: table 0 is outside the file"


def access_rule_with_a_bad_value(node):
    rules = node.control / "tcp.smtp"
    rules.write_text('10.:allow,DATABYTES="lots"\n:allow\n')
    subprocess.run(
        ["tcprules", f"{rules}.cdb", f"{rules}.tmp"], check=True,
        stdin=rules.open())
    return "rule '10.': DATABYTES: 'lots' is not a number of bytes"


def network_for_an_address(node):
    """As other servers write one; the rule was never found."""
    rules = node.control / "tcp.smtp"
    rules.write_text('10.0.0.0/8:allow,RELAYCLIENT=""\n:allow\n')
    subprocess.run(
        ["tcprules", f"{rules}.cdb", f"{rules}.tmp"], check=True,
        stdin=rules.open())
    return f"{rules}:1: rule '10.0.0.0/8' is for no address"


def junk_assign(node):
    junk(node.home / "users/cdb")
    return "users/cdb: table 0 is outside the file"


def cut_assign(node):
    cut(node.home / "users/cdb")
    return "run qmail-newu"


def domain_dir(node):
    return node.home / "domains" / node.domain


def junk_users(node):
    junk(domain_dir(node) / "vpasswd.cdb")
    return f"vmkpasswd {node.domain}"


def empty_users(node):
    (domain_dir(node) / "vpasswd.cdb").write_bytes(b"")
    return "vpasswd.cdb: it has 0 bytes"


def unreadable_users(node):
    """Of no type that can be read; as root everything else can be."""
    (domain_dir(node) / "vpasswd.cdb").unlink()
    (domain_dir(node) / "vpasswd.cdb").mkdir(0o700)
    return "vpasswd.cdb: it is not a file"


def no_users(node):
    (domain_dir(node) / "vpasswd.cdb").unlink()
    return "vpasswd.cdb: it is missing"


def stale_users(node):
    vpasswd = domain_dir(node) / "vpasswd"
    text = vpasswd.read_text()
    vpasswd.write_text(text.replace("NOQUOTA", "1000S", 1))
    os.utime(vpasswd, (1, 1))  # what counts is the content
    return (f"vpasswd.cdb: it was not made from 'vpasswd' as that is now, so "
            f"the last changes do not count: vmkpasswd {node.domain}")


def bad_users(node):
    with (domain_dir(node) / "vpasswd").open("a") as file:
        file.write("carol\n")
    return "vpasswd:4: there is no ':' in it"


def readable_users(node):
    (domain_dir(node) / "vpasswd.cdb").chmod(0o644)
    return "vpasswd.cdb: its mode is 644, which lets others read it"


def change_postmaster(node, change):
    vpasswd = domain_dir(node) / "vpasswd"
    lines = vpasswd.read_text().splitlines(keepends=True)
    vpasswd.write_text("".join(
        change(line.split(":")) if line.startswith("postmaster:") else line
        for line in lines))
    node.run("vmkpasswd", node.domain)


def no_postmaster(node):
    change_postmaster(node, lambda fields: "")
    return ("vpasswd: there is no 'postmaster', so mail for "
            "postmaster@example.test waits: vadduser -n postmaster@")


def no_postmaster_and_mail_deleted(node):
    (domain_dir(node) / ".qmail-default").write_text(
        "| vdelivermail '' delete\n")
    return no_postmaster(node)


def inactive_postmaster(node):
    change_postmaster(node, lambda fields: ":".join(
        [*fields[:2], str(int(fields[2]) | 0x10), *fields[3:]]))
    return ("vpasswd: 'postmaster' is inactive, so mail for "
            "postmaster@example.test waits: vmoduser -n postmaster@")


def bouncing_postmaster(node):
    change_postmaster(node, lambda fields: ":".join(
        [*fields[:3], str(int(fields[3]) | 0x10), *fields[4:]]))
    return ("'postmaster' is marked to bounce, so mail for "
            "postmaster@example.test waits: vmoduser -tb postmaster@")


def junk_morercpthosts(node):
    (node.control / "morercpthosts").write_text("b.test\n")
    junk(node.control / "morercpthosts.cdb")
    return "run qmail-newmrh"


def bad_envrules(node):
    (node.control / "from.envrules").write_text(
        "# comment\n*@a.example:DATABYTES=5\nno colon\n*:X\n")
    return "from.envrules:3: no ':'"


def second_bad_envrules(node):
    bad_envrules(node)
    return "from.envrules:4: 'X' has no '='"


def bad_value_in_envrules(node):
    (node.control / "from.envrules").write_text("\n*:DATABYTES=5k\n")
    return "from.envrules:2: rule '*': DATABYTES: '5k' is not a number"


def bad_domainqueue(node):
    (node.control / "domainqueue").write_text("example.org\n")
    return "domainqueue:1: no ':'"


def domainqueue_without_queue(node):
    slow = node.queue_dir("slowq")
    (node.control / "domainqueue").write_text(
        f"*.example:QUEUEDIR={node.queue_dir('queue1')}\n"
        f"a.example:QUEUEDIR={slow}\n")
    return f"domainqueue:2: rule 'a.example': it names the queue '{slow}'"


def domainqueue_with_too_many(node):
    (node.control / "domainqueue").write_text("*:QUEUE_COUNT=7\n")
    return "/queue3', which does not exist"


def rules_that_a_variable_names(node):
    (node.home / "others").write_text("junk\n")
    listener(node, "DOMAINQUEUE", f"{node.home}/others")
    return "others:1: no ':'"


def listener(node, name, value):
    """Sets a variable of a listener; gives its file."""
    service = node.home / "service" / f"qmail-smtpd.{node.smtp_port}"
    (service / "variables" / name).write_text(f"{value}\n")
    return service / "variables" / name


def variable_out_of_range(node):
    file = listener(node, "MAXDAEMONS", "0")
    return f"{file}: MAXDAEMONS: '0' is out of range"


def variable_no_number(node):
    file = listener(node, "DATABYTES", "x")
    return f"{file}: DATABYTES: 'x' is not a number of bytes"


def variable_empty(node):
    file = listener(node, "MAXPERIP", "")
    return f"{file}: MAXPERIP: '' is not a number"


def variable_of_a_queue(node):
    file = node.home / "service/queue1/variables/OVERQUOTA_MAILSIZE"
    file.write_text("1k\n")
    return f"{file}: OVERQUOTA_MAILSIZE is '1k': it must be a number"


def variable_of_all(node):
    file = node.control / "global_vars/MAXPERIP"
    file.write_text("-1\n")
    return f"{file}: MAXPERIP: '-1' is not a number"


def variable_that_is_a_folder(node):
    (node.home / "service/queue1/variables/sub").mkdir()
    return "variables/sub: it is not a file, so envdir fails"


def options_unknown(node):
    file = listener(node, "OPTIONS", "--smtp")
    return f"{file}: '--smtp' is not an option"


def rules_not_there(node):
    file = listener(node, "FROMRULES", "vip.envrules")
    return f"{file}: FROMRULES: no file '{node.control}/vip.envrules'"


def variable_with_unknown_queue(node):
    file = listener(node, "QUEUEDIR", node.queue_dir("fast"))
    return f"{file}: it names the queue"


def variable_with_relative_queue(node):
    listener(node, "QUEUEDIR", "queue1")
    return "it names the queue 'queue1', which is no absolute path"


def variable_with_too_many_queues(node):
    file = listener(node, "QUEUE_COUNT", "3")
    return f"{file}: it counts the queue '{node.queue_dir('queue3')}'"


def variable_with_another_start(node):
    file = listener(node, "QUEUE_START", "2")
    return f"{file}: it counts the queue '{node.queue_dir('queue3')}'"


def global_variable_with_too_many_queues(node):
    file = node.control / "global_vars/QUEUE_COUNT"
    file.write_text("4\n")
    return f"{file}: it counts the queue '{node.queue_dir('queue3')}'"


def queue_mode(path, mode):
    def damage(node):
        (node.queue_dir("queue2") / path).chmod(mode)
        return f"{node.queue_dir('queue2') / path}: its mode is {mode:03o}, "
    damage.__name__ = f"mode_of_{path.replace('/', '_')}"
    return damage


def queue_of_another_system(node):
    (node.queue_dir("queue1") / "todo/0").mkdir(0o700)
    return "queue1/todo/0: the folder is split, as another system's"


def queue_half_repaired(node):
    (node.queue_dir("queue1") / "lock/fixing").touch(0o600)
    return "queue1: a repair of the queue was interrupted"


def queue_without_trigger(node):
    (node.queue_dir("queue2") / "lock/trigger").unlink()
    return "lock/trigger: No such file or directory: svctool queue fix queue2"


def queue_with_a_file_for_trigger(node):
    trigger = node.queue_dir("queue2") / "lock/trigger"
    trigger.unlink()
    trigger.touch(0o622)
    return "lock/trigger: it is not a named pipe"


def writable_domain(node):
    domain_dir(node).chmod(0o777)
    return f"chmod 755 '{domain_dir(node)}'"


def readable_maildir(node):
    (node.maildir("alice") / "new").chmod(0o755)
    return "alice/Maildir/new: its mode is 755, which lets others read it"


def closed_maildir(node):
    node.maildir("alice").chmod(0o500)
    return "alice/Maildir: its mode is 500, so mail for the user waits"


def no_user_folder(node):
    shutil.rmtree(node.maildir("bob").parent)
    return f"the folder of 'bob@{node.domain}': No such file"


def link_for_a_user_folder(node):
    folder = node.maildir("bob").parent
    folder.rename(node.home / "aside")
    folder.symlink_to(node.home / "aside")
    return "bob: it is not a folder"


def change_vpasswd(node, old, new):
    vpasswd = domain_dir(node) / "vpasswd"
    vpasswd.write_text(vpasswd.read_text().replace(old, new))
    node.run("vmkpasswd", node.domain)


def user_folder_elsewhere(node):
    folder = node.maildir("bob").parent
    (node.home / "elsewhere").mkdir(0o700)
    change_vpasswd(node, f"{folder}:", f"{node.home}/elsewhere:")
    return (f"the folder of 'bob@{node.domain}' is not below "
            f"'{node.home}/domains'")


def shared_folder_of_another_mode(node):
    """A folder of folders, as there are from the hundredth user on."""
    folder = node.maildir("bob").parent
    (folder.parent / "0").mkdir(0o700)
    folder.rename(folder.parent / "0/bob")
    change_vpasswd(node, f"{folder}:", f"{folder.parent}/0/bob:")
    (folder.parent / "0").chmod(0o777)
    return f"{folder.parent}/0: its mode is 777, which lets others change it"


def domain_elsewhere(node):
    folder = domain_dir(node)
    folder.rename(node.home / "elsewhere")
    file = node.home / "users/assign"
    file.write_text(file.read_text().replace(
        f":{folder}:", f":{node.home}/elsewhere:"))
    node.run("qmail-newu")
    return f"the folder '{node.home}/elsewhere' has virtual users, and is not"


def domain_by_link(node):
    domain_dir(node).rename(node.home / "elsewhere")
    domain_dir(node).symlink_to(node.home / "elsewhere")
    return f"'{domain_dir(node)}' is a symbolic link"


def file_for_a_user_folder(node):
    shutil.rmtree(node.maildir("bob").parent)
    node.maildir("bob").parent.touch()
    return "bob: it is not a folder"


def no_qmail_default(node):
    (domain_dir(node) / ".qmail-default").unlink()
    return f"| vdelivermail '' bounce-no-mailbox\" > '{domain_dir(node)}"


def misspelt_qmail_default(node):
    file = domain_dir(node) / ".qmail-default"
    file.write_text("# all\n| vdelivermail '' bounce-no-mailbx\n")
    return f"{file}:2: 'bounce-no-mailbx' is not an action"


def empty_qmail_default(node):
    (domain_dir(node) / ".qmail-default").write_text("")
    return ".qmail-default: it is empty, so mail for addresses that"


def virtualdomains(node, text):
    """Adds lines; gives the place of the first one."""
    file = node.control / "virtualdomains"
    before = file.read_text()
    file.write_text(before + text)
    return f"{file}:{len(before.splitlines()) + 1}: "


def junk_virtualdomains(node):
    return virtualdomains(node, "a b:c\n") + "'a b:c' is not a virtual domain"


def odd_virtualdomains(node):
    """What has a ':' and can be no domain."""
    where = virtualdomains(node, "<x>:example.test\n")
    return where + "'<x>:example.test' is not a virtual domain"


def every_bad_virtualdomain(node):
    virtualdomains(node, "first\n")
    where = virtualdomains(node, "second\n")
    return f"{where}'second' is not a virtual domain"


def virtualdomain_twice(node):
    where = virtualdomains(node, f"{node.domain}:other\n")
    return f"{where}'{node.domain}' has two lines, this one and line 1"


def virtualdomain_without_assign(node):
    where = virtualdomains(node, "lost.test:lost.test\n")
    return f"{where}users/assign has no line for the prefix 'lost.test-'"


def virtualdomain_in_locals(node):
    (node.control / "locals").write_text(f"{node.domain}\n")
    return f"'{node.domain}' is also in control/locals"


def assign(node, *lines):
    """Puts lines in front of users/assign, and compiles it."""
    file = node.home / "users/assign"
    file.write_text("".join(f"{line}\n" for line in lines) +
                    file.read_text())
    node.run("qmail-newu", code=None)
    return f"{file}:{len(lines)}: "


def assign_without_virtualdomain(node):
    domain = domain_dir(node).parent / "half.test"
    shutil.copytree(domain_dir(node), domain)
    where = assign(node, f"+half.test-:half.test:{os.getuid()}:{os.getgid()}:"
                   f"{domain}:-::")
    return (f"{where}control/virtualdomains has no line for the domain "
            "'half.test'")


def assign_without_folder(node):
    where = assign(node, "=bob:bob:7:8:/nonexistent/bob:::")
    return f"{where}the folder '/nonexistent/bob': No such file"


def domain_without_folder(node):
    domain_dir(node).rename(node.home / "aside")
    return f"vdeldomain {node.domain}"


def assign_bad_lines(node):
    assign(node, "=a:a:x:8:/tmp:::", "junk")
    return "users/assign:1: uid 'x' is not a number"


def assign_bad_lines_behind(node):
    where = assign(node, "=a:a:x:8:/tmp:::", "junk")
    return f"{where}begins with 'j'"


def assign_of_another(node):
    file = node.home / "users/assign"
    file.write_text(file.read_text().replace(
        f":{os.getuid()}:{os.getgid()}:", f":4242:{os.getgid()}:"))
    node.run("qmail-newu")
    return f"the domain '{node.domain}' has uid 4242, but mail is written by"


def writable_setting(node):
    (node.control / "me").chmod(0o666)
    return (f"{node.control}/me: its mode is 666, which lets others change "
            f"it: chmod 644 '{node.control}/me'")


def writable_assign(node):
    (node.home / "users/assign").chmod(0o664)
    return "users/assign: its mode is 664"


def writable_variable(node):
    (node.control / "global_vars/MQMAIL_HOME").chmod(0o646)
    return "MQMAIL_HOME: its mode is 646"


def writable_variable_of_a_service(node):
    path = node.home / f"service/qmail-smtpd.{node.smtp_port}/variables/LISTEN"
    path.chmod(0o666)
    return f"{path}: its mode is 666"


def setting_of_another(node):
    if os.getuid() != 0:
        pytest.skip("not root")
    shutil.chown(node.control / "locals", "nobody")
    return "control/locals: it belongs to uid"


def run_that_others_change(node):
    """One mode is right for both lines."""
    run = node.home / "service/queue1/run"
    run.chmod(0o666)
    return f"which lets others change it: chmod 755 '{run}'"


def second_bad_rcpthosts(node):
    with open(node.control / "rcpthosts", "a", encoding="ascii") as file:
        file.write("two words\ngood.test\na@b@c\n")
    return "rcpthosts:5: "


def no_rcpthosts(node):
    (node.control / "rcpthosts").unlink()
    return "control/rcpthosts: it does not exist, so mail for every domain"


DAMAGES = [
    bad_number, bad_number_of_a_queue, bad_line, writable_home, writable_run,
    run_not_executable, readable_key, key_not_pem, key_of_another, expired,
    stale_assign, stale_rules, no_compiled_assign, queue_without_folder,
    queue_not_there, queue_without_service, message_of_another_split,
    damaged_message, same_port,
    bad_listen,
    # cdb files
    junk_access_rules, cut_access_rules, zeros_for_access_rules,
    access_rule_with_a_bad_value, junk_assign, cut_assign,
    
    junk_users, empty_users, unreadable_users,
    no_users, stale_users, bad_users, readable_users, junk_morercpthosts,
    # rules and variables
    bad_envrules, second_bad_envrules, bad_value_in_envrules, bad_domainqueue,
    domainqueue_without_queue, domainqueue_with_too_many,
    network_for_an_address,
    rules_that_a_variable_names, variable_out_of_range, variable_no_number,
    variable_empty, variable_of_a_queue, variable_of_all,
    variable_that_is_a_folder, options_unknown, rules_not_there,
    variable_with_unknown_queue, variable_with_relative_queue,
    variable_with_too_many_queues, variable_with_another_start,
    global_variable_with_too_many_queues,
    # inside queues
    queue_mode(".", 0o777), queue_mode("mess", 0o755),
    queue_mode("mess/3", 0o755), queue_mode("info/22", 0o711),
    queue_mode("todo", 0o770), queue_mode("intd", 0o777),
    queue_mode("pid", 0o500), queue_mode("bounce", 0o701),
    queue_mode("lock", 0o700), queue_mode("lock/trigger", 0o600),
    queue_mode("lock/sendmutex", 0o644), queue_mode("lock/tcpto", 0o666),
    queue_of_another_system, queue_half_repaired, queue_without_trigger,
    queue_with_a_file_for_trigger,
    # domains and users
    writable_domain, readable_maildir, closed_maildir, no_user_folder,
    file_for_a_user_folder, link_for_a_user_folder, user_folder_elsewhere,
    shared_folder_of_another_mode, domain_elsewhere, domain_by_link,
    no_qmail_default, misspelt_qmail_default, empty_qmail_default,
    junk_virtualdomains, every_bad_virtualdomain, virtualdomain_twice,
    virtualdomain_without_assign, virtualdomain_in_locals,
    assign_without_virtualdomain, assign_without_folder,
    domain_without_folder, assign_bad_lines, assign_bad_lines_behind,
    assign_of_another, no_rcpthosts, no_postmaster, second_bad_rcpthosts,
    writable_setting, writable_assign, writable_variable,
    writable_variable_of_a_service, setting_of_another,
    run_that_others_change,
    no_postmaster_and_mail_deleted, inactive_postmaster, bouncing_postmaster]


@pytest.mark.parametrize(
    "damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_found(made, damage):
    wanted = damage(made)
    done = made.svctool("check", code=1)
    errors = [line for line in done.stdout.splitlines()
              if line.startswith("error ")]
    assert any(wanted in line for line in errors), done.stdout
    assert all(str(made.home) in line for line in errors), done.stdout


@pytest.mark.parametrize(
    "damage", [no_postmaster, inactive_postmaster, bouncing_postmaster],
    ids=lambda damage: damage.__name__)
def test_a_postmasters_remedy_mends_it(made, damage):
    damage(made)
    (line,) = [line for line in made.svctool("check", code=1).stdout
               .splitlines() if line.startswith("error ")]
    made.run(*line.rpartition(": ")[2].split())
    assert "0 errors, 0 warnings" in made.svctool("check").stdout


def test_mail_for_no_postmaster_may_go_to_another(made):
    (domain_dir(made) / ".qmail-default").write_text(
        "| vdelivermail '' alice@example.test\n")
    no_postmaster(made)
    assert "0 errors, 0 warnings" in made.svctool("check").stdout


def test_a_wrong_number_of_queues_is_one_finding(made):
    """What it hides is not guessed at."""
    (made.control / "queue_count").write_text("500\n")
    done = made.svctool("check", code=1)
    assert done.stdout == (
        f"error    {made.control}/queue_count:1: '500' is out of range: write "
        f"a number from 1 to 128\n"
        f"{not_running(made)}"
        f"checked {made.home}: 1 error, 0 warnings\n")


@pytest.mark.parametrize("path, wanted, other", [
    ("/nope", "queue-fix /nope", "svctool queue add"),
    ("{home}/queue/slow", "svctool queue add slow", "queue-fix"),
])
def test_a_queue_is_added_where_it_is_named(made, path, wanted, other):
    path = path.format(home=made.home)
    (made.control / "from.envrules").write_text(f"*:QUEUEDIR={path}\n")
    done = made.svctool("check", code=1)
    assert f"it names the queue '{path}'" in done.stdout
    assert wanted in done.stdout and other not in done.stdout


def test_a_misspelt_setting_is_a_warning(made):
    (made.control / "concurencylocal").write_text("10\n")
    done = made.svctool("check")
    assert "concurencylocal: no program of this node reads it" in done.stdout
    assert "0 errors, 1 warning\n" in done.stdout


def setting_of_no_queue(node):
    (node.control / "concurrencylocal.queue7").write_text("10\n")
    return (f"concurrencylocal.queue7: it is for the queue 'queue7', which "
            f"does not exist: rm '{node.control}/concurrencylocal.queue7'")


def short_setting_of_no_queue(node):
    (node.control / "concurrencyr.slow").write_text("10\n")
    return "concurrencyr.slow: it is for the queue 'slow'"


def queue_not_counted(node):
    (node.control / "queue_count").write_text("1\n")
    return f"{node.queue_dir('queue2')}: no queue_count, variable or rule"


def domain_not_taken(node):
    rcpthosts = node.control / "rcpthosts"
    rcpthosts.write_text(rcpthosts.read_text().replace(
        f"{node.domain}\n", "", 1))
    return f"virtualdomains:1: '{node.domain}' is not in rcpthosts"


def alias_not_taken(node):
    rcpthosts = node.control / "rcpthosts"
    rcpthosts.write_text(f"{node.domain}\n")
    return f"vaddaliasdomain mail.{node.domain} {node.domain}"


def domain_of_nobody(node):
    with open(node.control / "rcpthosts", "a", encoding="ascii") as file:
        file.write("Other.TEST\n")
    return "rcpthosts:3: 'other.test' is neither in virtualdomains nor in"


def more_domain_of_nobody(node):
    (node.control / "morercpthosts").write_text("other.test\n")
    node.run("qmail-newmrh")
    return "morercpthosts.cdb: 'other.test' is neither in"


@pytest.mark.parametrize("oddity", [
    domain_of_nobody, more_domain_of_nobody, setting_of_no_queue,
    short_setting_of_no_queue, queue_not_counted, domain_not_taken,
    alias_not_taken, odd_virtualdomains], ids=lambda oddity: oddity.__name__)
def test_what_may_be_meant_is_a_warning(made, oddity):
    wanted = oddity(made)
    done = made.svctool("check")
    assert wanted in done.stdout
    assert "0 errors, 1 warning\n" in done.stdout


def test_a_queue_that_only_a_rule_counts_is_right(made):
    (made.control / "queue_count").write_text("1\n")
    (made.control / "domainqueue").write_text(
        "slow.example:QUEUE_START=2\n")
    assert "0 errors, 0 warnings" in made.svctool("check").stdout


def test_findings_as_json(made):
    assert json.loads(made.svctool("check", "--json").stdout) == [{
        "severity": "note", "file": f"{made.home}/service", "line": None,
        "text": "the node is not running", "remedy": "svctool start"}]
    where = virtualdomains(made, "nonsense\n")
    (made.control / "concurencylocal").write_text("10\n")
    (made.queue_dir("queue1") / "todo").chmod(0o755)
    done = made.svctool("check", "--json", code=1)
    assert sorted([row for row in json.loads(done.stdout)
                   if row["severity"] != "note"],
                  key=lambda row: row["file"]) == [
        {"severity": "warning", "file": f"{made.control}/concurencylocal",
         "line": None, "text": "no program of this node reads it: is the name "
         "spelt right?", "remedy": "rename it to a name of mqmail-control(5), "
         f"or rm '{made.control}/concurencylocal'"},
        {"severity": "error", "file": f"{made.control}/virtualdomains",
         "line": int(where.split(":")[1]), "text": "'nonsense' is not a virtual domain",
         "remedy": "write for example example.org:example.org"},
        {"severity": "error", "file": f"{made.queue_dir('queue1')}/todo",
         "line": None, "text": "its mode is 755, and should be 700",
         "remedy": "svctool queue fix queue1"}]


def test_names_that_are_no_text_are_shown_harmlessly(made):
    name = os.fsencode(made.control) + b"/a\x1b[2Jb\xff"
    open(name, "w").close()
    done = made.run("svctool", "check", "--home", made.home,
                    encoding="latin-1", text=None)
    assert "a?[2Jb" in done.stdout and "\x1b" not in done.stdout
    rows = json.loads(made.svctool("check", "--json").stdout)
    assert rows[0]["file"] == f"{made.control}/a?[2Jb\ufffd"


def test_many_findings_are_summed_up(made):
    with (made.control / "from.envrules").open("w") as file:
        file.writelines("junk\n" for _ in range(50))
    done = made.svctool("check", code=1)
    assert "from.envrules:20: no ':'" in done.stdout
    assert "30 more of these are not shown" in done.stdout
    assert "21 errors, 0 warnings" in done.stdout


def test_a_remedy_mends(made):
    """svctool queue fix and vmkpasswd do what check says they do."""
    for damage in (stale_users, queue_mode("lock/trigger", 0o600),
                   queue_mode("info/22", 0o711), queue_without_trigger,
                   queue_of_another_system):
        damage(made)
    made.svctool("check", code=1)
    queue_half_repaired(made)
    made.svctool("check", code=1)
    made.run("vmkpasswd", made.domain)
    made.svctool("queue", "fix", "queue1")
    made.svctool("queue", "fix", "queue2")
    assert "0 errors, 0 warnings" in made.svctool("check").stdout


def test_the_callers_environment_does_not_count(made):
    environment = {**made.environment(), "MAXDAEMONS": "x",
                   "QUEUE_COUNT": "9"}
    done = made.run("svctool", "check", "--home", made.home, env=environment)
    assert "0 errors, 0 warnings" in done.stdout


def test_commands_that_change_the_node_are_waited_for(made):
    """What lies between two of their steps is no finding."""
    stop = threading.Event()
    failed = []

    def change(*commands):
        number = 0
        while not stop.is_set():
            number += 1
            for command in commands:
                done = made.run(*[word.replace("N", str(number))
                                  for word in command], code=None)
                if done.returncode != 0:
                    failed.append(f"{command}: {done.stderr}")

    threads = [
        threading.Thread(target=change, args=(
            ("vadduser", "-n", f"uN@{made.domain}"),
            ("vdeluser", "-f", f"uN@{made.domain}"))),
        threading.Thread(target=change, args=(
            ("vadddomain", "-n", "dN.test"),
            ("vaddaliasdomain", "eN.test", "dN.test"),
            ("vdeldomain", "-f", "dN.test")))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            done = made.svctool("check", code=None)
            assert "0 errors, 0 warnings" in done.stdout, done.stdout
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_a_queue_that_is_being_repaired_is_left_alone(made):
    queue_half_repaired(made)
    (made.queue_dir("queue1") / "pid").rmdir()
    with (made.queue_dir("queue1") / "lock/sendmutex").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as queue-fix holds it
        assert "0 errors, 0 warnings" in made.svctool("check").stdout
    made.svctool("check", code=1)


def test_restart_names_the_file_of_a_variable(made):
    file = made.control / "global_vars/MAXPERIP"
    file.write_text("x\n")
    done = made.svctool("restart", code=1)
    assert f"error    {file}: MAXPERIP: 'x' is not" in done.stdout


def test_a_busy_node_is_right(make_node):
    """Messages come and go while check looks, and nothing is missing."""
    node = make_node("--users", 20)
    senders = [subprocess.Popen(
        ["smtp-source", "-m", "400", "-s", "4", "-f", "s@example.net",
         "-t", f"u{i}@{node.domain}", f"127.0.0.1:{node.smtp_port}"])
        for i in range(3)]
    try:
        while any(sender.poll() is None for sender in senders):
            assert "0 errors, 0 warnings" in node.svctool(
                "check", code=None).stdout
    finally:
        for sender in senders:
            sender.wait(120)
    node.wait_empty()
    assert "0 errors, 0 warnings" in node.svctool("check").stdout


def test_a_misspelt_variable_is_said(node):
    """QUEUE_CUONT changed nothing, and nobody said so."""
    file = node.control / "global_vars/QUEUE_CUONT"
    file.write_text("3\n")
    done = node.svctool("check")
    assert f"{file}: nothing reads a variable of this name: was " \
        f"QUEUE_COUNT meant?: mv '{file}' " in done.stdout
    assert "0 errors, 1 warning\n" in done.stdout


def test_a_domain_may_be_taken_by_any_rule(made):
    """What virtualdomains or locals know under another name is delivered."""
    (made.control / "locals").write_text("Local.test\n")
    (made.control / "percenthack").write_text("hack.test\n")
    with open(made.control / "virtualdomains", "a",
              encoding="ascii") as file:
        file.write(f".wild.test:{made.domain}\n")
    with open(made.control / "rcpthosts", "a", encoding="ascii") as file:
        file.write("local.test\nhack.test\n.wild.test\na.b.wild.test\n")
    assert "neither in" not in made.svctool("check", code=None).stdout


@pytest.fixture
def small(make_node, tmp_path):
    """A node's queue on a filesystem of its own, with few inodes."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a filesystem")
    node = make_node("--init-only")
    mount = node.queue_dir("queue2")
    saved = tmp_path / "queue2"
    subprocess.run(["cp", "-a", mount, saved], check=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o",
                       "size=16m,nr_inodes=4000,mode=750", "none", mount],
                      check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("cannot mount a filesystem")
    try:
        subprocess.run(["cp", "-a", f"{saved}/.", mount], check=True)
        yield node, mount
    finally:
        node.svctool("stop", code=None)
        subprocess.run(["umount", mount], check=True)


def test_a_full_disk_is_found(small):
    node, mount = small
    (node.control / "min_free").write_text("0\n")
    node.svctool("check")
    (mount / "pid/filler").write_bytes(b"")
    with pytest.raises(OSError), open(mount / "pid/filler", "wb",
                                      buffering=0) as filler:
        while filler.write(b"x" * 4096) > 0:
            pass
    done = node.svctool("check", code=1)
    assert f"{mount}: 0 bytes are free on its filesystem" in done.stdout
    assert "min_free" not in done.stdout
    (mount / "pid/filler").unlink()
    (node.control / "min_free").write_text(f"{1 << 50}\n")
    done = node.svctool("check", code=1)
    assert "no new mail is taken: make room there, or lower" in done.stdout


@pytest.fixture
def small_log(make_node):
    """A running node whose logs have a small filesystem of their own."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a filesystem")
    node = make_node("--init-only")
    mount = node.home / "log"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755",
                       "none", mount], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("cannot mount a filesystem")
    try:
        node.svctool("init")
        node.svctool("start")
        yield node, mount
    finally:
        node.svctool("stop", code=None)
        subprocess.run(["umount", mount], check=True)


def test_full_logs_are_found(small_log):
    """Every service showed as up, and sessions stood still."""
    node, mount = small_log
    assert node.status()["ok"]
    (mount / "filler").write_bytes(bytes(3500000))
    assert (f"warning  {mount}: ") in node.svctool("check").stdout
    with pytest.raises(OSError), open(mount / "more", "wb",
                                      buffering=0) as filler:
        while filler.write(b"x" * 4096) > 0:
            pass
    done = node.svctool("check", code=1)
    assert (f"error    {mount}: 0 bytes are free on its filesystem, so no log "
            "line is written: make room there\n") in done.stdout
    status = node.status()
    assert not status["ok"]
    assert {service["log_state"] for service in status["services"]} == {"full"}
    assert "no byte is free" in node.svctool("status", code=1).stdout
    (mount / "more").unlink()
    (mount / "filler").unlink()
    wait_until(lambda: node.status()["ok"], node.logs)
    assert "0 errors, 0 warnings" in node.svctool("check").stdout


def test_a_disk_without_inodes_is_found(small):
    node, mount = small
    (node.control / "min_free").write_text("1000\n")
    node.svctool("start")
    assert node.status()["ok"]
    with pytest.raises(OSError):
        for number in range(5000):
            (mount / f"pid/filler{number}").write_bytes(b"")
    done = node.svctool("check", code=1)
    assert f"{mount}: its filesystem has no free inode" in done.stdout
    queue = node.queue("queue2")
    assert queue["state"] == "full"
    assert "no inode is free on its filesystem" in queue["problem"]
    before = sorted(node.processes())
    assert "has no free inode" in node.svctool("restart", code=1).stdout
    assert sorted(node.processes()) == before
