/* In place of the readline.c of mal's second C implementation, so that it needs no library for editing lines: the
 * programs that are measured are files, and read none. */
#include <gc.h>
#include <stdio.h>
#include <string.h>

#include "readline.h"

const char *readline_gc(const char *prompt)
{
    static char line[65536];
    fputs(prompt, stdout);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    size_t bytes = strlen(line) + 1;
    return memcpy(GC_MALLOC_ATOMIC(bytes), line, bytes);
}
