"""A15: files that somebody has crafted. tallyd's own history file is read as a stranger's; whatever lies there, tallyd starts,
live figures are right, no answer takes longer than two seconds, and what cannot be used is set aside unchanged."""
import os
import random
import re
import shutil
import sqlite3
import stat
import unittest

from harness import ROOT, Scenario, Stopwatch, until

LONG = True  # begins first, see run.py

START_S, ANSWER_S = 5, 2
LEAVES = ("/history?from=-1h", "/history?from=-1h&format=csv", "/history/collections")
LISTS = ("/v1/info", "/healthz", "/v1/audit", "/v1/history/processes")


class CraftedFiles(Scenario):
    def setUp(self):
        super().setUp()
        self.db = os.path.join(self.state, "history.db")

    def honest(self):
        """A file that tallyd has written, and the process in it."""
        self.start_daemon()
        host = self.start_host("ledger")
        process = self.attached(host)
        for line in ("make 300", "ring 30", "collect 2"):
            host.ask(line)
        self.collect(process)
        figures = f"/v1/processes/{process}/history?from=-1m&format=csv"
        until(lambda: self.unix("GET", figures).body.count(b"\r\n") > 2, "figures are kept")
        host.end()
        until(lambda: self.processes("gone"), "its end is seen")
        self.daemon.end()
        with sqlite3.connect(self.db) as connection:  # all of it in one file
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self.assertGreater(os.path.getsize(self.db), 8192)
        return process

    def lives(self, process, what):
        """tallyd starts with what lies there, watches a program, answers everything in time and ends well."""
        watch = Stopwatch()
        self.start_daemon()
        self.assertLess(watch.seconds(), START_S, what)
        host = self.start_host("ledger")
        mine = self.attached(host)
        host.ask("make 50")
        self.assert_agrees(mine, host.own_ledger())
        late = 0
        for path in (*LISTS, *(f"/v1/processes/{one}{leaf}" for one in (process, mine) for leaf in LEAVES)):
            watch = Stopwatch()
            answer = self.unix("GET", path)
            self.assertLess(watch.seconds(), ANSWER_S, f"{what}: {path}")
            self.assertIn(answer.status, (200, 404, 503), f"{what}: {path}: {answer}")
            late += answer.status == 503
            if late == 2:  # each waits half a second for a file that will not come
                break
        self.assertTrue(self.daemon.running(), what)
        host.end()
        self.daemon.signal(15)
        self.assertEqual(self.daemon.wait(), 0, f"{what}: {self.daemon.log()}")

    def test_A15_flipped_and_cut_files(self):
        """Bytes flipped in pages of a real file, its WAL, and files cut short: 10 of them, of a known seed."""
        process = self.honest()
        honest = os.path.join(self.dir, "honest.db")
        shutil.copy(self.db, honest)
        size, chance = os.path.getsize(honest), random.Random(15)
        for turn in range(10):
            for name in os.listdir(self.state):
                if name.startswith("history.db"):
                    os.unlink(os.path.join(self.state, name))
            shutil.copy(honest, self.db)
            with open(self.db, "r+b") as file:
                if turn % 7 == 6:
                    file.truncate(chance.randrange(size))
                for _ in range(1 << (turn % 7)):
                    file.seek(chance.randrange(100 if turn % 5 == 0 else size))
                    file.write(bytes([chance.randrange(256)]))
            if turn % 4 == 3:
                with open(self.db + "-wal", "wb") as wal:
                    wal.write(bytes.fromhex("377f0682002de218") + chance.randbytes(40000))
            self.lives(process, f"turn {turn}")

    def crafted(self, *statements):
        with sqlite3.connect(self.db) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def test_A15_files_of_another_mind(self):
        """Triggers, views, other schemas, versions and types of values; no database at all; pipes, folders, links."""
        process = self.honest()
        honest = os.path.join(self.dir, "honest.db")
        shutil.copy(self.db, honest)
        with sqlite3.connect(honest) as connection:
            tables = [name for name, in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        connection.close()
        self.assertGreater(len(tables), 5)
        victim = os.path.join(self.dir, "victim")
        endless = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n)"
        made = {
            "triggers": [f"CREATE TRIGGER t_{t} BEFORE INSERT ON {t} BEGIN SELECT {endless}; END" for t in tables],
            "triggers that take away": [f"CREATE TRIGGER t_{t} AFTER INSERT ON {t} BEGIN DELETE FROM {t}; END" for t in tables],
            "views in place of tables": [s for t in tables for s in (f"DROP TABLE {t}", f"CREATE VIEW {t} AS SELECT {endless} AS a, 2 AS b")],
            "empty tables of other columns": [s for t in tables for s in (f"DROP TABLE {t}", f"CREATE TABLE {t}(one)")],
            "a version from afar": ["PRAGMA user_version = 2147483647"],
            "a version before": ["PRAGMA user_version = 0"],
            "no tables": [f"DROP TABLE {t}" for t in tables],
        }
        for what, statements in made.items():
            self.lay(honest)
            self.crafted(*statements)
            self.lives(process, what)
        self.lay(honest)
        with sqlite3.connect(self.db) as connection:
            for table in tables:
                for _, column, *_ in list(connection.execute(f"PRAGMA table_info({table})")):
                    for value in ("x" * 70000, b"\xff" * 70000, -(1 << 63), 1e308, "\0"):
                        try:
                            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE random() % 3 = 0", (value,))
                        except sqlite3.Error:
                            pass
        connection.close()
        self.lives(process, "values of other kinds and sizes")
        with open(victim, "w", encoding="ascii") as file:
            file.write("not yours\n")
        for what, lay in (("text", lambda: open(self.db, "w", encoding="ascii").write("text\n" * 9999)),
                          ("nothing", lambda: open(self.db, "w", encoding="ascii").close()),
                          ("a pipe", lambda: os.mkfifo(self.db)), ("a folder", lambda: os.mkdir(self.db)),
                          ("a link elsewhere", lambda: os.symlink(victim, self.db)),
                          ("a link to itself", lambda: os.symlink(self.db, self.db))):
            self.lay(None)
            lay()
            self.lives(process, what)
        with open(victim, encoding="ascii") as file:
            self.assertEqual(file.read(), "not yours\n")

    def lay(self, source):
        for name in os.listdir(self.state):
            path = os.path.join(self.state, name)
            if not name.startswith("history.db"):
                continue
            if stat.S_ISDIR(os.lstat(path).st_mode):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        if source:
            shutil.copy(source, self.db)


class Promises(unittest.TestCase):
    def test_each_threat_names_tests_that_there_are(self):
        """SECURITY.md has a row for each of A1 to A16, and what a row names is there; a scenario holds the number."""
        with open(os.path.join(ROOT, "SECURITY.md"), encoding="utf-8") as file:
            table = dict(re.findall(r"(?m)^\| (A\d+) \|.*\| ([^|]+) \|$", file.read()))
        self.assertEqual(list(table), [f"A{n}" for n in range(1, 17)])
        for number, shown_by in table.items():
            folder = "tests/scenario"
            for name in re.findall(r"`([^`]+)`", shown_by):
                path = os.path.join(folder, name) if "/" not in name else name
                folder = os.path.dirname(path)
                with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                    text = file.read()
                if folder != "tests/unit/intake":
                    self.assertRegex(text, rf"\b(test_)?{number}[_:]", path)


if __name__ == "__main__":
    unittest.main()
