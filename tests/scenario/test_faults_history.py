"""Faults of the disk under a running tallyd, by their number in the fault table; what needs no daemon is in
tests/unit/history/test_faults.c. Whatever happens to history, live figures stay right and on time."""
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
import unittest

from harness import PATIENCE, Scenario, Stopwatch, UnixConnection, program, until

LONG = True  # begins first, see run.py


class HistoryFaults(Scenario):
    def degraded(self):
        return self.get("/healthz") == {"status": "degraded", "degraded": ["history"]}

    def info(self):
        return self.get("/v1/info")["history"]

    def whole(self):
        with sqlite3.connect(os.path.join(self.state, "history.db")) as db:
            return db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def recorded(self, process, seconds):
        """Whether something of the last seconds is in history."""
        history = self.unix("GET", f"/v1/processes/{process}/history?from=-{seconds}s&series=allocations")
        return history.status == 200 and any(value is not None for value in history.json["series"][0]["last"])

    def busy(self):
        """A program whose figures change all the time."""
        host = self.start_mal("busy", "(def! f (fn* (n) (f (+ n 1)))) (f 0)")
        return host, self.attached(host)

    def assert_live(self, process):
        before = self.stats(process)["allocations"]
        until(lambda: self.stats(process)["allocations"] > before, "live figures go on", 2)

    @unittest.skipIf(os.getuid(), "mounts a small disk, as root")
    def test_F5_a_full_disk(self):
        """8 MiB of disk, filled: degraded within a second, live figures go on, and within ten seconds after there is room
        again so does history."""
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", self.state], capture_output=True,
                          check=False).returncode:
            self.skipTest("mount is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.state], check=False)
        self.start_daemon()
        _, process = self.busy()
        until(lambda: self.recorded(process, 20), "history is written")
        filler = os.path.join(self.state, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)):
                    pass
            except OSError:
                pass
        watch = Stopwatch()
        until(self.degraded, "it says so")
        self.assertLess(watch.seconds(), 1)
        self.assert_live(process)
        time.sleep(6)  # commits fail
        self.assert_live(process)
        self.assertTrue(self.info()["why"])
        os.unlink(filler)
        until(lambda: not self.degraded(), "it is written again", 10)
        until(lambda: self.recorded(process, 3), "what happens now is recorded", 10)
        self.assertEqual(self.info()["rows_dropped"], 0)  # the queue was long enough
        self.daemon.end()
        self.assertTrue(self.whole())

    def test_F5_a_quota(self):
        """No file may grow any more (EFBIG, and SIGXFSZ that nobody asked for): the same."""
        self.start_daemon()
        _, process = self.busy()
        until(lambda: self.recorded(process, 20), "history is written")
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        until(self.degraded, "it says so", 10)  # with the next commit
        self.assert_live(process)
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        until(lambda: not self.degraded(), "it is written again", 10)
        until(lambda: self.recorded(process, 3), "what happens now is recorded", 10)
        self.daemon.end()
        self.assertTrue(self.whole())

    def test_F5_no_file_at_all(self):
        """A folder in the place of history.db: tallyd starts, says what is wrong, and history begins once it can."""
        os.mkdir(os.path.join(self.state, "history.db"))
        self.start_daemon()
        _, process = self.busy()
        until(self.degraded, "it says so", 5)
        answer = self.unix("GET", f"/v1/processes/{process}/history")
        self.assertEqual((answer.status, answer.json["code"]), (503, "history_unavailable"))
        self.assertIn("Retry-After", answer.headers)
        os.rmdir(os.path.join(self.state, "history.db"))
        until(lambda: self.recorded(process, 20), "history begins", 10)
        self.assertEqual(self.get("/healthz"), {"status": "ok"})

    def test_F6_a_slow_disk(self):
        """Every sync but the first, which make the file, takes two seconds: answers and figures come as fast as ever, and
        rows wait."""
        self.daemon = self.spawn("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
                                 "-e", "inject=fdatasync,fsync:delay_enter=2000000:when=8+", program("tallyd"), "--http-listen",
                                 "127.0.0.1:0", "--no-sandbox")
        until(self.address_pid_alive, "tallyd is ready")
        _, process = self.busy()
        connection, times, seen = UnixConnection(self.path("api.sock"), PATIENCE), [], set()
        watch = Stopwatch()
        end = time.monotonic() + 6
        while time.monotonic() < end:
            start = time.monotonic()
            connection.request("GET", f"/v1/processes/{process}/stats")
            answer = connection.getresponse().read()
            times.append(time.monotonic() - start)
            seen.add(answer)
            time.sleep(0.01)
        connection.close()
        times.sort()
        p99 = times[len(times) * 99 // 100]
        self.figure(f"F6: {len(times)} answers beside a disk of 2 s a sync, p99 {p99 * 1000:.1f} ms, {len(seen)} views")
        self.assertLess(p99 * watch.share(), 0.25)
        self.assertGreater(len(seen), 3.5 * watch.seconds())  # several views a second
        self.assertEqual(self.info()["rows_dropped"], 0)
        until(lambda: self.recorded(process, 20), "rows arrive all the same", 25)

    def test_F7_tallyd_is_killed_while_it_writes(self):
        """kill -9 at random times: the file is whole, and lacks no more than the last five seconds."""
        host = None
        for _ in range(2):
            watch = Stopwatch()
            self.start_daemon()
            if not host:
                host, process = self.busy()
            self.attached(host)
            until(lambda: self.recorded(process, 5), "history is written")
            time.sleep(random.uniform(0, 5))
            share, killed = watch.share(), time.time()
            self.daemon.signal(signal.SIGKILL)
            self.daemon.wait()
            self.assertTrue(self.whole())
            with sqlite3.connect(os.path.join(self.state, "history.db")) as db:
                until_s, = db.execute("SELECT until - at + wall_s FROM runs ORDER BY at DESC LIMIT 1").fetchone()
            self.assertLess((killed - until_s) * share, 6.5)  # five seconds, and what rounding to seconds makes of both ends
