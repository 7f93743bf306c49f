"""Single events as they come, and what they tell of types: lifetimes and rates."""
import json
import re
import signal

from harness import Scenario, until


class Tail:
    """curl on the stream of events."""

    def __init__(self, case, query):
        self.child = case.spawn("curl", "-sN", "--unix-socket", case.path("api.sock"), "http://localhost/v1/stream?" + query)
        until(lambda: "event: hello" in self.child.log(), "the stream flows")

    def frames(self):
        """Whole ones only: the last line may still be on its way."""
        lines = self.child.log().split("\n\n")[:-1]
        return [json.loads(frame.partition("data: ")[2]) for frame in lines if "event: events\n" in frame]

    def events(self):
        return [event for frame in self.frames() for event in frame["events"]]


class Events(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def test_a_tail_shows_what_passes_its_filter(self):
        host = self.start_host("ledger")
        process = self.attached(host)
        host.ask("automatic 0")
        queries = {"all": "", "births": "&kind=alloc&type=node", "large": "&min_bytes=600&kind=alloc", "cycle": "&kind=free_cycle,collection",
                   "none": "&heap=2"}
        tails = {name: Tail(self, f"topics=events:{host.pid}{query}") for name, query in queries.items()}
        host.ask("make 20")
        host.ask("ring 3")
        host.ask("collect 2")
        host.ask("make 1")
        until(lambda: len(tails["all"].events()) >= 21 * 6 + 3 * 4 + 2, "all have come")
        until(lambda: len(tails["births"].events()) >= 21 + 6 and len(tails["cycle"].events()) >= 8, "the others have come")
        seen = tails["all"].events()
        self.assertEqual({frame["id"] for frame in tails["all"].frames()}, {process})
        self.assertEqual([(e["kind"], e["type"]) for e in seen[:4]],
                         [("alloc", "node"), ("alloc", "leaf"), ("alloc", "text"), ("free_refcount", "text")])
        births = tails["births"].events()
        self.assertEqual({(e["kind"], e["type"], e["bytes"], e["heap"]) for e in births}, {("alloc", "node", 24, 1)})
        self.assertEqual(len(births), 21 + 6)
        self.assertEqual([e["kind"] for e in tails["cycle"].events() if e["type"]], ["free_cycle"] * 6)
        marks = [e for e in tails["cycle"].events() if not e["type"]]
        self.assertEqual([e["kind"] for e in marks][:2], ["collection_start", "collection_stop"])
        self.assertLess(marks[0]["at_mono_ns"], marks[1]["at_mono_ns"])
        self.assertEqual(tails["large"].events() + tails["none"].events(), [])
        self.assertEqual({frame["lost"] + frame["missed"] for frame in tails["all"].frames()}, {0})

    def test_a_tail_of_a_fast_host_counts_what_it_does_not_show(self):
        host = self.start_host("lives")
        self.attached(host)
        tail = Tail(self, f"topics=events:{host.pid}")
        host.ask("fast 1500")
        until(lambda: sum(frame["missed"] for frame in tail.frames()) > 100000, "events were missed")
        for frame in tail.frames():
            self.assertLessEqual(len(frame["events"]), 256)
        host.signal(signal.SIGKILL)
        self.assertTrue(tail.child.running())

    def test_a_wrong_filter_says_what_is_wrong(self):
        host = self.start_host("ledger")
        self.attached(host)
        for query, word in (("kind=birth", "kind"), ("heap=0", "heap"), ("min_bytes=x", "min_bytes"), ("type=", "type")):
            answer = self.unix("GET", f"/v1/stream?topics=events:{host.pid}&{query}")
            self.assertEqual(answer.status, 422)
            self.assertIn(word, answer.json["detail"])
        self.assertEqual(self.unix("GET", "/v1/stream?topics=events:1").status, 422)

    def lifetimes(self, process):
        return {t["name"]: t for t in self.get(f"/v1/processes/{process}/types?histograms=true")["types"]}

    def assert_lifetimes(self, types, longest_ns):
        kept, brief, ring = types["kept"], types["brief"], types["ring"]
        about = sum(b["count"] for b in kept["lifetime_ns"] if 1 << 26 <= b["from"] <= longest_ns)
        self.assertGreater(about, 0.9 * kept["lifetimes"]["known"], kept)
        self.assertGreater(max(kept["lifetime_ns"], key=lambda b: b["count"])["from"], (1 << 27) - 1, kept)
        self.assertLess(kept["lifetimes"]["short_lived"], 0.1 * kept["lifetimes"]["known"], kept)
        self.assertEqual(brief["lifetimes"]["short_lived"], brief["lifetimes"]["known"], brief)
        at_once = sum(b["count"] for b in brief["lifetime_ns"] if b["from"] < 1 << 22)
        self.assertGreater(at_once, 0.9 * brief["lifetimes"]["known"], brief)
        self.assertEqual((kept["frees"]["cycle"], ring["frees"]["refcount"]), (0, 0))
        self.assertGreater(ring["frees"]["cycle"], 1000)
        self.assertGreater(kept["frees"]["refcount"], 10000)
        self.assertEqual([(s["bytes"], s["count"]) for s in kept["sizes"]], [(480, kept["events"]["allocations"])])

    def test_lifetimes_are_what_the_host_makes_them(self):
        host = self.start_host("lives")
        process = self.attached(host)
        host.type("keep 200")

        def busy():
            rates = self.stats(process)["rates"]
            return rates if rates["allocations_per_s"] > 1000 else None
        rates = until(busy, "the rates show the work")
        until(lambda: "ok keep" in host.log(), "the host is through")
        until(lambda: self.stats(process)["rates"]["allocations_per_s"] == 0, "the rates come to rest")
        types = self.lifetimes(process)
        lost = self.stats(process)["events"]["lost"]  # a tallyd that does not get to run misses some
        for name, of in types.items():
            self.assertEqual(of["lifetimes"]["known"] + of["lifetimes"]["unknown"], sum(of["frees"].values()), name)
            self.assertGreater(of["lifetimes"]["known"], 0.9 * sum(of["frees"].values()) - 2 * lost, name)
        self.assertGreater(rates["frees_per_s"]["refcount"], 500)
        self.assert_lifetimes(types, int(re.search(r"longest (\d+)", host.log())[1]))

    def ring_bytes(self, pid):
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*memfd:tally-ring", maps.read(), re.M)
        return max((int(end, 16) - int(start, 16) for start, end in found), default=0)

    def test_the_ring_of_a_fast_host_grows(self):
        host = self.start_host("lives")
        process = self.attached(host)
        small = self.ring_bytes(host.pid)
        self.assertGreater(small, 0)
        until(lambda: host.ask("fast 500") is None or self.ring_bytes(host.pid) >= 8 * small, "the ring grows")

        def agrees():
            stats, brief = self.stats(process), self.types(process)["brief"]
            told = brief["events"]["allocations"] + sum(brief["events"]["frees"].values())
            done = brief["allocations"] + sum(brief["frees"].values())
            return stats if told + stats["events"]["lost"] == done == 2 * brief["allocations"] else None
        stats = until(agrees, "what was seen and what was lost is what was done")
        self.assertEqual(stats["events"]["written"], stats["events"]["seen"] + stats["events"]["lost"])
        self.assertEqual(stats["complete"], stats["events"]["lost"] == 0)
