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

// AnswerTimeout is how long a client waits for an answer. The server answers within three times its database timeout; the rest is for a
// busy machine.
const AnswerTimeout = 3*DatabaseTimeout + 15*time.Second

// Outcome is what a client was told about a write.
type Outcome int

// The outcomes.
const (
	Acknowledged Outcome = iota + 1 // answered 2xx: committed
	Refused                         // any other answer, or never sent: not committed
	InDoubt                         // 500 outcome_unknown, or no answer: may be committed or not
)

// Entry is one write with the changes that it makes. Every write has a unique request id and a unique value, so it always changes
// something and can be identified in the history.
type Entry struct {
	Field   string // of the changes: license_count or is_approved
	Value   string // the new value of every change
	Changes int    // how many apps the write changes
	Outcome Outcome
}

// Ledger records what clients were told. It is safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	entries  map[string]Entry // by request id
	answers  map[string]int   // by class
	requests int
	longest  time.Duration
	problems []string
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{entries: map[string]Entry{}, answers: map[string]int{}} }

// record counts a request by its answer. A write also gets an entry.
func (l *Ledger) record(id string, write *Entry, a answer) {
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
		entry.Outcome = a.outcome()
		l.entries[id] = entry
	}
}

// Acknowledged returns the number of writes answered 2xx so far.
func (l *Ledger) Acknowledged() int { return l.Count(Acknowledged) }

// Count returns the number of writes with an outcome.
func (l *Ledger) Count(outcome Outcome) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.Outcome == outcome {
			n++
		}
	}
	return n
}

// Requests returns the number of requests.
func (l *Ledger) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

// Answers returns the number of requests by class of answer: "200", "503", "none" and so on.
func (l *Ledger) Answers() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.answers)
}

// Longest returns the longest time of a request.
func (l *Ledger) Longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.longest
}

// Problems lists answers that violate the contract.
func (l *Ledger) Problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.problems)
}

// String returns the numbers of answers by class.
func (l *Ledger) String() string {
	answers := l.Answers()
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, the longest %v:", l.Requests(), l.Longest().Round(time.Millisecond))
	for _, class := range slices.Sorted(maps.Keys(answers)) {
		b.WriteString(" " + class + " × " + strconv.Itoa(answers[class]))
	}
	return b.String()
}
