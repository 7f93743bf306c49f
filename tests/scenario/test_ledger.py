"""A host that keeps its own count outside libtally: tallyd must come to the same numbers, whatever happens."""
import os
import re
import signal
import unittest

from harness import THREADS_CHECKED, Scenario, Stopwatch, until


class Ledger(Scenario):
    def test_counters_are_the_hosts_own(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("make 1234", "hold 77", "ring 500", "collect 2", "ring 900", "release 33", "collect 0", "make 9"):
            host.ask(line)
        self.assert_agrees(process, host.own_ledger())
        self.assertGreater(host.ledger()["node"]["cycle"], 1000)

    def test_the_last_count_is_the_hosts_own(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("make 100", "hold 7", "ring 1000"):
            host.ask(line)
        host.signal(signal.SIGTERM)
        self.assertEqual(host.wait(), 0)
        gone = until(lambda: [p for p in self.processes("gone") if p["id"] == process], "it is gone")[0]
        self.assertEqual((gone["end"], gone["state"]), ("bye", "gone"))
        self.assert_agrees(process, host.ledger("final"))
        self.assertEqual(self.stats(process)["live_objects"], 0)

    def test_events_per_type_add_up_to_the_counters(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        def all_read():
            events = self.stats(process)["events"]
            return events["seen"] + events["lost"] == events["written"]
        for line in ("make 60", "ring 20", "make 60", "ring 20", "collect 2"):  # each is less than the ring holds
            host.ask(line)
            self.assert_agrees(process, host.own_ledger())
            until(all_read, "every event is read")
        stats = self.stats(process)
        self.assertEqual(stats["events"]["lost"], 0)
        self.assertIs(stats["complete"], True)
        for name, seen in self.types(process).items():
            self.assertEqual(seen["events"], {"allocations": seen["allocations"], "frees": seen["frees"]}, name)

    def test_a_stopped_tallyd_misses_exactly_what_it_says(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        host.ask("make 10")
        self.assert_agrees(process, host.own_ledger())
        self.daemon.stop()
        host.ask("make 5000")
        host.ask("collect 2")
        self.daemon.signal(signal.SIGCONT)
        ledger = host.own_ledger()
        self.assert_agrees(process, ledger)
        objects = sum(ledger[name][key] for name in ("node", "leaf", "text")
                      for key in ("allocations", "refcount", "cycle"))

        def settled():
            events = self.stats(process)["events"]
            return events["written"] == events["seen"] + events["lost"] and events["written"] >= objects and events
        events = until(settled, "written = seen + lost")
        self.assertGreater(events["lost"], 20_000)
        self.assertGreater(events["seen"], 0)
        # Besides the objects' events there are two for each collection, and clock records.
        runs = self.stats(process)["collections"]
        self.assertLessEqual(events["written"] - objects, 2 * runs + events["written"] // 100)
        self.assertIs(self.stats(process)["complete"], False)

    def test_a_host_that_is_there_before_tallyd_is_found(self):
        host = self.start_host("ledger")
        host.ask("make 500")
        host.ask("ring 50")
        self.assertIn("apart", host.ask("status"))
        self.start_daemon()
        watch = Stopwatch()
        process = self.attached(host)
        self.assertLess(watch.seconds(), 2.0)
        self.assertIn("attached", host.ask("status"))
        self.assert_agrees(process, host.own_ledger())

    def test_a_host_outlives_tallyd(self):
        self.start_daemon()
        host = self.start_host("ledger")
        self.attached(host)
        self.daemon.end()
        host.ask("make 1000")
        until(lambda: "apart" in host.ask("status"), "the host knows")
        host.signal(signal.SIGTERM)
        self.assertEqual(host.wait(), 0)

    def test_attaching_late_shows_what_was_counted_before(self):
        self.start_daemon()
        host = self.start_host("ledger", "late", "unattached")
        host.ask("make 300")
        host.ask("ring 20")
        host.ask("attach")
        process = self.attached(host)
        host.ask("make 5")
        self.assert_agrees(process, host.own_ledger())

    def check_child(self, raw):
        self.start_daemon()
        host = self.start_host("ledger")
        parent = self.attached(host)
        for line in ("make 50", "ring 20", "hold 30"):
            host.ask(line)
        pid = int(re.search(r"child-pid (\d+)", host.ask(f"child {raw}"))[1])
        self.addCleanup(self.kill, pid)
        host.ask("make 40")
        host.ask("collect 2")
        child = until(lambda: host.ledger("child"), "the child has worked")
        self.assertEqual(child["pid"], pid)
        shown = until(lambda: [p for p in self.processes("live") if p["pid"] == pid and p["heaps"]],
                      "the child attaches")[0]
        self.assertNotEqual(shown["id"], parent)
        self.assert_agrees(shown["id"], child)
        self.assert_agrees(parent, host.own_ledger())
        self.assertEqual(self.collect(shown["id"]).json["state"], "succeeded")
        self.assert_agrees(parent, host.own_ledger())
        os.kill(pid, signal.SIGTERM)
        until(lambda: [p for p in self.processes("gone") if p["pid"] == pid], "the child's end is seen")
        self.assert_agrees(parent, host.own_ledger())

    @staticmethod
    def kill(pid):
        """The child is the host's, and goes with it at the latest."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def test_fork_counts_for_itself(self):
        self.check_child(0)

    @unittest.skipIf(THREADS_CHECKED, "ThreadSanitizer does not see a raw clone, and takes the parent's threads for the child's")
    def test_raw_clone_counts_for_itself(self):
        self.check_child(1)

    def test_exec_leaks_no_descriptor(self):
        self.start_daemon()
        host = self.start_host("ledger")
        self.attached(host)
        shown = host.ask("descriptors")
        self.assertIn(" 1 -> ", shown)
        numbers = {int(n) for n in re.findall(r" (\d+) -> ", shown)}
        self.assertLessEqual(numbers, {0, 1, 2, 3}, shown)  # 3 is the directory that ls reads
        for word in ("memfd", "socket", "eventfd", "eventpoll", "pidfd"):
            self.assertNotIn(word, shown)
