"""A process with several heaps: sums at the top, each heap below it, and one can be steered without the other."""
from harness import Scenario, until


class Heaps(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()
        self.host = self.start_host("heaps")
        self.process = self.attached(self.host)
        until(lambda: len(self.stats(self.process)["heaps"]) == 2, "both heaps are attached")

    def tell(self, number, word, count):
        done = f"ok {number}\n"
        before = self.host.log().count(done)
        self.host.type(f"{number} {word} {count}")
        until(lambda: self.host.log().count(done) > before, f"thread {number} obeys")

    def settled(self, allocations):
        return until(lambda: (s := self.stats(self.process))["allocations"] == allocations and s, f"{allocations} allocations")

    def heap(self, n, leaf):
        return self.get(f"/v1/processes/{self.process}/heaps/{n}/{leaf}")

    def test_the_top_is_the_sum(self):
        self.tell(1, "make", 100)
        self.tell(2, "make", 30)
        self.tell(2, "ring", 10)
        stats = self.settled(150)
        self.assertEqual([h["n"] for h in stats["heaps"]], [1, 2])
        for path in ("live_objects", "allocations", "live_bytes", "mapped_bytes"):
            self.assertEqual(stats[path], sum(h[path] for h in stats["heaps"]), path)
        self.assertEqual(sorted(h["allocations"] for h in stats["heaps"]), [50, 100])
        self.assertEqual(self.types(self.process)["node"]["allocations"], 150)

    def test_one_heap_is_collected_alone_or_all_at_once(self):
        for n in (1, 2):
            self.tell(n, "ring", 10 * n)
        self.settled(60)
        first = self.heap(1, "stats")["live_objects"]
        answer = self.unix("POST", f"/v1/processes/{self.process}/heaps/1/collect?wait=30s", {})
        self.assertEqual((answer.status, answer.json["result"]["collected"]), (200, first))
        self.assertEqual([h["n"] for h in answer.json["heaps"]], [1])
        operation = self.collect(self.process).json
        self.assertEqual(operation["result"]["collected"], 60 - first)
        self.assertEqual({h["n"]: h["collected"] for h in operation["heaps"]}, {1: 0, 2: 60 - first})

    def test_where_heaps_differ_the_top_is_null(self):
        answer = self.unix("PATCH", f"/v1/processes/{self.process}/heaps/2/config?wait=30s", {"enabled": False, "events": "off"})
        self.assertEqual(answer.status, 200, answer)
        config = until(lambda: (c := self.get(f"/v1/processes/{self.process}/config"))["enabled"] is None and c, "they differ")
        self.assertIsNone(config["events"])
        self.assertEqual([(h["n"], h["enabled"], h["events"]) for h in config["heaps"]], [(1, True, "all"), (2, False, "off")])
        self.assertEqual(config["thresholds"], [700, 10, 10])
        self.assertIs(self.heap(1, "config")["enabled"], True)
        self.assertIn("differs", self.ctl("config", "heaps").stdout)
        self.assertIs(self.configure(self.process, enabled=True)["enabled"], True)

    def test_a_heap_that_goes_keeps_its_numbers(self):
        self.tell(1, "make", 100)
        self.tell(2, "ring", 10)
        before = self.settled(120)
        self.tell(1, "free", 0)
        gone = until(lambda: [h for h in self.stats(self.process)["heaps"] if h["gone"]], "one heap is gone")[0]
        self.assertIn(gone["allocations"], (20, 100))
        self.assertEqual(self.stats(self.process)["allocations"], before["allocations"])
        answer = self.collect(self.process)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(len(answer.json["heaps"]), 1)
        below = f"/v1/processes/{self.process}/heaps/{gone['n']}"
        for method, leaf in (("POST", "collect"), ("POST", "freeze"), ("POST", "garbage/clear"), ("GET", "objects"),
                             ("GET", "cycles"), ("GET", "garbage/0/referrers"), ("GET", "events")):
            answer = self.unix(method, f"{below}/{leaf}", {} if method == "POST" else None)
            self.assertEqual((answer.status, answer.json["code"]), (410, "heap_gone"), leaf)

    def test_what_both_heaps_list(self):
        """Each row names its heap, and each heap has a cursor of its own; numbers are a heap's."""
        for n in (1, 2):
            self.tell(n, "ring", 20)
        self.settled(80)
        listed = self.get(f"/v1/processes/{self.process}/objects?limit=10")
        self.assertEqual([row["heap"] for row in listed["objects"]], [1] * 10 + [2] * 10)
        self.assertEqual((listed["complete"], listed["next_cursor"]), (False, None))
        for heap in listed["heaps"]:
            rest = self.heap(heap["n"], f"objects?limit=1000&cursor={heap['next_cursor']}")
            first = {row["object"] for row in listed["objects"] if row["heap"] == heap["n"]}
            self.assertEqual(len(first | {row["object"] for row in rest["objects"]}), 40)
            self.assertEqual((rest["complete"], len(rest["objects"])), (True, 30))
        self.assertEqual(self.unix("GET", f"/v1/processes/{self.process}/objects?cursor=8193").status, 422)
