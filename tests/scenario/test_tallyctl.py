"""Every command of tallyctl and every way it ends."""
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading

from harness import PATIENCE, Scenario, Stopwatch, program, until


class Ctl(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def host(self, name="ledger"):
        host = self.start_host("ledger", name)
        return host, self.attached(host)

    def succeeds(self, *arguments):
        done = self.ctl(*arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def fails(self, status, *arguments, **environment):
        """One line on stderr, nothing on stdout."""
        done = self.ctl(*arguments, **environment)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done)
        self.assertRegex(done.stderr, r"^tallyctl: .+\n")
        return done.stderr

    def test_list_shows_every_process(self):
        self.assertEqual(self.succeeds("list"), "no processes\n")
        host, process = self.host("bakery")
        other = self.start_mal("orchard", None, "team=fruit", stdin=subprocess.PIPE)
        self.attached(other)
        lines = self.succeeds("list").splitlines()
        self.assertEqual(lines[0].split()[:4], ["ID", "PID", "NAME", "STATE"])
        rows = {line.split()[2]: line for line in lines[1:]}
        self.assertEqual(rows["bakery"].split()[:4], [process[:8], str(host.pid), "bakery", "live"])
        self.assertIn("team=fruit", rows["orchard"])
        self.assertEqual(len({line.index(word) for line, word in ((lines[0], "NAME"), (rows["bakery"], "bakery"),
                                                                 (rows["orchard"], "orchard"))}), 1, "columns align")

    def test_json_is_the_apis_body_on_one_line(self):
        _, process = self.host()
        for words, path in ((["list"], "/v1/processes"), (["stats", process], f"/v1/processes/{process}/stats"),
                            (["types", process], f"/v1/processes/{process}/types"),
                            (["collections", process], f"/v1/processes/{process}/collections"),
                            (["config", process], f"/v1/processes/{process}/config")):
            text = self.succeeds("--json", *words)
            self.assertEqual(text.count("\n"), 1)
            self.assertEqual(set(json.loads(text)), set(self.get(path)), words)
        operation = json.loads(self.succeeds("collect", process, "--json"))
        self.assertEqual(operation["state"], "succeeded")
        self.assertIs(json.loads(self.succeeds("disable", process, "--json"))["enabled"], False)
        self.assertIn("code", json.loads(self.succeeds("login", "--json")))
        self.assertEqual({f["level"] for f in json.loads(self.succeeds("doctor", "--json"))}, {"ok"})

    def test_stats_types_and_collections(self):
        host, process = self.host()
        for line in ("make 100", "ring 4", "collect 2", "collect 1"):
            host.ask(line)
        self.assert_agrees(process, host.own_ledger())
        stats = self.succeeds("stats", "ledger")
        allocations = sum(host.ledger()[name]["allocations"] for name in ("node", "leaf", "text"))
        self.assertRegex(stats, rf"(?m)^Allocations +{allocations}  objects")
        self.assertRegex(stats, r"(?m)^Live bytes +\d+ B")
        self.assertRegex(stats, r"(?m)^Longest pause +[\d.]+ (us|ms)")
        self.assertRegex(stats, r"(?m)^on +cycle +700,10,10 +none +all +none +none")
        types = self.succeeds("types", "ledger")
        self.assertRegex(types, r"(?m)^node +24 B +0 +0 B +108 +100 +8  yes")
        self.assertRegex(types, r"(?m)^text +varies ")
        until(lambda: self.stats(process)["collections"] == 2, "both collections are seen")
        runs = self.succeeds("collections", "ledger").splitlines()
        self.assertRegex(runs[0], "HEAP +NO +STARTED +REASON +GEN +PAUSE +COLLECTED +FREED")
        self.assertIn("explicit", runs[1])
        self.assertEqual(len(runs), 3)
        self.assertIn("heap 1", self.succeeds("stats", "ledger", "--heap", "1"))

    def test_processes_are_named_by_id_prefix_pid_and_name(self):
        host, process = self.host("bakery")
        for word in (process, process[:6], process[:12], process.upper(), str(host.pid), "bakery"):
            self.assertIn("cycle", self.succeeds("config", word), word)
        for word in (process[:5], "bake", "BAKERY", "0", "999999999", "a/b", "%00"):
            self.assertIn("no process", self.fails(4, "stats", word))

    def test_collect_says_what_it_took(self):
        host, _ = self.host()
        host.ask("automatic 0")
        host.ask("ring 21")
        self.assertRegex(self.succeeds("collect", "ledger"),
                         r"^collected 42 objects, 1008 B, in .+ after waiting .+ for a safepoint\n$")
        self.assertRegex(self.succeeds("collect", "ledger", "0", "--wait", "2s"), "^collected 0 objects, 0 B")
        for generation in ("3", "-1", "x", ""):
            self.fails(2, "collect", "--", "ledger", generation)

    def test_enable_and_disable(self):
        _, process = self.host()
        self.assertIn("off", self.succeeds("disable", "ledger"))
        self.assertIs(self.get(f"/v1/processes/{process}/config")["enabled"], False)
        self.assertIn("on", self.succeeds("enable", "ledger", "--heap", "1"))
        self.assertIs(self.get(f"/v1/processes/{process}/config")["enabled"], True)
        self.assertIn("heap", self.fails(4, "enable", "ledger", "--heap", "9"))

    def test_set_changes_the_configuration(self):
        _, process = self.host()
        shown = self.succeeds("set", "ledger", "manager=full", "max-pause=2ms", "memory-limit=64MiB", "debug=leak",
                              "thresholds=900,9,9", "events=off", "automatic=off")
        self.assertRegex(shown, r"(?m)^off +full +900,9,9 +collectable,uncollectable,saveall +off +2.00 ms +64.0 MiB$")
        self.assertEqual(self.get(f"/v1/processes/{process}/config")["max_pause_us"], 2000)
        self.assertRegex(self.succeeds("set", "ledger", "max-pause=none", "debug=none", "--heap", "1"), r"none +64.0 MiB")
        self.assertEqual(json.loads(self.succeeds("set", "ledger", "manager=refcount", "--json"))["manager"], "refcount")
        for words in (["collect", "ledger"], ["set", "ledger", "thresholds=1,2,3"]):
            self.assertRegex(self.fails(1, *words), "^tallyctl: operation .+ failed: this manager does not have that$")
        self.assertIn('member "manager"', self.fails(2, "set", "ledger", "manager=boehm"))
        for words in (["max-pause=soon"], ["manager"], ["speed=1"], ["events=all", "events=off"], []):
            self.fails(2, "set", "ledger", *words)

    def test_freeze_garbage_objects_and_cycles(self):
        host, process = self.host()
        for line in ("automatic 0", "hold 5", "ring 3"):
            host.ask(line)
        self.assertRegex(self.succeeds("freeze", "ledger"), r"^\d+ objects are frozen\n$")
        self.assertEqual(self.succeeds("unfreeze", "ledger"), "0 objects are frozen\n")
        found = self.succeeds("cycles", "ledger", "find")
        self.assertRegex(found, r"^6 objects are garbage .*\nHEAP +CYCLES .*\n +1 +3 +6 +144 B +node.next")
        self.succeeds("set", "ledger", "debug=saveall")
        self.succeeds("collect", "ledger")
        garbage = self.succeeds("garbage", "ledger")
        self.assertEqual(len(re.findall(r"(?m)^ +1 +[0-5] +\d+ +node +", garbage)), 6, garbage)
        self.assertRegex(self.succeeds("referrers", "ledger", "0"), r"(?m)^ +1 +- +\d+ +node ")
        self.assertIn("entry", self.fails(4, "referrers", "ledger", "6"))
        self.assertRegex(self.succeeds("objects", "ledger", "leaf", "--heap", "1"), r"(?m)^ +1 +- +\d+ +leaf ")
        self.assertIn("type", self.fails(2, "objects", "ledger", "100% unknown & more"))
        self.assertEqual(self.succeeds("garbage", "ledger", "clear"), "6 references of the garbage list were given back\n")
        self.assertEqual(json.loads(self.succeeds("garbage", "ledger", "--json"))["garbage"], [])
        for words in (["garbage", "ledger", "clean"], ["cycles", "ledger", "all"], ["referrers", "ledger", "x"], ["types", "ledger", "then"]):
            self.fails(2, *words)

    def test_a_baseline_and_what_came_since(self):
        host, process = self.host()
        self.assertIn("baseline", self.fails(1, "types", "ledger", "since"))
        host.ask("hold 5")
        until(lambda: "text" in self.types(process), "the view shows them")
        self.assertRegex(self.succeeds("baseline", "ledger"), r"^baseline [0-9a-f]{8}-b\d+\n$")
        self.fails(2, "baseline", "ledger", "--heap", "1")
        before = self.types(process)["text"]["live_objects"]
        host.ask("hold 7")
        until(lambda: self.types(process)["text"]["live_objects"] != before, "the view shows them")
        since = self.types(process)["text"]["live_objects"] - before
        self.assertRegex(self.succeeds("types", "ledger", "since"), rf"(?m)^text .* \+{since} +\+\d+$")

    def test_stress_is_set_and_shown(self):
        host, process = self.host()
        self.assertIn("stress", self.succeeds("set", "ledger", "stress=50,decref"))
        self.assertEqual(self.get(f"/v1/processes/{process}/config")["stress"], {"nth": 50, "every_decref": True})
        host.ask("make 200")
        until(lambda: [c for c in self.get(f"/v1/processes/{process}/collections")["collections"] if c["reason"] == "stress"], "it is stressed")
        self.assertNotIn("stress", self.succeeds("set", "ledger", "stress=none"))

    def test_login_prints_a_link_that_works(self):
        link = self.succeeds("login").strip()
        self.assertTrue(link.startswith("http://%s:%d/#login=" % self.address()))
        code = link.partition("#login=")[2]
        self.assertEqual(self.tcp("POST", "/v1/session", {"code": code}, token=False).status, 200)

    def test_an_ambiguous_name_is_5_and_lists_the_candidates(self):
        hosts = [self.host("twin") for _ in range(2)]
        error = self.fails(5, "collect", "twin")
        for host, process in hosts:
            self.assertIn(process, error)
            self.assertIn(str(host.pid), error)
        hosts[0][0].process.kill()
        until(lambda: self.processes("gone"), "one is gone")
        self.assertIn("collected", self.succeeds("collect", "twin"))

    def test_a_process_without_a_safepoint_is_6(self):
        host, process = self.host()
        host.deafen()
        watch = Stopwatch()
        self.assertRegex(self.fails(6, "collect", "ledger", "--wait", "300ms"), "still (queued|waiting_for_safepoint)")
        self.assertLess(watch.seconds(), 5)
        self.assertEqual(self.ctl("disable", "ledger", "--wait=0").returncode, 6)
        done = self.ctl("collect", "ledger", "--wait", "100ms", "--json")
        self.assertEqual(done.returncode, 6)
        operation = json.loads(done.stdout)
        self.assertIn(operation["state"], ("queued", "waiting_for_safepoint"))
        until(lambda: self.operation(operation)["state"] == "waiting_for_safepoint", "it waits there")

    def test_a_process_that_is_gone_is_7(self):
        host, process = self.host()
        host.process.kill()
        until(lambda: self.processes("gone"), "it is gone")
        for words in (["collect", process], ["enable", "ledger"], ["disable", str(host.pid)]):
            self.assertEqual(self.fails(7, *words), f"tallyctl: The process is gone: tallyctl show {process[:8]} tells what is still known\n")
        self.assertIn("gone", self.succeeds("stats", "ledger"))

    def test_a_process_that_dies_while_it_is_waited_for_is_7(self):
        host, _ = self.host()
        host.deafen()
        killer = threading.Thread(target=lambda: (until(lambda: self.get("/v1/operations")["operations"], "it is asked for"),
                                                  host.process.kill()))
        killer.start()
        self.addCleanup(killer.join)
        self.assertIn("ended", self.fails(7, "collect", "ledger", "--wait", "30s"))

    def test_no_daemon_is_3(self):
        self.daemon.signal(signal.SIGKILL)
        self.daemon.wait()
        socket_path = self.path("api.sock")
        for command in (["list"], ["login"], ["stats", "x"], ["collect", "x"]):
            self.assertEqual(self.fails(3, *command), f"tallyctl: no daemon at {socket_path}: Connection refused\n")
        self.assertIn("No such file", self.fails(3, "list", "--runtime-dir", "/nonexistent"))
        self.assertIn("too long", self.fails(3, "list", "--runtime-dir", "/" + 200 * "x"))

    def test_the_daemon_is_looked_for_where_the_design_says(self):
        self.host("bakery")
        os.makedirs(os.path.join(self.dir, "xdg"))
        os.symlink(self.runtime, os.path.join(self.dir, "xdg", "tally"))
        away = {"TALLY_RUNTIME_DIR": "/nonexistent"}
        self.assertEqual(self.ctl("list", "--runtime-dir", self.runtime, **away).returncode, 0)
        self.assertEqual(self.ctl("list", XDG_RUNTIME_DIR=os.path.join(self.dir, "xdg"), **away).returncode, 3)
        found = self.ctl("list", XDG_RUNTIME_DIR=os.path.join(self.dir, "xdg"), TALLY_RUNTIME_DIR="")
        self.assertIn("bakery", found.stdout)

    def test_wrong_words_are_2(self):
        for words in ([], ["nonsense"], ["list", "x"], ["stats"], ["stats", "a", "b"], ["--nonsense"], ["-x"],
                      ["list", "--wait"], ["list", "--wait", "x"], ["list", "--wait", "-1s"], ["list", "--wait", "61s"],
                      ["list", "--heap", "0"], ["list", "--heap", "x"], ["list", "--runtime-dir", ""]):
            self.fails(2, *words)
        for words, said in ((["show", ""], "empty"), (["operation", ""], "empty"), (["list", "--json=1"], "takes no value: '--json=1'"),
                            (["login", "--host", "127.0.0.1:1"], "without --host"),
                            (["top", "--once", "-i", "50ms"], "from 100 ms to 60.0 s"), (["list", "--nonsense=1"], "unknown option")):
            self.assertIn(said, self.fails(2, *words))

    def test_a_wrong_value_is_2_and_the_right_ones_are_named(self):
        self.host()
        until(lambda: self.get("/v1/info")["history"]["ready"], "the history is open")
        for words, right in (("list --sort best", "live_bytes"), ("list --state well", "live gone"), ("top --once --sort best", "objects"),
                             ("types ledger --sort +best", "live_bytes"), ("collections ledger --sort best", "pause_ns"),
                             ("operations --state well", "queued"), ("alerts --state well", "firing resolved"),
                             ("compare now:ledger now:ledger --state well", "new grown"), ("compare now:ledger now:ledger --sort best", "delta_bytes"),
                             ("events ledger --kind best", "alloc free_refcount"), ("tail events ledger --kind best", "alloc free_refcount"),
                             ("set ledger best=1", "thresholds"), ("set ledger manager=best", "generational"), ("set ledger events=best", "off"),
                             ("batch set best=1 --name ledger", "thresholds"), ("collect ledger best", "0, 1 or 2"),
                             ("history ledger live_bytes,liv", '"liv"; there are: live_objects live_bytes'),
                             ("history ledger live_bytes soon", "30m"), ("trace ledger soon", "30m"), ("snapshot ledger --mode best", "clone"),
                             ("snapshot ledger --format best", "pprof"), ("token create best --scope all", "read, control or admin"),
                             ("list --color best", "never")):
            self.assertIn(right, self.fails(2, *words.split()), words)

    def test_help_and_version(self):
        text = self.succeeds("--help")
        self.assertEqual(text, self.succeeds("help"))
        for word in ("list", "stats PROCESS", "collect PROCESS [GENERATION]", "doctor", "--json", "--runtime-dir DIR",
                     "--wait DURATION", "--heap N", "Exit status"):
            self.assertIn(word, text)
        for status in range(8):
            self.assertRegex(text, rf"(?m)^  {status}   \w")
        self.assertRegex(self.succeeds("--version"), r"^tallyctl \d+\.\d+\.\d+\n$")

    def test_a_pipe_that_closes_is_no_crash(self):
        self.host()
        script = f"set -o pipefail; {program('tallyctl')} help | true; {program('tallyctl')} list | head -c1 >/dev/null"
        done = subprocess.run(["bash", "-c", script], env=self.environment, capture_output=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([program("tallyctl"), "list"], env=self.environment, stdout=full,
                                  stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write", done.stderr)


class Doctor(Scenario):
    def doctor(self, *arguments, **environment):
        done = self.ctl("doctor", *arguments, **environment)
        return done.returncode, done.stdout

    def test_all_is_well(self):
        self.start_daemon()
        host = self.start_host("ledger", "bakery")
        self.attached(host)
        status, text = self.doctor()
        self.assertEqual(status, 0, text)
        self.assertTrue(all(line.startswith("ok ") for line in text.splitlines()), text)
        self.assertIn("bakery is attached", text)
        self.assertEqual(self.doctor("bakery")[0], 0)
        self.assertEqual(self.doctor(str(host.pid))[0], 0)

    def test_no_daemon(self):
        status, text = self.doctor()
        self.assertEqual(status, 1)
        self.assertIn("start tallyd", text)
        self.assertEqual(self.doctor("--runtime-dir", "/nonexistent")[0], 1)

    def test_nobody_attached_and_a_stranger_refused(self):
        self.start_daemon()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(self.path("agent.sock"))
            sock.send(b"nonsense")
        until(lambda: self.get("/v1/info")["refused"], "it is refused")
        status, text = self.doctor()
        self.assertEqual(status, 1)
        self.assertRegex(text, r"(?m)^warn  no process is attached")
        self.assertRegex(text, rf"(?m)^warn  tallyd refused 1 connections .*pid {os.getpid()} of uid {os.getuid()}")

    def test_over_tcp_it_asks_there_and_looks_at_no_files(self):
        self.start_daemon()
        host = self.start_host("ledger", "bakery")
        self.attached(host)
        away = ["--host", "%s:%d" % self.address(), "--token", self.path("token")]
        nowhere = {"TALLY_RUNTIME_DIR": "/nonexistent"}
        status, text = self.doctor(*away, **nowhere)
        self.assertEqual(status, 0, text)
        self.assertIn("bakery is attached", text)
        self.assertNotIn("mode 0", text)
        status, text = self.doctor(*away, "1", **nowhere)
        self.assertEqual(status, 1)
        self.assertIn("tallyd knows no process 1: ask on its machine", text)
        read = self.ctl("token", "create", "reader", "--scope", "read", "--out", self.path("reader"))
        self.assertEqual(read.returncode, 0, read)
        done = self.ctl("doctor", *away[:2], "--token", self.path("reader"), **nowhere)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        with open(self.path("wrong"), "w", encoding="ascii") as out:
            out.write("wrong\n")
        status, text = self.doctor(*away[:2], "--token", self.path("wrong"), **nowhere)
        self.assertEqual((status, text.count("\n")), (1, 1), text)
        self.assertIn("bearer token", text)
        self.daemon.end()
        status, text = self.doctor(*away, **nowhere)
        self.assertEqual((status, text.count("\n")), (1, 1), text)

    def test_a_socket_that_was_left_behind_and_one_that_nobody_may_open(self):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(self.path("api.sock"))
        status, text = self.doctor(str(os.getpid()))
        self.assertEqual(status, 1)
        self.assertRegex(text, r"(?m)^fail  no daemon at .*: Connection refused: the tallyd that made it has ended")
        self.assertRegex(text, rf"(?m)^warn  whether {os.getpid()} is attached is not known")
        self.assertNotIn("is not attached", text)

    def test_modes_that_are_too_wide(self):
        self.start_daemon()
        self.attached(self.start_host("ledger"))
        os.chmod(self.path("token"), 0o644)
        status, text = self.doctor()
        self.assertEqual(status, 1)
        self.assertRegex(text, r"(?m)^fail  .*/token has mode 0644, not 0600")

    def test_why_a_process_is_not_attached(self):
        self.start_daemon()
        disabled = self.start_host("ledger", "off", "unattached", TALLY_DISABLE="1")
        elsewhere = self.start_host("ledger", "away", TALLY_RUNTIME_DIR="/nonexistent")
        silent = self.start_host("ledger", "silent", "unattached")
        for host in (disabled, elsewhere, silent):
            host.ask("make 1")
        for word, sentence in ((str(disabled.pid), "TALLY_DISABLE=1"),
                               (str(elsewhere.pid), "looks for tallyd in /nonexistent alone"),
                               (str(silent.pid), "tally_attach"), ("999999999", "no process 999999999"),
                               ("nobody", "knows no process nobody"), (b"\xff", "knows no process")):
            status, text = self.doctor(word)
            self.assertEqual(status, 1, text)
            self.assertIn(sentence, text)
        self.assertNotIn("looks for tallyd in", self.doctor(str(silent.pid))[1])
        self.assertNotRegex(self.doctor(str(silent.pid))[1], "seccomp|stopped|sees other files|no room")

    def test_what_keeps_a_process_from_attaching(self):
        self.start_daemon()
        unset = self.start_host("ledger", "unset", "unattached", TALLY_RUNTIME_DIR="", XDG_RUNTIME_DIR="/nonexistent")
        full = self.start_host("ledger", "full", "unattached")
        stopped = self.start_host("ledger", "stopped", "unattached")
        for host in (unset, full, stopped):
            host.ask("make 1")
        resource.prlimit(full.pid, resource.RLIMIT_NOFILE, (8, 8))
        stopped.signal(signal.SIGSTOP)
        until(lambda: "is stopped" in self.doctor(str(stopped.pid))[1], "it is stopped")
        stopped.signal(signal.SIGCONT)
        self.assertIn(f"looks for tallyd in /nonexistent/tally and /run/tally, not in {self.runtime}", self.doctor(str(unset.pid))[1])
        self.assertRegex(self.doctor(str(full.pid))[1], r"has \d+ of 8 files open: no room to attach")
        self.assertIn("runs under a seccomp filter", self.doctor(str(self.daemon.pid))[1])


class Hostile(Scenario):
    """Names that no tallyd lets in: a false daemon answers, and the terminal sees nothing of it."""
    NAME = "evil\x1b[31m\x7f\x9b\n\u202egnp\\"

    def answer(self, server):
        process = {"id": "a" * 32, "pid": 7, "name": self.NAME, "state": "live", "live_bytes": "strange", "frees": None,
                   "labels": {"k\x07": "v\x1b]0;x\x07"}}
        body = {"processes": [process], "next_cursor": None}
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(PATIENCE)
                if connection.recv(65536):
                    text = json.dumps(body, ensure_ascii=False).encode()
                    connection.sendall(head % len(text) + text)

    def test_control_characters_never_reach_the_terminal(self):
        server = socket.socket(socket.AF_UNIX)
        server.bind(self.path("api.sock"))
        server.listen()
        thread = threading.Thread(target=self.answer, args=(server,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.close)
        self.addCleanup(server.shutdown, socket.SHUT_RDWR)
        for words in (["list"], ["list", "--json"], ["stats", self.NAME], ["stats", "x\x1b[2J"], ["stats", "7"],
                      ["doctor"]):
            done = self.ctl(*words)
            for text in (done.stdout, done.stderr):
                for character in text.replace("\n", ""):
                    self.assertGreaterEqual(ord(character), 0x20)
                    self.assertFalse(0x7F <= ord(character) <= 0x9F, text)
        self.assertIn(r"evil\x1b[31m\x7f\u{9b}\x0a\u{202e}gnp\\", self.ctl("list").stdout)
