package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// inDoubtCase is a write that breaks at a statement.
type inDoubtCase struct {
	name    string
	trigger string                             // part of the statement that commits the write
	prepare func(t *testing.T, s *store.Store) // writes what the write needs; may be nil
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
		{name: "bulk", trigger: inDoubtActor.RequestID, times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			_, err := bulkSet(ctx, s, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, inDoubtActor)
			return err
		}},
		{name: "bulk, all or none", trigger: "commit", times: inHistory, write: func(ctx context.Context, s *store.Store) error {
			outcomes, err := s.UpdateApps(ctx, pageApp.ClientID, []store.AppUpdate{{ID: pageApp.ID, Fields: five}}, true, inDoubtActor)
			return errors.Join(append(outcomes, err)...)
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
			_, err := s.CreateCatalogApp(ctx, store.Fields{store.ColumnCanonicalName: "Miro"}, nil, alice)
			return err
		}, times: countCatalog("miro")},
		{name: "rename catalog app", trigger: "commit", unresolved: true, write: func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateCatalogApp(ctx, idOf("Zoom"), store.Fields{store.ColumnCanonicalName: "Jitsi"}, nil, alice, nil)
			return err
		}, times: countCatalog("jitsi")},
		{name: "create token", trigger: "commit", prepare: withTokens, write: func(ctx context.Context, s *store.Store) error {
			by, err := s.Authenticate(ctx, secretOf("parent"))
			if err != nil {
				return err
			}
			token := store.Token{Name: "new", Scopes: "apps:read", ClientIDs: []uuid.UUID{storetest.ClientID}}
			_, err = s.CreateToken(ctx, by, secretOf("new"), token)
			return err
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			return len(tokensWhere(t, s, func(token store.Token) bool { return token.Name == "new" && len(token.ClientIDs) == 1 }))
		}},
		{name: "rotate token", trigger: "commit", prepare: withTokens, write: func(ctx context.Context, s *store.Store) error {
			by, err := s.Authenticate(ctx, secretOf("parent"))
			if err != nil {
				return err
			}
			_, err = s.RotateToken(ctx, by, by.ID, secretOf("new"), time.Hour)
			return err
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			hash := func(name string) []byte { sum := sha256.Sum256([]byte(secretOf(name))); return sum[:] }
			token := tokensWhere(t, s, func(token store.Token) bool { return token.Name == "parent" })[0]
			switch {
			case bytes.Equal(token.Hash, hash("parent")) && token.PreviousHash == nil:
				return 0
			case bytes.Equal(token.Hash, hash("new")) && token.PreviousHash != nil && bytes.Equal(*token.PreviousHash, hash("parent")):
				return 1
			}
			return 2 // the second rotation ended the secret that was there before the first
		}},
		{name: "revoke token", trigger: "commit", prepare: withTokens, write: func(ctx context.Context, s *store.Store) error {
			by, err := s.Authenticate(ctx, secretOf("parent"))
			if err != nil {
				return err
			}
			revoked, err := s.RevokeToken(ctx, by, by.ID, false)
			if err == nil && len(revoked) != 2 {
				err = fmt.Errorf("%d tokens are revoked, want 2", len(revoked))
			}
			return err
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			revoked := tokensWhere(t, s, func(token store.Token) bool { return token.RevokedAt != nil })
			if n := len(revoked); n != 0 && n != 2 {
				t.Errorf("%d tokens are revoked, want none or two", n)
			}
			return len(revoked) / 2
		}},
		{name: "suspend client", trigger: "commit", write: func(ctx context.Context, s *store.Store) error {
			_, err := s.UpdateClient(ctx, storetest.ClientID, store.Fields{store.ColumnStatus: store.StatusSuspended}, inDoubtActor, nil)
			return err
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			client := must(s.GetClient(t.Context(), storetest.ClientID))(t)
			if (client.Status == store.StatusSuspended) != (client.Version == 2) {
				t.Errorf("the client is %s in version %d", client.Status, client.Version)
			}
			return int(client.Version) - 1
		}},
		{name: "delete client", trigger: "commit", prepare: func(t *testing.T, s *store.Store) {
			t.Helper()
			suspend(t, s, storetest.ClientID)
		}, write: func(ctx context.Context, s *store.Store) error {
			gone, err := s.DeleteClient(ctx, storetest.ClientID, inDoubtActor, nil)
			if err == nil && !gone {
				err = errors.New("a small client is not gone at once")
			}
			return err
		}, times: func(t *testing.T, s *store.Store) int {
			t.Helper()
			_, err := s.GetClient(t.Context(), storetest.ClientID)
			if err != nil && !errors.As(err, new(*store.NotFoundError)) {
				t.Fatal(err)
			}
			if err == nil {
				return 0
			}
			return 1
		}},
	}
}

// secretOf returns the secret of a token of inDoubtCases.
func secretOf(name string) string { return "the secret of " + name }

// withTokens makes a token for all clients, and one that it has made.
func withTokens(t *testing.T, s *store.Store) {
	t.Helper()
	must(s.CreateToken(t.Context(), nil, secretOf("parent"), store.Token{Name: "parent", Scopes: "apps:read tokens:write", AllClients: true}))(t)
	by := authenticated(t, s, secretOf("parent"))
	must(s.CreateToken(t.Context(), by, secretOf("child"), store.Token{Name: "child", Scopes: "apps:read", ClientIDs: []uuid.UUID{storetest.ClientID}}))(t)
}

func tokensWhere(t *testing.T, s *store.Store, is func(store.Token) bool) []store.Token {
	t.Helper()
	return slices.DeleteFunc(must(s.AllTokens(t.Context()))(t), func(token store.Token) bool { return !is(token) })
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
	for _, c := range append(inDoubtCases(), webhookInDoubtCases()...) {
		for name, how := range map[string]fault{"request": dropRequest, "answer": dropResponse, "late": delayRequest} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				url := storetest.Postgres(t)
				data := storetest.Page()
				data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
				there := openSeeded(t, url, data)
				if c.prepare != nil {
					c.prepare(t, there)
				}
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

// TestSuspensionInDoubtIsFinished breaks the connection while UpdateClient waits for older writes, when the suspension is committed. It goes
// on waiting, also behind its caller's deadline, and succeeds.
func TestSuspensionInDoubtIsFinished(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]fault{"request": dropRequest, "answer": dropResponse, "late": delayRequest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			there := openSeeded(t, url, storetest.Page())
			proxy := newFaultProxy(t, url)
			here := openWithoutPolling(t, proxy.url)
			must(here.GetApp(t.Context(), pageApp))(t)
			proxy.arm("virtualtransaction", how)
			ctx := t.Context()
			if how == delayRequest {
				ctx = deadlineOn{ctx, proxy.fired}
			}
			fields := store.Fields{store.ColumnStatus: store.StatusSuspended}
			client := must(here.UpdateClient(ctx, storetest.ClientID, fields, inDoubtActor, nil))(t)
			if client.Status != store.StatusSuspended || client.Version != 2 {
				t.Errorf("the client is %s in version %d", client.Status, client.Version)
			}
			if n := proxy.count(); n != 1 {
				t.Errorf("%d faults were triggered, want 1", n)
			}
			_, err := there.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(5)}, alice, nil)
			wantError(t, err, &store.ClientSuspendedError{ID: storetest.ClientID})
		})
	}
}

// TestErasureInDoubtGoesOn breaks the connection at the statement that erases rows of a client, and at its COMMIT. The rows are erased all
// the same: by this call, or when its deadline has passed, by the next.
func TestErasureInDoubtGoesOn(t *testing.T) {
	t.Parallel()
	for _, trigger := range []string{"erase_client(", "commit"} {
		for name, how := range map[string]fault{"request": dropRequest, "answer": dropResponse, "late": delayRequest} {
			t.Run(trigger+"/"+name, func(t *testing.T) {
				t.Parallel()
				url := storetest.Postgres(t)
				there := openSeeded(t, url, storetest.Page())
				id := storetest.ClientID
				suspend(t, there, id)
				must(storetest.SQL(t, url).ExecContext(t.Context(), "UPDATE clients SET version = version + 1, deleting_since = updated_at WHERE id = $1", id))(t)
				proxy := newFaultProxy(t, url)
				here := openWithoutPolling(t, proxy.url)
				must(here.ListCatalogApps(t.Context(), store.CatalogFilter{}, fullPage(store.ColumnCanonicalName)))(t)
				proxy.arm(trigger, how)
				ctx := t.Context()
				if how == delayRequest {
					ctx = deadlineOn{ctx, proxy.fired}
				}
				if err := here.FinishDeletion(ctx, id); (err == nil) != (how != delayRequest) {
					t.Errorf("the deletion ends with %v", err)
				}
				if n := proxy.count(); n != 1 {
					t.Errorf("%d faults were triggered, want 1", n)
				}
				if how == delayRequest {
					<-proxy.executed
					if err := there.FinishDeletion(t.Context(), id); err != nil {
						t.Errorf("the deletion ends with %v in the end", err)
					}
				}
				if left := mentions(t, url, id.String()); len(left) != 1 || !strings.HasPrefix(left[0], "app_changes: ") {
					t.Errorf("rows that mention the client: %v", left)
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
	if want := (appState{"false", "true", "5"}); stateOf(got) != want || got.Version != before.Version+1 {
		t.Errorf("answered with %v at version %d, want %v at %d", stateOf(got), got.Version, want, before.Version+1)
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
			if c.prepare != nil {
				c.prepare(t, there)
			}
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
			must(here.ListApps(t.Context(), storetest.OtherClientID, store.AppFilter{}, fullPage(store.ColumnCanonicalName)))(t)
			if err := here.Ready(t.Context()); err != nil {
				t.Errorf("not ready: %v", err)
			}
		})
	}
}
