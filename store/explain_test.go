package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
)

// plan is how a database runs one statement.
type plan struct {
	sql    string
	reads  []read
	sorted int    // how many rows it sorts at once; unknownRows if the database does not report it
	text   string // the whole plan, as the database reports it
}

// read is a table or an index that a plan reads. condition is the range of the index; it is empty if all of it is read.
type read struct{ table, index, condition string }

const unknownRows = -1

// violations returns what is wrong with the plan: reads and sorts whose cost grows with the tables.
func (p plan) violations(c planCase) []string {
	var found []string
	for _, r := range p.reads {
		switch r.table {
		case "apps", "app_changes", "client_app_counts", "catalog_changes", "webhook_deliveries":
			switch {
			case r.condition == "":
				found = append(found, "reads all of "+r.table)
			case r.table != "catalog_changes" && r.table != "webhook_deliveries" && !strings.Contains(r.condition, "client_id") && c.everyClient == "":
				found = append(found, "reads "+r.table+" of all clients")
			}
		case "webhooks":
			if r.condition == "" && r.index != "webhooks_by_creation" && !allWebhooks.MatchString(p.sql) {
				found = append(found, "reads all of webhooks")
			}
		case "clients":
			if r.index == "" && r.condition == "" && c.everyClient == "" {
				found = append(found, "reads all of clients")
			}
		}
	}
	if p.sorted > max(planPage+1, c.sorts) || p.sorted == unknownRows && c.sorts == 0 && p.grows() {
		found = append(found, fmt.Sprintf("sorts %d rows", p.sorted))
	}
	return found
}

// grows reports whether the plan reads a table that grows with the number of clients or of their apps.
func (p plan) grows() bool {
	return slices.ContainsFunc(p.reads, func(r read) bool {
		return slices.Contains([]string{"apps", "app_changes", "clients", "catalog_url_patterns", "catalog_desktop_aliases", "catalog_changes"}, r.table)
	})
}

// isRangeOf reports whether the plan starts in the index where the previous page ended. Unless both parts of a cursor are the range, the
// database reads the rows that the cursor skips.
func (p plan) isRangeOf(index string) bool {
	return slices.ContainsFunc(p.reads, func(r read) bool {
		return r.index == index && (strings.Contains(r.condition, "ROW(") || strings.Contains(r.condition, ")>(") || strings.Contains(r.condition, ")<("))
	})
}

// planRecorder is a store whose statements are recorded. plans returns the plans since the last call.
type planRecorder struct {
	store *store.Store
	plans func(t *testing.T) []plan
	share bool // several calls may share a statement
}

// checkCases calls every method and checks all statements that it sends.
func checkCases(t *testing.T, f *planFixture, recorder planRecorder) {
	t.Helper()
	methods := reflect.TypeFor[*store.Store]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		for n, c := range planCases[name] {
			t.Run(fmt.Sprintf("%s/%d %s", name, n, c.name), func(t *testing.T) { checkCase(t, c, f, recorder) })
		}
	}
}

func checkCase(t *testing.T, c planCase, f *planFixture, recorder planRecorder) {
	t.Helper()
	recorder.plans(t)
	if err := c.run(t.Context(), recorder.store, f); err != nil {
		t.Fatal(err)
	}
	plans := recorder.plans(t)
	if len(plans) == 0 && !c.memory {
		t.Error("no statement was recorded")
	}
	for _, p := range plans {
		for _, violation := range p.violations(c) {
			t.Errorf("%s\n%s\n%s", violation, p.sql, p.text)
		}
	}
	if recorder.share && c.shared != "" && !slices.ContainsFunc(plans, func(p plan) bool { return strings.Contains(p.sql, c.shared) }) {
		t.Error("no two calls shared a statement")
	}
	if c.keyset != "" && !slices.ContainsFunc(plans, func(p plan) bool { return p.isRangeOf(c.keyset) }) {
		for _, p := range plans {
			t.Logf("%s\n%s", p.sql, p.text)
		}
		t.Errorf("no statement starts in %s where the previous page ended", c.keyset)
	}
}

// checkRules tests the rules themselves: it drops indexes and wants violations.
func checkRules(t *testing.T, db *sql.DB, f *planFixture, recorder planRecorder) {
	t.Helper()
	for _, broken := range []struct{ index, method, violation string }{
		{"apps_by_name", "ListApps", "sorts"},
		{"apps_catalog_app", "UpdateCatalogApp", "reads all of apps"},
	} {
		if _, err := db.ExecContext(t.Context(), "DROP INDEX "+broken.index); err != nil {
			t.Fatal(err)
		}
		c := planCases[broken.method][0]
		recorder.plans(t)
		if err := c.run(t.Context(), recorder.store, f); err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, p := range recorder.plans(t) {
			found = append(found, p.violations(c)...)
		}
		if !slices.ContainsFunc(found, func(c string) bool { return strings.HasPrefix(c, broken.violation) }) {
			t.Errorf("%s without the index %s: the violations are %q, want %s", broken.method, broken.index, found, broken.violation)
		}
	}
}

func TestEveryMethodHasPlanCases(t *testing.T) {
	t.Parallel()
	methods := reflect.TypeFor[*store.Store]()
	for i := range methods.NumMethod() {
		name := methods.Method(i).Name
		_, excused := noPlans[name]
		if excused == (len(planCases[name]) > 0) {
			t.Errorf("%s needs cases in planCases, or a reason in noPlans", name)
		}
	}
	if len(planCases)+len(noPlans) != methods.NumMethod() {
		t.Error("there are cases for a method that does not exist")
	}
}

// planCases calls every method in every way that sends different statements. Cases can run more than once.
var planCases = func() map[string][]planCase {
	cases := map[string][]planCase{}
	for _, some := range []map[string][]planCase{planReads, planAppWrites, planOtherWrites, planWebhooks} {
		maps.Copy(cases, some)
	}
	return cases
}()

// noPlans are the methods that need no plan, with the reason.
var noPlans = map[string]string{
	"FinishDeletion":          "sends what DeleteClient sends, after some seconds",
	"EraseDeletedClients":     "sends what DeleteClient sends, after some seconds",
	"PruneHistory":            "reads what it deletes, for an operator",
	"FollowChanges":           "sends what ListChanges sends",
	"FollowAllChanges":        "sends what ListAllChanges sends",
	"ReencryptWebhookSecrets": "reads all of them, for an operator",
	"RenewHistory":            "updates one row",
	"Close":                   "lifecycle",
	"Migrate":                 "lifecycle",
	"Ready":                   "lifecycle",
	"SchemaVersion":           "lifecycle",
	"Stats":                   "never asks the database",
}

// eachPage returns cases for the first and the second page of a list, in both directions.
func eachPage(sortBy store.Column, keyset string, list func(ctx context.Context, s *store.Store, f *planFixture, p store.Page) (*store.Position, error)) []planCase {
	var cases []planCase
	for _, desc := range []bool{false, true} {
		p := store.Page{Size: planPage, SortBy: sortBy, Desc: desc}
		what := fmt.Sprintf("by %s, descending %t", sortBy, desc)
		cases = append(cases, planCase{
			name: what,
			run: func(ctx context.Context, s *store.Store, f *planFixture) error {
				_, err := list(ctx, s, f, p)
				return err
			},
		}, planCase{
			name: what + ", going on", keyset: keyset,
			run: func(ctx context.Context, s *store.Store, f *planFixture) error {
				next, err := list(ctx, s, f, p)
				if err != nil {
					return err
				}
				if next == nil {
					return fmt.Errorf("there is no second page")
				}
				p := p
				p.After = next
				_, err = list(ctx, s, f, p)
				return err
			},
		})
	}
	return cases
}

// newPlanFixture fills a database with planData.
func newPlanFixture(t *testing.T, url string, clients int) *planFixture {
	t.Helper()
	data := planData(clients)
	s := openSeeded(t, url, data)
	f := &planFixture{client: idOf("Client 1")}
	for _, entry := range data.CatalogApps {
		f.names = append(f.names, entry.CanonicalName)
	}
	for _, a := range data.Apps {
		if a.ClientID == f.client {
			f.apps = append(f.apps, store.AppKey{ClientID: a.ClientID, ID: a.ID})
		}
	}
	have := map[uuid.UUID]bool{}
	for _, a := range data.Apps {
		have[a.CatalogAppID] = have[a.CatalogAppID] || a.ClientID == f.client
	}
	for n, entry := range data.CatalogApps {
		if !have[entry.ID] {
			f.free = append(f.free, entry.ID)
		} else if n > 2 { // cases rename the first ones
			f.owned = append(f.owned, entry.CanonicalName)
		}
	}
	f.busy = f.anApp()
	for range 10 * planPage {
		if err := patchNew(t.Context(), s, f, f.busy, nil); err != nil {
			t.Fatal(err)
		}
	}
	must(s.ImportCatalog(t.Context(), catalogRows(planMatchers(f)...), alice, store.ImportOptions{}))(t)
	var tokens store.Dataset // several pages
	for n := range planTokens {
		name := fmt.Sprintf("Token %d", n)
		tokens.Tokens = append(tokens.Tokens, store.Token{
			ID: idOf(name), Name: name, Hash: apitoken.Hash(name), CreatedAt: client(name).CreatedAt, ClientIDs: []uuid.UUID{f.client},
		})
	}
	if err := s.Seed(t.Context(), tokens); err != nil {
		t.Fatal(err)
	}
	addPlanWebhooks(t, url, clients)
	f.secret = must(apitoken.New())(t)
	token := must(s.CreateToken(t.Context(), nil, f.secret, store.Token{
		Name: "three", ClientIDs: []uuid.UUID{f.client, idOf("Client 2"), idOf("Client 3")},
	}))(t)
	f.token = &token
	return f
}
