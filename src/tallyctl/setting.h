/* SETTING=VALUE words, as the body of a change of configuration. What a value may be beyond its form is the
 * daemon's to say. */
#ifndef TALLYCTL_SETTING_H
#define TALLYCTL_SETTING_H

#include <jansson.h>

#include "tallyctl/tallyctl.h"

/* The body for `count` words; NULL: one is wrong, which has been said, or memory is short. Caller owns it. */
json_t *setting_body_new(char **words, int count);

/* Calls `print` with each setting and what it takes. */
void setting_each(void (*print)(const char *word, const char *values));

#endif
