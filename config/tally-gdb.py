"""tally in gdb:  source config/tally-gdb.py

    tally heap EXPRESSION        the heap that an object belongs to, or a struct tally_heap *: objects by type
    tally object EXPRESSION      type, count, flags, generation and slots of an object
    tally referrers EXPRESSION   the objects whose slots hold it

Reads memory only, calls nothing in the program, and so works on core files. Needs libtally's debug information.
Slots that a traverse callback reports are not seen.
"""
import gdb

PAGE_MASK = 0xffff
COUNT_SHIFT, TYPE_SHIFT = 28, 12
FLAGS = {0: "acyclic", 1: "candidate", 3: "finalized", 4: "weakly referenced", 5: "dying", 6: "queued",
         8: "under construction", 9: "native bytes", 10: "pinned", 11: "finalizer due", 63: "immortal"}
BITS_MIDDLE, BITS_OLD, BITS_FROZEN = 5, 6, 7


def u64(address):
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")


def page_of(address):
    pointer = gdb.lookup_type("struct page").pointer()
    base = address & ~PAGE_MASK
    return gdb.Value(base + (base >> 16 & 15) * 64).cast(pointer)


def base_of(page):
    return int(page) & ~PAGE_MASK


def type_of(word):
    return gdb.parse_and_eval("tally__types")[word >> TYPE_SHIFT & 0xffff]


def type_pointer(word):
    return type_of(word).cast(gdb.lookup_type("struct tally_type").pointer())


def name_of(word):
    return type_pointer(word)["info"]["name"].string()


def slots(address, word):
    """[(field, value)] of the slots that the type describes."""
    kind, found = type_pointer(word), []
    info = kind["info"]
    for i in range(int(kind["ref_count"])):
        ref = kind["refs"][i]
        found.append((ref["name"].string(), u64(address + int(ref["offset"]))))
    if int(info["trailing"]) == 2:
        length, base = u64(address + int(info["trailing_length_offset"])), address + int(kind["size"])
        found += [(f"[{i}]", u64(base + 8 * i)) for i in range(length)]
    if bool(info["has_external"]):
        base = u64(address + int(info["external_pointer_offset"]))
        length = u64(address + int(info["external_length_offset"])) if base else 0
        found += [(f"external[{i}]", u64(base + 8 * i)) for i in range(length)]
    return found


def generation(address):
    page = page_of(address)
    if not bool(page["tracked"]):
        return "not tracked"
    slot = (address - 8 - int(page["first"]) - base_of(page)) // int(page["slot_bytes"])

    def bit(which):
        return u64(int(page) + int(page["bits"]) + (which * int(page["words"]) + slot // 64) * 8) >> slot % 64 & 1
    if bit(BITS_FROZEN):
        return "frozen"
    return "generation 2" if bit(BITS_OLD) else "generation 1" if bit(BITS_MIDDLE) else "generation 0"


def pages(heap):
    for i in range(int(heap["page_count"])):
        page = heap["pages"][i]
        if int(page):
            yield page


def objects(heap):
    """(address, word) of all that is not free."""
    for page in pages(heap):
        first, step, bump = base_of(page) + int(page["first"]), int(page["slot_bytes"]), int(page["bump"])
        for slot in range(int(page["slot_count"])):
            at = first + slot * step
            if at >= bump:
                break
            word = u64(at)
            if word:
                yield at + 8, word


def heap_of(value):
    if str(value.type.strip_typedefs()).replace("const ", "") == "struct tally_heap *":
        return value
    heap = page_of(int(value))["heap"]
    return heap


class Tally(gdb.Command):
    """Looks at libtally's heaps and objects."""

    def __init__(self):
        super().__init__("tally", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class Heap(gdb.Command):
    """tally heap EXPRESSION: objects by type of a heap, or of the heap that an object belongs to."""

    def __init__(self):
        super().__init__("tally heap", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, _from_tty):
        heap = heap_of(gdb.parse_and_eval(argument))
        counts = {}
        for _, word in objects(heap):
            counts[name_of(word)] = counts.get(name_of(word), 0) + 1
        print(f"heap {int(heap['number'])}, {heap['manager']}, {int(heap['mapped_bytes'])} bytes of pages, "
              f"{int(heap['candidate_count'])} candidates")
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            print(f"{count:10}  {name}")


class Object(gdb.Command):
    """tally object EXPRESSION: what the library knows of an object."""

    def __init__(self):
        super().__init__("tally object", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, _from_tty):
        address = int(gdb.parse_and_eval(argument))
        word = u64(address - 8)
        if not word:
            print("a free slot")
            return
        flags = [name for bit, name in FLAGS.items() if word >> bit & 1]
        print(f"{name_of(word)}, count {word >> COUNT_SHIFT & ((1 << 35) - 1)}, {generation(address)}"
              + (f" ({', '.join(flags)})" if flags else ""))
        for field, value in slots(address, word):
            print(f"  .{field} = " + (f"{value:#x} {name_of(u64(value - 8))}" if value else "NULL"))


class Referrers(gdb.Command):
    """tally referrers EXPRESSION: the objects whose slots hold an object."""

    def __init__(self):
        super().__init__("tally referrers", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, _from_tty):
        target = int(gdb.parse_and_eval(argument))
        for address, word in objects(heap_of(gdb.Value(target))):
            for field, value in slots(address, word):
                if value == target:
                    print(f"{address:#x} {name_of(word)}.{field}")


Tally()
Heap()
Object()
Referrers()
