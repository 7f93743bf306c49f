"""Both ends of agent.sock by hand: a daemon and a program that say whatever a test wants. Layouts as in
src/wire/message.h and feed.h."""
import array
import fcntl
import os
import socket
import struct
import time

from harness import PATIENCE

VERSION = 1
HELLO, WELCOME, HEAP_COUNTERS, HEAP_RING, HEAP_GONE, COMMAND, ACK, BYE, ROWS = range(1, 10)
COLLECT, CONFIG, CANCEL = 1, 2, 3
FREEZE, UNFREEZE, GARBAGE, GARBAGE_CLEAR, OBJECTS, REFERRERS, CYCLES, FIND = range(5, 13)
WAITING, RUNNING, SUCCEEDED, FAILED, CANCELLED, EXPIRED = range(1, 7)
COUNTERS_BYTES = 45056
SEALS = 0x2 | 0x4 | 0x10 | 0x1  # SHRINK, GROW, FUTURE_WRITE, SEAL


def message(kind, body=b"", version=VERSION):
    return struct.pack("<HHI", kind, version, 8 + len(body)) + body


def hello(name="fake", identity=None, version=VERSION, more=b""):
    name = name.encode()
    body = struct.pack("<16sQ16sBB16s16s6s", identity or os.urandom(16), time.monotonic_ns(), b"9.9.9", len(name), 0,
                       b"", b"", b"") + name + more
    return message(HELLO, body, version)


def welcome(more=b"", version=VERSION):
    return message(WELCOME, struct.pack("<16sQ16s", os.urandom(16), time.monotonic_ns(), b"9.9.9") + more, version)


def command(operation, heap, kind=COLLECT, generation=2, within_s=30, more=b"", **config):
    deadline = time.monotonic_ns() + int(within_s * 1e9)
    body = struct.pack("<QQIIiIIII3IIIQQ", operation, deadline, heap, kind, generation, config.get("mask", 0),
                       config.get("enabled", 0), config.get("debug", 0), config.get("level", 0),
                       *config.get("thresholds", (0, 0, 0)), config.get("manager", 0), 0, config.get("max_pause_us", 0),
                       config.get("memory_limit_bytes", 0))
    return message(COMMAND, body + more)


def listing(operation, heap, kind, limit=1000, after=0, index=0):
    """OBJECTS with everything, and its like."""
    return command(operation, heap, kind, generation=-1, more=struct.pack("<QIIQQII", 0, 0, 0, after, index, limit, 0))


def counters_header(heap, generation):
    """An honest header of a counters feed that tells of no type."""
    rows, descs, strings, records = 1024, 1024 + 64 * 64, 1024 + 128 * 64, 1024 + 128 * 64 + 3072
    return struct.pack("<QIIQ12I", 0x3154435F594C4154, VERSION, 1024, COUNTERS_BYTES, heap, generation, rows, 64, descs,
                       64, strings, 3072, records, 256, 0, 0)


def forged_counters(heap, name):
    """The message and the memory of a heap whose second type has this name, whatever it is."""
    memory = bytearray(counters_header(heap, 1).ljust(COUNTERS_BYTES, b"\0"))
    descs, strings = 1024 + 64 * 64, 1024 + 128 * 64
    for row, (at, text) in enumerate(((0, b"other"), (16, name))):
        struct.pack_into("<IIIIQ", memory, descs + 64 * row, at, len(text), 0, 0, 8)
        memory[strings + at:strings + at + len(text)] = text
    struct.pack_into("<II", memory, 64, 2, 64)  # type_count, string_used
    fd = sealed(bytes(memory), COUNTERS_BYTES)
    return message(HEAP_COUNTERS, struct.pack("<IIQ", heap, 1, COUNTERS_BYTES)), fd


def sealed(content, size):
    """A memfd with that content, sealed as the library seals its own."""
    fd = os.memfd_create("fake", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.posix_fallocate(fd, 0, size)
    os.pwrite(fd, content, 0)
    fcntl.fcntl(fd, 1033, SEALS)  # F_ADD_SEALS
    return fd


class Peer:
    """One connection."""

    def __init__(self, sock, seconds=PATIENCE):
        self.sock = sock
        self.sock.settimeout(seconds)

    def send(self, data, *fds):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], rights)

    def receive(self):
        """(kind, version, body); None at the end of the connection. Descriptors are closed."""
        try:
            data, rights, _, _ = self.sock.recvmsg(8192, socket.CMSG_SPACE(64))
        except ConnectionResetError:
            return None
        for _, _, fds in rights:
            for fd in array.array("i", fds[:len(fds) // 4 * 4]):
                os.close(fd)
        if not data:
            return None
        kind, version, _ = struct.unpack_from("<HHI", data)
        return kind, version, data[8:]

    def receive_kind(self, kind):
        """The body of the next message of a kind; what comes before it is passed over."""
        while got := self.receive():
            if got[0] == kind:
                return got[2]
        raise AssertionError(f"the connection ended before a message of kind {kind}")

    def ack(self, operation):
        """(state, error, collected) with which an operation ended."""
        while True:
            number, _, state, error, _, collected = struct.unpack_from("<QIIiIq", self.receive_kind(ACK))
            if number == operation and state >= SUCCEEDED:
                return state, error, collected

    def ended(self):
        """Whether the other side has ended the connection, once it has read what came before."""
        while self.receive():
            continue
        return True

    def close(self):
        self.sock.close()


class FakeDaemon:
    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(PATIENCE)
        self.listener.bind(path)
        self.listener.listen(64)

    def accept(self):
        return Peer(self.listener.accept()[0])

    def attach(self, **words):
        """Greets the next program; returns it and the number of its first heap."""
        peer = self.accept()
        assert peer.receive()[0] == HELLO
        peer.send(welcome(**words))
        heap = struct.unpack_from("<I", peer.receive_kind(HEAP_COUNTERS))[0]
        peer.receive_kind(HEAP_RING)
        return peer, heap

    def close(self):
        self.listener.close()


def connect(path, seconds=PATIENCE):
    """A connection, as soon as the queue of those who want one has room."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setblocking(False)
    end = time.monotonic() + seconds
    while True:
        try:
            sock.connect(path)
            return Peer(sock)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.001)
