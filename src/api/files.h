/* Files that are embedded when tallyd is built (embed.sh): the dashboard's, and the schemas of src/api/schemas. */
#ifndef TALLY_API_FILES_H
#define TALLY_API_FILES_H

#include <stddef.h>

struct embedded_file {
    const char *path, *type, *etag;
    const char *start, *end;
    const char *packed, *packed_end; /* the same, by gzip */
};
extern const struct embedded_file web_files[], schema_files[];
extern const size_t web_file_count, schema_file_count;

#endif
