"""The stream of server-sent events, as a reader over either listener sees it."""
import http.client
import json
import socket
import time

from harness import PATIENCE, Scenario, Stopwatch, UnixConnection, until


class Reader:
    """Reads events off one connection: (event, id, data)."""

    def __init__(self, connection, path, headers=None):
        self.connection = connection
        connection.request("GET", path, headers=headers or {})
        self.response = connection.getresponse()
        self.comments = 0
        self.retry = None

    def next(self):
        event = {"event": "message", "id": None, "data": []}
        while True:
            line = self.response.readline()
            if not line:
                raise EOFError("the stream ended")
            line = line.decode().rstrip("\n")
            if not line and event["data"]:
                return event["event"], event["id"], json.loads("\n".join(event["data"]))
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line.startswith(":"):
                self.comments += 1
            elif name == "data":
                event["data"].append(value)
            elif name == "retry":
                self.retry = value
            elif line:
                event[name] = value

    def find(self, word, condition=lambda data: True, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            event, _, data = self.next()
            if event == word and condition(data):
                return data
        raise AssertionError(f"no {word} event within {seconds} s")

    def close(self):
        self.response.close()
        self.connection.close()


class Stream(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()
        self.host = self.start_host("ledger")
        self.process = self.attached(self.host)

    def reader(self, topics):
        reader = Reader(UnixConnection(self.path("api.sock"), PATIENCE), f"/v1/stream?topics={topics}")
        self.addCleanup(reader.close)
        self.assertEqual(reader.response.status, 200)
        self.assertTrue(reader.response.headers["Content-Type"].startswith("text/event-stream"))
        return reader

    def test_hello_comes_first_and_then_what_was_asked_for(self):
        reader = self.reader(f"fleet,stats:{self.process}")
        start = self.get("/v1/info")["start_id"]
        event, identity, hello = reader.next()
        self.assertEqual((event, hello["start_id"]), ("hello", start))
        seen = {}
        while set(seen) != {"fleet", "stats"}:
            event, identity, data = reader.next()
            self.assertEqual(identity, f"{start}-{data['seq']}")
            seen[event] = data
        self.assertEqual([p["id"] for p in seen["fleet"]["processes"]], [self.process])
        self.assertEqual(seen["stats"]["id"], self.process)
        self.assertEqual(reader.retry, "1000")

    def test_stats_follow_the_host(self):
        reader = self.reader(f"stats:{self.process}")
        self.host.ask("make 123")
        ledger = self.host.own_ledger()
        total = sum(ledger[name]["allocations"] for name in ("node", "leaf", "text"))
        data = reader.find("stats", lambda stats: stats["allocations"] == total)
        self.assertEqual(set(data), set(self.stats(self.process)))

    def test_collections_and_operations_are_told(self):
        reader = self.reader(f"collections:{self.process},operations")
        self.host.ask("automatic 0")
        self.host.ask("ring 6")
        operation = self.collect(self.process).json
        told = {"operation": None, "collections": None}
        while not all(told.values()):
            event, _, data = reader.next()
            if event == "operation" and data["state"] == "succeeded":
                told[event] = data
            elif event == "collections" and any(c["collected"] == 12 for c in data["collections"]):
                told[event] = data
        self.assertEqual((told["operation"]["id"], told["operation"]["result"]["collected"]), (operation["id"], 12))
        self.assertEqual(told["collections"]["id"], self.process)

    def test_a_process_that_goes_is_shown_gone(self):
        reader = self.reader("fleet")
        self.host.process.kill()
        data = reader.find("fleet", lambda fleet: all(p["state"] == "gone" for p in fleet["processes"]))
        self.assertEqual(data["processes"][0]["id"], self.process)

    def test_frames_come_at_most_four_times_a_second(self):
        reader = self.reader(f"stats:{self.process}")
        self.host.type("spin 60000")
        watch = Stopwatch()
        made = [reader.find("stats")["as_of_mono_ns"] for _ in range(10)]
        self.assertGreater(made[-1] - made[1], 8 * 0.25e9 * 0.9)  # the first one is of before it was asked for
        self.assertLess(watch.seconds(), 10 / 1.5)

    def test_bye_when_tallyd_goes(self):
        reader = self.reader("fleet")
        reader.next()
        self.daemon.process.terminate()
        reader.find("bye")
        self.assertEqual(self.daemon.wait(), 0)

    def test_over_tcp_it_needs_the_token(self):
        path = "/v1/stream?topics=fleet"
        self.assertEqual(self.tcp("GET", path, token=False).status, 401)
        reader = Reader(http.client.HTTPConnection(*self.address(), timeout=PATIENCE), path,
                        {"Authorization": "Bearer " + self.read("token")})
        self.addCleanup(reader.close)
        self.assertEqual(reader.next()[0], "hello")

    def status(self, query):
        """Without the body, which a stream that is let in never ends."""
        connection = UnixConnection(self.path("api.sock"), PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/stream" + query)
        return connection.getresponse().status

    def test_wrong_topics_are_refused(self):
        for query in ("?topics=nonsense", "?topics=stats:", "?topics=fleet,nonsense", "?topics=fleet&topics=fleet", "?nonsense=1"):
            self.assertIn(self.status(query), (400, 404, 422), query)

    def test_readers_that_do_not_read_cost_little_and_nobody_else(self):
        def resident():
            with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        stuck = []
        self.addCleanup(lambda: [sock.close() for sock in stuck])
        before = resident()
        self.host.type("spin 20000")
        for _ in range(30):
            sock = socket.socket(socket.AF_UNIX)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(self.path("api.sock"))
            topics = f"fleet,operations,stats:{self.process},collections:{self.process}"
            sock.sendall(f"GET /v1/stream?topics={topics} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            stuck.append(sock)
        for _ in range(60):
            self.assertEqual(self.collect(self.process).status, 200)
        self.assertLess(resident() - before, 40_000)
        reader = self.reader("fleet")
        self.assertEqual(reader.next()[0], "hello")
        reader.find("fleet")

    def test_the_counters_go_on_without_any_reader(self):
        self.reader("fleet").close()
        self.host.ask("make 10")
        self.assert_agrees(self.process, self.host.own_ledger())
        until(lambda: self.get("/v1/info")["processes"]["live"] == 1, "tallyd is well")
