package store_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// bulkData returns a dataset in which Contoso has this many apps, and Fabrikam the first of them.
func bulkData(apps int) (store.Dataset, []uuid.UUID) {
	data := store.Dataset{Clients: []store.Client{client("Contoso"), client("Fabrikam")}}
	var ids []uuid.UUID
	for n := range apps {
		name := fmt.Sprintf("App %d", n)
		data.CatalogApps = append(data.CatalogApps, catalogApp(name))
		data.Apps = append(data.Apps, app("Contoso", name))
		ids = append(ids, appKey("Contoso", name).ID)
	}
	data.Apps = append(data.Apps, app("Fabrikam", "App 0"))
	return data, ids
}

func TestBulkSet(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		data, ids := bulkData(4)
		data.Apps[1].IsFavorite = true
		s := openSeeded(t, url, data, withClock(clock))
		key := func(n int) store.AppKey { return store.AppKey{ClientID: idOf("Contoso"), ID: ids[n]} }
		before := []store.App{must(s.GetApp(t.Context(), key(0)))(t), must(s.GetApp(t.Context(), key(1)))(t), must(s.GetApp(t.Context(), key(3)))(t)}
		other := appKey("Fabrikam", "App 0")
		unknown := idOf("unknown")

		clock.Advance(time.Minute)
		first := clock.Now()
		missing, err := bulkSet(t.Context(), s, idOf("Contoso"),
			[]uuid.UUID{unknown, ids[2], ids[1], other.ID, ids[0], ids[2]}, store.ColumnIsFavorite, true, alice)
		if err != nil {
			t.Fatal(err)
		}
		wantJSON(t, "what is missing", missing, []uuid.UUID{unknown, other.ID})

		for _, n := range []int{0, 2} {
			got := must(s.GetApp(t.Context(), key(n)))(t)
			want := before[0]
			want.ID, want.CatalogAppID, want.NameKey, want.Catalog = got.ID, got.CatalogAppID, got.NameKey, got.Catalog
			want.IsFavorite, want.Version, want.UpdatedAt = true, 2, clock.Now()
			wantJSON(t, "an app that changed", got, want)
			wantJSON(t, "its last change", history(t, s, key(n))[:1],
				[]store.AppChange{change(key(n), 2, "is_favorite", "false", "true", alice, clock.Now())})
		}
		wantJSON(t, "the app that was a favorite already", must(s.GetApp(t.Context(), key(1)))(t), before[1])
		wantJSON(t, "the app that was not named", must(s.GetApp(t.Context(), key(3)))(t), before[2])
		if got := history(t, s, key(1)); slices.ContainsFunc(got, func(c store.AppChange) bool { return c.Version > 1 }) {
			t.Errorf("the app that was a favorite already has the history %s", asJSON(t, got))
		}
		if got := must(s.GetApp(t.Context(), other))(t); got.IsFavorite || got.Version != 1 {
			t.Errorf("the other client's app is %s", asJSON(t, got))
		}

		// The same call again changes nothing.
		clock.Advance(time.Minute)
		again := must(s.GetApp(t.Context(), key(2)))(t)
		missing, err = bulkSet(t.Context(), s, idOf("Contoso"), ids, store.ColumnIsFavorite, true, store.Actor{Name: "bob"})
		if err != nil || len(missing) > 0 {
			t.Fatal(missing, err)
		}
		wantJSON(t, "a favorite that is made one again", must(s.GetApp(t.Context(), key(2)))(t), again)
		if got := must(s.GetApp(t.Context(), key(3)))(t); !got.IsFavorite || history(t, s, key(3))[0].ActorName != "bob" {
			t.Errorf("the last app is %s", asJSON(t, got))
		}

		// Another column, and back: each is one change.
		bob := store.Actor{ID: idOf("bob"), Name: "bob", RequestID: "bob-2"}
		for _, set := range []struct {
			column store.Column
			value  bool
		}{{store.ColumnIsApproved, true}, {store.ColumnIsFavorite, false}, {store.ColumnIsApproved, false}} {
			if _, err := bulkSet(t.Context(), s, idOf("Contoso"), ids[:1], set.column, set.value, bob); err != nil {
				t.Fatal(err)
			}
		}
		wantJSON(t, "the history", history(t, s, key(0))[:4], []store.AppChange{
			change(key(0), 5, "is_approved", "true", "false", bob, clock.Now()),
			change(key(0), 4, "is_favorite", "true", "false", bob, clock.Now()),
			change(key(0), 3, "is_approved", "false", "true", bob, clock.Now()),
			change(key(0), 2, "is_favorite", "false", "true", alice, first),
		})
	})
}

func TestBulkSetOfNobody(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data, ids := bulkData(2)
		s := openSeeded(t, url, data)
		_, err := bulkSet(t.Context(), s, idOf("nobody"), ids, store.ColumnIsApproved, true, alice)
		wantError(t, err, &store.NotFoundError{Kind: store.KindClient, ID: idOf("nobody")})

		// It is no error that all apps are missing, as long as the client exists.
		missing, err := bulkSet(t.Context(), s, idOf("Fabrikam"), ids, store.ColumnIsApproved, true, alice)
		if err != nil {
			t.Fatal(err)
		}
		wantJSON(t, "what is missing", missing, ids)
		approved := store.AppFilter{IsApproved: new(true)}
		for _, name := range []string{"Contoso", "Fabrikam"} {
			if list := must(s.ListApps(t.Context(), idOf(name), approved, fullPage(store.ColumnCreatedAt)))(t); list.Total != 0 {
				t.Errorf("%s has %d approved apps", name, list.Total)
			}
		}
	})
}

// aThousand returns these ids, mixed with unknown ones.
func aThousand(ids []uuid.UUID) (thousand, unknown []uuid.UUID) {
	for n := range 1000 {
		if n%(1000/len(ids)) == 0 {
			thousand = append(thousand, ids[n*len(ids)/1000])
			continue
		}
		unknown = append(unknown, idOf(fmt.Sprintf("unknown %d", n)))
		thousand = append(thousand, unknown[len(unknown)-1])
	}
	return thousand, unknown
}

// TestBulkSetThousand sends as many ids as a request may have: more than some databases take as parameters of one statement.
func TestBulkSetThousand(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data, ids := bulkData(250)
		s := openSeeded(t, url, data)
		thousand, unknown := aThousand(ids)
		missing := must(bulkSet(t.Context(), s, idOf("Contoso"), thousand, store.ColumnIsFavorite, true, alice))(t)
		if !slices.Equal(missing, unknown) {
			t.Errorf("%d apps are missing: %v, want %v", len(missing), missing, unknown)
		}
		db := storetest.SQL(t, url)
		if n := queryOne[int](t, db, "SELECT count(*) FROM apps WHERE is_favorite AND version = 2"); n != 250 {
			t.Errorf("%d favorites", n)
		}
		if n := queryOne[int](t, db, "SELECT count(*) FROM app_changes WHERE field = 'is_favorite' AND request_id = 'alice-1'"); n != 250 {
			t.Errorf("the history has %d entries", n)
		}
	})
}

// TestBulkSetStatements counts the statements that PostgreSQL receives.
func TestBulkSetStatements(t *testing.T) {
	t.Parallel()
	data, ids := bulkData(250)
	thousand, _ := aThousand(ids)
	through, statements := countStatements(t, storetest.Postgres(t))
	s := openSeeded(t, through, data)
	count := func(ids []uuid.UUID, value bool) int64 {
		before := statements.Load()
		must(bulkSet(t.Context(), s, idOf("Contoso"), ids, store.ColumnIsFavorite, value, alice))(t)
		return statements.Load() - before
	}
	count(ids[:2], false) // makes connections
	few, many := count(ids[:2], true), count(thousand, false)
	if storetest.OnCitus() {
		few, many = few-2, many-2 // BEGIN and COMMIT
	}
	// One has the settings, each other one writes 500 apps. Five more look for those that are missing, in a transaction.
	if few != 2 || many > 8 {
		t.Errorf("2 ids cost %d statements, 1,000 ids %d", few, many)
	}
}

// countStatements returns the URL of a proxy for PostgreSQL that counts statements.
func countStatements(t *testing.T, server string) (through string, statements *atomic.Int64) {
	t.Helper()
	u := must(url.Parse(server))(t)
	to := u.Host
	listener := must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	statements = &atomic.Int64{}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			up, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = conn.Close()
				return
			}
			running.Go(func() { _, _ = io.Copy(conn, up); _ = conn.Close() })
			running.Go(func() { relay(up, conn, statements); _ = up.Close() })
		}
	})
	u.Host = listener.Addr().String()
	return u.String(), statements
}

// relay forwards what a client sends: a startup message without a type, then messages of a type, a length and a body.
func relay(to io.Writer, from io.Reader, statements *atomic.Int64) {
	header := make([]byte, 5)
	for n := 1; ; n = 0 { // the first message has no type
		if _, err := io.ReadFull(from, header[n:]); err != nil {
			return
		}
		if n == 0 && (header[0] == 'Q' || header[0] == 'E') { // a simple query, or the execution of a prepared one
			statements.Add(1)
		}
		if _, err := to.Write(header[n:]); err != nil {
			return
		}
		if _, err := io.CopyN(to, from, int64(binary.BigEndian.Uint32(header[1:]))-4); err != nil {
			return
		}
	}
}

// TestBulkSetConcurrently sets the same apps many times at once, in opposite orders. Each call is atomic: in the end all apps have the
// value of the last one.
func TestBulkSetConcurrently(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		data, ids := bulkData(150)
		servers := []*store.Store{openSeeded(t, url, data), openWithoutPolling(t, url)}
		backwards := slices.Clone(ids)
		slices.Reverse(backwards)
		var running sync.WaitGroup
		for n := range 4 {
			running.Go(func() {
				order := ids
				if n%2 == 1 {
					order = backwards
				}
				for round := range 6 {
					missing, err := bulkSet(t.Context(), servers[n/2], idOf("Contoso"), order, store.ColumnIsFavorite, (n+round)%2 == 0, alice)
					if err != nil || len(missing) > 0 {
						t.Errorf("%d apps missing, %v", len(missing), err)
					}
				}
			})
		}
		running.Wait()
		favorites := must(servers[0].ListApps(t.Context(), idOf("Contoso"), store.AppFilter{IsFavorite: new(true)}, fullPage(store.ColumnCreatedAt)))(t)
		if favorites.Total != 0 && favorites.Total != 150 {
			t.Errorf("%d of 150 apps are favorites", favorites.Total)
		}
		db := storetest.SQL(t, url)
		versions := queryOne[int](t, db, "SELECT sum(version) - count(*) FROM apps")
		if changes := queryOne[int](t, db, "SELECT count(*) FROM app_changes WHERE field = 'is_favorite'"); changes != versions || changes%150 != 0 {
			t.Errorf("%d changes in the history, %d in the versions of the apps", changes, versions)
		}
	})
}
