#include "tallyctl/request.h"

#include <string.h>

#include "tallyctl/match.h"

static bool is_id(const char *word)
{
    return strlen(word) == 32 && word[strspn(word, "0123456789abcdef")] == '\0';
}

static enum ctl_exit path_of(const struct ctl *ctl, const char *id, const char *leaf, char path[REQUEST_PATH_MAX])
{
    const char *slash = *leaf && *leaf != '?' ? "/" : "";
    int length = ctl->heap.given ? snprintf(path, REQUEST_PATH_MAX, "/v1/processes/%s/heaps/%u%s%s", id,
                                            (unsigned)ctl->heap.value, slash, leaf)
                                 : snprintf(path, REQUEST_PATH_MAX, "/v1/processes/%s%s%s", id, slash, leaf);
    return length < REQUEST_PATH_MAX ? CTL_DONE : ctl_fail(CTL_USAGE, "that is too long");
}

enum ctl_exit request_path(const struct ctl *ctl, struct client *client, const char *word, const char *leaf,
                           char path[REQUEST_PATH_MAX])
{
    json_t *process = NULL;
    enum ctl_exit status = match_one(client, word, &process);
    if (status != CTL_DONE)
        return status;
    const char *id = client_text(process, "id");
    status =
        is_id(id) ? path_of(ctl, id, leaf, path) : ctl_fail(CTL_FAILED, "the daemon lists a process without a proper id");
    json_decref(process);
    return status;
}

enum ctl_exit request_path_past(const struct ctl *ctl, struct client *client, const char *word, const char *leaf,
                                char path[REQUEST_PATH_MAX])
{
    return is_id(word) ? path_of(ctl, word, leaf, path) : request_path(ctl, client, word, leaf, path);
}

/* A path that is full to its last byte is one that something did not fit into. */
static void append(char *path, const char *text, bool escape)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~,:";
    size_t at = strlen(path);
    for (; *text && at + 4 < REQUEST_PATH_MAX; text++)
        at += (size_t)snprintf(path + at, REQUEST_PATH_MAX - at, !escape || strchr(plain, *text) ? "%c" : "%%%02X",
                               (unsigned char)*text);
    if (*text) {
        memset(path + at, '-', REQUEST_PATH_MAX - 1 - at);
        path[REQUEST_PATH_MAX - 1] = '\0';
    }
}

void request_add(char path[REQUEST_PATH_MAX], const char *name, const char *value)
{
    if (!value)
        return;
    append(path, strchr(path, '?') ? "&" : "?", false);
    append(path, name, false);
    append(path, "=", false);
    append(path, value, true);
}

void request_add_number(char path[REQUEST_PATH_MAX], const char *name, const struct ctl_number *number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number->value);
    request_add(path, name, number->given ? text : NULL);
}

void request_add_segment(char path[REQUEST_PATH_MAX], const char *value)
{
    append(path, "/", false);
    append(path, value, true);
}

void request_add_labels(char path[REQUEST_PATH_MAX], const struct ctl_words *labels)
{
    for (unsigned i = 0; i < labels->count; i++) {
        char pair[CTL_LABEL_MAX + 1];
        snprintf(pair, sizeof pair, "%s", labels->words[i]);
        *strchr(pair, '=') = ':'; /* its reader saw that there is one */
        request_add(path, "label", pair);
    }
}

bool request_fits(const char *path)
{
    if (strlen(path) + 1 < REQUEST_PATH_MAX)
        return true;
    ctl_fail(CTL_USAGE, "that is too long");
    return false;
}
