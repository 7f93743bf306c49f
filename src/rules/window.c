/* Windows. A slot that no figure was taken in has the one before it. */
#include <string.h>

#include "rules/private.h"

static void slot_end(struct window *window)
{
    if (window->count == WINDOW_STEPS + 1)
        memmove(&window->slots[0], &window->slots[1], WINDOW_STEPS * sizeof window->slots[0]);
    else
        window->count++;
    window->slots[window->count - 1].least = window->least;
    window->slots[window->count - 1].first_ns = window->first_ns;
}

void window_add(struct window *window, uint64_t slot_ns, uint64_t now_ns, double value)
{
    uint64_t passed = window->began_ns && now_ns > window->began_ns ? (now_ns - window->began_ns) / slot_ns : 0;
    if (!window->began_ns) {
        window->began_ns = window->first_ns = now_ns;
        window->least = value;
    }
    if (passed > WINDOW_STEPS + 2) { /* none of what there is counts any more */
        window->began_ns += (passed - WINDOW_STEPS - 2) * slot_ns;
        passed = WINDOW_STEPS + 2;
        window->least = window->last;
        window->first_ns = window->began_ns;
    }
    for (; passed; passed--) {
        slot_end(window);
        window->began_ns += slot_ns;
        window->least = passed > 1 ? window->last : value;
        window->first_ns = passed > 1 ? window->began_ns : now_ns;
    }
    if (value < window->least)
        window->least = value;
    window->last = value;
}

bool window_growth(const struct window *window, double *growth, double *from)
{
    if (!window_full(window))
        return false;
    *from = window->slots[0].least;
    *growth = window->slots[WINDOW_STEPS].least - *from;
    return true;
}

bool window_rises(const struct window *window)
{
    unsigned rises = 0;
    for (unsigned i = 1; i <= WINDOW_STEPS; i++) {
        if (window->slots[i].least < window->slots[i - 1].least)
            return false;
        rises += window->slots[i].least > window->slots[i - 1].least;
    }
    return rises >= WINDOW_STEPS - 2;
}

/* Of a counter, whose least figure in a slot is its first. */
bool window_rate(const struct window *window, uint64_t now_ns, double *per_second)
{
    if (window->count < WINDOW_STEPS)
        return false;
    unsigned at = window->count - WINDOW_STEPS;
    uint64_t passed_ns = now_ns - window->slots[at].first_ns;
    double more = window->last - window->slots[at].least;
    *per_second = passed_ns && more > 0 ? more * 1e9 / (double)passed_ns : 0;
    return true;
}
