"""The protocol, read twice: by tallyd, and by feed_reader.py, which knows src/wire/feed.h's document alone."""
import signal
import time
import unittest

import feed_reader
from harness import PATIENCE, Scenario, until

SMALL = ("make 30", "ring 9", "collect 2", "hold 7", "make 5", "release 3", "collect 0", "ring 2")


class Protocol(Scenario):
    def start(self, *lines):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in lines:
            host.ask(line)
        self.assert_agrees(process, host.own_ledger())
        feeds = until(lambda: feed_reader.feeds(host.pid), "the feed is whole, and not being replaced")
        return host, process, feeds[1]

    def events_of(self, process):
        return self.stats(process)["events"]

    def assert_same_types(self, process, figures):
        types = self.types(process)
        self.assertLessEqual(set(types), set(figures))
        for name, ours in figures.items():
            if not any((ours["allocations"], ours["live_objects"])):
                continue  # tallyd leaves out what never counted anything
            theirs = types[name]
            for key, value in ours.items():
                if value is not None:
                    self.assertEqual(theirs[key], value, f"{name}: {key}")

    def assert_same(self, process, feed):
        """Types, events written, summary and collections; the host rests."""
        figures, events = feed.figures()
        until(lambda: self.events_of(process)["written"] == events["written"], "tallyd has read the newest event")
        self.assert_same_types(process, figures)
        stats = self.stats(process)
        self.assertEqual(stats["events"]["seen"] + stats["events"]["lost"], events["written"])
        summary, _ = feed.counters.summary()
        heap = stats["heaps"][0]
        self.assertEqual(heap["events"]["level"], feed_reader.LEVELS[summary["level"]])
        self.assertEqual((heap["enabled"], heap["manager"]), (bool(summary["enabled"]), feed_reader.MANAGERS[summary["manager"]]))
        self.assertEqual(heap["thresholds"], summary["thresholds"])
        self.assertEqual([value for g in heap["generations"] for value in (g["collections"], g["collected"], g["uncollectable"])],
                         summary["generations"])
        for name in ("garbage", "frozen", "pause_ns", "max_pause_ns", "extern_bytes", "candidates", "pending_objects",
                     "finalizers_pending", "abandoned_runs", "refused_runs", "candidates_due"):
            self.assertEqual(heap[name], summary[name], name)
        self.assertEqual(heap["mapped_bytes"], feed.counters.now("mapped_bytes"))
        self.assert_same_collections(process, feed)
        return events

    def assert_same_collections(self, process, feed):
        theirs = self.get(f"/v1/processes/{process}/collections")["collections"]
        ours = feed.counters.records()[::-1]
        self.assertEqual(len(theirs), len(ours))
        for seen, record in zip(theirs, ours):
            for name in ("sequence", "pause_ns", "examined", "collected", "freed_bytes", "uncollectable", "live_bytes_before",
                         "live_bytes_after", "safepoint_wait_ns", "generation"):
                self.assertEqual(seen[name], record[name], name)
            self.assertEqual(seen["phases"], {name: record[name] for name in ("find_ns", "callback_ns", "free_ns")})
            self.assertEqual((seen["reason"], seen["manager"], seen["scope"], seen["slices"]),
                             (feed_reader.REASONS[record["reason"]], feed_reader.MANAGERS[record["manager"]],
                              feed_reader.SCOPES[record["scope_slices"] & 255], record["scope_slices"] >> 8))

    def test_two_readers_agree_on_a_ring_that_holds_everything(self):
        _, process, feed = self.start(*SMALL)
        events = self.assert_same(process, feed)
        self.assertEqual((events["first"], events["here"]), (0, events["written"]))
        for name, figures in feed.figures()[0].items():  # base and events make the row
            self.assertEqual(figures["events"], {"allocations": figures["allocations"], "frees": figures["frees"]}, name)

    def test_two_readers_agree_on_a_ring_that_went_round(self):
        host, process, feed = self.start("make 2000", "ring 100", "collect 2", "make 3000")
        events = self.assert_same(process, feed)
        self.assertGreater(events["first"], 0)  # overwritten, or in a ring before this one
        self.assertEqual(events["first"] + events["here"], events["written"])
        host.ask("collect 1")
        feed = until(lambda: feed_reader.feeds(host.pid), "the feed is whole")[1]  # its ring may have grown since
        rare = [(event["subkind"], event["argument"]) for event in feed.ring.events()[2] if event["kind"] == "rare"]
        self.assertEqual(rare[-2:], [(feed_reader.COLLECTION_START, 1),
                                     (feed_reader.COLLECTION_STOP, feed.counters.now("record_head"))])

    def test_two_readers_agree_where_events_were_off(self):
        host, process, feed = self.start(*SMALL)
        self.configure(process, events="off")
        written = self.assert_same_when_agreed(process, host, feed, "make 50")
        self.configure(process, events="all")
        self.assertGreater(self.assert_same_when_agreed(process, host, feed, "make 7"), written)
        for name, figures in feed.figures()[0].items():
            self.assertEqual(figures["events"], {"allocations": figures["allocations"], "frees": figures["frees"]}, name)

    def assert_same_when_agreed(self, process, host, feed, line):
        host.ask(line)
        self.assert_agrees(process, host.own_ledger())
        figures, events = feed.figures()
        self.assert_same_types(process, figures)
        self.assertEqual(self.events_of(process)["written"], events["written"])
        return events["written"]

    def test_two_readers_agree_on_what_a_death_leaves(self):
        host, process, feed = self.start(*SMALL)
        host.ask("make 11")
        host.signal(signal.SIGKILL)
        host.wait()
        until(lambda: [p for p in self.processes("gone") if p["id"] == process], "it is gone")
        self.assert_same(process, feed)

    def test_a_reader_of_a_busy_host_sees_whole_things(self):
        host, _, feed = self.start(*SMALL)
        host.type("spin 60000")
        last, readings, end = 0, 0, time.monotonic() + PATIENCE
        while readings < 30 and time.monotonic() < end:
            seen = feed.ring.events()
            if seen:
                _, written, events = seen
                self.assertGreaterEqual(written, last)
                last, readings = written, readings + 1
                self.assertLess(max((event.get("type", 0) for event in events), default=0), feed.counters.now("type_count"))
            for figures in feed.counters.types():
                self.assertLessEqual(figures["freed_refcount"] + figures["freed_cycle"], figures["allocated"])
            feed.counters.summary()
        self.assertEqual(readings, 30)


if __name__ == "__main__":
    unittest.main()
