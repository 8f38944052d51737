package faults

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bound is how long a client waits before it calls a request hung: three times what the server may take to find out what
// the database has done, and what a busy machine may add.
const Bound = 3*DatabaseTimeout + 15*time.Second

// Verdict is what a client was told of a write.
type Verdict int

// The verdicts.
const (
	Acknowledged Verdict = iota + 1 // answered 2xx: it is in the database
	Refused                         // answered otherwise, or never sent: it is not
	InDoubt                         // 500 outcome_unknown, or the connection ended: it may be either
)

// Entry is one write: which changes it makes when it is made. Every write has a request id and a value of its own, so that
// it always changes something and can be told from all others.
type Entry struct {
	Field   string // of the changes: license_count or is_approved
	Value   string // that every change has as its new value
	Changes int    // how many apps the write changes
	Verdict Verdict
}

// Ledger is what clients were told. It is safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	entries  map[string]Entry // by request id
	answers  map[string]int   // by class
	requests int
	longest  time.Duration
	problems []string
}

// NewLedger is empty.
func NewLedger() *Ledger { return &Ledger{entries: map[string]Entry{}, answers: map[string]int{}} }

// note counts a request and what it was answered. A write is entered besides.
func (l *Ledger) note(id string, write *Entry, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.answers[a.class()]++
	l.longest = max(l.longest, a.took)
	if problem := a.problem(); problem != "" {
		l.problems = append(l.problems, id+": "+problem)
	}
	if write != nil {
		entry := *write
		entry.Verdict = a.verdict()
		l.entries[id] = entry
	}
}

// Acknowledged counts the writes that were answered 2xx so far.
func (l *Ledger) Acknowledged() int { return l.Count(Acknowledged) }

// Count counts the writes with a verdict.
func (l *Ledger) Count(v Verdict) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.Verdict == v {
			n++
		}
	}
	return n
}

// Requests counts everything that was sent.
func (l *Ledger) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

// Answers returns how many requests were answered how: "200", "503", "none".
func (l *Ledger) Answers() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.answers)
}

// Longest is the longest that a request took.
func (l *Ledger) Longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.longest
}

// Problems lists answers that are no answers of the contract.
func (l *Ledger) Problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.problems)
}

// String shows the answers by class.
func (l *Ledger) String() string {
	answers := l.Answers()
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, the longest %v:", l.Requests(), l.Longest().Round(time.Millisecond))
	for _, class := range slices.Sorted(maps.Keys(answers)) {
		b.WriteString(" " + class + " × " + strconv.Itoa(answers[class]))
	}
	return b.String()
}
