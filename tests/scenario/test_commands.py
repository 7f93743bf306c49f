"""tallyctl does everything that the API does: a command for every route, and what the newer ones say."""
import json
import os
import re
import signal
import subprocess
import time
import unittest
import xml.etree.ElementTree

import wire
from harness import PATIENCE, Scenario, Stopwatch, program, until
from terminal import TMUX, Terminal, tallyctl

RULE = {"when": {"series": "live_objects", "above": 1}, "do": ["log"]}
# Command lines, in an order in which each has what it is about; {NAME} stands for what the world below knows.
EVERY = """list · top --once -i 200ms · show {p} · show {p} --heap 1 --json · stats {p} · stats {p} --heap 1 · types {p} · types {p} --heap 1
collections {p} · collections {p} --heap 1 · config {p} · config {p} --heap 1 · events {p} -w 100ms · events {p} --heap 1 -w 100ms
garbage {p} · garbage {p} --heap 1 · garbage {p} clear · garbage {p} clear --heap 1 · referrers {p} 0 · referrers {p} 0 --heap 1
objects {p} · objects {p} --heap 1 · candidates {p} · candidates {p} --heap 1 · cycles {p} · cycles {p} --heap 1 · cycles {p} find
suspects {p} · suspects {p} --heap 1 · baseline {p} · baselines {p} · baselines · compare now:{p} now:{p} · baselines delete none
forecast {p} · forecast {p} --heap 1 · snapshot {p} · snapshot {p} --heap 1 · artifacts · artifact {a} · artifact {a} types · artifact {a} objects
artifact {a} object 1 · artifact {a} edges 1 · artifact {a} referrers 1 · artifact {a} path 1 · artifact {a} dominators · artifact {a} download · artifact {a} link · artifact {a} delete
collect {p} · collect {p} --heap 1 · set {p} events=all · enable {p} --heap 1 · freeze {p} · freeze {p} --heap 1 · unfreeze {p} · unfreeze {p} --heap 1
batch collect --name {p} · operations · operation {o} · operation {o} cancel · tail fleet -c 1 · rules put watched {rule} · rules · rules show watched
rules states watched · rules delete watched · alerts · history {p} · history {p} --heap 1 · past processes · past collections {p} · past alerts
audit · purge 300d · purge {i} · info · health · whoami · metrics · metrics targets · openapi · login
token create t --scope read · token list · token show t · token revoke t · token rotate"""


class Commands(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()
        self.started = self.start_host("ledger", "banana")
        self.process = self.attached(self.started)
        self.started.ask("automatic 0")

    def succeeds(self, *arguments, **environment):
        done = self.ctl(*arguments, **environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def fails(self, status, *arguments, **environment):
        done = self.ctl(*arguments, **environment)
        self.assertEqual(done.returncode, status, done)
        return done.stderr

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def artifact(self):
        """The id of an artifact, where there is one."""
        answer = self.unix("GET", "/v1/artifacts")
        return (answer.json["artifacts"] or [{"id": "none"}])[0]["id"] if answer.status == 200 else "none"

    def test_every_route_has_a_command(self):
        world = {"p": "banana", "i": self.process, "rule": self.write("rule.json", json.dumps(RULE)), "o": "0-0", "a": "none"}
        asked = set()
        for line in re.split(r" · |\n", EVERY):
            world["o"] = (self.get("/v1/operations")["operations"] or [{"id": "0-0"}])[0]["id"]
            world["a"] = self.artifact()
            done = self.ctl(*[word.format(**world) for word in line.split()], "--verbose")
            self.assertNotIn(done.returncode, (2, 3, 5), (line, done))
            asked |= set(re.findall(r"(?m)^tallyctl: ([A-Z]+) (/[^ ?\n]*)", done.stderr))
        document = self.get("/v1/openapi.json")
        patterns = {(method.upper(), path): re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
                    for path, methods in document["paths"].items() for method in methods if method in ("get", "post", "put", "patch", "delete")}
        reached = set()
        for method, path in asked:
            fitting = [key for key, pattern in patterns.items() if key[0] == method and pattern.match(path)]
            reached |= set(sorted(fitting, key=lambda key: key[1].count("{"))[:1])
        self.assertGreater(len(reached), 60)
        browsers = {("GET", "/v1/downloads/{ticket}")}  # who may ask for one may download without it
        self.assertEqual(sorted(set(patterns) - reached - browsers), [], "routes that no command uses")

    def test_assert_holds_and_is_violated(self):
        self.started.ask("hold 5")
        until(lambda: "text" in self.types(self.process), "the view shows them")
        self.assertEqual(self.succeeds("assert", "banana", "--type", "text", "--max-live", "5"), "holds: text: 5 live objects, at most 5\n")
        self.assertEqual(self.fails(8, "assert", "banana", "--type", "text", "--max-live", "4"), "tallyctl: it does not hold: text: 5 live objects, at most 4\n")
        self.assertIn("is that its name?", self.succeeds("assert", "banana", "--type", "Text", "--max-live", "0"))
        self.started.ask("ring 21")
        until(lambda: self.types(self.process).get("node", {}).get("live_objects") == 42, "the view shows them")
        self.fails(8, "assert", "banana", "--type", "node", "--max-live", "0")
        self.succeeds("assert", "banana", "--type", "node", "--max-live", "0", "--after-collect")
        self.assertIn("baseline", self.fails(1, "assert", "banana", "--max-growth", "0"))
        self.succeeds("baseline", "banana")
        self.succeeds("assert", "banana", "--max-growth", "0", "--type", "text")
        self.started.ask("hold 7")
        until(lambda: self.types(self.process)["text"]["live_objects"] == 12 or self.types(self.process)["text"]["live_objects"] == 7, "the view shows them")
        grown = self.types(self.process)["text"]["live_objects"] - 5
        self.assertIn(f"{grown} live objects more than at the baseline, at most 1", self.fails(8, "assert", "banana", "--max-growth", "1", "--type", "text"))
        self.assertIn("live bytes, at most 1", self.fails(8, "assert", "banana", "--max-bytes", "1", "--heap", "1"))
        for words in (["banana"], ["banana", "--max-live", "-1"], ["banana", "--max-bytes", "x"], ["--max-live", "1"]):
            self.fails(2, "assert", *words)

    def test_assert_waits_for_a_process_and_for_what_is_to_hold(self):
        waiting = subprocess.Popen(tallyctl("assert", "latecomer", "--type", "node", "--max-live", "0", "--timeout", "60s").split(), env=self.environment,
                                   text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (waiting.poll() is None and waiting.kill(), waiting.communicate()))
        time.sleep(0.3)
        late = self.start_host("ledger", "latecomer")
        self.attached(late)
        self.assertEqual(waiting.wait(PATIENCE), 0)
        self.started.ask("hold 9")
        until(lambda: self.types(self.process).get("text", {}).get("live_objects"), "the view shows them")
        start = time.monotonic()
        self.fails(8, "assert", "banana", "--type", "text", "--max-live", "0", "--timeout", "600ms")
        self.assertGreater(time.monotonic() - start, 0.5)
        self.fails(4, "assert", "nobody", "--max-live", "0", "--timeout", "300ms")
        late.process.kill()
        until(lambda: self.processes("gone"), "it is gone")
        self.assertIn("it has ended", self.succeeds("assert", "latecomer", "--max-live", "0"))
        self.fails(7, "assert", "latecomer", "--max-live", "0", "--after-collect")

    def test_assert_is_not_fooled_by_a_program_that_nobody_saw(self):
        """One that attached and was gone before its heap was seen has no figures, which are no zeros."""
        peer = wire.connect(self.path("agent.sock"))
        peer.send(wire.hello("brief"))
        peer.receive_kind(wire.WELCOME)
        until(lambda: [p for p in self.processes("live") if p["name"] == "brief"], "it is there")
        peer.close()
        until(lambda: [p for p in self.processes("gone") if p["name"] == "brief"], "it is gone")
        report = os.path.join(self.dir, "report.xml")
        said = self.fails(1, "assert", "brief", "--max-live", "0", "--junit", report)
        self.assertEqual(said, "tallyctl: 'brief' ended before tallyd saw a heap of it: nothing can be said\n")
        self.assertEqual(xml.etree.ElementTree.parse(report).getroot().get("errors"), "1")

    def test_assert_waits_no_longer_for_a_collection_than_it_may(self):
        self.started.stop()
        watch = Stopwatch()
        self.fails(6, "assert", "banana", "--max-live", "0", "--after-collect", "--timeout", "300ms")
        self.assertLess(watch.seconds(), 8)  # not the 10 s without --timeout

    def test_assert_writes_junit_and_json(self):
        self.started.ask("hold 5")
        path = os.path.join(self.dir, "report.xml")
        until(lambda: "text" in self.types(self.process), "the view shows them")
        self.fails(8, "assert", "banana", "--type", "text", "--max-live", "4", "--max-bytes", "1GiB", "--junit", path)
        suite = xml.etree.ElementTree.parse(path).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("errors")), ("2", "1", "0"))
        self.assertEqual(suite[0][0].get("message"), "5 live objects, at most 4")
        verdict = json.loads(self.ctl("assert", "banana", "--type", "text", "--max-live", "4", "--json").stdout)
        self.assertEqual((verdict["holds"], verdict["checks"][0]["value"]), (False, 5))
        self.fails(4, "assert", "nobody", "--max-live", "0", "--junit", path)
        self.assertEqual(xml.etree.ElementTree.parse(path).getroot().get("errors"), "1")

    def test_rules_are_put_shown_and_deleted(self):
        self.assertIn("no rules", self.succeeds("rules"))
        self.started.ask("hold 9")
        path = self.write("rule.json", json.dumps(RULE))
        self.assertRegex(self.succeeds("rules", "put", "big", path), r"^rule big is in force, revision \d+\n$")
        until(lambda: "firing" in self.succeeds("rules"), "it fires")
        self.assertRegex(self.succeeds("rules"), r"(?m)^big +firing +1 +0 +yes +live_objects above 1$")
        shown = json.loads(self.succeeds("rules", "show", "big"))
        self.assertEqual(shown["when"]["above"], 1)
        again = self.write("again.json", json.dumps(shown))
        self.succeeds("rules", "put", "big", again)
        self.assertIn(self.process[:8], self.succeeds("rules", "states", "big"))
        self.assertIn("live_objects", self.succeeds("rules", "series"))
        self.assertEqual(self.succeeds("rules", "delete", "big"), "rule big deleted\n")
        self.assertIn("There is no such rule", self.fails(1, "rules", "show", "big"))
        self.assertRegex(self.fails(2, "rules", "put", "big", self.write("broken.json", '{\n"when": ]}')), r"broken\.json:2:\d+: ")
        self.assertIn("No such file", self.fails(2, "rules", "put", "big", "/nonexistent"))
        self.assertIn('not "x": live_objects', self.fails(2, "rules", "put", "big", self.write("odd.json", '{"when":{"series":"x","above":1},"do":["log"]}')))

    def test_many_processes_at_once(self):
        other = self.start_mal("orchard", None, "team=fruit", stdin=subprocess.PIPE)
        process = self.attached(other)
        shown = self.succeeds("batch", "collect", "--label", "team=fruit")
        self.assertRegex(shown, rf"(?m)^{process[:8]} +succeeded +\d+ ")
        self.assertNotIn(self.process[:8], shown)
        self.succeeds("batch", "disable", "--label", "team=fruit")
        self.assertIs(self.get(f"/v1/processes/{process}/config")["enabled"], False)
        self.succeeds("batch", "set", "automatic=on", "max-pause=2ms", "--name", "orchard")
        self.assertEqual(self.get(f"/v1/processes/{process}/config")["max_pause_us"], 2000)
        self.assertIn("no processes", self.succeeds("batch", "freeze", "--label", "team=meat"))
        self.assertIn("--label", self.fails(2, "batch", "collect"))
        self.fails(2, "batch", "explode", "--name", "orchard")
        self.assertEqual(len(self.succeeds("list", "--label", "team=fruit").splitlines()), 2)
        self.assertEqual(self.succeeds("list", "--label", "team=meat"), "no processes\n")
        many = [word for i in range(16) for word in ("--label", f"k{i}={i}")]
        self.assertEqual(self.succeeds("list", *many), "no processes\n")
        self.assertIn("16 times at most", self.fails(2, "list", *many, "--label", "a=b"))
        self.assertEqual(self.unix("GET", "/v1/processes?" + "label=a:b&" * 25).json["detail"], "the query has more than 24 parameters")

    def test_a_batch_is_for_those_that_were_named_and_for_no_others(self):
        bystander = self.attached(self.start_host("ledger", "bystander"))
        orchard = self.attached(self.start_mal("orchard", None, "team=fruit", stdin=subprocess.PIPE))
        shown = self.succeeds("batch", "collect", "--process", "banana", "--process", orchard[:8])
        self.assertEqual({line.split()[0] for line in shown.splitlines()[1:]}, {self.process[:8], orchard[:8]})
        shown = self.succeeds("batch", "collect", "-p", "banana", "-p", "orchard", "--label", "team=fruit")
        self.assertEqual([line.split()[0] for line in shown.splitlines()[1:]], [orchard[:8]])
        before = self.get("/v1/operations")["operations"]
        self.fails(4, "batch", "collect", "-p", "banana", "-p", "nobody")
        self.assertIn("twice", self.fails(2, "batch", "collect", "--label", "team=fruit", "--label", "team=meat"))
        for words in (["--name", b"\xff"], ["--label", "team=fruit", "--label", b"k=\xff"], ["--label", b"\xff=v"]):
            done = subprocess.run([program("tallyctl"), "batch", "collect", *words], env=self.environment, capture_output=True, timeout=PATIENCE, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, b""), done)
            self.assertIn(b"takes UTF-8", done.stderr)
        self.assertEqual(self.get("/v1/operations")["operations"], before)
        self.assertEqual(self.stats(bystander)["collections"], 0)

    def test_what_is_not_there_is_named(self):
        self.started.ask("hold 3")
        snapshot = json.loads(self.succeeds("snapshot", "banana", "--json"))["result"]["artifact"]
        for status, words, sentence in ((4, "show banana --heap 9", "The process has no such heap: 9"), (1, "artifact 0123", "There is no such artifact: 0123"),
                                        (1, f"artifact {snapshot} object 77", "The snapshot has no such object: 77"),
                                        (1, f"artifact {snapshot} dominators 78", "The snapshot has no such object: 78"),
                                        (1, f"compare {snapshot} 0-b9", "There is no such baseline: 0-b9"),
                                        (1, f"compare {'ab' * 8} {snapshot}", f"There is no such artifact: {'ab' * 8}"),
                                        (1, "operation 7-7", "There is no such operation: 7-7"), (1, "baselines delete x", "There is no such baseline: x"),
                                        (1, "rules show r", "There is no such rule: r"), (1, "token show t", "There is no such token: t"),
                                        (4, "referrers banana 5", "The garbage list has no such entry: 5")):
            self.assertEqual(self.fails(status, *words.split()), f"tallyctl: {sentence}\n")
        self.assertEqual(self.unix("GET", "/v1/processes/99").json["detail"], "There is no such process: 99")
        self.assertEqual(self.unix("GET", "/v1/rules/" + "x" * 200).json["detail"], "There is no such rule: " + "x" * 100)
        self.assertIn("must be 3 items", self.fails(2, "set", "banana", "thresholds=1,2"))

    def test_over_tcp_with_a_token(self):
        empty = self.write("empty", "")
        self.assertEqual(self.fails(2, "list", "--host", "127.0.0.1:1", "--token", empty), f"tallyctl: --token {empty}: there is no token in it\n")
        self.assertIn("No such file", self.fails(2, "list", "--host", "127.0.0.1:1", "--token", empty + "x"))
        self.assertIn("Is a directory", self.fails(2, "list", "--host", "127.0.0.1:1", "--token", self.dir))
        host, port = self.address()
        secret = self.succeeds("token", "create", "ci", "--scope", "read").strip()
        path = self.write("secret", secret + "\n")
        away = {"TALLY_RUNTIME_DIR": "/nonexistent"}
        self.assertIn("banana", self.succeeds("list", "--host", f"{host}:{port}", "--token", path, **away))
        self.assertIn("banana", self.succeeds("list", "--host", f"http://{host}:{port}/", **away, TALLY_TOKEN=secret))
        self.assertIn("read", self.succeeds("whoami", "--host", f"{host}:{port}", "--token", path))
        self.assertIn("scope", self.fails(1, "collect", "banana", "--host", f"{host}:{port}", "--token", path))
        self.assertIn("token", self.fails(1, "list", "--host", f"{host}:{port}", TALLY_TOKEN="wrong"))
        self.assertIn("no answer", self.fails(3, "list", "--host", "127.0.0.1:1", "--token", path))
        for words in (["--host", "x y", "--token", path], ["--host", f"{host}:{port}"], ["--host", f"{host}:{port}", "--token", "/nonexistent"],
                      ["--token", path], ["--host", "a@b", "--token", path], ["--host", f"{host}:{port}", "--token", path, "--runtime-dir", "/"]):
            self.fails(2, "list", *words)

    def test_a_closed_stdout_is_a_failure_and_no_socket(self):
        for words in ("list", "metrics", "events banana -w 100ms"):
            done = subprocess.run(["sh", "-c", f"{tallyctl(*words.split())} >&-"], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual((done.returncode, done.stderr), (1, "tallyctl: cannot write the answer\n"), words)
        done = subprocess.run(["sh", "-c", tallyctl("list") + " <&- 2>&-"], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stdout.splitlines()[0].split()[0]), (0, "ID"))

    def test_files_are_whole_or_not_there(self):
        path = os.path.join(self.dir, "document.json")
        done = self.ctl("openapi", "--out", path)
        self.assertEqual(done.returncode, 0, done)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["openapi"], "3.1.0")
        before = os.path.getsize(path)
        line = f"trap '' XFSZ; ulimit -f 1; exec {tallyctl('openapi', '--out', path)}"
        done = subprocess.run(["bash", "-c", line], env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("File too large; nothing of it was kept", done.stderr)
        self.assertEqual(os.path.getsize(path), before)
        self.assertEqual([name for name in os.listdir(self.dir) if name.startswith("document")], ["document.json"])
        self.assertIn("No space left", self.fails(1, "openapi", "--out", "/dev/full"))
        self.assertTrue(os.path.exists("/dev/full"))
        self.assertIn("No such file", self.fails(1, "metrics", "--out", "/nonexistent/x"))
        self.assertIn("no process", self.fails(4, "trace", "nobody", "--out", os.path.join(self.dir, "none")))
        self.assertFalse(os.path.exists(os.path.join(self.dir, "none")))
        before = self.get("/v1/artifacts")["artifacts"]
        self.assertIn("No such file", self.fails(1, "snapshot", "banana", "--out", "/nonexistent/x"))
        self.assertEqual(self.get("/v1/artifacts")["artifacts"], before, "nobody was paused for a file that cannot be")
        self.assertIn("tally_heap_live_bytes", self.succeeds("metrics"))

    def test_a_snapshot_is_taken_looked_at_and_kept_as_a_file(self):
        self.started.ask("hold 30")
        self.started.ask("ring 21")
        path = os.path.join(self.dir, "banana.heapsnapshot")
        done = self.ctl("snapshot", "banana", "--out", path)
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stderr, r"^tallyctl: about \d+ objects, by (a clone|slices); predicted pause: ")
        found = re.match(r"93 objects, [\d.]+ KiB, paused for [^(]+, (clone|slices)(, not of one instant)?\nartifact ([0-9a-f]{16})\n$", done.stdout)
        self.assertTrue(found, done.stdout)
        with open(path, encoding="utf-8") as file:
            self.assertGreaterEqual(json.load(file)["snapshot"]["node_count"], 93)
        artifact = found[3]
        self.assertRegex(self.succeeds("artifacts", "banana"), rf"(?m)^{artifact} +banana +1 .* ready +93 ")
        self.assertIn("63 objects wait for a collection", self.succeeds("artifact", artifact))
        self.assertRegex(self.succeeds("artifact", artifact, "types"), r"(?m)^node +42 +1008 B ")
        text = self.succeeds("artifact", artifact, "objects", "text", "-m", "1").splitlines()[1].split()[0]
        self.assertIn("held from outside", self.succeeds("artifact", artifact, "object", text))
        self.assertRegex(self.succeeds("artifact", artifact, "path", text), rf"^text #{text}\n$")
        node = json.loads(self.succeeds("artifact", artifact, "objects", "node", "-m", "1", "--json"))["objects"][0]["object"]
        self.assertRegex(self.succeeds("artifact", artifact, "edges", str(node)), r"(?m)^next +- +field +\d+ +node ")
        self.assertRegex(self.succeeds("artifact", artifact, "referrers", str(node)), r"(?m)^next +- +field +\d+ +node ")
        self.assertIn("garbage", self.succeeds("artifact", artifact, "path", str(node)))
        self.assertIn("text", self.succeeds("artifact", artifact, "dominators"))
        self.started.ask("hold 33")
        until(lambda: self.types(self.process)["text"]["live_objects"] != 30, "the view shows them")
        self.assertRegex(self.succeeds("compare", artifact, "now:banana"), r"(?m)^text +grown +30 +\d+ +\+\d+ ")
        self.assertRegex(self.succeeds("compare", artifact, artifact, "--state", "same"), r"(?m)^node +same +42 +42 +\+0 ")
        self.assertIn(artifact, self.succeeds("suspects", "banana"))
        lines = self.succeeds("artifact", artifact, "download", "--format", "ndjson").splitlines()
        self.assertGreaterEqual(len([line for line in lines if "object" in json.loads(line)]), 93)
        self.assertEqual(self.succeeds("artifact", artifact, "delete"), f"artifact {artifact} deleted\n")
        self.assertIn("no such artifact", self.fails(1, "artifact", artifact).lower())
        for words in (["artifact", artifact, "object", "x"], ["artifact", artifact, "explode"], ["snapshot", "banana", "--format", "pprof"],
                      ["snapshot", "banana", "--mode", "magic"]):
            self.fails(2, *words)

    def test_a_link_downloads_once_without_a_token(self):
        self.started.ask("hold 3")
        snapshot = json.loads(self.succeeds("snapshot", "banana", "--json"))["result"]["artifact"]
        host, port = self.address()
        for more in ([], ["--host", f"{host}:{port}", "--token", self.path("token")]):
            link = self.succeeds("artifact", snapshot, "link", "--format", "ndjson", *more)
            self.assertRegex(link, rf"^http://{host}:{port}/v1/downloads/[0-9a-f]{{64}}\n$")
            path = link.strip().removeprefix(f"http://{host}:{port}")
            first, second = (self.tcp("GET", path, token=False) for _ in range(2))
            self.assertEqual((first.status, second.status), (200, 404))
            self.assertEqual(json.loads(first.body.splitlines()[0])["type"], "text")
        self.assertEqual(json.loads(self.succeeds("artifact", snapshot, "link", "--json"))["expires_in_s"], 60)
        self.assertIn("no such artifact: 77", self.fails(1, "artifact", "77", "link"))

    def test_a_snapshot_that_would_pause_too_long_is_refused(self):
        self.started.ask("hold 30")
        self.succeeds("set", "banana", "max-pause=1us")
        refused = self.ctl("snapshot", "banana", "--mode", "clone")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""), refused)
        self.assertRegex(refused.stderr, r"foreseen to stop it for [1-9]\d* us, and its max_pause is 1 us: ")
        self.assertEqual(json.loads(self.ctl("snapshot", "banana", "--mode", "clone", "--force", "--json").stdout)["result"]["mode"], "clone")
        self.assertIs(json.loads(self.ctl("snapshot", "banana", "--mode", "slices", "--json").stdout)["result"]["instant"], False)

    @unittest.skipUnless(TMUX, "needs tmux")
    def test_a_snapshot_on_a_terminal_leaves_no_progress_behind(self):
        self.started.ask("hold 30")
        screen = Terminal(self, tallyctl("snapshot", "banana", "--out", os.path.join(self.dir, "x")))
        lines = screen.shows("status 0").split("\n")
        self.assertRegex(lines[1], r"^\d+ objects, .* paused for ")
        self.assertFalse([line for line in lines if "snapshot: " in line or " left" in line], lines)

    def test_interrupted_it_cancels_what_it_waits_for(self):
        self.started.deafen()
        waiting = subprocess.Popen(tallyctl("collect", "banana", "--wait", "30s").split(), env=self.environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: waiting.poll() is None and waiting.kill())
        operation = until(lambda: self.get("/v1/operations")["operations"], "it was asked")[0]["id"]
        waiting.send_signal(signal.SIGINT)
        _, complaint = waiting.communicate(timeout=PATIENCE)
        self.assertEqual(waiting.returncode, 130)
        self.assertRegex(complaint, rf"^tallyctl: interrupted: operation {operation} (was cancelled|goes on)")
        self.assertIn(self.get(f"/v1/operations/{operation}")["state"], ("cancelled", "waiting_for_safepoint", "running"))

    def test_operations_are_listed_and_cancelled(self):
        self.succeeds("collect", "banana")
        self.assertRegex(self.succeeds("operations"), rf"(?m)^\S+ +collect +{self.process[:8]} +succeeded ")
        operation = self.get("/v1/operations")["operations"][0]["id"]
        self.assertIn("can no longer be cancelled", self.fails(1, "operation", operation, "cancel"))
        self.assertIn("succeeded", self.succeeds("operation", operation))
        self.assertEqual(self.succeeds("operations", "--kind", "freeze"), "no operations\n")
        self.assertIn("collect", self.succeeds("operations", "banana", "--state", "succeeded"))
        self.assertIn("no such operation", self.fails(1, "operation", "0-0").lower())
        self.assertIn("collect", self.succeeds("audit", "--kind", "collect"))
        self.assertNotIn("collect", self.succeeds("audit", "--kind", "freeze"))

    def test_options_are_of_the_commands_that_take_them(self):
        for words in (["list", "--wait", "1s"], ["stats", "banana", "--label", "a=b"], ["collect", "banana", "--out", "x"], ["help", "--heap", "1"],
                      ["tail", "stats", "banana", "--kind", "alloc"], ["artifact", "x", "types", "--format", "pprof"], ["token", "list", "--scope", "read"],
                      ["watch", "list", "--heap", "1"]):
            self.assertIn("takes no --", self.fails(2, *words))
        text = self.succeeds("help", "assert")
        self.assertIn("--max-growth N", text)
        self.assertNotIn("--scope", text)
        self.assertEqual(text, self.succeeds("assert", "--help"))
        self.fails(2, "help", "nonsense")
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertLessEqual(max(map(len, self.succeeds("help").splitlines())), 80)

    def test_words_are_completed(self):
        shady = self.start_host("ledger", "a;b $(x)")
        process = self.attached(shady)
        self.started.ask("ring 1")
        until(lambda: "node" in self.types(self.process), "the view shows them")

        def offers(*words):
            return self.succeeds("completion", "words", "--", *words).splitlines()
        self.assertEqual([word for word in offers("coll") if word.startswith("coll")], ["collections", "collect"])
        self.assertEqual(set(offers("stats", "")), {"banana", process[:8]} if "a;b $(x)" in self.succeeds("list") else {"banana", "ledger"})
        self.assertIn("node", offers("objects", "banana", "n"))
        self.assertIn("node", offers("assert", "banana", "--type", ""))
        self.assertIn("manager=", offers("set", "banana", "m"))
        self.assertIn("manager=generational", offers("set", "banana", "manager="))
        self.assertEqual(offers("garbage", "banana", ""), ["clear"])
        self.assertIn("--max-live", offers("assert", "banana", "--"))
        self.assertNotIn("--scope", offers("assert", "banana", "--"))
        self.assertEqual(offers("token", "create", "t", "--scope", ""), ["read", "control", "admin"])
        self.assertEqual(offers("openapi", "--out", ""), ["//files"])
        self.assertIn("stats", offers("watch", ""))
        self.assertNotIn("collect", offers("watch", ""))
        self.assertIn("banana", offers("watch", "stats", ""))
        self.assertIn("banana", offers("batch", "collect", "--process", "b"))
        self.assertEqual(offers("nonsense", ""), [])
        self.daemon.stop()
        watch = Stopwatch()
        self.assertEqual(offers("stats", ""), [])
        self.assertLess(watch.seconds(), 8)  # not the 10 s that an answer has otherwise
        self.daemon.signal(signal.SIGCONT)
        self.assertEqual(offers("login", ""), [])

    @unittest.skipUnless(TMUX, "needs tmux")
    def test_words_are_completed_in_bash(self):
        self.started.ask("ring 1")
        until(lambda: "node" in self.types(self.process), "the view shows them")
        screen = Terminal(self, "bash --norc --noprofile -i", columns=100, PATH=os.path.dirname(program("tallyctl")) + ":/usr/bin:/bin")
        screen.shows("#" if os.geteuid() == 0 else "$")
        screen.type('PS1="$ "; eval "$(tallyctl completion bash)"; clear\n')
        screen.shows(lambda text: text.strip() == "$")
        for typed, completed in (("tallyctl ali\t", "tallyctl ali"), ("tallyctl collecti\t", "tallyctl collections "), ("tallyctl stats ban\t", "tallyctl stats banana "),
                                 ("tallyctl set banana man\tge\t", "tallyctl set banana manager=generational "), ("tallyctl --run\t", "tallyctl --runtime-dir "),
                                 ("tallyctl objects banana no\t", "tallyctl objects banana node "), ("tallyctl compare now:b\t", "tallyctl compare now:banana "),
                                 ("tallyctl openapi --out READ\t", "tallyctl openapi --out README.md ")):
            screen.type(typed)
            screen.shows(lambda text, completed=completed: "$ " + completed.rstrip() in text.split("\n"))
            screen.type("|")
            screen.shows("$ " + completed + "|")
            screen.keys("C-u", "C-l")
            screen.shows(lambda text: text.strip() == "$")


if __name__ == "__main__":
    unittest.main()
