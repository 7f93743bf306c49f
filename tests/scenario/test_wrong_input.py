"""Wrong input over HTTP, on both listeners: each answer is a problem document with the right status. And a process
that speaks nonsense on agent.sock is dropped, logged and counted."""
import os
import socket

from harness import PATIENCE, Answer, Scenario, Stopwatch, until

NOBODY = "f" * 32


def read_answer(sock):
    """Reads one HTTP answer with a Content-Length off a socket."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise AssertionError(f"the connection closed after {data!r}")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        more = sock.recv(65536)
        if not more:
            break
        body += more
    return Answer(int(lines[0].split()[1]), headers, body)


class Listener:
    """The tests, for either listener."""

    def setUp(self):
        super().setUp()
        self.start_daemon()
        self.host_program = self.start_host("ledger")
        self.process = self.attached(self.host_program)

    def assert_problem(self, answer, status):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers.get("content-type"), "application/problem+json", answer)
        problem = answer.json
        for member in ("type", "title", "detail", "instance", "code"):
            self.assertIsInstance(problem[member], str, answer)
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["type"], "/problems/" + problem["code"])
        return problem

    def raw(self, head, body=b""):
        """Sends bytes as they are; what the server does not want to read may stay unsent."""
        with self.connect() as sock:
            sock.settimeout(PATIENCE)
            sock.sendall(head.encode("latin-1"))
            try:
                sock.sendall(body)
            except OSError:
                pass
            return read_answer(sock)

    def test_unknown_process_is_404(self):
        for leaf in ("", "/stats", "/types", "/collections", "/config"):
            for name in (NOBODY, "999999999", "bakery", "a%2fb"):
                self.assert_problem(self.ask("GET", f"/v1/processes/{name}{leaf}"), 404)
        self.assert_problem(self.ask("POST", f"/v1/processes/{NOBODY}/collect", {}), 404)
        self.assert_problem(self.ask("PATCH", f"/v1/processes/{NOBODY}/config", {"enabled": True}), 404)
        self.assert_problem(self.ask("GET", f"/v1/processes/{self.process}/heaps/99/stats"), 404)
        self.assert_problem(self.ask("GET", "/v1/operations/nope"), 404)

    def test_a_gone_process_is_410_for_controls_only(self):
        self.host_program.process.kill()
        until(lambda: self.processes("gone"), "it is gone")
        self.assert_problem(self.ask("POST", f"/v1/processes/{self.process}/collect", {}), 410)
        self.assert_problem(self.ask("PATCH", f"/v1/processes/{self.process}/config", {"enabled": True}), 410)
        self.assertEqual(self.ask("GET", f"/v1/processes/{self.process}/stats").json["state"], "gone")

    def test_wrong_json_is_400(self):
        for body in ("{", "nonsense", '{"generation":2', '{"generation":2}x', '{"a":1,"a":2}', b"\xff\xfe", "[" * 5000):
            self.assert_problem(self.ask("POST", f"/v1/processes/{self.process}/collect", body), 400)

    def test_values_out_of_range_are_422(self):
        for body in ({"generation": 3}, {"generation": -1}, {"generation": "2"}, {"generation": 1.5}, {"nonsense": 1},
                     {"generation": None}, {"deadline_ms": 0}, {"deadline_ms": 10 ** 18}):
            self.assert_problem(self.ask("POST", f"/v1/processes/{self.process}/collect", body), 422)
        for body in ({"enabled": 1}, {"thresholds": [1, 2]}, {"thresholds": [1, 2, -3]}, {"debug": ["nonsense"]},
                     {"events": "sampled"}, {"nonsense": True}):
            self.assert_problem(self.ask("PATCH", f"/v1/processes/{self.process}/config", body), 422)
        self.assertEqual(self.get(f"/v1/processes/{self.process}/config")["thresholds"], [700, 10, 10])

    def test_a_wrong_query_is_refused(self):
        for query in ("wait=abc", "wait=-1s", "wait=99999h"):
            answer = self.ask("POST", f"/v1/processes/{self.process}/collect?{query}", {})
            self.assertIn(answer.status, (400, 422), answer)
        for query in ("limit=0", "limit=x", "state=dead", "limit=100000"):
            answer = self.ask("GET", f"/v1/processes?{query}")
            self.assertIn(answer.status, (400, 422), answer)

    def test_a_huge_body_is_413(self):
        size = 64 << 20
        head = (f"POST /v1/processes/{self.process}/collect HTTP/1.1\r\nHost: {self.host()}\r\n{self.authority()}"
                f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n")
        self.assert_problem(self.raw(head, b" " * (1 << 20)), 413)
        chunked = head.replace(f"Content-Length: {size}", "Transfer-Encoding: chunked")
        self.assert_problem(self.raw(chunked, (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 64 + b"0\r\n\r\n"), 413)

    def test_duplicate_headers_are_400(self):
        path = f"/v1/processes/{self.process}/collect"
        common = f"Host: {self.host()}\r\n{self.authority()}Content-Type: application/json\r\n"
        for extra in (f"Host: {self.host()}\r\nContent-Length: 2\r\n", "Content-Length: 2\r\nContent-Length: 2\r\n",
                      "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"):
            answer = self.raw(f"POST {path} HTTP/1.1\r\n{common}{extra}\r\n", b"{}")
            self.assertEqual(answer.status, 400, extra)
        self.assert_problem(self.raw(f"GET /v1/info HTTP/1.1\r\n{common}Host: {self.host()}\r\n\r\n"), 400)

    def test_a_wrong_content_type_is_415(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""):
            answer = self.ask("POST", f"/v1/processes/{self.process}/collect", "{}", {"Content-Type": kind})
            self.assert_problem(answer, 415)
        answer = self.ask("POST", f"/v1/processes/{self.process}/collect?wait=30s", "{}",
                          {"Content-Type": "application/json; charset=utf-8"})
        self.assertEqual(answer.status, 200, answer)

    def test_a_wrong_method_is_405(self):
        for method, path in (("DELETE", "/v1/info"), ("POST", "/v1/processes"),
                             ("PUT", f"/v1/processes/{self.process}/config"),
                             ("GET", f"/v1/processes/{self.process}/collect")):
            answer = self.ask(method, path)
            self.assert_problem(answer, 405)
            self.assertIn("allow", {name.lower() for name in answer.headers.keys()})

    def test_an_unknown_route_is_404(self):
        for path in ("/v1/nope", "/v1", "/v2/processes", f"/v1/processes/{self.process}/nope", "/v1/processes//stats",
                     "/../etc/passwd", "/v1/../v1/nope", "/nope.js"):
            self.assert_problem(self.ask("GET", path), 404)
        for path in ("/v1/processes/%00", "/v1/processes/%", "/v1/processes/%zz", "/v1/" + 9000 * "x"):
            self.assertIn(self.ask("GET", path).status, (400, 414, 431), path)

    def test_strange_targets_and_headers_are_refused(self):
        common = f"Host: {self.host()}\r\n{self.authority()}"
        for line, headers in (("GET http://example.org/v1/info HTTP/1.1", ""),
                              ("GET /v1/info HTTP/1.1", "Bad Name: x\r\n"),
                              ("GET /v1/info HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n")):
            answer = self.raw(f"{line}\r\n{common}{headers}\r\n")
            self.assertIn(answer.status, (400, 404, 501), (line, headers))

    def test_the_daemon_is_well_afterwards(self):
        for _ in range(20):
            with self.connect() as sock:
                sock.sendall(os.urandom(300) + b"\r\n\r\n")
        self.assertEqual(self.ask("GET", "/v1/info").status, 200)
        self.assertTrue(self.daemon.running())


class OverUnix(Listener, Scenario):
    def ask(self, *arguments):
        return self.unix(*arguments)

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.path("api.sock"))
        return sock

    def host(self):
        return "any.host.will.do"

    def authority(self):
        return ""

    def test_no_token_and_any_host_is_fine(self):
        self.assertEqual(self.unix("GET", "/v1/info", headers={"Host": "elsewhere.example"}).status, 200)


class OverTcp(Listener, Scenario):
    def ask(self, *arguments):
        return self.tcp(*arguments)

    def connect(self):
        return socket.create_connection(self.address())

    def host(self):
        return "%s:%d" % self.address()

    def authority(self):
        return f"Authorization: Bearer {self.read('token')}\r\n"

    @staticmethod
    def not_too_many(answer):
        """Beyond 5 bad tokens a second it is 429."""
        return answer if answer.status != 429 else None

    def test_no_token_is_401(self):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic " + self.read("token")},
                        {"Authorization": "Bearer " + self.read("token") + "x"}, {"Authorization": ""}):
            for path in ("/v1/info", "/v1/processes", f"/v1/processes/{self.process}/stats", "/v1/stream?topics=fleet"):
                answer = until(lambda: self.not_too_many(self.tcp("GET", path, None, headers, token=False)), "it may ask")
                self.assert_problem(answer, 401)
                self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer"))
        answer = self.tcp("POST", f"/v1/processes/{self.process}/collect", {}, token=False)
        self.assert_problem(answer, 401)

    def test_health_and_the_page_are_open(self):
        self.assertEqual(self.tcp("GET", "/healthz", token=False).json, {"status": "ok"})
        self.assertEqual(self.tcp("GET", "/", token=False).status, 200)

    def test_a_wrong_host_is_421(self):
        for host in ("example.org", "127.0.0.1:1", "localhost.example.org", "evil:%d" % self.address()[1]):
            self.assert_problem(self.tcp("GET", "/v1/info", None, {"Host": host}), 421)
            self.assert_problem(self.tcp("GET", "/healthz", None, {"Host": host}, token=False), 421)
        self.assertEqual(self.tcp("GET", "/v1/info", None, {"Host": "localhost:%d" % self.address()[1]}).status, 200)

    def test_a_foreign_origin_is_refused(self):
        answer = self.tcp("POST", f"/v1/processes/{self.process}/collect", {}, {"Origin": "http://example.org"})
        self.assert_problem(answer, 403)

    def test_a_login_code_works_once(self):
        minted = self.unix("POST", "/v1/session", {})
        self.assertEqual(minted.status, 201, minted)
        code = minted.json["code"]
        self.assertEqual(minted.json["expires_in_s"], 60)
        self.assertEqual(minted.json["url"], f"http://{self.host()}/#login={code}")
        session = self.tcp("POST", "/v1/session", {"code": code}, token=False)
        self.assertEqual(session.status, 200, session)
        token = session.json["token"]
        self.assertEqual(self.tcp("GET", "/v1/info", None, {"Authorization": "Bearer " + token}).status, 200)
        again = self.tcp("POST", "/v1/session", {"code": code}, token=False)
        self.assertIn(again.status, (401, 403), again)
        self.assertIn(self.tcp("POST", "/v1/session", {}, token=False).status, (400, 401, 403, 422))


class Nonsense(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def speak(self, *messages):
        """Sends the messages and waits to be dropped."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.path("agent.sock"))
            try:
                for message in messages:
                    sock.send(message)
                while sock.recv(8192):
                    continue
            except (BrokenPipeError, ConnectionResetError):
                pass

    def refused(self):
        return {r["reason"]: r for r in self.get("/v1/info")["refused"]}

    def test_nonsense_is_dropped_logged_and_counted(self):
        logged = len(self.daemon.log())
        self.speak(b"nonsense")
        refused = until(self.refused, "it is counted")
        self.assertEqual(sum(r["count"] for r in refused.values()), 1)
        only = next(iter(refused.values()))
        self.assertEqual((only["last_pid"], only["last_uid"]), (os.getpid(), os.getuid()))
        self.assertIn(str(os.getpid()), self.daemon.log()[logged:])
        for message in (b"", b"\0" * 8, b"\xff" * 8192, os.urandom(100), b"\1\0\1\0\x58\0\0\0" + b"\0" * 80):
            if message:
                self.speak(message)
        until(lambda: sum(r["count"] for r in self.refused().values()) >= 5, "all are counted")
        self.assertEqual(self.processes(), [])

    def test_who_says_nothing_is_dropped_in_time(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.path("agent.sock"))
            watch = Stopwatch()
            try:
                self.assertEqual(sock.recv(100), b"")
            except ConnectionResetError:
                pass
            self.assertLess(watch.seconds(), 12)

    def test_others_attach_while_somebody_talks_nonsense(self):
        idle = []
        self.addCleanup(lambda: [sock.close() for sock in idle])
        for _ in range(20):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.connect(self.path("agent.sock"))
            idle.append(sock)
        host = self.start_host("ledger")
        process = self.attached(host)
        host.ask("make 10")
        self.assert_agrees(process, host.own_ledger())
