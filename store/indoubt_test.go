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

// inDoubtCase is a write that breaks at a statement.
type inDoubtCase struct {
	name    string
	trigger string // part of the statement that commits the write
	write   func(ctx context.Context, s *store.Store) error
	// times returns how often the write is in the database.
	times func(t *testing.T, s *store.Store) int
	// unresolved writes may end with InDoubtError, because no row names their author.
	unresolved bool
}

var inDoubtActor = store.Actor{ID: idOf("cut"), Name: "cut", RequestID: "cut-this-one"}

// inHistory counts the versions of the page's app that inDoubtActor has written.
func inHistory(t *testing.T, s *store.Store) int {
	t.Helper()
	n := 0
	list := must(s.ListAppChanges(t.Context(), pageApp, store.Page{Size: 100}))(t)
	for _, change := range list.Rows {
		if change.RequestID == inDoubtActor.RequestID {
			n++
		}
	}
	return n
}

func inDoubtCases() []inDoubtCase {
	five := store.Fields{store.ColumnLicenseCount: int32(5)}
	return []inDoubtCase{
		{name: "patch", trigger: inDoubtActor.RequestID, times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateApp(ctx, pageApp, five, inDoubtActor, nil)
			return err
		}},
		{name: "patch with If-Match", trigger: inDoubtActor.RequestID, times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			seen, err := s.GetApp(ctx, pageApp)
			if err != nil {
				return err
			}
			_, err = s.UpdateApp(ctx, pageApp, five, inDoubtActor, &store.IfMatch{Tags: []string{seen.ETag()}})
			return err
		}},
		{name: "bulk", trigger: "commit", times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.BulkSet(ctx, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, inDoubtActor)
			return err
		}},
		{name: "remove", trigger: "commit", times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			return s.RemoveApp(ctx, pageApp, inDoubtActor, nil)
		}},
		{name: "add", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			_, err := s.AddApp(ctx, storetest.ClientID, idOf("Zoom"), nil, inDoubtActor)
			return err
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			return int(must(s.ListApps(t.Context(), storetest.ClientID, store.AppFilter{Query: "zoom"}, fullPage(store.ColumnCanonicalName)))(t).Total)
		}},
		{name: "create client", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			_, err := s.CreateClient(ctx, uuid.New(), "Fabrikam", alice)
			return err
		}, times: countClients("Fabrikam")},
		{name: "update client", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			seen, err := s.GetClient(ctx, storetest.ClientID)
			if err != nil {
				return err
			}
			_, err = s.UpdateClient(ctx, seen.ID, store.Fields{store.ColumnName: "Litware"}, alice, &store.IfMatch{Tags: []string{seen.ETag()}})
			return err
		}, times: countClients("Litware")},
		{name: "create catalog app", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			_, err := s.CreateCatalogApp(ctx, store.Fields{store.ColumnCanonicalName: "Miro"}, nil)
			return err
		}, times: countCatalog("miro")},
		{name: "rename catalog app", trigger: "commit", unresolved: true, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateCatalogApp(ctx, idOf("Zoom"), store.Fields{store.ColumnCanonicalName: "Jitsi"}, nil, nil)
			return err
		}, times: countCatalog("jitsi")},
	}
}

func countClients(name string) func(*testing.T, *store.Store) int {
	return func(t *testing.T, s *store.Store) int {
		t.Helper()
		return int(must(s.ListClients(t.Context(), &store.Token{AllClients: true}, name, fullPage(store.ColumnName)))(t).Total)
	}
}

func countCatalog(name string) func(*testing.T, *store.Store) int {
	return func(t *testing.T, s *store.Store) int {
		t.Helper()
		return int(must(s.ListCatalogApps(t.Context(), store.CatalogFilter{Query: name}, fullPage(store.ColumnCanonicalName)))(t).Total)
	}
}

// TestWriteInDoubtIsResolved breaks the connection at the statement that commits a write. A write that succeeds is in the database
// once. A write that fails is not there, not even when the statement reaches the database later.
func TestWriteInDoubtIsResolved(t *testing.T) {
	t.Parallel()
	for _, c := range inDoubtCases() {
		for name, how := range map[string]fault{"request": dropRequest, "answer": dropResponse, "late": delayRequest} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				url := storetest.Postgres(t)
				data := storetest.Page()
				data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
				there := openSeeded(t, url, data)
				proxy := newFaultProxy(t, url)
				here := openWithoutPolling(t, proxy.url)
				must(here.GetApp(t.Context(), pageApp))(t)
				proxy.arm(c.trigger, how)
				ctx := t.Context()
				if how == delayRequest {
					ctx = deadlineOn{ctx, proxy.fired}
				}
				err := c.write(ctx, here)
				if how == delayRequest {
					<-proxy.executed
				}
				checkOutcome(t, c, how, err, c.times(t, there))
				if n := proxy.count(); n != 1 {
					t.Errorf("%d faults were triggered, want 1", n)
				}
			})
		}
	}
}

// TestPatchInDoubtReturnsItsVersion patches the app through another store before a patch in doubt is resolved. The patch returns the
// app as the patch left it.
func TestPatchInDoubtReturnsItsVersion(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	there := openSeeded(t, url, storetest.Page())
	proxy := newFaultProxy(t, url)
	proxy.beforeDropping(func() {
		for _, fields := range []store.Fields{
			{store.ColumnLicenseCount: nil}, {store.ColumnIsFavorite: true}, {store.ColumnIsFavorite: false, store.ColumnLicenseCount: int32(9)},
		} {
			if _, err := there.UpdateApp(context.Background(), pageApp, fields, store.Actor{RequestID: "meanwhile"}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	here := openWithoutPolling(t, proxy.url)
	before := must(here.GetApp(t.Context(), pageApp))(t)
	proxy.arm(inDoubtActor.RequestID, dropResponse)
	fields := store.Fields{store.ColumnLicenseCount: int32(5), store.ColumnIsApproved: true}
	got := must(here.UpdateApp(t.Context(), pageApp, fields, inDoubtActor, nil))(t)
	if n := proxy.count(); n != 1 {
		t.Errorf("%d faults were triggered, want 1", n)
	}
	if want := (appState{"false", "true", "5"}); stateOf(got) != want || got.Version != before.Version+1 || got.RequestID != inDoubtActor.RequestID {
		t.Errorf("answered with %v at version %d by %s, want %v at %d", stateOf(got), got.Version, got.RequestID, want, before.Version+1)
	}
	last := must(there.GetApp(t.Context(), pageApp))(t)
	if want := (appState{"false", "true", "9"}); stateOf(last) != want || last.Version != before.Version+4 || got.UpdatedAt.After(last.UpdatedAt) {
		t.Errorf("the app is %v at version %d", stateOf(last), last.Version)
	}
}

// deadlineOn is a context whose deadline passes when a channel is closed.
type deadlineOn struct {
	context.Context

	closed <-chan struct{}
}

func (c deadlineOn) Done() <-chan struct{} { return c.closed }

func (c deadlineOn) Err() error {
	select {
	case <-c.closed:
		return context.DeadlineExceeded
	default:
		return c.Context.Err()
	}
}

// checkOutcome fails unless the error agrees with how often the write is in the database.
func checkOutcome(t *testing.T, c inDoubtCase, how fault, err error, times int) {
	t.Helper()
	unavailable, inDoubt := (*store.UnavailableError)(nil), (*store.InDoubtError)(nil)
	switch {
	case c.unresolved && errors.As(err, &inDoubt) && times <= 1:
	case how == delayRequest && errors.As(err, &unavailable) && times == 0: // no time is left for another attempt
	case how != delayRequest && err == nil && times == 1:
	default:
		t.Errorf("error is %v, and the write is there %d times", err, times)
	}
}

// TestBatchInDoubtIsResolved breaks the connection of patches that share a transaction.
func TestBatchInDoubtIsResolved(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]fault{"request": dropRequest, "answer": dropResponse} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			there := storetest.Open(t, url)
			keys := seedApps(t, there, 20)
			proxy := newFaultProxy(t, url)
			here := openWithoutPolling(t, proxy.url)
			must(here.GetApp(t.Context(), keys[0]))(t)
			db := storetest.SQL(t, url)
			tx := must(db.BeginTx(t.Context(), nil))(t)
			for _, key := range keys[:store.MaxWriters] { // so that the others queue
				must(tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", key.ClientID, key.ID))(t)
			}
			errs := make([]error, len(keys))
			var writing sync.WaitGroup
			write := func(i int) {
				writing.Go(func() {
					by := store.Actor{ID: idOf("cut"), Name: "cut", RequestID: fmt.Sprintf("batch-%d", i)}
					_, errs[i] = here.UpdateApp(t.Context(), keys[i], store.Fields{store.ColumnLicenseCount: int32(7)}, by, nil)
				})
			}
			for i := range store.MaxWriters { // one after the other, so that each has a transaction of its own
				write(i)
				waitForLocks(t, db, i+1)
			}
			for i := store.MaxWriters; i < len(keys); i++ {
				write(i)
			}
			proxy.arm("batch-", how)
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			writing.Wait()
			if n := proxy.count(); n != 1 {
				t.Fatalf("%d faults were triggered, want 1", n)
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

// TestLostConnectionsAreReplaced ends every idle connection. The next request of each kind succeeds.
func TestLostConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	for _, c := range inDoubtCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			data := storetest.Page()
			data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
			there := openSeeded(t, url, data)
			here := openWithoutPolling(t, url)
			var using sync.WaitGroup
			for range 8 {
				using.Go(func() { must(here.GetApp(t.Context(), pageApp))(t) })
			}
			using.Wait()
			db := storetest.SQL(t, url)
			must(db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`))(t)
			if err := c.write(t.Context(), here); err != nil || c.times(t, there) != 1 {
				t.Errorf("error is %v, and the write is there %d times", err, c.times(t, there))
			}
			must(db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`))(t)
			must(here.ListApps(t.Context(), storetest.ClientID, store.AppFilter{}, fullPage(store.ColumnCanonicalName)))(t)
			if err := here.Ready(t.Context()); err != nil {
				t.Errorf("not ready: %v", err)
			}
		})
	}
}
