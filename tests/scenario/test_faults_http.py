"""What HTTP does to tallyd, by the number in the tables of faults and threats: hostile bytes and bodies, slow and silent
peers, crowds. Each docstring is the promise."""
import json
import os
import re
import resource
import socket
import statistics
import threading
import time

import malformed
from harness import CHECKED, PATIENCE, Scenario, Stopwatch, UnixConnection, program, until

ALONE = True  # what is measured here is not others' load


class HttpFaults(Scenario):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def dial(self, receive_bytes=None):
        sock = socket.socket()
        self.addCleanup(sock.close)
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.settimeout(PATIENCE)
        sock.connect(self.address())
        return sock

    def exchange(self, data, sock=None):
        """Sends, reads to the end. Returns the status of the first answer (None: there was none) and all that came."""
        sock = sock or self.dial()
        came = b""
        try:
            sock.sendall(data)
        except OSError:
            pass  # answered and closed meanwhile
        try:
            while more := sock.recv(65536):
                came += more
        except ConnectionResetError:
            pass
        sock.close()
        status = re.match(rb"HTTP/1\.1 (\d+) ", came)
        return (int(status[1]) if status else None), came

    def filled_in(self, text, process):
        return malformed.filled_in(text, "%s:%d" % self.address(), self.read("token"), f"/v1/processes/{process}")

    def resident(self):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def cpu_s(self):
        with open(f"/proc/{self.daemon.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def assert_small(self, before, limit_kib):
        grown = self.resident() - before
        self.figure(f"{self.id().rpartition('.')[2]}: {grown} KiB more")
        if not CHECKED:  # sanitizers keep what is freed
            self.assertLess(grown, limit_kib)

    def watch_health(self, seconds, meanwhile):
        """Asks /healthz on api.sock all the time, new connections too, and calls meanwhile() beside it. Returns the times."""
        times, watch, end = [], Stopwatch(), time.monotonic() + seconds
        kept = UnixConnection(self.path("api.sock"), PATIENCE)
        self.addCleanup(kept.close)

        def ask():
            while time.monotonic() < end:
                for connection in (kept, UnixConnection(self.path("api.sock"), PATIENCE)):
                    start = time.monotonic()
                    connection.request("GET", "/healthz")
                    answer = connection.getresponse()
                    ok = answer.status == 200 and json.loads(answer.read())
                    times.append(time.monotonic() - start if ok else PATIENCE)
                    if connection is not kept:
                        connection.close()
                time.sleep(0.005)
        thread = threading.Thread(target=ask)
        thread.start()
        meanwhile(end)
        thread.join()
        share = watch.share()
        return [one * share for one in times]

    def assert_well(self, times, limit_s):
        p99 = statistics.quantiles(times, n=100)[98]
        self.figure(f"{self.id().rpartition('.')[2]}: p99 of {len(times)} is {1000 * p99:.2f} ms")
        self.assertLess(p99, limit_s)

    def test_F17_without_descriptors_http_rests_and_recovers(self):
        """48 descriptors: whoever is in is answered, 5 % of a CPU at most, and a second after one is free the next is in."""
        self.daemon = self.spawn("prlimit", "--nofile=48:48", program("tallyd"), "--http-listen", "127.0.0.1:0")
        until(self.address_pid_alive, "tallyd is ready")
        kept = UnixConnection(self.path("api.sock"), PATIENCE)
        self.addCleanup(kept.close)
        kept.request("GET", "/healthz")
        self.assertEqual(kept.getresponse().read(), b'{"status":"ok"}')
        crowd = [self.dial() for _ in range(60)]
        until(lambda: "no connection can be accepted" in self.daemon.log(), "the descriptors are used up")
        before, start = self.cpu_s(), time.monotonic()
        time.sleep(1.5)
        share = (self.cpu_s() - before) / (time.monotonic() - start)
        kept.request("GET", "/healthz")
        self.assertEqual(kept.getresponse().status, 200)
        for sock in crowd:
            sock.close()
        watch = Stopwatch()
        self.assertEqual(self.tcp("GET", "/healthz", token=False).status, 200)
        took = watch.seconds()
        self.figure(f"F17: {100 * share:.1f} % of a CPU, {took:.2f} s until the next")
        self.assertLess(took, 1.0)
        if not CHECKED:
            self.assertLessEqual(share, 0.05)
        self.assertLess(self.daemon.log().count("no connection can be accepted"), 20)

    def test_F20_a_hundred_readers_that_do_not_read(self):
        """100 connections that ask for much and take a byte a second: what waits for them is the kernel's, 256 KiB each at
        most; others are answered as before, and after 30 s they are gone."""
        self.start_daemon()
        request = self.filled_in(f"GET /v1/openapi.json HTTP/1.1\r\n{malformed.AUTHORITY}\r\n", "0")
        quiet = self.watch_health(1, lambda end: time.sleep(1))
        before, slow = self.resident(), []
        for _ in range(100):
            slow.append(self.dial(4096))
            slow[-1].sendall(16 * request)  # what answers it is more than the kernel keeps
            self.assertEqual(slow[-1].recv(1), b"H")  # a stranger no more

        def sip(end):
            while time.monotonic() < end:
                for sock in slow:
                    self.assertEqual(len(sock.recv(1)), 1)
                time.sleep(1)
        times = self.watch_health(4, sip)
        self.assert_small(before, 100 * 64)
        self.assert_well(times, max(0.050, 2 * statistics.quantiles(quiet, n=100)[98]))
        if not os.environ.get("TALLY_TEST_FIGURES"):
            return  # the deadline is held to by test_connections
        time.sleep(31)
        for sock in slow:
            total = 0
            try:
                while more := sock.recv(1 << 20):
                    total += len(more)
            except ConnectionResetError:
                pass
            self.assertLess(total, 512 << 10)

    def test_F21_malformed_requests_are_refused_and_the_connection_closed(self):
        """Every row of malformed.TABLE: a status of refusal, the connection closed, nothing behind it obeyed."""
        self.start_daemon()
        process = self.attached(self.start_host("ledger"))
        self.assertGreater(len(malformed.TABLE), 300)
        wrong = []
        for name, text in malformed.TABLE:
            try:
                status, came = self.exchange(self.filled_in(text, process))
            except TimeoutError:
                status, came = "open", b""
            if status not in malformed.REFUSALS or b"HTTP/1.1 2" in came or b"101 " in came[:20]:
                wrong.append((name, status, came[:60]))
        self.assertEqual(wrong, [])
        self.assertEqual(self.get("/v1/operations")["operations"], [])
        status, _ = self.exchange(self.filled_in(malformed.get("X: y\r\nConnection: close\r\n"), process))
        self.assertEqual(status, 200)  # the same, well formed

    def test_F22_malformed_json_is_400(self):
        """Depth, duplicates, numbers out of range, escapes, encodings, and what follows the end."""
        self.start_daemon()
        process = self.attached(self.start_host("ledger"))
        bad = [b"", b" ", b"{", b"}", b"[", b"[]", b"null", b"true", b"1", b'"x"', b"{]", b"{}}", b"{}{}", b"{} x", b"{,}", b'{"a"}', b'{"a":}',
               b'{"a":1,}', b'{"a":1 "b":2}', b"{'a':1}", b"{a:1}", b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}', b'{"\\u0061":1,"a":1}', b'{"a":01}',
               b'{"a":+1}', b'{"a":.5}', b'{"a":1.}', b'{"a":1e}', b'{"a":1e999}', b'{"a":-1e999}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":0x10}',
               b'{"a":9223372036854775808}', b'{"a":-9223372036854775809}', b'{"a":' + b"9" * 400 + b"}", b'{"a":"\\x"}', b'{"a":"\\u12"}',
               b'{"a":"\\u0000"}', b'{"\\u0000":1}', b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}', b'{"a":"\x00"}', b'{"a":"\n"}', b'{"a":"\xff"}',
               b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}', b'{"\xff":1}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"{\x00}",
               b"{}\x00", b"/**/{}", b"{}//", b"[" * 60000, b"{\"a\":" * 10000, b'{"a":' + b"[" * 17 + b"]" * 17 + b"}", b'{"a":' + b'{"a":' * 20 + b"1" + b"}" * 21,
               b'{"a":"' + b"x" * 60000, b'"' * 60000, b"\\" * 60000, b'{"a":1' + b" " * 60000]
        for body in bad[1:]:
            answer = self.unix("POST", f"/v1/processes/{process}/collect", body)
            self.assertEqual((answer.status, answer.json["code"]), (400, "bad_json"), body[:60])
        for body in (b'{"a":' + b"[" * 14 + b"]" * 14 + b"}", b'{"a":1e308}', b'{"a":"\\ud83d\\ude00"}', b'{"generation":2.0}', b'{"generation":1e0}'):
            self.assertEqual(self.unix("POST", f"/v1/processes/{process}/collect", body).status, 422, body[:60])
        self.assertEqual(self.unix("POST", f"/v1/processes/{process}/collect", b"[" * 1_000_000).status, 413)
        self.assertEqual(self.unix("POST", f"/v1/processes/{process}/collect?wait=30s", b' \t\r\n{ } \n').status, 200)

    def test_F23_huge_bodies_are_refused_before_they_are_read(self):
        """A length beyond the limit at once; a body that says no length where it passes the limit."""
        self.start_daemon()
        process = self.attached(self.start_host("ledger"))
        before = self.resident()
        for length in (65537, 10 ** 9, 10 ** 18, 2 ** 63 - 1):
            status, _ = self.exchange(self.filled_in(malformed.post(f"Content-Length: {length}\r\n"), process))
            self.assertEqual(status, 413, length)
        for _ in range(10):
            sock = self.dial()
            sock.sendall(self.filled_in(malformed.post("Transfer-Encoding: chunked\r\n"), process))
            chunk, sent = b"1000\r\n" + b" " * 4096 + b"\r\n", 0
            try:
                while sent < 1 << 26:
                    sent += sock.send(chunk)
            except OSError:
                pass
            self.assertLess(sent, 1 << 26)
        self.assert_small(before, 2048)
        self.assertEqual(self.collect(process).status, 200)

    def test_F24_a_thousand_slow_ones_starve_nobody(self):
        """1,000 sockets that say a byte now and then, in header and body: at most 64 stay, /healthz on api.sock stays under
        50 ms (p99), whoever has a token is served, and 10 s end a header."""
        self.start_daemon()
        process = self.attached(self.start_host("ledger"))
        texts = [self.filled_in(text, process) for text in (malformed.get("X: y\r\n"), malformed.post("Content-Length: 60000\r\n"),
                                                              "GET /healthz HTTP/1.1\r\nHost: @HOST@\r\nX: ")]
        slow = [[self.dial(), texts[n % 3], 0] for n in range(1000)]
        oldest = self.dial()  # the last to come is not sent off while nobody comes
        watch = Stopwatch()

        def dribble(end):
            served = 0
            while time.monotonic() < end:
                for entry in slow:
                    sock, text, at = entry
                    entry[2] = at + 1
                    try:
                        sock.send(text[at:at + 1] or b"x")
                    except OSError:
                        pass
                self.assertEqual(self.tcp("GET", "/v1/info").status, 200)
                served += 1
                time.sleep(0.5)
            self.assertGreater(served, 3)
        times = self.watch_health(6, dribble)
        self.assert_well(times, 0.050)
        open_now = len(os.listdir(f"/proc/{self.daemon.pid}/fd"))
        self.figure(f"F24: {open_now} descriptors are open")
        self.assertLess(open_now, 130)
        oldest.settimeout(PATIENCE)
        try:
            self.assertEqual(oldest.recv(1), b"")
        except ConnectionResetError:
            pass
        self.assertLess(watch.seconds(), 12)

    def test_F25_five_hundred_want_a_stream(self):
        """500 openers, half of which never read: 64 are let in, the 65th hears 503 and when to come again, memory stays under
        64 MiB, figures and others' requests go on, and tallyd ends within 2 s."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        host.type("spin 20000")
        topics = f"fleet,operations,stats:{process},collections:{process},events:{process}"
        request = self.filled_in(f"GET /v1/stream?topics={topics} HTTP/1.1\r\n{malformed.AUTHORITY}\r\n", process)
        openers, statuses = [], []
        for n in range(500):
            sock = self.dial(4096 if n % 2 else None)
            sock.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sock.recv(1024)
            statuses.append(answer[9:12])
            if answer[9:12] != b"200":
                self.assertIn(b"Retry-After: 1", answer)
                sock.close()
            elif n % 2 == 0:
                openers.append(sock)
        self.assertEqual((statuses.count(b"200"), statuses.count(b"503")), (64, 436))

        def read(end):
            while time.monotonic() < end:
                for sock in openers:
                    sock.setblocking(False)
                    try:
                        sock.recv(1 << 20)
                    except BlockingIOError:
                        pass
                self.collect(process)
        watch = Stopwatch()
        times = self.watch_health(5, read)
        self.assert_well(times, 0.050)
        asked = time.monotonic_ns()
        view = self.stats(process)
        self.assertLess((asked - view["as_of_mono_ns"]) * watch.share(), 1_000_000_000)
        self.figure(f"F25: {self.resident()} KiB resident")
        if not CHECKED:
            self.assertLess(self.resident(), 65536)
        watch = Stopwatch()
        self.daemon.process.terminate()
        self.assertEqual(self.daemon.wait(), 0)
        self.assertLess(watch.seconds(), 2)

    def test_A13_strangers_do_not_grow_us(self):
        """10^5 pipelined requests without a token, whose answers nobody reads: 4 MiB at most."""
        self.start_daemon()
        before = self.resident()
        for text in ("GET /v1/info HTTP/1.1\r\nHost: @HOST@\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: @HOST@\r\n\r\n",
                     "POST /v1/session HTTP/1.1\r\nHost: @HOST@\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + " " * 1000):
            request = self.filled_in(text, "")
            flood = [self.dial(4096) for _ in range(50)]
            for sock in flood:
                sock.settimeout(0)
                try:
                    sock.sendall(request * 2000)
                except OSError:
                    pass  # full, or closed by now
            self.assertEqual(self.tcp("GET", "/v1/info").status, 200)
        self.assert_small(before, 4096)
