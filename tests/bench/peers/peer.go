// The workloads of tally-bench in Go, on one processor: w3, w4 M r|s [root], w5.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

type node struct {
	a, b *node
	x, y int64
}

var (
	state uint32 = 12345
	kept  []*node
	sink  *node
	name  = "Go " + strings.TrimPrefix(runtime.Version(), "go")
)

func next() int {
	state = state*1103515245 + 12345
	return int(state >> 1)
}

func put(figure string, value float64, unit string) {
	fmt.Printf("%s\t%s\t%.6g\t%s\n", figure, name, value, unit)
}

//go:noinline
func pair(number int64) *node {
	one, other := &node{x: number}, &node{x: number}
	one.a, other.a = other, one
	return one
}

func cycles() {
	start := time.Now()
	for i := int64(0); i < 10000000; i++ {
		sink = pair(i)
	}
	put("W3 ns/cycle", float64(time.Since(start))/1e7, "ns")
}

func collect() float64 {
	start := time.Now()
	runtime.GC()
	return float64(time.Since(start))
}

// How many objects one holds, itself included; each is marked by its y.
func reachedFrom(one *node) int {
	reached, waiting := 0, []*node{one}
	for one.y = -1; len(waiting) > 0; reached++ {
		next := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		for _, end := range []*node{next.a, next.b} {
			if end.y == 0 {
				end.y = -1
				waiting = append(waiting, end)
			}
		}
	}
	return reached
}

func live(millions int, random, oneRoot bool) {
	size, order := millions*1000000, "seq"
	kept = make([]*node, size)
	for i := range kept {
		kept[i] = &node{x: int64(i)}
	}
	for i, one := range kept {
		if random {
			one.a, one.b = kept[next()%size], kept[next()%size]
		} else {
			one.a, one.b = kept[(i+1)%size], kept[(i+2)%size]
		}
	}
	if random {
		order = "random"
	}
	if oneRoot {
		kept = []*node{kept[0]}
		size = reachedFrom(kept[0])
	}
	runtime.GC()
	put(fmt.Sprintf("W4 %s %dM ns/obj", order, millions), collect()/float64(size), "ns")
	runtime.KeepAlive(kept)
}

func dead() {
	const size = 1000000
	order := make([]int, size)
	kept = make([]*node, size)
	for i := range kept {
		kept[i], order[i] = &node{x: int64(i)}, i
	}
	for i := size - 1; i > 0; i-- {
		j := next() % (i + 1)
		order[i], order[j] = order[j], order[i]
	}
	for i := range order {
		kept[order[i]].a, kept[order[i]].b = kept[order[(i+1)%size]], kept[next()%size]
	}
	runtime.GC()
	start := time.Now()
	kept = nil
	runtime.GC()
	put("W5 ns/freed obj", float64(time.Since(start))/size, "ns")
}

func main() {
	runtime.GOMAXPROCS(1)
	switch os.Args[1] {
	case "w3":
		cycles()
	case "w4":
		millions, _ := strconv.Atoi(os.Args[2])
		live(millions, os.Args[3] == "r", len(os.Args) > 4)
	case "w5":
		dead()
	default:
		os.Exit(77)
	}
}
