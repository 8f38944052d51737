package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// AppRow is an app of a client as an import gives it: by the name of its catalog app. What a row does not give stays as
// it is, or as it is in a new app.
type AppRow struct {
	Line   int
	Name   string
	Fields Fields // as for UpdateApp
}

func (r AppRow) staged() stagedRow {
	return stagedRow{Line: r.Line, Name: r.Name, NameKey: FoldName(r.Name)}
}

// ImportApps gives a client the apps that the rows say, all of them or none, and keeps those that it has beside them. What
// is as it should be is not written: the same rows again change nothing. ImportError says which rows are wrong,
// NotFoundError that there is no such client, ImportTimeError that it took longer than others may have to wait.
func (s *Store) ImportApps(ctx context.Context, clientID uuid.UUID, rows iter.Seq2[AppRow, error], by Actor, opts ImportOptions) (ImportResult, error) {
	ctx = s.withTenant(ctx, clientID)
	if _, err := s.GetClient(ctx, clientID); err != nil {
		return ImportResult{}, err
	}
	m := appImport{clientID: clientID, by: by}
	err := importRows(ctx, s, "import apps", rows, opts, importSteps[AppRow]{
		share: clientShare(clientID),
		prepare: func(tx *gorm.DB, staged *staging) error {
			if err := m.lock(tx, s, staged); err != nil {
				return err
			}
			m.now = s.now()
			return staged.checkKnown(tx)
		},
		write:  m.merge,
		finish: func(*gorm.DB) error { return nil },
	})
	if err != nil {
		return ImportResult{}, err
	}
	return m.result, nil
}

// checkKnown finds rows whose name no catalog app has.
func (s *staging) checkKnown(tx *gorm.DB) error {
	const query = `SELECT line, name AS text, 0 AS other FROM import_rows AS r
		WHERE NOT EXISTS (SELECT 1 FROM catalog_apps AS c WHERE c.name_key = r.name_key)`
	return s.check(tx, query, func(f rowProblem) string {
		return fmt.Sprintf("canonical_name %q is not in the catalog", f.Text)
	})
}

// appImport writes the rows of one import.
type appImport struct {
	clientID uuid.UUID
	by       Actor
	now      time.Time // when the rows were locked
	result   ImportResult
}

// lock keeps the catalog and the client's apps as they are, but for this import. It waits for the client first, when it
// holds nothing that anybody could wait for. Apps are locked in the order of their ids, as in BulkSet.
func (m *appImport) lock(tx *gorm.DB, s *Store, staged *staging) error {
	err := s.lockFirst(tx, staged, func() error { return lockClient(tx, m.clientID, "UPDATE") })
	if err != nil {
		return err
	}
	if err := lockCatalog(tx, "SHARE"); err != nil {
		return err
	}
	var held int64
	apps := tx.Model(&App{}).Clauses(clause.Locking{Strength: "UPDATE"}).Where("client_id = ?", m.clientID).Order("id").Select("id")
	return tx.Table("(?) AS held", apps).Count(&held).Error
}

// lockClient keeps others from locking a client at the same time: "UPDATE" is for who gives it many apps, "KEY SHARE" for
// who gives it one. NotFoundError says that there is no such client.
func lockClient(tx *gorm.DB, id uuid.UUID, strength string) error {
	err := tx.Clauses(clause.Locking{Strength: strength}).Where("id = ?", id).Take(&Client{}).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return &NotFoundError{Kind: KindClient, ID: id}
	}
	return err
}

func (m *appImport) merge(tx *gorm.DB, b batch[AppRow]) error {
	var entries []CatalogApp
	var apps []App
	if err := tx.Where("name_key IN (?)", b.column(tx, "name_key")).Find(&entries).Error; err != nil {
		return err
	}
	if err := tx.Where("client_id = ? AND catalog_app_id IN (?)", m.clientID, b.entries(tx)).Find(&apps).Error; err != nil {
		return err
	}
	entry, have := make(map[string]uuid.UUID, len(entries)), make(map[uuid.UUID]App, len(apps))
	for _, e := range entries {
		entry[e.NameKey] = e.ID
	}
	for _, app := range apps {
		have[app.CatalogAppID] = app
	}
	var write []App
	for _, r := range b.rows {
		fields, err := typedAppFields(r.Fields) // staged as JSON
		if err != nil {
			return err
		}
		key := FoldName(r.Name)
		app, known := have[entry[key]]
		switch {
		case !known:
			app = App{ClientID: m.clientID, ID: newID(), CatalogAppID: entry[key], NameKey: key, CreatedAt: m.now}
			m.result.Created++
		case fields.in(app.fields()):
			m.result.Unchanged++
			continue
		default:
			m.result.Updated++
		}
		app.set(fields)
		app.Version++
		app.ActorID, app.ActorName, app.RequestID, app.UpdatedAt = m.by.ID, m.by.Name, m.by.RequestID, later(m.now, app.UpdatedAt)
		write = append(write, app)
	}
	if len(write) == 0 {
		return nil
	}
	// One statement for both: the triggers make a history of insertions and another of updates.
	return tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "client_id"}, {Name: "id"}},
		DoUpdates: clause.AssignmentColumns(append(appFieldNames(), "version", "actor_id", "actor_name", "request_id", "updated_at")),
	}).Create(&write).Error
}
