#!/usr/bin/env python3
"""Random scripts: what CPython answers against what tally-replay answers, in every mode whose answers must be
the same: under each manager that frees cycles, searched and verified after every few commands, and in slices
(what a slice leaves is done before the next command).

    oracle.py [--replay PROGRAM] [--lines N] [--jobs N] [--mutate] COUNT SEED

Runs COUNT scripts with seeds from SEED on: gen.py's profiles and acts.py in turn. --mutate damages a line of
each, so that the checks of words are compared too. A script that makes a difference is shortened, line by line,
as long as the difference stays, and printed with the command line and both answers. Needs Python 3.11, whose
collector is the reference.
"""
import argparse
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
PROFILES = ("plain", "weak", "final", "mixed", "bulk", "acts")
QUIET_PROFILES = ("plain", "weak")      # a damaged line must not lead to what FORMAT.md leaves open
MANAGERS = ("generational", "cycle", "full")
MODES = tuple((manager, *more) for manager in MANAGERS
              for more in ((), ("--stress", "7"), ("--max-pause", "1")))
SECONDS = 120 * float(os.environ.get("TALLY_TEST_SLOWER", 1))  # see tests/run.py


def execute(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                          env={k: v for k, v in os.environ.items() if not k.startswith("TALLY_")})
    return done.returncode, done.stdout, done.stderr


def modes_of(profile):
    """Where finalizers act on roots and slots, deaths that a slice puts off act later than CPython's."""
    return [mode for mode in MODES if profile != "acts" or "--max-pause" not in mode]


class Script:
    """One script's file, and who answers it."""

    def __init__(self, program, path, lines):
        self.program, self.path, self.lines = program, path, lines
        self.write(lines)

    def write(self, lines):
        with open(self.path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")

    def reference(self):
        return execute(sys.executable, os.path.join(HERE, "replay.py"), self.path)

    def command(self, mode):
        return (self.program, "--manager", *mode, self.path)

    def differs(self, lines, mode, done_only):
        """Differs; done_only: and not because a shortened script no longer runs at all."""
        self.write(lines)
        want, got = self.reference(), execute(*self.command(mode))
        return want != got and (want[0] == 0 or (want[0] == 2 and not done_only))

    def shorten(self, mode):
        """Delta debugging: drops ever smaller runs of lines while the difference stays."""
        lines = self.lines
        done_only = self.differs(lines, mode, True)
        size = len(lines) // 2
        while size:
            start = 0
            while start < len(lines):
                shorter = lines[:start] + lines[start + size:]
                if shorter and self.differs(shorter, mode, done_only):
                    lines = shorter
                else:
                    start += size
            size //= 2
        self.write(lines)
        return lines


def generate(seed, lines, profile):
    """The script, and CPython's answer to it, which the generator has from writing it. Ends the process's use of
    the collector: what it says counts from the process's start."""
    import acts
    import gen
    generator = acts.Acting(seed, "mixed") if profile == "acts" else gen.Generator(seed, profile)
    for _ in range(3):
        generator.do_new()
    while len(generator.lines) < lines - 24:
        generator.step()
    generator.finish()
    return generator.lines


def in_child(function, *arguments):
    """What the function returns, from a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as file:
            file.write("\n".join(function(*arguments)))
            file.flush()
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        lines = file.read().splitlines()
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"{arguments}: the generator ended with status {status}")
    return lines


def damage(lines, rand):
    """One line with a word or byte too many, too few, or another."""
    at = rand.randrange(len(lines))
    words = lines[at].split(" ")
    where = rand.randrange(len(words))
    donor = rand.choice(rand.choice(lines).split(" ")) or "x"
    word = words[where] or "x"
    cut = rand.randrange(len(word))
    odd = rand.choice([*"[].=+:*#$ \t@0-9", *"[0] nil fin callback hold= kind= end repeat".split(), "1" * 20])
    words[where:where + 1] = rand.choice([[], [word, donor], [donor], [word[:cut] + odd + word[cut:]],
                                          [word[:cut] + word[cut + 1:]], [odd], [word, odd]])
    return lines[:at] + [" ".join(words)] + lines[at + 1:]


def examine(task):
    """(runs, report of the differences)."""
    seed, options, folder = task
    profiles = QUIET_PROFILES if options.mutate else PROFILES
    profile = profiles[seed % len(profiles)]
    lines = in_child(generate, seed, options.lines, profile)
    if options.mutate:
        lines = damage(lines, random.Random(seed))
    script = Script(options.replay, os.path.join(folder, f"{seed}.script"), lines)
    want = script.reference()
    report = []
    for mode in modes_of(profile):
        if execute(*script.command(mode)) == want or want[0] not in (0, 2):
            continue
        shortest = script.shorten(mode)
        report += [f"seed {seed}, {profile}: {' '.join(script.command(mode))}", *shortest,
                   f"CPython {script.reference()}", f"tally   {execute(*script.command(mode))}"]
        script.write(lines)
    os.unlink(script.path)
    return len(modes_of(profile)), report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replay", default=os.path.join(HERE, "../../build/tally-replay"))
    parser.add_argument("--lines", type=int, default=150)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mutate", action="store_true")
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        print("0 passed, 0 failed, 1 skipped")      # another collector than the reference
        return 0
    failed = runs = 0
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Pool(options.jobs) as pool:
        tasks = ((seed, options, folder) for seed in range(options.seed, options.seed + options.count))
        for ran, report in pool.imap_unordered(examine, tasks):
            runs += ran
            failed += bool(report)
            if report:
                print(*report, sep="\n", flush=True)
    print(f"{runs} runs of {options.count} scripts")
    print(f"{options.count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
