/* tallyd's own: its options and folders. main.c joins the stages. */
#ifndef TALLY_TALLYD_TALLYD_H
#define TALLY_TALLYD_TALLYD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_DEFAULT "127.0.0.1:7717"

/* Exit codes; the contract with scripts. */
enum { EXIT_OK = 0, EXIT_ADDRESS = 1, EXIT_REFUSAL = 2, EXIT_SECOND = 3 };

#define FLAG(name) bool name;
#define TEXT(name) const char *name;
#define NUMBER(name) long name; /* -1: not given */
struct options {
#define OPTION(name, argument, member, kind, help) kind(member)
#include "tallyd/options.def"
#undef OPTION
};
#undef FLAG
#undef TEXT
#undef NUMBER

/* Fills *options from the command line. false: `why` says what is wrong with it. */
bool options_parse(struct options *options, int argc, char **argv, char *why, size_t why_bytes);
void options_print_help(void);

/* Splits HOST:PORT; [::1]:0 is such. false: it is none. */
bool address_split(const char *text, char *host, size_t host_bytes, char *port, size_t port_bytes);

struct folders {
    char runtime[80], state[256];
    int runtime_lock, state_lock;
    char token[65]; /* the bearer token, from the state folder or new */
};

/* Finds, makes and locks both folders, removes what an earlier daemon left, and reads or makes the token.
 * Returns 0 or one of the exit codes; `why` says it. */
int folders_open(struct folders *folders, const struct options *options, char *why, size_t why_bytes);
/* Writes `text` and a newline as FOLDER/NAME with a mode, whole, renamed into place. 0 or -errno. */
int folder_write(const char *folder, const char *name, const char *text, unsigned mode);
/* Removes what others find us by. */
void folders_close(struct folders *folders);

/* Listening sockets; -errno on failure. */
int listen_tcp(const char *host, const char *port, char *bound, size_t bound_bytes, bool *loopback);
int listen_unix(const char *path, unsigned mode, const char *group);

#endif
