"""The soak: everything that tallyd does at once, for SOAK_SECONDS (20 in the suite, 1800 in `make soak`). Programs come, work,
are killed or end; readers are slow, broken and many; every route that reads is asked, every control is given. At the end
memory, descriptors, threads and maps are flat, every ledger was exact, and the history is sound."""
import glob
import os
import random
import signal
import socket
import sqlite3
import statistics
import threading
import time

import malformed
from harness import CHECKED, PATIENCE, SLOWER, Scenario, Stopwatch, UnixConnection, until

ALONE = True  # what is measured here is not others' load
SECONDS = int(os.environ.get("SOAK_SECONDS", "20"))
HOSTS = 5
# What the second third may differ from the last: a short run is still growing into its buffers.
RESIDENT_KIB = 2048 if SECONDS >= 600 else 24576
LIVELY_MAL = "(def! f (fn* (n) (if (= n 0) (list) (cons n (f (- n 1)))))) (def! g (fn* (n) (if (= n 0) 0 (do (f 30) (g (- n 1))))))\n(g 3000)\n"


class Soak(Scenario):
    def setUp(self):
        super().setUp()
        signal.alarm(int(SECONDS + 150 * SLOWER))
        self.over = threading.Event()
        self.counts, self.wrong = {}, []
        self.hosts = {}  # process: (its child, its lock)
        self.samples = []

    def count(self, what, number=1):
        self.counts[what] = self.counts.get(what, 0) + number

    def shape(self):
        """KiB resident, descriptors, threads, maps."""
        base = f"/proc/{self.daemon.pid}"
        with open(base + "/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        with open(base + "/maps", encoding="utf-8", errors="replace") as file:
            maps = sum(1 for _ in file)
        return int(lines["VmRSS"].split()[0]), len(os.listdir(base + "/fd")), int(lines["Threads"]), maps

    def forever(self, work, pause):
        def loop():
            while not self.over.is_set():
                try:
                    work()
                except Exception as error:  # whatever it is, it is a finding
                    self.wrong.append(f"{work.__name__}: {type(error).__name__}: {error}")
                    if len(self.wrong) > 20:
                        self.over.set()
                self.over.wait(pause * random.uniform(0.5, 1.5))
        thread = threading.Thread(target=loop)
        thread.start()
        return thread

    # ---- what goes on

    def host_lives(self):
        """A host's whole life; its ledger is held against tallyd's counters before its end and after it."""
        host = self.start_host("ledger", f"soak-{random.randrange(4)}")
        process, lock = self.attached(host), threading.Lock()
        self.hosts[process] = (host, lock)
        end = time.monotonic() + random.uniform(2, 8)
        while time.monotonic() < end and not self.over.is_set():
            host.ask(random.choice(["make 300", "ring 20", "make 2000", "ring 5", "churn 200"]), 30)
            time.sleep(0.05)
        with lock:
            del self.hosts[process]
            ledger = host.own_ledger()
            self.assert_agrees(process, ledger)
            if random.random() < 0.5:
                host.process.kill()
            else:
                host.end()
        host.wait()
        until(lambda: self.unix("GET", f"/v1/processes/{process}").json.get("state") == "gone", "it is gone", pause=0.1)
        if host.process.returncode == -signal.SIGKILL:
            self.assert_agrees(process, ledger)
        self.forget(host)
        self.count("ledgers held against the counters")

    @staticmethod
    def forget(child):
        """One that has ended: its output takes no more room."""
        child.clean()
        with open(child.log_path, "wb"):
            pass

    def mal_lives(self):
        mal = self.start_mal("soak-mal", LIVELY_MAL, f"round={random.randrange(3)}")
        mal.wait(2 * PATIENCE)
        self.assertEqual(mal.process.returncode, 0, mal.log())
        self.forget(mal)
        self.count("mal programs")

    def any_host(self):
        return random.choice([*self.hosts.items()] or [(None, (None, None))])

    def control(self):
        process, (_, lock) = self.any_host()
        if not process or not lock.acquire(timeout=1):
            return
        try:
            if process not in self.hosts:
                return
            if random.random() < 0.6:
                answer = self.collect(process, random.randrange(3))
            else:
                change = random.choice([{"manager": "cycle"}, {"manager": "generational"}, {"manager": "full"}, {"max_pause_us": 1000},
                                        {"max_pause_us": 0}, {"events": "off"}, {"events": "all"}, {"thresholds": [500, 5, 5]}])
                answer = self.unix("PATCH", f"/v1/processes/{process}/config?wait=30s", change)
        finally:
            lock.release()
        if answer.status not in (200, 202, 409, 410, 422, 429):
            raise AssertionError(f"a control answered {answer}")
        self.count("controls")

    def scrape(self):
        """Every route that reads, as the daemon's own document lists them."""
        process, _ = self.any_host()
        for path, operations in self.get("/v1/openapi.json")["paths"].items():
            if "get" not in operations or path == "/v1/stream" or path.replace("{id}", "").count("{"):
                continue
            answer = self.unix("GET", path.replace("{id}", process or "f" * 32))
            if answer.status not in (200, 404, 409, 410, 422):
                raise AssertionError(f"{path} answered {answer}")
            self.count("reads")

    def malformed(self):
        name, text = random.choice(malformed.TABLE)
        host, port = self.address()
        with socket.create_connection((host, port)) as sock:
            sock.settimeout(PATIENCE)
            try:
                sock.sendall(malformed.filled_in(text, f"{host}:{port}", self.read("token"), "/v1/processes/" + "f" * 32))
                while sock.recv(65536):
                    pass
            except (ConnectionResetError, BrokenPipeError):
                pass
            except TimeoutError:
                raise AssertionError(f"{name}: no end") from None
        self.count("malformed requests")

    def follow(self):
        """A reader of a stream, at the pace it comes, for a while."""
        process, _ = self.any_host()
        topics = "fleet,operations" + (f",stats:{process},collections:{process},events:{process}" if process else "")
        connection = UnixConnection(self.path("api.sock"), PATIENCE + 10)
        connection.request("GET", "/v1/stream?topics=" + topics)
        answer = connection.getresponse()
        end = time.monotonic() + random.uniform(0.5, 5)
        while answer.status == 200 and time.monotonic() < end and not self.over.is_set():
            if answer.readline().startswith(b"event:"):
                self.count("events read from streams")
        if answer.status not in (200, 422, 503):
            raise AssertionError(f"a stream answered {answer.status}")
        connection.close()

    def dawdle(self):
        """A reader that asks for much and takes a byte now and then, on a listener or the other."""
        path = random.choice(["/v1/stream?topics=fleet,operations", "/v1/processes?limit=1000", "/v1/info", "/", "/metrics"])
        unix = random.random() < 0.5
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(PATIENCE)
            sock.connect(self.path("api.sock") if unix else self.address())
            request = f"GET {path} HTTP/1.1\r\nHost: @HOST@\r\nAuthorization: Bearer @TOKEN@\r\n\r\n"
            sock.sendall(malformed.filled_in(request, "%s:%d" % self.address(), self.read("token"), ""))
            for _ in range(random.randrange(2, 40)):
                if self.over.wait(1) or not sock.recv(1):
                    break
        self.count("slow readers")

    # ---- what must hold

    def history_is_open(self):
        """All three of its files, which a thread of tallyd opens when it comes to it."""
        base = f"/proc/{self.daemon.pid}/fd"
        return sum("history.db" in os.readlink(os.path.join(base, fd)) for fd in os.listdir(base)) >= 3

    def assert_flat(self, start):
        third = max(len(self.samples) // 3, 1)
        middle, last = self.samples[third:2 * third], self.samples[2 * third:]
        for n, (what, limit) in enumerate((("KiB resident", RESIDENT_KIB), ("descriptors", 24), ("threads", 0), ("maps", 64))):
            # Memory rises and falls with what the hosts hold just then: its floor must not rise.
            before, after = (statistics.quantiles([sample[n] for sample in part], n=10)[0 if n == 0 else 4] for part in (middle, last))
            hours = (len(last) + len(middle)) / 2 / 3600
            self.figure(f"soak: {what}: {start[n]} at the start, {before:g} in the second third, {after:g} in the last, "
                        f"{(after - before) / hours:+.0f} an hour, {max(sample[n] for sample in self.samples)} at most")
            if not CHECKED or what != "KiB resident":
                self.assertLessEqual(after - before, limit, what)

    def assert_history_is_sound(self):
        files = [path for path in glob.glob(os.path.join(self.state, "**"), recursive=True) if path.endswith((".db", ".sqlite"))]
        for path in files:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
                self.assertEqual(base.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        self.figure(f"soak: {len(files)} file of history, {sum(os.path.getsize(path) for path in files)} bytes, sound")

    def test_soak(self):
        config = os.path.join(self.dir, "tallyd.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write("[processes]\ngone-keep = 5s\ngone-count = 16\n")
        self.start_daemon("--config", config)
        until(self.history_is_open, "history is open")
        start = self.shape()
        works = [(self.host_lives, 0.1)] * HOSTS + [(self.mal_lives, 2), (self.control, 0.1), (self.control, 0.3), (self.scrape, 3),
                                                    (self.malformed, 0.1), *[(self.follow, 0.5)] * 3, *[(self.dawdle, 0.5)] * 6]
        threads = [self.forever(work, pause) for work, pause in works]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not self.over.is_set():
            self.samples.append(self.shape())
            time.sleep(1)
        self.over.set()
        for thread in threads:
            thread.join(2 * PATIENCE)
        for what, number in sorted(self.counts.items()):
            self.figure(f"soak: {number} {what}")
        self.assertEqual(self.wrong, [])
        self.assertGreater(self.counts.get("ledgers held against the counters", 0), SECONDS // 10)
        self.assert_flat(start)
        until(lambda: self.shape()[1] <= start[1] + 2, f"descriptors are {start[1]} as at the start", 30)
        self.assertEqual(self.shape()[2], start[2])
        watch = Stopwatch()
        self.daemon.process.terminate()
        self.assertEqual(self.daemon.wait(), 0, self.daemon.log()[-1000:])
        self.assertLess(watch.seconds(), 3)
        self.assert_history_is_sound()
