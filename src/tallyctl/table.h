/* Columns for people: as wide as their widest cell, figures to the right. */
#ifndef TALLYCTL_TABLE_H
#define TALLYCTL_TABLE_H

#include "tallyctl/tallyctl.h"

struct table;

/* One heading a column; one that begins with '>' is of figures. NULL: out of memory, which the other
 * functions take for an empty table. */
struct table *table_new(const char *const *headings, size_t columns);
/* The next cell, row by row; untrusted text is welcome, it is escaped. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Colours the last cell, where there are colours: the numbers of SGR (ECMA-48), such as "31"; lives as long as the table. */
void table_paint(struct table *table, const char *paint);
/* Prints headings and rows, then frees the table. */
void table_print_free(struct table *table, const struct paper *paper);

#endif
