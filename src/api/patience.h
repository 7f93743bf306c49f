/* How long a reader may keep us waiting: as long as he takes PATIENCE_BYTES_S on the whole. Who is slower uses up his credit, of
 * which a byte earns little; who was fast has no more of it than at the beginning. Time in which we have nothing for him is
 * not his. */
#ifndef TALLY_API_PATIENCE_H
#define TALLY_API_PATIENCE_H

#include <stddef.h>
#include <stdint.h>

#define PATIENCE_NS 60000000000u
#define PATIENCE_BYTES_S 65536u

struct patience {
    uint64_t most_ns, left_ns; /* 0 left: he is waited for no longer */
};

static inline struct patience patience_of(uint64_t most_ns)
{
    return (struct patience){most_ns, most_ns};
}

/* He has taken so many bytes. */
static inline void patience_earn(struct patience *patience, size_t bytes)
{
    uint64_t earned_ns = (uint64_t)bytes * (1000000000u / PATIENCE_BYTES_S);
    uint64_t room_ns = patience->most_ns - patience->left_ns;
    patience->left_ns += earned_ns < room_ns ? earned_ns : room_ns;
}

/* We have waited for him. */
static inline void patience_spend(struct patience *patience, uint64_t ns)
{
    patience->left_ns -= ns < patience->left_ns ? ns : patience->left_ns;
}

#endif
