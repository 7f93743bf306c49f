#!/usr/bin/env python3
"""Runs the scenarios: a real tallyd and real programs. Ends with "N passed, N failed, N skipped"."""
import argparse
import os
import signal
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        signal.alarm(TEST_SECONDS)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)


TEST_SECONDS = 120


def hung(*_):
    raise TimeoutError(f"the test took more than {TEST_SECONDS} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(HERE, "../../build"))
    parser.add_argument("-k", action="append", help="only tests whose name holds this")
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()
    os.environ["TALLY_TEST_BUILD"] = os.path.abspath(options.build)
    if options.v:
        os.environ["TALLY_TEST_FIGURES"] = "1"
    sys.path.insert(0, HERE)
    signal.signal(signal.SIGALRM, hung)
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in options.k] if options.k else None
    suite = loader.discover(HERE, "test_*.py", HERE)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2 if options.v else 1, resultclass=Result).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    print(f"{max(result.testsRun - failed - skipped, 0)} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
