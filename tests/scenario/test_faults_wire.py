"""F27, versions that differ: an old end and a new one, played by hand against the real other end. Unknown messages are
skipped by their length, longer ones read up to the known part, another wire version is refused with its reason."""
import os
import signal
import struct
import time

import wire
from harness import Scenario, until


class Versions(Scenario):
    def refused(self):
        return {r["reason"]: r["count"] for r in self.get("/v1/info")["refused"]}

    def fake_daemon(self):
        daemon = wire.FakeDaemon(self.path("agent.sock"))
        self.addCleanup(daemon.close)
        return daemon

    def fake_program(self, *greetings):
        self.start_daemon()
        peer = wire.connect(self.path("agent.sock"))
        self.addCleanup(peer.close)
        for greeting in greetings:
            peer.send(greeting)
        return peer

    def test_F27_a_newer_program_at_tallyd(self):
        """Messages of kinds to come, and known ones with something appended: the program is shown, its heap too, and its
        goodbye is understood."""
        name, more = "from-tomorrow", bytes(200)
        peer = self.fake_program(wire.hello(name, more=more), *[wire.message(kind, os.urandom(500)) for kind in (11, 999, 65535)])
        kind, version, body = peer.receive()
        self.assertEqual((kind, version, len(body)), (wire.WELCOME, wire.VERSION, 40))
        fd = wire.sealed(wire.counters_header(3, 1), wire.COUNTERS_BYTES)
        self.addCleanup(os.close, fd)
        peer.send(wire.message(wire.HEAP_COUNTERS, struct.pack("<IIQ", 3, 1, wire.COUNTERS_BYTES) + more), fd)
        shown = until(lambda: [p for p in self.processes("live") if p["heaps"]], "it is shown with its heap")[0]
        self.assertEqual((shown["name"], shown["pid"], [h["n"] for h in shown["heaps"]]), (name, os.getpid(), [3]))
        operation = self.start_operation(shown["id"], body={"generation": 1})
        number, _, heap, asked, generation = struct.unpack_from("<QQIIi", peer.receive_kind(wire.COMMAND))
        self.assertEqual((heap, asked, generation), (3, wire.COLLECT, 1))
        ack = struct.pack("<QIIiIqQQQ", number, 3, wire.SUCCEEDED, 0, 0, 42, 0, 1, 1)
        peer.send(wire.message(wire.ACK, ack + more))
        ended = until(lambda: (o := self.operation(operation))["state"] == "succeeded" and o, "the answer is understood")
        self.assertEqual(ended["result"]["collected"], 42)
        peer.send(wire.message(wire.HEAP_GONE, struct.pack("<IIQ", 3, 1, 0) + more))
        peer.send(wire.message(wire.BYE, more))
        gone = until(lambda: self.processes("gone"), "its goodbye is understood")[0]
        self.assertEqual((gone["id"], gone["end"]), (shown["id"], "bye"))
        self.assertEqual(self.refused(), {})

    def test_F27_a_program_of_another_wire_version_is_refused(self):
        """Its hello is answered by the end of the connection, and listed with its reason; so is one cut short."""
        peer = self.fake_program(wire.hello(version=2))
        self.assertTrue(peer.ended())
        until(lambda: self.refused() == {"the library speaks another wire version": 1}, "the reason is listed")
        peer = wire.connect(self.path("agent.sock"))
        peer.send(wire.message(wire.HELLO, bytes(40)))
        self.assertTrue(peer.ended())
        until(lambda: self.refused().get("the message is shorter than its kind asks for") == 1, "the reason is listed")
        self.assertIn("another wire version", self.ctl("doctor").stdout)
        self.assertEqual(self.processes(), [])

    def test_F27_a_newer_daemon_at_a_program(self):
        """A welcome with something appended, kinds to come, and commands with members to come and members missing: the
        program stays, and does what it knows."""
        daemon = self.fake_daemon()
        host = self.start_host("ledger")
        more = bytes(300)
        peer, heap = daemon.attach(more=more)
        self.addCleanup(peer.close)
        for kind in (11, 999, 65535):
            peer.send(wire.message(kind, os.urandom(500)))
        host.ask("automatic 0")
        host.ask("ring 10")
        peer.send(wire.command(1, heap, more=more))
        self.assertEqual(peer.ack(1), (wire.SUCCEEDED, 0, 20))
        host.ask("ring 5")
        first = wire.command(2, heap)[8:64]  # as the first version sent it, without what was appended
        peer.send(wire.message(wire.COMMAND, first))
        self.assertEqual(peer.ack(2), (wire.SUCCEEDED, 0, 10))
        peer.send(wire.command(3, heap, kind=77))
        self.assertEqual(peer.ack(3)[0], wire.FAILED)
        self.assertIn("attached", host.ask("status"))
        host.signal(signal.SIGTERM)
        self.assertEqual(host.wait(), 0)
        self.assertEqual(host.ledger("final")["node"]["cycle"], 30)

    def test_F27_a_daemon_of_another_wire_version_is_left(self):
        """A welcome of another version: the program gets nothing but its hello across, says why, and tries again no more
        often than once in a second or so."""
        daemon = self.fake_daemon()
        host = self.start_host("ledger")
        start = time.monotonic()
        for _ in range(3):
            peer = daemon.accept()
            self.assertEqual(peer.receive()[0], wire.HELLO)
            peer.send(wire.welcome(version=2))
            self.assertIsNone(peer.receive())
            peer.close()
            until(lambda: "speaks another wire version" in host.ask("status"), "the host says why")
        self.assertGreater(time.monotonic() - start, 1.4)
        host.ask("make 10")
        daemon.attach()[0].close()
