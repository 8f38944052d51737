package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of CPU time in /proc: a hundredth of a second on every Linux there is.
const tick = 10 * time.Millisecond

// Usage is what a tree of processes has used.
type Usage struct {
	CPU      time.Duration // since they started, those that have ended since included
	Resident int64         // bytes, now
}

// UsageOf sums over a process and all that descend from it.
func UsageOf(root int) (Usage, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return Usage{}, err
	}
	all := map[int]stat{}
	for _, path := range stats {
		text, err := os.ReadFile(path) //nolint:gosec // a path of the kernel's
		if err != nil {
			continue // it has ended
		}
		if s, err := parseStat(text); err == nil {
			all[s.pid] = s
		}
	}
	if _, ok := all[root]; !ok {
		return Usage{}, fmt.Errorf("process %d is not there", root)
	}
	var use Usage
	for _, s := range all {
		if descends(all, s.pid, root) {
			use.CPU += time.Duration(s.ticks) * tick
			use.Resident += s.pages * int64(os.Getpagesize())
		}
	}
	return use, nil
}

func descends(all map[int]stat, pid, root int) bool {
	for pid != root {
		s, ok := all[pid]
		if !ok {
			return false
		}
		pid = s.parent
	}
	return true
}

type stat struct {
	pid, parent int
	ticks       int64 // its own, and those of children that it has waited for
	pages       int64
}

// parseStat reads /proc/PID/stat. The name of the program, in brackets, may hold anything.
func parseStat(text []byte) (stat, error) {
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 2 || shut < open {
		return stat{}, fmt.Errorf("no process status: %q", text)
	}
	fields := bytes.Fields(text[shut+1:]) // from the third on
	if len(fields) < 22 {
		return stat{}, fmt.Errorf("no process status: %q", text)
	}
	var s stat
	var err error
	number := func(field []byte) int64 {
		n, problem := strconv.ParseInt(string(field), 10, 64)
		if problem != nil {
			err = problem
		}
		return n
	}
	s.pid = int(number(text[:open-1]))
	s.parent = int(number(fields[1]))
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		s.ticks += number(field)
	}
	s.pages = number(fields[21])
	return s, err
}
