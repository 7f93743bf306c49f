#include "replay/print.h"

#include <inttypes.h>
#include <stdlib.h>

#include "replay/lines.h"

const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

static void print_head(struct world *world, const char *what, struct word operand)
{
    fputs(what, world->out);
    putc(' ', world->out);
    fwrite(operand.text, 1, operand.length, world->out);
}

void print_string(struct world *world, const char *what, struct word operand, const char *answer)
{
    print_head(world, what, operand);
    fprintf(world->out, " %s\n", answer);
}

void print_number(struct world *world, const char *what, struct word operand, uint64_t answer)
{
    print_head(world, what, operand);
    fprintf(world->out, " %" PRIu64 "\n", answer);
}

enum reason print_label(struct world *world, const char *what, struct word operand, const void *object)
{
    struct text text = {.length = 0};
    if (object)
        label_write(&text, label_of(object));
    else
        text_add_string(&text, "nil");
    text_add(&text, "", 1);
    if (!text.failed)
        print_string(world, what, operand, text.data);
    text_free(&text);
    return text.failed ? REASON_MEMORY : REASON_NONE;
}

int labels_add(void *object, void *text)
{
    if (object) {
        label_write(text, label_of(object));
        text_add(text, "\n", 1);
    }
    return 0;
}

enum reason print_labels(struct world *world, const char *what, const struct word *operand,
                         struct text *labels)
{
    size_t count;
    struct word *lines = text_sorted_lines(labels, &count);
    bool done = !labels->failed && (lines || !count);
    if (done) {
        if (operand)
            print_head(world, what, *operand);
        else
            fputs(what, world->out);
        fprintf(world->out, " %zu", count);
        for (size_t i = 0; i < count; i++) {
            putc(' ', world->out);
            fwrite(lines[i].text, 1, lines[i].length, world->out);
        }
        putc('\n', world->out);
    }
    free(lines);
    text_free(labels);
    return done ? REASON_NONE : REASON_MEMORY;
}
