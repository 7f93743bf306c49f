#include "tallyctl/setting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tallyctl/text.h"

static json_t *read_switch(const char *value)
{
    bool on = strcmp(value, "on") == 0;
    return on || strcmp(value, "off") == 0 ? json_boolean(on) : NULL;
}

static json_t *read_word(const char *value)
{
    return *value ? json_string(value) : NULL;
}

static json_t *read_pause(const char *value)
{
    uint64_t us = 0;
    bool good = strcmp(value, "none") == 0 || text_parse_pause(value, &us);
    return good ? json_integer((json_int_t)us) : NULL;
}

/* "none", "N", "decref" or "N,decref". */
static json_t *read_stress(const char *value)
{
    char number[16] = "0";
    unsigned nth = 0;
    bool none = strcmp(value, "none") == 0, decref = strcmp(value, "decref") == 0;
    size_t bytes = strcspn(value, ",");
    if (!none && !decref && bytes < sizeof number) {
        memcpy(number, value, bytes);
        number[bytes] = '\0';
        decref = strcmp(value + bytes, ",decref") == 0;
        if ((value[bytes] && !decref) || !text_parse_number(number, 1, INT32_MAX, &nth))
            return NULL;
    } else if (!none && !decref) {
        return NULL;
    }
    return json_pack("{s:i, s:b}", "nth", (int)nth, "every_decref", decref);
}

static json_t *read_bytes(const char *value)
{
    uint64_t bytes = 0;
    bool good = strcmp(value, "none") == 0 || text_parse_bytes(value, &bytes);
    return good ? json_integer((json_int_t)bytes) : NULL;
}

/* A list of what stands between commas; NULL where `make` refuses a part. */
static json_t *read_list(const char *value, json_t *(*make)(const char *part))
{
    json_t *list = json_array();
    char *copy = strdup(value), *rest = copy;
    bool good = list && copy;
    for (char *part = copy; good && part; part = rest) {
        part = strsep(&rest, ",");
        good = json_array_append_new(list, make(part)) == 0;
    }
    free(copy);
    if (!good) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *read_words(const char *value)
{
    return strcmp(value, "none") == 0 ? json_array() : read_list(value, read_word);
}

static json_t *number_make(const char *part)
{
    unsigned number;
    return text_parse_number(part, 0, INT32_MAX, &number) ? json_integer((json_int_t)number) : NULL;
}

static json_t *read_numbers(const char *value)
{
    return read_list(value, number_make);
}

static const struct setting {
    const char *word, *member;
    json_t *(*read)(const char *value);
    const char *words, *values;
} settings[] = {
#define CTL_SETTING(word, member, read, words, values) {word, member, read, words, values},
#include "tallyctl/settings.def"
#undef CTL_SETTING
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static const struct setting *setting_find(const char *word, size_t bytes)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strlen(settings[i].word) == bytes && strncmp(settings[i].word, word, bytes) == 0)
            return &settings[i];
    return NULL;
}

static void fail_unknown(const char *word, int bytes)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < SETTINGS && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, " %s", settings[i].word);
    ctl_fail(CTL_USAGE, "unknown setting '%.*s'; there are:%s", bytes, word, known);
}

/* Adds one; false: it is wrong, which has been said. */
static bool setting_add(json_t *body, const char *word)
{
    const char *equals = strchr(word, '=');
    const struct setting *setting = equals ? setting_find(word, (size_t)(equals - word)) : NULL;
    if (!equals)
        ctl_fail(CTL_USAGE, "a setting is SETTING=VALUE, not '%s': tallyctl help lists them", word);
    else if (!setting)
        fail_unknown(word, (int)(equals - word));
    else if (json_object_get(body, setting->member))
        ctl_fail(CTL_USAGE, "%s is set twice", setting->word);
    else if (json_object_set_new(body, setting->member, setting->read(equals + 1)) != 0)
        ctl_fail(CTL_USAGE, "%s takes %s, not '%s'", setting->word, setting->values, equals + 1);
    else
        return true;
    return false;
}

json_t *setting_body_new(char **words, int count)
{
    json_t *body = json_object();
    for (int i = 0; i < count && body; i++)
        if (!setting_add(body, words[i])) {
            json_decref(body);
            return NULL;
        }
    return body;
}

const char *setting_word(size_t at, const char **values, const char **words)
{
    if (at >= SETTINGS)
        return NULL;
    *values = settings[at].values;
    if (words)
        *words = settings[at].words;
    return settings[at].word;
}
