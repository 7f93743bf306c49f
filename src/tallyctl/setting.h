/* SETTING=VALUE words, as the body of a change of configuration. What a value may be beyond its form is the
 * daemon's to say. */
#ifndef TALLYCTL_SETTING_H
#define TALLYCTL_SETTING_H

#include <jansson.h>
#include <stddef.h>

#include "tallyctl/tallyctl.h"

/* The body for `count` words; NULL: one is wrong, which has been said, or memory is short. Caller owns it. */
json_t *setting_body_new(char **words, int count);

/* The word of setting `at` (from 0), what its values are for people and, unless `words` is NULL, some of them with blanks
 * between. NULL: there are no more settings. */
const char *setting_word(size_t at, const char **values, const char **words);

#endif
