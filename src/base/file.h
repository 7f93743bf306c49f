/* Files written whole. */
#ifndef TALLY_BASE_FILE_H
#define TALLY_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes all of it. 0 or -errno; then some of it may have been written. */
int file_write(int fd, const void *bytes, size_t count);

/* Makes PATH hold these bytes, whole or not at all: written as PATH.new with the mode, then renamed into place. sync: on
 * the disk when this returns. 0 or -errno; then PATH is as it was, unless all that went wrong was the last sync, of its
 * folder. One thread a path. */
int file_replace(const char *path, const char *bytes, size_t count, unsigned mode, bool sync);

#endif
