/* Dominators, by Lengauer and Tarjan ("A fast algorithm for finding dominators in a flowgraph", 1979), with path compression
 * alone: O(edges log objects) whatever the graph is, which a stranger has made. Nothing recurses.
 *
 * All arrays but the columns are by preorder number: 1 for the first object that the walk from the root reaches; 0 is the
 * root. Four of them have files of their own, six lie in columns that index_reach() fills later. */
#include <errno.h>
#include <string.h>

#include "snapshot/index.h"

#define WALK_NS_OBJECT 150u
#define LINK_NS_OBJECT 350u
#define WALK_NS_EDGE 50u
#define LINK_NS_EDGE 250u
#define NS_PASSED 2u /* an object that a column is walked over */
#define NS_STEP 5u   /* of a way that is compressed */

struct dominating {
    struct index *index;
    struct work *work;
    uint32_t count;           /* reachable objects */
    bool given_up;            /* in compress(), which leaves all as it may be */
    uint32_t *order;          /* by object: its preorder number; 0: unreachable */
    uint32_t *object, *parent, *dominator;
    uint32_t *semi, *label, *ancestor, *bucket, *next, *path;
};

/* ---- the walk */

static void enter(struct dominating *all, uint32_t object, uint32_t parent)
{
    all->order[object] = ++all->count;
    all->object[all->count] = object;
    all->parent[all->count] = parent;
}

/* Depth first from one object: the way back is in `parent`, where each is in its edges in `cursor`. */
static int walk_from(struct dominating *all, uint32_t object, uint32_t *cursor)
{
    const struct index *index = all->index;
    uint32_t at = (enter(all, object, 0), all->count);
    cursor[object] = index->out_start[object];
    while (at) {
        uint32_t here = all->object[at], edge = cursor[here];
        if (edge == index->out_start[here + 1]) {
            at = all->parent[at];
            continue;
        }
        cursor[here]++;
        uint32_t target = index->out[edge];
        if (!work_did(all->work, WALK_NS_EDGE))
            return -ECANCELED;
        if (target == NONE || all->order[target])
            continue;
        cursor[target] = index->out_start[target];
        enter(all, target, at);
        at = all->count;
        if (!work_did(all->work, WALK_NS_OBJECT))
            return -ECANCELED;
    }
    return 0;
}

static int walk(struct dominating *all)
{
    const struct index *index = all->index;
    uint32_t *cursor = all->bucket; /* which is needed when this is not any more */
    int error = 0;
    memset(all->order, 0, index->objects * sizeof *all->order);
    for (uint32_t i = 0; i < index->objects && !error; i++) {
        if (index_held(index, i) && !all->order[i])
            error = walk_from(all, i, cursor);
        if (!error && !work_did(all->work, NS_PASSED))
            error = -ECANCELED;
    }
    return error;
}

/* ---- the forest */

/* Post-condition: each on the way up from `at`, but for the last two, hangs on the root of its tree, and its label has the
 * smallest semidominator of the way. */
static void compress(struct dominating *all, uint32_t at)
{
    uint32_t length = 0;
    for (; all->ancestor[all->ancestor[at]] != NONE && !all->given_up; at = all->ancestor[at]) {
        all->path[length++] = at;
        all->given_up = !work_did(all->work, NS_STEP);
    }
    while (length && !all->given_up) {
        all->given_up = !work_did(all->work, NS_STEP);
        uint32_t here = all->path[--length], above = all->ancestor[here];
        if (all->semi[all->label[above]] < all->semi[all->label[here]])
            all->label[here] = all->label[above];
        all->ancestor[here] = all->ancestor[above];
    }
}

static uint32_t least(struct dominating *all, uint32_t at)
{
    if (all->ancestor[at] == NONE)
        return at;
    compress(all, at);
    return all->label[at];
}

/* ---- the algorithm's second and third step, and its fourth */

static void semidominator_find(struct dominating *all, uint32_t at)
{
    const struct index *index = all->index;
    uint32_t object = all->object[at];
    uint32_t smallest = index_held(index, object) ? 0 : all->semi[at];
    for (uint32_t edge = index->in_start[object]; edge < index->in_start[object + 1] && smallest; edge++) {
        uint32_t source = all->order[index->in[edge]];
        all->given_up |= !work_did(all->work, LINK_NS_EDGE);
        if (all->given_up)
            return;
        uint32_t semi = source ? all->semi[least(all, source)] : smallest;
        smallest = semi < smallest ? semi : smallest;
    }
    all->semi[at] = smallest;
}

static void bucket_empty(struct dominating *all, uint32_t parent)
{
    uint32_t at = all->bucket[parent];
    all->bucket[parent] = NONE;
    while (at != NONE) {
        uint32_t next = all->next[at], under = least(all, at);
        all->dominator[at] = all->semi[under] < all->semi[at] ? under : parent;
        at = next;
    }
}

static int dominate(struct dominating *all)
{
    for (uint32_t i = 0; i <= all->count; i++) {
        all->semi[i] = all->label[i] = i;
        all->ancestor[i] = all->bucket[i] = NONE;
        if (!work_did(all->work, NS_PASSED))
            return -ECANCELED;
    }
    for (uint32_t at = all->count; at > 0; at--) {
        uint32_t parent = all->parent[at];
        semidominator_find(all, at);
        all->given_up |= !work_did(all->work, LINK_NS_OBJECT);
        if (all->given_up)
            return -ECANCELED;
        all->next[at] = all->bucket[all->semi[at]];
        all->bucket[all->semi[at]] = at;
        all->ancestor[at] = parent;
        bucket_empty(all, parent);
    }
    for (uint32_t at = 1; at <= all->count; at++) {
        if (all->dominator[at] != all->semi[at])
            all->dominator[at] = all->dominator[all->dominator[at]];
        if (!work_did(all->work, NS_PASSED))
            return -ECANCELED;
    }
    return all->given_up ? -ECANCELED : 0;
}

/* Each adds to its dominator, whose number is smaller. */
static int retain(struct dominating *all)
{
    struct index *index = all->index;
    uint32_t root = (uint32_t)index->objects;
    for (uint32_t i = 0; i < root; i++) {
        index->retained[i] = index->bytes[i];
        index->dominator[i] = NONE;
        if (!work_did(all->work, NS_PASSED))
            return -ECANCELED;
    }
    for (uint32_t at = all->count; at > 0; at--) {
        uint32_t object = all->object[at], above = all->dominator[at] ? all->object[all->dominator[at]] : root;
        index->dominator[object] = above;
        if (above != root)
            index->retained[above] += index->retained[object];
        if (!work_did(all->work, NS_PASSED))
            return -ECANCELED;
    }
    return 0;
}

int index_dominate(struct index *index, struct area *scratch, struct work *work)
{
    uint64_t room = index->objects + 1;
    struct dominating all = {.index = index, .work = work};
    all.order = area_take(scratch, room, sizeof(uint32_t));
    all.object = area_take(scratch, room, sizeof(uint32_t));
    all.parent = area_take(scratch, room, sizeof(uint32_t));
    all.dominator = area_take(scratch, room, sizeof(uint32_t));
    all.semi = (uint32_t *)index->retained;
    all.label = all.semi + room;
    all.ancestor = index->distance;
    all.path = index->toward;
    all.bucket = index->kid_start;
    all.next = index->kid;
    int error = walk(&all);
    if (!error)
        error = dominate(&all);
    return error ? error : retain(&all);
}
