"""Rules and alerts with real programs: what fires, what is done, and what stays over a restart."""
import glob
import json
import os
import time

from harness import PATIENCE, Scenario, UnixConnection, until
from test_stream import Reader

BIG = {"when": {"series": "live_objects", "above": 50}, "do": ["log", "alert"]}
TIDY = {"when": {"series": "live_objects", "above": 500}, "do": [{"collect": {"generation": 2}}], "every": "10s",
        "limit_per_hour": 1}


class Rules(Scenario):
    def put(self, name, rule, status=201):
        answer = self.unix("PUT", f"/v1/rules/{name}", rule)
        self.assertEqual(answer.status, status, answer)
        return answer.json

    def alerts(self, query=""):
        return self.get("/v1/alerts" + query)["alerts"]

    def fires(self, rule, process):
        def found():
            return self.alerts(f"?state=firing&rule={rule}&process={process}")
        return until(found, f"{rule} fires")[0]

    def state_of(self, rule):
        return self.get(f"/v1/rules/{rule}/states")["state"]

    def in_state(self, rule, state):
        until(lambda: self.state_of(rule) == state, f"{rule} is {state}")

    def holding(self, count=100):
        host = self.start_host("ledger")
        process = self.attached(host)
        host.ask(f"hold {count}")
        until(lambda: self.stats(process)["live_objects"] == count, "the view shows them")
        return host, process

    def has_collected(self, process, count):
        def done():
            stats = self.stats(process)
            return (stats["allocations"], stats["live_objects"]) == (count + 1, 1)
        until(done, "the rule has collected")

    def recorded(self, alert, state):
        """History's record of an alert."""
        def found():
            return [r for r in self.get("/v1/history/alerts")["alerts"]
                    if (r["rule"], r["process"], r["state"]) == (alert["rule"], alert["process"], state)]
        return until(found, f"history has {alert} {state}")[0]

    def test_an_alert_begins_and_ends_where_all_can_see_it(self):
        self.start_daemon()
        host, process = self.holding()
        reader = Reader(UnixConnection(self.path("api.sock"), PATIENCE), "/v1/stream?topics=alerts")
        self.addCleanup(reader.close)
        self.put("big", BIG)
        begun = reader.find("alert")
        alert = self.fires("big", process)
        self.assertEqual(alert, begun)
        self.assertEqual((alert["series"], alert["condition"], alert["value"], alert["name"], alert["resolved_at"]),
                         ("live_objects", "above 50", 100, "ledger", None))
        self.assertEqual(self.state_of("big"), "firing")
        until(lambda: "rule big fires: ledger" in self.daemon.log(), "it is logged")
        record = self.recorded(alert, "firing")
        self.assertEqual((record["value"], record["threshold"], record["at"]), (100, 50, alert["began_at"]))
        host.ask("release 100")
        ended = reader.find("alert")
        self.assertEqual((ended["id"], ended["state"], ended["reason"]), (alert["id"], "resolved", "cleared"))
        self.assertEqual(self.alerts("?state=resolved"), [ended])
        self.assertEqual(self.recorded(alert, "resolved")["at"], ended["resolved_at"])
        self.assertEqual(self.state_of("big"), "inactive")
        host.ask("hold 60")
        self.fires("big", process)
        page = self.get("/v1/alerts?limit=1")
        self.assertEqual(page["alerts"][0]["state"], "firing")
        self.assertEqual(self.alerts(f"?limit=1&cursor={page['next_cursor']}"), [ended])
        self.assertEqual(self.unix("DELETE", "/v1/rules/big").status, 204)
        self.assertEqual(reader.find("alert", lambda alert: alert["state"] == "resolved")["reason"], "rule_deleted")
        self.assertEqual(self.get("/v1/rules")["rules"], [])

    def test_a_rule_collects_within_its_limit(self):
        self.start_daemon()
        host, process = self.holding(1)
        host.ask("automatic 0")
        self.put("tidy", TIDY)
        host.ask("ring 300")
        self.has_collected(process, 900)
        operation, = until(lambda: self.get("/v1/operations?state=succeeded")["operations"], "the host has said so")
        self.assertEqual((operation["kind"], operation["process"], operation["state"]), ("collect", process, "succeeded"))
        asked = [r for r in self.get("/v1/audit")["records"] if r["kind"] == "collect"]
        self.assertEqual({(r["who"], r["operation"]) for r in asked}, {("rule tidy", operation["id"])})
        self.in_state("tidy", "inactive")
        host.ask("ring 300")
        self.in_state("tidy", "throttled")
        status = self.get("/v1/rules/tidy/states")
        self.assertEqual((status["controls"], status["controls_last_hour"]), (1, 1))
        self.assertEqual([(one["process"], one["state"]) for one in status["states"]], [(process, "throttled")])
        self.assertEqual(len(self.get("/v1/operations")["operations"]), 1)
        self.daemon.process.kill()
        self.daemon.wait()
        self.start_daemon()
        self.attached(host)
        self.in_state("tidy", "throttled")  # the limit is not forgotten either
        self.put("tidy", {**TIDY, "limit_per_hour": 2}, 200)
        self.has_collected(process, 1800)
        self.assert_agrees(process, host.own_ledger())

    def test_rules_and_what_fires_outlive_tallyd(self):
        self.start_daemon()
        host, process = self.holding()
        rule = self.put("big", {**BIG, "selector": {"name": "ledger"}})
        off = self.put("off", {**BIG, "enabled": False})
        alert = self.fires("big", process)
        until(lambda: json.load(open(self.state_file(), encoding="utf-8"))["firing"], "the state is in the file")
        self.daemon.process.kill()
        self.daemon.wait()
        self.start_daemon()
        self.assertEqual([self.get("/v1/rules/" + name) for name in ("big", "off")], [rule, off])
        self.assertEqual(self.alerts(), [alert])
        self.assertEqual(self.attached(host), process)
        until(lambda: self.get("/v1/rules/big/states")["states"], "the process has its state again")
        time.sleep(1.5)  # an evaluation or two
        self.assertEqual((self.alerts(), self.state_of("big"), self.state_of("off")), ([alert], "firing", "disabled"))
        host.end()
        ended = until(lambda: self.alerts("?state=resolved"), "the alert ends with its process")
        self.assertEqual([(one["id"], one["reason"]) for one in ended], [(alert["id"], "process_gone")])
        self.assertEqual(self.state_of("big"), "inactive")

    def state_file(self):
        return os.path.join(self.state, "rules.json")

    def test_growth_is_told_from_size(self):
        """Ten seconds' window: who holds much but grows not does not fire; who grows does."""
        self.start_daemon()
        _, large = self.holding(5000)
        leak, process = self.holding(10)
        self.put("leak", {"when": {"series": "live_bytes", "grows_by": "20%", "grows_steadily": True, "over": "10s"}, "do": ["alert"]})
        self.put("text", {"when": {"series": "type_live_objects", "grows_by": 50, "over": "10s"}, "do": ["alert"]})

        def grown():
            leak.ask("hold 10")
            return self.alerts(f"?process={process}&rule=leak") and self.alerts(f"?process={process}&rule=text")
        until(grown, "both rules fire", 30, 0.2)
        self.assertEqual(self.alerts("?rule=text")[0]["type"], "text")
        self.assertEqual(self.alerts(f"?process={large}"), [])

    def test_a_file_that_is_not_ours_is_set_aside(self):
        with open(self.state_file(), "w", encoding="utf-8") as file:
            file.write('{"version": 1, "rules": [')
        self.start_daemon()
        aside, = glob.glob(self.state_file() + ".bad-*")
        with open(aside, encoding="utf-8") as file:
            self.assertEqual(file.read(), '{"version": 1, "rules": [')
        self.assertIn("rules.json is not what we write", self.daemon.log())
        self.assertEqual(self.get("/v1/rules")["rules"], [])
        self.put("big", BIG)
        self.daemon.end()
        self.start_daemon()
        self.assertEqual([rule["name"] for rule in self.get("/v1/rules")["rules"]], ["big"])

    def test_hostile_names_and_bodies(self):
        self.start_daemon()
        before = sorted(os.listdir(self.state))
        for name in ("A", "a" * 64, "a%2fb", "%2e%2e%2fetc", "a%00b", "%ff", "a%20b", "%22", "%3Cscript%3E", "a%0d%0aX:%20y", "ä".encode().hex()):
            answer = self.unix("PUT", "/v1/rules/" + name, BIG)
            expected = (201,) if name.isalnum() and name.islower() and len(name) < 64 else (400, 404, 422)
            self.assertIn(answer.status, expected, (name, answer))
            if answer.status == 201:
                self.assertEqual(self.unix("DELETE", "/v1/rules/" + name).status, 204)
        self.assertLessEqual(set(os.listdir(self.state)) - set(before), {"rules.json", "history.db", "history.db-wal", "history.db-shm"})
        for rule in ({**BIG, "do": [{"collect": {"generation": 9}}]}, {**BIG, "when": {"series": "\u0000", "above": 1}},
                     {**BIG, "selector": {"label": {str(i): "x" for i in range(100)}}}, {**BIG, "do": ["log"] * 7}, {**BIG, "x": {}}):
            answer = self.unix("PUT", "/v1/rules/big", rule)
            self.assertIn((answer.status, answer.json["code"]), ((422, "bad_value"), (400, "bad_json")), answer)
        deep = '{"when":' + '{"a":' * 2000 + "1" + "}" * 2000 + ',"do":["log"]}'
        self.assertEqual(self.unix("PUT", "/v1/rules/big", deep).status, 400)
        self.assertEqual(self.get("/v1/rules")["rules"], [])
        for i in range(100):
            self.put(f"rule-{i}", BIG)
        answer = self.unix("PUT", "/v1/rules/one-more", BIG)
        self.assertEqual((answer.status, answer.json["code"]), (409, "too_many_rules"))
        self.put("rule-7", {**BIG, "enabled": False}, 200)

    def test_who_may_only_read_changes_nothing(self):
        self.start_daemon()
        self.put("big", BIG)
        token = self.ctl("token", "create", "reader", "--scope", "read").stdout.strip()
        reader = {"Authorization": "Bearer " + token}
        self.assertEqual(self.tcp("GET", "/v1/rules", None, reader, token=False).status, 200)
        self.assertEqual(self.tcp("GET", "/v1/alerts", None, reader, token=False).status, 200)
        for method, body in (("PUT", BIG), ("DELETE", None)):
            self.assertEqual(self.tcp(method, "/v1/rules/big", body, reader, token=False).json["code"], "forbidden")
        self.assertEqual(self.unix("DELETE", "/v1/rules/big").status, 204)
        kinds = [(r["kind"], r["target"], r["result"]) for r in self.get("/v1/audit")["records"] if r["kind"].startswith("rule")]
        self.assertIn(("rule_delete", "big", "done"), kinds)
        self.assertIn(("rule_put", "big", "done"), kinds)
        self.assertIn("refused", [r["result"] for r in self.get("/v1/audit")["records"] if r["who"] == "token reader"])
