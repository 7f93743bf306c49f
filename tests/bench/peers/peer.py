"""The workloads of tally-bench in CPython: w3, w4 M r|s [root], w5, and graph FOLDER NAME, with the folder's dump.py."""
import gc
import importlib.util
import os
import platform
import statistics
import sys
import time

NAME = "CPython " + ".".join(platform.python_version_tuple()[:2])


class Node:
    __slots__ = ("a", "b", "x", "y")

    def __init__(self, number):
        self.a = self.b = None
        self.x = self.y = number


state = 12345


def random_next():
    global state
    state = (state * 1103515245 + 12345) & 0xffffffff
    return state >> 1


def put(figure, value, unit):
    print(f"{figure}\t{NAME}\t{value:.6g}\t{unit}", flush=True)


def collect():
    start = time.perf_counter_ns()
    gc.collect()
    return time.perf_counter_ns() - start


def cycles():
    start = time.perf_counter_ns()
    for number in range(1_000_000):
        one, other = Node(number), Node(number)
        one.a, other.a = other, one
    put("W3 ns/cycle", (time.perf_counter_ns() - start) / 1e6, "ns")


def reached_from(one):
    """How many objects it holds, itself included; each is marked by its y."""
    reached, waiting = 0, [one]
    one.y = None
    while waiting:
        node = waiting.pop()
        reached += 1
        for end in (node.a, node.b):
            if end.y is not None:
                end.y = None
                waiting.append(end)
    return reached


def live(millions, order, root=None):
    gc.disable()
    size = millions * 1_000_000
    nodes = [Node(number) for number in range(size)]
    for i, node in enumerate(nodes):
        node.a = nodes[random_next() % size if order == "r" else (i + 1) % size]
        node.b = nodes[random_next() % size if order == "r" else (i + 2) % size]
    if root:
        nodes, node = nodes[:1], None
        size = reached_from(nodes[0])
    gc.collect()
    put(f"W4 {'random' if order == 'r' else 'seq'} {millions}M ns/obj", collect() / size, "ns")


def dead():
    gc.disable()
    size = 1_000_000
    nodes, order = [Node(number) for number in range(size)], list(range(size))
    for i in range(size - 1, 0, -1):
        j = random_next() % (i + 1)
        order[i], order[j] = order[j], order[i]
    for i in range(size):
        node = nodes[order[i]]
        node.a, node.b = nodes[order[(i + 1) % size]], nodes[random_next() % size]
    del order, node
    gc.collect()
    start = time.perf_counter_ns()
    del nodes
    gc.collect()
    put("W5 ns/freed obj", (time.perf_counter_ns() - start) / size, "ns")


def graph(folder, name):
    """The graph that NAME.tgraph is a dump of, made anew; what was there before is frozen."""
    spec = importlib.util.spec_from_file_location("dump", os.path.join(folder, "dump.py"))
    dump = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dump)
    gc.collect()
    if name != "modules":
        gc.freeze()
    held = getattr(dump, "build_" + name)()
    gc.collect()
    tracked = len(gc.get_objects())
    times = [collect() for _ in range(5)]
    put(f"graph {name} collect", statistics.median(times) / 1e6, "ms")
    put(f"graph {name} ns/tracked", statistics.median(times) / tracked, "ns")
    del held


WORKLOADS = {"w3": cycles, "w5": dead, "graph": graph,
             "w4": lambda millions, *words: live(int(millions), *words)}
if sys.argv[1] not in WORKLOADS:
    sys.exit(77)
WORKLOADS[sys.argv[1]](*sys.argv[2:])
sys.stdout.flush()
os._exit(0)
