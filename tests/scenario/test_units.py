"""The systemd units: what they expose, what systemd says of their form, and whether their filter leaves tallyd its calls."""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import ROOT, program

UNITS = os.path.join(ROOT, "config/systemd")
EXPOSURE_MAX = 1.5
needs_systemd = unittest.skipUnless(shutil.which("systemd-analyze"), "takes systemd-analyze")


@needs_systemd
class Units(unittest.TestCase):
    def test_exposure(self):
        """`systemd-analyze security --offline=yes config/systemd/system/tallyd.service`"""
        said = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager",
                               os.path.join(UNITS, "system/tallyd.service")], capture_output=True, text=True, check=True)
        level = float(re.search(r"Overall exposure level.*: ([0-9.]+)", said.stdout)[1])
        self.assertLessEqual(level, EXPOSURE_MAX)

    def test_form(self):
        """With paths of this build instead of the installed ones, systemd finds nothing to complain about."""
        for folder in ("system", "user"):
            with tempfile.TemporaryDirectory() as copy:
                for unit in glob.glob(os.path.join(UNITS, folder, "*")):
                    with open(unit, encoding="utf-8") as file:
                        text = file.read().replace("/usr/bin/tallyd", program("tallyd")).replace("Documentation=", "#")
                    with open(os.path.join(copy, os.path.basename(unit)), "w", encoding="utf-8") as file:
                        file.write(text)
                said = subprocess.run(["systemd-analyze", "verify", f"--{folder}", *glob.glob(copy + "/*")],
                                      capture_output=True, text=True, check=False,
                                      env={**os.environ, "XDG_RUNTIME_DIR": copy})
                self.assertEqual([line for line in said.stderr.splitlines() if "tally" in line], [])
                self.assertEqual(said.returncode, 0, said.stderr)

    def test_the_filter_leaves_what_the_sandbox_leaves(self):
        """Every call of src/sandbox/syscalls.def is one that the unit allows too: what goes without systemd goes with it."""
        sets, current = {}, None
        listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True,
                                check=True).stdout
        for line in re.sub(r"\x1b\[[0-9;]*m", "", listed).splitlines():
            if line.startswith("@"):
                current = sets.setdefault(line.strip(), set())
            elif line.startswith("    ") and not line.strip().startswith("#") and current is not None:
                current.add(line.strip())

        def calls(name):
            return {call for entry in sets[name] for call in (calls(entry) if entry.startswith("@") else {entry})}
        allowed = (calls("@system-service") - calls("@privileged") - calls("@resources")) | calls("@default")
        with open(os.path.join(ROOT, "src/sandbox/syscalls.def"), encoding="utf-8") as file:
            ours = set(re.findall(r"\bCALL\((\w+)\)", file.read().partition("*/")[2]))
        self.assertGreater(len(ours), 100)
        self.assertEqual(ours - allowed, {"fchown"})  # which root's SQLite alone asks for


if __name__ == "__main__":
    unittest.main()
