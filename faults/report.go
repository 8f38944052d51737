package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Column is the column of one harness in the report.
type Column struct {
	Title      string
	Ledger     *Ledger
	Faults     map[string]int
	Comparison *Comparison
	Feed       []string // how followers of the feed are at odds with the database
	Webhook    []string // how the copy of the receiver is
	Receiver   *Receiver
}

// NewColumn compares a harness's ledger with its database, which nothing may write to meanwhile. Others are ledgers of the same
// database.
func NewColumn(ctx context.Context, title string, ledger *Ledger, fixture *Fixture, faults map[string]int, others ...*Ledger) (Column, error) {
	c, err := ledger.Compare(ctx, fixture, others...)
	return Column{Title: title, Ledger: ledger, Faults: faults, Comparison: c}, err
}

// Failed reports whether an answer was false or violates the contract.
func (c Column) Failed() bool {
	return c.Comparison.HasErrors() || len(c.Ledger.Problems())+len(c.Feed)+len(c.Webhook) > 0
}

// Report returns the results of a run as a Markdown table.
func Report(took time.Duration, columns ...Column) string {
	var b strings.Builder
	line := func(name string, cell func(Column) string) {
		fmt.Fprintf(&b, "| %s |", name)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", cell(c))
		}
		b.WriteString("\n")
	}
	line(took.Round(time.Second).String(), func(c Column) string { return c.Title })
	line("---", func(Column) string { return "---:" })
	line("requests", func(c Column) string { return fmt.Sprint(c.Ledger.Requests()) })
	names := map[string]bool{}
	for _, c := range columns {
		for name := range c.Faults {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		line(name, func(c Column) string { return count(c.Faults, name) })
	}
	for _, class := range []string{"2xx", "4xx", "503", "other 5xx", "none", "unreachable"} {
		title := "answered " + class
		switch class {
		case "none":
			title = "not answered: the connection ended"
		case "unreachable":
			title = "not sent: the server was away"
		}
		line(title, func(c Column) string { return fmt.Sprint(classes(c.Ledger.Answers())[class]) })
	}
	line("longest until an answer", func(c Column) string { return c.Ledger.Longest().Round(time.Millisecond).String() })
	line("writes acknowledged", func(c Column) string { return fmt.Sprint(c.Ledger.Count(Acknowledged)) })
	line("writes refused, or never sent", func(c Column) string { return fmt.Sprint(c.Ledger.Count(Refused)) })
	line("writes in doubt", func(c Column) string {
		return fmt.Sprintf("%d, %d of them made", c.Ledger.Count(InDoubt), c.Comparison.CommittedInDoubt)
	})
	hasWebhook := slices.ContainsFunc(columns, func(c Column) bool { return c.Receiver != nil })
	if hasWebhook {
		line("changes delivered to a webhook", func(c Column) string {
			deliveries, changes, _, _ := c.Receiver.Deliveries()
			return fmt.Sprintf("%d in %d deliveries", changes, deliveries)
		})
		line("attempts to deliver", func(c Column) string {
			_, _, attempts, repeated := c.Receiver.Deliveries()
			return fmt.Sprintf("%d, %d of them of what had arrived", attempts, repeated)
		})
	}
	line("**acknowledged, but lost**", func(c Column) string { return fmt.Sprint(c.Comparison.Lost) })
	line("**refused, but made**", func(c Column) string { return fmt.Sprint(c.Comparison.WronglyCommitted) })
	line("**made twice**", func(c Column) string { return fmt.Sprint(c.Comparison.CommittedTwice) })
	line("**rows at odds with their history**", func(c Column) string { return fmt.Sprint(c.Comparison.MismatchedRows) })
	if hasWebhook {
		line("**feed at odds with writes**", func(c Column) string { return fmt.Sprint(len(c.Feed)) })
		line("**webhook copy at odds with writes**", func(c Column) string { return fmt.Sprint(len(c.Webhook)) })
	}
	return b.String()
}

func count(faults map[string]int, name string) string {
	if n, ok := faults[name]; ok {
		return fmt.Sprint(n)
	}
	return "–"
}

// classes sums the answers by status class.
func classes(answers map[string]int) map[string]int {
	sums := map[string]int{}
	for status, n := range answers {
		switch {
		case status == "none" || status == "unreachable" || status == "503":
			sums[status] += n
		case status[0] == '5':
			sums["other 5xx"] += n
		default:
			sums[status[:1]+"xx"] += n
		}
	}
	return sums
}
