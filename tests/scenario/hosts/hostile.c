/* A program whose name, labels and types are meant for whoever shows them: markup, quotes, formulas, text that runs
 * backwards. All of it is UTF-8 without control characters, so the library takes it. Lives until stdin ends; with an
 * argument, that is its name. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "tally.h"

static const char *const names[] = {
    "</script><img src=x onerror=\"window.pwned=1\">",
    "<svg onload='window.pwned=2'>",
    "\"};window.pwned=3;//",
    "javascript:window.pwned=4",
    "{{constructor.constructor('window.pwned=5')()}}",
    "quote\" backslash\\ newline\\n brace} comma, semi; equals=",
    "=HYPERLINK(\"http://evil.test\",\"x\")",
    "@SUM(1+1)|cmd",
    "%s%n%x$(id)`id`",
    ("\xe2\x80\xae" "gnp.exe\xe2\x81\xa6 backwards"),
    "\xe2\x80\xa8line\xe2\x80\xa9separators\xef\xbb\xbf",
    "event: stats",
    "tally_up 1",
};

int main(int argc, char **argv)
{
    struct tally_heap *heap;
    struct pollfd end = {.fd = 0, .events = POLLIN};
    if (tally_set_name(argc > 1 ? argv[1] : names[0]) || tally_set_label("team", names[5]) ||
        tally_set_label("app", names[1]) || tally_heap_new(TALLY_ABI, NULL, &heap))
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct tally_type *type;
        if (tally_type_register(&(struct tally_type_info){.name = names[i], .size = 64}, &type))
            return 1;
        for (size_t n = 0; n <= i; n++)
            if (!tally_new(heap, type))
                return 1;
    }
    static const char *const refused[] = {"\x1b]0;x\a", "\xff\xfe", "a\n\ndata: x", ("\xc2\x9b" "31m"), "", "nul\x7f"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const struct tally_type *type;
        if (!tally_type_register(&(struct tally_type_info){.name = refused[i], .size = 8}, &type) ||
            (*refused[i] && !tally_set_label("late", refused[i])))
            return 2;
    }
    if (tally_attach(heap))
        return 3;
    while (poll(&end, 1, 20) == 0)
        tally_safepoint(heap);
    tally_heap_free(heap);
    return 0;
}
