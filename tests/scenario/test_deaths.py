"""kill -9 of each part in turn: the others go on, and what was counted stays."""
import signal
import time

from harness import Scenario, Stopwatch, until


class Deaths(Scenario):
    def test_tallyd_is_killed_and_comes_back_with_exact_counters(self):
        self.start_daemon()
        hosts = [self.start_host("ledger", f"host-{n}") for n in (1, 2)]
        ids = [self.attached(host) for host in hosts]
        for host in hosts:
            host.ask("make 300")
            host.ask("ring 40")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.wait()
        for host in hosts:
            host.ask("make 200")
            host.ask("collect 2")
        self.start_daemon()
        watch = Stopwatch()
        again = [self.attached(host) for host in hosts]
        self.assertLess(watch.seconds(), 2.0)
        self.assertEqual(again, ids)
        for process, host in zip(ids, hosts):
            self.assert_agrees(process, host.own_ledger())
            self.assertEqual(self.collect(process).status, 200)

    def test_a_host_is_killed_and_its_last_counters_stay(self):
        self.start_daemon()
        victim, other = self.start_host("ledger", "victim"), self.start_host("ledger", "other")
        process, rest = self.attached(victim), self.attached(other)
        victim.ask("make 777")
        victim.ask("ring 50")
        victim.ask("hold 10")
        ledger = victim.own_ledger()
        victim.signal(signal.SIGKILL)
        watch = Stopwatch()
        until(lambda: [p for p in self.processes("gone") if p["id"] == process], "tallyd shows it gone", 5)
        self.assertLess(watch.seconds(), 1.0)
        gone = until(lambda: [p for p in self.processes("gone") if p["id"] == process and p["end"] == "exited"],
                     "tallyd knows that it exited and not only closed its socket", 5)[0]
        self.assertIsNotNone(gone["gone_at"])
        self.assertIsNone(self.agrees(process, ledger))
        self.assertEqual(self.stats(process)["state"], "gone")
        other.ask("make 5")
        self.assert_agrees(rest, other.own_ledger())
        self.assertEqual([p["id"] for p in self.processes("live")], [rest])

    def test_a_host_is_killed_again_and_again(self):
        self.start_daemon()
        for n in range(5):
            host = self.start_host("ledger", f"host-{n}")
            process = self.attached(host)
            host.ask("ring 10")
            host.type("spin 20000")
            time.sleep(0.05)
            host.signal(signal.SIGKILL)
            until(lambda: process in [p["id"] for p in self.processes("gone")], "it is gone")
            stats = self.stats(process)
            self.assertEqual(stats["live_objects"], stats["allocations"] - sum(stats["frees"].values()))
        self.assertEqual(self.processes("live"), [])
        self.assertEqual(len(self.processes("gone")), 5)

    def test_the_reader_of_the_stream_is_killed(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        curl = self.spawn("curl", "-sN", "--unix-socket", self.path("api.sock"),
                          f"http://localhost/v1/stream?topics=fleet,stats:{process}")
        until(lambda: "event: hello" in curl.log() and "event: stats" in curl.log(), "the stream flows")
        curl.signal(signal.SIGKILL)
        host.ask("make 10")
        self.assert_agrees(process, host.own_ledger())
