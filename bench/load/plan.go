// Package load sends requests and measures how they are answered: wrk for peaks, vegeta for a fixed rate, pgbench for
// statements without a server.
package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/dataset"
)

// Form is one form of request. In Path and Body {client}, {app}, {count} and {ids} stand for a client, an app of that
// client, a number of six digits and a hundred apps of that client: other ones in each request.
type Form struct {
	Weight int // of all the plan's
	Method string
	Path   string
	Body   string
}

// Plan is what is asked of one contender.
type Plan struct {
	Base  string // http://HOST:PORT
	Token string
	Forms []Form
	Size  dataset.Size
}

// bulk is how many ids {ids} stands for.
const bulk = 100

// apps is how many apps a form can begin with: behind the last ones there are not enough for a list of ids.
func (p Plan) apps(f Form) int {
	if strings.Contains(f.Body, "{ids}") {
		return (p.Size.PerClient() - bulk) * p.Size.Ordinary()
	}
	return p.Size.Spread()
}

// fill makes a request of a form, for app n.
func (p Plan) fill(text string, n int) string {
	var ids strings.Builder
	if strings.Contains(text, "{ids}") {
		for i := range bulk {
			if i > 0 {
				ids.WriteString(`","`)
			}
			ids.WriteString(dataset.AppID(n + i*p.Size.Ordinary()))
		}
	}
	return strings.NewReplacer(
		"{client}", dataset.ClientID(n%p.Size.Ordinary()), "{app}", dataset.AppID(n),
		"{count}", strconv.Itoa(100_000+rand.IntN(900_000)), "{ids}", ids.String(), //nolint:gosec // chance, not secrecy
	).Replace(text)
}

// Request makes one request by chance.
func (p Plan) Request() (method, url, body string) {
	left := rand.IntN(p.weight()) //nolint:gosec // chance, not secrecy
	for _, f := range p.Forms {
		if left -= f.Weight; left < 0 {
			n := rand.IntN(p.apps(f)) //nolint:gosec // chance, not secrecy
			return f.Method, p.Base + p.fill(f.Path, n), p.fill(f.Body, n)
		}
	}
	return "", "", "" // not reached: the weights add up
}

func (p Plan) weight() int {
	total := 0
	for _, f := range p.Forms {
		total += f.Weight
	}
	return total
}

// Result is what one slice of load has seen.
type Result struct {
	Requests int
	Before   int // requests that opened the connections, and are in no other figure
	Took     time.Duration
	P50, P99 time.Duration
}

// Rate is requests a second.
func (r Result) Rate() float64 { return float64(r.Requests) / r.Took.Seconds() }

// refused is the error of a slice whose answers were not all good: its figures would mean nothing.
func refused(tool string, bad int, what string) error {
	return fmt.Errorf("%s: %d requests failed: %s", tool, bad, what)
}
