/* The dashboard's files, embedded when tallyd is built (embed.sh). */
#ifndef TALLY_API_FILES_H
#define TALLY_API_FILES_H

#include <stddef.h>

struct web_file {
    const char *path, *type, *etag;
    const char *start, *end;
};
extern const struct web_file web_files[];
extern const size_t web_file_count;

#endif
