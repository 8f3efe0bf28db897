# SPDX-License-Identifier: ISC
"""adminsrv's HTTPS interface: curl, raw bytes, Prometheus' text form."""
import base64
import json
import re
import socket
import ssl
import subprocess

import pytest

from admin_peer import PASSWORD, AdminServer
from node import DEADLINE_S, make_folder, wait_until

PROGRAMS = ("vadduser", "vpasswd", "vdeluser", "vmoduser", "valias",
            "vuserinfo", "vdominfo", "vlimit", "svctool", "vadddomain",
            "vdeldomain", "vpriv", "mgmtpass")


@pytest.fixture(scope="module")
def world(postgres):
    server = AdminServer(make_folder(in_memory=True) / "h", postgres)
    for name in ("queue", "service", "log"):
        (server.path / name).mkdir()
    for domain in ("a.test", "b.test"):
        server.run("vadddomain", "-n", domain)
    server.add_admin("root", *PROGRAMS)
    server.add_admin("boss", *PROGRAMS, domains="a.test")
    server.start(times="API_READ_MS=1500")
    yield server
    server.stop()
    subprocess.run(["rm", "-r", server.path.parent], check=True)


def curl(server, method, path, content=None, *args, user="root",
         password=PASSWORD):
    """The code and what comes: JSON if it is."""
    words = ["curl", "-sS", "--cacert", server.path / "tls/cert.pem", "-X",
             method, "-w", "\n%{http_code}", "--max-time", "60", *args]
    if user:
        words += ["-u", f"{user}:{password}"]
    if content is not None:
        words += ["-H", "Content-Type: application/json", "-d",
                  json.dumps(content)]
    done = subprocess.run(
        [*words, f"https://127.0.0.1:{server.api}{path}"], text=True,
        capture_output=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done
    text, code = done.stdout.rsplit("\n", 1)
    try:
        return int(code), json.loads(text)
    except ValueError:
        return int(code), text


def raw(server, data, timeout=DEADLINE_S):
    """What comes for these bytes, until the server ends the connection."""
    context = ssl.create_default_context(cafile=server.path / "tls/cert.pem")
    with context.wrap_socket(
            socket.create_connection(("127.0.0.1", server.api), timeout),
            server_hostname="localhost") as stream:
        got = b""
        try:
            stream.sendall(data)  # it may have heard enough before the end
            while more := stream.recv(65536):
                got += more
        except (ssl.SSLError, ConnectionError):
            pass
        return got


def authorization(user="root", password=PASSWORD):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Authorization: Basic {text}\r\n".encode()


# -- what it does

def test_users_from_birth_to_end(world):
    code, made = curl(world, "POST", "/v1/users", {
        "address": "new@a.test", "password": "Secret-1", "quota": 1000000,
        "comment": "A \"B\" 'C' $(id)"})
    assert code == 200, made
    code, users = curl(world, "GET", "/v1/users/new@a.test")
    assert code == 200
    user = users[0] if isinstance(users, list) else users
    assert user["name"] == "new" and "A \"B\" 'C' $(id)" in json.dumps(
        user).replace('\\"', '"')
    code, users = curl(world, "GET", "/v1/domains/a.test/users")
    assert code == 200 and "new" in {user["name"] for user in users}
    assert curl(world, "PATCH", "/v1/users/new%40a.test",
                {"quota": "2000000"})[0] == 200
    assert curl(world, "PUT", "/v1/users/new@a.test/password",
                {"password": "Secret-2"})[0] == 200
    assert curl(world, "DELETE", "/v1/users/new@a.test")[0] == 200
    code, said = curl(world, "GET", "/v1/users/new@a.test")
    assert code == 422 and "new" in said["error"]
    audit = world.sql("SELECT what, args, result, from_ip FROM mq.audit "
                      "ORDER BY id")
    assert [row[0] for row in audit[-4:]] == [
        "vadduser", "vmoduser", "vpasswd", "vdeluser"]
    assert "Secret" not in str(audit) + world.log()
    assert {row[3] for row in audit} == {"127.0.0.1"}


def test_domains_and_aliases(world):
    assert curl(world, "POST", "/v1/domains", {"domain": "c.test"})[0] == 200
    assert curl(world, "POST", "/v1/domains", {"domain": "c.test"})[0] == 422
    code, domains = curl(world, "GET", "/v1/domains")
    assert code == 200 and "c.test" in json.dumps(domains)
    assert curl(world, "POST", "/v1/aliases/x@c.test",
                {"line": "&postmaster@c.test"})[0] == 200
    code, said = curl(world, "GET", "/v1/aliases/x@c.test")
    assert code == 200 and "postmaster@c.test" in json.dumps(said)
    assert curl(world, "DELETE", "/v1/aliases/x@c.test")[0] == 200
    assert curl(world, "GET", "/v1/limits/c.test")[0] == 200
    assert curl(world, "DELETE", "/v1/domains/c.test")[0] == 200
    assert "c.test" not in json.dumps(curl(world, "GET", "/v1/domains")[1])


def test_a_node(world):
    assert curl(world, "GET", "/v1/status")[1]["queues"] == []
    assert curl(world, "GET", "/v1/check")[0] == 200
    assert curl(world, "GET", "/v1/messages")[0] in (200, 500)
    assert "adminlisten" in curl(world, "GET", "/v1/settings")[1]["output"]
    assert "boss" in curl(world, "GET", "/v1/admins")[1]["output"]
    assert "vadduser" in curl(
        world, "GET", "/v1/admins/boss/rights")[1]["output"]


def test_tokens(world):
    code, token = curl(world, "POST", "/v1/token", {})
    assert code == 200 and token["token_type"] == "Bearer"
    bearer = f"Authorization: Bearer {token['access_token']}"
    assert curl(world, "GET", "/v1/domains", None, "-H", bearer,
                user=None)[0] == 200
    for wrong in ("", "x" * 64, token["access_token"][:-1]):
        assert curl(world, "GET", "/v1/domains", None, "-H",
                    f"Authorization: Bearer {wrong}", user=None)[0] == 401


def test_the_document_names_each_path(world):
    code, document = curl(world, "GET", "/openapi.json", user=None)
    assert code == 200 and document["openapi"].startswith("3.")
    for path, methods in document["paths"].items():
        for method, what in methods.items():
            assert method in ("get", "post", "put", "patch", "delete")
            assert set(re.findall(r"{(\w+)}", path)) == {
                each["name"] for each in what["parameters"]
                if each["in"] == "path"}


# -- who may

@pytest.mark.parametrize("user, password", [
    ("root", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_who_it_does_not_know(world, user, password):
    code, said = curl(world, "GET", "/v1/domains", user=user,
                      password=password)
    assert (code, said) == (401, {"error": "name or password incorrect"})


@pytest.mark.parametrize("method, path, content", [
    ("GET", "/v1/domains", None), ("GET", "/v1/domains/b.test", None),
    ("GET", "/v1/domains/b.test/users", None),
    ("POST", "/v1/users", {"address": "x@b.test"}),
    ("POST", "/v1/aliases/x@a.test", {"line": "|/bin/id"}),
    ("DELETE", "/v1/users/postmaster@b.test", None),
    ("POST", "/v1/domains", {"domain": "d.test"}), ("GET", "/v1/status", None),
    ("GET", "/metrics", None), ("GET", "/v1/log", None),
    ("GET", "/v1/log?address=x@b.test", None), ("GET", "/v1/admins", None)])
def test_an_administrator_of_a_domain(world, method, path, content):
    assert curl(world, method, path, content, user="boss")[0] == 403


def test_an_administrator_of_a_domain_has_it(world):
    assert curl(world, "GET", "/v1/domains/a.test", user="boss")[0] == 200
    assert curl(world, "POST", "/v1/users", {"address": "of@a.test"},
                user="boss")[0] == 200
    assert curl(world, "DELETE", "/v1/users/of@a.test", user="boss")[0] == 200


# -- figures

LINE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"'
    r',?)*)\})? ([-+0-9.eE]+|NaN|[-+]Inf)')


def test_prometheus_can_read_it(world):
    code, text = curl(world, "GET", "/metrics")
    assert code == 200 and text.endswith("\n")
    types, values = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in (
                "gauge", "counter", "untyped")
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = LINE.fullmatch(line)
            assert match and match[1] in types, line
            assert (match[1], match[2]) not in values
            values[match[1], match[2]] = float(match[3])
    assert values["mqmail_database_up", None] == 1
    head = raw(world, b"GET /metrics HTTP/1.1\r\nHost: x\r\n" +
               authorization() + b"\r\n").split(b"\r\n\r\n")[0]
    assert b"Content-Type: text/plain; version=0.0.4" in head


# -- what it does not take

@pytest.mark.parametrize("method, path, content, code", [
    ("GET", "/", None, 404), ("GET", "/v1/nothing", None, 404),
    ("GET", "/v1/domains/../domains", None, 404),
    ("GET", "/v1/domains/%2e%2e%2f%2e%2e%2fetc", None, 422),
    ("GET", "/v1/domains/a.test/", None, 404),
    ("GET", "//v1/domains", None, 404),
    ("GET", "/v1/domains/%00", None, 404),
    ("GET", "/v1/domains/-h", None, 400),
    ("GET", "/v1/users/a%0ab@a.test", None, 400),
    ("GET", "/v1/domains?x=1", None, 400),
    ("GET", "/v1/messages?queue=a&queue=b", None, 400),
    ("PUT", "/v1/domains", {}, 405), ("DELETE", "/v1/status", None, 405),
    ("POST", "/v1/users", {}, 400), ("POST", "/v1/users", {"x": "y"}, 400),
    ("POST", "/v1/users", [], 400), ("POST", "/v1/users", "x", 400),
    ("POST", "/v1/users", {"address": {"a": 1}}, 400),
    ("POST", "/v1/users", {"address": "-D@a.test"}, 400),
    ("POST", "/v1/users", {"address": "x@a.test", "password": "a\nb"}, 400),
    ("POST", "/v1/users", None, 415),
])
def test_wrong_requests(world, method, path, content, code):
    assert curl(world, method, path, content, "--path-as-is")[0] == code


def test_other_methods_are_named(world):
    got = raw(world, b"PUT /v1/domains HTTP/1.1\r\nHost: x\r\n" +
              authorization() + b"Content-Length: 0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, POST\r\n" in got


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "BREW"])
def test_strange_methods(world, method):
    got = raw(world, f"{method} /v1/domains HTTP/1.1\r\nHost: x\r\n".encode() +
              authorization() + b"\r\n")
    assert re.match(rb"HTTP/1.[01] (405|501|400) ", got)


SMUGGLED = (b"DELETE /v1/users/postmaster@b.test HTTP/1.1\r\nHost: x\r\n" +
            authorization() + b"\r\n")


@pytest.mark.parametrize("head, body", [
    (b"Content-Length: 0\r\nContent-Length: 5\r\n", b"12345"),
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    (b"Content-Length: -1\r\n", b""), (b"Content-Length: 0x0\r\n", b""),
    (b"Content-Length: +0\r\n", b""), (b"Content-Length:\r\n 0\r\n", b""),
    (b"X: y\nContent-Length: 0\r\n", b""), (b"Host: y\r\n", b""),
    (b"", b""),
], ids=range(12))
def test_a_second_request_is_never_read(world, head, body):
    before = len(world.audit())
    got = raw(world, b"GET /v1/status HTTP/1.1\r\nHost: x\r\n" +
              authorization() + head + b"\r\n" + body + SMUGGLED)
    assert got.count(b"HTTP/1.") <= 1
    if got:
        assert b"\r\nConnection: close\r\n" in got
    assert len(world.audit()) == before
    assert curl(world, "GET", "/v1/users/postmaster@b.test")[0] == 200


def test_pages_of_other_sites(world):
    for origin in ("https://evil.example", "null", "http://127.0.0.1"):
        assert curl(world, "DELETE", "/v1/users/postmaster@b.test", None, "-H",
                    f"Origin: {origin}")[0] == 403
    assert curl(world, "GET", "/v1/domains", None, "-H",
                f"Origin: https://127.0.0.1:{world.api}")[0] == 200
    # What a form can send.
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert curl(world, "POST", "/v1/users", None, "-H",
                    f"Content-Type: {kind}", "-d",
                    '{"address":"form@a.test"}')[0] == 415


def test_sizes(world):
    got = raw(world, b"POST /v1/users HTTP/1.1\r\nHost: x\r\n" +
              authorization() + b"Content-Type: application/json\r\n"
              b"Content-Length: 65537\r\n\r\n{" + b" " * 65536)
    assert got == b"" or got.startswith(b"HTTP/1.1 413")
    got = raw(world, b"POST /v1/users HTTP/1.1\r\nHost: x\r\n"
              b"Content-Length: 99999999999\r\n\r\n" + b"x" * 1000)
    assert got == b"" or got.startswith(b"HTTP/1.1 413")
    got = raw(world, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 +
              b"\r\n\r\n")
    assert got == b"" or re.match(rb"HTTP/1.1 (400|413)", got)
    got = raw(world, b"GET /" + b"y" * 20000 + b" HTTP/1.1\r\n\r\n")
    assert got == b"" or re.match(rb"HTTP/1.1 (400|413)", got)
    assert curl(world, "GET", "/v1/domains")[0] == 200


def test_who_is_slow_is_cut_off(world):
    """However often a byte comes."""
    context = ssl.create_default_context(cafile=world.path / "tls/cert.pem")
    with context.wrap_socket(
            socket.create_connection(("127.0.0.1", world.api), DEADLINE_S),
            server_hostname="localhost") as stream:
        stream.sendall(b"GET /v1/domains HTTP/1.1\r\nHost: x\r\n")

        def is_cut():
            try:
                stream.sendall(b"X: y\r\n")
            except OSError:
                return True
            return False

        wait_until(is_cut, world.log)
    # Nor does one wait who says nothing, with TLS or without.
    assert raw(world, b"") == b""
    with socket.create_connection(
            ("127.0.0.1", world.api), DEADLINE_S) as silent:
        assert silent.recv(100) == b""


def test_one_address_has_so_many_connections(world):
    many = [socket.create_connection(("127.0.0.1", world.api), DEADLINE_S)
            for _ in range(51)]
    many[-1].settimeout(DEADLINE_S)
    assert many[-1].recv(1) == b""
    for each in many:
        each.close()
    wait_until(lambda: subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "--cacert",
         world.path / "tls/cert.pem",
         f"https://127.0.0.1:{world.api}/openapi.json"],
        check=False).returncode == 0, world.log)


def test_no_http_without_tls(world):
    with socket.create_connection(
            ("127.0.0.1", world.api), DEADLINE_S) as plain:
        plain.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            got = plain.recv(1000)
        except ConnectionError:
            got = b""
        assert b"HTTP" not in got
