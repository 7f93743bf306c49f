"""tallyd's start and end: who may listen where, what lies in its folders, and what stays behind."""
import os
import signal
import socket
import stat
import subprocess

from harness import PATIENCE, Scenario, Stopwatch, program, until


class Daemon(Scenario):
    def run_daemon(self, *arguments, seconds=PATIENCE, **environment):
        """For a tallyd that must refuse to start: returns its exit status and log."""
        watch = Stopwatch()
        daemon = self.spawn(program("tallyd"), *arguments, **environment)
        try:
            status = daemon.wait(seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"tallyd {arguments} did not end: {daemon.log()}")
        self.took = watch.seconds()
        return status, daemon.log()

    def mode(self, path):
        return stat.S_IMODE(os.lstat(path).st_mode)

    def test_the_files_and_their_modes(self):
        os.rmdir(self.runtime)
        os.rmdir(self.state)
        self.start_daemon()
        self.assertEqual(self.mode(self.runtime), 0o700)
        self.assertEqual(self.mode(self.state), 0o700)
        for name in ("agent.sock", "api.sock", "token"):
            self.assertEqual(self.mode(self.path(name)), 0o600, name)
        for name in ("agent.sock", "api.sock"):
            self.assertTrue(stat.S_ISSOCK(os.lstat(self.path(name)).st_mode))
        host, port = self.address()
        self.assertEqual(host, "127.0.0.1")
        self.assertGreater(port, 0)
        for name in os.listdir(self.state):
            self.assertEqual(self.mode(os.path.join(self.state, name)) & 0o077, 0, name)

    def test_the_directories_come_from_the_options_first(self):
        other, state = os.path.join(self.dir, "other"), os.path.join(self.dir, "other-state")
        daemon = self.spawn(program("tallyd"), "--http-listen", "127.0.0.1:0", "--runtime-dir", other,
                            "--state-dir", state)
        until(lambda: os.path.exists(os.path.join(other, "http.addr")), "tallyd is ready")
        self.assertTrue(os.listdir(state))
        self.assertEqual(os.listdir(self.runtime), [])
        self.assertTrue(daemon.running())

    def test_sigterm_ends_it_soon_and_leaves_nothing(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.start_daemon()
            host = self.start_host("ledger")
            self.attached(host)
            stream = self.spawn("curl", "-sN", "--unix-socket", self.path("api.sock"),
                                "http://localhost/v1/stream?topics=fleet")
            until(lambda: "event: hello" in stream.log(), "the stream flows")
            watch = Stopwatch()
            self.daemon.signal(number)
            self.assertEqual(self.daemon.wait(), 0)
            self.assertLess(watch.seconds(), 2.0)
            for name in ("agent.sock", "api.sock", "token", "http.addr"):
                self.assertFalse(os.path.lexists(self.path(name)), name)
            until(lambda: not stream.running(), "the stream ends")
            self.assertIn("event: bye", stream.log())

    def test_a_second_instance_is_status_3(self):
        self.start_daemon()
        status, log = self.run_daemon("--http-listen", "127.0.0.1:0")
        self.assertEqual(status, 3, log)
        other = os.path.join(self.dir, "other")
        status, log = self.run_daemon("--http-listen", "127.0.0.1:0", "--runtime-dir", other)
        self.assertEqual(status, 3, log)  # the state directory is taken
        self.assertTrue(log.strip())
        self.assertEqual(self.unix("GET", "/healthz").status, 200)
        self.assertEqual(self.tcp("GET", "/v1/info").status, 200)

    def test_an_explicit_address_that_is_taken_is_status_1(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            status, log = self.run_daemon("--http-listen", "127.0.0.1:%d" % taken.getsockname()[1])
        self.assertEqual(status, 1, log)
        self.assertEqual(os.path.lexists(self.path("http.addr")), False)

    def test_off_loopback_is_status_2(self):
        for address in ("0.0.0.0:0", "[::]:0"):
            status, log = self.run_daemon("--http-listen", address)
            self.assertEqual(status, 2, log)
            self.assertLess(self.took, 1.5)

    def test_wrong_words_are_status_2(self):
        for words in (["--nonsense"], ["nonsense"], ["--http-listen"], ["--http-listen", "nonsense"],
                      ["--http-listen", "127.0.0.1:99999"]):
            status, log = self.run_daemon(*words)
            self.assertEqual(status, 2, (words, log))
            self.assertTrue(log.strip())

    def test_version(self):
        done = subprocess.run([program("tallyd"), "--version"], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 0)
        for word in ("tallyd", "libmicrohttpd", "jansson", "sqlite", "zlib", "nettle", "libseccomp"):
            self.assertIn(word, done.stdout)

    def test_stale_files_are_no_hindrance_and_the_token_stays(self):
        self.start_daemon()
        token = self.read("token")
        self.assertGreaterEqual(len(token), 32)
        self.daemon.signal(signal.SIGKILL)
        self.daemon.wait()
        self.assertTrue(os.path.exists(self.path("api.sock")))
        self.start_daemon()
        self.assertEqual(self.read("token"), token)
        self.assertEqual(self.tcp("GET", "/v1/info").status, 200)

    def test_info_says_who_it_is(self):
        self.start_daemon()
        info = self.get("/v1/info")
        self.assertEqual((info["pid"], info["mode"], info["http"]), (self.daemon.pid, "user", "%s:%d" % self.address()))
        self.assertEqual((info["runtime_dir"], info["state_dir"]), (self.runtime, self.state))
        self.assertEqual(info["processes"], {"live": 0, "gone": 0})
        paths = [field["path"] for field in info["fields"]]
        for path in ("live_objects", "live_bytes", "frees.refcount", "frees.cycle", "events.lost"):
            self.assertIn(path, paths)

    def test_the_etag_is_the_start_id_and_seq(self):
        self.start_daemon()
        answer = self.unix("GET", "/v1/processes")
        self.assertEqual(answer.headers["ETag"], f'"{self.get("/v1/info")["start_id"]}-{answer.json["seq"]}"')
