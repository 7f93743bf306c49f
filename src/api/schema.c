/* The schemas of src/api/schemas: JSON Schema 2020-12, each file an object of NAME to schema. Two things are woven in
 * when they are loaded, so that no file repeats another:
 *   "x-members": ["NAME", …]   takes over the properties (and what is required) of other schemas; "Figures" stands for
 *                              the rows of stats/fields.def
 *   "required"                 where an object says nothing, it has all of its properties but those of "x-optional"
 * Bodies are held against them with the part of JSON Schema that they need: $ref, type, enum, const, minimum, maximum,
 * minLength, maxLength, pattern (POSIX extended), items, minItems, maxItems, uniqueItems, properties, required,
 * additionalProperties, propertyNames, minProperties, maxProperties, oneOf. What says nothing about
 * additionalProperties allows none. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/files.h"
#include "api/private.h"
#include "base/utf8.h"

/* ---- loading */

/* The object schema at a path like "frees.cycle", made where it is missing. Returns its property's place. */
static json_t *object_below(json_t *schema, const char *name)
{
    json_t *properties = json_object_get(schema, "properties"), *object = json_object_get(properties, name);
    if (!object) {
        object = json_pack("{s:s, s:{}}", "type", "object", "properties");
        json_object_set_new(properties, name, object);
    }
    return object;
}

static void figure_add(json_t *schema, const char *path, const char *help)
{
    const char *dot = strchr(path, '.');
    char parent[32];
    if (dot) {
        snprintf(parent, sizeof parent, "%.*s", (int)(dot - path), path);
        schema = object_below(schema, parent);
    }
    json_object_set_new(json_object_get(schema, "properties"), dot ? dot + 1 : path,
                        json_pack("{s:s, s:i, s:s}", "type", "integer", "minimum", 0, "description", help));
}

static json_t *figures_new(void)
{
    json_t *schema = json_pack("{s:s, s:{}}", "type", "object", "properties");
#define STATS_FIELD(member, path, kind, unit, label, help) figure_add(schema, path, help);
#include "stats/fields.def"
#undef STATS_FIELD
    return schema;
}

static bool array_has(const json_t *array, const char *word)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!strcmp(json_string_value(json_array_get(array, i)), word))
            return true;
    return false;
}

/* Takes over what x-members names; a property of its own with the same name adds to the other's. */
static void members_weave(json_t *schemas, json_t *schema)
{
    json_t *from = json_incref(json_object_get(schema, "x-members"));
    json_object_del(schema, "x-members");
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *other = json_object_get(schemas, json_string_value(json_array_get(from, i)));
        if (json_object_get(other, "x-members"))
            members_weave(schemas, other);
        json_t *properties = json_deep_copy(json_object_get(other, "properties"));
        json_object_update_recursive(properties, json_object_get(schema, "properties"));
        json_object_set_new(schema, "properties", properties);
        json_t *optional = json_object_get(other, "x-optional");
        if (optional && !json_object_get(schema, "x-optional"))
            json_object_set_new(schema, "x-optional", json_array());
        if (optional)
            json_array_extend(json_object_get(schema, "x-optional"), optional);
    }
    json_decref(from);
}

/* Everything below: what it requires. */
static void required_weave(json_t *schema)
{
    const char *name;
    json_t *part, *properties = json_object_get(schema, "properties");
    size_t at;
    if (json_is_array(schema))
        json_array_foreach(schema, at, part) required_weave(part);
    json_object_foreach(schema, name, part) required_weave(part);
    if (!json_is_object(properties) || !json_is_string(json_object_get(schema, "type")))
        return;
    if (!json_object_get(schema, "required")) {
        json_t *required = json_array();
        json_object_foreach(properties, name, part)
            if (!array_has(json_object_get(schema, "x-optional"), name))
                json_array_append_new(required, json_string(name));
        json_object_set_new(schema, "required", required);
    }
    json_object_del(schema, "x-optional");
}

json_t *schemas_load(void)
{
    json_t *schemas = json_object(), *schema;
    const char *name;
    json_object_set_new(schemas, "Figures", figures_new());
    for (size_t i = 0; i < schema_file_count; i++) {
        const struct embedded_file *file = &schema_files[i];
        json_t *some = json_loadb(file->start, (size_t)(file->end - file->start), JSON_REJECT_DUPLICATES, NULL);
        if (!some || json_object_update_missing(schemas, some)) {
            json_decref(some);
            json_decref(schemas);
            return NULL;
        }
        json_decref(some);
    }
    json_object_foreach(schemas, name, schema) members_weave(schemas, schema);
    required_weave(schemas);
    return schemas;
}

/* ---- checking */

struct check {
    const json_t *schemas;
    struct fault *fault; /* its pointer grows and shrinks with the path */
    char path[96];       /* of the member, "" at the top */
};

static bool value_check(struct check *check, const json_t *schema, const json_t *value);

/* "member "a.b[2]" …": what is wrong with it. Returns false. */
static bool wrong(const struct check *check, const char *what, const char *allowed)
{
    struct fault *fault = check->fault;
    if (*check->path)
        snprintf(fault->detail, sizeof fault->detail, "member \"%s\" %s%s", check->path, what, allowed);
    else
        snprintf(fault->detail, sizeof fault->detail, "the body %s%s", what, allowed);
    return false;
}

/* The value as JSON, cut to the room. */
static void text_of(const json_t *value, char *out, size_t bytes)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(out, bytes, "%s", text ? text : "");
    free(text);
}

static bool type_fits(const char *type, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return !strcmp(type, "object");
    case JSON_ARRAY:
        return !strcmp(type, "array");
    case JSON_STRING:
        return !strcmp(type, "string");
    case JSON_INTEGER:
        return !strcmp(type, "integer") || !strcmp(type, "number");
    case JSON_REAL:
        return !strcmp(type, "number");
    case JSON_TRUE:
    case JSON_FALSE:
        return !strcmp(type, "boolean");
    case JSON_NULL:
        return !strcmp(type, "null");
    }
    return false;
}

static bool type_check(const struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *type = json_object_get(schema, "type");
    char words[64] = "";
    bool fits = !type || (json_is_string(type) && type_fits(json_string_value(type), value));
    for (size_t i = 0; i < json_array_size(type) && !fits; i++)
        fits = type_fits(json_string_value(json_array_get(type, i)), value);
    if (!fits)
        text_of(type, words, sizeof words);
    return fits || wrong(check, "is not allowed: its type must be ", words);
}

static bool enum_check(const struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *allowed = json_object_get(schema, "enum"), *constant = json_object_get(schema, "const");
    char words[120];
    bool fits = !allowed;
    for (size_t i = 0; i < json_array_size(allowed) && !fits; i++)
        fits = json_equal(json_array_get(allowed, i), value);
    fits &= !constant || json_equal(constant, value);
    if (fits)
        return true;
    text_of(allowed ? allowed : constant, words, sizeof words);
    return wrong(check, allowed ? "is not allowed: it must be one of " : "is not allowed: it must be ", words);
}

/* Within [low, high] of two keywords, each where it stands. */
static bool range_check(const struct check *check, const json_t *schema, const char *low, const char *high, double value,
                        const char *what)
{
    const json_t *least = json_object_get(schema, low), *most = json_object_get(schema, high);
    char from[32] = "0", to[32] = "any", range[80];
    if ((!least || value >= json_number_value(least)) && (!most || value <= json_number_value(most)))
        return true;
    if (least)
        text_of(least, from, sizeof from);
    if (most)
        text_of(most, to, sizeof to);
    if (!strcmp(from, to))
        snprintf(range, sizeof range, "%s%s", from, what);
    else
        snprintf(range, sizeof range, "%s to %s%s", from, to, what);
    return wrong(check, "is not allowed: it must be ", range);
}

static bool string_check(const struct check *check, const json_t *schema, const json_t *value)
{
    const char *pattern = json_string_value(json_object_get(schema, "pattern"));
    regex_t compiled;
    if (!range_check(check, schema, "minLength", "maxLength", (double)json_string_length(value), " bytes long"))
        return false;
    if (!pattern)
        return true;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB))
        return wrong(check, "cannot be checked: ", pattern);
    bool fits = !regexec(&compiled, json_string_value(value), 0, NULL, 0);
    regfree(&compiled);
    return fits || wrong(check, "is not allowed: it must follow the pattern ", pattern);
}

/* Adds a step to the pointer, as RFC 6901 writes it. */
static void pointer_add(struct fault *fault, const char *step)
{
    size_t used = strlen(fault->pointer), room = sizeof fault->pointer;
    for (used += used + 1 < room ? (size_t)snprintf(fault->pointer + used, room - used, "/") : 0; *step && used + 3 < room; step++)
        used += (size_t)snprintf(fault->pointer + used, room - used, "%s",
                                 *step == '~' ? "~0" : *step == '/' ? "~1" : (char[]){*step, '\0'});
}

/* Goes down into a member and, where it is good, comes back. schema: NULL: there is no such member. */
static bool below_check(struct check *check, const char *step, const char *name, const json_t *schema, const json_t *value)
{
    size_t length = strlen(check->path), pointer = strlen(check->fault->pointer);
    snprintf(check->path + length, sizeof check->path - length, "%s", step);
    pointer_add(check->fault, name);
    if (schema ? !value_check(check, schema, value) : !wrong(check, "is not known here", ""))
        return false;
    check->path[length] = '\0';
    check->fault->pointer[pointer] = '\0';
    return true;
}

static bool array_check(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *items = json_object_get(schema, "items");
    size_t count = json_array_size(value);
    if (!range_check(check, schema, "minItems", "maxItems", (double)count, " items"))
        return false;
    for (size_t i = 0; i < count; i++) {
        char step[24], index[24];
        snprintf(step, sizeof step, "[%zu]", i);
        snprintf(index, sizeof index, "%zu", i);
        if (items && !below_check(check, step, index, items, json_array_get(value, i)))
            return false;
        for (size_t j = 0; json_is_true(json_object_get(schema, "uniqueItems")) && j < i; j++)
            if (json_equal(json_array_get(value, i), json_array_get(value, j)))
                return wrong(check, "is not allowed: no item may stand in it twice", "");
    }
    return true;
}

static bool member_check(struct check *check, const json_t *schema, const char *name, const json_t *value)
{
    const json_t *own = json_object_get(json_object_get(schema, "properties"), name);
    const json_t *others = json_object_get(schema, "additionalProperties");
    char step[72];
    snprintf(step, sizeof step, "%s%.*s", *check->path ? "." : "", utf8_cut(name, 60), name);
    if (!own && json_is_true(others))
        return true;
    return below_check(check, step, name, own ? own : json_is_object(others) ? others : NULL, value);
}

static bool object_check(struct check *check, const json_t *schema, const json_t *value)
{
    const json_t *required = json_object_get(schema, "required"), *names = json_object_get(schema, "propertyNames");
    const char *name;
    json_t *member;
    for (size_t i = 0; i < json_array_size(required); i++) {
        name = json_string_value(json_array_get(required, i));
        if (json_object_get(value, name))
            continue;
        pointer_add(check->fault, name); /* to where it would be */
        return wrong(check, "lacks ", name);
    }
    if (!range_check(check, schema, "minProperties", "maxProperties", (double)json_object_size(value), " members"))
        return false;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        json_t *own = names ? json_string(name) : NULL;
        bool good = !names || value_check(check, names, own);
        json_decref(own);
        if (!good || !member_check(check, schema, name, member))
            return false;
    }
    return true;
}

/* One of several forms: the sentence is that of the one that went deepest, of equals the last. */
static bool forms_check(struct check *check, const json_t *forms, const json_t *value)
{
    struct check before = *check;
    struct fault fault = *check->fault;
    size_t pointer = strlen(check->fault->pointer);
    for (size_t i = 0; i < json_array_size(forms); i++) {
        *check = before;
        check->fault->pointer[pointer] = '\0';
        if (value_check(check, json_array_get(forms, i), value))
            return true;
        if (strlen(check->fault->pointer) >= strlen(fault.pointer))
            fault = *check->fault;
    }
    *check->fault = fault;
    return false;
}

static bool value_check(struct check *check, const json_t *schema, const json_t *value)
{
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    const json_t *forms = json_object_get(schema, "oneOf");
    if (reference)
        return value_check(check, json_object_get(check->schemas, strrchr(reference, '/') + 1), value);
    if (!type_check(check, schema, value) || !enum_check(check, schema, value))
        return false;
    if (forms && !forms_check(check, forms, value))
        return false;
    if (json_is_number(value))
        return range_check(check, schema, "minimum", "maximum", json_number_value(value), "");
    if (json_is_string(value))
        return string_check(check, schema, value);
    if (json_is_array(value))
        return array_check(check, schema, value);
    return !json_is_object(value) || forms || object_check(check, schema, value);
}

bool schema_check(const json_t *schemas, const char *name, const json_t *value, struct fault *fault)
{
    struct check check = {.schemas = schemas, .fault = fault};
    return value_check(&check, json_object_get(schemas, name), value);
}
