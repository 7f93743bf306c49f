"""tallyctl top and watch in a real terminal: what is shown, what keys do, and how the terminal is left."""
import json
import os
import re
import select
import signal
import subprocess
import unittest

from harness import PATIENCE, Scenario, until
from terminal import TMUX, Terminal, on_terminal, tallyctl

LONG = True  # begins first, see run.py

HEADINGS = "NAME                   PID OBJECTS  BYTESv ALLOC/S COUNT/S CYCLE/S   GC%     P99"


@unittest.skipUnless(TMUX, "needs tmux")
class Top(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def host(self, name, *lines):
        host = self.start_host("ledger", name)
        process = self.attached(host)
        for line in ("automatic 0", *lines):
            host.ask(line)
        return host, process

    def top(self, *options, columns=80, rows=24, **environment):
        return Terminal(self, tallyctl("top", "-i", "200ms", *options), columns, rows, **environment)

    def test_the_list_sorts_filters_helps_and_leaves_the_terminal_sane(self):
        self.host("apricot", "hold 50")
        self.host("banana", "hold 400")
        screen = self.top()
        text = screen.shows(lambda t: re.search(r"(?m)^apricot ", t) and re.search(r"(?m)^banana .*0\.00", t) and len(t.split("\n")) == 24)
        lines = text.split("\n")
        self.assertTrue(lines[0].startswith("tally  " + self.runtime), lines[0])
        self.assertRegex(lines[1], r"^2 live 0 gone  \d+ objects ")
        self.assertEqual(lines[3].rstrip(), HEADINGS)
        self.assertEqual([line.split()[0] for line in lines[4:6]], ["banana", "apricot"])
        self.assertIn("Live bytes: Payload bytes of the live objects, each rounded up to 8.", text)
        screen.keys("Left")
        screen.shows("Live objects: Objects allocated and not yet freed.")
        screen.keys("r")
        screen.shows(lambda t: -1 < t.find("apricot") < t.find("banana"))
        screen.keys("?")
        screen.shows("tallyctl top: keys")
        screen.keys("x")
        screen.shows("apricot")
        screen.keys("/")
        screen.type("BAN")
        screen.shows(lambda t: "Filter: BAN_" in t and "apricot" not in t and "banana" in t)
        screen.keys("BSpace", "BSpace", "BSpace")
        screen.type("nobody")
        screen.shows("No process fits the filter")
        screen.keys("C-u")
        screen.type("ban")
        screen.keys("Enter")
        screen.shows("only what fits: ban")
        screen.keys("/", "Escape")
        screen.shows(lambda t: "apricot" in t and "only what fits" not in t)
        self.assertEqual((screen.pane("alternate_on"), screen.pane("cursor_flag")), ("1", "0"))
        screen.keys("q")
        screen.shows("status 0")
        self.assertEqual((screen.pane("alternate_on"), screen.pane("cursor_flag")), ("0", "1"))
        screen.type("echoed")  # by the terminal again
        screen.shows("echoed")

    def test_a_page_of_one_process_and_its_controls(self):
        _, process = self.host("banana", "hold 40", "ring 21")
        screen = self.top()
        screen.shows("banana")
        screen.keys("Enter")
        text = screen.shows(lambda t: "[1 Types]" in t and re.search(r"(?m)^node +24 B +42 ", t))
        self.assertRegex(text.split("\n")[0], rf"^banana +pid \d+  {process[:8]}  live  safepoint ")
        self.assertRegex(text.split("\n")[2], r"^automatic off  cycle 700,10,10  max-pause none  memory-limit none")
        screen.keys("c")
        screen.shows(lambda t: re.search(r"(?m)^Collect banana\? Predicted pause: .+\. y: yes, else no$", t))
        screen.keys("n")
        screen.shows("not done")
        self.assertEqual(self.stats(process)["collections"], 0)
        screen.keys("c", "y")
        screen.shows(lambda t: re.search(r"(?m)^collected 42 objects, 1008 B; it paused for ", t))
        screen.keys("Tab")
        screen.shows(lambda t: "[2 Collections]" in t and re.search(r"(?m)^\d\d:\d\d:\d\d\.\d+ remote +2 .* 42 +1008 B", t))
        screen.keys("3", "Down")
        screen.shows(lambda t: "[3 Figures]" in t and "Live bytes: Payload bytes" in t)
        screen.keys("e")
        screen.shows("Enable banana? A full collection pauses for")
        screen.keys("y")
        screen.shows("automatic collections are on")
        self.assertIs(self.get(f"/v1/processes/{process}/config")["enabled"], True)
        screen.keys("d", "y")
        screen.shows("automatic collections are off")
        screen.keys("s")
        screen.shows(lambda t: re.search(r"Snapshot of banana\? Predicted pause: [\d.]+ ", t))
        screen.keys("y")
        screen.shows(lambda t: re.search(r"(?m)^snapshot [0-9a-f]{16}: 40 objects; it paused for ", t))
        screen.keys("q")
        screen.shows("NAME ")
        screen.keys("q")
        screen.shows("status 0")

    def test_sizes_and_a_change_of_size(self):
        for i in range(6):
            self.host(f"host{i}")
        screen = self.top(columns=50, rows=10)
        text = screen.shows(lambda t: "host2" in t)
        self.assertNotIn("GC%", text)
        self.assertNotIn("host5", text)
        self.assertLessEqual(max(map(len, text.split("\n"))), 50)
        screen.keys("End")
        screen.shows("host5")
        screen.resize(170, 40)
        screen.shows(lambda t: "LABELS" in t and "LONGEST" in t and "host0" in t and len(t.split("\n")) == 40)
        screen.resize(15, 5)
        screen.shows("too small")
        screen.resize(80, 24)
        screen.shows(HEADINGS)
        screen.keys("q")
        screen.shows("status 0")

    def test_stopped_and_continued_it_draws_anew(self):
        self.host("banana")
        line = f"set -m; {tallyctl('top', '-i', '200ms')} & sleep 0.3; fg >/dev/null; echo stopped; sleep 0.2; fg >/dev/null"
        screen = Terminal(self, f"bash -c '{line}'")
        screen.shows("banana")
        screen.keys("C-z")
        screen.shows(lambda t: "banana" in t and screen.pane("alternate_on") == "1")
        screen.keys("q")
        screen.shows("status 0")
        self.assertEqual(screen.pane("cursor_flag"), "1")

    def test_watch_leaves_the_terminal_to_the_shell_while_it_is_stopped(self):
        self.host("banana")
        ready = os.path.join(self.dir, "ready")
        os.mkfifo(ready)
        line = f"set -m; {tallyctl('watch', '-i', '30s', 'list')}; echo stopped; read -r x <{ready}; fg >/dev/null"
        screen = Terminal(self, f"bash -c '{line}'")
        screen.shows(lambda t: "banana" in t and screen.pane("alternate_on") == "1")
        screen.keys("C-z")
        screen.shows(lambda t: "stopped" in t and screen.pane("alternate_on") == "0" and screen.pane("cursor_flag") == "1")
        with open(ready, "w", encoding="ascii") as out:
            out.write("on\n")
        screen.shows(lambda t: "banana" in t and screen.pane("alternate_on") == "1" and screen.pane("cursor_flag") == "0")
        screen.resize(100, 20)  # long before the next look
        screen.shows(lambda t: len(t.split("\n")) <= 20 and "AUTOMATIC" in t)
        screen.keys("C-c")
        screen.shows(lambda t: "status 0" in t and screen.pane("alternate_on") == "0" and screen.pane("cursor_flag") == "1")

    def test_names_cannot_break_the_screen(self):
        hostile = "漢字" * 8 + "e" + "́" * 6  # as long as a name may be
        self.host(hostile)
        self.host("\U0001F468\U0001F469\U0001F467" * 9)
        for environment in ({}, {"LC_ALL": "C"}):
            screen = self.top(**environment)
            text = screen.shows(lambda t: "2 live" in t and HEADINGS in t and t.count(" 0.00 ") == 2)
            rows = text.split("\n")[4:6]
            for row in rows:
                self.assertRegex(row, r" \d+ +\d+ +\d+ +\d+ +\d+ +\d+ +[\d.]+ +\S")
            if environment:
                self.assertTrue(text.isascii(), text)
            else:
                self.assertTrue(any("漢字" in row for row in rows), rows)
            screen.keys("Enter")
            screen.shows("[1 Types]")
            screen.keys("q", "q")
            screen.shows("status 0")

    def test_a_lost_connection_is_shown_as_stale_and_comes_again(self):
        self.host("banana")
        screen = self.top()
        screen.shows("banana")
        self.daemon.signal(signal.SIGTERM)
        self.daemon.wait()
        screen.shows(lambda t: "STALE: as it was" in t and "no daemon" in t and "banana" in t)
        screen.keys("?")  # keys are obeyed meanwhile
        screen.shows("tallyctl top: keys")
        screen.keys("x")
        self.start_daemon()
        screen.shows(lambda t: "STALE" not in t and "1 live" in t and "banana" in t)
        self.daemon.stop()
        screen.shows("STALE: as it was", 15)
        screen.keys("q")
        screen.shows("status 0")
        self.daemon.signal(signal.SIGCONT)

    def test_space_holds_still_and_a_shows_the_gone(self):
        host, _ = self.host("banana")
        screen = self.top()
        screen.shows("banana")
        screen.keys("Space")
        screen.shows("PAUSED")
        screen.keys("Space")
        host.process.kill()
        screen.shows("No process lives; a shows those that are gone.")
        screen.keys("a")
        screen.shows("(banana)")
        screen.keys("c")
        screen.shows("it has ended")
        screen.keys("C-c")
        screen.shows("status 0")
        self.assertEqual(screen.pane("cursor_flag"), "1")

    def test_terminals_that_cannot(self):
        for term in ("dumb", "nonsense-of-no-vendor"):
            screen = Terminal(self, f"TERM={term} {tallyctl('top')}")  # tmux sets that of its panes
            screen.shows(lambda t: f"the terminal '{term}'" in t.replace("\n", "") and "status 2" in t)

    def test_colours_are_for_terminals_that_want_them(self):
        self.host("banana")
        screen = Terminal(self, tallyctl("list"))
        screen.shows(lambda t: "banana" in t and "status 0" in t)
        self.assertIn("\033[1m", screen.looks())
        self.assertIn("\033[32m", screen.looks())
        for line in (f"NO_COLOR=1 {tallyctl('list')}", tallyctl("list", "--color", "never"), f"TERM=dumb {tallyctl('list')}"):
            screen = Terminal(self, line)
            screen.shows(lambda t: "banana" in t and "status 0" in t)
            self.assertNotIn("\033[32m", screen.looks(), line)
        self.assertNotIn("\033", self.ctl("list").stdout)
        self.assertIn("\033[32mlive", self.ctl("list", "--color", "always").stdout)

    def test_watch_marks_what_has_changed(self):
        host, _ = self.host("banana")
        screen = Terminal(self, tallyctl("watch", "-i", "200ms", "types", "banana"))
        screen.shows(lambda t: "no types yet" in t or "TYPE" in t)
        self.assertEqual(screen.pane("alternate_on"), "1")
        until(lambda: host.ask("hold 5") is None or re.search(r"\033\[7m\d+", screen.looks()), "what changed is marked", pause=0.15)
        screen.shows("Ctrl-C ends")
        screen.keys("C-c")
        screen.shows("status 0")
        self.assertEqual((screen.pane("alternate_on"), screen.pane("cursor_flag")), ("0", "1"))


class Plain(Scenario):
    """Without a terminal."""

    def setUp(self):
        super().setUp()
        self.start_daemon()
        self.started = self.start_host("ledger", "banana")
        self.process = self.attached(self.started)

    def test_top_prints_one_frame(self):
        for words in (["top"], ["top", "--once"]):
            done = self.ctl(*words, "-i", "200ms")
            self.assertEqual((done.returncode, done.stderr), (0, ""), done)
            lines = done.stdout.split("\n")
            self.assertEqual(lines[3], HEADINGS)
            self.assertRegex(lines[4], r"^banana +\d+ +\d+ ")
            self.assertNotIn("\033", done.stdout)
        rows = json.loads(self.ctl("top", "--json", "-i", "200ms").stdout)["processes"]
        self.assertEqual(rows[0]["name"], "banana")
        self.assertEqual(rows[0]["gc_percent"], 0)
        self.assertIn("LABELS", self.ctl("top", "-i", "200ms", COLUMNS="160").stdout)
        self.assertEqual(self.ctl("top", "--sort", "nonsense").returncode, 2)
        self.assertIn("No process carries the labels", self.ctl("top", "--label", "a=b", "-i", "200ms").stdout)

    def test_tables_stay_within_a_terminal(self):
        self.started.ask("ring 5")
        self.started.ask("collect 2")
        until(lambda: self.stats(self.process)["collections"] == 1, "the collection is seen")
        for words in (["list"], ["types", "banana"], ["collections", "banana"], ["config", "banana"], ["operations"],
                      ["past", "processes"], ["audit"], ["rules", "series"], ["help"], ["help", "assert"]):
            for columns in (80, 60, 20):
                text, status = on_terminal(self, *words, columns=columns)
                self.assertEqual(status, 0, text)
                self.assertTrue(text.strip(), words)
                wide = [line for line in text.split("\n") if len(line) > max(columns, 40) and not line.startswith(("(a wider", "usage: ", "  "))]
                self.assertEqual(wide, [], (words, columns))
        self.assertIn("`| cat`, shows ", on_terminal(self, "list")[0])
        self.assertNotIn("`| cat`", on_terminal(self, "list", columns=200)[0])
        self.assertIn("LABELS", self.ctl("list").stdout)

    def test_watch_prints_frames_and_json_lines(self):
        done = self.ctl("watch", "-c", "2", "-i", "100ms", "list")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(done.stdout.count("banana"), 2)
        lines = self.ctl("watch", "-c", "3", "-i", "100ms", "--json", "stats", "banana").stdout.splitlines()
        self.assertEqual({json.loads(line)["name"] for line in lines}, {"banana"})
        self.assertEqual(len(lines), 3)
        for words in (["watch"], ["watch", "collect", "banana"], ["watch", "nonsense"], ["watch", "stats"]):
            self.assertEqual(self.ctl(*words).returncode, 2, words)
        self.assertEqual(self.ctl("watch", "stats", "nobody").returncode, 4)

    def test_tail_follows_and_comes_again(self):
        tail = subprocess.Popen([*tallyctl("tail", "collections", "banana", "--json").split()], env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (tail.poll() is None and tail.kill(), tail.wait(), tail.stdout.close(), tail.stderr.close()))
        self.started.ask("collect 2")
        self.assertEqual(json.loads(tail.stdout.readline())["generation"], 2)
        self.daemon.signal(signal.SIGTERM)
        self.daemon.wait()
        self.start_daemon()
        self.attached(self.started)
        self.started.ask("collect 1")
        self.assertEqual(json.loads(tail.stdout.readline())["generation"], 1, "and not the first one again")
        tail.send_signal(signal.SIGINT)
        self.assertEqual(tail.wait(PATIENCE), 0)
        self.assertIn("the connection was lost", tail.stderr.read())

    def test_tail_of_events_waits_for_a_program_that_is_back_later_than_tallyd(self):
        tail = subprocess.Popen(tallyctl("tail", "events", "banana", "--kind", "alloc", "--type", "text").split(), env=self.environment,
                                stdout=subprocess.PIPE)
        self.addCleanup(lambda: (tail.poll() is None and tail.kill(), tail.wait(), tail.stdout.close()))

        def readable(seconds):
            return select.select([tail.stdout], [], [], seconds)[0]

        def seen():
            self.started.ask("hold 1")
            return readable(0.2)
        until(seen, "a leaf was seen")
        self.started.stop()
        self.daemon.signal(signal.SIGTERM)
        self.daemon.wait()
        self.start_daemon()
        self.assertEqual(self.processes(), [])
        until(lambda: b"tallyd_sse_clients 1\n" in self.unix("GET", "/metrics").body, "it follows again")
        while readable(0):
            os.read(tail.stdout.fileno(), 65536)  # what it said before
        self.started.signal(signal.SIGCONT)
        self.attached(self.started)
        until(seen, "it goes on")
        self.assertIn(b" alloc text #", os.read(tail.stdout.fileno(), 65536))

    def test_tail_ends_when_nobody_reads(self):
        line = f"{tallyctl('tail', 'collections', 'banana')} | head -1"
        reader = subprocess.Popen(["bash", "-c", line], env=self.environment, text=True, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (reader.poll() is None and reader.kill(), reader.stdout.close()))
        self.started.ask("collect 2")
        self.assertEqual(reader.wait(PATIENCE), 0)

    def test_tail_of_events_operations_and_what_is_refused(self):
        tail = subprocess.Popen(tallyctl("tail", "events", "banana", "--kind", "alloc", "--type", "text", "-c", "3").split(), env=self.environment,
                                text=True, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (tail.poll() is None and tail.kill(), tail.wait(), tail.stdout.close()))
        until(lambda: self.started.ask("hold 3") is None or tail.poll() is not None, "three leaves were seen", pause=0.2)
        self.assertEqual(tail.stdout.read().count(" alloc text #"), 3)
        tail = subprocess.Popen(tallyctl("tail", "operations", "banana", "--kind", "collect", "-c", "1").split(), env=self.environment, text=True,
                                stdout=subprocess.PIPE)
        self.addCleanup(lambda: (tail.poll() is None and tail.kill(), tail.wait(), tail.stdout.close()))
        until(lambda: self.collect(self.process) is None or tail.poll() is not None, "an operation was seen", pause=0.2)
        self.assertRegex(tail.stdout.read(), rf"^\S+ collect {self.process[:8]} \w+")
        refused = self.ctl("tail", "events", "banana", "--kind", "nonsense")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("kind", refused.stderr)
        self.assertEqual(self.ctl("tail", "stats", "nobody").returncode, 4)
        self.assertEqual(self.ctl("tail", "fleet", "-c", "1").returncode, 0)
        self.daemon.signal(signal.SIGKILL)
        self.daemon.wait()
        self.assertEqual(self.ctl("tail", "alerts").returncode, 3)


if __name__ == "__main__":
    unittest.main()
