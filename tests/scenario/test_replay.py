"""tally-replay as a program: its options, and what they leave as it is."""
import subprocess

from harness import PATIENCE, Scenario, program

SCRIPT = b"""new a
new b
append a = b
append b = a
ring r 7
drop r[0]
drop a
drop b
collect
counts
"""


class Replay(Scenario):
    def replay(self, *arguments, script=SCRIPT):
        return subprocess.run([program("tally-replay"), *arguments], input=script, capture_output=True, timeout=PATIENCE)

    def test_every_mode_prints_the_same(self):
        plain = self.replay("-")
        self.assertEqual((plain.returncode, plain.stderr), (0, b""))
        self.assertTrue(plain.stdout)
        for manager in ("generational", "cycle", "full"):
            for more in ([], ["--max-pause", "1"], ["--stress", "1"], ["--max-pause", "50", "--stress", "3"]):
                done = self.replay("--manager", manager, *more, "-")
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, plain.stdout, b""), (manager, more))

    def test_managers_that_leave_cycles_alone(self):
        for manager in ("none", "refcount"):
            done = self.replay("--manager", manager, "-")
            self.assertEqual((done.returncode, done.stdout), (1, b""), done)
            self.assertEqual(done.stderr, b"tally-replay: line 9: this manager does not have that\n")
            done = self.replay("--manager", manager, "-", script=b"threshold 5 5 5\n")
            self.assertEqual(done.stderr, b"tally-replay: line 1: this manager does not have that\n")

    def test_wrong_values_are_named(self):
        for option, values in (("--manager", ("nonsense", "", "FULL", "0")),
                               ("--max-pause", ("0", "-1", "1x", "", " 1", "1e3", "99999999999999999999")),
                               ("--stress", ("0", "-1", "many", ""))):
            for value in values:
                done = self.replay(option, value, "-")
                self.assertEqual((done.returncode, done.stdout), (1, b""), (option, value))
                self.assertEqual(done.stderr.decode(), f"tally-replay: {option}: not a value that it takes: {value}\n")

    def test_wrong_usage(self):
        for arguments in ((), ("-", "-"), ("--nonsense", "-"), ("--manager",)):
            done = self.replay(*arguments)
            self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
            self.assertIn(b"usage: tally-replay", done.stderr)
        self.assertEqual(self.replay("--name", "x" * 300, "-").returncode, 1)
        done = self.replay("/nowhere/at/all")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"/nowhere/at/all", done.stderr)

    def test_help_and_version(self):
        done = self.replay("--help")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for option in (b"--manager", b"--max-pause", b"--stress", b"--attach"):
            self.assertIn(option, done.stdout)
        self.assertRegex(self.replay("--version").stdout, rb"^tally-replay \S+ \(libtally \S+\)\n$")
