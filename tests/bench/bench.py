#!/usr/bin/env python3
"""Runs tally-bench and its peers in turn, and prints how they compare with the goals.

bench.py --build FOLDER [--pairs N] [--core N] [--only W1,W4,...] [--peers FOLDER]... [--json FILE]

Each row is a figure of tally-bench beside the same figure of a peer: a run of each in turn, N times (default 5),
all on one core, since machines drift. The ratio is the median of the rounds' ratios; behind it stand the least and
the greatest of them. A row whose figure stands for itself shows those of the figure. Of several peers the best one
is taken, by its median. A longest slice is held against its goal in the worst round. What is compared stands in
rows.py.

What is measured is what is installed: peers are built from tests/bench/peers with the compilers there are, and a
row whose peer is missing says which Debian package it wants. A folder given with --peers holds heap graphs
(*.tgraph.zst, and the dump.py that makes them in CPython) or is a checkout of kanaka/mal. The table goes to stdout,
everything measured to FILE (default FOLDER/bench.json)."""
import argparse
import glob
import json
import os
import statistics

from mal import is_checkout, mal_measure
from peers import Machine
from rows import MORE_IS_BETTER, ROWS, WORST_COUNTS, graph_rows

GROUPS = [*ROWS, "GRAPH", "MAL"]


def picked(figures, figure, ours):
    """The first of that figure, (value, unit, whose); of tally's own, or of a peer's."""
    found = [(*value, who) for (name, who), value in figures.items()
             if name == figure and who.startswith("tally") == ours]
    return found[0] if found else None


def series(rounds, figure, ours):
    """That figure in each round, without its unit; None: a round has none."""
    values = [picked(figures, figure, ours) for figures in rounds]
    return None if None in values else [value for value, _, _ in values]


def amount(values):
    return f"{statistics.median(values):9.4g}"


def spread(values):
    return f"({min(values):.3g} to {max(values):.3g})"


class Bench:
    """Measures rows, prints each, and keeps what was measured."""

    def __init__(self, machine, pairs):
        self.machine, self.pairs, self.measured = machine, pairs, []

    def line(self, row, text):
        print(f"{row.figure:38} {row.words:25} {text}".rstrip(), flush=True)

    def not_measured(self, rows, why):
        for row in rows:
            self.line(row, f"not measured: {why}")

    def best(self, row, results):
        """Of those a row is beside: (name, figure in each round) of the best; None: no figure of any."""
        if row.beside == "itself":
            line = picked(results[""][0], row.figure, False)
            found = {line and line[2]: series(results[""], row.figure, False)}
        elif row.beside.startswith("tally "):
            found = {row.beside: series(results[row.beside], row.figure, True)}
        else:
            names = [row.beside] if row.beside in results else row.beside.split()
            found = {name: series(results[name], row.figure, False) for name in names if name in results}
        found = {name: values for name, values in found.items() if values}
        choose = max if self.more(row, results) else min
        return choose(found.items(), key=lambda item: statistics.median(item[1])) if found else None

    def more(self, row, results):
        value = picked(results[""][0], row.figure, True)
        return value is not None and value[1] in MORE_IS_BETTER

    def report(self, row, results):
        """Prints one row of what the rounds gave, {who: figures of each round}; ours is ""."""
        ours, best = series(results[""], row.figure, True), self.best(row, results) if row.beside else None
        if not ours or (row.beside and not best):
            self.line(row, f"no such figure {'beside ' + row.beside if ours else ''}")
            return
        unit = picked(results[""][0], row.figure, True)[1]
        text, judged, name, theirs = f"{amount(ours)} {unit:10}", ours, None, None
        if best:
            name, theirs = best
            judged = [left / right if right else float("inf") for left, right in zip(ours, theirs)]
            text += f" {name:14} {amount(theirs)}  x{statistics.median(judged):<7.3g}"
        more = self.more(row, results)
        middle = statistics.median(judged)
        decides = max(judged) if row.figure.endswith(WORST_COUNTS) else middle
        reached = row.goal is None or (decides >= row.goal if more else decides <= row.goal)
        text += f" {spread(judged):20}"
        if row.goal is not None:
            text += f" {'>=' if more else '<='} {row.goal:<5g} {'' if reached else 'SHORT'}"
        self.line(row, text)
        self.measured.append({**row._asdict(), "unit": unit, "tally": statistics.median(ours), "tally_rounds": ours,
                              "peer": name, "peer_rounds": theirs, "ratio": middle if best else None,
                              "ratios": judged if best else None, "reached": reached})

    def rows(self, rows, commands):
        """Runs the commands in turn, {who: a function that gives figures}, and reports the rows from that."""
        results = {who: [] for who in commands}
        for _ in range(self.pairs):
            for who, command in commands.items():
                results[who].append(command())
        for row in rows:
            self.report(row, results)

    def tally(self, words):
        return lambda: self.machine.figures([os.path.join(self.machine.build, "tally-bench"), *words.split()])

    def peer(self, command, words):
        """A peer knows no options, and one kind of trees."""
        words = words.replace("w2a", "w2").split()
        while words[0].startswith("--"):
            del words[:2]
        return lambda: self.machine.figures(command + words)

    def table(self, rows):
        """Rows of tally-bench: those of the same words share their runs."""
        for words in dict.fromkeys(row.words for row in rows):
            mine, commands = [row for row in rows if row.words == words], {"": self.tally(words)}
            wanting = []
            for row in mine:
                if row.beside.startswith("tally "):
                    commands[row.beside] = self.tally(row.beside.removeprefix("tally "))
                    continue
                peers = [] if row.beside in ("", "itself") else row.beside.split()
                for peer in peers:
                    command = self.machine.command(peer)
                    if command:
                        commands[peer] = self.peer(command, row.theirs or words)
                if peers and not any(peer in commands for peer in peers):
                    wanting.append(row)
            if len(wanting) < len(mine):
                self.rows([row for row in mine if row not in wanting], commands)
            for row in wanting:
                self.not_measured([row], ", ".join(f"{peer} wants {self.machine.missing[peer]}"
                                                   for peer in row.beside.split()))

    def graphs(self, folders):
        """The graphs of the folders; CPython makes each anew, where its dump.py is there."""
        if not any(graphs_of(folder) for folder in folders):
            self.not_measured(graph_rows("NAME"), "wants --peers with a folder of heap graphs")
        for folder in folders:
            for path in graphs_of(folder):
                name = os.path.basename(path).split(".")[0]
                commands = {"": lambda path=path: self.machine.figures(
                    [os.path.join(self.machine.build, "tally-bench"), "graph", path])}
                if os.path.exists(os.path.join(folder, "dump.py")):
                    commands["cpython"] = self.peer(self.machine.command("cpython"), f"graph {folder} {name}")
                self.rows(graph_rows(name), commands)


def graphs_of(folder):
    return sorted(glob.glob(os.path.join(folder, "*.tgraph.zst")))


def options_read():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help=", ".join(GROUPS))
    parser.add_argument("--peers", action="append", default=[])
    parser.add_argument("--json")
    options = parser.parse_args()
    options.only = [word.upper() for word in options.only.split(",") if word] or GROUPS
    if options.pairs < 1:
        parser.error("--pairs: at least 1")
    if options.core not in os.sched_getaffinity(0):
        parser.error(f"--core: {options.core} is none that we may run on")
    if not os.access(os.path.join(options.build, "tally-bench"), os.X_OK):
        parser.error(f"--build: there is no tally-bench in {options.build}")
    for word in options.only:
        if word not in GROUPS:
            parser.error(f"--only: there is no {word}; there are {', '.join(GROUPS)}")
    for folder in options.peers:
        if not os.path.isdir(folder):
            parser.error(f"--peers: {folder} is no folder")
        if not is_checkout(folder) and not graphs_of(folder):
            parser.error(f"--peers: {folder} holds no heap graphs (*.tgraph.zst), nor mal's impls/c.2")
    return options


def main():
    options = options_read()
    bench = Bench(Machine(options.build, options.core), options.pairs)
    for group in GROUPS:
        if group not in options.only:
            continue
        if group == "GRAPH":
            bench.graphs(options.peers)
        elif group == "MAL":
            mal_measure(bench, [folder for folder in options.peers if is_checkout(folder)])
        else:
            bench.table(ROWS[group])
    for peer, wants in bench.machine.missing.items():
        print(f"without {peer}: wants {wants}")
    with_goal = [figure for figure in bench.measured if figure["goal"] is not None]
    short = sum(not figure["reached"] for figure in with_goal)
    with open(options.json or os.path.join(options.build, "bench.json"), "w", encoding="utf-8") as file:
        json.dump({"pairs": options.pairs, "missing": bench.machine.missing, "rows": bench.measured}, file, indent=1)
    print(f"{len(with_goal)} figures with a goal, {len(with_goal) - short} reach it, {short} fall short")


if __name__ == "__main__":
    main()
