"""The guide's programs compile, run, and print what it says."""
import os
import re
import shutil
import subprocess
import sys
import unittest

from harness import ROOT
from test_readme import run_text


def as_commands(text):
    """Each C block that begins with `// NAME.c` becomes the command that writes the file."""
    def block(found):
        name, code = re.match(r"// (\w+\.c)\n(.*)", found[1], re.S).groups()
        lines = "".join(f"> {line}\n" for line in code.splitlines())
        return f"```console\n$ cat >{name} <<'END_OF_{name}'\n{lines}> END_OF_{name}\n```"
    return re.sub(r"^```c\n(.*?)^```", block, text, flags=re.M | re.S)


class Guide(unittest.TestCase):
    def test_every_step_keeps_its_word(self):
        with open(os.path.join(ROOT, "src/GUIDE.md"), encoding="utf-8") as file:
            text = file.read()
        self.assertGreater(run_text(self, as_commands(text)), 12)

    def test_the_table_names_only_calls_that_there_are(self):
        with open(os.path.join(ROOT, "src/GUIDE.md"), encoding="utf-8") as file:
            names = set(re.findall(r"`(tally_\w+)", file.read()))
        with open(os.path.join(ROOT, "include/tally.h"), encoding="utf-8") as file:
            header = file.read()
        for name in names:
            self.assertRegex(header, rf"\b{name}\b", name)


class ManPage(unittest.TestCase):
    def test_every_call_stands_in_it_and_roff_takes_it(self):
        header_path = os.path.join(ROOT, "include/tally.h")
        made = subprocess.run([sys.executable, os.path.join(ROOT, "config/manpage.py"), header_path, "1"],
                              capture_output=True, text=True, check=True).stdout
        with open(header_path, encoding="utf-8") as file:
            calls = set(re.findall(r"\b(tally_[a-z0-9_]+)\(", file.read()))
        self.assertGreater(len(calls), 100)
        for call in calls:
            self.assertIn(call, made)
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=made, capture_output=True, text=True,
                                  check=True)
            self.assertEqual(done.stderr, "")
