#!/usr/bin/env python3
"""Random tally scripts, as gen.py's, with every action, hold= and counted events.

    acts.py SEED OPERATIONS [PROFILE]

FORMAT.md leaves the order of finalizers within one collection open, and these actions can show it; tally
follows CPython's, the order of making, so that the answers are alike all the same.
"""
import os
import sys

import gen
import replay


class Acting(gen.Generator):
    slots = 10                  # put: mostly has a slot of its own

    def emit(self, line):
        try:
            super().emit(line)
        except replay.ScriptError:      # an action has dropped what the line names; nothing is changed
            self.lines.pop()

    def action(self, callback):
        """One action, or None where nothing fits."""
        rand = self.rand
        verb = rand.choice("keep drop put clear new cycle deref deref collect".split())
        if verb == "collect":
            return verb
        if verb in ("keep", "cycle"):
            return f"{verb}:{self.fresh(verb[0])}"
        if verb == "new":
            return f"new:{self.fresh('f') if rand.random() < 0.7 else self.pick() or 'f'}"
        if verb == "clear":
            return None if callback else f"clear:{rand.randrange(3)}"
        name = self.pick(*{"put": replay.NODES, "deref": (replay.Weak,)}.get(verb, ()))
        if name and verb == "put":
            self.slots += 1
            name += f".{rand.choice([self.slots, 0, 1])}"
        return f"{verb}:{name}" if name else None

    def actions(self, callback):
        made = [self.action(callback) for _ in range(self.rand.choice([1, 1, 1, 2, 3]))]
        return "+".join(action for action in made if action)

    def do_new(self):
        actions = self.actions(False) if self.rand.random() < 0.08 else ""
        if actions:
            self.emit(f"new {self.node_name()} fin={actions}")
        else:
            super().do_new()

    def do_weak(self):
        node = self.any_node()
        if not node or self.rand.random() < 0.5:
            super().do_weak()
            return
        actions = self.actions(True) if self.rand.random() < 0.3 else ""
        hold = f" hold={self.any_node()}" if self.rand.random() < 0.5 else ""
        self.emit(f"weak {self.node_name()} = {node} callback{'=' if actions else ''}{actions}{hold}")

    def do_mode(self):
        if self.rand.random() < 0.2:
            self.emit("events " + self.rand.choice(["sorted", "count"]))
        else:
            super().do_mode()


if __name__ == "__main__":
    gen.Generator = Acting
    gen.main()
