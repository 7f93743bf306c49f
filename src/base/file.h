/* Small files that others read while we write them. */
#ifndef TALLY_BASE_FILE_H
#define TALLY_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Makes PATH hold these bytes, whole or not at all: written as PATH.new with the mode, then renamed into place. sync: on
 * the disk when this returns. 0 or -errno; then PATH is as it was. One thread a path. */
int file_replace(const char *path, const char *bytes, size_t count, unsigned mode, bool sync);

#endif
