#!/usr/bin/env python3
"""Runs the cases of the mal guide's steps, then the same cases on an evaluator written in mal.

    run.py [--mal PATH] [--only TEXT]

A case file stepN_name.cases is a dialogue with the REPL:
    > form      a line that is typed; the case is named by it
    < text      a line that the program reads by itself (readline)
    = text      a line of the answer, exactly; a case without any expects no line at all
    ~ regex     a line of the answer that must match as a whole
    # words     a remark
    @native     the next case is not run on the evaluator written in mal
The whole dialogue goes through a pipe at once; the answers are told apart by the prompt. Steps 0 and 1 only
repeat or print what they read, so they are asked for with --step. Besides, every dialogue must leave no live
object.
One line for each failure; the last line is "N passed, N failed, N skipped".
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EVALUATOR = os.path.join(HERE, "selfhost", "mal.mal")
SECONDS = 120 * float(os.environ.get("TALLY_TEST_SLOWER", 1))  # see tests/run.py
PROMPT = re.compile(rb"(?:^|(?<=user> ))user> ", re.M)


class Case:
    def __init__(self, line, text, native):
        self.line, self.text, self.native = line, text, native
        self.typed, self.wanted = [text], []


def read_cases(path):
    cases, native = [], False
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            mark, text = line[:2].strip(), line[2:]
            if mark == ">":
                cases.append(Case(number, text, native))
                native = False
            elif mark == "<":
                cases[-1].typed.append(text)
            elif mark in ("=", "~"):
                cases[-1].wanted.append((mark, text))
            elif line == "@native":
                native = True
            elif line and mark != "#":
                sys.exit(f"{path}:{number}: no case line: {line}")
    return cases


def answers(wanted, got):
    return len(wanted) == len(got) and all(
        re.fullmatch(text, line) if mark == "~" else text == line for (mark, text), line in zip(wanted, got))


class Skipped(Exception):
    pass


class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, good, name, why=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAIL {name}: {why}")


def execute(command, data=b"", seconds=SECONDS, **more):
    """(status or a word, standard output, standard error)"""
    environment = {**os.environ, "TALLY_DISABLE": "1"}
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, cwd=HERE,
                              env=environment, check=False, **more)
    except subprocess.TimeoutExpired as error:
        return "hung", error.stdout or b"", error.stderr or b""
    return done.returncode, done.stdout, done.stderr


def run_dialogue(report, mal, path, hosted):
    name = os.path.basename(path)
    step = re.match(r"step([0-9A])_", name)[1]
    cases = [case for case in read_cases(path) if not (hosted and case.native)]
    command = [mal, "--no-attach", "--stats"]
    if hosted:
        command.append(EVALUATOR)
        name = f"selfhost/{name}"
    elif step in "01":
        command += ["--step", step]
    typed = "".join(line + "\n" for case in cases for line in case.typed).encode()
    status, output, errors = execute(command, typed)
    said = PROMPT.split(output)[1:]  # what stands before the first prompt is the banner
    for i, case in enumerate(cases):
        if i >= len(said):
            report.check(False, f"{name}:{case.line}", f"{case.text}: no answer ({status})")
            continue
        got = said[i].decode(errors="replace").split("\n")[:-1]
        wanted = [text for _, text in case.wanted]
        report.check(answers(case.wanted, got), f"{name}:{case.line}",
                     f"{case.text}: {got} instead of {wanted}")
    report.check(status == 0, name, f"exit status {status}")
    report.check(b"live objects 0\n" in errors, name, f"objects are left: {errors.decode(errors='replace')}")


class Programs:
    """Each method runs the program itself and is one test."""

    def __init__(self, mal):
        self.mal = mal

    def ask(self, data, *options):
        status, output, errors = execute([self.mal, "--no-attach", "--stats", *options], data)
        assert status == 0, f"exit status {status}"
        assert b"live objects 0\n" in errors, errors
        return [part.decode(errors="replace") for part in PROMPT.split(output)[1:]]

    def file(self, text, *arguments, suffix=".mal"):
        with tempfile.NamedTemporaryFile("w", suffix=suffix, encoding="utf-8") as file:
            file.write(text)
            file.flush()
            return execute([self.mal, "--no-attach", "--stats", file.name, *arguments])

    def test_arguments_are_strings(self):
        status, output, _ = self.file("(prn *ARGV*)", "one", "2", "--stats", "")
        assert (status, output) == (0, b'("one" "2" "--stats" "")\n'), (status, output)

    def test_failing_file_exits_1_and_leaves_nothing(self):
        status, output, errors = self.file('(do (def! held (atom nil)) (reset! held held) (throw {:code 7}))')
        assert status == 1 and output == b"Error: {:code 7}\n", (status, output)
        assert b"live objects 0\n" in errors, errors

    def test_missing_file_exits_1(self):
        status, output, _ = execute([self.mal, "--no-attach", "/nonexistent/program.mal"])
        assert status == 1 and b"/nonexistent/program.mal" in output, (status, output)

    def test_wrong_options_exit_2(self):
        for options in (["--wrong"], ["--label", "novalue"], ["--label", "BAD KEY=1"],
                        ["--step", "B"], ["--name"]):
            status, output, errors = execute([self.mal, *options])
            assert status == 2 and errors and not output, (options, status, output, errors)

    def test_help_and_version(self):
        status, output, _ = execute([self.mal, "--help"])
        assert status == 0 and b"--no-attach" in output, output
        status, output, _ = execute([self.mal, "--version"])
        assert status == 0 and re.fullmatch(rb"tally-mal \d+\.\d+\.\d+\n", output), output

    def test_end_of_input_ends_with_a_newline(self):
        assert self.ask(b"") == ["\n"]
        assert self.ask(b"(+ 1 2)") == ["3\n", "\n"]

    def test_deep_brackets(self):
        for open_, close in (("(", ")"), ("[", "]"), ("'", ""), ("@", ""), ("^", "")):
            said = self.ask((open_ * 1000000 + "1" + close * 1000000 + "\n(= 1 1)\n").encode())
            assert said[0].startswith("Error: too deep"), (open_, said[0][:80])
            assert said[1] == "true\n", said[1]

    def test_deep_values(self):
        build = "(def! nest (fn* (n x) (if (= n 0) x (nest (- n 1) (list x)))))\n"
        said = self.ask((build + "(do (def! a (nest 1000000 1)) (def! b (nest 1000000 1)) nil)\n"
                         "(= a b)\na\n(str a)\n(throw a)\n(= 1 1)\n"
                         "(try* (= a b) (catch* e (string? e)))\n").encode())
        assert said[1] == "nil\n" and said[6] == "true\n" and said[7] == "true\n", said
        for answer in said[2:6]:
            assert answer.startswith("Error: "), said

    def test_deep_recursion_on_a_small_stack(self):
        status, output, errors = execute(["sh", "-c", 'ulimit -s 512; exec "$0" --no-attach --stats',
                                          self.mal], b"(def! down (fn* (n) (+ 1 (down n))))\n"
                                         b"(down 1)\n(+ 1 1)\n")
        said = PROMPT.split(output)
        assert status == 0 and said[2].startswith(b"Error: too deep") and said[3] == b"2\n", (status, said)
        assert b"live objects 0\n" in errors, errors

    def test_want_of_memory_is_an_error(self):
        limited = ["sh", "-c", 'ulimit -v 400000; exec "$0" --no-attach "$@"', self.mal]
        if execute([*limited, "--version"])[0] != 0:
            raise Skipped  # a sanitizer reserves more addresses than that
        grow = b'(def! grow (fn* (s) (grow (str s s))))\n(grow "0123456789")\n' \
               b'(try* (grow "ab") (catch* e (+ 1 1)))\n'
        status, output, _ = execute(limited, grow)
        said = PROMPT.split(output)
        assert status == 0 and said[2] == b"Error: out of memory\n" and said[3] == b"2\n", (status, said)

    def test_odd_bytes(self):
        said = self.ask(b'"a\0b"\n(str "\xff\xfe")\n\xc3\x28\n(count (str "\0\0"))\n\0\n(+ 1 1)\n')
        assert said[0] == '"a\0b"\n' and said[5] == "2\n", said
        assert all("\n" in answer for answer in said), said

    def test_long_line(self):
        text = b'"' + b"x" * 3000000 + b'"'
        said = self.ask(b"(= " + text + b" " + text + b")\n(+ " + b"1 " * 200000 + b")\n")
        assert said[0] == "true\n" and said[1] == "200000\n", [answer[:80] for answer in said]

    def test_cycles_are_collected(self):
        text = ("(def! knot (fn* () (let* (a (atom nil) f (fn* () a)) (do (reset! a f) nil))))"
                "(def! tie (fn* (n) (if (> n 0) (do (knot) (tie (- n 1))))))"
                "(do (tie 20000) (gc) (prn (< (live-objects) 5000)))")
        status, output, errors = self.file(f"(do {text})")
        assert status == 0 and output == b"true\n", (status, output)
        assert int(re.search(rb"freed by cycle (\d+)", errors)[1]) > 20000, errors

    def test_names_that_nobody_knows_are_forgotten(self):
        text = ("(def! name (fn* (n) (if (> n 0) (do (symbol (str \"name\" n)) (name (- n 1))))))"
                "(do (def! kept 'kept-name) (name 5000) (prn (= kept (symbol \"kept-name\")) (< (live-objects) 1500)))")
        status, output, errors = self.file(f"(do {text})")
        assert (status, output) == (0, b"true true\n"), (status, output, errors)

    def test_hosted_arguments(self):
        with tempfile.NamedTemporaryFile("w", suffix=".mal", encoding="utf-8") as file:
            file.write("(prn *ARGV*)\n(prn (+ 1 2)) ; the last line has a remark")
            file.flush()
            status, output, _ = execute([self.mal, "--no-attach", EVALUATOR, file.name, "a", "b"])
        assert status == 0 and output == b'("a" "b")\n3\n', (status, output)


def run_programs(report, mal):
    programs = Programs(mal)
    for name in sorted(dir(programs)):
        if name.startswith("test_"):
            try:
                getattr(programs, name)()
                report.check(True, name)
            except Skipped:
                report.skipped += 1
            except (AssertionError, IndexError, TypeError) as error:
                report.check(False, name, f"{type(error).__name__} {str(error)[:600]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--mal", default=os.path.join(ROOT, "build", "tally-mal"))
    parser.add_argument("--only", default="", help="only case files, or tests, whose name has this text")
    options = parser.parse_args()
    mal = os.path.abspath(options.mal)
    report = Report()
    for path in sorted(glob.glob(os.path.join(HERE, "step*.cases"))):
        if options.only in path:
            run_dialogue(report, mal, path, hosted=False)
            if not os.path.basename(path).startswith(("step0", "step1")):
                run_dialogue(report, mal, path, hosted=True)
    if options.only in "programs":
        run_programs(report, mal)
    print(f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
