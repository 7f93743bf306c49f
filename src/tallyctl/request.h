/* Paths of the API's sub-tree of one process, or one heap of it. */
#ifndef TALLYCTL_REQUEST_H
#define TALLYCTL_REQUEST_H

#include "tallyctl/client.h"

#define REQUEST_PATH_MAX 256

/* "/v1/processes/ID/LEAF", or ".../heaps/N/LEAF" with --heap, for the process the first argument names. */
enum ctl_exit request_path(const struct ctl *ctl, struct client *client, const char *leaf,
                           char path[REQUEST_PATH_MAX]);

#endif
