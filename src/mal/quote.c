/* Quasiquotation: `(a ~b ~@c) becomes (cons (quote a) (cons b (concat c ()))). */
#include "mal/mal.h"

static bool is_call_of(const struct mal *mal, const void *form, enum word word)
{
    const struct list *list = form;
    return mal_is_list(form) && list->first == mal->words[word] && !mal_is_empty(list->rest);
}

static void *argument(const struct list *form)
{
    return ((struct list *)form->rest)->first;
}

/* One item in front of the rest, which is stolen. */
static void *item_in_front(struct mal *mal, void *form, void *rest_steal)
{
    TALLY_LOCAL void *rest = rest_steal;
    if (is_call_of(mal, form, MAL_WORD_SPLICE))
        return mal_list_of(mal, (void *[]){mal->words[MAL_WORD_CONCAT], argument(form), rest}, 3);
    TALLY_LOCAL void *quoted = mal_quasiquote(mal, form);
    return quoted ? mal_list_of(mal, (void *[]){mal->words[MAL_WORD_CONS], quoted, rest}, 3) : NULL;
}

static void *items(struct mal *mal, void *sequence)
{
    TALLY_LOCAL struct vector *vector = mal_vector_of(mal, sequence);
    void *result = vector ? tally_dup(mal->empty) : NULL;
    for (size_t i = vector ? vector->length : 0; i-- > 0 && result;)
        result = item_in_front(mal, vector->items[i], result);
    return result;
}

void *mal_quasiquote(struct mal *mal, void *form)
{
    if (!mal_stack_ok(mal))
        return NULL;
    if (is_call_of(mal, form, MAL_WORD_UNQUOTE))
        return tally_dup(argument(form));
    if (mal_is_list(form))
        return items(mal, form);
    if (mal_kind(form) == MAL_VECTOR) {
        TALLY_LOCAL void *list = items(mal, form);
        return list ? mal_list_of(mal, (void *[]){mal->words[MAL_WORD_VEC], list}, 2) : NULL;
    }
    if (mal_kind(form) == MAL_SYMBOL || mal_kind(form) == MAL_MAP)
        return mal_list_of(mal, (void *[]){mal->words[MAL_WORD_QUOTE], form}, 2);
    return tally_dup(form);
}

void *mal_template(struct mal *mal, void *form)
{
    TALLY_LOCAL struct template *template = mal_new_as(mal, MAL_TEMPLATE, MAL_LIST);
    void *rest = template ? mal_list_of(mal, &form, 1) : NULL;
    if (!rest)
        return NULL;
    template->list.value.number = 1;
    tally_store(template, &template->list.first, mal->words[MAL_WORD_QUASIQUOTE]);
    tally_store_steal(template, &template->list.rest, rest);
    return MAL_GIVE(template);
}

void *mal_template_expand(struct mal *mal, struct template *template)
{
    if (!template->expansion)
        tally_store_steal(template, &template->expansion, mal_quasiquote(mal, argument(&template->list)));
    return template->expansion;
}
