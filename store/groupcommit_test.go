package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// answer is the result of one patch.
type answer struct {
	key    store.AppKey
	fields store.Fields
	app    store.App
	err    error
}

// TestPatchesHaveASerialOrder runs random patches of a few apps concurrently while rows are locked, connections break and callers cancel.
// The results of all successful patches must be those of some serial order.
func TestPatchesHaveASerialOrder(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		wantSerialOrder(t, url, storetest.Open(t, url))
	})
	t.Run("by client", func(t *testing.T) {
		t.Parallel()
		url := storetest.Postgres(t)
		wantSerialOrder(t, url, storetest.Open(t, url, func(c *store.Config) { c.BatchByClient = true }))
	})
}

func wantSerialOrder(t *testing.T, url string, s *store.Store) {
	t.Helper()
	keys := seedApps(t, s, 6)
	stop := disturb(t, url, keys)
	answers := patchAtRandom(t, s, keys)
	stop()
	failed := 0
	for _, a := range answers {
		if a.err != nil {
			failed++
		}
	}
	if failed > len(answers)/2 {
		t.Fatalf("%d of %d patches failed, too many for the test to mean anything", failed, len(answers))
	}
	for _, key := range keys {
		checkSerial(t, storetest.SQL(t, url), s, key, answers)
	}
}

// seedApps seeds the reference page and more apps of its client, each of a new catalog app, until there are n.
func seedApps(t *testing.T, s *store.Store, n int) []store.AppKey {
	t.Helper()
	data := storetest.Page()
	keys := []store.AppKey{{ClientID: storetest.ClientID, ID: storetest.AppID}, {ClientID: storetest.OtherClientID, ID: storetest.OtherAppID}}
	for i := len(keys); i < n; i++ {
		entry := store.CatalogApp{ID: uuid.New(), CanonicalName: fmt.Sprintf("App %d", i), CreatedAt: storetest.Now, UpdatedAt: storetest.Now}
		key := store.AppKey{ClientID: storetest.ClientID, ID: uuid.New()}
		data.CatalogApps = append(data.CatalogApps, entry)
		data.Apps = append(data.Apps, store.App{
			ClientID: key.ClientID, ID: key.ID, CatalogAppID: entry.ID, ActorName: "seed", RequestID: "seed",
			CreatedAt: storetest.Now, UpdatedAt: storetest.Now,
		})
		keys = append(keys, key)
	}
	if err := s.Seed(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	return keys
}

func patchAtRandom(t *testing.T, s *store.Store, keys []store.AppKey) []answer {
	t.Helper()
	const workers, each = 24, 60
	// PgBouncer before 1.19 crashes when a statement is canceled whose connection to the database breaks (its issue 822).
	mayCancel := os.Getenv("TEST_POOLER_ADDR") == ""
	answers := make([]answer, workers*each)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range each {
				a := &answers[w*each+i]
				a.key, a.fields = keys[random.IntN(len(keys))], randomFields(random)
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(8) == 0 && mayCancel {
					go cancel()
				}
				by := store.Actor{ID: uuid.New(), Name: "worker", RequestID: fmt.Sprintf("%d-%d", w, i)}
				a.app, a.err = s.UpdateApp(ctx, a.key, a.fields, by, nil)
				cancel()
			}
		})
	}
	wg.Wait()
	return answers
}

func randomFields(random *rand.Rand) store.Fields {
	fields := store.Fields{}
	if random.IntN(2) == 0 {
		fields[store.ColumnIsFavorite] = random.IntN(2) == 0
	}
	if random.IntN(3) == 0 {
		fields[store.ColumnIsApproved] = random.IntN(2) == 0
	}
	if len(fields) == 0 || random.IntN(2) == 0 {
		fields[store.ColumnLicenseCount] = int32(random.IntN(3))
		if random.IntN(3) == 0 {
			fields[store.ColumnLicenseCount] = nil
		}
	}
	return fields
}

// disturb locks rows for longer than a shared transaction waits, and terminates connections, until stop is called.
func disturb(t *testing.T, url string, keys []store.AppKey) (stop func()) {
	t.Helper()
	if !strings.HasPrefix(url, "postgres") {
		return func() {} // there are no row locks and no connections
	}
	db := storetest.SQL(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			key := keys[i%len(keys)]
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				continue
			}
			_, _ = tx.ExecContext(ctx, "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", key.ClientID, key.ID)
			_, _ = tx.ExecContext(ctx, "SELECT pg_sleep(0.15)")
			_ = tx.Rollback()
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			_, _ = db.ExecContext(ctx, `SELECT pg_sleep(0.2), pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND query LIKE 'UPDATE%' LIMIT 1`)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// checkSerial replays the history of one app. Each version must be the version before with the changes of one patch, each successful
// patch must have returned its version, and the app must be as the last version.
func checkSerial(t *testing.T, db *sql.DB, s *store.Store, key store.AppKey, answers []answer) {
	t.Helper()
	versions := appVersions(t, db, key)
	now, err := s.GetApp(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	if last := versions[len(versions)-1]; last.state != stateOf(now) || now.Version != int64(len(versions)) {
		t.Errorf("the last version in the history is %v, version %d; the app is %v, version %d", last.state, len(versions), stateOf(now), now.Version)
	}
	for _, a := range answers {
		if a.key != key || a.err != nil {
			if a.err != nil && !expected(a.err) {
				t.Errorf("a patch failed: %v", a.err)
			}
			continue
		}
		v := a.app.Version
		if v < 1 || v > int64(len(versions)) {
			t.Errorf("a patch returned version %d of %d", v, len(versions))
			continue
		}
		if got := stateOf(a.app); got != versions[v-1].state {
			t.Errorf("a patch returned version %d as %v, and the history has %v", v, got, versions[v-1].state)
		}
		if !has(a.app, a.fields) {
			t.Errorf("patch %v returned %v", a.fields, stateOf(a.app))
		}
	}
}

func expected(err error) bool {
	var unavailable *store.UnavailableError
	return errors.As(err, &unavailable) || errors.Is(err, context.Canceled)
}

type appState struct{ favorite, approved, licenses string }

func stateOf(a store.App) appState {
	licenses := "null"
	if a.LicenseCount != nil {
		licenses = fmt.Sprint(*a.LicenseCount)
	}
	return appState{fmt.Sprint(a.IsFavorite), fmt.Sprint(a.IsApproved), licenses}
}

func has(a store.App, fields store.Fields) bool {
	state := stateOf(a)
	for column, value := range fields {
		want := fmt.Sprint(value)
		if value == nil {
			want = "null"
		}
		got := map[store.Column]string{
			store.ColumnIsFavorite: state.favorite, store.ColumnIsApproved: state.approved,
			store.ColumnLicenseCount: state.licenses,
		}[column]
		if got != want {
			return false
		}
	}
	return true
}

type appVersion struct {
	state   appState
	request string
}

// appVersions rebuilds every version of an app from its history. It fails unless each version was written by one request.
func appVersions(t *testing.T, db *sql.DB, key store.AppKey) []appVersion {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), fmt.Sprintf(
		"SELECT version, field, new_value, request_id FROM app_changes WHERE client_id = '%s' AND app_id = '%s' ORDER BY version, field",
		key.ClientID, key.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	versions := []appVersion{{state: appState{"false", "false", "null"}, request: "seed"}}
	for rows.Next() {
		var version int
		var field, value, request string
		if err := rows.Scan(&version, &field, &value, &request); err != nil {
			t.Fatal(err)
		}
		if version == len(versions)+1 {
			versions = append(versions, appVersion{state: versions[version-2].state, request: request})
		}
		if version != len(versions) || versions[version-1].request != request {
			t.Fatalf("a change of version %d by %s follows %d versions", version, request, len(versions))
		}
		state := &versions[version-1].state
		switch field {
		case "is_favorite":
			state.favorite = value
		case "is_approved":
			state.approved = value
		case "license_count":
			state.licenses = value
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	requests := map[string]bool{}
	for _, v := range versions {
		if requests[v.request] {
			t.Errorf("request %s wrote two versions", v.request)
		}
		requests[v.request] = true
	}
	return versions
}

// TestOneBadPatchFailsAlone has patches that a constraint of the table refuses share a batch with good ones.
func TestOneBadPatchFailsAlone(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		s := storetest.Open(t, url)
		keys := seedApps(t, s, 17)
		for round := 0; !patchGoodAndBad(t, url, s, keys[0], keys[1:], round); round++ {
			if round == 20 {
				t.Fatal("in no round a good and a bad patch shared a batch")
			}
		}
	})
}

// patchGoodAndBad patches 16 apps while a patch of another app is blocked, so that they queue. Every second patch is bad. It reports
// whether a batch had more than eight patches: both good and bad ones.
func patchGoodAndBad(t *testing.T, url string, s *store.Store, blocked store.AppKey, keys []store.AppKey, round int) (shared bool) {
	t.Helper()
	before := s.Stats().Patches
	release := blockWritesOf(t, url, blocked)
	defer release()
	var wg sync.WaitGroup
	patch := func(key store.AppKey, count int32) {
		wg.Go(func() {
			_, err := s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: count}, store.Actor{RequestID: "r"}, nil)
			if (err != nil) != (count < 0) {
				t.Errorf("a patch to %d licenses: %v", count, err)
			}
		})
	}
	accepted := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d patches in the group", n), func() bool {
			now := s.Stats().Patches
			return int(now.Served-before.Served)+now.Queued == n
		})
	}
	patch(blocked, int32(round))
	accepted(1)
	for i, key := range keys {
		count := int32(round)
		if i%2 == 1 {
			count = -1 // requests are validated, so only a bug sends this
		}
		patch(key, count)
	}
	accepted(1 + len(keys))
	release()
	wg.Wait()
	after := s.Stats().Patches.Batches
	return slices.Compare(after[4:], before.Batches[4:]) > 0 // batches of 9 and more
}

// blockWritesOf blocks writes of an app until release is called. On SQLite it blocks all writes.
func blockWritesOf(t *testing.T, url string, key store.AppKey) (release func()) {
	t.Helper()
	if strings.HasPrefix(url, "sqlite") {
		return sync.OnceFunc(lockAllApps(t, url))
	}
	return lockRows(t, storetest.SQL(t, url), key)
}

// TestPatchGivenUp has a patch wait behind another patch of the same app, whose row is locked. When the deadline of the patch passes, it
// fails and is never written. All other patches succeed.
func TestPatchGivenUp(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := storetest.Open(t, url)
	keys := seedApps(t, s, 8)
	db := storetest.SQL(t, url)
	held := keys[:store.MaxWriters]
	release := lockRows(t, db, held...)
	defer release()
	patch := func(ctx context.Context, key store.AppKey, column store.Column, request string) error {
		_, err := s.UpdateApp(ctx, key, store.Fields{column: true}, store.Actor{RequestID: request}, nil)
		return err
	}
	var wg sync.WaitGroup
	for i, key := range held {
		wg.Go(func() {
			if err := patch(t.Context(), key, store.ColumnIsFavorite, "patient"); err != nil {
				t.Errorf("patch of a locked row: %v", err)
			}
		})
		if i == 0 {
			waitForLocks(t, db, 1) // so that no other patch of this app comes first
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := patch(ctx, held[0], store.ColumnIsApproved, "given up"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error after the deadline is %v", err)
	}
	release()
	wg.Wait()
	for _, key := range keys {
		if err := patch(t.Context(), key, store.ColumnIsFavorite, "later"); err != nil {
			t.Error(err)
		}
	}
	versions := appVersions(t, db, held[0])
	if len(versions) != 2 || versions[1].request != "patient" || get(t, s, held[0]).IsApproved {
		t.Errorf("the versions of the app are %v, want one written by the patient patch", versions)
	}
}

// TestLockedRowBlocksNoOtherPatch patches all other apps, first one alone and then all at once, while a patch waits for a locked row.
func TestLockedRowBlocksNoOtherPatch(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := storetest.Open(t, url)
	keys := seedApps(t, s, 12)
	db := storetest.SQL(t, url)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE client_id = $1 AND id = $2 FOR UPDATE", keys[0].ClientID, keys[0].ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	patch := func(key store.AppKey, count int32) {
		if _, err := s.UpdateApp(ctx, key, store.Fields{store.ColumnLicenseCount: count}, store.Actor{RequestID: "r"}, nil); err != nil {
			t.Error(err)
		}
	}
	var held, others sync.WaitGroup
	held.Go(func() { patch(keys[0], 1) })
	waitForLocks(t, db, 1)
	patch(keys[1], 1)
	for _, key := range keys[1:] {
		others.Go(func() { patch(key, 2) })
	}
	others.Wait()
	if got, err := s.GetApp(t.Context(), keys[0]); err != nil || got.Version != 1 {
		t.Errorf("the app whose row is locked has version %d, %v", got.Version, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	held.Wait()
}
