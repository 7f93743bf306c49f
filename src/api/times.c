/* Times in queries and bodies: RFC 3339, "now", or so long ago: "-1h". */
#include <string.h>
#include <time.h>

#include "api/private.h"
#include "base/clock.h"

/* `digits` of them, as a number within its bounds, and what must follow ('\0': anything). */
static bool field(const char **at, unsigned digits, int low, int high, char follows, int *out)
{
    *out = 0;
    for (; digits; digits--, ++*at) {
        if (**at < '0' || **at > '9')
            return false;
        *out = *out * 10 + (**at - '0');
    }
    if (*out < low || *out > high || (follows && **at != follows))
        return false;
    *at += follows != '\0';
    return true;
}

static bool fraction(const char **at, uint64_t *ns)
{
    uint64_t unit = 100000000u;
    *ns = 0;
    if (**at != '.')
        return true;
    size_t digits = strspn(++*at, "0123456789");
    for (size_t i = 0; i < digits; i++, unit /= 10)
        *ns += (uint64_t)((*at)[i] - '0') * unit;
    *at += digits;
    return digits > 0;
}

/* Z or +hh:mm, in seconds. */
static bool offset(const char **at, int *seconds)
{
    int hours, minutes, sign = **at == '-' ? -1 : 1;
    *seconds = 0;
    if (**at == 'Z' || **at == 'z') {
        ++*at;
        return true;
    }
    if (**at != '+' && **at != '-')
        return false;
    ++*at;
    if (!field(at, 2, 0, 23, ':', &hours) || !field(at, 2, 0, 59, '\0', &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool rfc3339(const char *at, uint64_t *wall_ns)
{
    struct tm utc = {.tm_year = 0};
    uint64_t ns;
    int shift;
    if (!field(&at, 4, 1970, 2554, '-', &utc.tm_year) || !field(&at, 2, 1, 12, '-', &utc.tm_mon) ||
        !field(&at, 2, 1, 31, '\0', &utc.tm_mday) || (*at != 'T' && *at != 't' && *at != ' '))
        return false;
    at++;
    if (!field(&at, 2, 0, 23, ':', &utc.tm_hour) || !field(&at, 2, 0, 59, ':', &utc.tm_min) ||
        !field(&at, 2, 0, 60, '\0', &utc.tm_sec) || !fraction(&at, &ns) || !offset(&at, &shift) || *at)
        return false;
    int month = utc.tm_mon, day = utc.tm_mday;
    utc.tm_year -= 1900;
    utc.tm_mon--;
    int64_t seconds = (int64_t)timegm(&utc);
    if (utc.tm_mon != month - 1 || utc.tm_mday < day || (seconds -= shift) < 0) /* February has no 30th */
        return false;
    *wall_ns = (uint64_t)seconds * 1000000000u + ns;
    return true;
}

bool parse_time(const char *text, uint64_t now_wall_ns, uint64_t *wall_ns)
{
    uint64_t ago;
    *wall_ns = now_wall_ns;
    if (!strcmp(text, "now"))
        return true;
    if (*text != '-')
        return rfc3339(text, wall_ns);
    if (!parse_duration(text + 1, &ago) || ago > now_wall_ns)
        return false;
    *wall_ns = now_wall_ns - ago;
    return true;
}
