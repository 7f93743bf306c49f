/* Files that are written whole or not at all. */
#ifndef TALLYCTL_SAVE_H
#define TALLYCTL_SAVE_H

#include "tallyctl/client.h"

struct save;

/* Begins a file beside `path`, which save_end() puts into its place; NULL path: standard output. NULL: it cannot be
 * made, which has been said. */
struct save *save_begin(const char *path);
/* False: it could not be written; save_end() says why. */
bool save_write(struct save *save, const char *bytes, size_t count);
/* Ends it. keep: it is whole, and goes to its place; else nothing is left of it. Returns CTL_FAILED, which has been said,
 * where it was to be kept and could not be. */
enum ctl_exit save_end(struct save *save, bool keep);
/* Whether a file may be written there, before what is to fill it is asked for at a price; leaves nothing. CTL_FAILED: it
 * may not, which has been said. */
enum ctl_exit save_try(const char *path);

/* GET of `path`, as it comes, to --out or standard output. */
enum ctl_exit save_get(const struct ctl *ctl, struct client *client, const char *path, unsigned wait_ms);

#endif
