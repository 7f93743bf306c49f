/* Paths of the API: its sub-tree of one process or one heap of it, and queries. */
#ifndef TALLYCTL_REQUEST_H
#define TALLYCTL_REQUEST_H

#include "tallyctl/client.h"

#define REQUEST_PATH_MAX 4096

/* "/v1/processes/ID/LEAF", or ".../heaps/N/LEAF" with --heap, for the process that `word` names. LEAF "": the process. */
enum ctl_exit request_path(const struct ctl *ctl, struct client *client, const char *word, const char *leaf,
                           char path[REQUEST_PATH_MAX]);

/* The same for a process of long ago, too, which is known by its whole id alone. */
enum ctl_exit request_path_past(const struct ctl *ctl, struct client *client, const char *word, const char *leaf,
                                char path[REQUEST_PATH_MAX]);

/* Appends "?NAME=VALUE" or "&NAME=VALUE", escaped; nothing where `value` is NULL. What does not fit leaves the path too
 * long for request_fits(). */
void request_add(char path[REQUEST_PATH_MAX], const char *name, const char *value);
void request_add_number(char path[REQUEST_PATH_MAX], const char *name, const struct ctl_number *number);
/* Appends a segment, "/VALUE", escaped. */
void request_add_segment(char path[REQUEST_PATH_MAX], const char *value);
/* "label=KEY:VALUE" of each --label. */
void request_add_labels(char path[REQUEST_PATH_MAX], const struct ctl_words *labels);

/* False, which is said: something that was added did not fit. */
bool request_fits(const char *path);

#endif
