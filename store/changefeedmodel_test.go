package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// feedFixture is two servers with clients whose apps many writers change.
type feedFixture struct {
	url     string
	servers [2]*store.Store
	clients []uuid.UUID
	apps    []store.AppKey
	catalog []uuid.UUID
	older   bool // an older server writes, too
}

func newFeedFixture(t *testing.T, url string, older bool) *feedFixture {
	t.Helper()
	f := &feedFixture{url: url, older: older}
	for i := range f.servers {
		f.servers[i] = storetest.Open(t, url, func(cfg *store.Config) { cfg.Timeout = 20 * time.Second })
	}
	data := store.Dataset{}
	for i := range 8 {
		id := uuid.New()
		data.CatalogApps = append(data.CatalogApps, store.CatalogApp{ID: id, CanonicalName: fmt.Sprint("App ", i), CreatedAt: storetest.Now, UpdatedAt: storetest.Now})
		f.catalog = append(f.catalog, id)
	}
	for i := range 3 {
		client := uuid.New()
		f.clients = append(f.clients, client)
		data.Clients = append(data.Clients, store.Client{
			ID: client, Name: fmt.Sprint("Client ", i), Status: "active", CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		})
		for _, entry := range f.catalog[:4] {
			key := store.AppKey{ClientID: client, ID: uuid.New()}
			f.apps = append(f.apps, key)
			data.Apps = append(data.Apps, store.App{
				ClientID: client, ID: key.ID, CatalogAppID: entry, ActorName: "seed", RequestID: "seed", CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
			})
		}
	}
	if err := f.servers[0].Seed(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	return f
}

// write makes one change, or several, in one of the ways that there are.
func (f *feedFixture) write(ctx context.Context, random *rand.Rand) error {
	s, key := f.servers[random.IntN(2)], f.apps[random.IntN(len(f.apps))]
	switch random.IntN(10) {
	case 0, 1:
		var ids []uuid.UUID
		for _, app := range f.apps {
			if app.ClientID == key.ClientID {
				ids = append(ids, app.ID)
			}
		}
		_, err := bulkSet(ctx, s, key.ClientID, ids, store.ColumnIsFavorite, random.IntN(2) == 0, writer)
		return err
	case 2:
		app, err := s.AddApp(ctx, key.ClientID, f.catalog[4+random.IntN(4)], store.Fields{store.ColumnIsApproved: true}, writer)
		if err == nil && random.IntN(2) == 0 {
			err = s.RemoveApp(ctx, store.AppKey{ClientID: key.ClientID, ID: app.ID}, writer, nil)
		}
		if conflict := (*store.ConflictError)(nil); errors.As(err, &conflict) {
			err = s.RemoveApp(ctx, store.AppKey{ClientID: key.ClientID, ID: conflict.ID}, writer, nil)
		}
		if missing := (*store.NotFoundError)(nil); errors.As(err, &missing) {
			return nil
		}
		return err
	case 3:
		_, err := s.UpdateClient(ctx, key.ClientID, store.Fields{store.ColumnName: fmt.Sprint("Client ", random.IntN(100))}, writer, nil)
		return err
	}
	_, err := s.UpdateApp(ctx, key, store.Fields{
		store.ColumnLicenseCount: int32(random.IntN(1000)), store.ColumnIsApproved: random.IntN(2) == 0,
	}, writer, nil)
	return err
}

// hold changes apps in a transaction of its own that lasts, and then ends in one of three ways. It sets no position if it is to write as
// an older server does.
func (f *feedFixture) hold(ctx context.Context, db *sql.DB, random *rand.Rand) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	postgres := !strings.HasPrefix(f.url, "sqlite:")
	begin, position, pause := "BEGIN IMMEDIATE", "", 30*time.Millisecond
	if postgres {
		begin, pause = "BEGIN", 200*time.Millisecond
		if !f.older {
			position = ", position = greatest(position, (SELECT change_position()))"
		}
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	for range 1 + random.IntN(2) {
		key := f.apps[random.IntN(len(f.apps))]
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("UPDATE apps SET license_count = %d, version = version + 1, actor_name = 'held'%s "+
			"WHERE client_id = '%s' AND id = '%s'", random.IntN(1000), position, key.ClientID, key.ID)); err != nil {
			_, rollback := conn.ExecContext(ctx, "ROLLBACK")
			return errors.Join(rollback) // a deadlock is no fault of the feed
		}
		time.Sleep(time.Duration(random.Int64N(int64(pause))))
	}
	switch random.IntN(3) {
	case 0:
		_, err = conn.ExecContext(ctx, "COMMIT")
	case 1:
		_, err = conn.ExecContext(ctx, "ROLLBACK")
	default:
		if !postgres {
			_, err = conn.ExecContext(ctx, "ROLLBACK")
			break
		}
		_, _ = conn.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
	}
	return err
}

// follower follows a feed, by pages or by stream, and sometimes goes back to a place where it has been: it must see the same again.
type follower struct {
	name   string
	list   func(from store.ChangeStart, size int) (store.ChangeList, error)
	seen   []store.AppChange
	places []place
	at     place
}

type place struct {
	from store.ChangeStart
	seen int
}

// step reads one page.
func (f *follower) step(random *rand.Rand) (more bool, err error) {
	if len(f.places) > 0 && random.IntN(10) == 0 {
		f.at = f.places[random.IntN(len(f.places))]
	}
	list, err := f.list(f.at.from, 1+random.IntN(20))
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.name, err)
	}
	for i, change := range list.Rows {
		if at := f.at.seen + i; at == len(f.seen) {
			f.seen = append(f.seen, change)
		} else if f.seen[at].ID() != change.ID() {
			return false, fmt.Errorf("%s: change %d was %+v, and is %+v", f.name, at, f.seen[at], change)
		}
	}
	f.at = place{store.ChangeStart{After: &list.Next}, f.at.seen + len(list.Rows)}
	f.places = append(f.places, f.at)
	return list.More || f.at.seen < len(f.seen), nil
}

// check compares what was seen with the history, and the order of each app's changes with their versions.
func (f *follower) check(t *testing.T, history []store.AppChange, has func(store.AppChange) bool, ordered bool) {
	t.Helper()
	want, versions := map[uuid.UUID]bool{}, map[store.AppKey]int64{}
	for _, change := range history {
		if has(change) {
			want[change.ID()] = true
		}
	}
	for _, change := range f.seen {
		if !want[change.ID()] {
			t.Errorf("%s saw %+v twice, or it is not its own", f.name, change)
		}
		delete(want, change.ID())
		key := store.AppKey{ClientID: change.ClientID, ID: change.AppID}
		if ordered && change.Version < versions[key] {
			t.Errorf("%s saw version %d of %v after version %d", f.name, change.Version, key, versions[key])
		}
		versions[key] = change.Version
	}
	if len(want) > 0 {
		t.Errorf("%s missed %d of %d changes", f.name, len(want), len(history))
	}
}

// TestFollowersMissNothing lets many writers, some of which hold transactions open, roll back or are killed, work on two servers, while
// followers read feeds by page and by stream.
func TestFollowersMissNothing(t *testing.T) {
	t.Parallel()
	followersMissNothing(t, false)
}

// Beside an older server too they miss nothing, but two changes of an app may be in the wrong order.
func TestFollowersBesideAnOlderServer(t *testing.T) {
	t.Parallel()
	followersMissNothing(t, true)
}

// awaitOlderTransactions waits until no transaction is open that began before now. Followers stop at the oldest one of all databases, also
// at one of another test.
func awaitOlderTransactions(t *testing.T, url string) {
	t.Helper()
	if strings.HasPrefix(url, "sqlite:") {
		return
	}
	db := storetest.SQL(t, url)
	now := queryOne[int64](t, db, "SELECT pg_current_xact_id()::text::bigint")
	eventually(t, "the end of older transactions", func() bool {
		return queryOne[int64](t, db, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") > now
	})
}

func followersMissNothing(t *testing.T, older bool) {
	t.Helper()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		f := newFeedFixture(t, url, older)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		followers, has := f.followers(ctx, t)
		db := storetest.SQL(t, url)
		var writing, following sync.WaitGroup
		var done atomic.Bool
		end := time.Now().Add(4 * time.Second)
		for i := range uint64(8) {
			writing.Go(func() {
				random := rand.New(rand.NewPCG(seed, i))
				for time.Now().Before(end) {
					var err error
					if i < 2 {
						err = f.hold(ctx, db, random)
					} else {
						err = f.write(ctx, random)
					}
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
				}
			})
		}
		for i, one := range followers {
			following.Go(func() {
				random := rand.New(rand.NewPCG(seed, 100+uint64(i)))
				for final := false; ; {
					written := done.Load()
					more, err := one.step(random)
					if err != nil {
						t.Error(err)
						return
					}
					// After the last write every follower has to come to an end that stays one, once no transaction is open.
					if written && !more {
						if final {
							return
						}
						final = true
						time.Sleep(2 * time.Second)
					}
				}
			})
		}
		writing.Wait()
		awaitOlderTransactions(t, url)
		done.Store(true)
		following.Wait()
		history := wholeHistory(t, url)
		for i, one := range followers {
			one.check(t, history, has[i], !older)
			t.Logf("%s saw %d of %d changes", one.name, len(one.seen), len(history))
		}
	})
}

// followers are followers of different feeds, with what each has to see.
func (f *feedFixture) followers(ctx context.Context, t *testing.T) (all []*follower, has []func(store.AppChange) bool) {
	one, app := f.clients[1], f.apps[0]
	some := &store.Token{ClientIDs: f.clients[:2]}
	every := &store.Token{AllClients: true}
	add := func(name string, of func(store.AppChange) bool, list func(from store.ChangeStart, size int) (store.ChangeList, error)) {
		all, has = append(all, &follower{name: name, list: list}), append(has, of)
	}
	for i, s := range f.servers {
		add(fmt.Sprint("pages of all clients ", i), func(store.AppChange) bool { return true }, func(from store.ChangeStart, size int) (store.ChangeList, error) {
			return s.ListAllChanges(ctx, every, store.ChangeFilter{}, from, size)
		})
		add(fmt.Sprint("pages of a client ", i), func(c store.AppChange) bool { return c.ClientID == one }, func(from store.ChangeStart, size int) (store.ChangeList, error) {
			return s.ListChanges(ctx, one, store.ChangeFilter{}, from, size)
		})
		for _, c := range []struct {
			name   string
			of     func(store.AppChange) bool
			stream func(from store.ChangeStart) *store.ChangeStream
		}{
			{"stream of a token", func(c store.AppChange) bool { return slices.Contains(some.ClientIDs, c.ClientID) }, func(from store.ChangeStart) *store.ChangeStream {
				return s.FollowAllChanges(some, store.ChangeFilter{}, from)
			}},
			{"stream of an app", func(c store.AppChange) bool { return c.AppID == app.ID }, func(from store.ChangeStart) *store.ChangeStream {
				return s.FollowChanges(app.ClientID, store.ChangeFilter{AppID: &app.ID}, from)
			}},
			{"stream of a field", func(c store.AppChange) bool { return c.Field == "license_count" }, func(from store.ChangeStart) *store.ChangeStream {
				return s.FollowAllChanges(every, store.ChangeFilter{Fields: []string{"license_count"}}, from)
			}},
		} {
			var stream *store.ChangeStream
			var next store.Position
			t.Cleanup(func() {
				if stream != nil {
					stream.Close()
				}
			})
			add(fmt.Sprint(c.name, " ", i), c.of, func(from store.ChangeStart, size int) (store.ChangeList, error) {
				if stream == nil || *from.After != next { // it was disconnected, and resumes
					if stream != nil {
						stream.Close()
					}
					stream = c.stream(from)
				}
				list, err := stream.Next(ctx, 300*time.Millisecond, size)
				next = list.Next
				list.More = list.More || len(list.Rows) > 0
				return list, err
			})
		}
	}
	return all, has
}

// wholeHistory returns the keys of all changes, as they are in the table.
func wholeHistory(t *testing.T, url string) (all []store.AppChange) {
	t.Helper()
	rows, err := storetest.SQL(t, url).QueryContext(t.Context(), "SELECT client_id, app_id, version, field FROM app_changes")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c store.AppChange
		if err := rows.Scan(&c.ClientID, &c.AppID, &c.Version, &c.Field); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
