/* Where tallyd is: the same places as libtally looks in, in the same order. */
#ifndef TALLYCTL_PLACE_H
#define TALLYCTL_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#define PLACE_MAX 2
#define PLACE_PATH_MAX 4096

struct places {
    size_t count;
    char paths[PLACE_MAX][PLACE_PATH_MAX];
};

/* The runtime directories to try. `asked` is --runtime-dir or NULL; one that is named, there or in
 * $TALLY_RUNTIME_DIR, is the only one. */
void place_list(struct places *places, const char *asked);

/* Connects to the socket and hangs up. 0, or the errno. */
int place_probe(const char *socket_path);

/* "DIR/NAME" into `out`. False: it does not fit. */
bool place_join(char out[PLACE_PATH_MAX], const char *directory, const char *name);

#endif
