"""/metrics as Prometheus has it: its own parser and server read what tallyd serves, and the files of config/ are held
against it."""
import json
import os
import re
import shutil
import subprocess
import unittest
import urllib.parse
import urllib.request

from harness import PATIENCE, ROOT, Scenario, until

OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
ALL = "heaps,histograms,more,types"
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_][a-z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)$')


def config(name):
    return os.path.join(ROOT, "config", name)


def samples(text):
    """{(name, labels): value}; raises where a line is none, or a series stands twice."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        if not match:
            raise AssertionError(f"no sample: {line}")
        key = match[1], match[2] or ""
        if key in found:
            raise AssertionError(f"twice: {line}")
        found[key] = float(match[3])
    return found


class Metrics(Scenario):
    def scrape(self, detail="", accept=None):
        answer = self.tcp("GET", "/metrics" + (f"?detail={detail}" if detail else ""), headers={"Accept": accept} if accept else {})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"], OPEN if accept else TEXT)
        text = answer.body.decode()
        self.assertTrue(text.endswith("\n# EOF\n"))
        return text

    def busy_host(self):
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("hold 100", "ring 300", "collect", "make 50"):
            host.ask(line)
        self.assert_agrees(process, host.own_ledger())
        return host, process

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_finds_nothing_to_say(self):
        self.start_daemon()
        self.busy_host()
        for detail in ("", "app", ALL):
            done = subprocess.run(["promtool", "check", "metrics"], input=self.scrape(detail), capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), detail)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_alert_rules_are_right(self):
        for command in (["check", "rules", config("tally.rules.yml")],
                        ["test", "rules", os.path.join(ROOT, "tests/metrics/tally.rules.test.yml")]):
            done = subprocess.run(["promtool", *command], capture_output=True, text=True, timeout=2 * PATIENCE)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_name_in_the_files_of_config_is_served(self):
        with open(config("grafana-dashboard.json"), encoding="utf-8") as file:
            dashboard = json.load(file)
        expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", ())]
        expressions += [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
        with open(config("tally.rules.yml"), encoding="utf-8") as file:
            expressions.append(file.read())
        self.assertGreater(len(expressions), 25)
        text = "\n".join(expressions)
        named = set(re.findall(r"\b(?:tally|tallyd|process)_[a-z_]+\b", text))
        self.start_daemon()
        self.busy_host()
        self.tcp("GET", "/v1/info")
        page = self.scrape(ALL)
        served = {name for name, _ in samples(page)} | set(re.findall(r"^# TYPE (\S+)", page, re.M))
        rare = {"tally_heap_limit_bytes", "tally_gc_objects_uncollectable_total"}  # only where there are some
        with open(os.path.join(ROOT, "src/api/metrics.def"), encoding="utf-8") as file:
            declared = {n + t for n in re.findall(r"^FAMILY\((\w+)", file.read(), re.M) for t in ("", "_total", "_info")}
        self.assertEqual(named - served - rare, set())
        self.assertEqual(rare - declared, set())
        ids = [p["id"] for p in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))

    def test_figures_are_those_of_stats(self):
        self.start_daemon()
        _, process = self.busy_host()
        stats, found = self.stats(process), samples(self.scrape())
        labels = f'app="ledger",uid="{process}"'
        for name, more, value in (("tally_heap_live_bytes", "", stats["live_bytes"]),
                                  ("tally_heap_live_objects", "", stats["live_objects"]),
                                  ("tally_heap_allocations_total", "", stats["allocations"]),
                                  ("tally_heap_frees_total", ',by="cycle"', stats["frees"]["cycle"]),
                                  ("tally_heap_frees_total", ',by="refcount"', stats["frees"]["refcount"]),
                                  ("tally_events_written_total", "", stats["events"]["written"]),
                                  ("tally_gc_collections_total", ',generation="2"', stats["generations"][2]["collections"]),
                                  ("tally_gc_collections_by_reason_total", ',reason="explicit"', stats["collections"])):
            self.assertEqual(found[name, labels + more], value, name)
        self.assertLessEqual(sum(labels in key for _, key in found), 40)
        self.assertEqual(found["tallyd_processes", 'state="live"'], 1)
        self.assertEqual(found["tallyd_series", ""], sum(labels in key for _, key in found))

    def test_answers_are_counted_by_route_and_status(self):
        self.start_daemon()
        before = samples(self.scrape())
        for path in ("/v1/info", "/v1/info", "/v1/processes/1/stats", "/v1/nothing", "/"):
            self.tcp("GET", path)
        self.tcp("GET", "/v1/info", token=False)
        after = samples(self.scrape())

        def more(path, method, code):
            key = "tallyd_http_requests_total", f'route="{path}",method="{method}",code="{code}"'
            return after.get(key, 0) - before.get(key, 0)
        self.assertEqual(more("/v1/info", "GET", 200), 2)
        self.assertEqual(more("/v1/info", "GET", 401), 1)
        self.assertEqual(more("/v1/processes/{id}/stats", "GET", 404), 1)
        self.assertEqual(more("none", "", 404), 1)
        self.assertEqual(more("page", "", 200), 1)
        self.assertEqual(more("/metrics", "GET", 200), 1)

    def test_tallyd_tells_of_its_rules_and_its_history(self):
        self.start_daemon()
        _, process = self.busy_host()
        rule = {"when": {"series": "live_objects", "above": 0}, "every": "10s", "limit_per_hour": 1, "do": ["alert", {"collect": {}}]}
        self.assertEqual(self.unix("PUT", "/v1/rules/any", rule).status, 201)

        def fires():
            found = samples(self.scrape())
            return (found["tallyd_rules_firing", ""] and found["tallyd_rule_controls_total", 'result="started"'] and
                    found["tallyd_history_rows_total", 'result="written"'] and found)
        found = until(fires, "the rule fires")
        self.assertEqual(found["tallyd_rules", ""], 1)
        self.assertEqual(found["tallyd_rules_firing", ""], 1)
        self.assertEqual(found["tallyd_rule_controls_total", 'result="started"'], 1)
        self.assertEqual(found["tallyd_history_rows_total", 'result="dropped"'], 0)
        self.assertEqual(found["tallyd_history_degraded", ""], 0)
        self.assertEqual(found["tallyd_log_lines_left_out_total", ""], 0)
        names = {line.split(" ")[2].split("_")[0] for line in self.unix("GET", "/metrics?detail=own").body.decode().splitlines() if line.startswith("# TYPE ")}
        self.assertEqual(names, {"tallyd", "process"})
        for thread in "intake", "ticker", "rules", "history":
            label = f'thread="{thread}"'
            self.assertGreater(found["tallyd_rounds_total", label], 0, thread)
            self.assertLessEqual(found["tallyd_longest_round_seconds", label], found["tallyd_round_seconds_total", label], thread)
        self.assertEqual(self.get("/v1/alerts?state=firing")["alerts"][0]["process"], process)

    def test_hostile_labels_stay_in_their_quotes(self):
        self.start_daemon()
        host = self.start_mal('a"b\\c} 1', None, 'app=x"} 9 # \\n', stdin=subprocess.PIPE)
        process = self.attached(host)
        found = samples(self.scrape(ALL))
        self.assertEqual(found["tally_process_up", f'app="x\\"}} 9 # \\\\n",uid="{process}",heap="1"'], 1)

    def test_what_is_asked_wrongly_is_refused(self):
        self.start_daemon()
        for query in ("detail=app,heaps", "detail=app,types", "detail=", "detail=x", "nothing=1"):
            answer = self.tcp("GET", "/metrics?" + query)
            self.assertEqual((answer.status, answer.json["code"]), (422, "bad_value"), query)
        self.assertEqual(self.tcp("GET", "/metrics", token=False).status, 401)
        self.assertEqual(self.tcp("POST", "/metrics", {}).status, 405)

    def test_an_option_sets_whose_series_there_are(self):
        self.start_daemon("--metrics-detail", "app", "--metrics-process-series", "10")
        self.busy_host()
        found = samples(self.scrape())
        self.assertFalse([key for _, key in found if "uid=" in key])
        self.assertGreater(found["tallyd_series_dropped_total", 'guard="process"'], 20)
        self.assertEqual(found["tallyd_series", ""], 0)

    def test_discovery_names_this_daemon(self):
        self.start_daemon()
        targets = self.get("/metrics/sd")
        self.assertEqual(targets, [{"targets": [self.read("http.addr")],
                                    "labels": {"__metrics_path__": "/metrics", "__scheme__": "http"}}])

    # ---- Prometheus itself

    def start_prometheus(self, token):
        home = os.path.join(self.dir, "prometheus")
        os.mkdir(home)
        job = {"scrape_interval": "1s", "authorization": {"credentials_file": token},
               "static_configs": [{"targets": [self.read("http.addr")]}]}
        jobs = [{"job_name": "tally", **job},
                {"job_name": "tally-all", "params": {"detail": [ALL]}, **job}]
        with open(os.path.join(home, "prometheus.yml"), "w", encoding="utf-8") as file:
            json.dump({"scrape_configs": jobs, "rule_files": [config("tally.rules.yml")]}, file)  # JSON is YAML
        child = self.spawn("prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data",
                           "--web.listen-address=127.0.0.1:0")

        def answers():
            if not child.running():
                raise AssertionError(child.log())
            listens = re.search(r'msg="Listening on" address=(\S+)', child.log())
            self.prometheus = f"http://{listens[1]}/api/v1/" if listens else None
            try:
                return self.prometheus and self.asks("targets")
            except OSError:
                return None
        until(answers, "Prometheus answers")
        return child

    def asks(self, what, **parameters):
        with urllib.request.urlopen(self.prometheus + what + "?" + urllib.parse.urlencode(parameters), timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def value(self, query):
        result = self.asks("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None

    @unittest.skipUnless(shutil.which("prometheus"), "prometheus is not installed")
    def test_prometheus_scrapes_with_a_token_file(self):
        self.start_daemon()
        _, process = self.busy_host()
        token = os.path.join(self.dir, "prometheus.token")
        made = self.ctl("token", "create", "prometheus", "--scope", "read", "--out", token)
        self.assertEqual((made.returncode, made.stderr), (0, ""))
        self.start_prometheus(token)

        def targets():  # a scrape that took a second was too long for it, and the next one counts
            active = self.asks("targets")["activeTargets"]
            return len(active) == 2 and all(t["health"] == "up" and not t["lastError"] for t in active)
        until(targets, "both targets are up")
        stats = self.stats(process)
        for query, value in ((f'tally_heap_live_bytes{{job="tally",uid="{process}"}}', stats["live_bytes"]),
                             (f'tally_heap_frees_total{{job="tally",by="cycle",uid="{process}"}}', stats["frees"]["cycle"]),
                             (f'tally_gc_pause_seconds_count{{job="tally-all",uid="{process}"}}', stats["collections"]),
                             (f'sum(tally_type_live_bytes{{job="tally-all",uid="{process}"}})', stats["live_bytes"])):
            until(lambda: self.value(query) == value, f"{query} is {value}")
        units = {name: rows[0]["unit"] for name, rows in self.asks("metadata").items()}
        self.assertEqual(units["tally_gc_pause_seconds"], "seconds")  # OpenMetrics alone has units
        kinds = {rule["name"]: rule["health"] for group in self.asks("rules")["groups"] for rule in group["rules"]}
        self.assertIn("TallyLiveBytesGrow", kinds)


if __name__ == "__main__":
    unittest.main()
