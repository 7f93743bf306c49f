"""make install and what is installed: the library through pkg-config, the programs, the manual pages; make uninstall."""
import os
import re
import subprocess
import tempfile
import unittest

from harness import BUILD, PATIENCE, ROOT

LINK = os.environ.get("TALLY_TEST_LINK", "").split()


def make(target, **variables):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    subprocess.run(["make", f"BUILD={BUILD}", target] + [f"{name}={value}" for name, value in variables.items()], cwd=ROOT,
                   check=True, env=environment, stdout=subprocess.DEVNULL, timeout=10 * PATIENCE)


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(path, name), folder) for path, _, names in os.walk(folder) for name in names)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.prefix = os.path.join(cls.folder.name, "usr")
        make("install", PREFIX=cls.prefix)
        cls.installed = files_below(cls.prefix)

    def test_a_program_is_built_through_pkg_config(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
            program = re.search(r"^```c\n(.*?)^```$", readme.read(), re.S | re.M)[1]
        source, binary = os.path.join(self.folder.name, "pair.c"), os.path.join(self.folder.name, "pair")
        with open(source, "w", encoding="ascii") as out:
            out.write(program)
        library = os.path.join(self.prefix, "lib")
        asked = subprocess.run(["pkg-config", "--cflags", "--libs", "tally"], capture_output=True, text=True, check=True,
                               env={**os.environ, "PKG_CONFIG_PATH": os.path.join(library, "pkgconfig")})
        subprocess.run(["cc", source, "-o", binary, *asked.stdout.split(), *LINK], check=True)
        needed = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True, check=True).stdout
        self.assertRegex(needed, r"NEEDED.*\[libtally\.so\.\d+\]")
        printed = subprocess.run([binary], capture_output=True, text=True, check=True, timeout=PATIENCE,
                                 env={**os.environ, "LD_LIBRARY_PATH": library, "TALLY_DISABLE": "1"})
        self.assertEqual(printed.stdout, "collected 2\n")

    def test_the_programs_run_from_there(self):
        for program in ("tallyd", "tallyctl"):
            ran = subprocess.run([os.path.join(self.prefix, "bin", program), "--version"], capture_output=True, text=True,
                                 check=True, timeout=PATIENCE)
            self.assertIn("0.", ran.stdout)

    def test_the_pages_are_clean_roff_and_say_every_option(self):
        pages = [path for path in self.installed if path.startswith("share/man/")]
        self.assertEqual([os.path.basename(page) for page in pages], ["tallyctl.1", "tally.3", "tallyd.conf.5", "tallyd.8"])
        shown = {}
        for page in pages:
            made = subprocess.run(["groff", "-man", "-ww", "-Tascii", os.path.join(self.prefix, page)], capture_output=True,
                                  text=True, check=True, timeout=PATIENCE)
            self.assertEqual(made.stderr, "", page)
            shown[os.path.basename(page)] = re.sub(".\b", "", made.stdout)
        for program, page in (("tallyd", "tallyd.8"), ("tallyctl", "tallyctl.1")):
            said = subprocess.run([os.path.join(self.prefix, "bin", program), "--help"], capture_output=True, text=True,
                                  check=True, timeout=PATIENCE).stdout
            words = set(re.findall(r"--[a-z-]+\b", said))
            self.assertGreater(len(words), 5)
            for word in words:
                self.assertIn(word, shown[page])
        keys = shown["tallyctl.1"].partition("KEYS OF TOP")[2].partition("ENVIRONMENT")[0]
        for word in ("Tab 1 2 3", "F1", "GC%", "LABELS"):
            self.assertIn(word, keys)

    def test_completion_is_where_bash_looks_for_it(self):
        path = os.path.join(self.prefix, "share/bash-completion/completions/tallyctl")
        line = f'source {path}; complete -p tallyctl'
        said = subprocess.run(["bash", "--norc", "-c", line], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        self.assertEqual(said, "complete -F _tallyctl tallyctl\n")

    def test_uninstall_leaves_nothing_and_destdir_is_a_prefix_of_all(self):
        with tempfile.TemporaryDirectory() as folder:
            make("install", DESTDIR=folder, PREFIX="/opt/tally")
            below = os.path.join(folder, "opt/tally")
            self.assertEqual(files_below(below), self.installed)
            with open(os.path.join(below, "lib/pkgconfig/tally.pc"), encoding="ascii") as file:
                self.assertNotIn(folder, file.read())
            for unit in (path for path in self.installed if "systemd" in path):
                with open(os.path.join(below, unit), encoding="ascii") as file:
                    self.assertNotIn("/usr/bin/tallyd", file.read())
            make("uninstall", DESTDIR=folder, PREFIX="/opt/tally")
            self.assertEqual(files_below(folder), [])


if __name__ == "__main__":
    unittest.main()
