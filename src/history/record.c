/* Rows of figures.
 *
 *   row    = varint(mask << 1 | whole), then for each figure of the mask, lowest bit first: its value
 *   value  = whole: varint of it (a figure that is not in the mask is 0)
 *            else: varint of the zigzag difference from the row before in the block (not in the mask: unchanged)
 *            and behind it, for a gauge in a roll-up: varint(value - lowest), varint(highest - value)
 *   no bytes at all: from here on there is nothing to tell, the subject is gone
 *
 * All arithmetic is modulo 2^64, so that every value survives, and a row that lies gives wrong figures, no more. */
#include <string.h>

#include "history/private.h"

const struct level_shape level_shapes[LEVELS] = {
#define HISTORY_X(name, step, bits, keep) {step, bits, keep},
    HISTORY_LEVELS(HISTORY_X)
#undef HISTORY_X
};

uint64_t key_of(enum level level, uint32_t series, uint64_t at)
{
    unsigned bits = level_shapes[level].bits;
    uint64_t row = at / level_shapes[level].step_s;
    return (row >> bits) << (SERIES_BITS + bits) | (uint64_t)series << bits | (row & ((1u << bits) - 1));
}

uint64_t key_at(enum level level, uint64_t key)
{
    unsigned bits = level_shapes[level].bits;
    return (key >> (SERIES_BITS + bits) << bits | (key & ((1u << bits) - 1))) * level_shapes[level].step_s;
}

static unsigned char *put(unsigned char *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        *out++ = (unsigned char)(value | 128);
    *out++ = (unsigned char)value;
    return out;
}

/* false: it does not end within 10 bytes or before `end`. */
static bool get(const unsigned char **at, const unsigned char *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        *value |= shift < 64 ? (uint64_t)(byte & 127) << shift : 0;
        if (!(byte & 128))
            return true;
    }
    return false;
}

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (uint64_t)-(difference >> 63);
}
static uint64_t unzigzag(uint64_t number)
{
    return number >> 1 ^ (uint64_t)-(number & 1);
}

static uint64_t mask_of(const struct shape *shape, const uint64_t *value, const uint64_t *before,
                        const uint64_t *low, const uint64_t *high)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < shape->count; i++) {
        bool moved = value[i] != (before ? before[i] : 0);
        if (low && shape->gauges >> i & 1)
            moved |= low[i] != value[i] || high[i] != value[i];
        mask |= (uint64_t)moved << i;
    }
    return mask;
}

size_t record_pack(unsigned char *out, const struct shape *shape, const uint64_t *value, const uint64_t *before,
                   const uint64_t *low, const uint64_t *high)
{
    uint64_t mask = mask_of(shape, value, before, low, high);
    unsigned char *at = put(out, mask << 1 | !before);
    for (unsigned i = 0; i < shape->count; i++) {
        if (!(mask >> i & 1))
            continue;
        at = put(at, before ? zigzag(value[i] - before[i]) : value[i]);
        if (low && shape->gauges >> i & 1)
            at = put(put(at, value[i] - low[i]), high[i] - value[i]);
    }
    return (size_t)(at - out);
}

bool record_unpack(const unsigned char *data, size_t bytes, const struct shape *shape, bool rollup,
                   struct figures *figures)
{
    const unsigned char *end = data + bytes;
    uint64_t mask, number;
    if (!bytes) {
        figures->known = false;
        return true;
    }
    if (!get(&data, end, &mask))
        return false;
    bool whole = mask & 1;
    if ((mask >>= 1) >> shape->count)
        return false;
    if (!whole && !figures->known)
        return true; /* the first ones of its block were forgotten */
    for (unsigned i = 0; i < shape->count; i++) {
        uint64_t below = 0, above = 0;
        if (whole)
            figures->value[i] = 0;
        if (mask >> i & 1) {
            if (!get(&data, end, &number))
                return false;
            figures->value[i] = whole ? number : figures->value[i] + unzigzag(number);
            if (rollup && shape->gauges >> i & 1 && (!get(&data, end, &below) || !get(&data, end, &above)))
                return false;
        }
        figures->low[i] = figures->value[i] - below;
        figures->high[i] = figures->value[i] + above;
    }
    figures->known = true;
    return data == end;
}
