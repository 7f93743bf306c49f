"""A real tallyd in folders of its own, real programs beside it, and HTTP to both listeners.

Everything waits with a bound, ends what it started by its pid and nothing else, and leaves no folder behind.
A test waits for a state with until(), whose bound is wide; where a promise has a limit of time, a Stopwatch holds it."""
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("TALLY_TEST_BUILD", os.path.join(ROOT, "build"))
os.environ["PATH"] += os.pathsep + os.path.join(ROOT, "build/tools/usr/bin")  # what config/setup.sh has unpacked
NEVER_USED = {"allocations": 0, "frees": {"refcount": 0, "cycle": 0}, "live_bytes": 0}
SLOWER = float(os.environ.get("TALLY_TEST_SLOWER", 1))  # see tests/run.py: every limit of time is so many times as long
CHECKED = bool(os.environ.get("TALLY_TEST_LINK"))  # a build with sanitizers: slower, and larger
THREADS_CHECKED = "thread" in os.environ.get("TALLY_TEST_LINK", "")  # by ThreadSanitizer, which does not see a raw clone
PATIENCE = 30.0 * SLOWER  # for what should take a moment, on a machine that is busy
REPORT = re.compile(r"(Address|Leak|Thread)Sanitizer|runtime error:|ERROR: Can't open file:")  # the last: of a report
SANITIZERS = {"ASAN_OPTIONS": "", "UBSAN_OPTIONS": "", "TSAN_OPTIONS": ":die_after_fork=0"}  # a host's child may attach


def may_look_into_others():
    """CAP_SYS_PTRACE: without it, nobody sees the memory and descriptors of a tallyd in its sandbox."""
    with open("/proc/self/status", encoding="ascii") as status:
        capabilities = int(next(line for line in status if line.startswith("CapEff:")).split()[1], 16)
    return bool(capabilities >> 19 & 1)


def program(name):
    return os.path.join(BUILD, name)


def until(condition, what, seconds=PATIENCE, pause=0.02):
    """Waits for a true value and returns it."""
    seconds = max(seconds, PATIENCE)
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Stopwatch:
    """For limits of time. A test has the machine beside others, who may take nearly all of it: what they took does not
    count against what is measured, and on a machine that does nothing else this is the time as it passes."""

    def __init__(self):
        self.start, self.before = time.monotonic(), self.processors()

    @staticmethod
    def processors():
        """Ticks since boot: (all, those that nobody used, those of this process and whatever came of it)."""
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        children, used = {}, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            children.setdefault(int(fields[1]), []).append(int(pid))
            used[int(pid)] = sum(int(field) for field in fields[11:15])
        ours, tree = 0, [os.getpid()]
        while tree:
            pid = tree.pop()
            ours += used.get(pid, 0)
            tree += children.get(pid, [])
        return sum(ticks), ticks[3] + ticks[4], ours

    def share(self):
        """The part of the machine that was ours, or free for us, 0 to 1; less where programs are slow themselves."""
        every, free, ours = (after - before for after, before in zip(self.processors(), self.before))
        return min(max((free + ours) / every, 0), 1) / SLOWER if every else 1 / SLOWER

    def seconds(self):
        passed = time.monotonic() - self.start
        return passed * self.share()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


def reporting_to(path):
    """The environment in which sanitizers write to `path`, whatever becomes of a program's own output."""
    return {name: f"{os.environ.get(name, '')}:log_path={path}{more}" for name, more in SANITIZERS.items() if CHECKED}


class Child:
    """A program that we started, its output, and what ends it."""

    def __init__(self, arguments, environment, log, stdin=subprocess.DEVNULL):
        self.log_path = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(arguments, stdin=stdin, stdout=out, stderr=subprocess.STDOUT,
                                            env=environment, cwd=ROOT)
        self.pid = self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def stop(self):
        """SIGSTOP, and waits until it holds."""
        self.signal(signal.SIGSTOP)

        def stopped():
            with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "T"
        until(stopped, "it is stopped")

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, line, seconds=PATIENCE):
        """A command for hosts/ledger; returns what it printed before its "ok"."""
        seen = len(self.log())
        self.type(line)
        done = f"ok {line.split()[0]}\n"

        def answered():
            if not self.running():
                raise AssertionError("the host ended: " + self.log())
            return done in self.log()[seen:]
        until(answered, f"the host obeys '{line}'", seconds)
        return self.log()[seen:].split(done)[0]

    def deafen(self):
        """hosts/ledger: it comes to no safepoint from now on, until hear() or another command."""
        seen = self.log().count("hears nothing")
        self.type("deaf")
        until(lambda: self.log().count("hears nothing") > seen, "the host hears nothing")

    def hear(self):
        self.ask("hear")

    def ledger(self, who="ledger"):
        """The last ledger that `who` printed."""
        lines = [line for line in self.log().splitlines() if line.startswith(who + " {")]
        return json.loads(lines[-1].partition(" ")[2]) if lines else None

    def own_ledger(self):
        self.ask("show")
        return self.ledger()

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def ends(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, patience=PATIENCE):
        """SIGTERM, and SIGKILL where that is not heard in time. A sanitizer may look for leaks first, if the program returns."""
        self.signal(signal.SIGCONT)
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except OSError:
                pass
            if CHECKED and self.ends(2):
                return
        self.signal(signal.SIGTERM)
        if not self.ends(patience):
            self.process.kill()
            self.process.wait()

    def clean(self):
        """Ends it, whatever it does: nothing outlives its test. A sanitizer's report fails the test."""
        self.end(2 * SLOWER)
        if CHECKED and REPORT.search(self.log()):
            raise AssertionError(f"{self.log_path}: {self.log()[-8000:]}")


class Scenario(unittest.TestCase):
    """One runtime and one state folder, no tallyd yet."""
    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="tally-test-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.runtime = os.path.join(self.dir, "run")
        self.state = os.path.join(self.dir, "state")
        os.mkdir(self.runtime, 0o700)
        os.mkdir(self.state, 0o700)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("TALLY_", "TALLYD_", "XDG_"))}
        self.environment |= {"TALLY_RUNTIME_DIR": self.runtime, "TALLY_STATE_DIR": self.state,
                             "XDG_CONFIG_HOME": self.dir}
        self.environment |= reporting_to(os.path.join(self.state, "sanitizer"))  # where tallyd may write in its sandbox
        self.addCleanup(self.no_report)
        if not may_look_into_others():
            self.environment["TALLYD_NO_SANDBOX"] = "yes"
        self.children = 0
        self.daemon = None

    def no_report(self):
        """Of a sanitizer, in any program of the test; called when all of them have ended."""
        texts = []
        for path in glob.glob(os.path.join(self.state, "sanitizer.*")):
            with open(path, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        if texts:
            raise AssertionError("".join(texts)[:20000])

    def spawn(self, *arguments, stdin=subprocess.DEVNULL, **environment):
        self.children += 1
        log = os.path.join(self.dir, f"{self.children}-{os.path.basename(arguments[0])}.log")
        child = Child(arguments, self.environment | environment, log, stdin)
        self.addCleanup(child.clean)
        return child

    def start_daemon(self, *arguments, listen="127.0.0.1:0"):
        """Starts tallyd and waits until it is ready, which http.addr says."""
        self.daemon = self.spawn(program("tallyd"), "--http-listen", listen, *arguments)

        def ready():
            if not self.daemon.running():
                raise AssertionError("tallyd ended: " + self.daemon.log())
            return self.address_pid_alive()
        until(ready, "tallyd is ready")
        return self.daemon

    def address_pid_alive(self):
        """http.addr may be a dead daemon's: only an answer from ours counts."""
        try:
            ours = self.unix("GET", "/v1/info").json["pid"] == self.daemon.pid
            return ours and os.path.exists(self.path("http.addr"))
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False

    def path(self, name):
        return os.path.join(self.runtime, name)

    def read(self, name):
        with open(self.path(name), encoding="ascii") as file:
            return file.read().strip()

    def address(self):
        host, _, port = self.read("http.addr").rpartition(":")
        return host, int(port)

    @staticmethod
    def figure(text):
        """What a test has measured, for those who run it with -v."""
        if os.environ.get("TALLY_TEST_FIGURES"):
            print(text)

    # ---- HTTP

    def unix(self, method, path, body=None, headers=None, seconds=PATIENCE + 10):
        return self.send(UnixConnection(self.path("api.sock"), seconds), method, path, body, headers or {})

    def tcp(self, method, path, body=None, headers=None, token=True, seconds=PATIENCE + 10):
        headers = dict(headers or {})
        if token:
            headers.setdefault("Authorization", "Bearer " + self.read("token"))
        return self.send(http.client.HTTPConnection(*self.address(), timeout=seconds), method, path, body, headers)

    @staticmethod
    def send(connection, method, path, body, headers):
        headers = dict(headers)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        try:
            try:
                connection.request(method, path, body, headers)
            except BrokenPipeError:
                pass  # answered before the body was read
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path):
        """The JSON of a GET that must succeed, over api.sock."""
        answer = self.unix("GET", path)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    # ---- processes

    def processes(self, state=None):
        return self.get("/v1/processes" + (f"?state={state}" if state else ""))["processes"]

    def settled(self, process):
        """tallyd has read all that the process wrote, and its history is open: no descriptor or map of its is on its way."""
        def rests():
            base = f"/proc/{self.daemon.pid}/fd"
            files = [os.readlink(os.path.join(base, fd)) for fd in os.listdir(base)]
            events = self.stats(process)["events"]
            return sum("history.db" in file for file in files) >= 3 and events["seen"] + events["lost"] == events["written"] > 0
        until(rests, "tallyd is settled")

    def attached(self, child, seconds=PATIENCE):
        """The process's summary, once tallyd shows it with a heap. Returns its id."""
        def found():
            if not child.running():
                raise AssertionError("the program ended: " + child.log())
            return [p for p in self.processes("live") if p["pid"] == child.pid and p["heaps"]]
        return until(found, f"pid {child.pid} is attached", seconds)[0]["id"]

    def stats(self, process):
        return self.get(f"/v1/processes/{process}/stats")

    def types(self, process):
        return {t["name"]: t for t in self.get(f"/v1/processes/{process}/types")["types"]}

    def collect(self, process, generation=2, wait="30s", **more):
        return self.unix("POST", f"/v1/processes/{process}/collect?wait={wait}", {"generation": generation, **more})

    def configure(self, process, wait="30s", **config):
        answer = self.unix("PATCH", f"/v1/processes/{process}/config?wait={wait}", config)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def start_operation(self, process, kind="collect", body=None, wait="0s"):
        answer = self.unix("POST", f"/v1/processes/{process}/{kind}?wait={wait}", body or {})
        self.assertEqual(answer.status, 202, answer)
        self.assertEqual(answer.headers["Location"], "/v1/operations/" + answer.json["id"])
        return answer.json

    def operation(self, operation, wait="0s"):
        return self.get(f"/v1/operations/{operation['id']}?wait={wait}")

    def agrees(self, process, ledger):
        """Whether tallyd's figures per type and in all are the host's own; if not, what differs."""
        types = self.types(process)
        total = {"allocations": 0, "refcount": 0, "cycle": 0, "live_bytes": 0}
        for name in ("node", "leaf", "text"):
            seen = types.get(name, NEVER_USED)  # a view has no row of such a type
            seen = {"allocations": seen["allocations"], **seen["frees"], "live_bytes": seen["live_bytes"]}
            if seen != ledger[name]:
                return f"{name}: tallyd {seen}, the host {ledger[name]}"
            for key in total:
                total[key] += ledger[name][key]
        stats = self.stats(process)
        seen = {"allocations": stats["allocations"], **stats["frees"], "live_bytes": stats["live_bytes"]}
        return None if seen == total else f"in all: tallyd {seen}, the host {total}"

    def assert_agrees(self, process, ledger, seconds=PATIENCE):
        """Views are published a few times a second: waits until the newest has arrived."""
        end = time.monotonic() + seconds
        while (difference := self.agrees(process, ledger)) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIsNone(difference)

    # ---- programs

    def start_mal(self, name, text=None, *labels, stdin=subprocess.DEVNULL):
        """tally-mal with a program of the test's, or its REPL where there is none."""
        arguments = [program("tally-mal"), "--name", name]
        for label in labels:
            arguments += ["--label", label]
        if text is not None:
            file = os.path.join(self.dir, f"{name}-{self.children}.mal")
            with open(file, "w", encoding="utf-8") as out:
                out.write(text)
            arguments.append(file)
        return self.spawn(*arguments, stdin=stdin)

    def start_repl(self, name):
        return self.start_mal(name, stdin=subprocess.PIPE)

    def start_host(self, host, *arguments, **environment):
        return self.spawn(program(f"hosts/{host}"), *arguments, stdin=subprocess.PIPE, **environment)

    def ctl(self, *arguments, seconds=PATIENCE + 10, **environment):
        """Runs tallyctl; returns what subprocess.run() does."""
        return subprocess.run([program("tallyctl"), *arguments], capture_output=True, text=True, timeout=seconds,
                              env=self.environment | environment, cwd=ROOT, check=False)
