# The workloads of tally-bench in Nim; --mm:arc, orc, refc or markAndSweep decides who collects.
import std/[monotimes, os, strutils]

const PeerName {.strdefine.} = "Nim"

type
  Node = ref object
    a, b: Node
    x, y: int64
  AcyclicNode {.acyclic.} = ref object
    a, b: AcyclicNode
    x, y: int64
  Tree = ref object
    left, right: Tree

var state = 12345'u32
proc next(): int =
  state = state * 1103515245'u32 + 12345'u32
  int(state shr 1)

proc now(): float = float(getMonoTime().ticks)

proc put(figure: string, value: float, unit: string, name = PeerName) =
  echo figure, "\t", name, "\t", formatFloat(value, ffDefault, 6), "\t", unit

proc putPeak(workload: string, name = PeerName) =
  for line in lines("/proc/self/status"):
    if line.startsWith("VmHWM:"):
      put(workload & " peak RSS", parseFloat(line.splitWhitespace()[1]) / 1024, "MiB", name)

proc churn[N](name: string) =
  var live = newSeq[N](1024)
  var choices = newSeq[uint16](65536)
  for choice in choices.mitems: choice = uint16((next() shr 5) and 1023)
  let start = now()
  for i in 0 ..< 50_000_000:
    live[choices[i and 65535]] = N(x: i, y: i)
  put("W1 ns/pair", (now() - start) / 5e7, "ns", name)
  putPeak("W1", name)

proc tree(depth: int): Tree =
  if depth > 0: Tree(left: tree(depth - 1), right: tree(depth - 1)) else: Tree()

proc count(tree: Tree): int =
  if tree.left == nil: 1 else: 1 + count(tree.left) + count(tree.right)

proc once(depth: int): int =
  let one = tree(depth)
  count(one)

proc trees(depth: int) =
  let start = now()
  var total = once(depth + 1)
  let lasting = tree(depth)
  for small in countup(4, depth, 2):
    for i in 0 ..< 1 shl (depth - small + 4): total += once(small)
  total += count(lasting)
  put("W2 depth" & $depth & " time", (now() - start) / 1e9, "s")
  putPeak("W2 depth" & $depth)
  stderr.writeLine "check ", total

proc pair(number: int): Node =
  result = Node(x: number)
  let other = Node(x: number)
  result.a = other
  other.a = result

proc drop(number: int) =
  discard pair(number)

proc cycles() =
  let start = now()
  for i in 0 ..< 10_000_000: drop(i)
  put("W3 ns/cycle", (now() - start) / 1e7, "ns")
  putPeak("W3")

var kept: seq[Node]
var held: Node

proc suspect(node: Node) {.noinline.} = held = node

proc graph(size: int, random: bool) =
  kept = newSeq[Node](size)
  for i in 0 ..< size: kept[i] = Node(x: i)
  for i in 0 ..< size:
    kept[i].a = kept[if random: next() mod size else: (i + 1) mod size]
    kept[i].b = kept[if random: next() mod size else: (i + 2) mod size]

proc collect(): float =
  let start = now()
  GC_fullCollect()
  now() - start

proc reachedFrom(one: Node): int =
  ## How many objects it holds, itself included; each is marked by its y.
  var waiting = @[one]
  one.y = -1
  while waiting.len > 0:
    let node = waiting.pop()
    inc result
    for next in [node.a, node.b]:
      if next.y == 0:
        next.y = -1
        waiting.add next

proc live(millions: int, random, oneRoot: bool) =
  when defined(gcOrc): GC_disableOrc()
  var size = millions * 1_000_000
  let figure = "W4 " & (if random: "random " else: "seq ") & $millions & "M ns/obj"
  graph(size, random)
  if oneRoot:
    size = reachedFrom(kept[0])
    kept = @[kept[0]]
  discard collect()
  when defined(gcOrc): # else there is no candidate
    suspect(kept[0])
    suspect(nil)
  put(figure, collect() / float(size), "ns", PeerName & (if oneRoot: " (1 root)" else: ""))
  quit(0)

proc dead() =
  const size = 1_000_000
  when defined(gcOrc): GC_disableOrc()
  elif not defined(gcArc): GC_disable()
  kept = newSeq[Node](size)
  for i in 0 ..< size: kept[i] = Node(x: i)
  var order = newSeq[int](size)
  for i in 0 ..< size: order[i] = i
  for i in countdown(size - 1, 1): swap(order[i], order[next() mod (i + 1)])
  for i in 0 ..< size:
    kept[order[i]].a = kept[order[(i + 1) mod size]]
    kept[order[i]].b = kept[next() mod size]
  let start = now()
  kept = @[]
  when not (defined(gcOrc) or defined(gcArc)): GC_enable()
  GC_fullCollect()
  put("W5 ns/freed obj", (now() - start) / float(size), "ns")

case paramStr(1)
of "w1": churn[Node](PeerName)
of "w1a": churn[AcyclicNode](PeerName & " {.acyclic.}")
of "w2": trees(parseInt(paramStr(2)))
of "w3": cycles()
of "w4":
  when defined(gcArc): quit(77) # frees no cycles
  else: live(parseInt(paramStr(2)), paramStr(3) == "r", paramCount() > 3)
of "w5":
  when defined(gcArc): quit(77)
  else: dead()
else: quit(77)
