#include "tallyctl/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/client.h"
#include "tallyctl/text.h"

static int64_t integer(const json_t *object, const char *path)
{
    return json_integer_value(client_member(object, path));
}

static void add(struct verdict *verdict, const char *figure, const struct ctl_number *limit, int64_t value)
{
    if (!limit->given)
        return;
    bool holds = value <= 0 || (uint64_t)value <= limit->value;
    verdict->checks[verdict->count++] = (struct judge_check){figure, limit->value, value, holds};
    verdict->holds = verdict->holds && holds;
}

static bool has_no_row(const json_t *stats)
{
    uint64_t without = client_number(stats, "types_without_row");
    size_t i;
    json_t *heap;
    json_array_foreach(json_object_get(stats, "heaps"), i, heap)
        without += client_number(heap, "types_without_row");
    return without != 0;
}

bool judge_is_blind(const json_t *stats)
{
    return !strcmp(client_text(stats, "state"), "gone") && !client_number(stats, "allocations") &&
           !json_array_size(json_object_get(stats, "heaps"));
}

struct verdict judge(const struct ctl *ctl, const json_t *stats, const json_t *types)
{
    struct verdict verdict = {.of = ctl->type ? ctl->type : "all types",
                              .holds = true,
                              .known = !ctl->type,
                              .understated = ctl->type && has_no_row(stats),
                              .gone = !strcmp(client_text(stats, "state"), "gone")};
    int64_t live = 0, bytes = 0, growth = 0;
    size_t i;
    json_t *type;
    json_array_foreach((json_t *)types, i, type) {
        bool wanted = !ctl->type || strcmp(client_text(type, "name"), ctl->type) == 0;
        verdict.known |= wanted;
        if (!wanted)
            continue;
        live += integer(type, "live_objects");
        bytes += integer(type, "live_bytes");
        growth += integer(type, "since_baseline.live_objects");
    }
    if (!ctl->type) { /* those without a row are among them */
        live = integer(stats, "live_objects");
        bytes = integer(stats, "live_bytes");
    }
    add(&verdict, "live objects", &ctl->max_live, live);
    add(&verdict, "live bytes", &ctl->max_bytes, bytes);
    add(&verdict, "live objects more than at the baseline", &ctl->max_growth, growth);
    return verdict;
}

char *judge_sentence_dup(const struct verdict *verdict)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    if (!to)
        return NULL;
    fprintf(to, "%s: ", verdict->of);
    for (unsigned i = 0; i < verdict->count; i++)
        fprintf(to, "%s%" PRId64 " %s, at most %" PRIu64, i ? "; " : "", verdict->checks[i].value,
                verdict->checks[i].figure, verdict->checks[i].limit);
    fputs(verdict->known ? "" : " (no object of this type was ever seen: is that its name?)", to);
    fputs(verdict->understated ? " (some types have no row of their own: there may be more)" : "", to);
    fputs(verdict->gone ? " (the last figures: it has ended)" : "", to);
    fclose(to);
    return text;
}

json_t *judge_json(const struct verdict *verdict, const char *process)
{
    json_t *checks = json_array();
    for (unsigned i = 0; i < verdict->count; i++)
        json_array_append_new(checks, json_pack("{s:s, s:I, s:I, s:b}", "figure", verdict->checks[i].figure, "limit",
                                                (json_int_t)verdict->checks[i].limit, "value",
                                                (json_int_t)verdict->checks[i].value, "holds", verdict->checks[i].holds));
    return json_pack("{s:b, s:s, s:s, s:b, s:b, s:b, s:o}", "holds", verdict->holds, "process", process, "of", verdict->of,
                     "known", verdict->known, "understated", verdict->understated, "gone", verdict->gone, "checks", checks);
}

/* Text of XML 1.0, in which no control character may stand, however it is written. */
static void xml(FILE *to, const char *text)
{
    char *escaped = text_escape_dup(text);
    for (const char *at = escaped; at && *at; at++)
        switch (*at) {
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        case '&': fputs("&amp;", to); break;
        case '"': fputs("&quot;", to); break;
        default: putc(*at, to);
        }
    free(escaped);
}

static void case_begin(FILE *to, const char *process, double seconds)
{
    fputs("  <testcase classname=\"tallyctl.assert.", to);
    xml(to, process);
    fprintf(to, "\" time=\"%.3f\" name=\"", seconds);
}

void judge_junit(FILE *to, const struct verdict *verdict, const char *process, const char *error, double seconds)
{
    unsigned failures = 0;
    for (unsigned i = 0; i < verdict->count; i++)
        failures += !verdict->checks[i].holds;
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"tallyctl assert\" tests=\"%u\" failures=\"%u\" "
            "errors=\"%d\" time=\"%.3f\">\n",
            error ? 1 : verdict->count, failures, error != NULL, seconds);
    for (unsigned i = 0; i < verdict->count; i++) {
        const struct judge_check *check = &verdict->checks[i];
        case_begin(to, process, seconds);
        xml(to, verdict->of);
        fprintf(to, ": at most %" PRIu64 " %s\"", check->limit, check->figure);
        if (check->holds)
            fputs("/>\n", to);
        else
            fprintf(to, "><failure message=\"%" PRId64 " %s, at most %" PRIu64 "\"/></testcase>\n", check->value,
                    check->figure, check->limit);
    }
    if (error) {
        case_begin(to, process, seconds);
        fputs("judged\"><error message=\"", to);
        xml(to, error);
        fputs("\"/></testcase>\n", to);
    }
    fputs("</testsuite>\n", to);
}
