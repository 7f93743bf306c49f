"""tally-mal beside mal's second C implementation: the same programs, run by each.

The checkout that --peers names is only read: its impls/c.2 is compiled into the build folder, as its Makefile
does (-O3 with LTO, on the Boehm collector), but without its foreign functions and its line editor. tally-mal is
attached to a tallyd that is started for it, on another core where there is one, and writes counters and events."""
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from peers import HERE, built
from rows import MAL_ROWS, SECOND_C

FIB = os.path.join(HERE, "fib.mal")
SELF = "../mal/stepA_mal.mal"
FIB_TIMES = 10  # in one run, since one takes a blink
# The programs of the rows: (words, what their seconds are divided by; None: they print iterations)
PROGRAMS = {"fib": ([FIB, "25", str(FIB_TIMES)], FIB_TIMES), "perf3": (["perf3.mal"], None),
            "self-hosted fib": ([SELF, FIB, "18", "1"], 1), "self-hosted perf3": ([SELF, "perf3.mal"], None)}


def is_checkout(folder):
    return os.path.isfile(os.path.join(folder, "impls/c.2/stepA_mal.c"))


def second_c(machine, folder):
    """The command of mal's second C implementation; None: it does not build."""
    sources = [path for path in sorted(glob.glob(os.path.join(folder, "impls/c.2/*.c")))
               if not re.match(r"(step[0-9]_.*|readline)\.c$", os.path.basename(path))]
    out = machine.out("mal_c.2")
    return [out] if built(["cc", "-std=c99", "-O3", "-flto", "-DNDEBUG", "-w", "-I",
                           os.path.join(folder, "impls/c.2"), "-o", out, *sources,
                           os.path.join(HERE, "mal_readline.c"), "-lgc"]) else None


@contextlib.contextmanager
def daemon(machine):
    """A tallyd of our own: the environment in which programs find it."""
    folder = tempfile.mkdtemp(prefix="tally-bench-")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    environment["TALLY_RUNTIME_DIR"] = folder
    others = os.sched_getaffinity(0) - {machine.core} or {machine.core}
    process = subprocess.Popen([os.path.join(machine.build, "tallyd"), "--http-listen", "127.0.0.1:0", "--state-dir",
                                os.path.join(folder, "state")], env=environment, stderr=subprocess.DEVNULL,
                               preexec_fn=lambda: os.sched_setaffinity(0, others))
    try:
        deadline = time.monotonic() + 10
        while not os.path.exists(os.path.join(folder, "http.addr")):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("bench.py: tallyd does not start")
            time.sleep(0.05)
        yield environment
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class Mal:
    """Runs programs of the checkout in its folder of tests, where their relative names hold."""

    def __init__(self, machine, folder, environment, theirs):
        self.machine, self.environment, self.theirs = machine, environment, theirs
        self.folder = os.path.join(os.path.abspath(folder), "impls/tests")
        self.timed = [machine.out("timed"), machine.out("timed.figures")]
        if not built(["cc", "-O2", "-o", self.timed[0], os.path.join(HERE, "timed.c")]):
            sys.exit("bench.py: timed.c does not build")
        self.runs = 0

    def measure(self, command, name, row):
        """One run of a row's program, as figures that are spelled as the rows are."""
        words, divisor = PROGRAMS[row.words]
        lines = self.machine.run(self.timed + command + words, self.folder, self.environment)
        with open(self.timed[1], encoding="ascii") as file:
            seconds, kib = file.read().split()
        if divisor:
            value = (float(seconds) / divisor, "s")
        else:
            said = re.search(r"iters over 10 seconds: (\d+)", "\n".join(lines))
            if not said:
                sys.exit(f"bench.py: {name}, {row.words}: no count of iterations in {lines}")
            value = (float(said[1]), "iterations")
        return {(row.figure, name): value, (row.figure + ", peak RSS", name): (float(kib) / 1024, "MiB")}

    def ours(self, row):
        self.runs += 1
        name = f"bench {self.runs}"
        found = self.measure([os.path.join(self.machine.build, "tally-mal"), "--name", name], "tally mal", row)
        listed = subprocess.run([os.path.join(self.machine.build, "tallyctl"), "list", "--json"],
                                env=self.environment, stdout=subprocess.PIPE, check=True)
        if not any(one["name"] == name and one["allocations"] for one in json.loads(listed.stdout)["processes"]):
            sys.exit(f"bench.py: tally-mal was not attached in {row.words}")
        return found

    def commands(self, row):
        """The runs that are made in turn for the rows of a program."""
        return {"": lambda: self.ours(row), SECOND_C: lambda: self.measure(self.theirs, SECOND_C, row)}


def mal_measure(bench, folders):
    """All rows of mal, from the first checkout among the folders."""
    if not folders:
        return bench.not_measured(MAL_ROWS, "wants --peers with a checkout of kanaka/mal")
    theirs = second_c(bench.machine, folders[0])
    if not theirs:
        bench.machine.missing[SECOND_C] = "libgc-dev"
        return bench.not_measured(MAL_ROWS, f"{SECOND_C} wants libgc-dev")
    with daemon(bench.machine) as environment:
        mal = Mal(bench.machine, folders[0], environment, theirs)
        for words in dict.fromkeys(row.words for row in MAL_ROWS):
            mine = [row for row in MAL_ROWS if row.words == words]
            bench.rows(mine, mal.commands(mine[0]))
    return None
