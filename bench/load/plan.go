// Package load sends requests and measures the answers: with wrk for peaks, vegeta for a fixed rate, and pgbench for statements without a
// server.
package load

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/dataset"
)

// Form is a template of a request. In Path and Body {client}, {app}, {count}, {ids} and {updates} are replaced by a client, an app of that
// client, a number of six digits, a hundred apps of that client, and updates of a thousand. The values differ in each request.
type Form struct {
	Weight int // share among the plan's forms
	Method string
	Path   string
	Body   string
	ETag   string // If-None-Match; "" for none
}

// Plan has the requests for one contender.
type Plan struct {
	Base  string // http://HOST:PORT
	Token string
	Forms []Form
	Size  dataset.Size
}

const (
	bulk    = 100  // ids in {ids}
	updates = 1000 // in {updates}
)

// apps is the number of apps that a form can start from. After the last ones there are not enough apps for {ids}.
func (p Plan) apps(f Form) int {
	if strings.Contains(f.Body, "{ids}") {
		return (p.Size.PerClient() - bulk) * p.Size.Ordinary()
	}
	return p.Size.Spread()
}

// fill replaces the variables of a form, for app n.
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
	var patches []string
	if strings.Contains(text, "{updates}") {
		for i := range updates {
			patches = append(patches, fmt.Sprintf(`{"id":"%s","license_count":%s}`, dataset.AppID(n%p.Size.Ordinary()+i*p.Size.Ordinary()), sixDigits()))
		}
	}
	return strings.NewReplacer(
		"{updates}", strings.Join(patches, ","),
		"{client}", dataset.ClientID(n%p.Size.Ordinary()), "{app}", dataset.AppID(n),
		"{count}", sixDigits(), "{ids}", ids.String(),
	).Replace(text)
}

func sixDigits() string { return strconv.Itoa(100_000 + rand.IntN(900_000)) } //nolint:gosec // chance, not secrecy

// Request returns a random request.
func (p Plan) Request() (method, url, body string) {
	left := rand.IntN(p.weight()) //nolint:gosec // chance, not secrecy
	for _, f := range p.Forms {
		if left -= f.Weight; left < 0 {
			n := rand.IntN(p.apps(f)) //nolint:gosec // chance, not secrecy
			return f.Method, p.Base + p.fill(f.Path, n), p.fill(f.Body, n)
		}
	}
	return "", "", "" // unreachable: the weights add up
}

func (p Plan) weight() int {
	total := 0
	for _, f := range p.Forms {
		total += f.Weight
	}
	return total
}

// Result has the measurements of one slice of load.
type Result struct {
	Requests int
	Before   int // requests while connections were opened; not in the other figures
	Took     time.Duration
	P50, P99 time.Duration
}

// Rate is in requests per second.
func (r Result) Rate() float64 { return float64(r.Requests) / r.Took.Seconds() }

// failedRequests returns the error of a slice with failed requests. Its figures would mean nothing.
func failedRequests(tool string, bad int, what string) error {
	return fmt.Errorf("%s: %d requests failed: %s", tool, bad, what)
}
