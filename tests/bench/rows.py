"""What is compared: a row for each figure of tally-bench that has a goal, or that is good to know."""
from typing import NamedTuple

SECOND_C = "mal c.2"


class Row(NamedTuple):
    """words    what tally-bench is run with
    figure   the figure that is looked at
    beside   who the ratio is to: peers (PROGRAMS of peers.py), of several the best one;
             "itself", a line for plain C that the same run prints; "tally WORDS", tally-bench run with those;
             "" nobody: the goal is an absolute one
    goal     the most that the ratio, or the figure, may be; the least, where more is better; None: none is set
    theirs   what the peers are run with, where it is not the same words"""
    words: str
    figure: str
    beside: str = ""
    goal: float | None = None
    theirs: str | None = None


MORE_IS_BETTER = {"Mop/s", "iterations", "req/s"} # units
WORST_COUNTS = "longest slice"           # none may be longer, in no round
COLLECTORS = "marksweep go boehm cpython java"
ROOT_COLLECTORS = "orc marksweep go boehm cpython java"

ROWS = {
    # Allocate and release. heaptrack takes so long that it is given a tenth of the pairs; the process that takes
    # in what it records runs on the same core.
    "W1": [
        Row("w1", "W1 ns/pair", "mimalloc", 1.25), Row("w1", "W1 ns/pair", "glibc", 0.5),
        Row("--events all w1", "W1 ns/pair", "tally w1", 1.5), Row("--events all w1", "W1 ns/pair", "glibc", 0.7),
        Row("--events all w1", "W1 ns/pair", "heaptrack", 0.02, "w1 5000000"),
    ],
    "W2": [
        Row("w2a 20", "W2 depth20 time", "mimalloc", 1.4), Row("w2a 20", "W2 depth20 time", "arc", 0.8),
        Row("w2a 20", "W2 depth20 peak RSS", "arc", 0.8), Row("w2 20", "W2 depth20 time", "arc", 0.8),
    ],
    "W3": [
        Row("w3", "W3 ns/cycle", "orc", 0.4), Row("w3", "W3 ns/cycle", "java", 1.0),
        Row("w3", "W3 peak RSS", "java", 0.05),
    ],
    # A full collection that frees nothing, beside the fastest of the peers; and the one after it, which has
    # nothing to look at.
    "W4": [
        Row("w4 1 r", "W4 random 1M ns/obj", COLLECTORS, 0.25), Row("w4 1 r", "W4 random 1M ns/obj", "cpython", 0.15),
        Row("w4 1 r", "W4 random 1M collect", "", 10),
        Row("w4 10 r", "W4 random 10M ns/obj", COLLECTORS, 0.25),
        Row("w4 10 r", "W4 random 10M ns/obj", "cpython", 0.15), Row("w4 10 r", "W4 random 10M collect", "", 10),
        Row("w4 1 r root", "W4 random 1M ns/obj", ROOT_COLLECTORS, 0.35),
        Row("w4 10 r root", "W4 random 10M ns/obj", ROOT_COLLECTORS, 0.35),
        Row("w4 1 s", "W4 seq 1M ns/obj", "go", 0.25),
    ],
    "W5": [Row("w5", "W5 ns/freed obj", "orc", 0.1), Row("w5", "W5 ns/freed obj", "cpython", 0.05)],
    # Churn beside 5 million live objects. Slices are measured by the thread's CPU time; gaps between steps by the
    # clock on the wall, which other programs make longer as well: they stand beside C's, without a goal. Under a
    # budget of 1 ms, p99.9 of the slices keeps to it if at most 0.1 % miss it.
    "W6": [row for v in "abc" for row in (
        Row(f"w6 {v}", f"W6{v} ops", "glibc", 0.5), Row(f"w6 {v}", f"W6{v} longest slice", "", 20),
        Row(f"w6 {v}", f"W6{v} peak RSS / live", "", 1.5))] + [row for v in "abcd" for row in (
        Row(f"--max-pause 1000 w6 {v}", f"W6{v} missed share", "", 0.1),
        Row(f"--max-pause 1000 w6 {v}", f"W6{v} longest slice", "", 3),
        Row(f"--max-pause 1000 w6 {v}", f"W6{v} p99.99 gap", "glibc"))],
    "W7": [Row("w7", "W7 pair, 1024 objects in turn", "itself", 1.1), Row("w7", "W7 first decrement", "", 10)],
    # Bytes of header, and what else lies beside an object: bitmaps and trial counts of tracked ones, page heads.
    "HEADER": [row for kind in ("atomic", "tracked") for row in (
        Row("header", f"HEADER B/obj, {kind}", "", 8), Row("header", f"HEADER beside B/obj, {kind}"))],
    # What an event costs its writer, beside a bare ring; and tallyd, beside a loop that keeps the same tables.
    "STREAM": [
        Row("stream", "STREAM write one event", "itself", 2.0), Row("stream", "STREAM write one event, 4 MiB"),
        Row("stream", "STREAM write one event, reader on another core"),
        Row("stream", "STREAM write one event, reader on the same core"),
    ],
    "INGEST": [Row("ingest", f"INGEST {live} live", "itself", 1.43) for live in ("1024", "5M")],
    # A tallyd of its own: many programs, one that writes much, and its troubles.
    "DAEMON": [
        Row("attach 1000", "ATTACH all, wall time", "", 5000), Row("attach 1000", "ATTACH all, tallyd's CPU", "", 100),
        Row("attach 1000", "ATTACH idle, tallyd's CPU", "", 2), Row("attach 1000", "ATTACH private memory a process", "", 64),
        Row("daemon", "DAEMON CPU at 1 M events/s", "", 1), Row("daemon", "DAEMON CPU at 5 M events/s"),
        Row("daemon", "DAEMON lost at 1 M events/s, from 2 s on", "", 0),
        Row("daemon", "DAEMON lost at 5 M events/s, from 2 s on", "", 0),
        Row("daemon", "DAEMON pair, attached"),
        Row("daemon", "DAEMON pair, daemon stopped", "itself", 1.05), Row("daemon", "DAEMON pair, daemon dead", "itself", 1.05),
        Row("daemon", "DAEMON memory grown by its troubles", "", 0),
    ],
    # An hour of 1,000 programs, 50 of them busy, beside bare SQLite; a month of one series out of ten million rows.
    "HISTORY": [
        Row("history 50 1", "HISTORY insert / bare", "", 1.3), Row("history 50 1", "HISTORY day bytes/row", "", 50),
        Row("history 50 1", "HISTORY month query", "", 20),
    ],
    # The API: a busy process's figures, and what is not modified, beside a bare libmicrohttpd with a constant of 2 KiB;
    # an answer that is kept beside the same answer, reused by a server that checks nothing. Then 1,000 processes: the
    # page of metrics, their list, and what another request waits beside it.
    "HTTP": [
        Row("http", "HTTP stats", "itself", 0.9), Row("http", "HTTP stats p99", "itself", 2.0),
        Row("http", "HTTP 304", "itself", 1.0), Row("http", "HTTP all checks", "itself", 0.95),
    ],
    "FLEET": [
        Row("fleet", "FLEET metrics, 1,000 processes", "", 200), Row("fleet", "FLEET series a process", "", 40),
        Row("fleet", "FLEET list of 1,000 rows", "", 1000), Row("fleet", "FLEET another request p99", "", 1000),
    ],
    "SSE": [
        Row("sse", "SSE CPU of 64 streams", "", 1), Row("sse", "SSE CPU of 64 streams", "itself"),
        Row("sse", "SSE delay p99", "", 2000), Row("sse", "SSE delay p99", "itself"),
    ],
    "COLLECT": [row for host in ("allocating", "parked", "notified") for row in (
        Row("collect", f"COLLECT beyond its pause p99, {host}", "", 5), Row("collect", f"COLLECT beyond its pause median, {host}"))],
    # A clone's pause beside a plain fork of the same process, and the longest slice where max_pause is 1 ms.
    "SNAPSHOT": [row for mb in (100, 1000) for row in (
        Row(f"snapshot {mb}", f"SNAPSHOT {mb} MB pause", "itself", 1.25), Row(f"snapshot {mb}", f"SNAPSHOT {mb} MB worst slice", "", 1.5),
        Row(f"snapshot {mb}", f"SNAPSHOT {mb} MB child"), Row(f"snapshot {mb}", f"SNAPSHOT {mb} MB stream"))],
    # The same work under each manager. Under none and refcount what is in cycles is not freed, under none nothing.
    "MANAGERS": [Row(f"--manager {manager} {words}", figure)
                 for words, figure, managers in (
                     ("w1", "W1 ns/pair", "refcount generational cycle full"),
                     ("w2a 20", "W2 depth20 time", "refcount generational cycle full"),
                     ("w3", "W3 ns/cycle", "generational cycle full"))
                 for manager in managers.split()],
}

# A program of real size: see mal.py. Memory is the most that the process ever had.
MAL_ROWS = [row for program, figure, goal in (
    ("fib", "fib(25)", 0.667), ("perf3", "perf3 10 s", 1.5), ("self-hosted fib", "fib(18), self-hosted", 0.667),
    ("self-hosted perf3", "perf3 10 s, self-hosted", 1.5)) for row in (
        Row(program, f"MAL {figure}", SECOND_C, goal), Row(program, f"MAL {figure}, peak RSS", SECOND_C, 1.0))]


def graph_rows(name):
    """For a heap graph: the time beside CPython's own on the same graph, the memory beside what it takes there."""
    return [Row(f"graph {name}", f"graph {name} collect", "cpython", 0.15),
            Row(f"graph {name}", f"graph {name} B/obj", "itself", 1.0)]
