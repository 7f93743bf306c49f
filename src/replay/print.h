/* The forms in which queries answer. */
#ifndef TALLY_REPLAY_PRINT_H
#define TALLY_REPLAY_PRINT_H

#include "replay/world.h"

const char *yes_no(bool yes);
/* `WHAT OPERAND ANSWER`, the operand as it was written. */
void print_string(struct world *world, const char *what, struct word operand, const char *answer);
void print_number(struct world *world, const char *what, struct word operand, uint64_t answer);
/* The answer is the object's label, or nil for NULL. */
enum reason print_label(struct world *world, const char *what, struct word operand, const void *object);

/* A tally_object_fn: notes the object's label in a struct text. */
int labels_add(void *object, void *text);
/* `WHAT [OPERAND] COUNT LABEL...`, sorted; frees the text. */
enum reason print_labels(struct world *world, const char *what, const struct word *operand,
                         struct text *labels);

#endif
