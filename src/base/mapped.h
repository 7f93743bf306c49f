/* Memory that may break off under its reader: files of ours that somebody cuts short or that the disk does not give back, and
 * a client's, sealed as it is, on a system that does not keep its word. The kernel answers a touch of such a page with
 * SIGBUS, which would end the daemon; here it costs the file, or the client.
 *
 * What is always true
 *  - Within mapped_try() a fault in a mapped file ends what was run: an analysis trusts what it has written, and cannot
 *    go on with anything else.
 *  - Elsewhere the whole mapping is zeroes from the first fault on, and broken. Who reads goes on, as he would with any wrong
 *    figure of a disk, and asks mapped_broken() before he tells what he has read.
 *  - Of memory that is watched, the page is zeroes from then on, and its reader sees figures that went back.
 *  - A SIGBUS of any other memory, or that somebody has sent, ends the daemon as it always did.
 *  - All of this from mapped_start() on, as long as nobody else takes the signal. */
#ifndef TALLY_BASE_MAPPED_H
#define TALLY_BASE_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPPED_MOST 128u /* at once */

struct mapped {
    void *at; /* NULL: none */
    size_t bytes;
    unsigned slot;
};

/* Hears SIGBUS, for the whole process, from now on. */
void mapped_start(void);
/* Maps the file's first bytes, shared, to be read or (writes) written, too. bytes: above 0. 0, -EMFILE (MAPPED_MOST there
 * are), or another -errno. Any thread. */
int mapped_open(struct mapped *mapped, int fd, size_t bytes, bool writes);
/* Nobody may read it any more. A zeroed one is allowed. */
void mapped_close(struct mapped *mapped);
/* A page of it could not be had; it stays so. */
bool mapped_broken(const struct mapped *mapped);

/* Runs it and returns what it does, or -EIO where a mapping broke off under it: run() holds nothing then that only it could
 * give back, no lock and no memory. */
int mapped_try(int (*run)(void *arg), void *arg);

/* Memory that this thread reads and that was mapped otherwise; replaces its last watch. NULL: none. */
void mapped_watch(const void *first, uint64_t first_bytes, const void *second, uint64_t second_bytes);

#endif
