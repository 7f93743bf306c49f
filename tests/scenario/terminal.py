"""tallyctl in a real terminal: a tmux server of the test's own, whose socket lies in the test's folder."""
import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import termios

from harness import PATIENCE, ROOT, program, until

TMUX = shutil.which("tmux")


def on_terminal(case, *words, columns=80):
    """What tallyctl writes on a terminal of so many columns, and how it ends."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen([program("tallyctl"), *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE,
                             env=case.environment | {"LC_ALL": "C.UTF-8", "TERM": "dumb"}, cwd=ROOT)
    os.close(theirs)
    written = b""
    with child, open(ours, "rb", buffering=0) as terminal:
        case.addCleanup(lambda: child.poll() is None and child.kill())
        while select.select([terminal], [], [], PATIENCE)[0]:
            try:
                piece = terminal.read(65536)
            except OSError:  # nobody has it open any more
                break
            if not piece:
                break
            written += piece
        return written.decode().replace("\r\n", "\n"), child.wait(PATIENCE)


class Terminal:
    """One pane of so many columns and rows, in which a shell line runs; what it shows is text."""

    def __init__(self, case, line, columns=80, rows=24, **environment):
        self.socket = os.path.join(case.dir, f"tmux{case.children}")
        case.children += 1
        self.environment = case.environment | {"LC_ALL": "C.UTF-8", "TERM": "screen"} | environment
        for name in ("TMUX", "TMUX_PANE", "NO_COLOR"):
            self.environment.pop(name, None)
        self.environment |= {name: environment[name] for name in ("NO_COLOR",) if name in environment}
        case.addCleanup(self.close)
        # The server's environment is the pane's; the shell stays, so that what the program leaves behind can be seen.
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  f"{line}; echo \"status $?\"; exec cat")
        self.tmux("set-option", "-g", "status", "off")
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def tmux(self, *arguments):
        done = subprocess.run([TMUX, "-u", "-S", self.socket, *arguments], env=self.environment, cwd=ROOT,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise AssertionError(f"tmux {arguments[0]}: {done.stderr}")
        return done.stdout

    def lines(self):
        return self.tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def text(self):
        return "\n".join(self.lines())

    def looks(self):
        """The same with its escape sequences."""
        return self.tmux("capture-pane", "-p", "-e")

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def shows(self, what, seconds=PATIENCE):
        """Waits until the screen shows a text, or a condition of its text holds. Returns the text."""
        def shown():
            text = self.text()
            return text if (what(text) if callable(what) else what in text) else None
        try:
            return until(shown, str(what), seconds, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.text()}") from None

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def pane(self, what):
        return self.tmux("display-message", "-p", "#{" + what + "}").strip()

    def close(self):
        subprocess.run([TMUX, "-S", self.socket, "kill-server"], capture_output=True, timeout=PATIENCE, check=False)


def tallyctl(*words):
    return " ".join([program("tallyctl"), *words])
