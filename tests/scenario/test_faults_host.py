"""Faults of the programs that embed libtally, by their number in the fault table: killed, stopped, forked, signalled,
without descriptors or memory, ended in the middle. Each docstring is the promise; what counters are held against is the
ledger that the host keeps itself."""
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import time
import unittest

import book
from harness import CHECKED, PATIENCE, THREADS_CHECKED, Scenario, Stopwatch, program, until

ALONE = True  # what is measured here is not others' load

CLOEXEC = 0o2000000


class HostFaults(Scenario):
    def start_ledger(self, number, *arguments):
        """A host whose ledger can be read when it is dead, and that ledger's file."""
        path = os.path.join(self.dir, f"book-{number}")
        return self.start_host("ledger", f"host-{number}", *arguments, LEDGER_FILE=path), path

    def status(self, pid, task=None):
        with open(f"/proc/{pid}/task/{task or pid}/status", encoding="ascii") as file:
            return dict(line.split(":\t", 1) for line in file.read().splitlines())

    def footprint(self, pid):
        """Descriptors, maps and threads. ThreadSanitizer maps more with every thread that has been."""
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
            count = 0 if THREADS_CHECKED else len(maps.read().splitlines())
        return len(os.listdir(f"/proc/{pid}/fd")), count, len(os.listdir(f"/proc/{pid}/task"))

    # ---- killed

    def check_killed(self, process, path):
        """Returns by how many objects counters and ledger differ: one at most, where a call was going on."""
        found, stats, types = book.read(path), self.stats(process), self.types(process)
        off = book.off_by(types, found)
        self.assertLessEqual(off, found["begun"] - found["ended"], (found, types))
        self.assertFalse(stats["heaps"][0]["inconsistent"])
        if not stats["events"]["lost"]:  # every event was read, to the last one
            unseen = sum(abs(t["allocations"] - t["events"]["allocations"]) +
                         abs(sum(t["frees"].values()) - sum(t["events"]["frees"].values())) for t in types.values())
            self.assertLessEqual(unseen, 1, types)
        return off

    def test_F3_a_thousand_programs_are_killed(self):
        """kill -9 at 1,000 random instants: seen within 1 s, the counters are those of the host's own ledger to within
        the one operation that was going on, and exactly those where none was; nothing torn is shown."""
        rounds, together = (4, 10) if CHECKED else (40, 25)
        self.start_daemon()
        times, off, complete = [], [], 0
        watch = Stopwatch()
        for batch in range(rounds):
            victims = {}
            for n in range(together):
                host, path = self.start_ledger(f"{batch}-{n}")
                host.type("churn 60000" if n % 2 else "stroll 60000")
                victims[host.pid] = (host, path)

            def all_in():
                return len(shown := {p["pid"]: p["id"] for p in self.processes("live") if p["heaps"]}) == together and shown
            ids = until(all_in, "all are attached", 20)
            killed = {}
            for pid in random.sample(list(victims), together):
                time.sleep(random.uniform(0, 0.006))
                victims[pid][0].signal(signal.SIGKILL)
                killed[pid] = time.monotonic()
            while killed:
                live = {p["pid"] for p in self.processes("live")}
                now = time.monotonic()
                for pid in [pid for pid in killed if pid not in live]:
                    times.append(now - killed.pop(pid))
                self.assertLess(max([now - then for then in killed.values()], default=0), PATIENCE)
            for pid, (host, path) in victims.items():
                off.append(self.check_killed(ids[pid], path))
                complete += self.stats(ids[pid])["complete"]
                host.end()
        self.figure(f"F3: {len(times)} kills, seen after {statistics.median(times):.3f} s, {max(times):.3f} s at worst; "
                    f"{sum(off)} of the counts were one object off, {complete} were read to the last event")
        self.assertEqual(len(times), rounds * together)
        self.assertLess(max(times) * watch.share(), 1.0)

    def test_F4_a_stopped_program_holds_nobody_up(self):
        """SIGSTOP, 100 collects: each is answered 202 at once, tallyd serves on and shows how long the program has been
        away; SIGCONT: one collection for all of them. What passes its deadline meanwhile fails, and never runs."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("automatic 0", "ring 300"):
            host.ask(line)
        runs = host.own_ledger()["runs"]
        host.stop()
        watch = Stopwatch()
        asked = [self.start_operation(process, body={"generation": 2}) for _ in range(100)]
        slowest = 0
        for _ in range(20):
            began = time.monotonic()
            self.assertEqual(self.unix("GET", "/healthz").status, 200)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
        self.assertGreater(self.stats(process)["safepoint_age_ns"], 0.9e9)
        self.assertTrue(all(self.operation(o)["state"] in ("queued", "waiting_for_safepoint") for o in asked))
        self.figure(f"F4: 100 collects asked, 20 answers of /healthz, {slowest * 1000:.0f} ms at worst, in "
                    f"{time.monotonic() - watch.start:.1f} s")
        self.assertLess(slowest * watch.share(), 0.5)
        host.signal(signal.SIGCONT)
        ends = [until(lambda o=o: (v := self.operation(o))["state"] in ("succeeded", "failed") and v, "it ends") for o in asked]
        self.assertEqual({(end["state"], end["result"]["collected"]) for end in ends}, {("succeeded", 600)})
        collections = host.own_ledger()["runs"] - runs
        self.assertEqual(collections, 1)
        self.assertEqual(host.ledger()["node"]["cycle"], 600)
        host.stop()
        late = [self.start_operation(process, body={"deadline_ms": 300}) for _ in range(5)]
        for operation in late:
            end = until(lambda o=operation: (v := self.operation(o))["state"] == "failed" and v, "it fails", 5)
            self.assertEqual(end["code"], "unconfirmed")
        host.signal(signal.SIGCONT)
        host.ask("make 1")
        self.assertEqual(host.own_ledger()["runs"], runs + collections)
        self.assert_agrees(process, host.own_ledger())

    # ---- too fast

    def test_F9_a_burst_larger_than_the_ring_is_lost_by_count(self):
        """10^6 objects through a ring of a few thousand words: the oldest are lost and counted, one for one, and the
        stream shows it; counters are exact."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("make 10", "ring 10"):
            host.ask(line)
        stream = self.spawn("curl", "-sN", "--unix-socket", self.path("api.sock"),
                            f"http://localhost/v1/stream?topics=stats:{process}")
        until(lambda: "event: stats" in stream.log(), "the stream flows")
        burst = 50_000 if CHECKED else 1_000_000
        self.daemon.stop()
        host.ask(f"pace {burst}", 60)
        self.daemon.signal(signal.SIGCONT)
        ledger = host.own_ledger()
        self.assert_agrees(process, ledger)
        births_and_deaths = book.objects(ledger)

        def settled():
            events = self.stats(process)["events"]
            return events["written"] == events["seen"] + events["lost"] >= births_and_deaths and events
        events = until(settled, "written = seen + lost")
        self.assertLessEqual(events["written"] - births_and_deaths, 2 * ledger["runs"] + events["written"] // 100)
        self.assertGreater(events["lost"], burst)
        self.assertIs(self.stats(process)["complete"], False)
        until(lambda: re.search(rf'"lost": ?{events["lost"]}\b', stream.log()), "the stream shows what is lost")
        self.figure(f"F9: {births_and_deaths} births and deaths, {events['written']} events, {events['lost']} lost")

    # ---- fork and exec

    def check_grandchild(self, how):
        host = self.start_host("ledger")
        parent = self.attached(host)
        for line in ("make 50", "ring 20", "hold 30", f"child {how}", "make 40"):
            host.ask(line)
        ledgers = [until(lambda w=who: host.ledger(w), f"the {who} has worked") for who in ("child", "grandchild")]
        for ledger in ledgers:
            shown = until(lambda p=ledger["pid"]: [q for q in self.processes("live") if q["pid"] == p and q["heaps"]],
                          "it is attached")[0]
            self.assertNotEqual(shown["id"], parent)
            self.assert_agrees(shown["id"], ledger)
        self.assert_agrees(parent, host.own_ledger())
        for ledger in reversed(ledgers):
            os.kill(ledger["pid"], signal.SIGKILL)
        until(lambda: [p["id"] for p in self.processes("live")] == [parent], "they are gone")
        self.assert_agrees(parent, host.own_ledger())
        host.end()

    @unittest.skipIf(THREADS_CHECKED, "ThreadSanitizer does not see a raw clone, and takes the parent's threads for the child's")
    def test_F12_grandchildren_count_for_themselves(self):
        """A child by fork() or a raw clone, and its child by the other way: each attaches as itself and counts from
        what lives; nobody writes into another's numbers."""
        self.start_daemon()
        for how in (2, 3):
            self.check_grandchild(how)

    @unittest.skipIf(THREADS_CHECKED, "ThreadSanitizer does not see a raw clone: its own locks stay taken in the child")
    def test_F12_a_thousand_children_in_a_row(self):
        """1,000 children by both ways, at whatever the helper thread is doing: each allocates, collects and verifies
        what it inherited; the parent's numbers stay its own."""
        count = 100 if CHECKED else 1000
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("ring 50", "hold 20"):
            host.ask(line)
        host.type(f"children {count}")
        for _ in range(10):  # so that commands are on their way when it forks
            self.unix("POST", f"/v1/processes/{process}/collect?wait=0s", {})
            time.sleep(0.02)
        until(lambda: "ok children" in host.log(), "the children have lived", 80)
        self.assertIn("failed 0\n", host.log())
        until(lambda: len(self.processes("live")) == 1, "only their parent is left")
        self.assert_agrees(process, host.own_ledger())

    def test_F12_exec_ends_one_program_and_begins_another(self):
        """exec: the old program is gone with its last counts, the new one attaches under the same pid as itself."""
        self.start_daemon()
        host = self.start_host("ledger", "first")
        first = self.attached(host)
        for line in ("make 100", "ring 20"):
            host.ask(line)
        self.assert_agrees(first, host.own_ledger())
        host.type("become")
        until(lambda: [p for p in self.processes("gone") if p["id"] == first], "the first is gone")
        second = self.attached(host)
        self.assertNotEqual(second, first)
        for line in ("make 7", "ring 3"):
            host.ask(line)
        self.assert_agrees(second, host.own_ledger())
        self.assert_agrees(first, host.ledger("before"))

    def test_F13_no_descriptor_leaks(self):
        """Every descriptor is CLOEXEC, and 10^4 times attach and detach leave descriptors, maps and threads as they
        were, at both ends."""
        count = 1000 if CHECKED else 10_000
        self.start_daemon()
        host = self.start_host("ledger", "late", "unattached")
        host.ask("make 100")
        host.ask("ring 10")
        own = set(os.listdir(f"/proc/{host.pid}/fd"))
        host.ask("attach")
        process = self.attached(host)
        added = set(os.listdir(f"/proc/{host.pid}/fd")) - own
        self.assertGreater(len(added), 3)
        for fd in added:
            with open(f"/proc/{host.pid}/fdinfo/{fd}", encoding="ascii") as info:
                flags = int(re.search(r"flags:\s+(\d+)", info.read())[1], 8)
            self.assertTrue(flags & CLOEXEC, os.readlink(f"/proc/{host.pid}/fd/{fd}"))
        host.ask("come-and-go 10")
        before = self.footprint(host.pid)
        until(lambda: "attached" in host.ask("status"), "it is attached")
        host.ask("make 1")
        self.settled(self.attached(host))
        daemons = self.footprint(self.daemon.pid)
        start = time.monotonic()
        self.assertIn("failed 0\n", host.ask(f"come-and-go {count}", 60))
        took = time.monotonic() - start
        until(lambda: self.footprint(host.pid) == before, f"as before: {before}", 3)
        self.figure(f"F13: {count} times in {took:.1f} s; {before} descriptors, maps and threads before and after")
        until(lambda: "attached" in host.ask("status"), "it is attached again")
        self.assertEqual(self.attached(host), process)
        host.ask("make 10")
        until(lambda: self.footprint(self.daemon.pid)[0] <= daemons[0] and self.footprint(self.daemon.pid)[1] <= daemons[1] + 4,
              f"tallyd is as before: {daemons}")
        self.assertGreaterEqual(int(host.own_ledger()["leaf"]["refcount"]), 110)

    # ---- signals

    def masks(self, pid):
        """Signals 32 and 33 are the C library's own: it takes them with the first thread."""
        own = 1 << 31 | 1 << 32
        return {name: int(self.status(pid)[name], 16) & ~own for name in ("SigCgt", "SigIgn", "SigBlk", "ShdPnd")}

    def test_F14_signals_are_the_hosts(self):
        """No handler, no mask, no output of the library's; one helper thread, which blocks every signal; a signal every
        millisecond, which interrupts every call, changes nothing, while tallyd dies and comes back."""
        self.start_daemon()
        host = self.start_host("ledger", "late", "unattached")
        host.ask("make 10")
        masks = self.masks(host.pid)
        host.ask("attach")
        process = self.attached(host)
        self.assertEqual(self.masks(host.pid), masks)
        helpers = [task for task in os.listdir(f"/proc/{host.pid}/task") if int(task) != host.pid]
        if not CHECKED:  # a sanitizer may have threads of its own
            self.assertEqual(len(helpers), 1)
        helper = next(h for h in helpers if self.status(host.pid, h)["Name"] == "tally-agent")
        blocked = int(self.status(host.pid, helper)["SigBlk"], 16)
        for number in set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
            self.assertTrue(blocked >> (number - 1) & 1, f"signal {number}")
        host.ask("timer 1000")
        for _ in range(4):
            for line in ("make 300", "ring 100", "collect 0", "come-and-go 20"):
                host.ask(line)
            self.assertEqual(self.collect(self.attached(host)).json["state"], "succeeded")
            self.daemon.signal(signal.SIGKILL)
            self.daemon.wait()
            host.ask("make 100")
            self.start_daemon()
            self.assertEqual(self.attached(host), process)
            time.sleep(0.2)
        ticks = int(re.search(r"ticks (\d+)", host.ask("timer 0"))[1])
        self.figure(f"F14: {ticks} signals")
        self.assertGreater(ticks, 500)
        said = [line for line in host.log().splitlines() if not re.match(r"ok |attach 0|collected \d+$|ticks|failed 0$|ledger", line)]
        self.assertEqual(said, [])

    # ---- ends that the library did not choose

    def plugin(self, way):
        # It leaves heaps behind, as is the point here.
        host = self.spawn(program("hosts/plugin"), program("libtally.so"), way, stdin=subprocess.PIPE,
                          ASAN_OPTIONS="detect_leaks=0")
        process = self.attached(host)
        until(lambda: "ready" in host.log(), "it is ready")
        return host, process

    def leaves(self, host):
        watch = Stopwatch()
        host.type("")
        self.assertEqual(host.wait(), 0, host.log())
        took = int(re.search(r"exit took (\d+) us", host.log())[1])
        self.figure(f"F15: exit took {took} us")
        self.assertLess(took * watch.share(), 10_000)

    def test_F15_a_thread_ends_with_its_heap(self):
        """Its heap stays in view with its last counts, and shows that nobody comes by; what is asked of it ends at its
        deadline, what is asked of the process's other heap is done."""
        self.start_daemon()
        host, process = self.plugin("thread")
        stats = until(lambda: len((s := self.stats(process))["heaps"]) == 2 and s, "both heaps are shown")
        self.assertEqual(sorted(h["live_objects"] for h in stats["heaps"]), [5, 37])
        orphan = next(h["n"] for h in stats["heaps"] if h["live_objects"] == 37)
        answer = self.unix("POST", f"/v1/processes/{process}/heaps/{orphan}/collect?wait=30s", {"deadline_ms": 300})
        self.assertEqual(answer.json["state"], "expired", answer)
        ages = [self.stats(process)["heaps"][orphan - 1]["safepoint_age_ns"]]
        time.sleep(0.3)
        ages.append(self.stats(process)["heaps"][orphan - 1]["safepoint_age_ns"])
        self.assertGreater(ages[1], ages[0] + 0.2e9)
        self.leaves(host)
        gone = until(lambda: self.processes("gone"), "it is gone")[0]
        self.assertEqual((gone["allocations"], gone["live_objects"]), (42, 42))

    def test_F15_exit_in_a_collection(self):
        """exit() from a callback of a collection: takes 10 ms at most, and tallyd has the last counts."""
        self.start_daemon()
        host, process = self.plugin("exit")
        self.leaves(host)
        gone = until(lambda: self.processes("gone"), "it is gone")[0]
        self.assertEqual((gone["id"], gone["allocations"]), (process, 5))

    def test_F15_dlclose_unloads_nothing(self):
        """dlclose() with a heap attached: the library stays, its thread runs on, exit takes 10 ms at most."""
        self.start_daemon()
        host, process = self.plugin("dlclose")
        host.type("")
        until(lambda: "closed" in host.log(), "it has let go of the library")
        with open(f"/proc/{host.pid}/maps", encoding="utf-8") as maps:
            self.assertIn("libtally.so", maps.read())
        self.daemon.signal(signal.SIGKILL)
        self.daemon.wait()
        self.start_daemon()
        self.assertEqual(self.attached(host), process)
        self.leaves(host)

    # ---- nothing left

    def limited(self, kind, value, host):
        """Sets a soft limit of the host's, and returns what it was."""
        soft, hard = resource.prlimit(host.pid, kind)
        resource.prlimit(host.pid, kind, (value, hard))
        return soft, hard

    def check_attach_fails(self, host, kind, value, error):
        before = self.limited(kind, value, host)
        footprint = self.footprint(host.pid)
        for _ in range(3):
            self.assertIn(f"attach {error}\n", host.ask("attach"))
        for line in ("make 500", "ring 50", "collect 2"):
            host.ask(line)
        self.assertIn("the system refused what attaching needs", host.ask("status"))
        after = self.footprint(host.pid)
        self.assertEqual((after[0], after[2]), (footprint[0], footprint[2]))
        resource.prlimit(host.pid, kind, before)

    def test_F18_attaching_fails_quietly_where_there_is_no_descriptor(self):
        """Attaching without a descriptor left is an error that leaves nothing behind; the heap works, and attaches once
        there is room. Where a lost daemon cannot be reached for want of one, it is found within 2 s of room."""
        self.start_daemon()
        host = self.start_host("ledger", "late", "unattached")
        host.ask("make 10")
        self.check_attach_fails(host, resource.RLIMIT_NOFILE, len(os.listdir(f"/proc/{host.pid}/fd")), -7)
        host.ask("attach")
        process = self.attached(host)
        self.assert_agrees(process, host.own_ledger())
        self.daemon.signal(signal.SIGKILL)
        self.daemon.wait()
        until(lambda: "apart" in host.ask("status"), "the host knows")
        before = self.limited(resource.RLIMIT_NOFILE, 3, host)
        self.start_daemon()
        calls = self.status(host.pid)
        time.sleep(1.2)
        self.assertEqual(self.processes("live"), [])
        self.assertIn("apart", host.ask("status"))
        self.assertEqual(self.status(host.pid)["Threads"], calls["Threads"])
        host.ask("make 100")
        resource.prlimit(host.pid, resource.RLIMIT_NOFILE, before)
        watch = Stopwatch()
        self.assertEqual(self.attached(host), process)
        self.figure(f"F18: found again {watch.seconds():.2f} s after there was a descriptor")
        self.assertLess(watch.seconds(), 2.0)
        self.assert_agrees(process, host.own_ledger())

    def test_F18_attaching_fails_quietly_where_there_is_no_memory(self):
        """The same without address space."""
        if CHECKED:
            self.skipTest("sanitizers take all the address space there is")
        self.start_daemon()
        host = self.start_host("ledger", "late", "unattached")
        for line in ("make 2000", "ring 200", "collect 2"):
            host.ask(line)
        size = int(self.status(host.pid)["VmSize"].split()[0]) * 1024
        self.check_attach_fails(host, resource.RLIMIT_AS, size, -1)
        host.ask("attach")
        self.assert_agrees(self.attached(host), host.own_ledger())
