/* A config file. What is refused is refused with the file and the line; what is taken can be written out, and read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tallyd/tallyd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void file_of(const void *data, size_t size, int *fd, char *path, size_t path_bytes)
{
    *fd = memfd_create("config", MFD_CLOEXEC);
    if (*fd < 0 || write(*fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, path_bytes, "/proc/self/fd/%d", *fd);
}

static bool read_one(const void *data, size_t size, struct settings *settings, char *why, size_t why_bytes)
{
    char path[64];
    int fd;
    file_of(data, size, &fd, path, sizeof path);
    memset(settings, 0, sizeof *settings);
    *why = '\0';
    bool read = config_read(settings, path, false, why, why_bytes);
    if (!read && strncmp(why, path, strlen(path)))
        abort(); /* it names the file */
    close(fd);
    return read;
}

/* Values as a config file has them: behind a blank, one that begins with a semicolon would be a comment. */
static void print_again(const struct settings *settings)
{
    char *text = NULL, why[512];
    size_t bytes = 0;
    struct settings again;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        abort();
    for (int i = 0; i < OPTIONS; i++)
        if (settings->given[i].text && option_rows[i].section)
            fprintf(out, "[%s]\n%s=%s\n", option_rows[i].section, option_rows[i].name, settings->given[i].text);
    fclose(out);
    if (bytes < 60000 && !read_one(text, bytes, &again, why, sizeof why)) {
        fprintf(stderr, "%s\n%s", why, text);
        abort();
    }
    settings_free(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings settings;
    char why[512];
    if (read_one(data, size, &settings, why, sizeof why))
        print_again(&settings);
    settings_free(&settings);
    return 0;
}
