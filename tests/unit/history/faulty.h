/* A disk that fails: SQLite's own file system with every write, truncation and sync counted. Those of a range of numbers
 * fail as a full disk does; and what lies on the disk after a power cut can be had at any moment: what was synced, and of
 * what was not any part, in any order, the last one torn. */
#ifndef TESTS_UNIT_HISTORY_FAULTY_H
#define TESTS_UNIT_HISTORY_FAULTY_H

#include <pthread.h>

#include "world.h"

#define FAULTY_FILES 2 /* history.db and its log */
#define FAULTY_PENDING 4096
#define SECTOR 512

struct image { /* what surely lies on the disk, and what was written since */
    unsigned char *bytes;
    size_t size, room;
    struct pending { size_t at, size; unsigned char *bytes; bool cut; } pending[FAULTY_PENDING]; /* cut: to `at` bytes */
    size_t pending_count;
};

static struct faulty {
    sqlite3_vfs vfs, *real;
    pthread_mutex_t lock;
    uint64_t count, fail_from, fail_to, failed; /* operations; those from..to-1 fail */
    void (*each)(void *arg); /* after each, with the lock held */
    void *arg;
    bool imaging;
    struct image images[FAULTY_FILES];
} faulty;

struct faulty_file {
    sqlite3_file base;
    int image; /* -1: none */
    sqlite3_file *real;
};

static struct image *image_of(sqlite3_file *file)
{
    int image = ((struct faulty_file *)file)->image;
    return faulty.imaging && image >= 0 ? &faulty.images[image] : NULL;
}
static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct faulty_file *)file)->real;
}

static void image_apply(struct image *image, const struct pending *pending, size_t size)
{
    size_t end = pending->cut ? pending->at : pending->at + size;
    if (end > image->room) {
        image->room = 2 * end;
        image->bytes = realloc(image->bytes, image->room);
        memset(image->bytes + image->size, 0, image->room - image->size);
    }
    if (pending->cut && end < image->size)
        memset(image->bytes + end, 0, image->size - end);
    if (!pending->cut)
        memcpy(image->bytes + pending->at, pending->bytes, size);
    image->size = pending->cut || end > image->size ? end : image->size;
}

static void image_clear(struct image *image)
{
    for (size_t i = 0; i < image->pending_count; i++)
        free(image->pending[i].bytes);
    image->pending_count = 0;
}

static void image_sync(struct image *image)
{
    for (size_t i = 0; i < image->pending_count; i++)
        image_apply(image, &image->pending[i], image->pending[i].size);
    image_clear(image);
}

static void image_add(struct image *image, size_t at, const void *bytes, size_t size, bool cut)
{
    if (image->pending_count == FAULTY_PENDING)
        image_sync(image); /* the kernel has written it meanwhile */
    struct pending *pending = &image->pending[image->pending_count++];
    *pending = (struct pending){.at = at, .size = size, .bytes = malloc(size + 1), .cut = cut};
    if (size)
        memcpy(pending->bytes, bytes, size);
}

/* What a power cut leaves, into a file; nothing where there never was one. */
static inline void image_leave(const struct image *image, const char *path)
{
    struct image left = {.bytes = malloc(image->size + 1), .size = image->size, .room = image->size + 1};
    memcpy(left.bytes, image->bytes ? image->bytes : (const unsigned char *)"", image->size);
    for (size_t i = 0; i < image->pending_count; i++) {
        size_t size = image->pending[i].size;
        if (rand() % 2)
            continue;
        if (rand() % 4 == 0 && size >= SECTOR)
            size = (size_t)rand() % (size / SECTOR) * SECTOR;
        image_apply(&left, &image->pending[i], size);
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(left.bytes, 1, left.size, file), left.size);
    fclose(file);
    free(left.bytes);
}

/* Counts; false: it fails. */
static bool passes(void)
{
    bool fails = ++faulty.count >= faulty.fail_from && faulty.count < faulty.fail_to;
    faulty.failed += fails;
    return !fails;
}

static int faulty_done(int code)
{
    if (faulty.each)
        faulty.each(faulty.arg);
    pthread_mutex_unlock(&faulty.lock);
    return code;
}

static int faulty_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    pthread_mutex_lock(&faulty.lock);
    if (!passes())
        return faulty_done(SQLITE_FULL);
    if (image_of(file))
        image_add(image_of(file), (size_t)at, bytes, (size_t)size, false);
    return faulty_done(real_of(file)->pMethods->xWrite(real_of(file), bytes, size, at));
}
static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    pthread_mutex_lock(&faulty.lock);
    if (!passes())
        return faulty_done(SQLITE_IOERR_TRUNCATE);
    if (image_of(file))
        image_add(image_of(file), (size_t)size, NULL, 0, true);
    return faulty_done(real_of(file)->pMethods->xTruncate(real_of(file), size));
}
static int faulty_sync(sqlite3_file *file, int flags)
{
    pthread_mutex_lock(&faulty.lock);
    if (!passes())
        return faulty_done(SQLITE_IOERR_FSYNC);
    if (image_of(file))
        image_sync(image_of(file));
    return faulty_done(real_of(file)->pMethods->xSync(real_of(file), flags));
}

#define PASS(type, name, parameters, arguments) \
    static type faulty_##name parameters { return real_of(file)->pMethods->name arguments; }
PASS(int, xRead, (sqlite3_file *file, void *to, int size, sqlite3_int64 at), (real_of(file), to, size, at))
PASS(int, xFileSize, (sqlite3_file *file, sqlite3_int64 *size), (real_of(file), size))
PASS(int, xLock, (sqlite3_file *file, int level), (real_of(file), level))
PASS(int, xUnlock, (sqlite3_file *file, int level), (real_of(file), level))
PASS(int, xCheckReservedLock, (sqlite3_file *file, int *out), (real_of(file), out))
PASS(int, xFileControl, (sqlite3_file *file, int op, void *arg), (real_of(file), op, arg))
PASS(int, xSectorSize, (sqlite3_file *file), (real_of(file)))
PASS(int, xDeviceCharacteristics, (sqlite3_file *file), (real_of(file)))
PASS(int, xShmMap, (sqlite3_file *file, int page, int size, int extend, void volatile **out), (real_of(file), page, size, extend, out))
PASS(int, xShmLock, (sqlite3_file *file, int offset, int n, int flags), (real_of(file), offset, n, flags))
PASS(void, xShmBarrier, (sqlite3_file *file), (real_of(file)))
PASS(int, xShmUnmap, (sqlite3_file *file, int remove), (real_of(file), remove))
#undef PASS

static int faulty_close(sqlite3_file *file)
{
    return real_of(file)->pMethods ? real_of(file)->pMethods->xClose(real_of(file)) : SQLITE_OK;
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    static const sqlite3_io_methods methods = {.iVersion = 2, .xClose = faulty_close, .xRead = faulty_xRead, .xWrite = faulty_write,
        .xTruncate = faulty_truncate, .xSync = faulty_sync, .xFileSize = faulty_xFileSize, .xLock = faulty_xLock,
        .xUnlock = faulty_xUnlock, .xCheckReservedLock = faulty_xCheckReservedLock, .xFileControl = faulty_xFileControl,
        .xSectorSize = faulty_xSectorSize, .xDeviceCharacteristics = faulty_xDeviceCharacteristics, .xShmMap = faulty_xShmMap,
        .xShmLock = faulty_xShmLock, .xShmBarrier = faulty_xShmBarrier, .xShmUnmap = faulty_xShmUnmap};
    struct faulty_file *ours = (struct faulty_file *)file;
    (void)vfs;
    ours->real = (sqlite3_file *)(ours + 1);
    ours->image = flags & SQLITE_OPEN_MAIN_DB ? 0 : flags & SQLITE_OPEN_WAL ? 1 : -1;
    int code = faulty.real->xOpen(faulty.real, name, ours->real, flags, out);
    ours->base.pMethods = code ? NULL : &methods;
    return code;
}

/* From now on all that SQLite does goes through here. */
static inline void faulty_begin(void)
{
    if (!faulty.real) {
        faulty.real = sqlite3_vfs_find(NULL);
        faulty.vfs = *faulty.real;
        faulty.vfs.zName = "faulty";
        faulty.vfs.szOsFile += (int)sizeof(struct faulty_file);
        faulty.vfs.xOpen = faulty_open;
        pthread_mutex_init(&faulty.lock, NULL);
    }
    pthread_mutex_lock(&faulty.lock);
    faulty.count = faulty.failed = faulty.fail_from = faulty.fail_to = 0;
    faulty.each = NULL;
    faulty.imaging = false;
    for (int i = 0; i < FAULTY_FILES; i++) {
        image_clear(&faulty.images[i]);
        free(faulty.images[i].bytes);
        faulty.images[i] = (struct image){.bytes = NULL};
    }
    pthread_mutex_unlock(&faulty.lock);
    sqlite3_vfs_register(&faulty.vfs, 1);
}
/* The operations from..to-1 fail. */
static inline void faulty_fail(uint64_t from, uint64_t to)
{
    pthread_mutex_lock(&faulty.lock);
    faulty.fail_from = from;
    faulty.fail_to = to;
    pthread_mutex_unlock(&faulty.lock);
}
static inline void faulty_end(void)
{
    sqlite3_vfs_unregister(&faulty.vfs);
}

#endif
