/* What has changed between two texts of columns. Pure. */
#ifndef TALLYCTL_CHANGES_H
#define TALLYCTL_CHANGES_H

#include <stdbool.h>
#include <stdio.h>

/* Prints `now`, at most `lines` of it (0: all), and marks each cell that is another one than in the line of `before` (NULL:
 * there is none) that begins with the same cell: in reverse where `reverse`, else by a * in the blank before it. Cells are
 * what two blanks stand between. Each line ends with `end`. */
void changes_print(FILE *to, const char *before, const char *now, unsigned lines, bool reverse, const char *end);

#endif
