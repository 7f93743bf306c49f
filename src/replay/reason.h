/* Why a command could not be done. */
#ifndef TALLY_REPLAY_REASON_H
#define TALLY_REPLAY_REASON_H

/* X(NAME, what `error LINE:` says) */
#define REASONS(X) \
    X(REASON_UNKNOWN_COMMAND, "unknown command") \
    X(REASON_BAD_SYNTAX, "bad syntax") \
    X(REASON_BAD_NAME, "bad name") \
    X(REASON_BAD_NUMBER, "bad number") \
    X(REASON_UNKNOWN_NAME, "unknown name") \
    X(REASON_NIL, "name is nil") \
    X(REASON_NOT_A_NODE, "not a node") \
    X(REASON_NOT_A_WEAK, "not a weak reference") \
    X(REASON_NO_END, "repeat without end") \
    X(REASON_NO_REPEAT, "end without repeat")

enum reason {
    REASON_NONE,
#define REASON_X(name, sentence) name,
    REASONS(REASON_X)
#undef REASON_X
    REASON_MEMORY, /* these are no fault of the script */
    REASON_WORK,
    REASON_UNSUPPORTED, /* by the manager that --manager has chosen */
    REASON_HEAP, /* the library or its verifier has found one, and said so on err */
};

#endif
