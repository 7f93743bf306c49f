#!/usr/bin/env python3
"""Every script against its expected output, byte for byte, in every mode whose output must be the same: scripts
that leave automatic collection off under each manager that frees cycles, searched and verified, and in slices.

    run.py --replay PROGRAM [--jobs N] [FOLDER...]      public/ and edges/ if none is given

Compares standard output, standard error (NAME.error, or nothing) and the exit status (2 with an error,
else 0). Scripts named in pending.txt are expected to fail: one that passes is a failure too, so that the
list stays true.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 120 * float(os.environ.get("TALLY_TEST_SLOWER", 1))  # see tests/run.py


def read(path):
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def difference(want, got):
    """The first line that differs, in words."""
    want_lines, got_lines = want.split(b"\n"), got.split(b"\n")
    for number, (a, b) in enumerate(zip(want_lines, got_lines), 1):
        if a != b:
            return f"line {number} is {b[:200]!r}, not {a[:200]!r}"
    return f"{len(got_lines) - 1} lines, not {len(want_lines) - 1}"


MODES = (("generational",), ("generational", "--stress", "5"), ("generational", "--max-pause", "1"),
         ("cycle",), ("cycle", "--stress", "5"), ("cycle", "--max-pause", "1"),
         ("full",), ("full", "--max-pause", "1"))


def modes_of(path):
    text = read(path)
    if b"enable" in text.replace(b"isenabled", b"").replace(b"disable", b"") or b"threshold" in text:
        return MODES[:1]
    if len(text) and max((int(n) for n in re.findall(rb"\b\d{5,7}\b", text)), default=0) > 100000:
        return MODES[0:1] + MODES[3:4] + MODES[6:7]      # a search a command would take minutes
    return MODES


def failure(program, path, mode):
    """Why the script does not pass; None: it does."""
    base = path.removesuffix(".script")
    want, error = read(base + ".expected"), read(base + ".error")
    environment = {key: value for key, value in os.environ.items() if key != "TALLY_STRESS"}
    try:
        done = subprocess.run([program, "--manager", *mode, path], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS,
                              env=environment)
    except subprocess.TimeoutExpired:
        return f"not done in {SECONDS:.0f} s"
    if done.stdout != want:
        return "output: " + difference(want, done.stdout)
    if done.stderr != error:
        return "standard error: " + difference(error, done.stderr)
    status = 2 if error else 0
    return None if done.returncode == status else f"exit status {done.returncode}, not {status}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replay", required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("folder", nargs="*")
    options = parser.parse_args()
    with open(os.path.join(HERE, "pending.txt"), encoding="utf-8") as file:
        pending = {line.strip() for line in file if line.strip() and not line.startswith("#")}
    paths = []
    for folder in options.folder or [os.path.join(HERE, name) for name in ("public", "edges")]:
        found = sorted(glob.glob(os.path.join(folder, "*.script")))
        if not found:
            sys.exit(f"no scripts in {folder}")
        paths += found
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = [(path, mode) for path in paths for mode in modes_of(path)]
        reasons = list(pool.map(lambda run: failure(options.replay, *run), runs))
    failed = 0
    for (path, mode), reason in zip(runs, reasons):
        name = os.path.basename(path).removesuffix(".script")
        if name in pending:
            reason = None if reason else "passes, but is listed in pending.txt"
        if reason:
            failed += 1
            print(f"{name}, {' '.join(mode)}: {reason}")
    print(f"{len(runs) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
