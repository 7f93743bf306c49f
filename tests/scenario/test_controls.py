"""Controls end to end: what is asked of real programs takes effect, or never does; nothing lies about when."""
import json
import signal
import struct
import time

import wire
from harness import Scenario, until

ALL = {"collect": {}, "freeze": {}, "unfreeze": {}, "garbage/clear": {}}
LISTS = ("objects", "garbage", "garbage/0/referrers", "cycles", "candidates")


class Controls(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def host(self, *lines):
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("automatic 0", *lines):
            host.ask(line)
        return host, process

    def post(self, process, kind, body=None, wait="30s"):
        answer = self.unix("POST", f"/v1/processes/{process}/{kind}?wait={wait}", body or {})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json["state"], "succeeded", answer)
        return answer.json

    def listed(self, process, leaf, **query):
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return self.get(f"/v1/processes/{process}/{leaf}?{words}")

    # ---- what they do

    def test_frozen_objects_are_left_alone(self):
        """What is frozen is garbage that no collection finds, until it is given back."""
        host, process = self.host("ring 20")
        frozen = self.post(process, "freeze")["result"]["frozen"]
        self.assertEqual(frozen, 40)
        self.assertEqual(self.stats(process)["frozen"], 40)
        self.assertEqual(self.post(process, "collect")["result"]["collected"], 0)
        self.assertEqual(self.post(process, "unfreeze")["result"]["frozen"], 0)
        self.assertEqual(self.post(process, "collect")["result"]["collected"], 40)

    def test_garbage_is_listed_explained_and_cleared(self):
        """saveall fills the list; each entry is known by a number, and who holds it by another; clear frees them."""
        host, process = self.host()
        self.configure(process, debug=["saveall"])
        host.ask("ring 30")
        self.assertEqual(self.post(process, "collect")["result"]["collected"], 60)
        pages, cursor = [], None
        while True:
            page = self.listed(process, "garbage", limit=25, **({"cursor": cursor} if cursor else {}))
            pages += page["garbage"]
            cursor = page["next_cursor"]
            self.assertEqual(page["heaps"][0]["total"], 60)
            if not cursor:
                break
        self.assertEqual([row["index"] for row in pages], list(range(60)))
        self.assertEqual({row["type"] for row in pages}, {"node"})
        numbers = {row["object"] for row in pages}
        self.assertEqual(len(numbers), 60)
        for index in (0, 31, 59):
            referrers = self.listed(process, f"garbage/{index}/referrers")
            self.assertEqual(referrers["heaps"][0]["object"], pages[index]["object"])
            self.assertEqual(len(referrers["referrers"]), 1)  # the other one of its ring
            self.assertIn(referrers["referrers"][0]["object"], numbers)
        self.configure(process, debug=[])
        self.assertEqual(self.post(process, "garbage/clear")["result"]["cleared"], 60)
        self.assertEqual(self.post(process, "collect")["result"]["collected"], 60)
        until(lambda: self.types(process)["node"]["live_objects"] == 0, "they are freed")
        self.assertEqual(host.own_ledger()["node"]["live_bytes"], 0)

    def test_cycles_are_found_without_a_collection(self):
        """A dry run frees nothing, under every manager, and leaves what the cycles look like."""
        host, process = self.host("ring 10")
        self.configure(process, manager="refcount")
        before = self.stats(process)["live_objects"]
        found = self.post(process, "collect", {"dry_run": True})
        self.assertEqual((found["kind"], found["result"]), ("find_cycles", {"unreachable": 20}))
        self.assertEqual(self.stats(process)["live_objects"], before)
        cycle, = self.listed(process, "cycles")["cycles"]
        self.assertEqual((cycle["shape"], cycle["count"], cycle["objects"]), ("node.next", 10, 20))

    def test_objects_are_listed_a_page_at_a_time(self):
        """Every live object once, in the order of its number, whatever the size of the pages; the counters agree."""
        host, process = self.host("hold 3000", "chain 500")
        host.own_ledger()
        live = until(lambda: (s := self.stats(process))["live_objects"] >= 3500 and s, "the view shows them")["live_objects"]
        for limit in (1000, 333):
            seen, cursor = [], None
            for _ in range(60):
                page = self.listed(process, "heaps/1/objects", limit=limit, **({"cursor": cursor} if cursor else {}))
                seen += [row["object"] for row in page["objects"]]
                cursor = page["next_cursor"]
                if not cursor:
                    break
            self.assertEqual(len(seen), live)
            self.assertEqual(seen, sorted(set(seen)))
        nodes = self.listed(process, "objects", type="node", limit=5)
        self.assertEqual({row["type"] for row in nodes["objects"]}, {"node"})

    def test_nothing_that_lies_in_an_object_leaves(self):
        """No address and no content: names, sizes and numbers alone."""
        host, process = self.host("hold 50")
        row = self.listed(process, "objects", limit=1)["objects"][0]
        self.assertEqual(set(row), {"heap", "object", "type", "bytes", "references", "generation", "finalized"})
        with open(f"/proc/{host.pid}/maps", encoding="ascii") as maps:
            lowest = int(maps.readline().split("-")[0], 16)
        self.assertLess(row["object"], lowest)

    def test_events_of_a_moment(self):
        """What is allocated while the request waits, and nothing from before; exact where nothing is lost."""
        host, process = self.host("make 100")
        self.assert_agrees(process, host.own_ledger())
        host.type("stroll 60000")
        events = self.listed(process, "events", wait="1s", kind="alloc", type="leaf", limit=1000)
        self.assertTrue(events["events"])
        self.assertEqual({(e["kind"], e["type"], e["heap"]) for e in events["events"]}, {("alloc", "leaf", 1)})

    # ---- when

    def test_what_expires_never_runs(self):
        """A host that comes by too late: expired, by its own word; the garbage list and the generations are as they were."""
        host, process = self.host("ring 5")
        host.deafen()
        asked = [self.start_operation(process, kind, {"deadline_ms": 200}) for kind in ALL]
        ends = [until(lambda o=o: (v := self.operation(o))["finished_at"] and v, "it ends") for o in asked]
        self.assertEqual({end["state"] for end in ends}, {"expired"})
        listing = self.unix("GET", f"/v1/processes/{process}/objects?deadline_ms=100")
        self.assertEqual((listing.status, listing.json["code"]), (504, "no_answer"), listing)
        host.hear()
        self.assertEqual((self.stats(process)["frozen"], host.own_ledger()["runs"]), (0, 0))
        self.assertEqual(self.post(process, "collect")["result"]["collected"], 10)

    def test_a_silent_host_leaves_it_unconfirmed(self):
        """SIGSTOP: no word by the deadline and a second more; what the host hears later has no effect."""
        host, process = self.host("ring 5")
        host.stop()
        asked = [self.start_operation(process, kind, {"deadline_ms": 100}) for kind in ALL]
        ends = [until(lambda o=o: (v := self.operation(o))["finished_at"] and v, "it ends") for o in asked]
        self.assertEqual({(end["state"], end["code"]) for end in ends}, {("failed", "unconfirmed")})
        host.signal(signal.SIGCONT)
        self.assertEqual(host.own_ledger()["runs"], 0)
        self.assertEqual(self.stats(process)["frozen"], 0)

    def test_what_waits_can_be_cancelled(self):
        """Each kind, and one of two that share a command."""
        host, process = self.host("ring 5")
        host.deafen()
        asked = {kind: self.start_operation(process, kind) for kind in ALL}
        second = self.start_operation(process)
        for kind, operation in asked.items():
            answer = self.unix("DELETE", f"/v1/operations/{operation['id']}?wait=30s")
            self.assertEqual((answer.status, answer.json["state"]), (200, "cancelled"), kind)
        host.hear()
        end = self.operation(second, wait="30s")
        self.assertEqual((end["state"], end["result"]["collected"]), ("succeeded", 10))
        self.assertEqual(host.own_ledger()["runs"], 1)
        self.assertEqual(self.stats(process)["frozen"], 0)

    def test_a_host_that_dies_fails_all_that_wait(self):
        """SIGKILL: process_gone for each, a listing answers 410 with the way to the post-mortem, and so does what comes later."""
        host, process = self.host()
        host.deafen()
        asked = [self.start_operation(process, kind) for kind in ALL]
        host.signal(signal.SIGKILL)
        for operation in asked:
            end = until(lambda o=operation: (v := self.operation(o))["finished_at"] and v, "it ends")
            self.assertEqual((end["state"], end["code"]), ("failed", "process_gone"))
        for method, leaf in [*(("POST", kind) for kind in (*ALL, "baseline")), *(("GET", leaf) for leaf in (*LISTS, "events"))]:
            answer = self.unix(method, f"/v1/processes/{process}/{leaf}", {} if method == "POST" else None)
            self.assertEqual((answer.status, answer.json["code"]), (410, "process_gone"), leaf)
            self.assertIn(f"/v1/processes/{process}", answer.headers["Link"])

    def test_operations_end_with_tallyd_and_never_run_later(self):
        """A restart: the operation is not known any more, and what the host had not begun by then it never begins."""
        host, process = self.host("ring 5")
        host.deafen()
        asked = self.start_operation(process)
        frozen = self.start_operation(process, "freeze")
        self.daemon.end()
        self.start_daemon()
        for operation in (asked, frozen):
            self.assertEqual(self.unix("GET", f"/v1/operations/{operation['id']}").status, 404)
        host.hear()
        self.attached(host)
        self.assertEqual(host.own_ledger()["runs"], 0)
        self.assertEqual(until(lambda: self.stats(process), "it is back")["frozen"], 0)
        self.assertEqual(self.post(process, "collect")["result"]["collected"], 10)

    # ---- who has the last word

    def test_the_host_forbids_all_of_it(self):
        """observe: every control fails as vetoed, those that wait already, too; reading and events go on."""
        host, process = self.host("ring 5")
        host.ask("access 1")
        for kind in ALL:
            answer = self.unix("POST", f"/v1/processes/{process}/{kind}?wait=30s", {})
            self.assertEqual((answer.json["state"], answer.json["code"]), ("failed", "vetoed"), kind)
        for leaf in LISTS:
            answer = self.unix("GET", f"/v1/processes/{process}/{leaf}")
            self.assertEqual((answer.status, answer.json["code"]), (409, "vetoed"), leaf)
        answer = self.unix("PATCH", f"/v1/processes/{process}/config?wait=30s", {"stress": 5})
        self.assertEqual((answer.status, answer.json["code"]), (202, "vetoed"))
        self.assertEqual(self.unix("POST", f"/v1/processes/{process}/baseline", {}).status, 200)
        self.assertEqual(self.unix("GET", f"/v1/processes/{process}/events?wait=0s").status, 200)
        host.ask("access 0")
        self.post(process, "freeze")

    def test_an_older_library_does_not_know_them(self):
        """It refuses what it does not know as out of range, and says not when it began: unsupported, and believed."""
        peer = wire.connect(self.path("agent.sock"))
        self.addCleanup(peer.close)
        peer.send(wire.hello("from-yesterday"))
        peer.receive()
        fd = wire.sealed(wire.counters_header(1, 1), wire.COUNTERS_BYTES)
        peer.send(wire.message(wire.HEAP_COUNTERS, struct.pack("<IIQ", 1, 1, wire.COUNTERS_BYTES)), fd)
        process = until(lambda: [p for p in self.processes("live") if p["heaps"]], "it is shown")[0]["id"]

        def answer(state, error=0):
            number, _, heap, _, _ = struct.unpack_from("<QQIIi", peer.receive_kind(wire.COMMAND))
            peer.send(wire.message(wire.ACK, struct.pack("<QIIiIqQQQ", number, heap, state, error, 0, 3, 0, 1, 1)))
        for kind in ("freeze", "unfreeze", "garbage/clear"):
            operation = self.start_operation(process, kind)
            answer(wire.FAILED, -2)
            end = until(lambda o=operation: (v := self.operation(o))["finished_at"] and v, "it ends")
            self.assertEqual((end["state"], end["code"]), ("failed", "unsupported"), kind)
        asked = [self.start_operation(process) for _ in range(3)]
        answer(wire.SUCCEEDED)
        ends = [until(lambda o=o: (v := self.operation(o))["finished_at"] and v, "it ends") for o in asked]
        self.assertEqual({(end["state"], end["result"]["collected"]) for end in ends}, {("succeeded", 3)})

    # ---- many

    def test_a_batch_has_a_result_for_each(self):
        """Selected by label; one that forbids it, one that is stopped and the others each have their own end."""
        mals = {name: self.start_mal(name, None, "team=red", stdin=-1) for name in ("one", "two")}
        others = [self.attached(mal) for mal in mals.values()]
        blue = self.start_mal("three", None, "team=blue", stdin=-1)
        self.attached(blue)
        host, ledger = self.host()
        done = self.unix("POST", "/v1/batch?wait=30s", {"selector": {"label": {"team": "red"}}, "kind": "config", "max_pause_us": 700}).json
        self.assertEqual(done["state"], "succeeded", done)
        self.assertEqual(sorted(p["id"] for p in done["processes"]), sorted(others))
        for process in others:
            self.assertEqual(self.get(f"/v1/processes/{process}/config")["max_pause_us"], 700)
        host.ask("access 1")
        mals["two"].stop()
        answer = self.unix("POST", "/v1/batch?wait=30s", {"selector": {}, "kind": "collect", "deadline_ms": 3000})
        self.assertEqual(answer.status, 200, answer)
        results = {p["id"]: p for p in answer.json["processes"]}
        self.assertEqual(results[ledger]["code"], "vetoed")
        self.assertEqual(results[others[1]]["code"], "unconfirmed")
        self.assertEqual(results[others[0]]["state"], "succeeded")
        self.assertGreaterEqual(results[others[0]]["result"]["collected"], 0)
        self.assertEqual(answer.json["state"], "failed")
        mals["two"].signal(signal.SIGCONT)
        listed = self.get("/v1/operations?limit=1")["operations"][0]
        self.assertEqual((listed["process"], listed["process_count"]), (None, 4))

    def test_a_hundred_ask_for_the_same(self):
        """Collects and listings of many askers at once: few runs, and an answer for each."""
        host, process = self.host("ring 50")
        host.deafen()
        asked = [self.start_operation(process) for _ in range(100)]
        lists = [self.unix("GET", f"/v1/processes/{process}/objects?wait=0s&limit=10") for _ in range(20)]
        host.hear()
        ends = [self.operation(o, wait="30s") for o in asked]
        self.assertEqual({(end["state"], end["result"]["collected"]) for end in ends}, {("succeeded", 100)})
        self.assertEqual(host.own_ledger()["runs"], 1)
        for answer in lists:
            self.assertEqual(answer.status, 202)
            end = self.operation(answer.json, wait="30s")
            self.assertEqual(end["state"], "succeeded")
            self.assertIn("objects", json.dumps(end["result"]))
