package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestMatchWhileWaiting has a conditional write wait for its row while the catalog, which its tag depends on, is changed.
// Either the change waits for the write, or the write is refused.
func TestMatchWhileWaiting(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(s *store.Store, match *store.Match) error{
		"UpdateApp": func(s *store.Store, match *store.Match) error {
			_, err := s.UpdateApp(t.Context(), pageApp, store.Fields{store.ColumnLicenseCount: int32(7)}, alice, match)
			return err
		},
		"RemoveApp": func(s *store.Store, match *store.Match) error {
			return s.RemoveApp(t.Context(), pageApp, alice, match)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			s := seeded(t, url, storetest.Page())
			db := storetest.SQL(t, url)
			match := &store.Match{Tags: []string{get(t, s, pageApp).Tag()}}

			holder := must(db.BeginTx(t.Context(), nil))(t)
			defer func() { _ = holder.Rollback() }()
			must(holder.ExecContext(t.Context(), "SELECT 1 FROM apps WHERE id = $1 FOR UPDATE", pageApp.ID))(t)
			written, changed := make(chan error, 1), make(chan error, 1)
			go func() { written <- write(s, match) }()
			waitForLocks(t, db, 1)
			go func() {
				_, err := s.UpdateCatalogApp(t.Context(), storetest.CatalogID, store.Fields{store.ColumnType: "web"}, nil, nil)
				changed <- err
			}()
			before, err := changedFirst(t, url, changed)
			if err != nil {
				t.Fatal(err)
			}
			if err := holder.Rollback(); err != nil {
				t.Fatal(err)
			}
			refused := (*store.PreconditionError)(nil)
			if err := <-written; before != errors.As(err, &refused) || !before && err != nil {
				t.Errorf("the catalog had changed: %t; the write ends with %v", before, err)
			}
			if !before {
				if err := <-changed; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// changedFirst waits until the catalog has changed, which it reports, or waits for a lock as the write does.
func changedFirst(t *testing.T, url string, changed <-chan error) (bool, error) {
	t.Helper()
	db := storetest.SQL(t, url)
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-changed:
			return true, err
		default:
		}
		if one[int](t, db, waiting) == 2 {
			return false, nil
		}
	}
	return false, errors.New("the change of the catalog neither ends nor waits")
}
