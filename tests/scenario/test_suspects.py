"""Who leaks: real programs that do, beside others that only seem to, told apart by counters alone."""
import threading
import time

from harness import Scenario, until

TICK = 0.1
PROGRAMS = {  # what is defined, and what a tick does: n counts them
    "leak": ("(def! kept (atom (list)))", "(swap! kept (fn* [l] (cons (list 1 2 3) (cons (list 4 5 6) l))))"),
    "knots": ("(do (def! knot (fn* [] (let* [a (atom nil)] (do (reset! a a) nil)))) "
              "(def! churn (fn* [n] (if (> n 0) (do (knot) (churn (- n 1))) nil))))", "(churn 150)"),
    "ramp": ("(def! kept (atom (list)))", "(if {young} (swap! kept (fn* [l] (cons (list 1 2 3) (cons (list 4 5) l)))) (list 1 2 3))"),
    "cache": ("(def! kept (atom {{}}))", "(do (swap! kept (fn* [m] (assoc m \"k{slot}\" (list {n} 2 3 4 5 6 7 8)))) nil)"),
}
YOUNG = 2.5  # seconds in which what begins has begun, however long a tick takes


class Suspects(Scenario):
    def drive(self, hosts, stop):
        """All of them at the same pace, which self.ticks tells; what they answer is nobody's."""
        for slot in range(30):
            hosts["cache"].type(PROGRAMS["cache"][1].format(n=0, slot=slot))
        began = time.monotonic()
        while not stop.is_set():
            n = len(self.ticks)
            self.ticks.append(time.monotonic())
            young = "true" if self.ticks[-1] - began < YOUNG else "false"
            for name, host in hosts.items():
                host.type(PROGRAMS[name][1].format(n=n, slot=n % 30, young=young))
            stop.wait(TICK)

    def suspects(self, process):
        return self.get(f"/v1/processes/{process}/suspects")

    def test_a_leak_among_programs_that_only_seem_to(self):
        """After some seconds the leak is told, with little confidence yet; garbage in cycles, a beginning that has ended and
        a cache that is full are not, then or later."""
        self.start_daemon()
        hosts = {name: self.start_repl(name) for name in PROGRAMS}
        processes = {name: self.attached(host) for name, host in hosts.items()}
        for name, host in hosts.items():
            host.type(PROGRAMS[name][0].format())
        stop, self.ticks = threading.Event(), []
        driver = threading.Thread(target=self.drive, args=(hosts, stop))
        driver.start()
        try:
            row, = until(lambda: [one for one in self.suspects(processes["leak"])["growing"] if one["type"] == "list"],
                         "the leak is suspected")
            self.assertTrue(0.1 <= row["confidence"] < 0.5, row)  # some seconds are not enough to be sure
            self.assertRegex(row["reason"], r"in each of \d+ windows of \d s rose \d+ times out of \d+")
            self.assertEqual(len(row["live_bytes_then"]), row["windows"])
            self.assertEqual(row["live_bytes_then"], sorted(row["live_bytes_then"]))
            seconds = self.ticks[-1] - self.ticks[0]
            per_hour = 4 * (len(self.ticks) - 1) / seconds * 3600  # two lists, and a cell for each of them, a tick
            self.assertTrue(per_hour / 3 < row["slope_objects_per_hour"] < per_hour * 3, row)
            self.assertEqual(self.unix("GET", row["links"]["objects"]).json["objects"][0]["type"], "list")
            time.sleep(4)
            for name in ("knots", "ramp", "cache"):
                answer = self.suspects(processes[name])
                self.assertEqual(answer["growing"], [], name)
                self.assertTrue(answer["completeness"]["growing"]["complete"])
            knots = self.suspects(processes["knots"])["reclaimed"]
            self.assertTrue(any(one["type"] == "atom" and one["share"] > 0.9 for one in knots), knots)
            self.assertEqual(knots[0]["by_cycle"], max(one["by_cycle"] for one in knots))
        finally:
            stop.set()
            driver.join()
