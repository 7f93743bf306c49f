/* The process's types: registered once, for good, readable by every heap without a lock. A type is published
 * (release) when it is whole; a thread that holds its pointer got it after that. */
#include <stdlib.h>
#include <string.h>

#include "heap/fast.h"
#include "wire/message.h"

_Atomic(struct tally_type *) tally__types[TYPE_MAX];
static _Atomic uint32_t type_count;
static _Atomic uint64_t type_name_bytes;
static _Atomic(void (*)(void)) type_watch;
static pthread_mutex_t types_lock = PTHREAD_MUTEX_INITIALIZER;

#define SIZE_LIMIT    ((size_t)1 << 31)
#define ELEMENT_LIMIT ((size_t)1 << 20)

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) & ~(to - 1);
}

static bool slot_fits(size_t offset, size_t size)
{
    return offset % sizeof(void *) == 0 && offset < size && size - offset >= sizeof(void *);
}

static bool name_ok(const char *name)
{
    size_t length = name ? strnlen(name, TALLY_NAME_MAX + 1) : 0;
    return length && length <= TALLY_NAME_MAX && wire_text_valid(name, length);
}

static bool refs_ok(const struct tally_type_info *info)
{
    if (info->ref_count && !info->refs)
        return false;
    for (size_t i = 0; i < info->ref_count; i++)
        if (!info->refs[i].name || !slot_fits(info->refs[i].offset, info->size))
            return false;
    return true;
}

static bool trailing_ok(const struct tally_type_info *info)
{
    switch (info->trailing) {
    case TALLY_TRAILING_NONE:
        return true;
    case TALLY_TRAILING_BYTES:
        if (info->trailing_element_bytes < 1 || info->trailing_element_bytes > ELEMENT_LIMIT)
            return false;
        break;
    case TALLY_TRAILING_SLOTS:
        if (info->trailing_element_bytes && info->trailing_element_bytes != sizeof(void *))
            return false;
        break;
    default:
        return false;
    }
    return slot_fits(info->trailing_length_offset, info->size);
}

static bool info_ok(const struct tally_type_info *info)
{
    return info && name_ok(info->name) && info->size <= SIZE_LIMIT &&
           (info->align == 0 || info->align == 8 || info->align == 16) &&
           !(info->flags & ~(unsigned)(TALLY_TYPE_ACYCLIC | TALLY_TYPE_WEAK | TALLY_TYPE_LABEL)) && refs_ok(info) &&
           trailing_ok(info) &&
           (!info->has_external || (slot_fits(info->external_pointer_offset, info->size) &&
                                    slot_fits(info->external_length_offset, info->size) &&
                                    info->external_pointer_offset != info->external_length_offset)) &&
           (!(info->flags & TALLY_TYPE_LABEL) || info->label) &&
           (!(info->flags & TALLY_TYPE_WEAK) ||
            (info->size >= sizeof(struct tally_weak) && !(info->flags & TALLY_TYPE_ACYCLIC)));
}

static void type_free(struct tally_type *type)
{
    for (size_t i = 0; type->refs && i < type->ref_count; i++)
        free((char *)(uintptr_t)type->refs[i].name);
    free(type->refs);
    free((char *)(uintptr_t)type->info.name);
    free((char *)(uintptr_t)type->info.trailing_name);
    free((char *)(uintptr_t)type->info.external_name);
    free(type);
}

/* The slots of the fixed part; a weak type's hold comes first. */
static bool refs_copy(struct tally_type *type, const struct tally_type_info *info)
{
    size_t weak = type->weak ? 1 : 0;
    type->ref_count = info->ref_count + weak;
    type->refs = type->ref_count ? calloc(type->ref_count, sizeof *type->refs) : NULL;
    if (type->ref_count && !type->refs)
        return false;
    if (weak)
        type->refs[0] = (struct tally_ref){strdup("hold"), offsetof(struct tally_weak, hold_private)};
    for (size_t i = 0; i < info->ref_count; i++)
        type->refs[weak + i] = (struct tally_ref){strdup(info->refs[i].name), info->refs[i].offset};
    for (size_t i = 0; i < type->ref_count; i++)
        if (!type->refs[i].name)
            return false;
    return true;
}

static bool name_copy(const char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

static struct tally_type *type_make(const struct tally_type_info *info)
{
    size_t refs = info->ref_count + (info->flags & TALLY_TYPE_WEAK ? 1 : 0);
    struct tally_type *type = calloc(1, sizeof *type + refs * sizeof *type->offsets);
    if (!type)
        return NULL;
    memcpy(&type->info, info, info->flags & TALLY_TYPE_LABEL ? sizeof *info : offsetof(struct tally_type_info, label));
    type->info.name = type->info.trailing_name = type->info.external_name = NULL;
    type->weak = info->flags & TALLY_TYPE_WEAK;
    type->variable = info->trailing != TALLY_TRAILING_NONE;
    if (info->trailing == TALLY_TRAILING_SLOTS)
        type->info.trailing_element_bytes = sizeof(void *);
    type->align = info->align == 16 ? 16 : 8;
    type->size = round_up(info->size, WORD_BYTES);
    if (!refs_copy(type, info) || !name_copy(&type->info.name, info->name) ||
        !name_copy(&type->info.trailing_name, info->trailing_name) ||
        !name_copy(&type->info.external_name, info->external_name)) {
        type_free(type);
        return NULL;
    }
    type->info.refs = type->refs;
    type->plain = !type->ref_count && info->trailing != TALLY_TRAILING_SLOTS && !info->has_external &&
                  !info->traverse;
    type->tracked = !type->plain && !(info->flags & TALLY_TYPE_ACYCLIC);
    type->class_index = tally__class_of(WORD_BYTES + type->size, type->align);
    if (type->class_index != CLASS_LARGE && type->tracked)
        type->class_index += CLASS_COUNT;
    type->fast_class = type->variable || type->size > PAYLOAD_SMALL ? CLASS_KINDS : type->class_index;
    type->light = !type->weak && !info->has_external && !info->traverse && !info->finalize && !info->dispose;
    type->open = !info->has_external && !info->traverse;
    type->fixed = type->light && !type->variable;
    for (size_t i = 0; i < type->ref_count; i++)
        type->offsets[i] = (uint32_t)type->refs[i].offset;
    type->word = TALLY_COUNT_ONE | (type->tracked ? 0 : TALLY_FLAG_ACYCLIC) | (type->light ? 0 : FLAG_ODD);
    return type;
}

static int type_add(struct tally_type *type)
{
    uint32_t index = atomic_load_explicit(&type_count, memory_order_relaxed);
    if (index == TYPE_MAX)
        return TALLY_ELIMIT;
    type->index = index;
    type->word |= (uint64_t)index << TALLY_TYPE_SHIFT;
    type->event = type->size / 8 < WIRE_SIZE_CODE_LONG ? feed_word(WIRE_EVENT_RARE, index, type->size, 0) : 0;
    atomic_store_explicit(&tally__types[index], type, memory_order_release);
    atomic_fetch_add_explicit(&type_name_bytes, strlen(type->info.name), memory_order_relaxed);
    atomic_store_explicit(&type_count, index + 1, memory_order_release);
    return 0;
}

static int builtin_add(const struct tally_type_info *info)
{
    struct tally_type *type = type_make(info);
    if (!type)
        return TALLY_ENOMEM;
    return type_add(type);
}

/* Under types_lock. */
static int builtins_add(void)
{
    int error = 0;
    if (atomic_load(&type_count) == TYPE_OTHER)
        error = builtin_add(&(struct tally_type_info){.name = "other"});
    if (!error && atomic_load(&type_count) == TYPE_WEAKREF)
        error = builtin_add(&(struct tally_type_info){
            .name = "weakref", .size = sizeof(struct tally_weak), .flags = TALLY_TYPE_WEAK});
    if (!error && atomic_load(&type_count) <= TYPE_ENTRY)
        error = tally__weakmap_types(atomic_load(&type_count) - TYPE_WEAKMAP, builtin_add);
    return error;
}

int tally__types_init(void)
{
    pthread_mutex_lock(&types_lock);
    int error = builtins_add();
    pthread_mutex_unlock(&types_lock);
    return error;
}

int tally_type_register(const struct tally_type_info *info, const struct tally_type **out)
{
    if (!info_ok(info) || !out)
        return TALLY_EINVAL;
    struct tally_type *type = type_make(info);
    if (!type)
        return TALLY_ENOMEM;
    pthread_mutex_lock(&types_lock);
    int error = builtins_add();
    if (!error)
        error = type_add(type);
    pthread_mutex_unlock(&types_lock);
    if (error)
        type_free(type);
    else
        *out = type;
    void (*watch)(void) = atomic_load(&type_watch);
    if (!error && watch)
        watch();
    return error;
}

uint32_t tally__type_count(void)
{
    return atomic_load_explicit(&type_count, memory_order_acquire);
}

uint64_t tally__type_name_bytes(void)
{
    return atomic_load_explicit(&type_name_bytes, memory_order_relaxed);
}

void tally__types_watch(void (*watch)(void))
{
    atomic_store(&type_watch, watch);
}

size_t tally__size_of(const struct tally_type *type, const void *object)
{
    if (!type->variable)
        return type->size;
    size_t length = *(const size_t *)((const char *)object + type->info.trailing_length_offset);
    return round_up(type->size + length * type->info.trailing_element_bytes, WORD_BYTES);
}

const char *tally_type_name(const struct tally_type *type)
{
    return type->info.name;
}

void *tally_type_user(const struct tally_type *type)
{
    return type->info.user;
}

bool tally_type_is_tracked(const struct tally_type *type)
{
    return type->tracked;
}
