"""Tokens of TCP: made, listed, revoked and replaced with tallyctl; what each allows; what ends with it."""
import glob
import http.client
import json
import os
import re
import stat
import time
import unittest

from harness import PATIENCE, Scenario, Stopwatch, until


class Tokens(Scenario):
    def setUp(self):
        super().setUp()
        self.start_daemon()

    def token(self, *arguments):
        done = self.ctl("token", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.strip()

    def ask(self, method, path, token, body=None):
        return self.tcp(method, path, body, {"Authorization": "Bearer " + token}, token=False)

    def test_scopes(self):
        """read reads, but for who asked for what; control controls too, admin makes tokens too."""
        process = self.attached(self.start_host("ledger"))
        collect, more = f"/v1/processes/{process}/collect", {"name": "more", "scope": "read"}
        for scope, statuses in (("read", (200, 403, 403, 403)), ("control", (200, 202, 403, 200)), ("admin", (200, 202, 201, 200))):
            secret = self.token("create", scope, "--scope", scope)
            self.assertRegex(secret, r"^[0-9a-f]{64}$")
            answers = (self.ask("GET", "/v1/processes", secret), self.ask("POST", collect, secret, {}),
                       self.ask("POST", "/v1/tokens", secret, more), self.ask("GET", "/v1/audit", secret))
            seen = [answer.status for answer in answers]
            seen[1] = 202 if seen[1] == 200 else seen[1]  # it may be over at once
            self.assertEqual(tuple(seen), statuses, scope)
            for answer, status, needed in zip(answers, statuses, ("", "control or admin", "admin", "control or admin")):
                if status == 403:
                    self.assertEqual((answer.json["code"], answer.json["detail"]),
                                     ("forbidden", "this takes a token of scope " + needed))
        self.assertEqual(self.ask("GET", "/metrics", self.token("create", "prom", "--scope", "read")).status, 200)

    def test_what_is_kept_and_what_is_shown(self):
        file = os.path.join(self.dir, "prometheus.token")
        said = self.token("create", "prometheus", "--scope", "read", "--expires", "30d", "--out", file)
        self.assertRegex(said, r"^token prometheus written to .*prometheus.token, good until 20..-..-..T")
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        with open(file, encoding="ascii") as text:
            secret = text.read().strip()
        self.assertEqual(self.ask("GET", "/v1/processes", secret).status, 200)
        self.assertRegex(self.token("list"), r"(?m)^prometheus +read +20\S+ +20\S+ +20\S+$")
        listed = json.loads(self.ctl("token", "list", "--json").stdout)["tokens"]
        self.assertEqual([(t["name"], t["scopes"], t["expired"]) for t in listed], [("prometheus", ["read"], False)])
        self.daemon.end()
        self.start_daemon()
        self.assertEqual(self.ask("GET", "/v1/processes", secret).status, 200)
        self.daemon.end()
        for path in filter(os.path.isfile, (*glob.glob(self.state + "/**", recursive=True), *glob.glob(self.dir + "/*.log"))):
            with open(path, encoding="utf-8", errors="replace") as text:
                self.assertNotIn(secret, text.read(), path)

    def test_revoking_ends_what_was_opened(self):
        kept, gone = (self.token("create", name, "--scope", "read") for name in ("kept", "gone"))
        streams = {}
        for secret in (kept, gone):
            connection = http.client.HTTPConnection(*self.address(), timeout=PATIENCE)
            self.addCleanup(connection.close)
            connection.request("GET", "/v1/stream?topics=fleet", headers={"Authorization": "Bearer " + secret})
            streams[secret] = connection.getresponse()
            self.assertEqual(streams[secret].status, 200)
        self.assertEqual(self.token("revoke", "gone"), "token gone revoked")
        rest = streams[gone].read()
        self.assertTrue(rest.endswith(b"event: bye\ndata: {}\n\n"), rest[-100:])
        self.assertEqual(self.ask("GET", "/v1/processes", gone).status, 401)
        self.start_host("ledger")
        until(lambda: b"ledger" in streams[kept].readline(), "the other stream goes on")
        self.assertEqual(self.ask("GET", "/v1/processes", kept).status, 200)

    def test_expiry_ends_it_too(self):
        secret = self.token("create", "brief", "--scope", "read", "--expires", "4s")
        connection = http.client.HTTPConnection(*self.address(), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/stream?topics=fleet", headers={"Authorization": "Bearer " + secret})
        watch = Stopwatch()
        self.assertTrue(connection.getresponse().read().endswith(b"event: bye\ndata: {}\n\n"))
        self.assertLess(watch.seconds(), 7)
        self.assertEqual(self.ask("GET", "/v1/processes", secret).status, 401)
        done = self.ctl("doctor")
        self.assertRegex(done.stdout, r"(?m)^warn +token brief has expired at 20")

    def test_who_asks_is_told_what_they_may(self):
        login = self.unix("POST", "/v1/session", {}).json["code"]
        session = self.tcp("POST", "/v1/session", {"code": login}, token=False).json["token"]
        told = [self.ask("GET", "/v1/session", self.token("create", scope, "--scope", scope)).json for scope in ("read", "control", "admin")]
        told += [self.ask("GET", "/v1/session", session).json, self.unix("GET", "/v1/session").json]
        self.assertEqual([view["scopes"] for view in told], [["read"], ["read", "control"], ["read", "control", "admin"],
                                                             ["read", "control"], ["read", "control", "admin"]])
        self.assertEqual([view["who"] for view in told[:3]], ["token read", "token control", "token admin"])
        self.assertRegex(told[3]["who"], "^session ")
        self.assertEqual({view["remote_control_off"] for view in told}, {False})
        self.assertEqual(self.ask("GET", "/v1/session", "0" * 64).status, 401)

    def test_rotation(self):
        old = self.read("token")
        login = self.unix("POST", "/v1/session", {}).json["code"]
        session = self.tcp("POST", "/v1/session", {"code": login}, token=False).json["token"]
        self.assertEqual(self.ask("GET", "/v1/info", session).status, 200)
        self.assertEqual(self.token("rotate"), "the new token is in tallyd's runtime directory; the one before is good for 60 s "
                                               "more, and the dashboard's sessions have ended")
        new = self.read("token")
        self.assertNotEqual(new, old)
        self.assertEqual([self.ask("GET", "/v1/info", token).status for token in (new, old, session)], [200, 200, 401])
        self.daemon.end()
        self.start_daemon()
        self.assertEqual(self.read("token"), new)
        self.assertEqual([self.ask("GET", "/v1/info", token).status for token in (new, old)], [200, 401])

    def test_guessing_is_told_to_wait(self):
        """More than 5 bad tokens in a second: 429 with Retry-After; who has a good one is not held up."""
        seen, start = [], time.monotonic()
        until(lambda: seen.append(self.ask("GET", "/v1/info", f"{len(seen):064x}")) or (len(seen) >= 40 and seen[-1].status == 429), "it is told", pause=0)
        self.assertEqual({answer.status for answer in seen}, {401, 429})
        self.assertEqual({answer.headers["Retry-After"] for answer in seen if answer.status == 429}, {"1"})
        self.assertLess(sum(answer.status == 401 for answer in seen), 16 + 5 * (time.monotonic() - start))
        self.assertEqual(self.tcp("GET", "/v1/info").status, 200)
        self.assertEqual(self.tcp("GET", "/v1/info", token=False).status, 401)  # without one it is no guess

    def test_what_is_wrong_is_said(self):
        for status, arguments, why in (
                (2, ("create", "x"), "--scope"), (2, ("create", "x", "--scope", "write"), "read, control or admin"),
                (2, ("create", "a/b", "--scope", "read"), "name"), (2, ("create",), "usage"), (2, ("burn", "x"), "usage"),
                (2, ("create", "x", "--scope", "read", "--expires", "30"), "--expires"),
                (2, ("list", "x"), "usage"), (1, ("revoke", "x"), "no such token")):
            done = self.ctl("token", *arguments)
            self.assertEqual((done.returncode, done.stdout), (status, ""), arguments)
            self.assertIn(why, done.stderr)
        self.token("create", "x", "--scope", "read")
        self.assertIn("exists", self.ctl("token", "create", "x", "--scope", "read").stderr)
        taken = self.ctl("token", "create", "y", "--scope", "read", "--out", self.path("token"))
        self.assertEqual(taken.returncode, 1)
        self.assertEqual(re.findall(r"(?m)^y ", self.token("list")), [])

    def test_the_audit_tells(self):
        self.token("create", "x", "--scope", "read")
        self.token("revoke", "x")
        self.token("rotate")
        for kind in ("token_create done", "token_revoke done", "token_rotate done"):
            self.assertRegex(self.daemon.log(), f'audit: {kind} who="uid {os.getuid()}"')


if __name__ == "__main__":
    unittest.main()
