"""How garbage is found and how long that may take is changed from outside while a program runs; nothing gets lost."""
from harness import CHECKED, Scenario, until

MANAGERS = ["none", "refcount", "generational", "cycle", "full"]
UNSUPPORTED = ("failed", "unsupported", "this manager does not have that")


class Managers(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()
        self.host = self.start_host("ledger")
        self.process = self.attached(self.host)

    def config(self):
        return self.get(f"/v1/processes/{self.process}/config")

    def runs(self):
        return self.get(f"/v1/processes/{self.process}/collections")["collections"]

    def refuse(self, **config):
        """A change that the heap does not take: an operation that failed."""
        answer = self.unix("PATCH", f"/v1/processes/{self.process}/config?wait=30s", config)
        self.assertEqual(answer.status, 202, answer)
        self.assertEqual((answer.json["state"], answer.json["code"], answer.json["detail"]), UNSUPPORTED)

    def test_cycle_is_what_a_heap_starts_with(self):
        self.assertEqual((self.config()["manager"], self.config()["heaps"][0]["manager"]), ("cycle", "cycle"))
        self.assertEqual(self.get("/v1/info")["managers"], MANAGERS)

    def test_every_manager_is_set_and_collects_if_it_can(self):
        for manager in [*MANAGERS, *reversed(MANAGERS)]:
            self.assertEqual(self.configure(self.process, manager=manager)["manager"], manager)
            self.assertEqual(self.stats(self.process)["manager"], manager)
            self.host.ask("make 20")
            self.host.ask("ring 5")
            operation = self.collect(self.process).json
            if manager in ("none", "refcount"):
                self.assertEqual((operation["state"], operation["code"], operation["detail"]), UNSUPPORTED)
                self.assertEqual(operation["heaps"][0]["detail"], UNSUPPORTED[2])
            else:
                self.assertEqual(operation["state"], "succeeded", operation)
                self.assertEqual(self.runs()[0]["manager"], manager)
            self.assert_agrees(self.process, self.host.own_ledger())
        self.configure(self.process, manager="generational")
        self.collect(self.process)
        self.assertEqual(self.host.own_ledger()["node"]["live_bytes"], 0)
        self.assert_agrees(self.process, self.host.ledger())

    def test_what_none_keeps_dies_with_the_next_manager(self):
        self.configure(self.process, manager="none")
        self.host.ask("make 100")
        self.collect(self.process)  # fails, and comes by a safepoint
        until(lambda: self.stats(self.process)["pending_objects"] >= 200, "the dead are counted")
        self.assert_agrees(self.process, self.host.own_ledger())
        self.assertGreater(self.host.ledger()["text"]["live_bytes"], 0)
        self.configure(self.process, manager="refcount")
        self.assertEqual(self.stats(self.process)["pending_objects"], 0)
        self.assert_agrees(self.process, self.host.own_ledger())
        self.assertEqual(sum(self.host.ledger()[name]["live_bytes"] for name in ("node", "leaf", "text")), 0)

    def test_automatic_runs_have_the_scope_of_their_manager(self):
        for manager, scope in (("cycle", "candidates"), ("generational", "generations"), ("full", "heap")):
            self.configure(self.process, manager=manager, thresholds=[100, 10, 10])
            self.host.ask("ring 300")
            run = until(lambda: [r for r in self.runs() if (r["manager"], r["reason"]) == (manager, "threshold")],
                        f"{manager} runs by itself")[0]
            self.assertEqual(run["scope"], scope)
            self.assertGreaterEqual(run["slices"], 1)

    def test_a_change_is_taken_whole_or_not_at_all(self):
        self.configure(self.process, thresholds=[500, 5, 5], max_pause_us=900, debug=[])
        before = self.config()
        self.refuse(manager="refcount", thresholds=[1, 2, 3], max_pause_us=5, debug=["stats"], enabled=False, events="off")
        for name in ("manager", "thresholds", "max_pause_us", "debug", "enabled", "events", "memory_limit_bytes"):
            self.assertEqual(self.config()[name], before[name], name)
        self.configure(self.process, manager="refcount")
        self.refuse(thresholds=[1, 2, 3])
        after = self.configure(self.process, manager="full", thresholds=[1, 2, 3])
        self.assertEqual((after["manager"], after["thresholds"]), ("full", [1, 2, 3]))

    def test_a_maximum_pause_cuts_runs_into_slices(self):
        self.assertEqual(self.configure(self.process, manager="full", max_pause_us=200)["max_pause_us"], 200)
        self.host.ask("hold 50000")

        def sliced():
            self.host.ask("ring 20000")
            return self.stats(self.process)["slices"]["count"] > 10
        until(sliced, "there are slices")
        slices = self.stats(self.process)["slices"]
        self.assertGreater(slices["longest_ns"], 0)
        self.assertLess(slices["missed"], slices["count"])

        def ended():  # a run that is open goes on with what the program allocates
            self.host.ask("ring 20000")
            return max(run["slices"] for run in self.runs()) > 1
        until(ended, "a run of several slices")
        self.assert_agrees(self.process, self.host.own_ledger())
        self.assertEqual(self.configure(self.process, max_pause_us=0)["max_pause_us"], 0)
        self.assertEqual(self.stats(self.process)["pending_objects"], 0)

    def test_a_memory_limit_collects_before_it_is_passed(self):
        limit = 4 << 20
        self.host.ask("automatic 0")
        self.host.ask("make 1")
        self.assertEqual(self.configure(self.process, memory_limit_bytes=limit)["memory_limit_bytes"], limit)
        self.host.ask("ring 60000" if CHECKED else "ring 200000")  # debug checks walk the heap at each collection
        runs = until(lambda: [r for r in self.runs() if r["reason"] == "out_of_memory"], "it collects for memory")
        self.assertGreater(runs[0]["collected"], 0)
        stats = self.stats(self.process)
        self.assertLessEqual(stats["mapped_bytes"] + stats["extern_bytes"], limit)
        self.assert_agrees(self.process, self.host.own_ledger())
        self.assertEqual(self.configure(self.process, memory_limit_bytes=0)["memory_limit_bytes"], 0)

    def test_debug_flags_are_words(self):
        self.assertEqual(self.configure(self.process, debug=["stats", "leak"])["debug"],
                         ["stats", "collectable", "uncollectable", "saveall"])
        self.assertEqual(self.stats(self.process)["debug"], self.config()["debug"])
        self.assertEqual(self.configure(self.process, debug=[])["debug"], [])

    def test_wrong_values_are_422_and_name_their_member(self):
        before = self.config()
        for body in ({"manager": "boehm"}, {"manager": None}, {"max_pause_us": 10_000_001}, {"max_pause_us": -1},
                     {"memory_limit_bytes": "1GiB"}, {"debug": ["leaks"]}):
            answer = self.unix("PATCH", f"/v1/processes/{self.process}/config", body)
            self.assertEqual((answer.status, answer.json["code"]), (422, "bad_value"), answer)
            self.assertIn(f'member "{next(iter(body))}', answer.json["detail"])
        self.assertEqual({k: self.config()[k] for k in ("manager", "debug")}, {k: before[k] for k in ("manager", "debug")})


class HeapsOfDifferentKinds(Scenario):
    def test_where_managers_differ_the_top_is_null(self):
        self.start_daemon()
        process = self.attached(self.start_host("heaps"))
        until(lambda: len(self.stats(process)["heaps"]) == 2, "both heaps are attached")
        answer = self.unix("PATCH", f"/v1/processes/{process}/heaps/2/config?wait=30s",
                           {"manager": "refcount", "max_pause_us": 700})
        self.assertEqual((answer.status, answer.json["manager"]), (200, "refcount"), answer)
        config = self.get(f"/v1/processes/{process}/config")
        self.assertEqual((config["manager"], config["max_pause_us"], config["memory_limit_bytes"]), (None, None, 0))
        self.assertEqual([(h["manager"], h["max_pause_us"]) for h in config["heaps"]], [("cycle", 0), ("refcount", 700)])
        operation = self.collect(process).json
        self.assertEqual((operation["state"], operation["code"], operation["detail"]), UNSUPPORTED)
        self.assertEqual({h["n"]: (h["state"], h["code"]) for h in operation["heaps"]},
                         {1: ("succeeded", None), 2: ("failed", "unsupported")})
        self.assertEqual(self.configure(process, manager="cycle", max_pause_us=0)["manager"], "cycle")
