#!/usr/bin/env python3
"""Runs the whole suite, or the kinds that --only names. The last line is "N passed, N failed, N skipped".

unit      every program under BUILD/unit (cmocka)          scenario  tests/scenario: a real tallyd and real programs
replay    tests/replay/run.py: scripts, expected output    browser   tests/browser: the page in Chromium
oracle    tests/replay/oracle.py: random scripts, CPython
mal       tests/mal/run.py: the steps of the mal guide     fuzz      each fuzz target replays its corpus
api       tests/api: every operation of the API's document
run       this file's own reading of results

A kind that runs no test has failed, and so has a program that crashes, hangs or does not say what it ran.

TALLY_TEST_SLOWER=N makes every limit of time N times as long, here and in all that this runs: for a slow machine. Builds
with sanitizers (TALLY_TEST_LINK) have 4 unless told.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SLOWER = float(os.environ.setdefault("TALLY_TEST_SLOWER", "4" if os.environ.get("TALLY_TEST_LINK") else "1"))
UNIT_SECONDS = 300 * SLOWER  # bounds for what hangs, far above what a slow machine takes
RUNNER_SECONDS = 1800 * SLOWER
NODE_SECONDS = 600 * SLOWER  # one file
ORACLE_SCRIPTS = 300
SHOWN_LINES = 200
JOBS = os.cpu_count() or 1  # programs side by side, where they may
THROUGH = []  # an emulator in front of the unit tests


class Result:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []  # (name, output)

    def fail(self, name, output, count=1):
        self.failed += count
        self.failures.append((name, output))

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures


def execute(command, seconds, **environment):
    """Returns (status or a word, output); the whole process group goes when time is up."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", cwd=ROOT, start_new_session=True,
                          env={**os.environ, **environment}) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return f"hung for {seconds:.0f} s", output
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}", output
    return process.returncode, output


def read_tap(name, status, output):
    """Counts the top-level lines of a TAP stream and holds them against its plan and the exit status."""
    result = Result()
    planned = None
    for line in output.splitlines():
        plan = re.match(r"1\.\.(\d+)", line)
        test = re.match(r"(not )?ok\b[ \t]*\d*[ \t]*-?[ \t]*(.*)", line)
        if plan:
            planned = int(plan[1])
        elif test and re.search(r"#\s*skip", test[2], re.I):
            result.skipped += 1
        elif test and test[1]:
            result.fail(f"{name}: {test[2]}", "")
        elif test:
            result.passed += 1
    ran = result.passed + result.failed + result.skipped
    if planned is not None and ran < planned:
        result.fail(f"{name}: {planned - ran} of {planned} tests did not report", "", planned - ran)
    if status != 0 and not result.failed:
        result.fail(f"{name}: {status if isinstance(status, str) else f'exit status {status}'}", "")
    if ran == 0 and not result.failed:
        result.fail(f"{name}: no test ran", "")
    if result.failed:
        result.failures.append((name, output))
    return result


def read_closing_line(name, status, output):
    """For runners that end with "N passed, N failed[, N skipped]"."""
    result = Result()
    lines = output.strip().splitlines()
    match = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", lines[-1].strip() if lines else "")
    if match:
        result.passed, result.skipped = int(match[1]), int(match[3] or 0)
        if int(match[2]):
            result.fail(name, output, int(match[2]))
    if not match or (status != 0 and not result.failed):
        word = status if isinstance(status, str) else f"exit status {status}"
        result.fail(f"{name}: {word}", output)
    return result


def side_by_side(run, what):
    """The results of run() for each, in their order."""
    result = Result()
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for one in pool.map(run, what):
            result.add(one)
    return result


def run_units(build):
    programs = [program for program in sorted(glob.glob(os.path.join(build, "unit", "*", "test_*")))
                if os.access(program, os.X_OK) and not program.endswith((".d", ".o"))]

    def run(program):
        outcome = execute(THROUGH + [program], UNIT_SECONDS, CMOCKA_MESSAGE_OUTPUT="TAP")
        return read_tap(os.path.relpath(program, build), *outcome)
    return side_by_side(run, programs)


def run_runner(script, *arguments):
    return read_closing_line(script, *execute([sys.executable, os.path.join(ROOT, script), *arguments], RUNNER_SECONDS))


def run_replay(build):
    return run_runner("tests/replay/run.py", "--replay", os.path.join(build, "tally-replay"))


def run_oracle(build):
    return run_runner("tests/replay/oracle.py", "--replay", os.path.join(build, "tally-replay"), str(ORACLE_SCRIPTS), "1")


def run_mal(build):
    return run_runner("tests/mal/run.py", "--mal", os.path.join(build, "tally-mal"))


def run_scenarios(build):
    return run_runner("tests/scenario/run.py", "--build", build)


def run_browser(build):
    return run_node(build, "tests/browser/*.test.mjs")


def run_api(build):
    return run_node(build, "tests/api/*.test.mjs")


def run_node(build, pattern):
    def run(file):
        command = ["node", "--test", "--test-reporter=tap", file]
        outcome = execute(command, NODE_SECONDS, TALLY_BUILD=build, TALLY_REQUIRE_ALL="1")
        return read_node(os.path.relpath(file, ROOT), *outcome)
    return side_by_side(run, sorted(glob.glob(os.path.join(ROOT, pattern))))


def read_node(name, status, output):
    """node nests its tests; the closing comments count the leaves."""
    counts = dict(re.findall(r"^# (pass|fail|cancelled|skipped|todo) (\d+)$", output, re.M))
    if "pass" not in counts:
        return read_tap(name, status if status else "no summary", output)
    result = Result()
    result.passed = int(counts["pass"])
    result.skipped = int(counts["skipped"]) + int(counts["todo"])
    broken = int(counts["fail"]) + int(counts["cancelled"])
    if broken or status != 0:
        names = re.findall(r"^not ok \d+ - (.*)$", output, re.M)
        result.fail(": ".join([name, *names]), output, max(broken, 1))
    return result


def run_fuzz(build):
    result = Result()
    for program in sorted(glob.glob(os.path.join(build, "fuzz", "fuzz_*"))):
        if not os.access(program, os.X_OK) or program.endswith((".d", ".o")):
            continue
        name = os.path.basename(program)
        corpus = os.path.join(ROOT, "tests/fuzz/corpus", name.removeprefix("fuzz_"))
        status, output = execute([program, corpus], UNIT_SECONDS)
        inputs = re.search(r"(\d+) inputs\s*$", output)
        if status == 0 and inputs and int(inputs[1]):
            result.passed += 1
        else:
            result.fail(f"fuzz/{name}: {status}", output)
    return result


def run_own(build):
    """The runner must not take a crash, a short plan or silence for success."""
    cases = [(read_tap("t", 0, "1..2\nok 1 - a\nok 2 - b\n"), (2, 0, 0)),
             (read_tap("t", 0, "1..2\nok 1 - a\nok 2 # SKIP b\n"), (1, 0, 1)),
             (read_tap("t", 1, "1..2\nok 1 - a\nnot ok 2 - b\n"), (1, 1, 0)),
             (read_tap("t", "killed by SIGSEGV", "1..3\nok 1 - a\n"), (1, 2, 0)),
             (read_tap("t", "killed by SIGSEGV", "1..1\nok 1 - a\n"), (1, 1, 0)),
             (read_tap("t", 0, ""), (0, 1, 0)),
             (read_closing_line("t", 0, "x\n3 passed, 0 failed\n"), (3, 0, 0)),
             (read_closing_line("t", 1, "x\n3 passed, 0 failed\n"), (3, 1, 0)),
             (read_closing_line("t", 1, "3 passed, 2 failed, 4 skipped"), (3, 2, 4)),
             (read_closing_line("t", 0, "boom"), (0, 1, 0)),
             (read_node("t", 1, "# pass 3\n# fail 1\n# cancelled 0\n# skipped 2\n# todo 0\n"), (3, 1, 2))]
    result = Result()
    for number, (got, want) in enumerate(cases):
        if (got.passed, got.failed, got.skipped) == want:
            result.passed += 1
        else:
            result.fail(f"run: case {number}", f"{(got.passed, got.failed, got.skipped)} is not {want}")
    return result


KINDS = {"run": run_own, "unit": run_units, "replay": run_replay, "oracle": run_oracle, "mal": run_mal, "fuzz": run_fuzz,
         "scenario": run_scenarios, "api": run_api, "browser": run_browser}


def tail(output, verbose):
    lines = output.rstrip().splitlines()
    if verbose or len(lines) <= SHOWN_LINES:
        return lines
    return [f"({len(lines) - SHOWN_LINES} lines before, shown by -v)", *lines[-SHOWN_LINES:]]


def report(kind, result, seconds, verbose):
    print(f"{kind:9} {result.passed} passed, {result.failed} failed, {result.skipped} skipped  ({seconds:.1f} s)",
          flush=True)
    for name, output in result.failures:
        print(f"  FAILED {name}")
        for line in tail(output, verbose):
            print(f"    {line}")


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it, and so would all tests
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="where the programs are (default build)")
    parser.add_argument("--only", default="", metavar="KIND[,KIND]", help=", ".join(KINDS))
    parser.add_argument("-v", action="store_true", dest="verbose", help="show failures' whole output")
    parser.add_argument("--through", metavar="PROGRAM", help="runs the unit tests: an emulator")
    options = parser.parse_args()
    THROUGH.extend([options.through] if options.through else [])
    only = [kind for kind in options.only.split(",") if kind]
    for kind in only:
        if kind not in KINDS:
            parser.error(f"no kind {kind}: there are {', '.join(KINDS)}")
    build = os.path.abspath(options.build)
    total = Result()
    for kind in only or KINDS:
        start = time.monotonic()
        result = KINDS[kind](build)
        if result.passed + result.failed + result.skipped == 0:
            result.fail(f"{kind}: no test ran", "")
        report(kind, result, time.monotonic() - start, options.verbose)
        total.add(result)
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
