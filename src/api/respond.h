/* Answers: problem documents, JSON and its other forms, bodies that are kept, and pages of lists.
 *
 * What is always true
 *  - Every answer to a GET that succeeds has an ETag, but for streams and what changes with every look; If-None-Match is
 *    compared weakly (RFC 9110, 13.1.2). A compressed form carries the same tag, marked weak.
 *  - A HEAD is answered as the GET, headers and length, and libmicrohttpd leaves the body out; but it asks no program and
 *    opens no stream: respond_head().
 *  - In a worker's thread whatever is answered waits in request->answer; the listener's thread sends it. */
#ifndef TALLY_API_RESPOND_H
#define TALLY_API_RESPOND_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DETAIL_BYTES 1024u /* room for the names of all series */
#define BODY_KEY_BYTES 256u
#define BODY_FRESH_NS 250000000u           /* ages of safepoints in it go on without a new seq */
#define BODIES_MAX_BYTES ((size_t)16 << 20) /* all that are kept */
#define GZIP_LEAST_BYTES 4096u
#define CURSOR_BYTES 1024u

struct api;
struct request;

enum problem {
#define PROBLEM(code, status, title) PROBLEM_##code,
#include "api/problems.def"
#undef PROBLEM
    PROBLEM_NONE
};

/* What is wrong with a value, for people and for programs: one of the two names, or none. */
struct fault {
    char detail[DETAIL_BYTES];
    char parameter[32]; /* of the query */
    char pointer[128];  /* into the body, RFC 6901 */
};

struct answer { /* what a worker has made, for the listener's thread to send: one of the two */
    struct MHD_Response *response;
    struct body *body; /* a reference */
    unsigned status;
};

/* ---- respond.c */
const char *problem_code(enum problem problem);
/* detail: a sentence, or NULL: the problem's title, with what the path names where the problem is that it is not there. */
enum MHD_Result respond_problem(struct request *request, enum problem problem, const char *detail);
/* The same for what something else than the path names: "TITLE: WHAT"; where `what` is no proper text, the title alone. */
enum MHD_Result respond_unknown(struct request *request, enum problem problem, const char *what);
/* With further members (stolen; NULL: none). */
enum MHD_Result respond_problem_with(struct request *request, enum problem problem, const char *detail, json_t *members);
/* 422 with what a handler finds wrong with a value that the tables allow; the other name is "" or NULL. */
enum MHD_Result respond_fault(struct request *request, const char *parameter, const char *pointer, const char *detail);
/* 410, with the way to what is still known of the process: a member and a Link. */
enum MHD_Result respond_gone(struct request *request, enum problem problem, const char *process);
/* Steals json. etag_seq: 0: made of what it says but for its stamps. location: NULL or the path of the resource. */
enum MHD_Result respond_json(struct request *request, unsigned status, json_t *json, uint64_t etag_seq,
                             const char *location);
/* Which methods there are: the answer to OPTIONS (allowed), else the problem. */
enum MHD_Result respond_allow(struct request *request, bool allowed, const char *allow);
/* page: a file of the dashboard, which loads others of its origin and is asked for again each time. */
void respond_headers(struct MHD_Response *response, bool page);
/* 200 to a HEAD, without the length that only the GET would tell (RFC 9110, 8.6). type: of the body that there would be. */
enum MHD_Result respond_head(struct request *request, const char *type);
/* The same for one whose headers the caller adds; NULL: out of memory. */
struct MHD_Response *head_new(void);
/* Takes the response over. A stranger that has asked often enough is told to come again. */
enum MHD_Result respond_queue(struct request *request, unsigned status, struct MHD_Response *response);
/* Sends what a worker has made. */
enum MHD_Result respond_answer(struct request *request);
void answer_drop(struct answer *answer);
/* A 304 with the tag; NULL: out of memory. */
struct MHD_Response *unmodified_new(const char *etag);
#define ETAG_BYTES 72u
/* "<start>-<seq>", in quotes; "<start>-<seq>-<since>" beside an earlier state; of the form with a row a line, with "-l". */
void etag_write(char out[ETAG_BYTES], const char *start, uint64_t seq, uint64_t since, bool lines);

/* ---- negotiate.c: which form of a body the client takes */
struct form {
    bool lines;  /* application/x-ndjson: a list's rows, one a line */
    bool gzip;
    bool bigint; /* ?bigint=string: integers beyond 2^53 - 1 as strings */
};
struct form form_of(const struct request *request);
/* Whether a list of tags names this one, or any ("*"). */
bool etag_listed(const char *list, const char *etag);
/* The greatest weight with which an Accept or Accept-Encoding names the word; 0: it does not. NULL is no header. */
double accept_weight(const char *header, const char *word);
bool accept_names(const char *header, const char *word); /* with a weight above 0 */
/* Whether an Accept header names application/x-ndjson, and application/json with no greater weight. */
bool accept_lines(const char *header);

/* ---- represent.c */
/* The bytes of json (stolen) in that form, with their headers; NULL: out of memory. A "next_cursor" becomes a Link. */
struct MHD_Response *represent(const struct request *request, json_t *json, struct form form, const char *type,
                               const char *etag, size_t *bytes);

/* ---- bodies.c */
/* The kept body for key and seq, built by make(arg) where there is none that is fresh. key: NULL, or too long: it is not
 * kept. seq: 0 for what never changes. since: the seq of what it is compared with, or 0. In a KEPT route it is built by a worker, which runs the handler again. */
typedef json_t *(*body_fn)(struct request *request, const void *arg);
enum MHD_Result respond_body(struct request *request, const char *key, uint64_t seq, uint64_t since, body_fn make, const void *arg);
void body_unref(struct body *body);
struct MHD_Response *body_response(const struct body *body, unsigned status); /* 200 or 304 */
struct bodies;
struct bodies *bodies_new(void);
void bodies_free(struct bodies *bodies);

/* ---- list.c: rows in an order, and a page of them that a cursor finds again whatever has come or gone since */
struct list_row {
    const void *item;
    uint64_t number; /* the order: numbers, and texts where numbers are the same */
    const char *text;
    const char *id;  /* what tells it from rows of the same order, which it never changes */
    uint64_t part;
};
struct list {
    struct list_row *rows;
    size_t count;
    const char *word; /* the order's name: a cursor is good for it alone */
    bool down;
};
/* Whether the request's cursor, where it has one, is one of ours and of that order. false: answered. */
bool list_cursor_check(struct request *request, const char *word, bool down, enum MHD_Result *answered);
/* The request's sort without its sign, or `otherwise`; *down by its sign, else as `figures_down` says: names go up. */
const char *list_sort(const struct request *request, const char *otherwise, bool *down);
/* Sorts, and cuts [*from, *to) out, by the request's limit (`most` where it gives none) and cursor. Returns a new
 * reference on the next page's cursor, or null. */
json_t *list_page(struct request *request, struct list *list, size_t most, size_t *from, size_t *to);
/* Whether the words of a LIST, as given, hold this one; true where none were given. */
bool list_among(const char *words, const char *word);

#endif
