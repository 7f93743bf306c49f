/* tallyd's own: its options, from command line, environment and config file, and its folders. wiring.c joins the
 * stages. */
#ifndef TALLY_TALLYD_TALLYD_H
#define TALLY_TALLYD_TALLYD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
#define EXIT(name, status, sentence) name = (status),
#include "tallyd/exits.def"
#undef EXIT
};

/* ---- options: the rows of options.def */

enum option_kind {
    OPTION_FLAG,
    OPTION_NUMBER,
    OPTION_SIZE,
    OPTION_DURATION,
    OPTION_WORD,
    OPTION_TEXT,
    OPTION_PATH,
    OPTION_ADDRESS,
    OPTION_HOST
};
enum option_reload { AT_START, ON_HUP };

enum option_id {
#define OPTION(section, name, kind, argument, member, allowed, standard, reload, help) OPTION_OF_##member,
#include "tallyd/options.def"
#undef OPTION
    OPTIONS
};

struct option_row {
    const char *section, *name;
    enum option_kind kind;
    const char *argument;
    size_t offset; /* of the member in struct options */
    const char *allowed, *standard;
    enum option_reload reload;
    const char *help;
};
extern const struct option_row option_rows[OPTIONS];

#define FLAG(name) bool name;
#define NUMBER(name) int64_t name;
#define SIZE(name) int64_t name;
#define DURATION(name) int64_t name;
#define WORD(name) const char *name;
#define TEXT(name) const char *name;
#define PATH(name) const char *name;
#define ADDRESS(name) const char *name;
#define HOST(name) const char *name;
struct options {
#define OPTION(section, name, kind, argument, member, allowed, standard, reload, help) kind(member)
#include "tallyd/options.def"
#undef OPTION
};
#undef FLAG
#undef NUMBER
#undef SIZE
#undef DURATION
#undef WORD
#undef TEXT
#undef PATH
#undef ADDRESS
#undef HOST

/* Sets the row's member from a text, which must outlive *options. false: the value is none that is allowed. */
bool option_set(const struct option_row *row, struct options *options, const char *text);
/* The sentence that says which values are: "must be ...". */
void option_allowed(const struct option_row *row, char *out, size_t bytes);

/* ---- settings: the options in force, and where each comes from */

enum origin { FROM_STANDARD, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG }; /* the greater wins */

struct settings {
    struct options options; /* its texts are those of `given`, or constants */
    struct given {
        enum origin from;
        unsigned line; /* in the file */
        char *text;    /* NULL: the standard */
    } given[OPTIONS];
    char file[256]; /* the config file: read, or (file_missing) where one would be; "": nowhere */
    bool file_missing;
};

/* Reads all three. false: `why` names the flag, variable or file, line and key, and what is allowed; *settings is
 * empty then. May be called again, for a second look, by one thread at a time. */
bool settings_read(struct settings *settings, int argc, char **argv, char *why, size_t why_bytes);
void settings_free(struct settings *settings);
/* Reads all again and takes over what SIGHUP may change; the log says each new value, what waits for the next start, or
 * what is wrong, and then nothing has changed. Texts of AT_START options stay where they are. */
void settings_reload(struct settings *settings, int argc, char **argv);
/* A config file of what is in force; each line's comment says where it comes from. */
void settings_print(const struct settings *settings, FILE *out);
void settings_print_help(FILE *out);

/* Used by settings_read(): takes a value over unless a stronger origin gave one. `where` names it in `why`. */
bool settings_give(struct settings *settings, enum option_id option, enum origin from, unsigned line, const char *text,
                   const char *where, char *why, size_t why_bytes);
/* The same for all keys of a file, which may only be absent where `optional`. */
bool config_read(struct settings *settings, const char *path, bool optional, char *why, size_t why_bytes);

/* Splits HOST:PORT; [::1]:0 is such. false: it is none. */
bool address_split(const char *text, char *host, size_t host_bytes, char *port, size_t port_bytes);

struct folders {
    char runtime[80], state[256];
    int runtime_lock, state_lock;
    char token[65]; /* the bearer token, from the state folder or new */
};

/* Where both folders are, by the contract's order. NULL, or what is missing. */
const char *folders_find(struct folders *folders, const struct options *options);
/* Finds, makes and locks both folders, removes what an earlier daemon left, and reads or makes the token.
 * Returns 0 or one of the exit codes; `why` says it. */
int folders_open(struct folders *folders, const struct options *options, char *why, size_t why_bytes);
/* Writes `text` and a newline as FOLDER/NAME with a mode, whole, renamed into place. 0 or -errno. */
int folder_write(const char *folder, const char *name, const char *text, unsigned mode);
/* Removes what others find us by. */
void folders_close(struct folders *folders);

/* Listening sockets; -errno on failure. */
int listen_tcp(const char *host, const char *port);
/* Whether all addresses of a host, a name or a number, are loopback. -EADDRNOTAVAIL: it has none. */
int listen_is_loopback(const char *host, bool *loopback);
/* HOST:PORT that a socket is bound to, and whether that is loopback. 0 or -errno. */
int listen_name(int fd, char *bound, size_t bound_bytes, bool *loopback);
int listen_unix(const char *path, unsigned mode, const char *group);

#endif
