/* The snapshot stream: the objects of one heap, their types and the references between them, as the program writes them
 * to a pipe and as tallyd keeps them in a file. Integers are LEB128 varints of at most 64 bits, texts have their
 * length before them; nothing is aligned. A typical object of two references takes 12 to 16 bytes.
 *
 *   +--------------------------------+ 0
 *   | struct snapshot_header         |  64 bytes, little-endian
 *   +--------------------------------+
 *   | record                         |  one byte: its kind in bits 0..1, what follows in the others
 *   | ...                            |
 *   +--------------------------------+
 *   | END                            |  and nothing behind it
 *   +--------------------------------+
 *
 *   TYPE    row  flags  size_bytes  name  trailing name  external name  field count  { field name }...
 *           before the first object of the type; a row is told once
 *   OBJECT  number, as the zigzag difference to the object before (to 0 for the first)
 *           [type row        unless SAME_TYPE as the object before]
 *           payload bytes
 *           [references      if REFERENCES; else 1]
 *           [flags           if FLAGS; [native bytes, if these have NATIVE]]
 *           [declared        if DECLARED; else 0]
 *           [label           if LABEL]
 *           { edge }...  0
 *   edge    1 + (place << 3 | kind)   zigzag difference of the target's number to this object's
 *   END     status  objects  edges  payload bytes  pause_ns
 *
 * An object is named by its number (tally_object_id()), never by an address, and nothing of what lies in it is told but
 * its label. A target may be an object that is told later, or, in a snapshot that is not of one instant, never.
 *
 * Declared references are those of the count that something other than an object is known to hold: root variables,
 * pins, handle scopes, the garbage list. What is left of the count when they and all edges to the object that are counted
 * have been taken off is unexplained.
 *
 * The writer calls nothing but its flush callback and keeps all state in memory of its caller's: it may run in a child
 * that was cloned without libc's knowledge. The reader takes the stream in pieces of any size, allocates nothing, and
 * believes no number in it: it checks every one against what it bounds. */
#ifndef TALLY_WIRE_SNAPSHOT_H
#define TALLY_WIRE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_MAGIC 0x314e535f594c4154ull /* "TALY_SN1" */
#define SNAPSHOT_VERSION 1u
#define SNAPSHOT_ROWS 65536u             /* type rows, as in the feed */
#define SNAPSHOT_FIELDS_MAX 65534u       /* of a type */
#define SNAPSHOT_TEXT_MAX 255u           /* bytes of a name */
#define SNAPSHOT_LABEL_MAX 64u           /* bytes of a label */
#define SNAPSHOT_NAMES_MAX ((uint64_t)16 << 20)     /* bytes of all names together, eight more for each */
#define SNAPSHOT_OBJECTS_MAX ((uint64_t)0xfffffff0) /* objects, and likewise edges */
#define SNAPSHOT_BYTES_MAX ((uint64_t)1 << 48)      /* payload or native bytes of an object; of all: what memory has */
#define SNAPSHOT_NUMBER_MAX ((uint64_t)INT64_MAX) /* an object's number, from 1 */
#define SNAPSHOT_COUNT_MAX ((uint64_t)1 << 40)      /* references of an object */
#define SNAPSHOT_PLACE_MAX ((uint64_t)1 << 40)
#define SNAPSHOT_ITEM_MAX 1024u /* bytes of a header, of a type without its fields, of a field, object head, edge or end */

/* What taking one is foreseen to cost the program, before a clone of it was measured. */
#define SNAPSHOT_CLONE_BASE_NS 150000u  /* a clone, and */
#define SNAPSHOT_CLONE_NS_A_MIB 12000u  /* for each MiB of private memory */
#define SNAPSHOT_SLICE_NS 1000000u      /* a slice, where the heap has no max_pause */

enum snapshot_header_flags {
    SNAPSHOT_INSTANT = 1u, /* of one instant; else taken in slices, between which the program went on */
};
struct snapshot_header {
    uint64_t magic;
    uint32_t version, flags;
    uint32_t heap_number, type_count; /* type_count: expected */
    uint64_t clock_ns;                /* the program's CLOCK_MONOTONIC when it began */
    uint64_t objects, edges, bytes;   /* expected, for progress alone; 0: nobody knows */
    uint64_t reserved;
};
_Static_assert(sizeof(struct snapshot_header) == 64, "snapshot header layout");

enum snapshot_record { SNAPSHOT_END, SNAPSHOT_TYPE, SNAPSHOT_OBJECT };
enum snapshot_object_bits { /* of an OBJECT's first byte */
    SNAPSHOT_BIT_SAME_TYPE = 4u,
    SNAPSHOT_BIT_REFERENCES = 8u,
    SNAPSHOT_BIT_FLAGS = 16u,
    SNAPSHOT_BIT_DECLARED = 32u,
    SNAPSHOT_BIT_LABEL = 64u,
    SNAPSHOT_BITS_UNUSED = 128u,
};

enum snapshot_type_flags {
    SNAPSHOT_TYPE_TRACKED = 1u,
    SNAPSHOT_TYPE_VARIABLE = 2u, /* objects have sizes of their own */
    SNAPSHOT_TYPE_FINALIZER = 4u,
    SNAPSHOT_TYPE_WEAK = 8u,     /* weak references */
};

/* X(NAME, bit, word in JSON) */
#define SNAPSHOT_OBJECT_FLAGS(X) \
    X(SNAPSHOT_IMMORTAL, 1, "immortal") X(SNAPSHOT_FROZEN, 2, "frozen") X(SNAPSHOT_FINALIZER, 4, "finalizer") \
    X(SNAPSHOT_FINALIZED, 8, "finalized") X(SNAPSHOT_REFERENT, 16, "weakly_referenced") \
    X(SNAPSHOT_GARBAGE, 32, "garbage_list") X(SNAPSHOT_UNTRACKED, 64, "untracked")
enum snapshot_object_flags {
#define SNAPSHOT_X(name, bit, word) name = (bit),
    SNAPSHOT_OBJECT_FLAGS(SNAPSHOT_X)
#undef SNAPSHOT_X
    SNAPSHOT_NATIVE = 128, /* of the stream alone: native bytes follow */
};

/* X(NAME, value, word in JSON). What `place` is: the field's number, an index, the how-manieth one. All but WEAK are counted. */
#define SNAPSHOT_EDGES(X) \
    X(SNAPSHOT_EDGE_FIELD, 0, "field")       /* a slot of the fixed part */ \
    X(SNAPSHOT_EDGE_TRAILING, 1, "trailing") /* of the array behind it */ \
    X(SNAPSHOT_EDGE_EXTERNAL, 2, "external") /* of the array in native memory */ \
    X(SNAPSHOT_EDGE_VISITED, 3, "visited")   /* that the type's traverse tells of */ \
    X(SNAPSHOT_EDGE_HOLD, 4, "hold")         /* what a weak reference keeps: its callback's, or a weak map's value */ \
    X(SNAPSHOT_EDGE_WEAK, 5, "weak")         /* what it refers to, and does not keep */
enum snapshot_edge_kind {
#define SNAPSHOT_X(name, value, word) name = (value),
    SNAPSHOT_EDGES(SNAPSHOT_X)
#undef SNAPSHOT_X
    SNAPSHOT_EDGE_KINDS
};

/* How a stream ends. X(NAME, value, sentence) */
#define SNAPSHOT_ENDS(X) \
    X(SNAPSHOT_WHOLE, 0, "all objects were written") \
    X(SNAPSHOT_CANCELLED, 1, "it was cancelled") \
    X(SNAPSHOT_LATE, 2, "it was not done by its deadline") \
    X(SNAPSHOT_NO_MEMORY, 3, "the program had no memory for it") \
    X(SNAPSHOT_HEAP_GONE, 4, "the heap went") \
    X(SNAPSHOT_REFUSED, 5, "the heap could not be walked then")
enum snapshot_end_status {
#define SNAPSHOT_X(name, value, sentence) name = (value),
    SNAPSHOT_ENDS(SNAPSHOT_X)
#undef SNAPSHOT_X
    SNAPSHOT_END_STATUSES
};
const char *snapshot_end_sentence(unsigned status); /* static storage */

struct snapshot_text {
    const char *at; /* valid UTF-8 without control characters; not terminated */
    size_t bytes;
};
struct snapshot_type {
    uint32_t row, flags;
    uint64_t size_bytes; /* of the payload; VARIABLE: of its fixed part */
    uint32_t field_count;
    struct snapshot_text name, trailing, external; /* the arrays': "" where there is none or it has no name */
};
struct snapshot_object {
    uint64_t number;
    uint32_t type_row, flags;
    uint64_t bytes, native_bytes, references, declared;
    struct snapshot_text label; /* "": none */
};
struct snapshot_edge {
    enum snapshot_edge_kind kind;
    uint64_t place, target; /* target: an object's number */
};
struct snapshot_end {
    unsigned status; /* enum snapshot_end_status */
    uint64_t objects, edges, bytes; /* as written; bytes: of payload */
    uint64_t pause_ns; /* that the program's threads had of it so far; 0: the writer does not know */
};

/* ---- Writing */

/* Takes `count` bytes that are the stream's next. 0, or anything else: give up. */
typedef int (*snapshot_flush_fn)(void *arg, const void *bytes, size_t count);
struct snapshot_writer {
    unsigned char *buffer;
    size_t room, used;
    snapshot_flush_fn flush;
    void *arg;
    int error; /* the flush callback's; nothing is written any more */
    bool in_object;
    uint64_t number; /* of the last object */
    uint32_t type_row;
    uint64_t objects, edges, bytes, native_bytes;
};

/* Begins a stream with what `header` expects; its magic and version are filled in. buffer: at least SNAPSHOT_ITEM_MAX
 * bytes, the caller's until the end, as are flush and arg. */
void snapshot_write_begin(struct snapshot_writer *writer, void *buffer, size_t room, snapshot_flush_fn flush, void *arg,
                          const struct snapshot_header *header);
/* A type; exactly field_count calls of _field() follow, in the fields' order. Names are cut to what is allowed, and "?"
 * where they are no UTF-8. */
void snapshot_write_type(struct snapshot_writer *writer, const struct snapshot_type *type);
void snapshot_write_field(struct snapshot_writer *writer, struct snapshot_text name);
/* An object; its edges follow. Its number is not 0, and its type was written. Native bytes are cut where all are more than
 * SNAPSHOT_BYTES_MAX. */
void snapshot_write_object(struct snapshot_writer *writer, const struct snapshot_object *object);
void snapshot_write_edge(struct snapshot_writer *writer, enum snapshot_edge_kind kind, uint64_t place, uint64_t target);
/* The last record, and the last flush. Returns 0, or what the flush callback returned. A writer whose flush failed may
 * be left as it is. */
int snapshot_write_end(struct snapshot_writer *writer, enum snapshot_end_status status, uint64_t pause_ns);

/* ---- Reading */

/* X(NAME, value, sentence) */
#define SNAPSHOT_FAULTS(X) \
    X(SNAPSHOT_FAULT_NONE, 0, "no fault") \
    X(SNAPSHOT_FAULT_CUT, -1, "the stream ends before its end record") \
    X(SNAPSHOT_FAULT_MAGIC, -2, "it is no snapshot stream") \
    X(SNAPSHOT_FAULT_VERSION, -3, "it is a stream of another version") \
    X(SNAPSHOT_FAULT_RECORD, -4, "there is no record of this kind") \
    X(SNAPSHOT_FAULT_VARINT, -5, "a number has more than 64 bits") \
    X(SNAPSHOT_FAULT_RANGE, -6, "a number is out of range") \
    X(SNAPSHOT_FAULT_TEXT, -7, "a text is too long, not UTF-8 or holds control characters") \
    X(SNAPSHOT_FAULT_NAMES, -8, "the names of types and fields are too many") \
    X(SNAPSHOT_FAULT_TWICE, -9, "a type is told twice") \
    X(SNAPSHOT_FAULT_TYPE, -10, "an object is of a type that was not told") \
    X(SNAPSHOT_FAULT_FIELD, -11, "an edge is of a field that its type does not have") \
    X(SNAPSHOT_FAULT_OBJECTS, -12, "there are too many objects or edges") \
    X(SNAPSHOT_FAULT_COUNTS, -13, "the end record does not count what was written") \
    X(SNAPSHOT_FAULT_BEHIND, -14, "something follows the end record") \
    X(SNAPSHOT_FAULT_GIVEN_UP, -15, "the program gave the snapshot up") \
    X(SNAPSHOT_FAULT_SINK, -16, "the reader gave up")
enum snapshot_fault {
#define SNAPSHOT_X(name, value, sentence) name = (value),
    SNAPSHOT_FAULTS(SNAPSHOT_X)
#undef SNAPSHOT_X
};
/* Static storage. */
const char *snapshot_fault_sentence(int fault);

/* Told in the stream's order; a NULL member is passed over. What they get is valid during the call, texts too. */
struct snapshot_sink {
    void *arg;
    void (*header)(void *arg, const struct snapshot_header *header);
    /* A type, then each of its fields. */
    void (*type)(void *arg, const struct snapshot_type *type);
    void (*field)(void *arg, uint32_t row, uint32_t field, struct snapshot_text name);
    /* An object, then each of its edges, then that it is whole. offset: of its first byte in the stream. false: enough, which
     * the reader answers with SNAPSHOT_FAULT_SINK. */
    bool (*object)(void *arg, const struct snapshot_object *object, uint64_t offset);
    bool (*edge)(void *arg, const struct snapshot_edge *edge);
    bool (*object_end)(void *arg);
};

enum snapshot_state { SNAPSHOT_AT_HEADER, SNAPSHOT_AT_RECORD, SNAPSHOT_AT_FIELD, SNAPSHOT_AT_EDGE, SNAPSHOT_AT_END };
struct snapshot_reader { /* about 256 KiB */
    const struct snapshot_sink *sink;
    enum snapshot_state state;
    int fault; /* the first one, which stays */
    uint64_t offset;    /* of the next byte that no item has taken */
    uint64_t number;    /* of the last object */
    uint32_t object_row, type_row; /* of that object; of the type whose fields are read */
    uint32_t fields_left;
    uint64_t types, objects, edges, bytes, native_bytes, names_bytes;
    struct snapshot_end end; /* valid when the state is AT_END */
    size_t kept; /* bytes of an item that has not come whole */
    unsigned char keep[2 * SNAPSHOT_ITEM_MAX];
    uint32_t rows[SNAPSHOT_ROWS]; /* fields of the type, and 1; 0: it was not told */
};

/* sink: the caller's, as long as it is read. */
void snapshot_read_begin(struct snapshot_reader *reader, const struct snapshot_sink *sink);
/* Reads the stream's next bytes. 0 or a SNAPSHOT_FAULT_*, which all further calls return too. */
int snapshot_read(struct snapshot_reader *reader, const void *bytes, size_t count);
/* The stream has ended: 0 where it was whole. */
int snapshot_read_finish(struct snapshot_reader *reader);

/* Reads one object again, from bytes that begin at the offset that it was told with, of a stream that this reader, or one
 * with the same rows, has read. The object before it is not known: the reader's sink gets `number` and `type_row` in
 * place of what only that would tell. count may be more than the object has; how much it took is in *used. 0, a
 * SNAPSHOT_FAULT_*, or SNAPSHOT_FAULT_CUT where it needs more bytes than there are: what was told stays told. */
int snapshot_read_object(struct snapshot_reader *reader, const void *bytes, size_t count, uint64_t number,
                         uint32_t type_row, size_t *used);

#endif
