#!/usr/bin/env python3
"""A second reader of the feed, written from what the top of src/wire/feed.h says and from nothing else: another
implementation, in another language, must come to the same figures as tallyd. `feed_reader.py PID` shows them.

It opens the memfds of a living process under /proc/PID/fd, by their names, and maps them for reading. Python neither
fences nor loads atomically; on x86 and of a host that rests this is good enough, and the sequence numbers of summary,
records and ring are looked at twice all the same.
"""
import glob
import json
import mmap
import os
import struct
import sys

COUNTERS_MAGIC = int.from_bytes(b"TALY_CT1", "little")
RING_MAGIC = int.from_bytes(b"TALY_RG1", "little")
VERSION = 1
SUMMARY_TRIES = 64
BLOCK_HEADER_WORDS = 3
EVENTS = ("rare", "allocated", "freed_refcount", "freed_cycle")
PAD, CLOCK, COLLECTION_START, COLLECTION_STOP = range(4)
STATES = ("running", "finding_garbage", "running_callbacks", "freeing_garbage", "closed")
LEVELS = ("off", "all")
MANAGERS = (None, "none", "refcount", "generational", "cycle", "full")
REASONS = (None, "threshold", "explicit", "remote", "out_of_memory", "shutdown", "stress")
SCOPES = ("generations", "candidates", "heap")
TRACKED, VARIABLE = 1, 2


class Layout:
    """Fields of 8 ("Q") and 4 ("I") bytes one after the other, each aligned to its size; a number repeats it."""

    def __init__(self, text, start=0):
        self.fields = {}
        at = start
        for word in text.split():
            name, _, kind = word.partition(":")
            count, kind = int(kind[:-1] or 1), kind[-1]
            size = struct.calcsize(kind)
            at = (at + size - 1) // size * size
            self.fields[name] = (at, kind, count)
            at += size * count
        self.bytes = at

    def get(self, memory, base, name):
        at, kind, count = self.fields[name]
        values = struct.unpack_from(f"<{count}{kind}", memory, base + at)
        return values[0] if count == 1 else list(values)

    def all(self, memory, base, names=None):
        return {name: self.get(memory, base, name) for name in names or self.fields}


HEADER = Layout("magic:Q version:I header_bytes:I total_bytes:Q heap_number:I feed_generation:I row_offset:I row_capacity:I "
                "desc_offset:I desc_bytes:I string_offset:I string_bytes:I record_offset:I record_capacity:I "
                "type_count:I string_used:I types_without_row:I state:I record_head:Q safepoint_ns:Q mapped_bytes:Q "
                "reserved:3Q seq:Q")
SUMMARY = Layout("enabled:I manager:I debug:I level:I thresholds:3I access:I generations:9Q counts:3Q garbage:Q frozen:Q "
                 "pause_ns:Q max_pause_ns:Q last_pause_ns:Q max_pause_us:Q memory_limit_bytes:Q extern_bytes:Q candidates:Q "
                 "pending_objects:Q finalizers_pending:Q slices:Q missed_slices:Q longest_slice_ns:Q abandoned_runs:Q "
                 "refused_runs:Q candidates_due:Q", HEADER.bytes)
ROW = Layout("allocated:Q freed_refcount:Q freed_cycle:Q allocated_bytes:Q freed_refcount_bytes:Q freed_cycle_bytes:Q "
             "moved_in:Q moved_out:Q")
DESC = Layout("name_offset:I name_bytes:I flags:I ref_count:I size_bytes:Q reserved:Q base_allocated:Q "
              "base_freed_refcount:Q base_freed_cycle:Q reserved2:Q")
RECORD = Layout("sequence:Q start_ns:Q pause_ns:Q find_ns:Q callback_ns:Q free_ns:Q examined:Q collected:Q freed_bytes:Q "
                "uncollectable:Q live_bytes_before:Q live_bytes_after:Q safepoint_wait_ns:Q operation:Q reason:I "
                "generation:I manager:I scope_slices:I")
RING = Layout("magic:Q version:I header_bytes:I total_bytes:Q capacity_words:Q block_words:I heap_number:I "
              "feed_generation:I reserved32:I reserved:2Q reserve:Q head:Q")


class FeedError(Exception):
    """The memory is not what the document says."""


def expect(condition, what):
    if not condition:
        raise FeedError(what)


class Counters:
    def __init__(self, memory):
        self.memory = memory
        self.header = HEADER.all(memory, 0)
        expect(self.header["magic"] == COUNTERS_MAGIC and self.header["version"] == VERSION, "no counters of version 1")
        expect(self.header["total_bytes"] == len(memory), "counters of another size")
        expect(self.header["desc_bytes"] == DESC.bytes, "descriptions of another size")

    def now(self, name):
        return HEADER.get(self.memory, 0, name)

    def summary(self):
        """Between two equal even loads of seq, with the bases, which stand under it too."""
        for _ in range(SUMMARY_TRIES):
            before = self.now("seq")
            copy = SUMMARY.all(self.memory, 0)
            count = self.now("type_count")
            bases = [DESC.all(self.memory, self.desc_at(t), ("base_allocated", "base_freed_refcount", "base_freed_cycle"))
                     for t in range(count)]
            if before % 2 == 0 and before == self.now("seq"):
                return copy, bases
        raise FeedError("the writer does not let go of the summary")

    def desc_at(self, row):
        return self.header["desc_offset"] + row * self.header["desc_bytes"]

    def types(self):
        """Per type: its name, what it is, and its row, frees loaded first."""
        found = []
        for row in range(self.now("type_count")):
            desc = DESC.all(self.memory, self.desc_at(row))
            start = self.header["string_offset"] + desc["name_offset"]
            name = bytes(self.memory[start:start + desc["name_bytes"]]).decode("utf-8")
            at = self.header["row_offset"] + row * ROW.bytes
            frees = ROW.all(self.memory, at, ("freed_refcount", "freed_cycle", "freed_refcount_bytes",
                                              "freed_cycle_bytes", "moved_out"))
            others = ROW.all(self.memory, at, ("moved_in", "allocated", "allocated_bytes"))
            found.append({"row": row, "name": name, **desc, **frees, **others})
        return found

    def records(self):
        """Oldest first, those that are whole."""
        head, capacity = self.now("record_head"), self.header["record_capacity"]
        found = []
        for number in range(max(1, head - capacity + 1), head + 1):
            at = self.header["record_offset"] + (number - 1) % capacity * RECORD.bytes
            before = RECORD.get(self.memory, at, "sequence")
            record = RECORD.all(self.memory, at)
            if before == number == RECORD.get(self.memory, at, "sequence"):
                found.append(record)
        return found


class Ring:
    def __init__(self, memory):
        self.memory = memory
        self.header = RING.all(memory, 0)
        expect(self.header["magic"] == RING_MAGIC and self.header["version"] == VERSION, "no ring of version 1")
        expect(self.header["total_bytes"] == len(memory), "a ring of another size")
        expect(self.header["header_bytes"] + 8 * self.header["capacity_words"] <= len(memory), "a ring with too many words")

    def now(self, name):
        return RING.get(self.memory, 0, name)

    def whole_from(self):
        return max(0, self.now("reserve") - self.header["capacity_words"])

    def words(self, start, end):
        """A copy, and the position below which it may be torn."""
        base, capacity = self.header["header_bytes"], self.header["capacity_words"]
        copy = bytes(self.memory[base:base + capacity * 8])
        torn_below = self.whole_from()
        return [struct.unpack_from("<Q", copy, p % capacity * 8)[0] for p in range(start, end)], torn_below

    def events(self):
        """All that is there: the number of the first record, the number written in all, and the records. None where
        the writer has overtaken us."""
        block = self.header["block_words"]
        head = self.now("head")
        start = -(-self.whole_from() // block) * block
        words, torn_below = self.words(start, head)
        while start < torn_below:  # the writer came by
            words, start = words[block:], start + block
        if head and not words:
            return None
        first = written = words[0] if words else 0
        found, at = [], 0
        while at < len(words):
            if (start + at) % block == 0:
                expect(words[at] == written, f"a block that begins at {words[at]}, and not at {written}")
                at += BLOCK_HEADER_WORDS
                continue
            record, length = self.decode(words, at, block - (start + at) % block)
            if record:
                found.append(record)
                written += 1
            at += length
        return first, written, found

    @staticmethod
    def decode(words, at, room):
        word = words[at]
        kind = EVENTS[word & 3]
        if kind == "rare":
            subkind, length, argument = word >> 2 & 63, word >> 8 & 255, word >> 16
            if subkind == PAD and length == 0:
                return None, room
            expect(1 <= length <= room, "a record that leads out of its block")
            record = {"kind": kind, "subkind": subkind, "argument": argument, "more": words[at + 1:at + length]}
            return (None if subkind == PAD else record), length
        code = word >> 18 & 63
        size = words[at + 1] if code == 63 else code * 8
        return {"kind": kind, "type": word >> 2 & 0xffff, "bytes": size, "granule": word >> 24}, 1 + (code == 63)


class Feed:
    """One heap of a process, as far as it shows it."""

    def __init__(self, counters, ring):
        self.counters, self.ring = counters, ring

    def figures(self):
        """Per type, in tallyd's words; the sum of events only where the ring still holds all of them."""
        summary, bases = self.counters.summary()
        off = LEVELS[summary["level"]] == "off"
        first, written, events = self.ring.events()
        sums = {}
        for event in events:
            if event["kind"] != "rare":
                key = (event["type"], event["kind"])
                sums[key] = sums.get(key, 0) + 1
        figures = {}
        for type_, base in zip(self.counters.types(), bases):
            counted = type_["row"] == 0 or type_["flags"] & VARIABLE

            def size(count, column, type_=type_, counted=counted):
                return type_[column] if counted else count * type_["size_bytes"]
            allocated_bytes = size(type_["allocated"] + type_["moved_in"], "allocated_bytes")
            freed_bytes = (size(type_["freed_refcount"] + type_["moved_out"], "freed_refcount_bytes") +
                           size(type_["freed_cycle"], "freed_cycle_bytes"))
            told = {kind: (base["base_" + kind] + (type_[kind] if off else 0) + sums.get((type_["row"], kind), 0)) % 2 ** 64
                    for kind in EVENTS[1:]}
            figures[type_["name"]] = {
                "allocations": type_["allocated"], "allocated_bytes": allocated_bytes,
                "frees": {"refcount": type_["freed_refcount"], "cycle": type_["freed_cycle"]},
                "live_objects": type_["allocated"] + type_["moved_in"] - type_["freed_refcount"] - type_["freed_cycle"] -
                type_["moved_out"],
                "live_bytes": allocated_bytes - freed_bytes,
                "events": None if first else {"allocations": told["allocated"],
                                              "frees": {"refcount": told["freed_refcount"], "cycle": told["freed_cycle"]}}}
        return figures, {"written": written, "here": len(events), "first": first}


def memfds(pid, name):
    """Read-only mappings of a process's memfds of this name."""
    for link in sorted(glob.glob(f"/proc/{pid}/fd/*"), key=lambda path: int(os.path.basename(path))):
        try:
            if os.readlink(link).split(" (deleted)")[0] != f"/memfd:{name}":
                continue
            fd = os.open(link, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            yield mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        finally:
            os.close(fd)


def feeds(pid):
    """By heap number, the newest generation of either memory: each may have had predecessors."""
    def newest(kind, name):
        memories = sorted(map(kind, memfds(pid, name)), key=lambda memory: memory.header["feed_generation"])
        return {memory.header["heap_number"]: memory for memory in memories}
    rings = newest(Ring, "tally-ring")
    return {number: Feed(counters, rings[number]) for number, counters in newest(Counters, "tally-counters").items()
            if number in rings}


def main():
    for number, feed in feeds(int(sys.argv[1])).items():
        figures, events = feed.figures()
        summary, _ = feed.counters.summary()
        print(json.dumps({"heap": number, "state": STATES[feed.counters.now("state")], "types": figures, "events": events,
                          "summary": summary, "collections": feed.counters.records()}, indent=2))


if __name__ == "__main__":
    main()
