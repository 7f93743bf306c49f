#include "tallyctl/match.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tallyctl/table.h"
#include "tallyctl/text.h"

#define ID_DIGITS 32
#define SHOWN_MAX 16

typedef bool (*means_fn)(const json_t *process, const char *word);

static bool means_id(const json_t *process, const char *word)
{
    return strlen(word) == ID_DIGITS && strcasecmp(client_text(process, "id"), word) == 0;
}

static bool means_pid(const json_t *process, const char *word)
{
    unsigned pid = 0;
    return text_parse_number(word, 1, 0x7FFFFFFF, &pid) && client_number(process, "pid") == pid;
}

static bool means_name(const json_t *process, const char *word)
{
    return *word && strcmp(client_text(process, "name"), word) == 0;
}

static bool means_prefix(const json_t *process, const char *word)
{
    size_t length = strlen(word);
    return length >= MATCH_PREFIX_MIN && length < ID_DIGITS &&
           strncasecmp(client_text(process, "id"), word, length) == 0;
}

static bool is_live(const json_t *process)
{
    return strcmp(client_text(process, "state"), "live") == 0;
}

static size_t select_by(const json_t *list, means_fn means, const char *word, bool live,
                        const json_t **candidates, size_t room)
{
    size_t count = 0, i;
    json_t *process;
    json_array_foreach((json_t *)list, i, process) {
        if (is_live(process) != live || !means(process, word))
            continue;
        if (count < room)
            candidates[count] = process;
        count++;
    }
    return count;
}

size_t match_processes(const json_t *list, const char *word, const json_t **candidates, size_t room)
{
    static const means_fn ways[] = {means_id, means_pid, means_name, means_prefix};
    for (size_t i = 0; i < 2 * (sizeof ways / sizeof ways[0]); i++) {
        size_t count = select_by(list, ways[i / 2], word, i % 2 == 0, candidates, room);
        if (count)
            return count;
    }
    return 0;
}

static enum ctl_exit ambiguous(const char *word, const json_t **candidates, size_t count)
{
    static const char *const headings[] = {"  ID", ">PID", "NAME", "STATE", "ENDED"};
    ctl_fail(CTL_AMBIGUOUS, "'%s' names %zu processes; say which by id or pid:", word, count);
    struct table *table = table_new(headings, 5);
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++) {
        table_cell(table, "  %s", client_text(candidates[i], "id"));
        table_cell(table, "%llu", (unsigned long long)client_number(candidates[i], "pid"));
        table_cell(table, "%s", client_text(candidates[i], "name"));
        table_cell(table, "%s", client_text(candidates[i], "state"));
        table_cell(table, "%s", client_text(candidates[i], "gone_at"));
    }
    table_print_free(table, &(struct paper){.to = stderr});
    return CTL_AMBIGUOUS;
}

/* The one of the list that `word` names, borrowed; said where there is none such. */
static enum ctl_exit pick(const json_t *list, const char *word, const json_t **process)
{
    const json_t *candidates[SHOWN_MAX];
    size_t count = match_processes(list, word, candidates, SHOWN_MAX);
    if (count == 0)
        return ctl_fail(CTL_NO_PROCESS, "no process '%s': see tallyctl list, or tallyctl doctor PID", word);
    if (count > 1)
        return ambiguous(word, candidates, count);
    *process = candidates[0];
    return CTL_DONE;
}

enum ctl_exit match_one(struct client *client, const char *word, json_t **process)
{
    struct client_reply reply;
    const json_t *found = NULL;
    enum ctl_exit status = client_processes(client, "", &reply);
    if (status != CTL_DONE)
        return status;
    status = pick(json_object_get(reply.json, "processes"), word, &found);
    if (status == CTL_DONE)
        *process = json_incref((json_t *)found);
    client_reply_fini(&reply);
    return status;
}

enum ctl_exit match_ids(struct client *client, const struct ctl_words *words, json_t *ids)
{
    struct client_reply reply;
    const json_t *found = NULL;
    enum ctl_exit status = client_processes(client, "", &reply);
    if (status != CTL_DONE)
        return status;
    for (unsigned i = 0; i < words->count && status == CTL_DONE; i++) {
        status = pick(json_object_get(reply.json, "processes"), words->words[i], &found);
        if (status == CTL_DONE && !is_live(found))
            status = ctl_fail(CTL_GONE, "'%s' has ended", words->words[i]);
        if (status == CTL_DONE)
            json_array_append(ids, json_object_get(found, "id"));
    }
    client_reply_fini(&reply);
    return status;
}
