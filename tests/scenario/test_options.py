"""tallyd's options: flags, environment and config file as an operator meets them, and SIGHUP."""
import os
import re
import signal
import subprocess
import sys
import unittest

from harness import PATIENCE, ROOT, Scenario, program, until

MANUAL = os.path.join(ROOT, "config/tallyd.conf")


class Options(Scenario):
    def tallyd(self, *arguments, **environment):
        return subprocess.run([program("tallyd"), *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              env=self.environment | environment, check=False)

    def config(self, text):
        path = os.path.join(self.dir, "tallyd.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_the_manual_is_what_the_table_makes(self):
        """`config/conffile.py src/tallyd/options.def > config/tallyd.conf` after a change of the table."""
        made = subprocess.run([sys.executable, os.path.join(ROOT, "config/conffile.py"),
                               os.path.join(ROOT, "src/tallyd/options.def")], capture_output=True, text=True, check=True)
        with open(MANUAL, encoding="utf-8") as file:
            self.assertEqual(file.read(), made.stdout)

    def test_the_manual_uncommented_is_the_standard(self):
        """Every value that it shows is taken, and is what is in force without it."""
        with open(MANUAL, encoding="utf-8") as file:
            text = re.sub(r"^; (.* = (?![A-Z]).*)$", r"\1", file.read(), flags=re.M)
        done = self.tallyd("--check-config", "--config", self.config(text))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        plain = self.tallyd("--check-config").stdout
        strip = re.compile(r" ; (default|line \d+ of the file)$|^# config file.*", re.M)
        self.assertEqual(strip.sub("", done.stdout), strip.sub("", plain))
        self.assertGreater(done.stdout.count("of the file"), 5)

    def test_where_each_value_comes_from(self):
        path = self.config("[processes]\ngone-keep = 1m\ngone-count = 5\n[http]\nhttp-listen = 127.0.0.1:1\n")
        done = self.tallyd("--check-config", "--config", path, "--gone-keep=3m", TALLYD_GONE_KEEP="2m",
                           TALLYD_GONE_COUNT="6")
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in (f"# config file {path}", "gone-keep = 3m ; --gone-keep", "gone-count = 6 ; TALLYD_GONE_COUNT",
                     "http-listen = 127.0.0.1:1 ; line 5 of the file", "system = no ; default",
                     f"# runtime folder {self.runtime}", f"# state folder {self.state}"):
            self.assertIn(line + "\n", done.stdout)
        self.assertEqual(os.listdir(self.state), [])  # it has only looked

    def test_what_is_wrong_is_named(self):
        path = self.config("[processes]\ngone-keep = later\n")
        for arguments in (("--check-config", "--config", path), ("--config", path)):
            done = self.tallyd(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(done.stderr, f"tallyd: {path}:2: gone-keep: must be a time from 0 to 7d, such as 90s "
                                          "(ms, s, m, h, d)\n")

    def test_what_does_not_go_together_is_named_too(self):
        for arguments, status in ((("--http-listen", "0.0.0.0:0"), 2), (("--http-listen", "[::]:0"), 2),
                                  (("--http-listen", "127.0.0.1:0"), 0), (("--http-listen", "[::1]:0"), 0),
                                  (("--http-listen", "0.0.0.0:0", "--insecure-http"), 0),
                                  (("--http-listen", "0.0.0.0:0", "--public-host", "tally.example.org"), 0)):
            done = self.tallyd("--check-config", *arguments)
            self.assertEqual(done.returncode, status, arguments)
            if status:
                self.assertIn("http-listen: is not loopback, and tallyd speaks no TLS", done.stderr)

    def test_the_file_of_the_mode_is_found(self):
        for name, place in (("XDG_CONFIG_HOME", "tally"), ("HOME", ".config/tally")):
            home = os.path.join(self.dir, name)
            os.makedirs(os.path.join(home, place))
            with open(os.path.join(home, place, "tallyd.conf"), "w", encoding="utf-8") as file:
                file.write("[processes]\ngone-count = 11\n")
            self.environment.pop("XDG_CONFIG_HOME", None)
            self.assertIn("gone-count = 11 ; line 2", self.tallyd("--check-config", **{name: home}).stdout, name)
        self.assertIn("# config file /etc/tally/tallyd.conf", self.tallyd("--check-config", "--system").stdout)

    def test_SIGHUP_follows_a_link_to_another_folder(self):
        other, link = os.path.join(self.dir, "other"), os.path.join(self.dir, "link.conf")
        os.mkdir(other)
        os.symlink(os.path.join(other, "tallyd.conf"), link)
        for level in ("info", "debug"):
            with open(os.path.join(other, "tallyd.conf"), "w", encoding="utf-8") as file:
                file.write(f"[log]\nlog-level = {level}\n")
            if level == "info":
                self.start_daemon("--config", link)
        self.daemon.signal(signal.SIGHUP)
        until(lambda: "reload: log-level = debug" in self.daemon.log(), "it is read")

    def test_SIGHUP_takes_over_what_it_may(self):
        path = self.config("[processes]\ngone-count = 256\n")
        self.start_daemon("--config", path)
        hosts = [self.start_host("ledger") for _ in range(3)]
        for host in hosts:
            self.attached(host)
            host.end()
        until(lambda: len(self.processes("gone")) == 3, "all are gone, and shown")
        self.config("[processes]\ngone-count = 1\n[http]\nremote-control = yes\n")
        self.daemon.signal(signal.SIGHUP)
        until(lambda: "reload: done" in self.daemon.log(), "it says so")
        self.assertIn("reload: gone-count = 1; was '256'", self.daemon.log())
        self.assertIn("reload: remote-control = yes: needs a restart; in force is 'no'", self.daemon.log())
        until(lambda: len(self.processes("gone")) == 1, "fewer are kept")
        self.config("[processes]\ngone-count = 1e3\n")
        self.daemon.signal(signal.SIGHUP)
        until(lambda: f"{path}:2: gone-count: must be a number from 0 to 10000; all stays" in self.daemon.log(),
              "it is refused")
        self.assertEqual(len(self.processes("gone")), 1)


if __name__ == "__main__":
    unittest.main()
