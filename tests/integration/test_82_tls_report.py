# SPDX-License-Identifier: ISC
"""Reports on TLS (RFC 8460) to domains that ask for them."""
import email
import email.policy
import fcntl
import gzip
import http.server
import json
import ssl
import subprocess
import threading

import pytest

from name_server import NameServer
from node import BIN, NO_LEAKS, SLOW, wait_until

DAY = "2026-11-20"
STS = "version: STSv1\nmode: enforce\nmx: *.a.zz\nmax_age: 86400"


def row(domain, policy, host, result, sessions, policy_text="",
        ip="192.0.2.1"):
    return {"domain": domain, "policy": policy, "policy_text": policy_text,
            "host": host, "ip": ip, "result": result, "sessions": sessions}


ROWS = [
    row("a.zz", "sts", "mx1.a.zz", "", 5, STS),
    row("a.zz", "sts", "mx1.a.zz", "", 2, STS),
    row("a.zz", "sts", "mx2.a.zz", "certificate-expired", 3, STS),
    row("a.zz", "no-policy-found", "mx1.a.zz", "", 1),
    row("post.zz", "tlsa", "mx.post.zz", "validation-failure", 4,
        "3 1 1 00ff", "2001:db8::1"),
    row("silent.zz", "no-policy-found", "mx.silent.zz", "", 9),
    row("two.zz", "no-policy-found", "mx.two.zz", "", 9),
    row("odd.zz\r\nX: y", "no-policy-found", "mx.odd.zz", "", 9),
]


class Receiver(http.server.ThreadingHTTPServer):
    """Takes reports by HTTPS."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.taken.append((self.path, self.headers, body))
            self.send_response(self.server.code)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.taken, self.code = [], 200
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=x", "-addext", "subjectAltName=DNS:reports.post.zz",
             "-keyout", folder / "key", "-out", folder / "cert.pem"],
            check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    @property
    def port(self):
        return self.server_address[1]

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def receiver(tmp_path):
    made = Receiver(tmp_path)
    yield made
    made.close()


@pytest.fixture
def node(make_node, receiver, tmp_path):
    made = make_node("--init-only", "--queues", "1")
    names = NameServer({
        "a.zz": f'_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:al%69ce@'
                f'{made.domain}?subject=x"\n',
        "post.zz": '_smtp._tls IN TXT "v=TLSRPTv1;" '
                   f'"rua=https://reports.post.zz:{receiver.port}/tls?a=b ,'
                   ' ftp://reports.post.zz/"\n'
                   "reports IN A 127.0.0.1\n",
        "silent.zz": "",
        "two.zz": f'_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:a@{made.domain}"'
                  f'\n_smtp._tls IN TXT "v=TLSRPTv1; rua=mailto:b@'
                  f'{made.domain}"\n'})
    for name, text in {"dnsstub": names.stubs(), "dnsanchor": "",
                       "tlscafile": f"{tmp_path}/cert.pem\n",
                       "tlsreportcontact": "postmaster@mail.zz\n",
                       "tlsreportname": "Ünit Ltd\n", "me": "mail.zz\n",
                       "queue_slice": "1\n"}.items():
        (made.control / name).write_text(text)
    made.up()
    (made.home / "run/tls-report" / DAY).write_text("".join(
        json.dumps(each) + "\n" for each in ROWS) + '{"domain": "cut')
    yield made
    names.close()


def send(node, code=0, day=DAY):
    done = node.svctool("tls-report", "--send", day, code=code, env={
        **node.environment(), "MQMAIL_TEST_TIMES": "REPORT_DNS_MS=2000"})
    return sorted(done.stdout.splitlines()), done.stderr


def marks(node):
    return (node.home / f"run/tls-report/{DAY}.sent").read_text()


def check_head(report, domain):
    assert report["organization-name"] == "Ünit Ltd"
    assert report["contact-info"] == "postmaster@mail.zz"
    assert report["report-id"] == f"{DAY}.{domain}@mail.zz"
    assert report["date-range"] == {
        "start-datetime": f"{DAY}T00:00:00Z",
        "end-datetime": f"{DAY}T23:59:59Z"}


def test_sent_once(node, receiver):
    url = f"https://reports.post.zz:{receiver.port}/tls?a=b"
    assert send(node)[0] == [
        f"a.zz: sent to mailto:alice@{node.domain}",
        f"post.zz: sent to {url}"]
    text, = node.wait_messages("alice", 1)
    message = email.message_from_bytes(text, policy=email.policy.default)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "tlsrpt"
    assert message["From"] == "postmaster@mail.zz"
    assert message["TLS-Report-Domain"] == "a.zz"
    assert message["TLS-Report-Submitter"] == "mail.zz"
    assert message["TLS-Required"] == "No"
    assert message["Subject"] == (f"Report Domain: a.zz Submitter: mail.zz "
                                  f"Report-ID: <{DAY}.a.zz@mail.zz>")
    words, attached = message.iter_parts()
    assert "a.zz" in words.get_content()
    assert attached.get_content_type() == "application/tlsrpt+gzip"
    assert attached.get_filename() == (
        "mail.zz!a.zz!1795132800!1795219199.json.gz")
    report = json.loads(gzip.decompress(attached.get_content()))
    check_head(report, "a.zz")
    policies = sorted(report["policies"],
                      key=lambda each: each["policy"]["policy-type"])
    assert policies == [
        {"policy": {"policy-type": "no-policy-found",
                    "policy-domain": "a.zz"},
         "summary": {"total-successful-session-count": 1,
                     "total-failure-session-count": 0}},
        {"policy": {"policy-type": "sts", "policy-domain": "a.zz",
                    "policy-string": STS.split("\n"), "mx-host": ["*.a.zz"]},
         "summary": {"total-successful-session-count": 7,
                     "total-failure-session-count": 3},
         "failure-details": [
             {"result-type": "certificate-expired",
              "receiving-mx-hostname": "mx2.a.zz",
              "receiving-ip": "192.0.2.1", "failed-session-count": 3}]}]

    (path, headers, body), = receiver.taken
    assert path == "/tls?a=b"
    assert headers["Content-Type"] == "application/tlsrpt+gzip"
    report = json.loads(gzip.decompress(body))
    check_head(report, "post.zz")
    policy, = report["policies"]
    assert policy["policy"]["policy-string"] == ["3 1 1 00ff"]
    assert policy["failure-details"][0]["receiving-ip"] == "2001:db8::1"

    assert send(node)[0] == []
    node.wait_empty()
    assert len(node.messages("alice")) == len(receiver.taken) == 1
    assert marks(node).count("+ ") == 2 and "- " not in marks(node)


def test_what_failed_is_sent_later(node, receiver):
    for code in (500, 302):
        receiver.code = code
        assert any(f"not sent to https://reports.post.zz:{receiver.port}"
                   in line and str(code) in line
                   for line in send(node, code=111)[0])
    receiver.code = 201
    lines, _ = send(node)
    assert len(lines) == 1 and ": sent to https:" in lines[0]
    assert send(node)[0] == []
    assert [path for path, *_ in receiver.taken] == ["/tls?a=b"] * 3
    node.wait_messages("alice", 1)


def test_what_a_crash_cut_off_is_not_sent_again(node, receiver):
    """The mark that comes before says so; half a line says nothing."""
    path = node.home / f"run/tls-report/{DAY}.sent"
    path.write_text(
        f"+ post.zz https://reports.post.zz:{receiver.port}/tls?a=b\n+ a.z")
    lines, _ = send(node)
    assert lines == [f"a.zz: sent to mailto:alice@{node.domain}"]
    assert receiver.taken == []
    assert path.read_text().endswith(
        f"+ a.z\n+ a.zz mailto:alice@{node.domain}\n")


def test_the_mark_is_durable_before_anything_is_sent(node, receiver, tmp_path):
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-e", "trace=openat,write,fdatasync,fsync,connect",
         "-s", "60", "-o", trace, BIN / "svctool", "tls-report", "--send",
         DAY, "--home", node.home],
        check=True, env={**node.environment(), **NO_LEAKS},
        stdout=subprocess.DEVNULL,
        timeout=120 * SLOW)
    lines = trace.read_text().splitlines()

    def find(text, start=0):
        return next(i for i in range(start, len(lines)) if text in lines[i])
    for mark, connection in (("+ a.zz ", "lock/intake"),
                             ("+ post.zz ", f"htons({receiver.port})")):
        at = find(mark)
        fd = lines[at].split("write(")[1].split(",")[0]
        assert find(f"fdatasync({fd})", at) == at + 1
        assert find(connection) > at + 1


def test_off(node):
    (node.control / "tlsreportcontact").write_text("\n")
    lines, errors = send(node, code=111)
    assert lines == [] and "tlsreportcontact" in errors
    assert not (node.home / f"run/tls-report/{DAY}.sent").exists()


def test_a_day_that_is_not_over(node):
    lines, errors = send(node, code=1, day="2999-01-01")
    assert lines == [] and "not over" in errors


def test_two_at_once(node):
    path = node.home / f"run/tls-report/{DAY}.sent"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lines, errors = send(node, code=111)
        assert lines == [] and "another svctool" in errors


def test_the_name_server_is_down(node):
    """Nothing is marked, and the next time all is sent."""
    service = node.home / "service/resolver"

    def state():
        return subprocess.run(["svstat", service], stdout=subprocess.PIPE,
                              text=True, check=True).stdout
    subprocess.run(["svc", "-d", service], check=True)
    wait_until(lambda: ": down" in state(), state)
    lines, _ = send(node, code=111)
    assert "a.zz: its TXT record cannot be told" in lines
    assert marks(node) == ""
    subprocess.run(["svc", "-u", service], check=True)
    wait_until(lambda: len(send(node, code=None)[0]) == 2, "both are sent")
