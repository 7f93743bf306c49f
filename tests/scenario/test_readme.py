"""Every command in README.md does what it says there.

The convention, for blocks that open with ```console:
  $ command            a command; following lines that begin with "> " continue it
  output               what it prints, stdout and stderr together, up to the next command or the block's end
  ...                  within a line: anything; on a line of its own: any lines, none too
A command must end with status 0 unless the next one is `echo $?`. What follows a `sleep N` at the end of a line looks at
something that a slow machine may not have done by then: it is looked at again until it is as the text says. All blocks of a file are one session of bash in a
copy of the tree (links, with build/ the build under test), so that later ones see variables and programs of earlier
ones. Blocks of other kinds (```sh) hold what is not run here: make run has its own test below, make test is this.
"""
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

from harness import BUILD, PATIENCE, ROOT, SLOWER, Scenario, Stopwatch, until

LONG = True  # begins first, see run.py

COMMAND_SECONDS = 60 * SLOWER
SLEPT = re.compile(r"\bsleep \d+$")
ELSEWHERE = {"make run", "make test", "make", "make help"}


def blocks(text, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)


def commands(block):
    """[(command, expected lines)] of a console block."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        elif not found:
            raise AssertionError(f"a console block opens with output: {line}")
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0] += "\n" + line[2:]
        else:
            found[-1][1].append(line)
    return [(command, expected) for command, expected in found]


def pattern(expected):
    """A regular expression for lines with `...` in them."""
    parts = []
    for line in expected:
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append("[^\n]*?".join(re.escape(piece) for piece in line.rstrip().split("...")) + "\n")
    return "".join(parts)


def agrees(expected, output):
    text = "".join(line.rstrip() + "\n" for line in output.rstrip().splitlines())
    return re.fullmatch(pattern(expected), text) is not None


class Session:
    """One bash, a command at a time."""
    MARK = "--tally-readme-mark--"

    def __init__(self, directory, environment):
        self.log = os.path.join(environment["HOME"], "session.log")
        with open(self.log, "wb") as out:
            self.bash = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=directory,
                                         env=environment, start_new_session=True)
        self.read = 0
        flags = os.environ.get("TALLY_TEST_LINK")  # a build with sanitizers needs them where it is linked
        if flags:
            self.bash.stdin.write(f'cc() {{ command cc {flags} "$@"; }}\n'.encode())

    def run(self, command):
        """Returns (status, output). What programs in the background print later belongs to later commands."""
        script = f"{{ {command}\n}}\n_status=$?; printf '\\n%s %s\\n' {self.MARK} $_status; (exit $_status)\n"
        self.bash.stdin.write(script.encode())
        self.bash.stdin.flush()
        mark = re.compile(rf"\n{self.MARK} (\d+)\n")

        def marked():
            with open(self.log, encoding="utf-8", errors="replace") as file:
                text = file.read()[self.read:]
            return (mark.search(text), text) if mark.search(text) else None
        found, text = until(marked, f"'{command}' ends", COMMAND_SECONDS)
        self.read += found.end()
        return int(found[1]), text[:found.start()]

    def close(self):
        """The session's process group is ours: what the commands left running ends with it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.bash.pid, number)
            except ProcessLookupError:
                break
            time.sleep(0.3)
        self.bash.wait()
        self.bash.stdin.close()


def clone(directory):
    for name in os.listdir(ROOT):
        if name not in ("build", ".git"):
            os.symlink(os.path.join(ROOT, name), os.path.join(directory, name))
    os.symlink(BUILD, os.path.join(directory, "build"))


def run_text(case, text):
    """Runs the console blocks of a text; fails the case at the first command that does not keep its word."""
    with tempfile.TemporaryDirectory(prefix="tally-readme-", ignore_cleanup_errors=True) as directory:
        tree = os.path.join(directory, "tree")
        os.mkdir(tree)
        clone(tree)
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(("TALLY_", "XDG_", "MAKE"))}
        session = Session(tree, environment | {"HOME": directory, "TMPDIR": directory})
        try:
            everything = [pair for block in blocks(text, "console") for pair in commands(block)]
            for number, (command, expected) in enumerate(everything):
                following = everything[number + 1][0] if number + 1 < len(everything) else ""
                status, output = session.run(command)
                end = time.monotonic() + (PATIENCE if number and SLEPT.search(everything[number - 1][0]) else 0)
                while not agrees(expected, output) and time.monotonic() < end:
                    time.sleep(0.5)
                    status, output = session.run(command)
                if not agrees(expected, output):
                    case.fail(f"$ {command}\nprinted:\n{output}\ninstead of:\n" + "\n".join(expected))
                if status and following != "echo $?":
                    case.fail(f"$ {command}\nended with status {status}: {output}")
            return len(everything)
        finally:
            session.close()


class Convention(unittest.TestCase):
    """What the README test itself can tell apart."""
    SAMPLE = ("x\n```console\n$ echo one; echo two\none\ntwo\n$ false\n$ echo $?\n1\n"
              "$ for i in 1 2 3; do\n> echo $i\n> done\n1\n...\n$ date +%Y-%m-%d\n2...-...\n```\n"
              "```console\n$ name=kept\n```\n```console\n$ echo $name\nkept\n$ sleep 30 &\n```\n")

    def test_a_right_text_passes(self):
        self.assertEqual(run_text(self, self.SAMPLE), 8)

    def test_wrong_output_and_wrong_status_fail(self):
        for wrong in ("$ echo one\ntwo\n", "$ echo one\n", "$ true\none\n", "$ (exit 3)\n", "$ echo one two\none ... three\n", "$ printf 'a\\nb\\n'\na\n", "$ printf 'a\\nb\\n'\n...\na\n"):
            with self.assertRaises(AssertionError, msg=wrong):
                run_text(self, f"```console\n{wrong}```\n")

    def test_placeholders(self):
        self.assertTrue(agrees(["...", "end"], "a\nb\nend\n"))
        self.assertTrue(agrees(["a ... c"], "a bbb c\n"))
        self.assertTrue(agrees(["..."], ""))
        self.assertFalse(agrees(["a ... c"], "a b\nc\n"))
        self.assertFalse(agrees([], "a\n"))


class Readme(unittest.TestCase):
    def test_every_command_keeps_its_word(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            text = file.read()
        self.assertGreater(run_text(self, text), 0)
        for block in blocks(text, "sh"):
            for line in block.splitlines():
                command = line.partition("#")[0].strip()
                self.assertIn(command, ELSEWHERE | {""}, "this command of README.md is run by no test")


class Demo(Scenario):
    def test_make_run_prints_what_works_and_ends_without_a_trace(self):
        environment = {key: value for key, value in self.environment.items() if not key.startswith("MAKE")}
        log = os.path.join(self.dir, "demo.log")
        with open(log, "wb") as out:
            demo = subprocess.Popen([os.path.join(ROOT, "config/demo.sh"), BUILD], stdout=out, stderr=out, cwd=ROOT,
                                    stdin=subprocess.DEVNULL, env=environment | {"TMPDIR": self.dir})
        self.addCleanup(lambda: demo.poll() is None and demo.kill())
        self.addCleanup(lambda: demo.poll() is None and (demo.terminate(), demo.wait(PATIENCE)))

        def text():
            with open(log, encoding="utf-8") as file:
                return file.read()
        until(lambda: demo.poll() is not None or "tallyctl --runtime-dir" in text(), "the demo is ready", 20)
        self.assertRegex(text(), r"http://127\.0\.0\.1:\d+/#login=\w+")
        lines = [line.strip() for line in text().splitlines()]
        for beginning, words in (("curl ", ('"bakery"', '"orchard"')), ("/", ("bakery", "orchard"))):
            line = next(line for line in lines if line.startswith(beginning))

            def works():
                done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE,
                                      env=environment, check=False)
                return done.returncode == 0 and all(word in done.stdout for word in words)
            until(works, line)
        left = os.listdir(self.dir)
        watch = Stopwatch()
        demo.terminate()
        self.assertEqual(demo.wait(PATIENCE), 0)
        self.assertLess(watch.seconds(), 2.0)
        self.assertTrue([name for name in left if name.startswith("tally-run.")])
        self.assertFalse([name for name in os.listdir(self.dir) if name.startswith("tally-run.")])
        found = subprocess.run(["pgrep", "-f", self.dir], capture_output=True, text=True, check=False)
        self.assertEqual(found.stdout, "")
