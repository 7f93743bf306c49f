#!/usr/bin/env python3
"""Runs tally-bench and its peers in turn, and prints how they compare with the goals.

bench.py --build FOLDER [--pairs N] [--core N] [--only W1,W4,...] [--peers FOLDER]... [--json FILE]

Each row is a figure of tally-bench beside the same figure of a peer: one run of each in turn, N times (default 5),
all on one core, since machines drift. The ratio is the median of the pairs' ratios. What is measured is what is
installed: peers are built from tests/bench/peers with the compilers there are, and a row whose peer is missing says
what it wants. A folder given with --peers may hold heap graphs (*.tgraph.zst, and the dump.py that makes them in
CPython). The table goes to stdout, everything measured to FILE (default FOLDER/bench.json)."""
import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "peers")
UNAVAILABLE = 77

# Peer: (what it wants, the command that builds it into OUT or None, the command that runs it)
NIM = ["nim", "c", "--hints:off", "--warnings:off", "-d:release", "-d:danger"]


def nim(manager):
    return ("nim", NIM + [f"--mm:{manager}", f"-d:PeerName=Nim {manager}", "--nimcache:{out}.cache", "-o:{out}",
                          os.path.join(PEERS, "peer.nim")], ["{out}"])


def c(name, *flags):
    return (name, ["cc", "-O2", "-DPEER_NAME=\"" + name + "\"", "-o", "{out}", os.path.join(PEERS, "peer.c"), *flags],
            ["{out}"])


PROGRAMS = {
    "glibc": c("C glibc"),
    "mimalloc": c("C mimalloc", "-Wl,--no-as-needed", "-lmimalloc"),
    "boehm": c("Boehm", "-DBOEHM", "-lgc"),
    "arc": nim("arc"), "orc": nim("orc"), "marksweep": nim("markAndSweep"),
    "java": ("javac", ["javac", "-d", "{out}.classes", os.path.join(PEERS, "Peer.java")],
             ["java", "-XX:+UseSerialGC", "-cp", "{out}.classes", "Peer"]),
    "go": ("go", ["go", "build", "-o", "{out}", os.path.join(PEERS, "peer.go")], ["{out}"]),
    "cpython": ("python3", None, [sys.executable, os.path.join(PEERS, "peer.py")]),
}

# Row: (tally-bench's words, figure, peer, the goal for the ratio). A figure that the peer spells otherwise: a pair.
ROWS = [
    ("w1", "W1 ns/pair", "mimalloc", 1.25), ("w1", "W1 ns/pair", "glibc", 0.5),
    ("--events all w1", "W1 ns/pair", "glibc", 0.7),
    ("w2a 20", "W2 depth20 time", "mimalloc", 1.4), ("w2a 20", "W2 depth20 time", "arc", 0.8),
    ("w2 20", "W2 depth20 time", "arc", 0.8), ("w2a 20", "W2 depth20 peak RSS", "arc", 0.8),
    ("w3", "W3 ns/cycle", "orc", 0.4), ("w3", "W3 ns/cycle", "java", 1.0), ("w3", "W3 peak RSS", "java", 0.05),
    ("w4 1 r", "W4 random 1M ns/obj", "marksweep", 0.25), ("w4 1 r", "W4 random 1M ns/obj", "cpython", 0.15),
    ("w4 10 r", "W4 random 10M ns/obj", "marksweep", 0.25), ("w4 10 r", "W4 random 10M ns/obj", "cpython", 0.15),
    ("w4 1 r root", "W4 random 1M ns/obj", "orc", 0.35), ("w4 1 s", "W4 seq 1M ns/obj", "go", 0.25),
    ("w5", "W5 ns/freed obj", "orc", 0.1), ("w5", "W5 ns/freed obj", "cpython", 0.05),
    ("w6 a", "W6a ops", "glibc", 0.5), ("w6 b", "W6b ops", "glibc", 0.5), ("w6 c", "W6c ops", "glibc", 0.5),
    ("w7", "W7 pair, 1024 objects in turn", "itself", 1.1),
]
MORE_IS_BETTER = {"Mop/s"}


class Run:
    def __init__(self, options):
        self.options = options
        self.program = os.path.join(options.build, "tally-bench")
        self.missing, self.built, self.figures = {}, {}, []

    def command(self, peer):
        """The peer's command, built where it can be; None: something is missing."""
        if peer not in self.built:
            wants, build, run = PROGRAMS[peer]
            out = os.path.join(self.options.build, "peers", peer)
            os.makedirs(os.path.dirname(out), exist_ok=True)
            filled = [word.format(out=out) for word in build or []]
            if filled and (not shutil.which(filled[0]) or subprocess.run(
                    filled, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode):
                self.missing[peer] = wants
                self.built[peer] = None
            else:
                self.built[peer] = [word.format(out=out) for word in run]
        return self.built[peer]

    def once(self, command, words):
        """{(figure, name): value} of one run, on the core that was asked for."""
        process = subprocess.run(command + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 timeout=900, check=False,
                                 preexec_fn=lambda: os.sched_setaffinity(0, {self.options.core}))
        if process.returncode == UNAVAILABLE:
            return {}
        if process.returncode:
            sys.exit(f"bench.py: {' '.join(command + words)}: status {process.returncode}\n{process.stderr[-500:]}")
        lines = [line.split("\t") for line in process.stdout.splitlines() if line.count("\t") == 3]
        return {(figure, name): (float(value), unit) for figure, name, value, unit in lines}

    def pairs(self, ours, theirs):
        """N runs of each in turn: [(our figures, their figures)]."""
        return [(self.once(*ours), self.once(*theirs) if theirs else None) for _ in range(self.options.pairs)]


def picked(figures, figure, ours):
    """The first of that figure; of tally's own, or of a peer's."""
    found = [value for (name, who), value in figures.items() if name == figure and who.startswith("tally") == ours]
    return found[0] if found else None


def report(run, words, figure, peer, goal, pairs):
    values = [(picked(ours, figure, True), picked(theirs if theirs is not None else ours, figure, False))
              for ours, theirs in pairs]
    if any(left is None or right is None for left, right in values):
        return f"{figure:34} {words:18} {peer}: no such figure"
    unit = values[0][0][1]
    ours, theirs = (statistics.median(v[side][0] for v in values) for side in (0, 1))
    ratios = [left[0] / right[0] for left, right in values]
    ratio = statistics.median(ratios)
    reached = ratio >= goal if unit in MORE_IS_BETTER else ratio <= goal
    run.figures.append({"words": words, "figure": figure, "peer": peer, "unit": unit, "tally": ours, "theirs": theirs,
                        "ratio": ratio, "ratios": ratios, "goal": goal, "reached": reached})
    sign = ">=" if unit in MORE_IS_BETTER else "<="
    return (f"{figure:34} {words:18} {ours:9.4g} {unit:6} {peer:10} {theirs:9.4g}  x{ratio:<6.3g} "
            f"({min(ratios):.3g} to {max(ratios):.3g})  {sign} {goal:<5} {'' if reached else 'SHORT'}")


def rows_measure(run, rows):
    for words, peer in dict.fromkeys((row[0], row[2]) for row in rows):
        command = run.command(peer) if peer != "itself" else None
        mine = [row for row in rows if (row[0], row[2]) == (words, peer)]
        if peer != "itself" and not command:
            for row in mine:
                print(f"{row[1]:34} {words:18} would be measured beside {peer}: wants {run.missing[peer]}", flush=True)
            continue
        workload = [word for word in words.split() if word not in ("--events", "all")]
        if peer != "orc" and workload[-1] == "root":
            workload.pop()
        theirs = [word.replace("w2a", "w2") if peer != "itself" else word for word in workload]
        pairs = run.pairs(([run.program], words.split()), (command, theirs) if command else None)
        for row in mine:
            print(report(run, words, row[1], peer, row[3], pairs), flush=True)


def graphs_measure(run):
    """The graphs of the folders: memory and time beside CPython's own on the graphs it makes anew."""
    for folder in run.options.peers:
        for path in sorted(glob.glob(os.path.join(folder, "*.tgraph.zst"))):
            name = os.path.basename(path).split(".")[0]
            theirs = (run.command("cpython"), ["graph", folder, name])
            if not os.path.exists(os.path.join(folder, "dump.py")):
                theirs = None
            pairs = run.pairs(([run.program], ["graph", path]), theirs)
            words = f"graph {name}"
            print(report(run, words, f"graph {name} collect", "cpython", 0.15, pairs), flush=True)
            print(report(run, words, f"graph {name} B/obj", "cpython", 1.0, [(ours, None) for ours, _ in pairs]),
                  flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="")
    parser.add_argument("--peers", action="append", default=[])
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error("--pairs: at least 1")
    run = Run(options)
    only = [word.upper() for word in options.only.split(",") if word]
    rows_measure(run, [row for row in ROWS if not only or row[1].split()[0].rstrip("abcd") in only])
    if not only or "GRAPH" in only:
        graphs_measure(run)
    short = sum(not figure["reached"] for figure in run.figures)
    with open(options.json or os.path.join(options.build, "bench.json"), "w", encoding="utf-8") as file:
        json.dump({"pairs": options.pairs, "missing": run.missing, "rows": run.figures}, file, indent=1)
    print(f"{len(run.figures)} figures, {len(run.figures) - short} reach their goals, {short} fall short")


if __name__ == "__main__":
    main()
