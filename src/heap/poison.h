/* What is said to AddressSanitizer and valgrind about slots that are free. Nothing in release builds. */
#ifndef TALLY_HEAP_POISON_H
#define TALLY_HEAP_POISON_H

#include <stddef.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define TALLY_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TALLY_ASAN 1
#endif
#endif

#ifdef TALLY_ASAN
#include <sanitizer/asan_interface.h>
#define ASAN_HIDE(memory, bytes) __asan_poison_memory_region(memory, bytes)
#define ASAN_SHOW(memory, bytes) __asan_unpoison_memory_region(memory, bytes)
#else
#define ASAN_HIDE(memory, bytes) ((void)(memory), (void)(bytes))
#define ASAN_SHOW(memory, bytes) ((void)(memory), (void)(bytes))
#endif

#if defined(TALLY_DEBUG) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define VALGRIND_HIDE(memory, bytes) (void)VALGRIND_MAKE_MEM_NOACCESS(memory, bytes)
#define VALGRIND_SHOW(memory, bytes) (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes)
#else
#define VALGRIND_HIDE(memory, bytes) ((void)0)
#define VALGRIND_SHOW(memory, bytes) ((void)0)
#endif

#define FREED_BYTE 0xdb

static inline void tally__poison(void *memory, size_t bytes)
{
#ifdef TALLY_DEBUG
    memset(memory, FREED_BYTE, bytes);
    VALGRIND_HIDE(memory, bytes);
#endif
    ASAN_HIDE(memory, bytes);
}

static inline void tally__unpoison(void *memory, size_t bytes)
{
    VALGRIND_SHOW(memory, bytes);
    ASAN_SHOW(memory, bytes);
}

#endif
