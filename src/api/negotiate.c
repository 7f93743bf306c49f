#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/private.h"

static size_t blanks(const char *text)
{
    return strspn(text, " \t");
}

/* The weight of one element's parameters, "a;q=0.5": 1 where there is none. */
static double weight_of(const char *parameters, const char *end)
{
    for (const char *at = parameters; at < end; at++)
        if (*at == ';') {
            const char *name = at + 1 + blanks(at + 1);
            if (name + 1 < end && tolower((unsigned char)*name) == 'q' && name[1] == '=')
                return strtod(name + 2, NULL);
        }
    return 1;
}

double accept_weight(const char *header, const char *word)
{
    double most = 0;
    while (header && *header) {
        header += blanks(header);
        const char *end = header + strcspn(header, ",");
        size_t length = strcspn(header, ";, \t");
        double weight = 0;
        if (length == strlen(word) && !strncasecmp(header, word, length))
            weight = weight_of(header + length, end);
        most = weight > most && weight <= 1 ? weight : most;
        header = *end ? end + 1 : end;
    }
    return most;
}

bool accept_names(const char *header, const char *word)
{
    return accept_weight(header, word) > 0;
}

bool accept_lines(const char *header)
{
    double lines = accept_weight(header, "application/x-ndjson");
    return lines > 0 && lines >= accept_weight(header, "application/json");
}

bool etag_listed(const char *list, const char *etag)
{
    size_t length = strlen(etag);
    if (!list || !*list)
        return false;
    if (!strcmp(list, "*"))
        return true;
    while (*list) {
        list += strspn(list, " \t,");
        if (!strncmp(list, "W/", 2))
            list += 2;
        if (*list != '"')
            return false; /* it is no list of tags from here on */
        const char *end = strchr(list + 1, '"');
        if (!end)
            return false;
        if ((size_t)(end - list) + 1 == length && !strncmp(list, etag, length))
            return true;
        list = end + 1;
    }
    return false;
}

struct form form_of(const struct request *request)
{
    struct form form = {.bigint = request_parameter(request, "bigint")};
    if (request->route && route_lists(request->route))
        form.lines = accept_lines(request->headers[HEADER_ACCEPT]);
    form.gzip = accept_names(request->headers[HEADER_ACCEPT_ENCODING], "gzip");
    return form;
}
