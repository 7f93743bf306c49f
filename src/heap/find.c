/* Finding garbage: trial deletion on side data. The real counts are read, never written, so that a run leaves
 * nothing to restore and can be given up at any instant.
 *
 *   unflag     in slices: no candidate is flagged any more (candidate.c)
 *   merge      members = the live objects of the generations asked for; trial = their counts
 *   explore    instead, for candidates: members = what they reach, as far as barriers let through;
 *              trial = counts less the references that members hold
 *   subtract   trial = references from outside of the members
 *   mark       alive = members that have such a reference, and all members that they reach
 *   promote    survivors are in the next generation; what is left is trash: member and not alive
 *   rest       members = the trash; its trial = their counts of now; subtract and mark follow once more
 *
 * Any set of members will do: what is left out counts as outside, and so keeps alive. That is why barriers
 * are safe, and why a young run needs no write barrier.
 *
 * Between slices the program runs. What it can reach is never taken for trash, because
 *  - a member's trial is read before a reference to it is subtracted, so references from C count as outside;
 *  - what the program stores is touched (candidate.c), so that a reference made since is not taken off a
 *    count that was read before it;
 *  - what it takes out of an object, or lets go of, is touched, and so is marked even where its holder has
 *    been gone through already (Yuasa's snapshot at the beginning);
 *  - at the decision no death is pending (manager.c), so that nothing dead still holds a member.
 */
#include <string.h>

#include "heap/fast.h"

/* Old objects entered from one candidate before the rest of them are barriers. */
#define FOLLOW_MAX 512u

/* Goes on with an object's slots, from run.at; false: the slice is over. Types with traverse go in one piece.
 */
static FORCE_INLINE bool slots_continue(struct tally_heap *heap, void *object,
                                                                  tally_slot_fn visit, void *arg)
{
    struct run *run = &heap->run;
    const struct tally_type *type = type_of(object);
    size_t count = type->light ? type->ref_count : tally__slot_count(type, object);
    run->open = NULL;
    if (count <= SLOTS_CHUNK) {
        slots_each(type, object, visit, arg);
        return slice_spend(heap, 1 + count);
    }
    while (run->at < count) {
        size_t to = count - run->at > SLOTS_CHUNK ? run->at + SLOTS_CHUNK : count;
        tally__slots_range(type, object, run->at, to, visit, arg);
        run->at = to;
        if (!slice_spend(heap, SLOTS_CHUNK)) {
            run->open = object;
            return false;
        }
    }
    if (type->info.traverse)
        type->info.traverse(object, visit, arg);
    return true;
}

/* ---- explore */

static inline void pend(struct tally_heap *heap, struct page *page, uint32_t slot)
{
    bit_set(bits_of(page, BIT_PENDING), slot);
    page->flagged = heap->flagged = true;
}

static inline void push(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    if (heap->mark_count < MARK_STACK_ENTRIES)
        heap->mark_stack[heap->mark_count++] = object;
    else
        pend(heap, page, slot);
}

/* Old objects have survived a collection and are likely to live: a few are entered, and no big ones. */
static bool is_barrier(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    struct run *run = &heap->run;
    if (!bit_get(bits_of(page, BIT_OLD), slot) || bit_get(bits_of(page, BIT_CANDIDATE), slot))
        return false;
    size_t slots = tally__slot_count(type_of(object), object);
    if (slots >= run->follow) {
        heap->deferred = true;
        return true;
    }
    run->follow -= 1 + (uint32_t)(slots / 8);
    return false;
}

static bool enter(struct tally_heap *heap, struct page *page, uint32_t slot, void *object)
{
    uint64_t word = *word_of(object);
    if (word & FLAG_APART || bit_get(bits_of(page, BIT_FROZEN), slot) || is_barrier(heap, page, slot, object))
        return false;
    if (page->run != heap->run_number)
        tally__page_enter(heap, page);
    if (bit_get(bits_of(page, BIT_CANDIDATE), slot))
        tally__candidate_take(heap, page, slot);
    bit_clear(bits_of(page, BIT_PENDING), slot);
    bit_set(bits_of(page, BIT_MEMBER), slot);
    tally__trial_set(heap, page, slot, object);
    heap->run.record.examined++;
    heap->run.mixed |= (word & FLAGS_HEAVY) != 0;
    push(heap, page, slot, object);
    return true;
}

/* Takes an edge off the count. One more than was counted: the object is held for good. */
static void subtract_member(struct tally_heap *heap, struct page *page, uint32_t slot, const void *child)
{
    uint16_t *trial = &trial_of(page)[slot];
    uint64_t *hub = *trial == TRIAL_HUB ? map_get(&heap->hubs, (uintptr_t)child) : NULL;
    if (hub && *hub) {
        --*hub;
    } else if (*trial && *trial != TRIAL_HUB) {
        --*trial;
    } else if (hub || !*trial) {
        if (hub)
            *hub = UINT64_MAX / 2;
        *trial = TRIAL_HUB;
        if (heap->run.sliced)
            return; /* made since the count was read */
        tally__report(
            heap, TALLY_REPORT_EDGES, type_of(child),
            "more references to an object are found than it counts: a traverse reports one twice, or "
            "a slot was written past the library");
    }
}

static void explore_edge(void **slot, void *arg)
{
    struct tally_heap *heap = arg;
    void *child = *slot;
    if (!child)
        return;
    struct page *page = page_of(child);
    uint32_t at = slot_of(page, child);
    if (page->tracked && (is_member(heap, page, at) || enter(heap, page, at, child)))
        subtract_member(heap, page, at, child);
    else
        heap->run.outside = true;
}

static bool still_member(const struct tally_heap *heap, const void *object)
{
    const struct page *page = page_of(object);
    return is_member(heap, page, slot_of(page, object));
}

/* What comes off the mark stack next, fetched into the cache while others are gone through: a dependent access
 * to memory costs twelve times an independent one. */
#define AHEAD 16u
struct ahead {
    void *objects[AHEAD];
    unsigned first, count;
};

static inline void ahead_fill(struct tally_heap *heap, struct ahead *ahead)
{
    for (; ahead->count < AHEAD && heap->mark_count; ahead->count++) {
        void *object = heap->mark_stack[--heap->mark_count];
        __builtin_prefetch(word_of(object));
        __builtin_prefetch((char *)object + 32);
        ahead->objects[(ahead->first + ahead->count) % AHEAD] = object;
    }
}

static inline void *ahead_take(struct ahead *ahead)
{
    ahead->count--;
    return ahead->objects[ahead->first++ % AHEAD];
}

/* The slice is over: back onto the stack, which they came from. */
static void ahead_return(struct tally_heap *heap, struct ahead *ahead)
{
    while (ahead->count) {
        void *object = ahead_take(ahead);
        push(heap, page_of(object), slot_of(page_of(object), object), object);
    }
}

typedef bool (*through_fn)(struct tally_heap *heap, void *object);

/* Goes through the slots of what waits on the mark stack; what has died since it was pushed is no member. */
static FORCE_INLINE bool stack_drain(struct tally_heap *heap, through_fn through)
{
    struct run *run = &heap->run;
    struct ahead ahead = {.count = 0};
    if (run->open && !through(heap, run->open))
        return false;
    for (;;) {
        ahead_fill(heap, &ahead);
        if (!ahead.count)
            return true;
        void *object = ahead_take(&ahead);
        if (run->sliced && !still_member(heap, object))
            continue;
        run->at = 0;
        if (!through(heap, object)) {
            ahead_return(heap, &ahead);
            return false;
        }
    }
}

/* The entry of a weak map that leads from its key to its value. */
static void explore_entries_of(struct tally_heap *heap, const void *key)
{
    for (struct tally_weak *weak = tally__weak_first(heap, key); weak; weak = weak->next_private)
        if (type_of(weak)->index == TYPE_ENTRY) {
            struct page *page = page_of(weak);
            uint32_t slot = slot_of(page, weak);
            if (!is_member(heap, page, slot))
                enter(heap, page, slot, weak);
        }
}

static bool explore_through(struct tally_heap *heap, void *object)
{
    if (*word_of(object) & FLAG_WEAK && !heap->run.at)
        explore_entries_of(heap, object);
    return slots_continue(heap, object, explore_edge, heap);
}

/* A candidate's closure is explored before the next candidate is taken. */
static void candidate_enter(struct tally_heap *heap, struct page *page, uint32_t slot)
{
    heap->run.follow = FOLLOW_MAX;
    if (!is_member(heap, page, slot) && bit_get(bits_of(page, BIT_CANDIDATE), slot) &&
        !enter(heap, page, slot, object_at(page, slot)))
        tally__candidate_take(heap, page, slot); /* frozen, immortal, dying or under construction */
}

/* A pending bit is a member that did not fit the mark stack, which is empty where this is called, or was held
 * by a big object; in explore a candidate as well. Leaves what it takes on the stack, the first on top. */
static inline void pending_take(struct tally_heap *heap, struct page *page, uint32_t word)
{
    uint64_t *pending = &bits_of(page, BIT_PENDING)[word], bits = *pending;
    if (heap->run.phase == RUN_EXPLORE)
        bits &= -bits;
    *pending &= ~bits;
    uint64_t members = bits & bits_of(page, BIT_MEMBER)[word];
    if (bits != members)
        candidate_enter(heap, page, word * 64 + (uint32_t)__builtin_ctzll(bits));
    for (; members; members &= ~((uint64_t)1 << 63 >> __builtin_clzll(members)))
        heap->mark_stack[heap->mark_count++] =
            object_at(page, word * 64 + 63 - (uint32_t)__builtin_clzll(members));
}

static FORCE_INLINE bool page_drain(struct tally_heap *heap, struct page *page,
                                                              through_fn through)
{
    for (uint32_t word = 0; word < page->words; word++)
        while (bits_of(page, BIT_PENDING)[word]) {
            pending_take(heap, page, word);
            if (!stack_drain(heap, through))
                return false;
        }
    return true;
}

static FORCE_INLINE bool flagged_drain(struct tally_heap *heap, through_fn through)
{
    while (heap->flagged) {
        heap->flagged = false;
        for (struct page *page = heap->scope; page; page = page->next_scope) {
            if (!page->flagged)
                continue;
            page->flagged = false;
            if (!page_drain(heap, page, through)) {
                page->flagged = heap->flagged = true;
                return false;
            }
        }
    }
    return true;
}

/* The candidates of now become pending; those that the program makes from here on are the next run's. */
static void explore_start(struct tally_heap *heap)
{
    for (struct page *page = heap->lists[LIST_CANDIDATES]; page; page = page->links[LIST_CANDIDATES].next) {
        tally__page_enter(heap, page);
        memcpy(bits_of(page, BIT_PENDING), bits_of(page, BIT_CANDIDATE), (size_t)page->words * 8);
        page->flagged = heap->flagged = true;
    }
    heap->run.index = 1;
}

static void candidate_pages_tidy(struct tally_heap *heap)
{
    struct page *next;
    for (struct page *page = heap->lists[LIST_CANDIDATES]; page; page = next) {
        next = page->links[LIST_CANDIDATES].next;
        uint64_t any = 0;
        for (uint32_t word = 0; word < page->words; word++)
            any |= bits_of(page, BIT_CANDIDATE)[word];
        if (!any)
            tally__list_remove(page, LIST_CANDIDATES);
    }
}

/* Post-condition: the candidates there were at the start, and what they reach, are members. */
bool tally__find_explore(struct tally_heap *heap)
{
    if (heap->run.scope != TALLY_SCOPE_CANDIDATES)
        return true;
    if (!heap->run.index)
        explore_start(heap);
    if (!stack_drain(heap, explore_through) || !flagged_drain(heap, explore_through))
        return false;
    candidate_pages_tidy(heap);
    return true;
}

/* ---- subtract and mark */

/* Edges whose trial counts are on their way into the cache. */
#define EDGES 16u
struct edges {
    struct tally_heap *heap;
    uint16_t *trial[EDGES];
    void *child[EDGES];
    unsigned at;
    uint16_t none;
};

static void edges_init(struct edges *edges, struct tally_heap *heap)
{
    *edges = (struct edges){.heap = heap, .none = 2 * EDGES};
    for (unsigned i = 0; i < EDGES; i++)
        edges->trial[i] = &edges->none;
}

static void subtract_rare(struct tally_heap *heap, void *child)
{
    struct page *page = page_of(child);
    uint32_t slot = slot_of(page, child);
    if (is_member(heap, page, slot))
        subtract_member(heap, page, slot, child);
    else
        heap->run.outside = true;
}

/* Slots that hold no member have a trial count of TRIAL_HUB, or one that means nothing where they have been
 * taken since. */
static inline void edge_subtract(struct edges *edges, unsigned at)
{
    uint16_t *trial = edges->trial[at];
    if ((uint16_t)(*trial - 1) < TRIAL_HUB - 1)
        --*trial;
    else
        subtract_rare(edges->heap, edges->child[at]);
}

static inline void subtract_edge(void **slot, void *arg)
{
    struct edges *edges = arg;
    void *child = *slot;
    if (!child)
        return;
    if (page_of(child)->run != edges->heap->run_number) {
        edges->heap->run.outside = true;
        return;
    }
    const struct page *page = page_of(child);
    unsigned at = edges->at++ % EDGES;
    edge_subtract(edges, at);
    edges->trial[at] = &trial_of(page)[slot_of(page, child)];
    edges->child[at] = child;
    __builtin_prefetch(edges->trial[at], 1);
}

/* The members of a word that the cursor has not passed. */
static bool word_subtract(struct tally_heap *heap, struct edges *edges)
{
    struct run *run = &heap->run;
    struct page *page = run->page;
    uint64_t bits = bits_of(page, BIT_MEMBER)[run->word] & ~run->passed;
    for (; bits; bits &= bits - 1) {
        void *object = object_at(page, run->word * 64 + (uint32_t)__builtin_ctzll(bits));
        run->at = 0;
        if (!slots_continue(heap, object, subtract_edge, edges)) {
            run->passed |= bits ^ (bits - 1); /* this bit and all below it */
            return false;
        }
    }
    return true;
}

static bool members_subtract(struct tally_heap *heap, struct edges *edges)
{
    struct run *run = &heap->run;
    if (run->open && !slots_continue(heap, run->open, subtract_edge, edges))
        return false;
    for (; run->page; run->page = run->page->next_scope, run->word = 0)
        for (; run->word < run->page->words; run->word++, run->passed = 0)
            if (!word_subtract(heap, edges))
                return false;
    return true;
}

bool tally__find_subtract(struct tally_heap *heap)
{
    const struct run *run = &heap->run;
    if (run->phase == RUN_SUBTRACT ? run->scope == TALLY_SCOPE_CANDIDATES : !run->host_ran)
        return true;
    struct edges edges;
    edges_init(&edges, heap);
    bool done = members_subtract(heap, &edges);
    for (unsigned i = 0; i < EDGES; i++)
        edge_subtract(&edges, i);
    return done;
}

/* Whether the object is a member that was not known to be alive yet. */
static inline bool mark_alive(const struct tally_heap *heap, void *child)
{
    if (!child || page_of(child)->run != heap->run_number)
        return false;
    const struct page *page = page_of(child);
    uint32_t at = slot_of(page, child);
    if (bit_get(bits_of(page, BIT_ALIVE), at) || !bit_get(bits_of(page, BIT_MEMBER), at))
        return false;
    bit_set(bits_of(page, BIT_ALIVE), at);
    return true;
}

static inline void mark_object(struct tally_heap *heap, void *child)
{
    if (mark_alive(heap, child))
        push(heap, page_of(child), slot_of(page_of(child), child), child);
}

static inline void mark_edge(void **slot, void *arg)
{
    mark_object(arg, *slot);
}

/* What a big object holds is gone through in the order of its addresses, page by page. */
static inline void mark_edge_of_many(void **slot, void *arg)
{
    if (mark_alive(arg, *slot))
        pend(arg, page_of(*slot), slot_of(page_of(*slot), *slot));
}

static bool is_alive(const struct tally_heap *heap, const void *object)
{
    const struct page *page = page_of(object);
    if (!page->tracked)
        return true;
    uint32_t slot = slot_of(page, object);
    return !is_member(heap, page, slot) || bit_get(bits_of(page, BIT_ALIVE), slot);
}

/* Entries of weak maps are ephemerons: their value is reached only where the key is alive too. */
static void mark_entry(struct tally_heap *heap, void *entry)
{
    const void *key = tally__entry_key(entry);
    if (key && is_alive(heap, key))
        mark_object(heap, tally__entry_value(entry));
}

static void mark_entries_of(struct tally_heap *heap, const void *key)
{
    for (struct tally_weak *weak = tally__weak_first(heap, key); weak; weak = weak->next_private)
        if (type_of(weak)->index == TYPE_ENTRY && is_alive(heap, weak))
            mark_object(heap, tally__entry_value(weak));
}

static bool mark_through(struct tally_heap *heap, void *object)
{
    uint64_t word = *word_of(object);
    if (word & FLAG_WEAK && !heap->run.at)
        mark_entries_of(heap, object);
    const struct tally_type *type = type_of_word(word);
    if (type->index != TYPE_ENTRY)
        return type->light || tally__slot_count(type, object) <= SLOTS_CHUNK
                   ? slots_continue(heap, object, mark_edge, heap)
                   : slots_continue(heap, object, mark_edge_of_many, heap);
    mark_entry(heap, object);
    return slice_spend(heap, 1);
}

static inline bool held_outside(const struct tally_heap *heap, const struct page *page, const void *object)
{
    uint16_t trial = trial_of(page)[slot_of(page, object)];
    if (trial != TRIAL_HUB)
        return trial;
    const uint64_t *count = map_get(&heap->hubs, (uintptr_t)object);
    return !count || *count;
}

/* Marks the members of the word at the cursor that are held from outside. */
static void word_mark(struct tally_heap *heap)
{
    struct page *page = heap->run.page;
    uint32_t word = heap->run.word;
    uint64_t bits = bits_of(page, BIT_MEMBER)[word] & ~bits_of(page, BIT_ALIVE)[word];
    for (; bits; bits &= bits - 1) {
        uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
        if (trial_of(page)[slot] && held_outside(heap, page, object_at(page, slot)))
            mark_object(heap, object_at(page, slot));
    }
}

/* Keys that are no members are alive, and so may be the maps: their entries' values have kept the counts that
 * those hold, so that only members' entries need to be followed. */
bool tally__find_mark(struct tally_heap *heap)
{
    struct run *run = &heap->run;
    if (run->phase == RUN_MARK_REST && !run->host_ran)
        return true;
    if (!stack_drain(heap, mark_through))
        return false;
    for (; run->page; run->page = run->page->next_scope, run->word = 0)
        for (; run->word < run->page->words; run->word++) {
            word_mark(heap);
            if (!slice_spend(heap, 4) || (heap->mark_count && !stack_drain(heap, mark_through)))
                return false;
        }
    return flagged_drain(heap, mark_through);
}
