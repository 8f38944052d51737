package store_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// boundedWrites returns writes that may wait for a lock, by the statement that locks it.
func boundedWrites(t *testing.T, token store.Token, match *store.IfMatch) map[string]func(s *store.Store) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // ends a wait that has no bound
	t.Cleanup(cancel)
	const (
		row     = "SELECT 1 FROM apps WHERE client_id = '{client}' AND id = '{app}' FOR UPDATE"
		client  = "SELECT 1 FROM clients WHERE id = '{client}' FOR UPDATE"
		catalog = "SELECT 1 FROM catalog_state FOR UPDATE"
		entry   = "SELECT 1 FROM catalog_apps WHERE id = '{entry}' FOR UPDATE"
		tokens  = "SELECT 1 FROM tokens FOR UPDATE"
	)
	name := store.Fields{store.ColumnName: "New"}
	return map[string]func(s *store.Store) error{
		row + " -- bulk": func(s *store.Store) error {
			_, err := bulkSet(ctx, s, pageApp.ClientID, []uuid.UUID{pageApp.ID}, store.ColumnIsApproved, true, alice)
			return err
		},
		row + " -- remove":    func(s *store.Store) error { return s.RemoveApp(ctx, pageApp, alice, nil) },
		row + " -- remove if": func(s *store.Store) error { return s.RemoveApp(ctx, pageApp, alice, match) },
		row + " -- patch if": func(s *store.Store) error {
			_, err := s.UpdateApp(ctx, pageApp, store.Fields{store.ColumnIsFavorite: true}, alice, match)
			return err
		},
		row + " -- import": func(s *store.Store) error {
			_, err := s.ImportApps(ctx, pageApp.ClientID, appRows(store.AppRow{Name: "Slack", Fields: store.Fields{store.ColumnIsFavorite: true}}),
				alice, store.ImportOptions{})
			return err
		},
		row + " -- rename": func(s *store.Store) error {
			_, err := s.UpdateCatalogApp(ctx, storetest.CatalogID, store.Fields{store.ColumnCanonicalName: "New"}, nil, alice, nil)
			return err
		},
		client + " -- add": func(s *store.Store) error {
			_, err := s.AddApp(ctx, pageApp.ClientID, idOf("Zoom"), nil, alice)
			return err
		},
		client + " -- import": func(s *store.Store) error {
			_, err := s.ImportApps(ctx, pageApp.ClientID, appRows(store.AppRow{Name: "Zoom"}), alice, store.ImportOptions{})
			return err
		},
		client + " -- update client": func(s *store.Store) error {
			_, err := s.UpdateClient(ctx, pageApp.ClientID, name, alice, nil)
			return err
		},
		tokens + " -- revoke token": func(s *store.Store) error { return onlyErr(s.RevokeToken(ctx, nil, token.ID, false)) },
		tokens + " -- rotate token": func(s *store.Store) error {
			return onlyErr(s.RotateToken(ctx, nil, token.ID, "another", 0))
		},
		entry + " -- add": func(s *store.Store) error {
			_, err := s.AddApp(ctx, pageApp.ClientID, storetest.CatalogID, nil, alice)
			return err
		},
		catalog + " -- create vendor": func(s *store.Store) error { _, err := s.CreateVendor(ctx, name, alice); return err },
		catalog + " -- import catalog": func(s *store.Store) error {
			_, err := s.ImportCatalog(ctx, catalogRows(store.CatalogRow{Fields: store.Fields{store.ColumnCanonicalName: "New"}}), alice, store.ImportOptions{})
			return err
		},
		catalog + " -- update category": func(s *store.Store) error {
			_, err := s.UpdateCategory(ctx, storetest.CategoryID, name, alice, nil)
			return err
		},
	}
}

// TestLockWaitsAreBounded has every kind of write wait for a lock that is never released. PostgreSQL ends the wait, and nothing is
// written.
func TestLockWaitsAreBounded(t *testing.T) {
	t.Parallel()
	for name := range boundedWrites(t, store.Token{}, nil) {
		t.Run(name, func(t *testing.T) {
			if storetest.OnCitus() && strings.HasSuffix(name, "FROM catalog_apps WHERE id = '{entry}' FOR UPDATE -- add") {
				t.Skip("on Citus, this lock is not on the machine of the client, where the key of the new app is checked")
			}
			t.Parallel()
			url := storetest.Postgres(t)
			data := storetest.Page()
			data.CatalogApps = append(data.CatalogApps, catalogApp("Zoom"))
			s := openSeeded(t, url, data, func(cfg *store.Config) { cfg.LockTimeout = 300 * time.Millisecond })
			token := must(s.CreateToken(t.Context(), nil, "of the test", store.Token{Name: "of the test"}))(t)
			match := &store.IfMatch{Tags: []string{get(t, s, pageApp).ETag()}}
			write := boundedWrites(t, token, match)[name]
			db := storetest.SQL(t, url)
			before := allRows(t, db)
			lockInTx(t, db, name)
			wantReason(t, write(s), store.ReasonLock)
			wantJSON(t, "the database", allRows(t, db), before)
			counted := 0
			for _, n := range s.Stats().LockTimeouts {
				counted += int(n)
			}
			if counted == 0 {
				t.Error("the wait was not counted")
			}
		})
	}
}

// lockInTx runs a statement that locks, in a transaction that lasts until the test ends.
func lockInTx(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	tx := must(db.BeginTx(t.Context(), nil))(t)
	t.Cleanup(func() { _ = tx.Rollback() })
	statement = strings.NewReplacer(
		"{app}", pageApp.ID.String(), "{client}", pageApp.ClientID.String(), "{entry}", storetest.CatalogID.String(),
	).Replace(statement)
	must(tx.ExecContext(t.Context(), statement))(t)
}
