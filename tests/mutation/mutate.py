#!/usr/bin/env python3
"""Changes src/heap in one place at a time and runs the heap's tests: a change that no test notices has survived.

mutate.py COUNT SEED   takes COUNT random places; fails where less than 90 % of the changes are noticed

A change turns a comparison, && or ||, or drops a statement. It is made in a copy of the project, built with the debug
checks and, where those notice nothing, without, and then with AddressSanitizer; one that does not compile is not
counted. A test that fails, crashes, hangs or takes too much memory has noticed it. Each worker (one a processor) has a
copy of its own.

Changes that equivalent.txt lists are passed over: nobody could notice them but by the clock. A line is FILE, a tab,
the source line as it stands (without its indentation), a tab, the change ("< to <=", "dropped"), a tab, and why."""
import concurrent.futures
import glob
import os
import queue
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WANTED = 0.9
MEMORY_BYTES = 8 << 30
ORACLE = "30"  # random scripts
MAKE = {"debug": ["make", "-s", "BUILD=debug", "CPPFLAGS=-DTALLY_DEBUG", "CFLAGS=-O1"],
        "release": ["make", "-s", "BUILD=release"],
        "asan": ["make", "-s", "BUILD=asan", "CFLAGS=-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"]}
TURNS = {"==": ["!="], "!=": ["=="], "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
         "&&": ["||"], "||": ["&&"]}
DECLARES = re.compile(r"(const|static|struct|enum|union|unsigned|u?int\w*|size_t|bool|char|void|long|pthread_\w+|extern|"
                      r"return|goto|case|default|typedef|_Static_assert|break|continue)\b")


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def code_of(text):
    """The text with comments, strings, preprocessor lines blanked; every offset stays."""
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
    text = re.sub(r'"(\\.|[^"\\\n])*"', blank, text)
    return re.sub(r"^#(.*\\\n)*.*$", blank, text, flags=re.M)


def statements(code):
    """(start, end) of each simple statement that stands on lines of its own."""
    for match in re.finditer(r"(?:(?<=[;{}:)])|(?<=else))[ ]*\n[ \t]+([A-Za-z_*(+-][^;{}]*;)", code):
        statement = match[1]
        if not DECLARES.match(statement) and statement.count("(") == statement.count(")"):
            if not re.match(r"(if|for|while|switch|else|do)\b|\(void\)", statement):
                yield match.start(1), match.end(1)


def places():
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, "src/heap/*.[ch]"))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        code = code_of(text)
        name = os.path.relpath(path, ROOT)
        for match in re.finditer(r"(?<= )(==|!=|<=|>=|<|>|&&|\|\|)(?=[ \n])", code):
            found.append((name, match.start(), match.end(), TURNS[match[0]]))
        for start, end in statements(code):
            found.append((name, start, end, [";"]))
    return found


def equivalents():
    with open(os.path.join(ROOT, "tests/mutation/equivalent.txt"), encoding="utf-8") as lines:
        return {tuple(line.rstrip("\n").split("\t")[:3]) for line in lines if line.strip() and line[0] != "#"}


def is_equivalent(known, place, turned):
    name, start, end = place[:3]
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        text = file.read()
    source = text.splitlines()[text.count("\n", 0, start)].strip()
    change = "dropped" if turned == ";" else f"{text[start:end]} to {turned}"
    return (name, source, change) in known


class Copy:
    """A worker's copy of the project, built."""

    def __init__(self, folder):
        self.folder = folder
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        for name in files.decode().split("\0"):
            if name and os.path.isfile(os.path.join(ROOT, name)):
                os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
                shutil.copy2(os.path.join(ROOT, name), os.path.join(folder, name))
        self.tests = [os.path.splitext(os.path.relpath(path, ROOT))[0][len("tests/"):]
                      for path in glob.glob(os.path.join(ROOT, "tests/unit/heap/test_*.c"))]
        self.tests.append("unit/agent/test_parked")
        for path in glob.glob(os.path.join(folder, "tests/replay/*/*.script")):
            with open(path, "rb") as script:
                if re.search(rb"\b\d{5}", script.read()):
                    os.remove(path)  # the large graphs: minutes where debug builds verify them
        self.seconds = {}

    def run(self, command, seconds):
        limit = MEMORY_BYTES if "asan" not in " ".join(command) else resource.RLIM_INFINITY  # its shadow is larger
        process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=lambda:
                                   resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            return False

    def built(self, build):
        """Builds the tests and tally-replay: whether that goes."""
        return self.run(MAKE[build] + ["-j2"] + [f"{build}/{test}" for test in self.tests] + [f"{build}/tally-replay"], 600)

    def notices(self, build, test, seconds):
        return not self.run([f"{build}/{test}"], seconds)

    def replay_notices(self, build):
        """The scripts, then random ones against CPython, with every option of tally-replay."""
        replay = ["--replay", f"{build}/tally-replay"]
        return (not self.run([sys.executable, "tests/replay/run.py", "--jobs", "1", *replay], 120) or
                not self.run([sys.executable, "tests/replay/oracle.py", "--jobs", "1", *replay, ORACLE, "1"], 300))

    def prepare(self):
        """Builds everything, times each test, sorts them so that the quick ones come first."""
        for build in MAKE:
            if not self.built(build):
                sys.exit(f"{build} cannot be built without any change")
            for test in self.tests:
                start = time.monotonic()
                if self.notices(build, test, 600):
                    sys.exit(f"{build}/{test} fails without any change")
                self.seconds[build, test] = time.monotonic() - start
            if self.replay_notices(build):
                sys.exit("the replay scripts fail without any change")
        self.tests.sort(key=lambda test: self.seconds["debug", test])

    def twin(self, folder):
        """Another copy, as well prepared."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = object.__new__(Copy)
        other.folder, other.tests, other.seconds = folder, self.tests, self.seconds
        return other

    def noticed_by(self):
        """The name of what noticed the change; None: nothing; False: it does not compile."""
        if not self.run(MAKE["debug"] + ["debug/libtally.a"], 300):
            return False
        for build in MAKE:
            if not self.built(build):
                return build
            for test in self.tests:
                if self.notices(build, test, 5 + 5 * self.seconds[build, test]):
                    return f"{build}/{test}"
            if self.replay_notices(build):
                return f"{build}/replay"
        return None

    def judge(self, name, start, end, turned):
        path = os.path.join(self.folder, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text[:start] + turned + text[end:])
        noticed = self.noticed_by()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        line = text.count("\n", 0, start) + 1
        source = text.splitlines()[line - 1].strip()
        return f"{name}:{line}: {text[start:end].strip()!r} to {turned!r} in: {source}", noticed


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    chooser = random.Random(seed)
    found = places()
    known = equivalents()
    turned = [(place, chooser.choice(place[3])) for place in chooser.sample(found, min(count, len(found)))]
    chosen = [change for change in turned if not is_equivalent(known, *change)]
    workers = os.cpu_count() or 1
    idle = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="tally-mutation-") as scratch:
        first = Copy(os.path.join(scratch, "0"))
        first.prepare()
        idle.put(first)
        for i in range(1, workers):
            idle.put(first.twin(os.path.join(scratch, str(i))))
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:

            def judge(change):
                copy = idle.get()
                try:
                    return copy.judge(*change[0][:3], change[1])
                finally:
                    idle.put(copy)

            killed = counted = 0
            for number, (what, noticed) in enumerate(pool.map(judge, chosen), 1):
                counted += noticed is not False
                killed += bool(noticed)
                if noticed is None:
                    print(f"SURVIVED {what}", flush=True)
                print(f"{number} of {len(chosen)}: {killed} of {counted} noticed, {noticed}", file=sys.stderr, flush=True)
    share = killed / counted if counted else 0
    print(f"{killed} of {counted} changes noticed, {100 * share:.1f} %; {len(chosen) - counted} did not compile, "
          f"{len(turned) - len(chosen)} are known to change nothing; {len(found)} places, seed {seed}")
    sys.exit(share < WANTED)


if __name__ == "__main__":
    main()
