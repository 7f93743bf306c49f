#!/usr/bin/env python3
"""Random scripts: what CPython answers against what tally-replay answers.

    oracle.py [--replay PROGRAM] [--lines N] [--acts | --mutate] COUNT SEED

Runs COUNT scripts by gen.py (--acts: by acts.py), with seeds from SEED on and its profiles in turn, through
replay.py and PROGRAM.
--mutate damages a line of each, so that the checks of words are compared too. A script that makes a
difference is shortened, line by line, as long as the difference stays, and printed with both answers. Needs
Python 3.11, whose collector is the reference.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROFILES = ("plain", "weak", "final", "mixed", "bulk")
QUIET_PROFILES = ("plain", "weak")      # a damaged line must not lead to what FORMAT.md leaves open
SECONDS = 60


class Scripts:
    def __init__(self, program, folder):
        self.program = program
        self.path = os.path.join(folder, "case.script")

    def run(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                              env={k: v for k, v in os.environ.items() if k != "TALLY_STRESS"})
        return done.returncode, done.stdout, done.stderr

    def answers(self, lines):
        """(CPython's, tally-replay's): status, output, error."""
        with open(self.path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        reference = os.path.join(HERE, "replay.py")
        return self.run(sys.executable, reference, self.path), self.run(self.program, self.path)

    def differs(self, lines):
        want, got = self.answers(lines)
        return want != got and want[0] in (0, 2)

    def same_kind(self, lines):
        """Differs, and not only because a shortened script no longer runs at all."""
        want, got = self.answers(lines)
        return want != got and want[0] == 0

    def shorten(self, lines):
        """Delta debugging: drops ever smaller runs of lines while the difference stays."""
        test = self.same_kind if self.same_kind(lines) else self.differs
        size = len(lines) // 2
        while size:
            start = 0
            while start < len(lines):
                shorter = lines[:start] + lines[start + size:]
                if shorter and test(shorter):
                    lines = shorter
                else:
                    start += size
            size //= 2
        return lines


def generate(program, seed, lines, profile):
    command = (sys.executable, os.path.join(HERE, program), str(seed), str(lines), profile)
    done = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS)
    return done.stdout.decode().splitlines()


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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replay", default=os.path.join(HERE, "../../build/tally-replay"))
    parser.add_argument("--lines", type=int, default=150)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--acts", action="store_true")
    way.add_argument("--mutate", action="store_true")
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        sys.exit("needs Python 3.11")
    profiles = QUIET_PROFILES if options.mutate else PROFILES
    program = "acts.py" if options.acts else "gen.py"
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        scripts = Scripts(options.replay, folder)
        for seed in range(options.seed, options.seed + options.count):
            lines = generate(program, seed, options.lines, profiles[seed % len(profiles)])
            if options.mutate:
                lines = damage(lines, random.Random(seed))
            if not scripts.differs(lines):
                continue
            failed += 1
            lines = scripts.shorten(lines)
            want, got = scripts.answers(lines)
            print(f"seed {seed}:", *lines, f"CPython {want}", f"tally   {got}", sep="\n")
    print(f"{options.count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
