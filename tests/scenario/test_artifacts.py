"""Artifacts when tallyd or its disk fails: what is whole is found again, what is half goes, and the daemon lives. Snapshots of heaps
that never were (hosts/artifact) stand for large ones; a program of the family host for those that come through a pipe."""
import http.client
import os
import subprocess
import unittest

from harness import CHECKED, Scenario, UnixConnection, program, until

LARGE = 600_000


class Artifacts(Scenario):
    def artifact(self, shape, objects, name="heap"):
        """Where tallyd finds it when it starts; its id."""
        done = subprocess.run([program("hosts/artifact"), self.state, shape, str(objects), name], capture_output=True, text=True,
                              check=True)
        return done.stdout.strip()

    def of(self, artifact):
        return self.get(f"/v1/artifacts/{artifact}")

    def ready(self, artifact, seconds=60):
        until(lambda: self.of(artifact)["state"] in ("ready", "failed"), "it is analysed", seconds)
        return self.of(artifact)

    def files(self):
        return sorted(os.listdir(os.path.join(self.state, "artifacts")))

    def anonymous_kib(self):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

    def small_disk(self, size):
        if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", self.state],
                                         capture_output=True, check=False).returncode:
            self.skipTest("mount is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.state], check=False)

    def test_many_objects_take_no_memory(self):
        """The analysis tells how far it is, and its arrays are files; a page of the greatest is one walk."""
        artifact = self.artifact("web", LARGE)
        self.start_daemon("--no-history")
        seen = []
        until(lambda: seen.append(self.of(artifact)) or seen[-1]["state"] == "ready", "it is analysed", 60)
        going = [one for one in seen if one["state"] == "analysing"]
        self.assertEqual([one["progress"] for one in going], sorted(one["progress"] for one in going))
        self.assertTrue(any(one["eta_ms"] for one in going), going[-1:])
        page = self.get(f"/v1/artifacts/{artifact}/objects?limit=1000")["objects"]
        self.assertEqual(len(page), 1000)
        self.assertEqual(page[0]["root"], "declared")
        if not CHECKED:  # sanitizers keep what is freed
            self.assertLess(self.anonymous_kib(), 24 * 1024)

    def test_tallyctl_waits_for_the_analysis(self):
        """Who compares what was taken a moment ago need not know that it is being worked through."""
        artifact = self.artifact("web", 300_000)
        self.start_daemon("--no-history")
        done = self.ctl("compare", artifact, artifact, "--state", "same")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        self.assertIn("same", done.stdout)
        self.assertEqual(self.ctl("compare", "ab" * 8, artifact).stderr, f"tallyctl: There is no such artifact: {'ab' * 8}\n")

    def test_killed_while_it_analyses(self):
        artifact = self.artifact("web", LARGE // 6 if CHECKED else LARGE)
        self.start_daemon()
        until(lambda: self.of(artifact)["progress"] > 0.05, "it is under way", 30)
        self.daemon.process.kill()
        self.daemon.wait()
        self.assertIn(artifact + ".index.part", self.files())
        self.start_daemon()
        self.assertEqual(self.of(artifact)["state"], "analysing")
        self.assertEqual(self.ready(artifact)["summary"]["declared_roots"], 1)
        self.assertEqual(self.files(), [artifact + ending for ending in (".index", ".json", ".stream")])

    def test_killed_while_it_receives(self):
        self.start_daemon()
        host = self.start_host("family", "works", "400000")
        process = self.attached(host)
        host.ask("pause 100", 30)
        answer = self.unix("POST", f"/v1/processes/{process}/snapshot?wait=0s", {"mode": "slices"})
        self.assertEqual(answer.status, 202, answer)
        until(lambda: any(name.endswith(".part") for name in self.files()), "it comes")
        self.daemon.process.kill()
        self.daemon.wait()
        self.start_daemon()
        self.assertEqual(self.get("/v1/artifacts")["artifacts"], [])
        self.assertEqual(self.files(), [])
        self.assertIn("seen", host.ask("seen", 30))  # the program goes on

    def test_deleted_while_it_is_analysed(self):
        artifact = self.artifact("web", LARGE)
        self.start_daemon()
        until(lambda: self.of(artifact)["progress"] > 0.05, "it is under way", 30)
        self.assertEqual(self.unix("DELETE", f"/v1/artifacts/{artifact}").status, 204)
        until(lambda: self.files() == [], "nothing is left", 10)

    def test_a_full_disk(self):
        """The analysis has no room, and says so; small ones and the daemon go on."""
        self.small_disk("48m")
        large, small = self.artifact("web", 500_000), None
        self.start_daemon("--no-history")
        failed = self.ready(large)
        self.assertEqual(failed["state"], "failed", failed)
        self.assertIn("No space left on device", failed["problem"])
        self.assertEqual(self.files(), [large + ".json"])
        self.daemon.end()
        small = self.artifact("app", 10_000)
        self.start_daemon("--no-history")
        self.assertEqual(self.ready(small)["state"], "ready")
        self.assertEqual(self.of(large)["problem"], failed["problem"])

    def test_a_full_disk_while_it_receives(self):
        self.small_disk("4m")
        self.start_daemon("--no-history")
        host = self.start_host("family", "works", "400000")
        process = self.attached(host)
        host.ask("pause 0", 30)
        answer = self.unix("POST", f"/v1/processes/{process}/snapshot?wait=30s", {"mode": "clone", "force": True}, seconds=40)
        self.assertEqual(answer.json["state"], "failed", answer)
        artifact = self.get("/v1/artifacts")["artifacts"][0]
        self.assertEqual(artifact["state"], "failed")
        self.assertIn("No space left on device", artifact["problem"])
        self.assertEqual(self.unix("GET", "/healthz").status, 200)

    def download(self, artifact, read):
        """Begins one, gives its first bytes to `read`, and returns how it ended: the exception, or None where it was whole."""
        connection = UnixConnection(os.path.join(self.runtime, "api.sock"), 60)
        try:
            connection.request("GET", f"/v1/artifacts/{artifact}?format=ndjson", headers={"Host": "localhost"})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            read(answer.read(1000))
            while answer.read(1 << 20):
                pass
            return None
        except (http.client.HTTPException, OSError) as broken:
            return broken
        finally:
            connection.close()

    def test_a_file_that_is_cut_short_costs_the_artifact(self):
        """Under queries and a download; an index is made again, and without its stream the artifact fails. The daemon lives."""
        artifact = self.artifact("web", 200_000)
        self.start_daemon("--no-history")
        self.assertEqual(self.ready(artifact)["state"], "ready")
        base, pid = f"/v1/artifacts/{artifact}", self.daemon.pid
        top = self.get(f"{base}/objects?limit=1")["objects"][0]["object"]
        asked = (base, f"{base}/types", f"{base}/objects?limit=50", f"{base}/dominators", f"{base}/objects/{top}/edges",
                 f"{base}/objects/{top}/path", f"/v1/compare?a={artifact}&b={artifact}")

        def cut(ending):
            os.truncate(os.path.join(self.state, "artifacts", artifact + ending), 8192)

        def statuses():
            return {self.unix("GET", path).status for path in asked}
        self.assertEqual(statuses(), {200})
        broken = self.download(artifact, lambda first: (self.assertTrue(first.startswith(b"{")), cut(".index")))
        self.assertIsNotNone(broken)
        self.assertLessEqual(statuses(), {200, 409})
        until(lambda: self.of(artifact)["state"] == "ready", "it is made again", 60)
        self.assertEqual(statuses(), {200})
        self.assertIsNone(self.download(artifact, lambda first: None))
        cut(".stream")
        until(lambda: self.unix("GET", f"{base}/objects?limit=50").status == 409, "it is noticed")
        failed = self.ready(artifact)
        self.assertEqual(failed["state"], "failed")
        self.assertIn("the analysis: ", failed["problem"])
        self.assertEqual(statuses(), {200, 409})
        self.assertTrue(self.daemon.running())
        self.assertEqual(self.daemon.pid, pid)

    def test_what_does_not_fit_is_dropped_or_refused(self):
        size = ("--artifact-size", "16MiB", "--no-history")
        old = self.artifact("chain", 60_000, "old")
        self.start_daemon(*size)
        self.assertEqual(self.ready(old)["state"], "ready")
        self.daemon.end()
        new = self.artifact("chain", 120_000, "new")
        self.start_daemon(*size)
        self.assertEqual(self.ready(new)["state"], "ready")
        self.assertEqual(self.unix("GET", f"/v1/artifacts/{old}").status, 404)  # it went for the analysis of the new one
        self.daemon.end()
        large = self.artifact("chain", 400_000, "large")
        self.start_daemon(*size)
        self.assertIn("artifact-size does not allow", self.ready(large)["problem"])


if __name__ == "__main__":
    unittest.main()
