/* Signals that a wait must notice: they set a mark, and make a descriptor readable. */
#ifndef TALLYCTL_WAKE_H
#define TALLYCTL_WAKE_H

#include <stdbool.h>

/* From here on SIGINT, SIGTERM, SIGHUP and SIGWINCH are marked instead of obeyed; a second SIGINT or SIGTERM ends the
 * program at once, unless the mark was taken meanwhile. */
void wake_catch(void);

/* Readable once a signal was marked; -1 before wake_catch(). */
int wake_fd(void);

/* Whether the program is to end. Stays so. */
bool wake_interrupted(void);

/* Takes what has made the descriptor readable. */
void wake_clear(void);

#endif
