"""tally-bench as a program: each workload prints its figures, and wrong input is named. Speed is not looked at."""
import json
import os
import struct
import subprocess
import sys

from harness import SLOWER, Scenario, program

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")

OBJECTS = [(56, 1, [1, 1]), (72, 1, [2, 0]), (64, 0, [3]), (28, 0, []), (56, 1, [4])]  # size, tracked, edges


def tgraph(objects=OBJECTS, magic=b"TLYGRAF1", types=(b"a.b",)):
    edges = [(target - i) % 2**32 for i, (_, _, targets) in enumerate(objects) for target in targets]
    return b"".join([magic, struct.pack("<IIII", len(objects), len(edges), len(types), 0),
                     *(struct.pack("<H", len(name)) + name for name in types),
                     struct.pack(f"<{len(objects)}H", *[0] * len(objects)),
                     struct.pack(f"<{len(objects)}I", *(size for size, _, _ in objects)),
                     bytes(tracked for _, tracked, _ in objects),
                     struct.pack(f"<{len(objects)}I", *(len(targets) for _, _, targets in objects)),
                     struct.pack(f"<{len(edges)}I", *edges)])


def zstd(data, size=None):
    """A frame of one raw block (RFC 8878), which says its content size."""
    size = len(data) if size is None else size
    return (struct.pack("<IBI", 0xfd2fb528, 0xa0, size) + struct.pack("<I", len(data) << 3 | 1)[:3] + data)


class Bench(Scenario):
    def bench(self, *words):
        """A workload leaves its heap to the end of the process: no leak is looked for."""
        return subprocess.run([program("tally-bench"), *words], capture_output=True, text=True, timeout=300 * SLOWER,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})

    def figures(self, *words):
        done = self.bench(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        self.assertTrue(lines and all(len(line) == 4 for line in lines), done.stdout)
        for _, _, value, _ in lines:
            self.assertGreaterEqual(float(value), 0)
        return {(figure, name): float(value) for figure, name, value, _ in lines}

    def file(self, data):
        path = os.path.join(self.dir, "some.tgraph.zst")
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_workloads_print_their_figures(self):
        for words, figure in ((["w1", "100000"], "W1 ns/pair"), (["w2", "8"], "W2 depth8 time"), (["w2a", "8"], "W2 depth8 time"),
                              (["w3"], "W3 ns/cycle"), (["w4", "1", "r"], "W4 random 1M ns/obj"),
                              (["w4", "1", "s", "root"], "W4 seq 1M ns/obj"), (["w5"], "W5 ns/freed obj"),
                              (["w7"], "W7 first decrement"), (["memory", "0.1"], "memory RSS, trimmed"),
                              (["header"], "HEADER B/obj, tracked"), (["snapshot", "4"], "SNAPSHOT 4 MB pause")):
            self.assertTrue(any(name == figure for name, _ in self.figures(*words)), words)

    def test_a_header_is_of_eight_bytes(self):
        figures = self.figures("header")
        for kind in ("atomic", "tracked"):
            self.assertEqual(figures[f"HEADER B/obj, {kind}", "tally cycle"], 8)

    def test_options_are_in_the_name(self):
        for options, name in (([], "tally cycle"), (["--manager", "full"], "tally full"),
                              (["--events", "all"], "tally cycle, all events"),
                              (["--max-pause", "1500"], "tally cycle, max pause 1.5 ms")):
            self.assertIn(("W2 depth6 time", name), self.figures(*options, "w2", "6"))

    def test_pauses_of_each_variant(self):
        for variant in "abcd":
            figures = self.figures("--max-pause", "1000", "w6", variant, "0.2")
            self.assertIn((f"W6{variant} ops", "tally cycle, max pause 1 ms"), figures)

    def test_graphs_compressed_or_not(self):
        for data in (tgraph(), zstd(tgraph())):
            figures = self.figures("graph", self.file(data))
            self.assertEqual(figures["graph some collected", "tally cycle"], 3)  # 0 and 1 as a cycle, 4 as another
            self.assertAlmostEqual(figures["graph some B/obj", "CPython 3.11"], (56 + 72 + 64 + 28 + 56) / 5, 3)

    def test_wrong_graphs_are_named(self):
        for data, sentence in (
                (b"", "cut short"), (b"TLYGRAF2" + b"\0" * 40, "not a .tgraph file"), (tgraph()[:-1], "cut short"),
                (tgraph([]), "no objects"), (tgraph([(56, 1, [1])]), "refers to one that is not there"),
                (tgraph().replace(struct.pack("<I", 2) + struct.pack("<I", 2), struct.pack("<I", 2) + struct.pack("<I", 1), 1),
                 "degrees"), (zstd(tgraph(), 2**32 - 1), "frame"), (zstd(tgraph())[:-5], "frame"),
                (zstd(tgraph(), 1), "frame")):
            done = self.bench("graph", self.file(data))
            self.assertEqual((done.returncode, done.stdout), (1, ""), (data[:20], done))
            self.assertIn("tally-bench: ", done.stderr)
        done = self.bench("graph", os.path.join(self.dir, "none"))
        self.assertEqual((done.returncode, "cannot be opened" in done.stderr), (1, True), done)

    def test_wrong_words_are_named(self):
        for words in ([], ["w9"], ["w1", "x"], ["w1", "0"], ["header", "1"], ["w2"], ["w2", "3"], ["w2", "nan"], ["w2", "25"], ["w4", "1"],
                      ["w4", "0", "r"], ["w4", "1", "q"], ["w4", "1", "r", "roots"], ["w6"], ["w6", "e"], ["w6", "ab"],
                      ["w6", "a", "0"], ["w6", "a", "1s"], ["graph"], ["http", "x"], ["fleet", "x"], ["sse", "1"], ["collect", "1"], ["memory", "-1"], ["--manager", "x", "w3"],
                      ["--events", "some", "w3"], ["--max-pause", "-1", "w3"], ["--max-pause", "10000001", "w3"],
                      ["--nothing", "w3"], ["--manager"]):
            done = self.bench(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertIn("usage: tally-bench", done.stderr)


class Table(Scenario):
    """bench.py, beside no peer at all: PATH holds no compiler."""

    def table(self, *words, path=None):
        return subprocess.run([sys.executable, os.path.join(ROOT, "tests/bench/bench.py"), "--build",
                               os.path.dirname(program("tally-bench")), "--pairs", "1", "--json",
                               os.path.join(self.dir, "bench.json"), *words],
                              capture_output=True, text=True, timeout=300 * SLOWER,
                              env={**os.environ, "PATH": path or os.environ["PATH"]})

    def test_rows_without_peers_say_what_they_want(self):
        done = self.table("--only", "W5,HEADER", path=self.dir)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not measured: orc wants nim", done.stdout)
        self.assertRegex(done.stdout, r"HEADER B/obj, tracked +header +8 B +\(8 to 8\) +<= 8\n")
        with open(os.path.join(self.dir, "bench.json"), encoding="utf-8") as file:
            self.assertTrue(json.load(file))

    def test_wrong_words_are_named(self):
        for words, sentence in ((["--only", "W9"], "there is no W9"), (["--pairs", "0"], "--pairs"),
                                (["--peers", os.path.join(self.dir, "none")], "is no folder"),
                                (["--peers", self.dir], "holds no heap graphs")):
            done = self.table(*words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done)
            self.assertIn(sentence, done.stderr)
