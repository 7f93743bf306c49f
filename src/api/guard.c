/* Who may ask at all: the header's form, Host, token and Origin. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/private.h"

struct header_form {
    const char **first; /* the request's */
    unsigned counts[HEADERS];
    bool bad_name, bad_value;
    const char *next; /* where the next header has to lie; NULL: nothing is known of that */
    bool torn;
    size_t bytes;
};

static const struct {
    const char *name;
    size_t bytes;
} names[HEADERS] = {
#define NAME(header, name) [HEADER_##header] = {name, sizeof name - 1}
    NAME(HOST, "Host"),       NAME(LENGTH, "Content-Length"),      NAME(AUTHORIZATION, "Authorization"),
    NAME(ORIGIN, "Origin"),   NAME(TYPE, "Content-Type"),          NAME(ENCODING, "Transfer-Encoding"),
    NAME(SITE, "Sec-Fetch-Site"), NAME(KNOWN, "If-None-Match"),    NAME(ACCEPT, "Accept"),
    NAME(ACCEPT_ENCODING, "Accept-Encoding"),
#undef NAME
};

/* Visible characters without the separators of RFC 9110, 5.6.2. */
static bool is_token(const char *name)
{
    static const bool separator[128] = {['"'] = true, ['('] = true, [')'] = true, [','] = true, ['/'] = true,
                                        [':'] = true, [';'] = true, ['<'] = true, ['='] = true, ['>'] = true,
                                        ['?'] = true, ['@'] = true, ['['] = true, ['\\'] = true, [']'] = true,
                                        ['{'] = true, ['}'] = true};
    if (!*name)
        return false;
    for (; *name; name++)
        if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7f || separator[(unsigned char)*name])
            return false;
    return true;
}

static bool holds_control_slowly(const char *text, size_t bytes)
{
    bool bad = false;
    for (size_t i = 0; i < bytes; i++)
        bad |= ((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f;
    return bad;
}

/* Eight bytes at a time, where the high bit of one that is below ' ' or is 0x7f comes out set; a borrow sets another's
 * only above such a one. A tab is looked at again. */
static bool holds_control(const char *text, size_t bytes)
{
    const uint64_t each = 0x0101010101010101u, high = 0x80 * each;
    size_t at = 0;
    for (; at + sizeof each <= bytes; at += sizeof each) {
        uint64_t word;
        memcpy(&word, text + at, sizeof word);
        uint64_t rest = word ^ 0x7f * each;
        if ((((word - ' ' * each) & ~word) | ((rest - each) & ~rest)) & high && holds_control_slowly(text + at, sizeof word))
            return true;
    }
    return holds_control_slowly(text + at, bytes - at);
}

static void header_note(struct header_form *form, const char *name, size_t bytes, const char *value)
{
    for (int i = 0; i < HEADERS; i++)
        if (names[i].bytes == bytes && !strcasecmp(names[i].name, name)) {
            if (!form->counts[i]++)
                form->first[i] = value;
            return;
        }
}

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct header_form *form = arg;
    const char *text = value ? value : "";
    size_t name_bytes = strlen(name), value_bytes = strlen(text);
    (void)kind;
    if (form->next) {
        form->torn |= name != form->next || value < name;
        form->next = value + value_bytes + 2;
    }
    form->bytes += name_bytes + value_bytes + sizeof ": \r\n" - 1;
    form->bad_name |= !is_token(name);
    form->bad_value |= holds_control(text, value_bytes);
    header_note(form, name, name_bytes, value);
    return MHD_YES;
}

/* libmicrohttpd 0.9.75 cuts a header in place, writes a NUL over each blank of the first line, colon, CR and LF, and hands
 * on what lies between as strings. So a NUL that was sent cuts a piece short, a lone LF counts for two, and a folded line
 * is added to a copy of the *name* before it, by which "Content-Length: 5" goes unseen. All of this shows in where the
 * pieces lie; later versions refuse it themselves. */
static void pieces_check(const struct request *request, const char *method, const char *version, struct header_form *form)
{
    if (strcmp(MHD_get_version(), "0.9.75") != 0)
        return;
    form->torn = request->line != method + strlen(method) + 1 || version != request->line + request->line_bytes + 1;
    form->next = version + strlen(version) + 2;
}

enum problem guard_form(struct request *request, const char *method, const char *version, char *detail, size_t bytes)
{
    struct header_form form = {.first = request->headers};
    const unsigned *counts = form.counts;
    const char *wrong = NULL, *encoding;
    pieces_check(request, method, version, &form);
    MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, look, &form);
    encoding = request->headers[HEADER_ENCODING];
    if (form.next) /* the last line and an empty one ended here: what begins with a NUL or colon passes for empty */
        form.torn |= form.next[-1] || form.next[0] || form.next[1];
    if (request->target_long)
        wrong = "the target is too long";
    else if (request->target_bad)
        wrong = "the target holds bytes that no target may";
    else if (form.torn)
        wrong = "it holds a NUL, or a line that is folded, has no name, or ends without CR";
    else if (!is_token(method))
        wrong = "the method is not a token";
    else if (form.bad_name)
        wrong = "a header's name is not a token";
    else if (form.bad_value)
        wrong = "a header holds control characters";
    else if (counts[HEADER_HOST] > 1 || counts[HEADER_LENGTH] > 1 || counts[HEADER_AUTHORIZATION] > 1 ||
             counts[HEADER_ORIGIN] > 1 || counts[HEADER_TYPE] > 1)
        wrong = "a header stands twice that may stand once";
    else if (counts[HEADER_ENCODING] > 1 || (encoding && strcasecmp(encoding, "chunked") != 0))
        wrong = "Transfer-Encoding may be chunked, and nothing else";
    else if (encoding && counts[HEADER_LENGTH])
        wrong = "Content-Length and Transfer-Encoding exclude each other";
    else if (!counts[HEADER_HOST] && !request->connection->is_unix)
        wrong = "there is no Host";
    bool large = !wrong && form.bytes + request->line_bytes > HEADER_MAX;
    if (large)
        snprintf(detail, bytes, "it may have %u bytes", HEADER_MAX);
    else if (wrong)
        snprintf(detail, bytes, "%s", wrong);
    return large ? PROBLEM_header_too_large : wrong ? PROBLEM_bad_request : PROBLEM_NONE;
}

/* Exactly one of ours: the literal loopback names with our port, what we are bound to, or the proxy's name.
 */
bool guard_host_known(const struct api *api, const char *host)
{
    static const char *const ours[] = {"127.0.0.1", "[::1]", "localhost"};
    if (!strcmp(host, api->tcp_address) || (*api->public_host && !strcmp(host, api->public_host)))
        return true;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        char known[64];
        snprintf(known, sizeof known, "%s:%u", ours[i], api->tcp_port);
        if (!strcmp(host, known) || (api->tcp_port == 80 && !strcmp(host, ours[i])))
            return true;
    }
    return false;
}

enum problem guard_host(const struct request *request, char *detail, size_t bytes)
{
    if (request->connection->is_unix)
        return PROBLEM_NONE;
    const char *host = request->headers[HEADER_HOST];
    if (host && guard_host_known(request->api, host))
        return PROBLEM_NONE;
    snprintf(detail, bytes, "this is %s", request->api->tcp_address);
    return PROBLEM_wrong_host;
}

bool guard_read_only(const struct request *request)
{
    return !request->connection->is_unix && !request->api->loopback && !request->api->remote_control;
}

/* Sets the request's scopes and who it is. */
enum problem guard_token(struct request *request, enum scope scope)
{
    if (request->connection->is_unix) {
        request->scopes = READ | CONTROL | ADMIN;
        snprintf(request->who, sizeof request->who, "uid %u", (unsigned)request->connection->uid);
        return PROBLEM_NONE;
    }
    memcpy(request->who, "nobody", sizeof "nobody");
    const char *header = request->headers[HEADER_AUTHORIZATION];
    if (header && !strncasecmp(header, "Bearer ", 7))
        request->scopes = credentials_check(request->api->credentials, header + 7, request->who, sizeof request->who,
                                            &request->credential);
    if (request->scopes)
        request->connection->trusted = true;
    if (scope == OPEN)
        return PROBLEM_NONE;
    if (!request->scopes && header && credentials_bad(request->api->credentials))
        return PROBLEM_too_many_attempts;
    if (!request->scopes)
        return PROBLEM_unauthorized;
    if (!(request->scopes & scope)) { /* every token may read */
        snprintf(request->fault.detail, sizeof request->fault.detail, "this takes a token of scope %s",
                 scope == ADMIN ? "admin" : "control or admin");
        return PROBLEM_forbidden;
    }
    return scope != READ && guard_read_only(request) ? PROBLEM_remote_control_off : PROBLEM_NONE;
}

/* A page of another origin never gets here: neither by what it says of itself nor by what the browser says.
 */
enum problem guard_origin(const struct request *request, char *detail, size_t bytes)
{
    if (request->connection->is_unix)
        return PROBLEM_NONE;
    const char *origin = request->headers[HEADER_ORIGIN];
    const char *site = request->headers[HEADER_SITE];
    if (origin || site)
        snprintf(detail, bytes, "only pages of this daemon may ask");
    bool ours = !site || !strcmp(site, "same-origin") || !strcmp(site, "none");
    if (!ours && request->route) /* the page's own files may be reached by a link from elsewhere */
        return PROBLEM_bad_origin;
    if (!origin)
        return PROBLEM_NONE;
    const char *host = !strncmp(origin, "http://", 7)    ? origin + 7
                       : !strncmp(origin, "https://", 8) ? origin + 8
                                                         : "";
    return guard_host_known(request->api, host) ? PROBLEM_NONE : PROBLEM_bad_origin;
}
