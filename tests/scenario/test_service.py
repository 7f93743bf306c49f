"""tallyd under a service manager: sockets that were opened for it, readiness, the watchdog, and what the log says."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unittest

from harness import PATIENCE, Scenario, Stopwatch, UnixConnection, program, until

# Opens the sockets of argv[1] (JSON: [[name, family, type, address]...]) and becomes tallyd with them.
ACTIVATE = """import json, os, socket, sys
fds, names = [], []
for name, family, kind, address in json.loads(sys.argv[1]):
    s = socket.socket(family, kind)
    s.bind(address if isinstance(address, str) else tuple(address))
    if kind != socket.SOCK_DGRAM:
        s.listen(64)
        print('listens at', s.getsockname(), flush=True)
    fds.append(os.dup(s.fileno()))
    names.append(name)
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.closerange(3 + len(fds), 200)
os.environ |= {'LISTEN_FDS': str(len(fds)), 'LISTEN_PID': str(os.getpid()), 'LISTEN_FDNAMES': ':'.join(names)}
os.execv(sys.argv[2], sys.argv[2:])
"""


class Manager(Scenario):
    """The service manager's end of NOTIFY_SOCKET."""

    def setUp(self):
        super().setUp()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(os.path.join(self.dir, "notify"))
        self.notify.setblocking(False)
        self.environment["NOTIFY_SOCKET"] = os.path.join(self.dir, "notify")
        self.told = []

    def heard(self):
        while True:
            try:
                self.told.append((time.monotonic(), self.notify.recv(4096).decode()))
            except BlockingIOError:
                return [text for _, text in self.told]

    def until_heard(self, text, seconds=PATIENCE):
        return until(lambda: [t for t in self.heard() if text in t], f"{text} is told", seconds)[0]

    def activated(self, *sockets, arguments=()):
        self.daemon = self.spawn(sys.executable, "-c", ACTIVATE, json.dumps(sockets), program("tallyd"), *arguments)
        return self.daemon


class Service(Manager):
    def test_ready_reloading_stopping(self):
        self.start_daemon()
        self.assertIn("STATUS=http://" + self.read("http.addr"), self.until_heard("READY=1"))
        before = len(self.heard())
        self.daemon.signal(signal.SIGHUP)
        self.assertIn("MONOTONIC_USEC=", self.until_heard("RELOADING=1"))
        until(lambda: any("READY=1" in text for text in self.heard()[before:]), "it is ready again")
        self.assertFalse(any("WATCHDOG" in text for text in self.heard()))
        self.daemon.signal(signal.SIGTERM)
        self.until_heard("STOPPING=1")
        self.assertEqual(self.daemon.wait(), 0)

    def test_the_watchdog_hears_of_us_while_all_threads_live(self):
        self.environment["WATCHDOG_USEC"] = "400000"
        first = time.monotonic()
        self.start_daemon()
        until(lambda: sum("WATCHDOG=1" in text for text in self.heard()) >= 8, "pings come")
        self.assertGreater(time.monotonic() - first, 0.5)
        self.assertEqual([text for text in self.heard() if "WATCHDOG" in text and text != "WATCHDOG=1"], [])

    def test_reloads_do_not_silence_the_watchdog(self):
        self.environment["WATCHDOG_USEC"] = "2000000"
        self.start_daemon()
        before, watch = len(self.heard()), Stopwatch()

        def reloaded():
            self.daemon.signal(signal.SIGHUP)
            return sum("WATCHDOG=1" in text for text in self.heard()[before:]) >= 2
        until(reloaded, "pings come", pause=0.1)
        self.assertLess(watch.seconds(), 2 * 2)

    def test_the_watchdog_is_told_at_least_each_five_seconds(self):
        """However long it waits: a listener that nobody asks for that long would seem to hang."""
        self.environment["WATCHDOG_USEC"] = "600000000"
        self.start_daemon()
        until(lambda: sum("WATCHDOG=1" in text for text in self.heard()) >= 2, "pings come", 9)

    def test_passed_sockets_are_used_and_left_alone(self):
        def listening(kind, name):
            return [name, int(socket.AF_UNIX), int(kind), self.path(name + ".sock")]
        self.activated(["http", int(socket.AF_INET), int(socket.SOCK_STREAM), ["127.0.0.1", 0]],
                       listening(socket.SOCK_STREAM, "api"), listening(socket.SOCK_SEQPACKET, "agent"))
        self.until_heard("READY=1")
        port = re.search(r"listens at \('127\.0\.0\.1', (\d+)\)", self.daemon.log())[1]
        self.assertEqual(self.read("http.addr"), f"127.0.0.1:{port}")
        self.assertEqual(self.tcp("GET", "/v1/info").json["pid"], self.daemon.pid)
        self.attached(self.start_host("ledger"))
        self.daemon.signal(signal.SIGTERM)
        self.assertEqual(self.daemon.wait(), 0)
        self.assertEqual(sorted(os.listdir(self.runtime)), ["agent.sock", "api.sock"])

    def test_a_client_may_come_before_the_daemon(self):
        """The manager's socket keeps who connects until tallyd is there."""
        with socket.socket(socket.AF_UNIX) as early:
            early.bind(self.path("api.sock"))
            early.listen(8)
            client = UnixConnection(self.path("api.sock"), PATIENCE)
            self.addCleanup(client.close)
            client.request("GET", "/healthz")
            os.set_inheritable(early.fileno(), True)
            code = ("import os, sys; fd = int(sys.argv[1]); os.dup2(fd, 3); os.environ |= {'LISTEN_FDS': '1', "
                    "'LISTEN_PID': str(os.getpid()), 'LISTEN_FDNAMES': 'api'}; os.execv(sys.argv[2], sys.argv[2:])")
            with open(os.path.join(self.dir, "log"), "w", encoding="utf-8") as log:
                daemon = subprocess.Popen([sys.executable, "-c", code, str(early.fileno()), program("tallyd"),
                                           "--http-listen", "127.0.0.1:0"], env=self.environment, stdout=log,
                                          stderr=log, pass_fds=[early.fileno()])
            self.addCleanup(daemon.wait)
            self.addCleanup(daemon.terminate)
            self.assertEqual(client.getresponse().status, 200)

    def test_doctor_tells_who_looks_after_it(self):
        self.environment["WATCHDOG_USEC"] = "20000000"
        self.activated(["api", int(socket.AF_UNIX), int(socket.SOCK_STREAM), self.path("api.sock")],
                       arguments=("--http-listen", "127.0.0.1:0"))
        self.until_heard("READY=1")
        self.assertRegex(self.get("/v1/info")["service"], r", watchdog 20 s, sockets api$")
        said = self.ctl("doctor").stdout
        self.assertRegex(said, r"(?m)^ok +service: .*, watchdog 20 s, sockets api$")
        self.assertRegex(said, r"(?m)^ok +history: ")
        self.assertRegex(said, r"(?m)^ok +sandbox: no new privileges")

    def test_sockets_of_no_use_are_refused(self):
        for sockets, why in (
                ([["web", int(socket.AF_INET), int(socket.SOCK_STREAM), ["127.0.0.1", 0]]], "'web' is none of"),
                ([["http", int(socket.AF_INET), int(socket.SOCK_DGRAM), ["127.0.0.1", 0]]], "'http' is no listening"),
                ([["api", int(socket.AF_INET), int(socket.SOCK_STREAM), ["127.0.0.1", 0]]], "'api' is no listening"),
                ([["http", int(socket.AF_INET), int(socket.SOCK_STREAM), ["127.0.0.1", 0]]] * 2, "'http' stands twice"),
                ([["http", int(socket.AF_INET), int(socket.SOCK_STREAM), ["0.0.0.0", 0]]], "is not loopback")):
            daemon = self.activated(*sockets)
            self.assertEqual(daemon.wait(), 2, why)
            self.assertIn(why, daemon.log())


class Sandbox(Scenario):
    def setUp(self):
        super().setUp()
        self.environment.pop("TALLYD_NO_SANDBOX", None)

    def test_it_is_entered_and_told(self):
        self.start_daemon()
        sandbox = self.get("/v1/info")["sandbox"]
        self.assertTrue(sandbox["no_new_privileges"] and sandbox["undumpable"])
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2" if sandbox["system_calls"] else "0")
        self.assertEqual(sandbox["detail"] is None, sandbox["system_calls"] and sandbox["landlock"] > 0)
        self.assertEqual(sandbox["detail"] or "", self.daemon.log().partition("not whole: ")[2].partition("\n")[0])
        self.assertIn("sandbox: no new privileges, memory hidden", self.ctl("doctor").stdout)

    def test_none_is_told_too(self):
        self.start_daemon("--no-sandbox")
        self.assertEqual(self.get("/v1/info")["sandbox"], {"no_new_privileges": False, "undumpable": False,
                                                           "system_calls": False, "landlock": 0,
                                                           "detail": "--no-sandbox"})
        done = self.ctl("doctor")
        self.assertIn("tallyd runs without its sandbox (--no-sandbox)", done.stdout)
        self.assertEqual(done.returncode, 1)


class Log(Scenario):
    def test_json_lines_and_the_requests(self):
        self.start_daemon("--log-format", "json", "--log-level", "debug")
        self.tcp("GET", "/v1/info?secret=1", headers={"Authorization": "Bearer " + "5" * 64}, token=False)
        self.get("/v1/processes")
        self.daemon.end()
        lines = [json.loads(line) for line in self.daemon.log().splitlines()]
        self.assertTrue(all({"time", "level", "message"} <= set(line) for line in lines))
        messages = [line["message"] for line in lines if line["level"] == "debug"]
        self.assertIn("401 to nobody: /v1/info", messages)
        self.assertTrue(any(message.endswith(": /v1/processes") for message in messages), messages)
        for secret in ("secret", "5" * 64):
            self.assertNotIn(secret, self.daemon.log())

    def test_warnings_alone(self):
        self.start_daemon("--log-level", "warn")
        self.daemon.end()
        lines = self.daemon.log().splitlines()
        self.assertEqual([line for line in lines if "the sandbox is not whole" not in line], [])


if __name__ == "__main__":
    unittest.main()
