#!/usr/bin/env python3
"""The rules of the house that no compiler knows. `lint.py BUILD` prints FILE:LINE: what is broken, and a count.

layers    a folder of src/ includes only what src/LAYERS allows, and other folders through the header of their
          name (base and wire, whose headers stand for themselves, excepted)
headers   include/tally.h compiles alone as C11 and as C++, every header of src/ as C11
exports   libtally.so exports what tally.h declares and nothing else
size      no file over 600 lines, no function over 70 (flat tables are .def files)
hardened  tallyd and tallyctl are position-independent, fully bound and read-only after start, with a stack that is not run,
          stack canaries and checked copies (in a build without sanitizers)
documents config/tallyd.conf and src/api/API.md are what the tables make
calls     no unbounded string function, alloca or innerHTML
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILE_LINES = 600
FUNCTION_LINES = 70
OWN_DOORS = ("base", "wire")
AS_GIVEN = ("tests/replay/replay.py",   # the reference of the script format: kept as it is published
            "include/tally.h")          # the whole API in one file, most of it comment
CALLS = re.compile(r"(?<![\w.])(strcpy|strcat|sprintf|vsprintf|gets|alloca)\s*\(")
PAGE_CALLS = re.compile(r"innerHTML|outerHTML|document\.write|\beval\(|new Function")

found = []


def report(path, line, text):
    found.append(f"{os.path.relpath(path, ROOT)}:{line}: {text}")


def files(folder, *endings):
    for base, folders, names in os.walk(os.path.join(ROOT, folder)):
        folders[:] = sorted(f for f in folders if f not in ("node_modules", "corpus", "__pycache__"))
        for name in sorted(names):
            if name.endswith(endings):
                yield os.path.join(base, name)


def lines_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()


def layers():
    allowed = {}
    for line in lines_of(os.path.join(ROOT, "src/LAYERS")):
        folder, colon, rest = line.partition("#")[0].partition(":")
        if colon:
            allowed[folder.strip()] = set(rest.split())
    for path in files("src", ".c", ".h"):
        folder = os.path.relpath(path, ROOT).split(os.sep)[1]
        if folder not in allowed:
            report(path, 1, f"folder {folder} has no line in src/LAYERS")
            continue
        for number, line in enumerate(lines_of(path), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match or match[1] in ("tally.h",):
                continue
            target, slash, header = match[1].partition("/")
            if not slash:
                if not os.path.exists(os.path.join(ROOT, "build", match[1])):
                    report(path, number, f'"{match[1]}" is not written from src/')
            elif target != folder and target not in allowed[folder]:
                report(path, number, f"{folder} may not include {target}")
            elif target != folder and target not in OWN_DOORS and header.endswith(".h") and header != target + ".h":
                report(path, number, f"{match[1]} is private to {target}")


def compile_alone(path, compiler, *flags):
    command = [compiler, "-fsyntax-only", *flags, "-I", os.path.join(ROOT, "include"), "-I",
               os.path.join(ROOT, "src"), "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", path]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        report(path, 1, f"does not compile alone ({compiler}): " + done.stderr.strip().split("\n")[0])


def headers():
    public = os.path.join(ROOT, "include/tally.h")
    compile_alone(public, "cc", "-std=c11", "-pedantic", "-xc")
    compile_alone(public, "c++", "-std=c++11", "-xc++")
    for path in files("src", ".h"):
        compile_alone(path, "cc", "-std=gnu11", "-xc", "-Wno-unused-function")


def exports(build):
    library = os.path.join(build, "libtally.so")
    names = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True)
    exported = {line.split()[-1] for line in names.stdout.splitlines()}
    header = os.path.join(ROOT, "include/tally.h")
    text = re.sub(r"/\*.*?\*/", "", open(header, encoding="utf-8").read(), flags=re.S)
    declared = set(re.findall(r"TALLY_API\b[^;]*?\b(tally_\w+)\(", text))
    for name in sorted(declared - exported):
        report(header, 1, f"{name} is declared and not exported")
    for name in sorted(exported - declared):
        report(library, 1, f"{name} is exported and not declared")


def sizes():
    for path in [*files("src", ".c", ".h"), *files("include", ".h"), *files("web", ".js", ".css"),
                 *files("tests", ".c", ".h", ".py", ".mjs")]:
        lines = lines_of(path)
        if os.path.relpath(path, ROOT) in AS_GIVEN:
            continue
        if len(lines) > FILE_LINES:
            report(path, len(lines), f"{len(lines)} lines, more than {FILE_LINES}")
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{" and path.endswith(".c"):
                start = number
            elif line == "}" and start:
                if number - start > FUNCTION_LINES:
                    report(path, start, f"function of {number - start} lines, more than {FUNCTION_LINES}")
                start = None


def calls():
    for folder in ("src", "include", "tests"):
        for path in files(folder, ".c", ".h"):
            for number, line in enumerate(lines_of(path), 1):
                match = CALLS.search(line)
                if match:
                    report(path, number, match[1] + " is not bounded")
    for path in files("web", ".js", ".html"):
        for number, line in enumerate(lines_of(path), 1):
            if PAGE_CALLS.search(line):
                report(path, number, "makes HTML or code out of text")


def readelf(path, *flags):
    return subprocess.run(["readelf", "-W", *flags, path], capture_output=True, text=True, check=True).stdout


def hardened(build):
    for name in ("tallyd", "tallyctl"):
        path = os.path.join(build, name)
        header, segments, dynamic, symbols = (readelf(path, flag) for flag in ("-h", "-l", "-d", "--dyn-syms"))
        if "__asan_init" in symbols or "__tsan_init" in symbols:
            continue
        stack = re.search(r"GNU_STACK.*", segments)
        checks = {"position-independent": re.search(r"Type:\s+DYN", header) and "INTERP" in segments,
                  "bound at start": "BIND_NOW" in dynamic or re.search(r"FLAGS_1.*NOW", dynamic),
                  "read-only after start": "GNU_RELRO" in segments,
                  "without a stack that runs": stack and "E" not in stack[0].split()[-2],
                  "without memory that is written and run": not re.search(r"LOAD.* RWE ", segments),
                  "with stack canaries": "__stack_chk_fail" in symbols,
                  "with checked copies": re.search(r"__(memcpy|snprintf|vsnprintf|read|fprintf)_chk", symbols)}
        for what, good in checks.items():
            if not good:
                report(path, 1, f"is not {what}")


def made_documents():
    for path, *command in (("config/tallyd.conf", "config/conffile.py", "src/tallyd/options.def"),
                           ("src/api/API.md", "config/apidoc.py")):
        made = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, cwd=ROOT)
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            if file.read() != made.stdout:
                report(os.path.join(ROOT, path), 1, "is old: make documents")


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
    checks = [layers, headers, lambda: exports(build), lambda: hardened(build), made_documents, sizes, calls]
    broken = 0
    for check in checks:
        before = len(found)
        check()
        broken += len(found) > before
    for line in found:
        print(line)
    print(f"{len(checks) - broken} passed, {broken} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
