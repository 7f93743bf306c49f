"""The peers: what each wants, how it is built and run; and one run of a program, as figures."""
import os
import shutil
import subprocess
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
UNAVAILABLE = 77 # a peer's status for a workload that it has not
NIM = ["nim", "c", "--hints:off", "--warnings:off", "-d:release", "-d:danger"]


def nim(manager):
    return ("nim", NIM + [f"--mm:{manager}", f"-d:PeerName=Nim {manager}", "--nimcache:{out}.cache", "-o:{out}",
                          os.path.join(HERE, "peer.nim")], ["{out}"])


def c(wants, name, *flags, under=()):
    return (wants, ["cc", "-O2", f"-DPEER_NAME=\"{name}\"", "-o", "{out}", os.path.join(HERE, "peer.c"), *flags],
            [*under, "{out}"])


# Peer: (the Debian package it wants, the command that builds it into OUT or None, the command that runs it)
PROGRAMS = {
    "glibc": c("gcc", "C glibc"),
    "mimalloc": c("libmimalloc-dev", "C mimalloc", "-Wl,--no-as-needed", "-lmimalloc"),
    "boehm": c("libgc-dev", "Boehm", "-DBOEHM", "-lgc"),
    "heaptrack": c("heaptrack", "C glibc under heaptrack", under=("heaptrack", "-o", "{out}.data")),
    "arc": nim("arc"), "orc": nim("orc"), "marksweep": nim("markAndSweep"),
    "java": ("default-jdk-headless", ["javac", "-d", "{out}.classes", os.path.join(HERE, "Peer.java")],
             ["java", "-XX:+UseSerialGC", "-cp", "{out}.classes", "Peer"]),
    "go": ("golang-go", ["go", "build", "-o", "{out}", os.path.join(HERE, "peer.go")], ["{out}"]),
    "cpython": ("python3", None, [sys.executable, os.path.join(HERE, "peer.py")]),
}


def built(command):
    """Whether a command that builds something is there and succeeds."""
    return bool(shutil.which(command[0])) and subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


class Machine:
    """Where all is built and run: the build folder, the core; and which peers there are."""

    def __init__(self, build, core):
        self.build, self.core = os.path.abspath(build), core
        self.missing, self.commands = {}, {}

    def out(self, name):
        folder = os.path.join(self.build, "peers")
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name)

    def command(self, peer):
        """The peer's command, built where it can be; None: something is missing."""
        if peer not in self.commands:
            wants, build, run = PROGRAMS[peer]
            build, run = ([word.format(out=self.out(peer)) for word in words or []] for words in (build, run))
            there = (not build or built(build)) and shutil.which(run[0])
            self.commands[peer] = run if there else None
            if not there:
                self.missing[peer] = wants
        return self.commands[peer]

    def run(self, command, folder=None, environment=None):
        """The lines that one run prints, on the core that was asked for."""
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
                                 env=environment, stdin=subprocess.DEVNULL, timeout=900, check=False,
                                 preexec_fn=lambda: os.sched_setaffinity(0, {self.core}))
        if process.returncode == UNAVAILABLE:
            return []
        if process.returncode:
            sys.exit(f"bench.py: {' '.join(command)}: status {process.returncode}\n{process.stderr[-500:]}")
        return process.stdout.splitlines()

    def figures(self, command):
        """{(figure, name): (value, unit)} of one run."""
        lines = [line.split("\t") for line in self.run(command) if line.count("\t") == 3]
        return {(figure, name): (float(value), unit) for figure, name, value, unit in lines}
