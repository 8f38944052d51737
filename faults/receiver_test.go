package faults

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWebhookWhileServersAreKilled kills the server while clients write, and compares what a webhook delivers with the database.
func TestWebhookWhileServersAreKilled(t *testing.T) {
	t.Parallel()
	h, ledger := mustStart(t)(NewSQLiteHarness(t.Context(), program, open(t), WebhookSettings()...)), NewLedger()
	r, err := NewReceiver(t.Context(), h.Server.Addr, h.Fixture.Token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	withLoad(t, h.Load(h.Server.Addr, 8, ledger), func() {
		for range 2 {
			awaitWrites(t, ledger, *writes/30)
			h.Server.Kill()
			if err := h.Server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		awaitWrites(t, ledger, *writes/30)
	})
	checkLedger(t, ledger, h.Fixture)
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	deliveries, changes, attempts, repeated := r.Deliveries()
	t.Logf("%d changes in %d deliveries, %d attempts, %d of them repeated", changes, deliveries, attempts, repeated)
	problems, err := r.Compare(t.Context(), h.Fixture)
	if err != nil || len(problems) > 0 || changes < *writes/10 {
		t.Errorf("%d changes, %q, %v", changes, problems, err)
	}
	checkFindings(t, h, r)
}

// checkFindings sends wrong deliveries, and checks that the receiver finds them.
func checkFindings(t *testing.T, h *Harness, r *Receiver) {
	t.Helper()
	app := h.Fixture.Apps[0]
	was := r.copy.apps[app].licenses
	body := func(before, after string) string {
		return fmt.Sprintf(`{"type":"app.changed","data":{"client_id":%q,"changes":[{"client_id":%q,"app_id":%q,"field":"license_count",`+
			`"old_value":%s,"new_value":%s}]}}`, app.Client, app.Client, app.ID, before, after)
	}
	send := func(id, body string, at time.Time, secret string) {
		header := http.Header{}
		header.Set("webhook-id", id)
		header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
		header.Set("webhook-signature", sign([]byte(secret), id, fmt.Sprint(at.Unix()), []byte(body)))
		r.receive(header, []byte(body))
	}
	for _, step := range []struct {
		id, body, secret string
		at               time.Time
		found            string // empty: nothing is wrong
	}{
		{"1", body(was, "-1"), string(r.secret), time.Now(), ""},
		{"1", body(was, "-1"), string(r.secret), time.Now(), ""}, // again
		{"1", body(was, "-2"), string(r.secret), time.Now(), "another body"},
		{"2", body("-1", "-2"), "another secret", time.Now(), "the signature is wrong"},
		{"3", body("-1", "-2"), string(r.secret), time.Now().Add(-time.Hour), "the time"},
		{"4", body("-3", was), string(r.secret), time.Now(), "but it was -1"}, // one is missing
		{"5", "{}", string(r.secret), time.Now(), "not a delivery"},
	} {
		r.copy.problems = nil
		send(step.id, step.body, step.at, step.secret)
		found := slices.ContainsFunc(r.copy.problems, func(problem string) bool { return strings.Contains(problem, step.found) })
		if found != (step.found != "") {
			t.Errorf("delivery %s: %q", step.id, r.copy.problems)
		}
	}
	r.copy.problems = nil
	r.copy.apps[app].licenses = "-1"
	if problems, err := r.Compare(t.Context(), h.Fixture); err != nil || len(problems) != 1 {
		t.Errorf("a wrong copy: %q, %v", problems, err)
	}
}
