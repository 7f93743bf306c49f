/* Following an operation to its end. */
#ifndef TALLYCTL_OPERATION_H
#define TALLYCTL_OPERATION_H

#include "tallyctl/client.h"

#define OPERATION_WAIT_MS 5000u /* without --wait */

/* Whether an answer is an operation, and whether it has ended. */
bool operation_is(const json_t *json);
bool operation_is_over(const json_t *operation);

/* Called while it is waited for, with what is known of it. */
typedef void (*operation_progress_fn)(void *arg, const json_t *operation);

/* Sends a request that makes an operation, and waits until it has ended, `wait_ms` at most. Ctrl-C cancels it: then what
 * became of it is said, and the status is CTL_INTERRUPTED. *reply is the answer, or the operation as it is now.
 * progress: NULL, or called now and then. */
enum ctl_exit operation_run(struct client *client, const char *method, const char *path, const char *body, uint64_t wait_ms,
                            operation_progress_fn progress, void *arg, struct client_reply *reply);

/* Says what became of an operation that did not succeed, and returns the status for it. */
enum ctl_exit operation_outcome(const json_t *operation);

#endif
