/* What other commands need of artifacts. */
#ifndef TALLYCTL_ARTIFACT_H
#define TALLYCTL_ARTIFACT_H

#include "tallyctl/client.h"

/* Waits until tallyd has worked through the artifact `id`, with a line on the terminal that says how far it is. CTL_DONE: it
 * may be read. CTL_INTERRUPTED: by Ctrl-C, and nothing is said. Else it has said why on stderr: there is none of that id, or its
 * analysis failed. One thread; borrows both. */
enum ctl_exit artifact_until_ready(struct client *client, const char *id);

#endif
