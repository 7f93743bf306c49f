/* Files are whole or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tallyctl/complain.h"
#include "tallyctl/save.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strncpy(folder, "/tmp/tally-save-XXXXXX", sizeof folder);
    return mkdtemp(folder) && !chdir(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return chdir("/") || system(command);
}

/* What a file holds; "" where there is none. */
static const char *content(const char *name)
{
    static char text[64];
    FILE *file = fopen(name, "r");
    size_t bytes = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[bytes] = '\0';
    if (file)
        fclose(file);
    return text;
}

static unsigned entries(void)
{
    unsigned count = 0;
    DIR *directory = opendir(".");
    for (struct dirent *entry; (entry = readdir(directory));)
        count += *entry->d_name != '.';
    closedir(directory);
    return count;
}

static void test_a_try_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(save_try(NULL), CTL_DONE);
    assert_int_equal(save_try("new"), CTL_DONE);
    assert_int_equal(entries(), 0);
    assert_int_equal(save_try("/nonexistent/new"), CTL_FAILED);
}

static void test_save_puts_a_whole_file_into_its_place(void **state)
{
    (void)state;
    mode_t mask = umask(027);
    struct save *save = save_begin("x");
    assert_non_null(save);
    assert_true(save_write(save, "new", 3));
    assert_string_equal(content("x"), "");
    assert_int_equal(save_end(save, true), CTL_DONE);
    assert_string_equal(content("x"), "new");
    struct stat status;
    assert_int_equal(stat("x", &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    umask(mask);
    assert_int_equal(entries(), 1);
}

static void test_save_leaves_nothing_of_what_is_not_kept(void **state)
{
    (void)state;
    struct save *save = save_begin("x");
    assert_true(save_write(save, "half", 4));
    assert_int_equal(save_end(save, false), CTL_DONE);
    assert_string_equal(content("x"), "new");
    assert_int_equal(entries(), 1);
}

static void test_save_follows_links_and_writes_into_what_is_no_file(void **state)
{
    (void)state;
    assert_int_equal(symlink("x", "link"), 0);
    struct save *save = save_begin("link");
    save_write(save, "through", 7);
    assert_int_equal(save_end(save, true), CTL_DONE);
    assert_string_equal(content("x"), "through");
    struct stat status;
    assert_int_equal(lstat("link", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    save = save_begin("/dev/null");
    assert_non_null(save);
    save_write(save, "gone", 4);
    assert_int_equal(save_end(save, true), CTL_DONE);
    assert_int_equal(lstat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

static void test_save_says_what_cannot_be_written(void **state)
{
    (void)state;
    char *said = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&said, &bytes), *before = complain_to(to);
    assert_null(save_begin("no/such/folder"));
    struct save *save = save_begin("/dev/full");
    assert_non_null(save);
    save_write(save, "more", 4);
    assert_int_equal(save_end(save, true), CTL_FAILED);
    complain_to(before);
    fclose(to);
    assert_string_equal(said, "tallyctl: no/such/folder: No such file or directory\n"
                              "tallyctl: /dev/full: No space left on device; nothing of it was kept\n");
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_try_leaves_nothing),
        cmocka_unit_test(test_save_puts_a_whole_file_into_its_place),
        cmocka_unit_test(test_save_leaves_nothing_of_what_is_not_kept),
        cmocka_unit_test(test_save_follows_links_and_writes_into_what_is_no_file),
        cmocka_unit_test(test_save_says_what_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
