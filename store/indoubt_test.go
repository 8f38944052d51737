package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// inDoubtCase is a write, what in it is sent to the database when it matters, and whether it is there.
type inDoubtCase struct {
	name    string
	trigger string
	write   func(ctx context.Context, s *store.Store) error
	// times says how often the write is in the database.
	times func(t *testing.T, s *store.Store) int
	// open writes may remain without an outcome: nothing tells who made them.
	open bool
}

var cutAuthor = store.Actor{ID: named("cut"), Name: "cut", RequestID: "cut-this-one"}

// inHistory counts the versions of the page's app that the author has made.
func inHistory(t *testing.T, s *store.Store) int {
	t.Helper()
	n := 0
	list := must(s.ListAppChanges(t.Context(), pageApp, store.Page{Size: 100}))(t)
	for _, change := range list.Rows {
		if change.RequestID == cutAuthor.RequestID {
			n++
		}
	}
	return n
}

func inDoubtCases() []inDoubtCase {
	five := store.Fields{store.ColumnLicenseCount: int32(5)}
	return []inDoubtCase{
		{name: "patch", trigger: cutAuthor.RequestID, times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateApp(ctx, pageApp, five, cutAuthor, nil)
			return err
		}},
		{name: "patch with If-Match", trigger: cutAuthor.RequestID, times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			seen, err := s.GetApp(ctx, pageApp)
			if err != nil {
				return err
			}
			_, err = s.UpdateApp(ctx, pageApp, five, cutAuthor, &store.IfMatch{Tags: []string{seen.ETag()}})
			return err
		}},
		{name: "bulk", trigger: "commit", times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.BulkSet(ctx, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, cutAuthor)
			return err
		}},
		{name: "remove", trigger: "commit", times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			return s.RemoveApp(ctx, pageApp, cutAuthor, nil)
		}},
		{name: "add", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			_, err := s.AddApp(ctx, storetest.ClientID, named("Zoom"), nil, cutAuthor)
			return err
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			return int(must(s.ListApps(t.Context(), storetest.ClientID, store.AppFilter{Query: "zoom"}, all(store.ColumnCanonicalName)))(t).Total)
		}},
		{name: "create client", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			_, err := s.CreateClient(ctx, "Fabrikam")
			return err
		}, times: countClients("Fabrikam")},
		{name: "update client", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			seen, err := s.GetClient(ctx, storetest.ClientID)
			if err != nil {
				return err
			}
			_, err = s.UpdateClient(ctx, seen.ID, store.Fields{store.ColumnName: "Litware"}, &store.IfMatch{Tags: []string{seen.ETag()}})
			return err
		}, times: countClients("Litware")},
		{name: "create catalog app", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			_, err := s.CreateCatalogApp(ctx, store.Fields{store.ColumnCanonicalName: "Miro"}, nil)
			return err
		}, times: countCatalog("miro")},
		{name: "rename catalog app", trigger: "commit", open: true, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateCatalogApp(ctx, named("Zoom"), store.Fields{store.ColumnCanonicalName: "Jitsi"}, nil, nil)
			return err
		}, times: countCatalog("jitsi")},
	}
}

func countClients(name string) func(*testing.T, *store.Store) int {
	return func(t *testing.T, s *store.Store) int {
		t.Helper()
		return int(must(s.ListClients(t.Context(), &store.Token{AllClients: true}, name, all(store.ColumnName)))(t).Total)
	}
}

func countCatalog(name string) func(*testing.T, *store.Store) int {
	return func(t *testing.T, s *store.Store) int {
		t.Helper()
		return int(must(s.ListCatalogApps(t.Context(), store.CatalogFilter{Query: name}, all(store.ColumnCanonicalName)))(t).Total)
	}
}

// TestLostWriteIsFoundOut cuts the connection at the very moment when a write is made. Who is told that it was made finds
// it there, once; who is told that it was not does not, not even when it has been on its way for long.
func TestLostWriteIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, c := range inDoubtCases() {
		for name, how := range map[string]cut{"request": cutRequest, "answer": cutAnswer, "late": delay} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				url := storetest.Postgres(t)
				data := storetest.Page()
				data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
				there := seeded(t, url, data)
				cutter := newCutter(t, url)
				here := alone(t, cutter.url)
				must(here.GetApp(t.Context(), pageApp))(t)
				cutter.arm(c.trigger, how)
				ctx := t.Context()
				if how == delay {
					ctx = until{ctx, cutter.caught}
				}
				err := c.write(ctx, here)
				if how == delay {
					<-cutter.arrived
				}
				checkLost(t, c, how, err, c.times(t, there))
				if n := cutter.count(); n != 1 {
					t.Errorf("cut %d times", n)
				}
			})
		}
	}
}

// TestLostPatchIsAnsweredAsItWas has others patch the app before the answer to a patch is found out: it is what that patch
// left, as if the answer had come.
func TestLostPatchIsAnsweredAsItWas(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	there := seeded(t, url, storetest.Page())
	cutter := newCutter(t, url)
	meanwhile := func() {
		for _, fields := range []store.Fields{
			{store.ColumnLicenseCount: nil}, {store.ColumnIsFavorite: true}, {store.ColumnIsFavorite: false, store.ColumnLicenseCount: int32(9)},
		} {
			if _, err := there.UpdateApp(context.Background(), pageApp, fields, store.Actor{RequestID: "meanwhile"}, nil); err != nil {
				t.Error(err)
			}
		}
	}
	cutter.mu.Lock()
	cutter.meanwhile = meanwhile
	cutter.mu.Unlock()
	here := alone(t, cutter.url)
	before := must(here.GetApp(t.Context(), pageApp))(t)
	cutter.arm(cutAuthor.RequestID, cutAnswer)
	fields := store.Fields{store.ColumnLicenseCount: int32(5), store.ColumnIsApproved: true}
	got := must(here.UpdateApp(t.Context(), pageApp, fields, cutAuthor, nil))(t)
	if n := cutter.count(); n != 1 {
		t.Errorf("cut %d times", n)
	}
	if want := (appState{"false", "true", "5"}); stateOf(got) != want || got.Version != before.Version+1 || got.RequestID != cutAuthor.RequestID {
		t.Errorf("answered with %v at version %d by %s, want %v at %d", stateOf(got), got.Version, got.RequestID, want, before.Version+1)
	}
	last := must(there.GetApp(t.Context(), pageApp))(t)
	if want := (appState{"false", "true", "9"}); stateOf(last) != want || last.Version != before.Version+4 || !got.UpdatedAt.Before(last.UpdatedAt) && !got.UpdatedAt.Equal(last.UpdatedAt) {
		t.Errorf("the app is %v at version %d", stateOf(last), last.Version)
	}
}

// until is a context whose time is up when something has happened.
type until struct {
	context.Context

	happened <-chan struct{}
}

func (u until) Done() <-chan struct{} { return u.happened }

func (u until) Err() error {
	select {
	case <-u.happened:
		return context.DeadlineExceeded
	default:
		return u.Context.Err()
	}
}

func checkLost(t *testing.T, c inDoubtCase, how cut, err error, times int) {
	t.Helper()
	unavailable, unknown := (*store.UnavailableError)(nil), (*store.InDoubtError)(nil)
	switch {
	case c.open && errors.As(err, &unknown) && times <= 1:
	case how == delay && errors.As(err, &unavailable) && times == 0: // there was no time to try again
	case how != delay && err == nil && times == 1:
	default:
		t.Errorf("%v, and it is there %d times", err, times)
	}
}

// TestLostBatchIsFoundOut cuts the connection of patches that share a transaction.
func TestLostBatchIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]cut{"request": cutRequest, "answer": cutAnswer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			there := storetest.Open(t, url)
			keys := seedApps(t, there, 20)
			cutter := newCutter(t, url)
			here := alone(t, cutter.url)
			must(here.GetApp(t.Context(), keys[0]))(t)
			db := storetest.SQL(t, url)
			tx := must(db.BeginTx(t.Context(), nil))(t)
			for _, key := range keys[:store.MaxWriters] { // the others have to gather
				must(tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", key.ClientID, key.ID))(t)
			}
			errs := make([]error, len(keys))
			var writing sync.WaitGroup
			write := func(i int) {
				writing.Go(func() {
					by := store.Actor{ID: named("cut"), Name: "cut", RequestID: fmt.Sprintf("batch-%d", i)}
					_, errs[i] = here.UpdateApp(t.Context(), keys[i], store.Fields{store.ColumnLicenseCount: int32(7)}, by, nil)
				})
			}
			for i := range store.MaxWriters { // one after the other: they do not gather
				write(i)
				waitForLocks(t, db, i+1)
			}
			for i := store.MaxWriters; i < len(keys); i++ {
				write(i)
			}
			cutter.arm("batch-", how)
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			writing.Wait()
			if n := cutter.count(); n != 1 {
				t.Fatalf("cut %d times", n)
			}
			for i, key := range keys {
				versions := appVersions(t, db, key)
				if errs[i] != nil || len(versions) != 2 || !strings.HasPrefix(versions[1].request, "batch-") {
					t.Errorf("patch %d: %v, and the history is %v", i, errs[i], versions)
				}
			}
		})
	}
}

// TestLostConnectionsAreReplaced ends every connection while nobody uses it: the next request of each kind finds nothing
// amiss.
func TestLostConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range inDoubtCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			data := storetest.Page()
			data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
			there := seeded(t, url, data)
			here := alone(t, url)
			var using sync.WaitGroup
			for range 8 {
				using.Go(func() { must(here.GetApp(t.Context(), pageApp))(t) })
			}
			using.Wait()
			db := storetest.SQL(t, url)
			must(db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`))(t)
			if err := c.write(t.Context(), here); err != nil || c.times(t, there) != 1 {
				t.Errorf("%v, and it is there %d times", err, c.times(t, there))
			}
			must(db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`))(t)
			must(here.ListApps(t.Context(), storetest.ClientID, store.AppFilter{}, all(store.ColumnCanonicalName)))(t)
			if err := here.Ready(t.Context()); err != nil {
				t.Errorf("not ready: %v", err)
			}
		})
	}
}
