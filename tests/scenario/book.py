"""The ledger that hosts/ledger keeps in $LEDGER_FILE, readable while the host runs and after it was killed."""
import struct

KINDS = ("node", "leaf", "text")


def read(path):
    with open(path, "rb") as file:
        begun, ended, runs, *rest = struct.unpack("<18Q", file.read(18 * 8))
    book = {"begun": begun, "ended": ended, "runs": runs}
    for number, kind in enumerate(KINDS):
        allocated, by_count, by_cycle, _, _ = rest[5 * number:5 * number + 5]
        book[kind] = {"allocations": allocated, "refcount": by_count, "cycle": by_cycle}
    return book


def off_by(types, book):
    """By how many objects the counters per type differ from the book, in all."""
    seen = {kind: {"allocations": 0, "frees": {"refcount": 0, "cycle": 0}} for kind in KINDS} | types
    return sum(abs(seen[kind]["allocations"] - book[kind]["allocations"]) +
               abs(seen[kind]["frees"]["refcount"] - book[kind]["refcount"]) +
               abs(seen[kind]["frees"]["cycle"] - book[kind]["cycle"]) for kind in KINDS)


def objects(book):
    """Births and deaths: as many events must have been written."""
    return sum(sum(book[kind][column] for column in ("allocations", "refcount", "cycle")) for kind in KINDS)
