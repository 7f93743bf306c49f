"""Ways to build the library."""
import os
import subprocess
import tempfile
import unittest

from harness import BUILD, PATIENCE, ROOT

HOST = r"""
#include <stdio.h>
#include <tally.h>
int main(void)
{
    struct tally_heap *heap;
    const struct tally_type *leaf;
    char sentence[256];
    if (tally_heap_new(TALLY_ABI, NULL, &heap) ||
        tally_type_register(&(struct tally_type_info){.name = "leaf", .size = 8}, &leaf))
        return 1;
    int attached = tally_attach(heap), bad = tally_set_label("Bad key", "x"), good = tally_set_name("name");
    tally_decref(tally_new(heap, leaf));
    tally_detach(heap);
    bool is = tally_agent_status(sentence, sizeof sentence);
    struct tally_stats stats;
    tally_get_stats(heap, &stats, sizeof stats);
    printf("%d %d %d %d %s %llu\n", attached, bad, good, is, sentence, (unsigned long long)stats.allocations);
    tally_heap_free(heap);
    return 0;
}
"""


class Build(unittest.TestCase):
    def test_a_library_without_its_agent(self):
        """AGENT=no: attaching says no, and there is no call that makes a thread, a socket or shared memory."""
        build = os.path.join(BUILD, "agentless")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        subprocess.run(["make", f"BUILD={build}", "AGENT=no", "CFLAGS=-O0", f"{build}/libtally.a"], cwd=ROOT, check=True,
                       env=environment, stdout=subprocess.DEVNULL)
        wanted = subprocess.run(["nm", "-u", f"{build}/libtally.a"], capture_output=True, text=True, check=True).stdout
        for call in ("pthread_create", "socket", "connect", "sendmsg", "memfd_create", "poll", "fork"):
            self.assertNotIn(f" U {call}\n", wanted)
        with tempfile.TemporaryDirectory() as folder:
            source, program = os.path.join(folder, "host.c"), os.path.join(folder, "host")
            with open(source, "w", encoding="ascii") as out:
                out.write(HOST)
            subprocess.run(["cc", "-Iinclude", source, f"{build}/libtally.a", "-pthread", "-o", program], cwd=ROOT,
                           check=True)
            printed = subprocess.run([program], capture_output=True, text=True, check=True, timeout=PATIENCE)
        self.assertEqual(printed.stderr, "")
        self.assertEqual(printed.stdout, "-8 -2 0 0 not attached: this library was built without its agent 1\n")
