"""The gdb commands, on a real program that stands still."""
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import BUILD, PATIENCE, ROOT

PROGRAM = r"""
#include <stdlib.h>
#include <tally.h>
struct town { void *next, *other; };
struct town *ulm, *bonn;
struct tally_heap *heap;
int main(void)
{
    const struct tally_type *type;
    struct tally_ref refs[] = {{"next", 0}, {"other", 8}};
    if (tally_heap_new(TALLY_ABI, NULL, &heap) ||
        tally_type_register(&(struct tally_type_info){.name = "town", .size = 16, .refs = refs, .ref_count = 2}, &type))
        return 1;
    ulm = tally_new(heap, type);
    bonn = tally_new(heap, type);
    tally_store(ulm, &ulm->next, bonn);
    tally_store(bonn, &bonn->other, bonn);
    tally_collect(heap, 2);
    abort();
}
"""


@unittest.skipUnless(shutil.which("gdb"), "gdb is not installed")
class Gdb(unittest.TestCase):
    def test_heap_object_and_referrers(self):
        with tempfile.TemporaryDirectory() as folder:
            source, program = os.path.join(folder, "town.c"), os.path.join(folder, "town")
            with open(source, "w", encoding="utf-8") as file:
                file.write(PROGRAM)
            flags = os.environ.get("TALLY_TEST_LINK", "").split()
            subprocess.run(["cc", "-g", *flags, f"-I{ROOT}/include", source, f"{BUILD}/libtally.a", "-pthread", "-o",
                            program], check=True)
            commands = [f"source {ROOT}/config/tally-gdb.py", "run", "tally heap heap", "tally object bonn",
                        "tally referrers bonn", "tally object ulm"]
            arguments = [part for command in commands for part in ("-ex", command)]
            done = subprocess.run(["gdb", "-q", "-nx", "-batch", *arguments, program], capture_output=True, text=True,
                                  timeout=2 * PATIENCE, stdin=subprocess.DEVNULL, env={**os.environ, "HOME": folder}, check=False)
        self.assertRegex(done.stdout, r"heap 1, TALLY_MANAGER_CYCLE, \d+ bytes of pages, \d+ candidates\n +2  town\n",
                         done.stderr)
        self.assertRegex(done.stdout, r"town, count 3, generation 2\n  \.next = NULL\n  \.other = 0x\w+ town\n")
        self.assertRegex(done.stdout, r"0x\w+ town\.next\n0x\w+ town\.other\n")
        self.assertRegex(done.stdout, r"town, count 1, generation 2\n  \.next = 0x\w+ town\n")


if __name__ == "__main__":
    unittest.main()
