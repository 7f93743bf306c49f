#!/usr/bin/env python3
"""Holds the branch coverage of src/heap against 100 %, but for the exceptions that exceptions.txt lists.

coverage.py BUILD...   BUILDs were made with --coverage and have run the suite; their counts are added up.

A line of exceptions.txt is FILE, a tab, the source line as it stands (without its indentation), a tab, how many of its
branches are never taken, a tab, and why not. A missing branch that is not listed, and a listed one that is taken or
gone, are errors."""
import collections
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDER = "src/heap/"


def counts(build):
    output = subprocess.run(["gcovr", "--root", ROOT, "--object-directory", build, "--filter", FOLDER, "--json",
                             "--exclude-unreachable-branches", os.path.join(build, "obj/heap")],
                            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT).stdout
    return {(file["file"], line["line_number"]): [branch["count"] for branch in line["branches"]]
            for file in json.loads(output)["files"] for line in file["lines"] if line["branches"]}


def merged(builds):
    """Of a line that two builds compile to different branches, the one with fewer untaken counts."""
    total = {}
    for build in builds:
        for key, branches in counts(build).items():
            known = total.get(key)
            if known and len(known) == len(branches):
                total[key] = [a + b for a, b in zip(known, branches)]
            elif not known or branches.count(0) < known.count(0):
                total[key] = branches
    return total


def exceptions():
    listed = {}
    with open(os.path.join(HERE, "exceptions.txt"), encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                file, source, count, why = line.rstrip("\n").split("\t")
                listed[file, source] = (int(count), why)
    return listed


def main():
    if not shutil.which("gcovr"):
        sys.exit("coverage.py: gcovr is not installed (Debian: gcovr)")
    total = merged(sys.argv[1:])
    missing, places = collections.Counter(), {}
    for (file, number), branches in sorted(total.items()):
        with open(os.path.join(ROOT, file), encoding="utf-8") as lines:
            source = lines.read().splitlines()[number - 1].strip()
        if branches.count(0):
            missing[file, source] += branches.count(0)
            places.setdefault((file, source), f"{file}:{number}")
    listed = exceptions()
    wrong = [f"{places[key]}: {count - listed.get(key, (0, ''))[0]} of its branches never taken: {key[1]}"
             for key, count in missing.items() if count > listed.get(key, (0, ""))[0]]
    wrong += [f"exceptions.txt: {count - missing[key]} listed that are taken or gone: {key[0]}: {key[1]}"
              for key, (count, _) in listed.items() if count > missing[key]]
    print("\n".join(wrong))
    branches = sum(len(b) for b in total.values())
    taken = branches - sum(missing.values())
    print(f"{taken} of {branches} branches of {FOLDER} taken, {sum(missing.values())} not, "
          f"of which {sum(count for count, _ in listed.values())} are listed; {len(wrong)} errors")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
