package faults

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	attackers  = 64                    // concurrent requests of the attacking token
	mostMemory = 300 << 20             // resident, in bytes
	mostDelay  = 50 * time.Millisecond // added to the 99th percentile of the other token's GETs
	mostWork   = 10 * time.Millisecond // of a processor per body, including bodies that are refused unread
	maxBody    = 1 << 20
	maxNodes   = 20_000
)

// worstRequest is a request whose body is as expensive as possible.
type worstRequest struct{ name, method, path, body string }

// worstRequests returns the most expensive bodies that we could think of: of the maximum size, with the maximum number of values or
// more, in known and in unknown fields.
func worstRequests(fixture *Fixture) []worstRequest {
	app := fixture.Apps[0]
	bulk := "/v2/clients/" + app.Client + "/apps/approval"
	fill := func(begin, repeated, end string) string {
		return begin + strings.Repeat(repeated, (maxBody-len(begin)-len(end))/len(repeated)) + end
	}
	most := func(begin, repeated string, nodes int, end string) string {
		return begin + strings.Repeat(repeated, (maxNodes-10)/nodes) + end
	}
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%05x":0`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	return []worstRequest{
		{"objects in an unknown field", http.MethodPatch, app.path(), fill(`{"x":[`, `{"":0},`, `0]}`)},
		{"objects in a known field", http.MethodPatch, app.path(), fill(`{"is_favorite":[`, `{"":0},`, `0]}`)},
		{"as many of them as may be", http.MethodPatch, app.path(), most(`{"is_favorite":[`, `{"":0},`, 3, `0]}`)},
		{"100,000 unknown names", http.MethodPatch, app.path(), names(maxBody / 10)},
		{"as many of them as may be", http.MethodPatch, app.path(), names(maxNodes/2 - 1)},
		{"arrays in place of ids", http.MethodPost, bulk, fill(`{"app_ids":[`, `[[[[[[]]]]]],`, `[]]}`)},
		{"as many of them as may be", http.MethodPost, bulk, most(`{"app_ids":[`, `[[[[[[]]]]]],`, 6, `[]]}`)},
		{"a thousand invalid ids", http.MethodPost, bulk, `{"app_ids":[` + strings.Repeat(`"`+strings.Repeat("x", 1000)+`",`, 999) + `"x"]}`},
		{"one text of escapes", http.MethodPost, "/v2/catalog-apps", fill(`{"canonical_name":"`, `\n`, `"}`)},
		{"one number", http.MethodPatch, app.path(), fill(`{"license_count":`, `1`, `}`)},
	}
}

// TestWorstBodies sends the most expensive bodies with one token, 64 at once. Each is answered, the server's memory stays bounded, and
// requests of another token are hardly delayed.
func TestWorstBodies(t *testing.T) { // not parallel: it times requests
	t.Run("sqlite", func(t *testing.T) {
		worstBodies(t, mustStart(t)(NewSQLiteHarness(t.Context(), program, open(t))))
	})
	t.Run("postgres", func(t *testing.T) { worstBodies(t, newHarness(t)) })
}

func worstBodies(t *testing.T, h *Harness) {
	t.Helper()
	token, err := h.Server.Run(t.Context(), "", "token", "create", "--name", "neighbor", "--all-clients", "--scope", "apps:read")
	if err != nil {
		t.Fatal(err)
	}
	neighbor := NewAPI(h.Server.Addr, token, 1)
	defer neighbor.Close()
	path := h.Fixture.Apps[1].path()
	worst := worstRequests(h.Fixture)
	harmless := []worstRequest{{"spaces", http.MethodPatch, h.Fixture.Apps[0].path(), "{}" + strings.Repeat(" ", maxBody-2)}}

	// Attackers, server, the other token and other programs share the processors of this machine. So the test takes the best of five
	// rounds, and subtracts the delay that as many bodies of spaces cause.
	best := time.Hour
	for round := range 5 {
		measure := func(bodies []worstRequest) time.Duration {
			return percentile99(t, neighbor, path, func(stop func()) {
				attack(t, h, bodies, len(worst))
				stop()
			})
		}
		usual, before := measure(harmless), processorTime(t, h.Server)
		attacked := measure(worst)
		each := (processorTime(t, h.Server) - before) / time.Duration(attackers*len(worst))
		if each >= mostWork {
			t.Errorf("a body takes %v of processor time", each)
		}
		best = min(best, attacked-usual)
		t.Logf("round %d: p99 of the other token %v, with bodies of spaces %v; a body took %v of processor time, the server at most %d MiB",
			round, attacked, usual, each, peakMemory(t, h.Server)>>20)
		if best < mostDelay {
			break
		}
	}
	if best >= mostDelay {
		t.Errorf("the 99th percentile of another token's requests is %v higher than with harmless bodies", best)
	}
	if peak := peakMemory(t, h.Server); peak >= mostMemory {
		t.Errorf("the server used %d MiB", peak>>20)
	}
}

// attack sends each bodies from each attacker, all attackers at once.
func attack(t *testing.T, h *Harness, bodies []worstRequest, each int) {
	t.Helper()
	api := NewAPI(h.Server.Addr, h.Fixture.Token, attackers)
	defer api.Close()
	var (
		sending sync.WaitGroup
		mu      sync.Mutex
		answers = map[int]int{}
	)
	for i := range attackers {
		sending.Go(func() {
			for j := range each {
				request := bodies[(i+j)%len(bodies)]
				a := api.send(context.Background(), request.method, request.path, request.body, "")
				refused := a.status == http.StatusBadRequest && strings.Contains(a.body, `"code":"invalid_request"`)
				full := a.status == http.StatusServiceUnavailable && a.problem() == ""
				if !refused && !full && a.status != http.StatusOK {
					t.Errorf("%s: answered %d %s, %v", request.name, a.status, a.body, a.err)
				}
				mu.Lock()
				answers[a.status]++
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	t.Logf("answered %v", answers)
	if answers[http.StatusBadRequest]+answers[http.StatusOK] == 0 {
		t.Error("no body was read")
	}
}

// percentile99 sends one GET after the other while during runs, and returns the 99th percentile of their times. Each must be
// answered with 200.
func percentile99(t *testing.T, api *API, path string, during func(stop func())) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go during(cancel)
	var took []time.Duration
	for ctx.Err() == nil || len(took) < 100 {
		a := api.send(t.Context(), http.MethodGet, path, "", "")
		if a.status != http.StatusOK {
			t.Errorf("another token got %d %s, %v", a.status, a.body, a.err)
		}
		took = append(took, a.took)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// processorTime returns the processor time of a server so far.
func processorTime(t *testing.T, s *Server) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, behindName, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(behindName) // fields 14 and 15 of proc(5) are 12 and 13 here, in hundredths of a second
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// peakMemory returns the peak resident memory of a server, in bytes.
func peakMemory(t *testing.T, s *Server) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatal("/proc does not show the peak memory of a process")
	return 0
}
