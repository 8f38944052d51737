package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// GetApp returns one app with its catalog entry, or NotFoundError for the app or for its client.
func (s *Store) GetApp(ctx context.Context, key AppKey) (App, error) {
	var app App
	err := s.read.WithContext(ctx).Where("client_id = ? AND id = ?", key.ClientID, key.ID).Take(&app).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return App{}, s.missingApp(ctx, key)
	}
	if err != nil {
		return App{}, s.translate("get app", err)
	}
	return s.withCatalog(ctx, app)
}

// UpdateApp sets fields of one app and returns it as it is afterwards.
//
// A patch that changes nothing writes nothing: neither updated_at nor version nor history moves. A non-nil match binds
// the write to one of its tags, in one atomic step, or ends in PreconditionError. NotFoundError names the app or the client.
func (s *Store) UpdateApp(ctx context.Context, key AppKey, fields Fields, by Author, match *Match) (App, error) {
	// Each turn either writes, or sees a row that already is as asked, or lost a race to a writer that undid it meanwhile.
	for range 10 {
		var seen App
		if match != nil || len(fields) == 0 {
			var err error
			if seen, err = s.GetApp(ctx, key); err != nil {
				return App{}, err
			}
			if match != nil && !match.has(seen.Tag()) {
				return App{}, &PreconditionError{}
			}
			if fields.equal(seen) {
				return seen, nil
			}
		}
		updated, ok, err := s.updateApp(ctx, key, fields, by, seen.Version)
		if err != nil {
			return App{}, err
		}
		if ok {
			return s.withCatalog(ctx, updated)
		}
		if match != nil {
			continue // somebody wrote since: the tag is compared anew
		}
		if seen, err = s.GetApp(ctx, key); err != nil {
			return App{}, err
		}
		if fields.equal(seen) {
			return seen, nil
		}
	}
	return App{}, &UnavailableError{cause: fmt.Errorf("app %s changes too often", key.ID)}
}

// updateApp is the one statement that a patch costs. ok is false when no row had the key, the version (unless 0) and a
// value to change. The row that gorm fills is void then: it holds the new values although nothing was written.
func (s *Store) updateApp(ctx context.Context, key AppKey, fields Fields, by Author, version int64) (App, bool, error) {
	set := map[string]any{
		"version":    gorm.Expr("version + 1"),
		"actor_id":   by.ID,
		"actor_name": by.Name,
		"request_id": by.RequestID,
		"updated_at": s.now(),
	}
	differs := make([]string, 0, len(fields))
	values := make([]any, 0, len(fields))
	for _, column := range slices.Sorted(maps.Keys(fields)) {
		set[string(column)] = fields[column]
		differs = append(differs, string(column)+" IS DISTINCT FROM ?")
		values = append(values, fields[column])
	}
	var app App
	q := s.write.WithContext(ctx).Model(&app).Clauses(clause.Returning{}).
		Where("client_id = ? AND id = ?", key.ClientID, key.ID)
	if version != 0 {
		q = q.Where("version = ?", version)
	}
	res := q.Where("("+strings.Join(differs, " OR ")+")", values...).Updates(set)
	if res.Error != nil {
		return App{}, false, s.translate("update app", res.Error)
	}
	return app, res.RowsAffected == 1, nil
}

// equal says whether the app already has every value that the patch sets.
func (f Fields) equal(app App) bool {
	for column, value := range f {
		var same bool
		switch column {
		case ColumnIsFavorite:
			same = value == app.IsFavorite
		case ColumnIsApproved:
			same = value == app.IsApproved
		case ColumnLicenseCount:
			if app.LicenseCount == nil {
				same = value == nil
			} else {
				same = value == *app.LicenseCount
			}
		}
		if !same {
			return false
		}
	}
	return true
}

// missingApp tells an app that is not there from a client that is not there.
func (s *Store) missingApp(ctx context.Context, key AppKey) error {
	if _, err := s.GetClient(ctx, key.ClientID); err != nil {
		return err
	}
	return &NotFoundError{Kind: KindApp, ID: key.ID}
}

func (s *Store) withCatalog(ctx context.Context, app App) (App, error) {
	entry, err := s.catalogApp(ctx, app.CatalogAppID)
	if err != nil {
		return App{}, err
	}
	app.Catalog = entry
	return app, nil
}
