"""History as its users meet it: figures over time, what is gone, what happened, over restarts, and how to be rid of it."""
import os
import signal
import sqlite3
import stat
import time

from harness import Scenario, until


class History(Scenario):
    def history(self, process, query=""):
        return self.get(f"/v1/processes/{process}/history?{query}")

    def database(self):
        return sqlite3.connect(f"file:{self.state}/history.db?mode=ro", uri=True)

    def last(self, process, series="live_objects", heap=None):
        """The newest value that was recorded, or None."""
        below = f"/heaps/{heap}" if heap else ""
        answer = self.unix("GET", f"/v1/processes/{process}{below}/history?from=-5m&series={series}")
        values = [value for value in answer.json["series"][0]["last"] if value is not None] if answer.status == 200 else []
        return values[-1] if values else None

    def test_what_was_is_told_after_the_end_and_after_a_restart(self):
        """A program's figures, types and collections, while it lives, when it is gone, and from the next tallyd."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        host.ask("make 100")
        host.ask("collect 2")
        ledger = host.own_ledger()
        live = sum(kind["allocations"] - kind["refcount"] - kind["cycle"] for kind in
                   (ledger[name] for name in ("node", "leaf", "text")))
        until(lambda: self.last(process) == live, f"{live} live objects are in history")
        node = ledger["node"]["allocations"]
        until(lambda: self.last(process, "type:node.allocations") == node, "so are the type's")
        self.assertEqual(self.last(process, "live_objects", heap=1), live)
        host.end()
        until(lambda: self.get(f"/v1/history/processes?process={process}")["processes"][0]["gone_at"], "its end is recorded")
        self.assertEqual(self.last(process), live)
        self.daemon.end()
        self.start_daemon()
        self.assertEqual(self.unix("GET", f"/v1/processes/{process}").status, 404)
        self.assertEqual(self.last(process), live)
        told = self.get(f"/v1/history/processes?process={process}")["processes"][0]
        self.assertEqual((told["watched"], told["end"] is not None), (False, True))
        collections = self.get(f"/v1/processes/{process}/history/collections")["collections"]
        self.assertEqual([one["reason"] for one in collections], ["shutdown", "explicit"])

    def test_who_has_just_come_has_an_empty_history(self):
        """Not none: it is there, and the next second is written."""
        self.start_daemon()
        until(lambda: self.get("/v1/info")["history"]["ready"], "the history is open")
        process = self.attached(self.start_host("ledger"))
        self.assertEqual(self.unix("GET", f"/v1/processes/{process}/history").status, 200)
        self.assertEqual(self.unix("GET", f"/v1/processes/{process}/history?format=trace").status, 200)
        self.assertEqual(self.unix("GET", f"/v1/processes/{process}/history/collections").status, 200)
        until(lambda: self.last(process) == 0, "it is written")

    def test_a_gap_is_a_gap(self):
        """While no tallyd watches nothing is recorded, and nothing is made up; and what a program brings along when it
        attaches again is not recorded twice."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        host.ask("make 10")
        host.ask("collect 2")
        until(lambda: self.last(process, "collections"), "something is recorded")
        self.daemon.signal(signal.SIGKILL)
        self.daemon.wait()
        time.sleep(3)
        self.start_daemon()
        until(lambda: self.attached(host), "it is attached again")

        def told():
            history = self.history(process, "from=-60s&series=live_objects&step=1s")
            values = history["series"][0]["last"]
            known = [i for i, value in enumerate(values) if value is not None]
            return history if known and None in values[known[0]:known[-1]] else None
        history = until(told, "the gap is between what is known")
        self.assertEqual((history["complete"], len(history["gaps"])), (False, 1))
        self.assertEqual(len(self.get(f"/v1/processes/{process}/history/collections")["collections"]), 1)

    def test_who_asked_is_written_down_and_the_files_are_the_owners(self):
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        self.assertEqual(self.collect(process).status, 200)
        records = self.get("/v1/audit?limit=10")["records"]
        self.assertEqual([(r["kind"], r["result"]) for r in records][:2], [("collect", "succeeded"), ("collect", "accepted")])
        self.assertTrue(records[0]["target"].startswith(process))
        self.assertEqual(self.collect(f"{process}/heaps/1").status, 200)
        self.assertEqual(self.unix("PUT", "/v1/rules/quiet", {"when": {"series": "live_bytes", "above": 1}, "do": ["log"]}).status, 201)
        def kinds(query):
            return [(r["kind"], r["result"]) for r in self.get("/v1/audit?" + query)["records"]]
        pair = [("collect", "succeeded"), ("collect", "accepted")]
        self.assertEqual(kinds(f"target={process}"), 2 * pair)
        self.assertEqual(kinds(f"target={process}/heaps/1"), pair)
        self.assertEqual(kinds(f"target={process[:-1]}"), [])
        self.assertEqual(kinds("kind=rule_put"), [("rule_put", "done")])
        self.assertEqual(kinds("result=accepted&limit=1"), pair[1:])
        self.assertEqual(len(kinds(f"who=uid%20{os.getuid()}")), 5)
        self.assertEqual(kinds("who=nobody"), [])
        for name in os.listdir(self.state):
            self.assertFalse(stat.S_IMODE(os.stat(os.path.join(self.state, name)).st_mode) & 0o77, name)

    def test_purging_leaves_nothing_behind(self):
        """What is purged is not in the file any more, nor in its log, and what comes is recorded on."""
        self.start_daemon()
        host = self.start_mal("a-name-to-be-forgotten", "(def! f (fn* (n) (f (+ n 1)))) (f 0)", stdin=-1)
        process = self.attached(host)
        until(lambda: self.last(process, "allocations"), "something is recorded")
        answer = self.unix("POST", "/v1/history/purge", {"process": process})
        self.assertEqual((answer.status, answer.json["done"]), (200, True))
        self.assertGreater(answer.json["rows"], 0)
        until(lambda: self.last(process, "allocations"), "it goes on")
        host.end()
        until(lambda: self.get(f"/v1/history/processes?process={process}")["processes"][0]["gone_at"], "its end is recorded")
        self.assertEqual(self.ctl_purge(process), 200)
        self.assertEqual(self.unix("GET", f"/v1/processes/{process}/history").status, 404)
        self.assertGreater(self.unix("POST", "/v1/history/purge", {"all": True}).json["rows"], 0)
        for name in ("history.db", "history.db-wal"):
            with open(os.path.join(self.state, name), "rb") as file:
                self.assertNotIn(b"a-name-to-be-forgotten", file.read(), name)

    def ctl_purge(self, process):
        return self.unix("DELETE", f"/v1/processes/{process}/history").status

    def test_tallyctl_tells_of_it(self):
        """history, audit and purge on the command line, for a program that is gone too."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        self.collect(process)
        until(lambda: self.last(process, "collections"), "something is recorded")
        host.end()
        until(lambda: self.get(f"/v1/history/processes?process={process}")["processes"][0]["gone_at"], "its end is recorded")
        told = self.ctl("history", process, "collections,type:node.live_bytes", "5m")
        self.assertEqual((told.returncode, told.stderr), (0, ""))
        self.assertRegex(told.stdout, r"^TIME +collections +type:node.live_bytes\n2\d{3}-\d\d-\d\dT[0-9:]+Z +[012] +[-\d]")
        self.assertRegex(told.stdout, r"(?m)^2\d{3}-\d\d-\d\dT[0-9:]+Z +[12] +[-\d]")
        self.assertRegex(self.ctl("audit").stdout, r"collect +succeeded +" + process)
        self.assertRegex(self.ctl("purge", process).stdout, r"^[1-9]\d* rows were forgotten\n$")
        self.assertEqual(self.ctl("history", process).returncode, 4)
        self.assertRegex(self.ctl("purge", "30d").stdout, r"^0 rows were forgotten\n$")
        self.assertEqual(self.ctl("history", process, "weather").returncode, 4)

    def test_without_history_there_are_records_and_no_file(self):
        self.start_daemon("--no-history")
        host = self.start_host("ledger")
        process = self.attached(host)
        self.collect(process)
        self.assertEqual(self.get("/v1/audit")["records"][0]["result"], "succeeded")
        answer = self.unix("GET", f"/v1/processes/{process}/history")
        self.assertEqual((answer.status, answer.json["code"]), (404, "history_off"))
        self.assertEqual([name for name in os.listdir(self.state) if name.startswith("history")], [])
        self.assertEqual(self.get("/healthz"), {"status": "ok"})
