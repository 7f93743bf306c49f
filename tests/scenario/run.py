#!/usr/bin/env python3
"""Runs the scenarios: a real tallyd and real programs. Ends with "N passed, N failed, N skipped".

Each file runs in a process of its own, JOBS of them side by side, since most tests wait most of the time: those that take
long first (LONG = True), so that none of them is left over at the end. Files that measure (ALONE = True) have the machine to
themselves, after the others."""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SLOWER = float(os.environ.get("TALLY_TEST_SLOWER", 1))  # see tests/run.py
TEST_SECONDS = int(480 * SLOWER)
FILE_SECONDS = 1500 * SLOWER
JOBS = 1 + (os.cpu_count() or 1)


class Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        signal.alarm(TEST_SECONDS)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        if self.showAll:
            self.stream.writeln(f"    {time.monotonic() - self.began:6.1f} s  {test.id()}")


def hung(*_):
    raise TimeoutError(f"the test took more than {TEST_SECONDS} s")


def counts_line(counts):
    return "{} passed, {} failed, {} skipped".format(*counts)


def load(name, patterns):
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in patterns] if patterns else None
    return loader.loadTestsFromName(name)


def run_here(name, options):
    """One file's tests, in this process; ends with its counts."""
    signal.signal(signal.SIGALRM, hung)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2 if options.v else 1, resultclass=Result)
    result = runner.run(load(name, options.k))
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    print(counts_line((max(result.testsRun - failed - skipped, 0), failed, skipped)))
    return 1 if failed else 0


def run_apart(name):
    """One file in a process of its own: (name, seconds, counts, output)."""
    start = time.monotonic()
    command = [sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--file", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child:
        try:
            output, _ = child.communicate(timeout=FILE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            output = child.communicate()[0] + f"\n{name} took more than {FILE_SECONDS} s\n"
    closing = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped\s*\Z", output, re.M)
    counts = [int(count) for count in closing.groups()] if closing else [0, 1, 0]
    if child.returncode != 0 and not counts[1]:
        counts[1] = 1
    return name, time.monotonic() - start, counts, output


def run_all(names, options):
    total, shown = [0, 0, 0], []
    alone, long = ([name for name in names if getattr(sys.modules[name], word, False)] for word in ("ALONE", "LONG"))
    others = sorted(set(names) - set(alone), key=lambda name: (name not in long, name))
    for jobs, some in ((options.jobs, others), (1, alone)):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for run in concurrent.futures.as_completed([pool.submit(run_apart, name) for name in some]):
                name, seconds, counts, output = run.result()
                print(f"{name:24} {counts_line(counts)}  ({seconds:.1f} s)", flush=True)
                total = [sum(pair) for pair in zip(total, counts)]
                shown += [output] if counts[1] or options.v else []
    print("\n".join(shown))
    print(counts_line(total))
    return 1 if total[1] else 0


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it, and so would all tests
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"))
    parser.add_argument("-k", action="append", help="only tests whose name holds this")
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"files side by side (default {JOBS})")
    parser.add_argument("--file", help="this file's tests alone, here")
    options = parser.parse_args()
    os.environ["TALLY_TEST_BUILD"] = os.path.abspath(options.build)
    if options.v:
        os.environ["TALLY_TEST_FIGURES"] = "1"
    sys.path.insert(0, HERE)
    if options.file:
        return run_here(options.file, options)
    names = sorted(os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "test_*.py")))
    return run_all([name for name in names if load(name, options.k).countTestCases()], options)


if __name__ == "__main__":
    sys.exit(main())
