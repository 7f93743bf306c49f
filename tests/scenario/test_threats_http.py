"""Threats against the HTTP interface, by their number in the threat model. What a browser does with A4 and A6 is in
tests/browser/threats.test.mjs, what strangers cost (A13) in test_faults_http.py."""
import csv
import glob
import io
import json
import os
import re
import socket
import stat
import subprocess
import sys
import unittest
import urllib.parse

import wire
from harness import PATIENCE, ROOT, Scenario, Stopwatch, program, until

sys.path.insert(0, os.path.join(ROOT, "config"))
from tables import rows  # noqa: E402

OPEN = {("GET", "/healthz"), ("POST", "/v1/session"), ("GET", "/v1/downloads/1")}
FACE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin"}
POLICY = ("default-src 'none'", "script-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'")


def routes():
    """Every row of the table, so that one that is added tomorrow is tested too."""
    for route in rows(os.path.join(ROOT, "src/api/routes.def"), "method path scope place handler parameters body answers summary"):
        yield route["method"], re.sub(r"\{\w+\}", "1", route["path"])


class Threats(Scenario):
    def raw(self, head, body=b""):
        """Status, headers (lower case) and body of what is answered to these very bytes."""
        with socket.create_connection(self.address(), PATIENCE) as sock:
            sock.sendall(head.encode("latin-1") + body)
            came = b""
            while piece := sock.recv(65536):
                came += piece
        top, _, rest = came.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split()[1]) if lines[0] else None, headers, rest

    def host(self):
        return "%s:%d" % self.address()

    def controls_done(self):
        return [r for r in self.get("/v1/audit")["records"] if r["result"] != "refused"]

    # ---- A2: other users of the machine, on TCP

    def test_A2_every_route_but_three_needs_the_token(self):
        """Each row of the table, without a token and with a wrong one: 401 and nothing else; 100 % of them."""
        self.start_daemon("--log-level", "debug")
        asked = [route for route in routes() if route not in OPEN]
        self.assertGreater(len(asked), 30)
        document = {(method.upper(), re.sub(r"\{\w+\}", "1", path)) for path, item in self.get("/v1/openapi.json")["paths"].items()
                    for method in item if method in ("get", "put", "post", "patch", "delete")}
        self.assertEqual(set(routes()), document)
        for method, path in (*asked, ("GET", "/metrics/sd"), ("GET", "/v1/nope"), ("HEAD", "/v1/info")):
            body = "{}" if method in ("POST", "PUT", "PATCH") else None
            answer = self.tcp(method, path, body, token=False)
            self.assertIn(answer.status, (401, 404) if path == "/v1/nope" else (401,), f"{method} {path}")
            self.assertEqual(answer.headers.get("WWW-Authenticate", "").split()[:1], ["Bearer"] if answer.status == 401 else [])
            self.assertIn(self.tcp(method, path, body, {"Authorization": "Bearer " + "0" * 64}, token=False).status,
                          (401, 429, 404) if path == "/v1/nope" else (401, 429), path)
        self.assertEqual(self.controls_done(), [])

    def test_A2_a_ticket_is_good_once_for_its_download_and_falls_with_its_token(self):
        """Whoever has none gets nothing, and more than five guesses a second are counted; none is in the log or the audit."""
        done = subprocess.run([program("hosts/artifact"), self.state, "web", "500", "heap"], capture_output=True, text=True, check=True)
        artifact = done.stdout.strip()
        self.start_daemon("--log-level", "debug")
        until(lambda: self.get(f"/v1/artifacts/{artifact}")["state"] == "ready", "it is analysed", 30)
        ask = lambda **more: self.tcp("POST", f"/v1/artifacts/{artifact}/ticket", '{"format":"ndjson"}', **more)
        self.assertEqual(ask(token=False).status, 401)
        reader, control = (self.unix("POST", "/v1/tokens", {"name": scope, "scope": scope}).json["token"] for scope in ("read", "control"))
        self.assertEqual(ask(headers={"Authorization": f"Bearer {reader}"}, token=False).status, 403)
        tickets = [ask(headers={"Authorization": f"Bearer {control}"}, token=False).json["url"] for _ in range(3)]
        for status in (200, 404):
            answer = self.tcp("GET", tickets[0], token=False)
            self.assertEqual(answer.status, status)
        self.assertEqual(self.tcp("HEAD", tickets[1], token=False).status, 200)
        elsewhere = {"Sec-Fetch-Site": "cross-site"}
        self.assertEqual(self.tcp("GET", tickets[1], headers=elsewhere, token=False).status, 403)
        self.assertEqual(len(self.tcp("GET", tickets[1], token=False).body.splitlines()), 500)
        self.unix("DELETE", "/v1/tokens/control")
        self.assertEqual(self.tcp("GET", tickets[2], token=False).status, 404)
        records = [r for r in self.get("/v1/audit")["records"] if r["kind"] == "artifact_download"]
        self.assertEqual([(r["who"], r["target"], r["result"]) for r in records], [("token control", artifact, "done")] * 2)
        guess = lambda: self.tcp("GET", "/v1/downloads/" + "0" * 64, token=False).status
        self.assertIn(guess(), (404, 429))
        until(lambda: 429 in [guess() for _ in range(8)], "guesses are counted")
        for ticket in tickets:
            self.assertNotIn(ticket[-64:], self.daemon.log() + str(self.get("/v1/audit")))

    def test_A2_the_token_is_in_no_argument_log_or_title(self):
        self.start_daemon("--log-level", "debug")
        token = self.read("token")
        for path in ("/v1/info", "/v1/nope", "/v1/processes?limit=0", f"/v1/info?token={token}", f"/{token}"):
            self.tcp("GET", path)
        for path in (f"/v1/tokens?token={token}", f"/v1/tokens/{token}", f"/v1/tokens/x?token={token}"):
            for method in ("POST", "DELETE"):  # refused controls are in the audit, too
                self.tcp(method, path, "{}", {"Origin": "http://evil.test"})
        self.tcp("GET", "/v1/info", None, {"Authorization": f"Basic {token}"}, token=False)
        code = self.unix("POST", "/v1/session", {}).json["code"]
        session = self.tcp("POST", "/v1/session", {"code": code}, token=False).json["token"]
        self.tcp("GET", "/v1/info", None, {"Authorization": "Bearer " + session}, token=False)
        self.assertEqual(self.ctl("token", "rotate").returncode, 0)
        secrets = {token, self.read("token"), session, code}
        process = f"/proc/{self.daemon.pid}/"
        seen = {name: open(process + name, "rb").read() for name in ("cmdline", "comm", "environ")}
        self.daemon.end()
        seen["log"] = self.daemon.log().encode()
        for name, bytes_ in seen.items():
            for secret in secrets:
                self.assertNotIn(secret.encode(), bytes_, name)

    # ---- A4: a page in the operator's browser

    def test_A4_no_foreign_page_controls(self):
        """Even with the token: another Origin, another site by Sec-Fetch-Site, a form's content type. No CORS, no preflight."""
        self.start_daemon()
        process = self.attached(self.start_host("ledger"))
        collect, token = f"/v1/processes/{process}/collect", self.read("token")
        before = self.stats(process)["collections"]
        origins = ("http://evil.test", "null", "http://127.0.0.1", "https://127.0.0.1.evil.test", "file://",
                   "http://localhost:1", "http://" + self.host() + ".evil.test", "http://" + self.host() + "@evil.test",
                   "http://evil.test#" + self.host(), "")
        for origin in origins:
            answer = self.tcp("POST", collect, {}, {"Origin": origin})
            self.assertEqual((answer.status, answer.json["code"]), (403, "bad_origin"), origin)
            self.assertEqual(self.tcp("GET", "/v1/info", None, {"Origin": origin}).status, 403, origin)
        for site in ("cross-site", "same-site", "nonsense"):
            self.assertEqual(self.tcp("POST", collect, {}, {"Sec-Fetch-Site": site}).status, 403, site)
            self.assertEqual(self.tcp("GET", "/v1/stream?topics=fleet", None, {"Sec-Fetch-Site": site}).status, 403, site)
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
            answer = self.tcp("POST", collect, "{}", {"Content-Type": kind})
            self.assertEqual((answer.status, answer.json["code"]), (415, "bad_content_type"), kind)
        for method, path in routes():
            status, headers, _ = self.raw(
                f"OPTIONS {path} HTTP/1.1\r\nHost: {self.host()}\r\nOrigin: http://evil.test\r\nAccess-Control-Request-Method: "
                f"{method}\r\nAccess-Control-Request-Headers: authorization\r\nAuthorization: Bearer {token}\r\n"
                "Connection: close\r\n\r\n")
            self.assertEqual([name for name in headers if name.startswith("access-control")], [], path)
            self.assertIn(status, (204, 403), path)
        self.assertEqual(self.controls_done(), [])
        self.assertEqual(self.stats(process)["collections"], before)
        ours = self.tcp("POST", collect + "?wait=30s", {}, {"Origin": "http://" + self.host(), "Sec-Fetch-Site": "same-origin"})
        self.assertEqual(ours.status, 200, ours)

    # ---- A5: DNS rebinding

    def test_A5_the_host_is_one_of_ours_to_the_letter(self):
        """A table of Hosts; a wrong one is 421 for all routes, the page and /healthz too, a missing or double one 400."""
        self.start_daemon()
        port = self.address()[1]
        good = (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}")
        wrong = ("evil.test", f"evil.test:{port}", "127.0.0.1", "localhost", f"127.evil.com:{port}", f"127.0.0.1.evil.com:{port}",
                 f"localhost.evil.com:{port}", f"localhost.:{port}", f"LOCALHOST:{port}", f"Localhost:{port}",
                 f"127.0.0.1.:{port}", f"127.1:{port}", f"127.0.0.2:{port}", f"0.0.0.0:{port}", f"2130706433:{port}",
                 f"0x7f000001:{port}", f"0177.0.0.1:{port}", f"[::ffff:127.0.0.1]:{port}", f"[0:0:0:0:0:0:0:1]:{port}",
                 f"::1:{port}", f"user@127.0.0.1:{port}", f"127.0.0.1:{port}@evil.test", f"127.0.0.1:{port + 1}",
                 f"127.0.0.1:0{port}", f"127.0.0.1:{port}:80", f"127.0.0.1:{port}/", f"127.0.0.1:{port}#", f"127.0.0.1:{port}?x",
                 f"http://127.0.0.1:{port}", f"127.0.0.1:{port},evil.test", f"evil.test,127.0.0.1:{port}", "127.0.0.1:", ":",
                 f"127.0.0.1%00.evil.test:{port}", f"127.0.0.1:{port}.evil.test", f"127.0.0.1:+{port}", "[::1]", f"[::1:{port}")
        self.assertGreaterEqual(len(good) + len(wrong), 30)
        auth = f"Authorization: Bearer {self.read('token')}\r\nConnection: close\r\n\r\n"
        for host in good:
            self.assertEqual(self.raw(f"GET /v1/info HTTP/1.1\r\nHost: {host}\r\n{auth}")[0], 200, host)
        for host in wrong:
            for path in ("/v1/info", "/healthz", "/", "/v1/stream?topics=fleet", "/metrics"):
                status, _, body = self.raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{auth}")
                self.assertEqual(status, 421, f"{host} {path}")
                self.assertEqual(json.loads(body)["code"], "wrong_host", host)
        for head in (f"GET /v1/info HTTP/1.1\r\n{auth}", f"GET /v1/info HTTP/1.0\r\n{auth}", f"GET /v1/info HTTP/1.1\r\nHost:\r\n{auth}",
                     f"GET /v1/info HTTP/1.1\r\nHost: {good[0]}\r\nHost: {good[0]}\r\n{auth}",
                     f"GET /v1/info HTTP/1.1\r\nHost: {good[0]}\r\nHost: evil.test\r\n{auth}",
                     f"GET http://{good[0]}/v1/info HTTP/1.1\r\nHost: {good[0]}\r\n{auth}",
                     f"GET http://evil.test/v1/info HTTP/1.1\r\nHost: {good[0]}\r\n{auth}",
                     f"GET //evil.test/v1/info HTTP/1.1\r\nHost: {good[0]}\r\n{auth}"):
            self.assertIn(self.raw(head)[0], (400, 404, 421), head)

    # ---- A6: what programs call themselves

    def test_A6_names_reach_nobody_as_anything_but_text(self):
        """Markup, quotes, formulas and text that runs backwards, as names of a program, of types and of labels: JSON, frames of
        a stream, /metrics, CSV, the command line and the log carry them as text."""
        self.start_daemon("--log-level", "debug")
        host = self.start_host("hostile")
        process = self.attached(host)
        types = self.get(f"/v1/processes/{process}/types?limit=1000")["types"]
        names = {one["name"]: one for one in types}
        self.assertEqual(len(names), 13)
        self.assertIn("</script><img src=x onerror=\"window.pwned=1\">", names)
        self.assertEqual(self.stats(process)["name"], "</script><img src=x onerror=\"window.pwned=1\">")
        self.collect(process)
        stream = self.stream_frames(f"fleet,stats:{process}", {"fleet", "stats"})
        self.assertEqual({event for event, _ in stream} - {"hello", "fleet", "stats"}, set())
        self.assertTrue(any("onerror" in data for event, data in stream if event == "fleet"))
        self.check_metrics(names)
        self.check_csv(process, names)
        for arguments in (("list",), ("types", process), ("stats", process), ("config", process), ("doctor",), ("list", "--json"),
                          ("types", process, "--json")):
            done = self.ctl(*arguments)
            self.assert_tame(done.stdout + done.stderr, arguments)
        self.daemon.end()
        self.assert_tame(self.daemon.log(), "the log")

    def stream_frames(self, topics, wanted):
        """(event, data) of the frames until each of those wanted has come; a name that breaks a frame would make a line that is no field."""
        with socket.create_connection(self.address(), PATIENCE) as sock:
            sock.sendall((f"GET /v1/stream?topics={topics} HTTP/1.1\r\nHost: {self.host()}\r\n"
                          f"Authorization: Bearer {self.read('token')}\r\n\r\n").encode())
            reader = sock.makefile("rb")
            while reader.readline() != b"\r\n":
                continue
            frames, event = [], None
            while not wanted <= {event for event, _ in frames}:
                chunk = reader.read(int(reader.readline(), 16))
                reader.readline()
                for line in chunk.decode().split("\n"):
                    if line.startswith("event: "):
                        event = line[7:]
                    elif line.startswith("data: "):
                        json.loads(line[6:])
                        frames.append((event, line[6:]))
                    else:
                        self.assertRegex(line, r"^$|^:|^id: |^retry: ")
        return frames

    def check_metrics(self, names):
        """Each line is a comment or one sample, and each label's text is one of the program's, quoted."""
        text = self.unix("GET", "/metrics?detail=process,types").body.decode()
        seen = set()
        for line in text.split("\n"):
            if line and not line.startswith("# "):
                match = re.fullmatch(r'(?:tally|tallyd|process)_\w+(?:\{((?:[a-z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? [-+0-9.eInfNa]+(?: \d+)?', line)
                self.assertTrue(match, line)
                seen |= {re.sub(r"\\(.)", r"\1", value) for value in re.findall(r'type="((?:[^"\\]|\\.)*)"', match[1] or "")}
        self.assertTrue(seen & set(names), "types are among the labels")

    def check_csv(self, process, names):
        """No cell begins as a formula does, and quoting keeps every column one column."""
        wanted = [f"type:{name}.live_bytes" for name in names if "," not in name][:8]
        query = urllib.parse.quote(",".join(wanted), safe="")
        until(lambda: self.unix("GET", f"/v1/processes/{process}/history?format=csv&series={query}").body.count(b"\r\n") > 2,
              "some seconds are kept")
        answer = self.unix("GET", f"/v1/processes/{process}/history?format=csv&series={query}")
        self.assertTrue(answer.headers["Content-Type"].startswith("text/csv"))
        table = list(csv.reader(io.StringIO(answer.body.decode(), newline="")))
        self.assertEqual({len(row) for row in table}, {1 + 3 * len(wanted)})
        for row in table:
            for cell in row:
                self.assertNotRegex(cell, r"^[=+@\t\r-]")

    def assert_tame(self, text, where):
        """No escape, no other control character, nothing that turns a line round."""
        self.assertNotRegex(text, "[\x00-\x08\x0b-\x1f\x7f-\x9f]", where)
        if "--json" not in where:
            self.assertNotRegex(text, "[\u202a-\u202e\u2066-\u2069]", where)

    def test_A6_a_liar_with_control_characters_is_refused_alone(self):
        """Types and names that the library would not take, from a program that forges its memory: it is refused and counted,
        nobody else notices, and the log stays text."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for name in (b"\x1b]0;x\a", b"\xff\xfe", b"a\n\ndata: x", b"\xc2\x9b31m", b"nul\0nul", b"\x7f"):
            peer = wire.connect(self.path("agent.sock"))
            peer.send(wire.hello("forger"))
            peer.receive_kind(wire.WELCOME)
            peer.send(*wire.forged_counters(1, name))
            self.assertTrue(peer.ended(), name)
            peer.close()
            peer = wire.connect(self.path("agent.sock"))
            peer.send(wire.hello(name.decode("latin-1")) if name != b"\xff\xfe" else wire.hello("\ud800".encode(errors="surrogatepass").decode("latin-1")))
            peer.close()
        refused = until(lambda: {r["reason"]: r["count"] for r in self.get("/v1/info")["refused"]
                                 if "clean UTF-8" in r["reason"]}, "it is counted")
        self.assertEqual(sum(refused.values()), 6)
        self.assertEqual([p["name"] for p in self.processes("live")], [p["name"] for p in self.processes("live") if p["id"] == process])
        self.assertEqual(self.unix("GET", "/v1/processes").status, 200)
        host.ask("make 10")
        self.assert_agrees(process, host.own_ledger())
        self.assert_tame(self.daemon.log(), "the log")

    # ---- A12: off loopback

    def test_A12_off_loopback_only_when_told_and_then_read_only(self):
        watch = Stopwatch()
        done = subprocess.run([program("tallyd"), "--http-listen", "0.0.0.0:0"], capture_output=True, text=True, timeout=PATIENCE,
                              env=self.environment, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertLess(watch.seconds(), 1)
        self.assertIn("--public-host", done.stderr)
        self.assertIn("--insecure-http", done.stderr)
        self.assertEqual(os.listdir(self.runtime), [])
        for arguments, host in ((("--insecure-http",), None), (("--public-host", "tally.example.org"), "tally.example.org")):
            self.start_daemon(*arguments, listen="0.0.0.0:0")
            process = self.attached(self.start_host("ledger"))
            port = self.address()[1]
            headers = {"Host": host or f"127.0.0.1:{port}"}
            for method, path, body in (("POST", f"/v1/processes/{process}/collect", {}), ("POST", "/v1/tokens", {"name": "x", "scope": "read"}),
                                       ("PATCH", f"/v1/processes/{process}/config", {"enabled": False}), ("GET", "/v1/tokens", None)):
                answer = self.afar(method, path, body, headers)
                self.assertEqual((answer.status, answer.json["code"]), (403, "remote_control_off"), path)
            self.assertEqual(self.afar("GET", f"/v1/processes/{process}/stats", None, headers).status, 200)
            asker = self.afar("GET", "/v1/session", None, headers).json
            self.assertEqual((asker["scopes"], asker["remote_control_off"]), (["read"], True))
            self.assertEqual(self.afar("GET", "/v1/info", None, {"Host": "evil.test"}).status, 421)
            self.assertEqual(self.collect(process).status, 200)  # api.sock is no listener of TCP
            self.daemon.end()
        self.start_daemon("--insecure-http", "--remote-control", listen="0.0.0.0:0")
        process = self.attached(self.start_host("ledger"))
        self.assertEqual(self.afar("POST", f"/v1/processes/{process}/collect?wait=30s", {}, {}).status, 200)

    def test_A12_a_snapshot_does_not_leave_the_machine_unless_told(self):
        """To read one whole is no write, and takes the scope control all the same. Who makes a ticket on the machine has said it."""
        done = subprocess.run([program("hosts/artifact"), self.state, "web", "500", "heap"], capture_output=True, text=True, check=True)
        path = f"/v1/artifacts/{done.stdout.strip()}"
        self.start_daemon("--insecure-http", listen="0.0.0.0:0")
        until(lambda: self.get(path)["state"] == "ready", "it is analysed", 30)
        for method, leaf in (("GET", "?format=ndjson"), ("HEAD", "?format=pprof"), ("GET", "/objects"), ("POST", "/ticket")):
            answer = self.afar(method, path + leaf, {"format": "ndjson"} if method == "POST" else None, {})
            self.assertEqual(answer.status, 403, leaf)
            self.assertEqual(method == "HEAD" or answer.json["code"], method == "HEAD" or "remote_control_off", leaf)
        self.assertEqual(self.afar("GET", path, None, {}).status, 200)
        ticket = self.unix("POST", path + "/ticket", {"format": "ndjson"}).json["url"]
        self.assertEqual(len(self.afar("GET", ticket, None, {}).body.splitlines()), 500)

    def afar(self, method, path, body, headers):
        import http.client
        headers = {"Authorization": "Bearer " + self.read("token"), **headers}
        return self.send(http.client.HTTPConnection("127.0.0.1", self.address()[1], timeout=PATIENCE), method, path, body, headers)

    # ---- A14: who reads the files

    def test_A14_files_are_ours_alone_and_hold_no_address(self):
        """No file or folder of the state may be read by others, those of SQLite included; neither there nor in what the API says
        stands a value that lies in the program's memory."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("make 2000", "ring 300", "collect 2"):
            host.ask(line)
        self.assertEqual(self.collect(process).status, 200)
        self.assertEqual(self.ctl("token", "create", "x", "--scope", "read").returncode, 0)
        until(lambda: os.path.exists(os.path.join(self.state, "history.db-wal")), "history is written")
        figures = f"/v1/processes/{process}/history?from=-1m&format=csv"
        until(lambda: self.unix("GET", figures).body.count(b"\r\n") > 2, "figures are kept")
        with open(f"/proc/{host.pid}/maps", encoding="ascii") as maps:
            ranges = [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in maps]
        ranges = [r for r in ranges if r[1] - r[0] < 1 << 32]  # a sanitizer's shadow is as wide as the clock is far
        views = [self.unix("GET", f"/v1/processes/{process}{leaf}").body for leaf in ("", "/types", "/collections", "/stats", "/events")]
        found = [path for path in (self.state, *glob.glob(self.state + "/**", recursive=True))
                 if stat.S_IMODE(os.lstat(path).st_mode) & 0o077]
        self.assertEqual(found, [])
        self.assertLessEqual({"history.db", "history.db-wal", "history.db-shm", "token", "tokens"}, set(os.listdir(self.state)))
        self.daemon.end()
        for path in glob.glob(self.state + "/history.db*"):
            with open(path, "rb") as file:
                self.assert_no_address(file.read(), ranges, path)
        for body in views:
            numbers = {int(number) for number in re.findall(rb"\d{9,20}", body)}
            self.assertEqual([n for n in numbers for low, high in ranges if low <= n < high and low > 1 << 40], [])

    def assert_no_address(self, bytes_, ranges, path):
        """Little- and big-endian, at every offset; only maps above 1 TiB, as chance makes smaller numbers."""
        low, high = min(r[0] for r in ranges if r[0] > 1 << 40), max(r[1] for r in ranges if r[0] < 1 << 47)
        for order, prefix in (("little", 5), ("big", 5)):
            for start, end in ranges:
                if not low <= start < high:
                    continue
                whole = start.to_bytes(8, order)
                mark = whole[3:] if order == "little" else whole[:prefix]
                at = bytes_.find(mark)
                while at >= 0:
                    begin = at - 3 if order == "little" else at
                    value = int.from_bytes(bytes_[max(begin, 0):begin + 8], order)
                    self.assertFalse(begin >= 0 and start <= value < end, f"{path} at {begin}: {value:#x}")
                    at = bytes_.find(mark, at + 1)

    # ---- the face of every answer

    def test_every_answer_wears_the_headers(self):
        """Answers and refusals of both listeners alike: policy, nosniff, no referrer, no other origin, no Server, nothing kept."""
        self.start_daemon()
        process = self.attached(self.start_host("ledger"))
        authority = f"Authorization: Bearer {self.read('token')}\r\n"
        asked = [("GET", path, authority) for path in ("/v1/info", f"/v1/processes/{process}/stats", f"/v1/processes/{process}/types",
                                                       "/metrics", "/healthz", "/v1/openapi.json", "/", "/main.js", "/v1/nope", "/nope",
                                                       "/v1/processes/zz", "/v1/processes?limit=0", "/v1/history/processes")]
        asked += [("GET", "/v1/info", ""), ("DELETE", "/v1/info", authority), ("OPTIONS", "/v1/info", authority),
                  ("HEAD", "/v1/info", authority), ("POST", f"/v1/processes/{process}/collect", authority),
                  ("GET", "/v1/info", authority + "Origin: http://evil.test\r\n"), ("GET", "/v1/info", "Host: x\r\n" + authority)]
        for method, path, headers in asked:
            status, face, _ = self.raw(f"{method} {path} HTTP/1.1\r\nHost: {self.host()}\r\n{headers}Connection: close\r\n\r\n")
            what = f"{method} {path}: {status}"
            for name, value in FACE.items():
                self.assertEqual(face.get(name.lower()), value, f"{what} {name}")
            for part in POLICY if path in ("/", "/main.js") else POLICY[:1] + POLICY[-1:]:  # a page's, and what no page is
                self.assertIn(part, face.get("content-security-policy", ""), what)
            self.assertNotIn("server", face, what)
            self.assertNotIn("unsafe", face["content-security-policy"], what)
            if path.startswith("/v1") and status != 204:
                self.assertIn(face.get("cache-control"), ("no-store", "no-cache"), what)


if __name__ == "__main__":
    unittest.main()
