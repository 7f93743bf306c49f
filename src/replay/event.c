#include "replay/event.h"

#include <inttypes.h>
#include <stdlib.h>

#include "replay/lines.h"

/* True where the event needs its line. */
static bool note(struct events *events)
{
    events->any = true;
    return events->mode != EVENTS_COUNT;
}

static void line(struct events *events, const char *what, const struct label *label)
{
    text_add_string(&events->text, what);
    label_write(&events->text, label);
    text_add(&events->text, "\n", 1);
}

void event_finalize(struct events *events, const struct label *label)
{
    events->finalizers++;
    if (note(events))
        line(events, "finalize ", label);
}

void event_callback(struct events *events, const struct label *label)
{
    events->callbacks++;
    if (note(events))
        line(events, "callback ", label);
}

void event_deref(struct events *events, const struct label *self, struct name *asked,
                 const struct label *found)
{
    if (!note(events))
        return;
    struct text *text = &events->text;
    text_add_string(text, "in ");
    label_write(text, self);
    text_add_string(text, " deref ");
    label_write(text, &(struct label){asked, 1});
    text_add_string(text, " ");
    if (found)
        label_write(text, found);
    else
        text_add_string(text, "nil");
    text_add(text, "\n", 1);
}

void event_collected(struct events *events, const struct label *self, uint64_t collected)
{
    if (!note(events))
        return;
    text_add_string(&events->text, "in ");
    label_write(&events->text, self);
    text_add_string(&events->text, " collected ");
    text_add_number(&events->text, collected);
    text_add(&events->text, "\n", 1);
}

void event_collection(struct events *events, const struct tally_collection *info)
{
    if (!note(events))
        return;
    struct text *text = &events->text;
    text_add_string(text, info->stop ? "gc stop " : "gc start ");
    text_add_number(text, (uint64_t)info->generation);
    if (info->stop) {
        text_add_string(text, " collected ");
        text_add_number(text, info->collected);
        text_add_string(text, " uncollectable ");
        text_add_number(text, info->uncollectable);
    }
    text_add(text, "\n", 1);
}

static bool print_sorted(const struct text *text, FILE *out)
{
    size_t count;
    struct word *lines = text_sorted_lines(text, &count);
    if (!lines)
        return count == 0;
    for (size_t i = 0; i < count; i++)
        fwrite(lines[i].text, 1, lines[i].length + 1, out);
    free(lines);
    return true;
}

bool events_flush(struct events *events, FILE *out)
{
    if (!events->any)
        return true;
    bool done = !events->text.failed;
    if (events->mode == EVENTS_COUNT)
        fprintf(out, "events %" PRIu64 " %" PRIu64 "\n", events->finalizers, events->callbacks);
    else if (events->mode == EVENTS_EXACT)
        fwrite(events->text.data, 1, events->text.length, out);
    else
        done = print_sorted(&events->text, out) && done;
    text_clear(&events->text);
    events->any = false;
    events->finalizers = events->callbacks = 0;
    return done;
}
