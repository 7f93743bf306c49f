"""Two mal programs at once: listed, counted, collected and configured from outside."""
import re
import subprocess

from harness import Scenario, until

# Makes self-referring atoms at a steady pace for a minute: what only a collection frees.
CYCLES = """
(def! pause (fn* [t] (if (< (time-ms) t) (pause t) nil)))
(def! garbage (fn* [n] (if (> n 0) (do (let* (a (atom nil)) (reset! a a)) (garbage (- n 1))) nil)))
(def! churn (fn* [t] (if (< (time-ms) t) (do (garbage 100) (pause (+ (time-ms) 20)) (churn t)) nil)))
(churn (+ (time-ms) 60000))
"""
# Fills and empties a list, with closures that know themselves.
WAVES = """
(def! pause (fn* [t] (if (< (time-ms) t) (pause t) nil)))
(def! wave (fn* [n l] (if (> n 0) (wave (- n 1) (cons (let* (f (fn* [] f)) f) l)) l)))
(def! churn (fn* [t] (if (< (time-ms) t) (do (wave 50 (list)) (pause (+ (time-ms) 20)) (churn t)) nil)))
(churn (+ (time-ms) 60000))
"""
SELF_ATOM = "(let* (a (atom nil)) (do (reset! a a) nil))"


class Programs(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def test_two_programs_are_listed_with_names_and_labels(self):
        first = self.start_mal("bakery", CYCLES, "team=bread", "demo=cycles")
        second = self.start_mal("orchard", WAVES, "team=fruit")
        ids = {self.attached(first), self.attached(second)}
        until(lambda: all(p["allocations"] for p in self.processes()), "both have begun")
        view = self.get("/v1/processes")
        listed = {p["id"]: p for p in view["processes"]}
        self.assertEqual(set(listed), ids)
        by_name = {p["name"]: p for p in listed.values()}
        self.assertEqual(by_name["bakery"]["labels"], {"team": "bread", "demo": "cycles"})
        self.assertEqual(by_name["orchard"]["labels"], {"team": "fruit"})
        self.assertEqual({p["pid"] for p in listed.values()}, {first.pid, second.pid})
        for p in listed.values():
            self.assertRegex(p["id"], r"^[0-9a-f]{32}$")
            self.assertEqual((p["state"], p["manager"], p["enabled"], p["end"]), ("live", "cycle", True, None))
            self.assertEqual([h["n"] for h in p["heaps"]], [1])
            self.assertGreater(p["allocations"], 0)
        labelled = self.get("/v1/processes?label=team:bread")["processes"]
        self.assertEqual([p["name"] for p in labelled], ["bakery"])
        self.assertRegex(view["as_of"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_stats_types_and_collections_hold_together(self):
        process = self.attached(self.start_mal("bakery", CYCLES))
        until(lambda: self.stats(process)["collections"] > 3, "automatic collections run")
        stats = self.stats(process)
        frees = stats["frees"]["refcount"] + stats["frees"]["cycle"]
        self.assertEqual(stats["live_objects"], stats["allocations"] - frees)
        self.assertGreater(stats["frees"]["cycle"], 0)
        self.assertEqual(stats["thresholds"], [700, 10, 10])
        self.assertEqual(stats["collections"], sum(g["collections"] for g in stats["generations"]))
        types = self.get(f"/v1/processes/{process}/types")["types"]
        sizes = [t["live_bytes"] for t in types]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertGreater(len(types), 3)
        runs = self.get(f"/v1/processes/{process}/collections")["collections"]
        self.assertGreater(len(runs), 3)
        self.assertEqual([r["sequence"] for r in runs], sorted((r["sequence"] for r in runs), reverse=True))
        self.assertEqual({r["reason"] for r in runs}, {"threshold"})
        self.assertEqual(len(self.get(f"/v1/processes/{process}/collections?limit=2")["collections"]), 2)
        one = self.get(f"/v1/processes/{process}/heaps/1/stats")
        self.assertEqual(one["manager"], "cycle")

    def test_collect_returns_the_number_collected(self):
        repl = self.start_repl("repl")
        process = self.attached(repl)
        self.configure(process, enabled=False)
        self.assertEqual(self.collect(process).status, 200)
        for _ in range(25):
            repl.type(SELF_ATOM)
        until(lambda: len(re.findall(r"\bnil\b", repl.log())) >= 25, "the REPL has evaluated")
        answer = self.collect(process)
        self.assertEqual(answer.status, 200, answer)
        operation = answer.json
        self.assertEqual([operation[key] for key in ("state", "kind", "process")], ["succeeded", "collect", process])
        self.assertEqual(operation["result"]["collected"], 25)
        self.assertEqual(operation["heaps"][0]["collected"], 25)
        self.assertEqual(self.collect(process).json["result"]["collected"], 0)
        newest = self.get(f"/v1/processes/{process}/collections")["collections"][:2]
        self.assertEqual([(r["collected"], r["reason"], r["generation"]) for r in newest],
                         [(0, "remote", 2), (25, "remote", 2)])
        self.assertIn(operation["id"], [o["id"] for o in self.get("/v1/operations")["operations"]])

    def test_disable_lets_garbage_grow_and_enable_brings_it_down(self):
        process = self.attached(self.start_mal("bakery", CYCLES))
        until(lambda: self.stats(process)["collections"] > 2, "automatic collections run")
        config = self.configure(process, enabled=False)
        self.assertIs(config["enabled"], False)
        before = self.stats(process)
        grown = until(lambda: (s := self.stats(process))["live_bytes"] > before["live_bytes"] + 200_000 and s,
                      "live bytes rise")
        self.assertEqual(grown["collections"], before["collections"])
        self.assertIs(self.get(f"/v1/processes/{process}/config")["enabled"], False)
        self.assertIs(self.configure(process, enabled=True)["enabled"], True)
        until(lambda: self.stats(process)["live_bytes"] < grown["live_bytes"] - 150_000, "live bytes come down")
        until(lambda: self.stats(process)["collections"] > before["collections"], "a collection is counted, at its end")

    def test_config_takes_thresholds_debug_and_events(self):
        repl = self.start_repl("repl")
        process = self.attached(repl)
        config = self.configure(process, thresholds=[500, 5, 4], debug=["saveall"], events="off")
        self.assertEqual((config["thresholds"], config["debug"], config["events"]), ([500, 5, 4], ["saveall"], "off"))
        shown = self.get(f"/v1/processes/{process}/config")
        self.assertEqual((shown["thresholds"], shown["debug"], shown["events"]), ([500, 5, 4], ["saveall"], "off"))
        answer = self.unix("PATCH", f"/v1/processes/{process}/config", {"events": "sampled"})
        self.assertEqual(answer.status, 422, answer)

    def test_a_program_that_does_not_want_to_is_not_attached(self):
        self.spawn(*self.mal_words("hidden"), stdin=subprocess.PIPE, TALLY_DISABLE="1")
        shown = self.start_repl("shown")
        self.attached(shown)
        self.assertEqual([p["name"] for p in self.processes()], ["shown"])

    @staticmethod
    def mal_words(name):
        from harness import program
        return [program("tally-mal"), "--name", name]
