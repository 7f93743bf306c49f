"""The host never pays for being watched: not one system call on its way, whatever tallyd does."""
import os
import re
import signal
import subprocess
import time
import unittest

from harness import CHECKED, PATIENCE, Scenario, until

GROWTHS = 8  # calls when the heap goes on in a larger ring: its wake-up is taken, and the helper thread woken


class Free(Scenario):
    def calls(self, host, seconds, meanwhile):
        """The system calls of the host's main thread while it allocates, and something happens to tallyd."""
        trace = os.path.join(self.dir, f"trace-{self.children}")
        before = self.cpu(host)
        host.type("spin 60000")
        until(lambda: self.cpu(host) - before > 0.1, "it allocates")
        strace = subprocess.Popen(["strace", "-q", "-o", trace, "-p", str(host.pid)], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        self.addCleanup(strace.kill)
        until(lambda: os.path.exists(trace), "strace looks on")
        time.sleep(0.3)
        before = self.cpu(host)
        meanwhile()
        time.sleep(seconds)
        until(lambda: self.cpu(host) - before > seconds / 4, "it has worked meanwhile", 20)
        strace.send_signal(signal.SIGINT)
        strace.wait(PATIENCE)
        with open(trace, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if re.match(r"[a-z_0-9]+\(", line)]
        return lines

    @staticmethod
    def cpu(host):
        """CPU seconds of the main thread."""
        with open(f"/proc/{host.pid}/task/{host.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9

    def start(self):
        self.start_daemon()
        host = self.start_host("ledger")
        self.attached(host)
        return host

    @unittest.skipIf(CHECKED, "a sanitizer's allocator makes calls of its own")
    def test_F1_no_call_while_tallyd_dies_and_comes_back(self):
        """A daemon that is killed and restarted under load: no call of the host's thread waits for it, or for anything."""
        host = self.start()

        def restart():
            self.daemon.signal(signal.SIGKILL)
            self.daemon.wait()
            self.start_daemon()
        calls = self.calls(host, 2, restart)
        self.assertLessEqual(len(calls), GROWTHS, calls[:20])
        self.assertTrue(all(call.startswith(("write(", "read(")) for call in calls), calls[:20])

    @unittest.skipIf(CHECKED, "a sanitizer's allocator makes calls of its own")
    def test_F2_no_call_while_tallyd_is_stopped(self):
        """A daemon that is stopped: the ring overwrites, and the host makes no call at all."""
        host = self.start()
        calls = self.calls(host, 2, lambda: self.daemon.stop())
        self.daemon.signal(signal.SIGCONT)
        self.assertLessEqual(len(calls), GROWTHS, calls[:20])

    def test_a_host_that_never_attaches_has_no_thread(self):
        """No thread, no memfd, no socket before the first attach, nor with TALLY_DISABLE=1."""
        for environment in ({}, {"TALLY_DISABLE": "1"}):
            host = self.start_host("ledger", "quiet", "unattached", **environment)
            host.ask("make 100")
            if environment:
                self.assertIn("attach -8", host.ask("attach"))
            self.assertEqual(os.listdir(f"/proc/{host.pid}/task"), [str(host.pid)])
            links = [os.readlink(f"/proc/{host.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{host.pid}/fd")]
            self.assertFalse([link for link in links if "memfd" in link or "socket" in link], links)
