/* Answers: as they are for programs, laid out for people. */
#ifndef TALLYCTL_ANSWER_H
#define TALLYCTL_ANSWER_H

#include "tallyctl/client.h"

/* Lays an answer out for people. */
typedef void (*show_fn)(const struct paper *paper, const json_t *json);

/* Prints the answer: with --json its bytes on one line, else as `show` does. Flushed, so that what is written on stderr
 * stands behind it. */
void answer_print(const struct ctl *ctl, const struct client_reply *reply, show_fn show);

/* One line of JSON, in which DEL and C1 controls are escaped: they can stand in strings as they are, and a terminal would
 * obey them. */
void answer_line(FILE *to, const char *json);

/* The same of a value that tallyctl has made. */
void answer_json(FILE *to, const json_t *json);

/* Sends a request, which may take `wait_ms` longer than others, and prints the answer; `show` NULL: nothing of it is for
 * people. A path that something did not fit into is said. */
enum ctl_exit answer_call(const struct ctl *ctl, struct client *client, const char *method, const char *path,
                          const char *body, unsigned wait_ms, show_fn show);

/* The same with a client of its own. */
enum ctl_exit answer_send(const struct ctl *ctl, const char *method, const char *path, const char *body, show_fn show);

/* GET of `path`, printed. */
enum ctl_exit answer_get(const struct ctl *ctl, const char *path, show_fn show);

#endif
