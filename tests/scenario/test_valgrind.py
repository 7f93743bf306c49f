"""The test of the annotations: valgrind sees a read of a freed object in a checking build, and nothing wrong before."""
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import PATIENCE, ROOT

LONG = True  # begins first, see run.py

PROGRAM = r"""
#include <stdint.h>
#include <stdlib.h>
#include <tally.h>
int main(int argc, char **argv)
{
    (void)argv;
    struct tally_heap *heap;
    const struct tally_type *type;
    struct tally_ref refs[] = {{"next", 0}};
    if (tally_heap_new(TALLY_ABI, NULL, &heap) ||
        tally_type_register(&(struct tally_type_info){.name = "town", .size = 24, .refs = refs, .ref_count = 1}, &type))
        return 1;
    for (int i = 0; i < 5000; i++) {
        void **town = tally_new(heap, type);
        tally_store(town, town, town);
        tally_decref(town);
    }
    tally_collect(heap, 2);
    volatile uint64_t *stale = tally_new(heap, type);
    tally_decref((void *)(uintptr_t)stale);
    int result = argc > 1 ? (int)stale[1] & 1 : 0;
    tally_heap_free(heap);
    return result * 0;
}
"""


@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
@unittest.skipIf(os.environ.get("TALLY_TEST_LINK"), "sanitizers and valgrind do not go together")
class Valgrind(unittest.TestCase):
    def test_a_read_of_a_freed_object_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
            library, source, program = (os.path.join(folder, name) for name in ("libtally.a", "town.c", "town"))
            subprocess.run(["make", "-s", "-j2", "-C", ROOT, f"BUILD={folder}", "CFLAGS=-O1 -g",
                            "CPPFLAGS=-DTALLY_DEBUG", library], check=True, capture_output=True, env=environment)
            with open(source, "w", encoding="utf-8") as file:
                file.write(PROGRAM)
            subprocess.run(["cc", "-g", f"-I{ROOT}/include", source, library, "-pthread", "-o", program], check=True)

            def run(*arguments):
                return subprocess.run(["valgrind", "-q", "--error-exitcode=9", program, *arguments], timeout=4 * PATIENCE,
                                      capture_output=True, text=True, check=False)
            well, badly = run(), run("stale")
        self.assertEqual((well.returncode, well.stderr), (0, ""))
        self.assertEqual(badly.returncode, 9)
        self.assertIn("Invalid read", badly.stderr)
