"""What tallyd still says of a program that is gone: how it ended, exact counters, the last collections and events."""
import fcntl
import os
import signal
import struct
import subprocess
import time

from harness import Scenario, Stopwatch, until

PIDFD_GET_INFO = 0xC040FF0B
PIDFD_INFO_EXIT = 1 << 3


def kernel_tells():
    """Whether a pidfd says how its process ended (Linux 6.15)."""
    with subprocess.Popen(["true"]) as child:
        pidfd = os.pidfd_open(child.pid)
        child.wait()
    try:
        return bool(struct.unpack("<Q", fcntl.ioctl(pidfd, PIDFD_GET_INFO, struct.pack("<Q56x", PIDFD_INFO_EXIT))[:8])[0]
                    & PIDFD_INFO_EXIT)
    except OSError:
        return False
    finally:
        os.close(pidfd)


class PostMortem(Scenario):
    def gone(self, process, seconds=5):
        """The process's view, once it is gone."""
        def found():
            view = self.get(f"/v1/processes/{process}")
            return view if view["state"] == "gone" else None
        return until(found, "it is gone", seconds)

    def assert_exit(self, process, expected):
        """Told a moment after the end, where the kernel tells."""
        if not kernel_tells():
            self.assertIsNone(self.gone(process)["post_mortem"]["exit"])
            return
        told = until(lambda: self.gone(process)["post_mortem"]["exit"], "tallyd says how it ended", 5)
        told.pop("core", None)  # the machine's limits decide
        self.assertEqual(told, expected)

    def test_a_host_is_killed(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        self.assertIsNone(self.get(f"/v1/processes/{process}")["post_mortem"])
        host.ask("automatic 0")
        host.ask("ring 7")
        host.ask("collect 2")
        host.ask("make 40")
        ledger = host.own_ledger()
        host.signal(signal.SIGKILL)
        watch = Stopwatch()
        host.wait()
        self.gone(process)
        self.assertLess(watch.seconds(), 1.0)
        self.assertIsNone(self.agrees(process, ledger))
        self.assert_exit(process, {"kind": "signal", "signal": 9, "name": "SIGKILL"})
        self.assert_what_is_left(self.get(f"/v1/processes/{process}")["post_mortem"])
        for method, path, body in (("POST", "collect", {}), ("PATCH", "config", {"enabled": True})):
            answer = self.unix(method, f"/v1/processes/{process}/{path}", body)
            self.assertEqual((answer.status, answer.json["code"]), (410, "process_gone"))

    def assert_what_is_left(self, left):
        self.assertEqual(left["last_collections"][0]["collected"], 14)
        self.assertEqual(left["stats"]["state"], "gone")
        self.assertEqual(left["stats"]["rates"]["allocations_per_s"], 0)
        (heap,) = left["heaps"]
        self.assertEqual((heap["n"], heap["was"], heap["gone_before"]), (1, "running", False))
        events = heap["last_events"]
        self.assertEqual(len(events), 64)
        # What each round of "make" does: three births, and the deaths of the same, the text first.
        for at in range(len(events) - 6, 3, -6):
            births, deaths = events[at:at + 3], events[at + 3:at + 6]
            self.assertEqual([(e["kind"], e["type"]) for e in births],
                             [("alloc", "node"), ("alloc", "leaf"), ("alloc", "text")])
            self.assertEqual({e["kind"] for e in deaths}, {"free_refcount"})
            self.assertEqual(deaths[0]["type"], "text")
            self.assertEqual({e["object"]: e["type"] for e in births}, {e["object"]: e["type"] for e in deaths})
        self.assertEqual([e["bytes"] for e in events[-6:-4]], [24, 8])

    def end(self, line, status):
        host = self.start_host("lives", ASAN_OPTIONS="detect_leaks=0")  # it leaves without a word
        process = self.attached(host)
        host.ask("fast 20")
        host.type(line)
        self.assertEqual(host.wait(), status)
        return process

    def test_ends_of_its_own_making(self):
        self.start_daemon()
        for line, status, word in (("exit 3", 3, {"kind": "exit", "code": 3}),
                                   ("abort", -6, {"kind": "signal", "signal": 6, "name": "SIGABRT"}),
                                   ("crash", -11, {"kind": "signal", "signal": 11, "name": "SIGSEGV"})):
            with self.subTest(line):
                process = self.end(line, status)
                self.assert_exit(process, word)
                left = self.gone(process)
                self.assertEqual(left["end"], "bye" if line.startswith("exit") else "exited")
                events = left["post_mortem"]["heaps"][0]["last_events"]
                self.assertEqual({e["type"] for e in events}, {"brief"})
                self.assertEqual([e["kind"] for e in events[-2:]], ["alloc", "free_refcount"])

    def test_an_orderly_end(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        host.ask("make 5")
        host.signal(signal.SIGTERM)
        self.assertEqual(host.wait(), 0)
        view = self.gone(process)
        self.assert_exit(process, {"kind": "exit", "code": 0})
        self.assertEqual(view["end"], "bye")
        self.assertIsNone(self.agrees(process, host.ledger("final")))
        (heap,) = view["post_mortem"]["heaps"]
        self.assertEqual((heap["was"], heap["gone_before"]), ("closed", True))
        self.assertEqual(view["post_mortem"]["stats"]["live_objects"], 0)

    def shown(self):
        return [p["name"] for p in self.processes("gone")]

    def kill(self, host):
        process = self.attached(host)
        host.signal(signal.SIGKILL)
        host.wait()
        self.gone(process)
        return process

    def test_the_gone_are_kept_for_as_long_as_asked(self):
        self.start_daemon("--gone-keep", "3")
        before = time.monotonic()
        process = self.kill(self.start_host("ledger"))
        watch = Stopwatch()
        self.assertEqual(self.gone(process)["post_mortem"]["heaps"][0]["n"], 1)
        until(lambda: self.unix("GET", f"/v1/processes/{process}").status == 404, "it is forgotten")
        self.assertGreater(time.monotonic() - before, 3.0)
        self.assertLess(watch.seconds(), 4.0)
        self.assertEqual(self.shown(), [])

    def test_of_the_gone_so_many_are_kept_as_asked(self):
        self.start_daemon("--gone-count", "2")
        oldest = self.start_host("ledger", "oldest")
        self.attached(oldest)
        for n in range(3):
            self.kill(self.start_host("ledger", f"host-{n}"))
        until(lambda: self.shown() == ["host-1", "host-2"], "two are left", 3)
        self.kill(oldest)
        until(lambda: sorted(self.shown()) == ["host-2", "oldest"], "what went last is kept", 3)
