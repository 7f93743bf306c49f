/* completion: what a word may become, by the tables and by what tallyd knows. */
#include <stdlib.h>
#include <string.h>

#include "tallyctl/client.h"
#include "tallyctl/complain.h"
#include "tallyctl/form.h"
#include "tallyctl/option.h"
#include "tallyctl/request.h"
#include "tallyctl/setting.h"
#include "tallyctl/text.h"

/* readline takes = and : for ends of words: what stands before the last of them is there already. Words that bash would
 * read as more than themselves are never offered. */
static const char script[] =
    "# bash completion of tallyctl: eval \"$(tallyctl completion bash)\"\n"
    "_tallyctl()\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words word current before\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    current=${words[-1]}\n"
    "    before=\n"
    "    [[ $current == *[=:]* ]] && before=${current%\"${current##*[=:]}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r word; do\n"
    "        if [[ $word == //files ]]; then\n"
    "            compopt -o default 2>/dev/null\n"
    "        elif [[ $word == \"$current\"* ]]; then\n"
    "            [[ $word == *= ]] && compopt -o nospace 2>/dev/null\n"
    "            COMPREPLY+=(\"${word#\"$before\"}\")\n"
    "        fi\n"
    "    done < <(\"${words[0]}\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _tallyctl tallyctl\n";

enum ctl_exit command_completion_bash(const struct ctl *ctl)
{
    fputs(script, ctl->paper.to);
    return CTL_DONE;
}

/* Names are untrusted, and what is offered may stand on a command line that somebody sends off. */
static bool is_plain(const char *word)
{
    return *word && *word != '-' && *word != '~' &&
           word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+,:@%/=-")] == '\0';
}

static void offer(const struct ctl *ctl, const char *word)
{
    fprintf(ctl->paper.to, "%s\n", word);
}

/* Each of the words between which blanks stand, with `before` in front of it. */
static void offer_words(const struct ctl *ctl, const char *before, const char *words, char between)
{
    char separators[] = {between, '\0'};
    while (*words) {
        size_t bytes = strcspn(words, separators);
        fprintf(ctl->paper.to, "%s%.*s\n", before, (int)bytes, words);
        words += bytes + (words[bytes] != '\0');
    }
}

/* ---- what tallyd knows */

#define PATIENCE_MS 1000u /* somebody has pressed Tab */

static struct client *open_new(const struct ctl *ctl)
{
    struct client *client = NULL;
    if (client_open(ctl, &client) == CTL_DONE)
        client_be_brief(client, PATIENCE_MS);
    return client;
}

static json_t *ask(const struct ctl *ctl, const char *path)
{
    struct client *client = open_new(ctl);
    struct client_reply reply;
    json_t *json = NULL;
    if (client && client_call(client, "GET", path, NULL, 0, &reply) == CTL_DONE) {
        json = json_incref(reply.json);
        client_reply_fini(&reply);
    }
    client_close(client);
    return json;
}

/* A member of each row of a list; else, where it is not plain, the beginning of another one. */
static void offer_list(const struct ctl *ctl, const char *path, const char *list, const char *member, const char *otherwise,
                       const char *before)
{
    json_t *json = ask(ctl, path), *row;
    size_t i;
    json_array_foreach(json_object_get(json, list), i, row) {
        const char *word = client_text(row, member), *other = otherwise ? client_text(row, otherwise) : "";
        if (is_plain(word))
            fprintf(ctl->paper.to, "%s%s\n", before, word);
        else if (is_plain(other))
            fprintf(ctl->paper.to, "%s%.8s\n", before, other);
    }
    json_decref(json);
}

/* Types of the process that the first value of the words names, of an artifact for that command; else of none. */
static void offer_types(const struct ctl *ctl, char *const *words, int count)
{
    char path[REQUEST_PATH_MAX];
    if (count < 2)
        return;
    if (strcmp(words[0], "artifact") == 0) {
        snprintf(path, sizeof path, "/v1/artifacts");
        request_add_segment(path, words[1]);
        request_add_segment(path, "types");
        if (request_fits(path))
            offer_list(ctl, path, "types", "type", NULL, "");
        return;
    }
    const char *process = strcmp(words[0], "tail") == 0 && count > 2 ? words[2] : words[1];
    struct client *client = open_new(ctl);
    if (client && request_path(ctl, client, process, "types?limit=1000", path) == CTL_DONE)
        offer_list(ctl, path, "types", "name", NULL, "");
    client_close(client);
}

static void offer_settings(const struct ctl *ctl, const char *current)
{
    const char *values, *words, *word;
    for (size_t i = 0; (word = setting_word(i, &values, &words)); i++) {
        char before[64];
        snprintf(before, sizeof before, "%s=", word);
        if (strncmp(current, before, strlen(before)) == 0)
            offer_words(ctl, before, words, ' ');
        else
            offer(ctl, before);
    }
}

static void offer_commands(const struct ctl *ctl, bool looking)
{
    const char *last = "";
    for (size_t i = 0; i < form_count; i++)
        if (forms[i].word && strcmp(forms[i].word, last) && (!looking || forms[i].does == LOOKS))
            offer(ctl, last = forms[i].word);
}

/* ---- which of it stands here */

/* Lists of tallyd's whose rows a value may be. */
static const struct {
    const char *slots, *path, *list, *member, *otherwise, *before;
} sources[] = {{"PROCESS AGE|PROCESS|all", "/v1/processes?limit=1000", "processes", "name", "id", ""},
               {"A B", "/v1/processes?limit=1000", "processes", "name", "id", "now:"},
               {"A B ARTIFACT", "/v1/artifacts", "artifacts", "id", NULL, ""},
               {"A B BASELINE", "/v1/baselines", "baselines", "id", NULL, ""},
               {"RULE", "/v1/rules", "rules", "name", NULL, ""},
               {"OPERATION", "/v1/operations", "operations", "id", NULL, ""},
               {"TOKEN", "/v1/tokens", "tokens", "name", NULL, ""}};

/* words: the command and what stands behind it, without options; the last one is to be completed. */
static void offer_value(const struct ctl *ctl, const char *at, size_t bytes, char *const *words, int count)
{
    char slot[256];
    snprintf(slot, sizeof slot, "%.*s", (int)bytes, at);
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (text_has_word(sources[i].slots, ' ', slot))
            offer_list(ctl, sources[i].path, sources[i].list, sources[i].member, sources[i].otherwise, sources[i].before);
    if (strcmp(slot, "AGE|PROCESS|all") == 0)
        offer(ctl, "all");
    else if (strcmp(slot, "TYPE") == 0)
        offer_types(ctl, words, count);
    else if (strcmp(slot, "SETTING=VALUE") == 0)
        offer_settings(ctl, words[count - 1]);
    else if (strcmp(slot, "GENERATION") == 0)
        offer_words(ctl, "", "0 1 2", ' ');
    else if (strcmp(slot, "COMMAND") == 0)
        offer_commands(ctl, strcmp(words[0], "watch") == 0);
    else if (strcmp(slot, "FILE") == 0)
        offer(ctl, "//files");
    else if (*slot >= 'a' && *slot <= 'z')
        offer_words(ctl, "", slot, '|');
}

/* Arguments of all forms that fit so far, each once. */
static void offer_arguments(const struct ctl *ctl, char *const *words, int count)
{
    const char *done[16];
    size_t done_bytes[16], known = 0;
    if (strcmp(words[0], "watch") == 0 && count > 2) {
        offer_arguments(ctl, words + 1, count - 1);
        return;
    }
    for (size_t i = 0; i < form_count; i++) {
        const char *slot;
        if (!forms[i].word || strcmp(forms[i].word, words[0]))
            continue;
        size_t bytes = form_next(forms[i].arguments, words + 1, count - 2, &slot);
        bool again = !bytes;
        for (size_t k = 0; k < known && !again; k++)
            again = done_bytes[k] == bytes && memcmp(done[k], slot, bytes) == 0;
        if (again || known == 16)
            continue;
        done[known] = slot;
        done_bytes[known++] = bytes;
        offer_value(ctl, slot, bytes, words, count);
    }
}

static void offer_options(const struct ctl *ctl, const char *command)
{
    for (size_t i = 0; i < option_count; i++)
        if (command ? option_is_of(&option_rows[i], command) : !*option_rows[i].commands)
            fprintf(ctl->paper.to, "--%s\n", option_rows[i].word);
}

/* The option that a word is, and takes a value; NULL: none. */
static const struct option_row *option_of(const char *word)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *row = &option_rows[i];
        char letter[] = {'-', row->letter < 256 ? (char)row->letter : '\0', '\0'};
        if (row->argument &&
            ((strncmp(word, "--", 2) == 0 && strcmp(word + 2, row->word) == 0) || (letter[1] && strcmp(word, letter) == 0)))
            return row;
    }
    return NULL;
}

static void offer_option_value(const struct ctl *ctl, const struct option_row *row, char *const *words, int count)
{
    if (row->allowed && strchr(row->allowed, '|'))
        offer_words(ctl, "", row->allowed, '|');
    else if (strcmp(row->argument, "DIR") == 0)
        offer(ctl, "//files");
    else
        offer_value(ctl, row->argument, strlen(row->argument), words, count);
}

enum ctl_exit command_completion_words(const struct ctl *ctl)
{
    char *words[FORM_VALUES_MAX];
    int count = 0, last = ctl->argument_count - 1;
    struct ctl quiet = *ctl;
    FILE *nowhere = fopen("/dev/null", "we"), *complaints = nowhere ? complain_to(nowhere) : NULL;
    const struct option_row *option = last > 0 ? option_of(ctl->arguments[last - 1]) : NULL;
    for (int i = 0; i < last; i++) {
        const struct option_row *row = option_of(ctl->arguments[i]);
        if (row && i + 1 < last && !strcmp(row->word, "runtime-dir"))
            quiet.runtime_dir = ctl->arguments[i + 1];
        if (row)
            i++; /* and its value */
        else if (*ctl->arguments[i] != '-')
            words[count++] = ctl->arguments[i];
    }
    words[count++] = ctl->arguments[last];
    if (option)
        offer_option_value(&quiet, option, words, count);
    else if (*ctl->arguments[last] == '-')
        offer_options(&quiet, count > 1 ? words[0] : NULL);
    else if (count == 1)
        offer_commands(&quiet, false);
    else
        offer_arguments(&quiet, words, count);
    if (nowhere) {
        complain_to(complaints);
        fclose(nowhere);
    }
    return CTL_DONE;
}
