package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// badClocks returns pairs of clocks, each for two servers on one database, that disagree or run backwards.
func badClocks() map[string][2]func() time.Time {
	clock := &storetest.Clock{}
	backwards := func() time.Time {
		clock.Advance(-time.Second)
		return clock.Now()
	}
	onTime, ahead := (&storetest.Clock{}).Now, clockAhead(10*time.Second).Now
	return map[string][2]func() time.Time{
		"the first is ahead":  {ahead, onTime},
		"the second is ahead": {onTime, ahead},
		"both step back":      {backwards, backwards},
	}
}

// eachClocks runs a test with two stores for each pair of clocks, on both databases, with importData.
func eachClocks(t *testing.T, test func(t *testing.T, servers [2]*store.Store)) {
	t.Helper()
	t.Parallel()
	for name, clocks := range badClocks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				var servers [2]*store.Store
				for i, clock := range clocks {
					servers[i] = openWithoutPolling(t, url, func(cfg *store.Config) { cfg.Clock = clock })
				}
				if err := servers[0].Seed(t.Context(), importData()); err != nil {
					t.Fatal(err)
				}
				test(t, servers)
			})
		})
	}
}

// TestTimesOfAppsFollowVersions writes one app in every way, through two servers in turn. Later versions have later times, or the same.
func TestTimesOfAppsFollowVersions(t *testing.T) {
	eachClocks(t, func(t *testing.T, servers [2]*store.Store) {
		key := appKey("Alpha", "Slack")
		last := get(t, servers[0], key).UpdatedAt
		wrote := func(how string, answer store.App) {
			t.Helper()
			for i, s := range servers {
				if read := get(t, s, key); !read.UpdatedAt.Equal(answer.UpdatedAt) || read.Version != answer.Version {
					t.Errorf("%s answered %v at version %d, server %d reads %v at %d", how, answer.UpdatedAt, answer.Version, i, read.UpdatedAt, read.Version)
				}
			}
			if answer.UpdatedAt.Before(last) {
				t.Errorf("%s: %v after %v", how, answer.UpdatedAt, last)
			}
			last = answer.UpdatedAt
		}
		for n := range int32(3) {
			for i, s := range servers {
				count := 10*n + int32(i) + 1
				wrote("patch", must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: count}, alice, nil))(t))
				match := &store.IfMatch{Tags: []string{must(s.GetApp(t.Context(), key))(t).ETag()}}
				wrote("patch with If-Match", must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnIsFavorite: i == 0}, alice, match))(t))
				must(bulkSet(t.Context(), s, key.ClientID, []uuid.UUID{key.ID}, store.ColumnIsApproved, i == 0, alice))(t)
				wrote("bulk", get(t, s, key))
				rows := appRows(store.AppRow{Name: "Slack", Fields: store.Fields{store.ColumnLicenseCount: 5 + count}})
				must(s.ImportApps(t.Context(), key.ClientID, rows, importer, store.ImportOptions{}))(t)
				wrote("import", get(t, s, key))
			}
		}
		added := must(servers[0].AddApp(t.Context(), idOf("Alpha"), idOf("Figma"), nil, alice))(t)
		must(servers[1].UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: nil}, alice, nil))(t)
		for _, gone := range []store.AppKey{key, {ClientID: added.ClientID, ID: added.ID}} {
			if err := servers[1].RemoveApp(t.Context(), gone, alice, nil); err != nil {
				t.Fatal(err)
			}
			checkTimes(t, servers[0], gone)
		}
	})
}

// checkTimes checks that the changes of an app, in the order of versions, are in the order of time.
func checkTimes(t *testing.T, s *store.Store, key store.AppKey) {
	t.Helper()
	changes := history(t, s, key)
	slices.Reverse(changes)
	for i, c := range changes[1:] {
		if before := changes[i]; c.ChangedAt.Before(before.ChangedAt) || c.Version == before.Version && !c.ChangedAt.Equal(before.ChangedAt) {
			t.Errorf("version %d is of %v, version %d of %v", before.Version, before.ChangedAt, c.Version, c.ChangedAt)
		}
	}
}

// TestTimesOfWritesThatWaited has a write wait for a transaction that writes the same row with a later time than the one at which the
// wait began.
func TestTimesOfWritesThatWaited(t *testing.T) {
	t.Parallel()
	key := appKey("Alpha", "Slack")
	for name, write := range map[string]func(t *testing.T, s *store.Store) error{
		"patch": func(t *testing.T, s *store.Store) error {
			t.Helper()
			_, err := s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(5)}, alice, nil)
			return err
		},
		"bulk": func(t *testing.T, s *store.Store) error {
			t.Helper()
			_, err := bulkSet(t.Context(), s, key.ClientID, []uuid.UUID{key.ID}, store.ColumnIsApproved, true, alice)
			return err
		},
		"import": func(t *testing.T, s *store.Store) error {
			t.Helper()
			rows := appRows(store.AppRow{Name: "Slack", Fields: store.Fields{store.ColumnLicenseCount: int32(5)}})
			_, err := s.ImportApps(t.Context(), key.ClientID, rows, importer, store.ImportOptions{})
			return err
		},
		"remove": func(t *testing.T, s *store.Store) error {
			t.Helper()
			return s.RemoveApp(t.Context(), key, alice, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			s := openSeeded(t, url, importData(), withClock(clockAhead(time.Second)))
			db := storetest.SQL(t, url)
			tx := must(db.BeginTx(t.Context(), nil))(t)
			defer func() { _ = tx.Rollback() }()
			later := storetest.Now.Add(time.Minute)
			const update = `UPDATE apps SET is_favorite = true, version = version + 1, request_id = 'holder', updated_at = $1
				WHERE client_id = $2 AND id = $3`
			must(tx.ExecContext(t.Context(), update, later, key.ClientID, key.ID))(t)
			done := make(chan error)
			go func() { done <- write(t, s) }()
			waitForLocks(t, db, 1)
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			checkTimes(t, s, key)
			if last := history(t, s, key)[0]; last.RequestID == "holder" || !last.ChangedAt.Equal(later) {
				t.Errorf("the last change is %+v", last)
			}
		})
	}
}

// TestTimesOfTheCatalogFollowVersions writes all other objects that have a time, through two servers in turn.
func TestTimesOfTheCatalogFollowVersions(t *testing.T) {
	eachClocks(t, func(t *testing.T, servers [2]*store.Store) {
		vendor := must(servers[0].CreateVendor(t.Context(), store.Fields{store.ColumnName: "vendor"}, alice))(t)
		category := must(servers[0].CreateCategory(t.Context(), store.Fields{store.ColumnName: "category"}, alice))(t)
		last := map[string]time.Time{"vendor": vendor.UpdatedAt, "category": category.UpdatedAt}
		wrote := func(what string, at time.Time) {
			t.Helper()
			if at.Before(last[what]) {
				t.Errorf("%s: %v after %v", what, at, last[what])
			}
			last[what] = at
		}
		for n := range 2 {
			for i, s := range servers {
				name := fmt.Sprintf("name %d of %d", n, i)
				rename := store.Fields{store.ColumnName: name}
				wrote("vendor", must(s.UpdateVendor(t.Context(), vendor.ID, rename, alice, nil))(t).UpdatedAt)
				wrote("category", must(s.UpdateCategory(t.Context(), category.ID, rename, alice, nil))(t).UpdatedAt)
				wrote("client", must(s.UpdateClient(t.Context(), idOf("Alpha"), rename, alice, nil))(t).UpdatedAt)
				fields := store.Fields{store.ColumnDescription: name}
				wrote("catalog app", must(s.UpdateCatalogApp(t.Context(), idOf("Slack"), fields, nil, alice, nil))(t).UpdatedAt)
				rows := catalogRows(store.CatalogRow{
					Fields: store.Fields{store.ColumnCanonicalName: "Slack", store.ColumnDescription: "imported " + name},
				})
				must(s.ImportCatalog(t.Context(), rows, alice, store.ImportOptions{}))(t)
				wrote("catalog app", must(s.GetCatalogApp(t.Context(), idOf("Slack")))(t).UpdatedAt)
			}
		}
	})
}

// TestTimesUnderLoad has two servers patch, also in batches, and write the same apps in bulk and by imports.
func TestTimesUnderLoad(t *testing.T) {
	eachClocks(t, func(t *testing.T, servers [2]*store.Store) {
		keys := []store.AppKey{appKey("Alpha", "Slack"), appKey("Alpha", "Zoom"), appKey("Beta", "Slack")}
		var writing sync.WaitGroup
		for n := range 60 {
			key, s := keys[n%len(keys)], servers[n/len(keys)%2]
			writing.Go(func() {
				answer := must(s.UpdateApp(t.Context(), key, store.Fields{store.ColumnLicenseCount: int32(n)}, alice, nil))(t)
				for _, c := range history(t, s, key) {
					if c.Version == answer.Version && !c.ChangedAt.Equal(answer.UpdatedAt) {
						t.Errorf("version %d was returned with %v, and the history has %v", c.Version, answer.UpdatedAt, c.ChangedAt)
					}
				}
			})
			if n%15 == 0 {
				writing.Go(func() {
					must(bulkSet(t.Context(), s, key.ClientID, []uuid.UUID{key.ID}, store.ColumnIsApproved, n%2 == 0, alice))(t)
				})
			}
			if n%20 == 0 {
				writing.Go(func() {
					rows := appRows(store.AppRow{Name: "Slack", Fields: store.Fields{store.ColumnLicenseCount: int32(100 + n)}})
					must(s.ImportApps(t.Context(), key.ClientID, rows, importer, store.ImportOptions{}))(t)
				})
			}
		}
		writing.Wait()
		for _, key := range keys {
			checkTimes(t, servers[0], key)
		}
	})
}
