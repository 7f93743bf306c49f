/* Which process a word of the command line means. */
#ifndef TALLYCTL_MATCH_H
#define TALLYCTL_MATCH_H

#include <jansson.h>
#include <stddef.h>

#include "tallyctl/client.h"

/* An id's beginning shorter than this is taken for a name. */
#define MATCH_PREFIX_MIN 6

/* The processes of the list that `word` names: by id, else by pid, else by name, else by the beginning of an
 * id; among these live ones before those that are gone. Fills up to `room` borrowed candidates; returns how
 * many there are. */
size_t match_processes(const json_t *list, const char *word, const json_t **candidates, size_t room);

/* Finds the one process; says on stderr who could be meant, or that nobody is. *process: a new reference. */
enum ctl_exit match_one(struct client *client, const char *word, json_t **process);

/* The ids of the live processes that the words name, of each one, are appended to *ids, a list; else as match_one(). */
enum ctl_exit match_ids(struct client *client, const struct ctl_words *words, json_t *ids);

#endif
