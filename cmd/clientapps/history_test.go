package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestHistoryCommands(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		env := []string{"CLIENTAPPS_DATABASE_URL=" + url}
		s := startServe(t, url, "--demo").as(demoToken)
		next := func(query string) (status int, cursor string) {
			t.Helper()
			got := s.Get(t, "/v2/catalog-changes?"+query)
			_, cursor, _ = strings.Cut(got.Body, `"next_cursor":"`)
			cursor, _, _ = strings.Cut(cursor, `"`)
			return got.Status, cursor
		}
		_, end := next("since=2099-01-01T00:00:00Z")
		// The changes of the demo's apps are of a day in January 2026, those of the catalog are new.
		const counted = " changes of apps and clients, 0 of the catalog"
		if out := must(t, url, "history", "prune", "--older-than", "1d", "--dry-run"); !strings.HasSuffix(out, counted+"; dry run: nothing was deleted\n") || out[0] == '0' {
			t.Errorf("%q", out)
		}
		if out := must(t, url, "history", "prune", "--older-than", "24h"); !strings.HasPrefix(out, "deleted ") || !strings.HasSuffix(out, counted+"\n") || out[8] == '0' {
			t.Errorf("%q", out)
		}
		if out := must(t, url, "history", "prune", "--older-than", "1d"); out != "deleted 0"+counted+"\n" {
			t.Errorf("%q", out)
		}
		if status, _ := next("cursor=" + end); status != http.StatusOK {
			t.Errorf("a cursor that nothing was deleted behind: %d", status)
		}
		if out := must(t, url, "history", "renew"); out != "all cursors of change feeds have expired\n" {
			t.Errorf("%q", out)
		}
		if status, _ := next("cursor=" + end); status != http.StatusGone {
			t.Errorf("a cursor from before: %d", status)
		}
		for _, age := range []string{"", "x", "d", "-1d", "1.5d", "0d", "23h", "99999d", "400", "1 d"} {
			if o := command(t, env, "history", "prune", "--older-than", age); o.code != 2 || !strings.Contains(o.stderr, "--older-than: ") {
				t.Errorf("%q: %+v", age, o)
			}
		}
		for text, want := range map[string]time.Duration{"1d": 24 * time.Hour, "400d": 9600 * time.Hour, "9600h": 9600 * time.Hour, "36h30m": 36*time.Hour + 30*time.Minute} {
			if age, err := parseAge(text); age != want || err != nil {
				t.Errorf("%s: %v, %v", text, age, err)
			}
		}
	})
}

// A webhook holds pruning back until that is forced.
func TestHistoryPruneWithWebhooks(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		hook := store.Webhook{ClientID: &storetest.ClientID, URL: "https://example.com", Secret: []byte("s")}
		if _, err := s.CreateWebhook(t.Context(), nil, hook, &time.Time{}); err != nil {
			t.Fatal(err)
		}
		const counted = "0 changes of apps and clients, 0 of the catalog"
		const held = "\n1 webhooks hold it back, since they have not delivered all that is so old: see --force\n"
		// Transactions of other tests hold the feed up.
		dryRun := func() string { return must(t, url, "history", "prune", "--older-than", "1d", "--dry-run") }
		if !storetest.Poll(func() bool { return dryRun() == counted+"; dry run: nothing was deleted"+held }) {
			t.Fatalf("%q", dryRun())
		}
		if out := must(t, url, "history", "prune", "--older-than", "1d"); out != "deleted "+counted+held {
			t.Errorf("%q", out)
		}
		if out := must(t, url, "history", "prune", "--older-than", "1d", "--force"); strings.HasPrefix(out, "deleted 0") || strings.Contains(out, "hold it back") {
			t.Errorf("%q", out)
		}
	})
}

// The role that serves may not prune, and the command says what to do.
func TestHistoryPruneNeedsTheOwner(t *testing.T) {
	t.Parallel()
	_, role := storetest.Roles(t)
	o := command(t, []string{"CLIENTAPPS_DATABASE_URL=" + role}, "history", "prune", "--older-than", "1d")
	if o.code != 1 || !strings.Contains(o.stderr, "use the database URL of the owner of the tables") {
		t.Errorf("%+v", o)
	}
}
