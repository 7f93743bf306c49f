"""The guide's programs compile, run, and print what it says."""
import os
import re
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
