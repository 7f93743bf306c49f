"""Snapshots end to end: from a host that works, is parked or sleeps, to an artifact; the host sees no child, no signal and
no memory of it, and what breaks in the middle costs nobody else anything."""
import json
import os
import signal
import time

from harness import CHECKED, THREADS_CHECKED, Scenario, until

LONG = True  # begins first, see run.py

OBJECTS = 100_000
PART = 10 if CHECKED and not THREADS_CHECKED else 1  # checks of a debug build see the whole heap at every collection
MANY, MOST = 400_000 // PART, 1_000_000 // PART


class Snapshots(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def host(self, mode, objects=OBJECTS, *ballast):
        host = self.start_host("family", mode, str(objects), *ballast)
        process = self.attached(host)
        host.ask("pause 0", 30)  # once all are made
        return host, process

    def take(self, process, wait="30s", heap="", **body):
        answer = self.unix("POST", f"/v1/processes/{process}{heap}/snapshot?wait={wait}", body, seconds=40)
        self.assertIn(answer.status, (200, 202), answer)
        if wait == "0s" or answer.json["finished_at"]:
            return answer.json
        return until(lambda: (now := self.operation(answer.json))["finished_at"] and now, "it has ended")

    def seen(self, host):
        return json.loads(host.ask("seen", 30).partition("seen ")[2])

    def undisturbed(self, host):
        """Neither handler nor wait of the host's has seen anything, and no child of its is left."""
        seen = self.seen(host)
        self.assertEqual((seen["signals"], seen["waited"]), (0, 0))
        until(lambda: not self.children_of(host), "no child is left")
        return seen

    @staticmethod
    def children_of(host):
        with open(f"/proc/{host.pid}/task/{host.pid}/children", encoding="ascii") as file:
            return file.read().split()

    def stream_bytes(self, artifact):
        """Of what is kept of it."""
        return os.path.getsize(os.path.join(self.state, "artifacts", artifact + ".stream"))

    # ---- whole

    def whole(self, host, process, mode, host_mode):
        operation = self.take(process, mode=mode)
        self.assertEqual(operation["state"], "succeeded", operation)
        result = operation["result"]
        self.assertEqual((result["mode"], result["instant"]), (mode, mode == "clone"))
        self.assertIn(result["objects"], range(OBJECTS, OBJECTS + 3))  # one may just have been made
        self.assertGreater(result["predicted_pause_ns"], 0)
        if mode == "clone" or host_mode != "parks":
            self.assertGreater(result["pause_ns"], 0)
        self.assertEqual(operation["heaps"][0]["artifact"], result["artifact"])
        self.assertGreater(self.stream_bytes(result["artifact"]), 10 * OBJECTS)
        self.undisturbed(host)

    def test_both_ways_whatever_the_host_does(self):
        for host_mode in ("works", "parks", "sleeps"):
            host, process = self.host(host_mode)
            for mode in ("clone", "slices"):
                with self.subTest(host=host_mode, mode=mode):
                    self.whole(host, process, mode, host_mode)

    def test_a_million_objects_cost_the_host_no_memory(self):
        """Neither way leaves any, and the slices keep to their length."""
        host, process = self.host("works", MOST)
        self.configure(process, events="off")  # else its ring grows
        before = self.seen(host)
        for mode in ("clone", "slices"):
            operation = self.take(process, mode=mode)
            self.assertEqual(operation["state"], "succeeded", operation)
            self.assertIn(operation["result"]["objects"], range(MOST, MOST + 3))
            after = self.undisturbed(host)
            if not CHECKED:  # sanitizers keep what is freed
                self.assertLess(after["rss_kib"] - before["rss_kib"], 2048)
            self.figure(f"{mode}: pause {operation['pause_ns'] / 1e6:.2f} ms, foreseen "
                        f"{operation['result']['predicted_pause_ns'] / 1e6:.2f} ms")

    # ---- what is chosen

    def test_what_is_foreseen_too_long_is_refused(self):
        host, process = self.host("works")
        host.ask("pause 1")
        until(lambda: self.get(f"/v1/processes/{process}/config")["max_pause_us"] == 1, "the limit shows")

        def refused():
            """What is foreseen, and the refusal, of one and the same state of its memory."""
            forecast = self.get(f"/v1/processes/{process}/forecast")["snapshot"]
            answer = self.unix("POST", f"/v1/processes/{process}/snapshot", {"mode": "clone"})
            self.assertEqual((answer.status, answer.json["code"]), (409, "pause_too_long"), answer)
            return self.get(f"/v1/processes/{process}/forecast")["snapshot"] == forecast and (forecast, answer)
        forecast, answer = until(refused, "its memory rests")
        self.assertEqual((forecast["mode"], forecast["reason"], forecast["allowed"]), ("slices", "pause_too_long", True))
        self.assertEqual(answer.json["max_pause_ns"], 1000)
        self.assertEqual(answer.json["predicted_pause_ns"], forecast["clone_pause_ns"])
        forced = self.take(process, mode="clone", force=True)
        self.assertEqual((forced["state"], forced["result"]["mode"]), ("succeeded", "clone"), forced)
        host.ask("pause 40")
        auto = self.take(process)
        self.assertEqual((auto["state"], auto["result"]["mode"]), ("succeeded", "slices"), auto)
        self.assertEqual(auto["result"]["reason"], "pause_too_long")
        self.assertGreater(auto["result"]["slices"], 10)

    def test_the_first_is_foreseen_by_all_memory(self):
        """What is not the heap's counts, too, before anything was cloned."""
        _, process = self.host("works", 1000, "200")
        until(lambda: self.get(f"/v1/processes/{process}/forecast")["snapshot"]["clone_pause_ns"] > 200 * 12_000, "it is told")
        forecast = self.get(f"/v1/processes/{process}/forecast")["snapshot"]
        self.assertFalse(forecast["measured"])
        if not CHECKED:  # a sanitizer's own memory is counted, too
            self.assertLess(forecast["clone_pause_ns"], 260 * 12_000)
        taken = self.take(process, mode="clone")
        self.assertEqual(taken["state"], "succeeded", taken)
        if not CHECKED:
            self.assertLess(abs(taken["result"]["predicted_pause_ns"] - forecast["clone_pause_ns"]), 20 * 12_000)

    def test_a_collection_without_work_is_foreseen(self):
        _, process = self.host("sleeps", 20_000)
        self.collect(process)
        self.collect(process)

        def foreseen():
            return self.get(f"/v1/processes/{process}/forecast")["collect"][2]
        until(lambda: foreseen()["settled"], "there is nothing to find")
        self.assertEqual(foreseen()["pause_ns"], 0)
        self.assertGreater(foreseen()["most_pause_ns"], 0)
        self.assertEqual(self.collect(process).json["result"]["collected"], 0)
        self.assertEqual(self.unix("POST", f"/v1/processes/{process}/unfreeze?wait=30s", {}).status, 200)  # what it frees has no candidates
        until(lambda: not foreseen()["settled"], "it has to look")
        self.assertGreater(foreseen()["pause_ns"], 0)

    def test_one_at_a_time(self):
        host, process = self.host("works", MANY)
        host.ask("pause 100")
        first = self.take(process, wait="0s", mode="slices")
        answer = self.unix("POST", f"/v1/processes/{process}/snapshot", {})
        self.assertEqual((answer.status, answer.json["code"]), (409, "snapshot_running"), answer)
        gone = self.unix("DELETE", f"/v1/operations/{first['id']}?wait=30s").json
        self.assertEqual(gone["state"], "cancelled", gone)
        self.assertEqual(self.take(process, mode="clone", force=True)["state"], "succeeded")
        self.undisturbed(host)

    # ---- what breaks in the middle

    def begun(self, process, mode, objects_least=1):
        operation = self.take(process, wait="0s", mode=mode)
        until(lambda: self.operation(operation)["state"] in ("running", "succeeded"), "it runs")
        return operation

    def test_the_heap_goes(self):
        host, process = self.host("works", MANY)
        host.ask("pause 100")
        operation = self.begun(process, "slices")
        host.ask("detach")
        self.assertEqual(self.operation(operation, "30s")["code"], "heap_gone")
        host.ask("attach")
        until(lambda: [h for h in self.get(f"/v1/processes/{process}")["heaps"] if not h.get("gone")], "it is back")
        host.ask("pause 0")
        until(lambda: self.get(f"/v1/processes/{process}/config")["max_pause_us"] == 0, "the limit is gone")
        operation = self.begun(process, "clone")
        host.ask("free", 30)
        ended = self.operation(operation, "30s")
        self.assertEqual(ended["state"], "succeeded", ended)  # the child has the heap as it was
        self.undisturbed(host)

    def test_the_host_ends(self):
        for mode in ("clone", "slices"):
            host, process = self.host("works", MANY)
            host.ask("pause 100") if mode == "slices" else None
            operation = self.begun(process, mode)
            host.process.kill()
            host.wait()
            ended = self.operation(operation, "30s")
            self.assertIn(ended["state"], ("failed", "succeeded"), ended)
            if ended["state"] == "failed":
                self.assertIn(ended["code"], ("process_gone", "not_kept"))

    def test_the_host_ends_and_a_child_of_its_own_has_the_pipe(self):
        """Of which tallyd would hear no end: it fails soon after its program has gone."""
        for _ in range(5):
            host, process = self.host("works", MANY)
            host.ask("pause 100")
            operation = self.take(process, wait="0s", mode="slices")
            until(lambda: self.artifact_of(process) or self.operation(operation)["finished_at"], "it has begun")
            self.daemon.stop()  # so that it is not read to its end
            held = int(host.ask("hold", 30).partition("held ")[2])
            self.addCleanup(os.kill, held, signal.SIGKILL)
            host.process.kill()
            host.wait()
            self.daemon.signal(signal.SIGCONT)
            until(lambda: self.artifact_of(process) and self.artifact_of(process)["state"] != "receiving", "it ends", 20)
            if self.artifact_of(process)["state"] == "failed":
                break
        self.assertEqual(self.artifact_of(process)["problem"], "the program went while it came")
        os.kill(held, 0)  # which is there still

    def artifact_of(self, process):
        found = self.get(f"/v1/artifacts?process={process}")["artifacts"]
        return found[0] if found else None

    def test_a_child_ends_with_its_parent(self):
        """Killed or by exit(), while nobody reads: the child is gone at once."""
        if CHECKED:  # who just ends still has a heap, and what only its maps lead to is a leak for AddressSanitizer
            self.environment["ASAN_OPTIONS"] += ":detect_leaks=0"
        for kill in (True, False):
            host, process = self.host("works", MOST)
            self.take(process, wait="0s", mode="clone")
            children = until(lambda: self.children_of(host), "it has a child")
            self.daemon.stop()
            try:
                host.process.kill() if kill else host.type("end")
                host.wait()
                until(lambda: not any(self.is_there(child) for child in children), "the child is gone", 3)
            finally:
                self.daemon.signal(signal.SIGCONT)

    @staticmethod
    def is_there(pid):
        """A zombie is not."""
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                return file.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def test_a_stuck_child_does_not_outlive_its_host(self):
        """A label may wait for a lock whose holder is not in the child; nobody is left who would end that."""
        host, process = self.host("works", 1000)
        host.ask("stick")
        self.take(process, wait="0s", mode="clone")
        child, = until(lambda: self.children_of(host), "there is a child")
        host.process.kill()
        host.wait()
        self.assertTrue(self.is_there(child))
        try:
            until(lambda: not self.is_there(child), "the child is gone", 15)
        finally:
            if self.is_there(child):
                os.kill(int(child), signal.SIGKILL)

    def test_the_host_forks(self):
        host, process = self.host("works", MANY)
        host.ask("pause 200")
        operation = self.begun(process, "slices")
        self.assertIn("forked 0", host.ask("fork", 30))
        ended = self.operation(operation, "30s")
        self.assertEqual((ended["state"], ended["result"]["objects"] >= MANY), ("succeeded", True), ended)
        self.undisturbed(host)

    def test_tallyd_is_stopped(self):
        """The host goes on, gives up after some seconds, and has no more memory than before."""
        hosts = {mode: self.host("works", MANY) for mode in ("clone", "slices")}
        for _, process in hosts.values():
            self.configure(process, events="off")
        before = {mode: self.seen(host) for mode, (host, _) in hosts.items()}
        for mode, (_, process) in hosts.items():
            self.take(process, wait="0s", mode=mode)
        time.sleep(0.02)
        self.daemon.stop()
        try:
            time.sleep(6.5)
            for mode, (host, _) in hosts.items():
                after = self.undisturbed(host)
                if not CHECKED:
                    self.assertLess(after["rss_kib"] - before[mode]["rss_kib"], 2048, mode)
                self.assertLess(after["worst_ns"], 100_000_000, mode)
        finally:
            self.daemon.signal(signal.SIGCONT)
        until(lambda: not [o for o in self.get("/v1/operations")["operations"] if o["finished_at"] is None], "they ended")

    def test_tallyd_is_killed(self):
        host, process = self.host("works", MANY)
        for mode in ("clone", "slices"):
            self.take(process, wait="0s", mode=mode)
            self.daemon.process.kill()
            self.daemon.wait()
            os.unlink(self.path("http.addr"))
            self.start_daemon()
            process = self.attached(host)
            self.undisturbed(host)
        self.assertEqual(self.take(process, mode="clone")["state"], "succeeded")
        self.undisturbed(host)


if __name__ == "__main__":
    import unittest
    unittest.main()
