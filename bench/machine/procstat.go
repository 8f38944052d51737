package machine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of CPU time in /proc: a hundredth of a second on Linux.
const tick = 10 * time.Millisecond

// Usage has the resource usage of a tree of processes.
type Usage struct {
	CPU      time.Duration // since they started, including processes that have ended
	Resident int64         // bytes, now
}

// UsageOf returns the usage of a process and its descendants.
func UsageOf(root int) (Usage, error) {
	for {
		all, err := readStats()
		if err != nil {
			return Usage{}, err
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", root))
		if err != nil {
			return Usage{}, err
		}
		last, err := parseStat(text)
		if err != nil {
			return Usage{}, err
		}
		if first, ok := all[root]; !ok || first.reaped != last.reaped {
			continue // a child ended meanwhile: it may be counted in neither of the two, or in both
		}
		var use Usage
		for _, s := range all {
			if descends(all, s.pid, root) {
				use.CPU += time.Duration(s.ticks+s.reaped) * tick
				use.Resident += s.pages * int64(os.Getpagesize())
			}
		}
		return use, nil
	}
}

// readStats reads the status of all processes.
func readStats() (map[int]stat, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := map[int]stat{}
	for _, path := range stats {
		text, err := os.ReadFile(path) //nolint:gosec // a path in /proc
		if err != nil {
			continue // the process has ended
		}
		if s, err := parseStat(text); err == nil {
			all[s.pid] = s
		}
	}
	return all, nil
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
	ticks       int64 // of the process
	reaped      int64 // ticks of children that it has waited for
	pages       int64
}

// parseStat parses /proc/PID/stat. The name of the program, in parentheses, may contain anything.
func parseStat(text []byte) (stat, error) {
	nameStart, nameEnd := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if nameStart < 2 || nameEnd < nameStart {
		return stat{}, fmt.Errorf("no process status: %q", text)
	}
	fields := bytes.Fields(text[nameEnd+1:]) // starting with the third field
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
	s.pid = int(number(text[:nameStart-1]))
	s.parent = int(number(fields[1]))
	s.ticks = number(fields[11]) + number(fields[12])  // utime, stime
	s.reaped = number(fields[13]) + number(fields[14]) // cutime, cstime
	s.pages = number(fields[21])
	return s, err
}
