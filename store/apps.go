package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/casefold"
	"github.com/clientapps/clientapps/store/etag"
	"github.com/clientapps/clientapps/store/groupcommit"
	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// ETag is an opaque text that changes with anything the app shows, its catalog entry included.
func (a App) ETag() string { return string(a.AppendETag(nil)) }

// AppendETag appends the tag to a buffer.
func (a App) AppendETag(b []byte) []byte {
	return append(append(strconv.AppendInt(b, a.Version, 10), '.'), a.Catalog.etag...)
}

// IfMatch binds a write to the tag that it finds.
type IfMatch = etag.Match

// GetApp returns one app with its catalog entry, or NotFoundError for the app or for its client.
func (s *Store) GetApp(ctx context.Context, key AppKey) (App, error) {
	if err := s.checkNotDeleting(ctx, key.ClientID); err != nil {
		return App{}, err
	}
	app, err := s.takeApp(ctx, key)
	if errors.Is(err, errNoEntry) {
		app, err = s.takeApp(ctx, key) // it has been removed since it was read
	}
	return app, err
}

// getAppToWrite is GetApp for a write. ClientSuspendedError says that the client is suspended.
func (s *Store) getAppToWrite(ctx context.Context, key AppKey) (App, error) {
	app, err := s.apps.take(ctx, key, true)
	if errors.Is(err, gorm.ErrRecordNotFound) {
		if err := s.checkActive(ctx, key.ClientID); err != nil {
			return App{}, err
		}
		return s.GetApp(ctx, key) // which is there if the client was activated in between
	}
	if err != nil {
		return App{}, s.translate("get app", err)
	}
	complete, err := s.withCatalog(ctx, app)
	if errors.Is(err, errNoEntry) {
		return s.GetApp(ctx, key)
	}
	return complete, err
}

func (s *Store) takeApp(ctx context.Context, key AppKey) (App, error) {
	app, err := s.apps.take(ctx, key, false)
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
// the write to one of its tags, in one atomic step, or ends in PreconditionError. NotFoundError names the app or the client,
// ClientSuspendedError the client.
func (s *Store) UpdateApp(ctx context.Context, key AppKey, fields Fields, by Actor, match *IfMatch) (App, error) {
	if match == nil && len(fields) == 0 {
		return s.getAppToWrite(ctx, key)
	}
	// Each round writes, finds that the row has the values already, or finds that another write changed the row in between.
	for range 10 {
		var expected expectedVersion
		if match != nil {
			seen, revision, err := s.readForUpdate(ctx, key)
			if err != nil {
				return App{}, err
			}
			if err := match.Check(seen.ETag()); err != nil {
				return App{}, err
			}
			if fields.alreadyIn(seen.fields()) {
				return seen, nil
			}
			expected = expectedVersion{row: seen.Version, catalog: revision}
		}
		updated, changed, err := s.updateApp(ctx, key, fields, by, expected)
		if err != nil {
			return App{}, err
		}
		if changed {
			return s.addCatalogAfterWrite(ctx, updated)
		}
		if match != nil {
			continue // the row or the catalog has changed since: the tag is compared again
		}
		seen, err := s.getAppToWrite(ctx, key)
		if err != nil {
			return App{}, err
		}
		if fields.alreadyIn(seen.fields()) {
			return seen, nil
		}
	}
	return App{}, &UnavailableError{reason: ReasonConflict, cause: fmt.Errorf("app %s changes too often", key.ID)}
}

// expectedVersion is what a conditional write has read: the version of the row, and the revision of the catalog, on which the row's
// ETag depends too. Zero means any.
type expectedVersion struct{ row, catalog int64 }

// selectApp selects the app, if it is still as it was seen and its client is active. The zero version selects it as it is.
func (expected expectedVersion) selectApp(q *gorm.DB, key AppKey) *gorm.DB {
	q = whereActive(tenant.Of(q, key.ClientID), key.ClientID).Where("id = ?", key.ID)
	if expected.row != 0 {
		q = q.Where("version = ?", expected.row)
	}
	if expected.catalog != 0 {
		q = q.Where("(SELECT revision FROM catalog_state WHERE id = 1) = ?", expected.catalog)
	}
	return q
}

// readForUpdate reads an app together with the revision of the catalog that its tag is made from.
func (s *Store) readForUpdate(ctx context.Context, key AppKey) (App, int64, error) {
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return App{}, 0, err
	}
	// A catalog swapped in from here on has another revision than this one: the condition on the write sees it.
	app, err := s.getAppToWrite(ctx, key)
	return app, catalog.revision, err
}

// updateApp is the one statement that a patch costs, shared or not. changed is false when no row had the key, was at the
// version and had a value to change.
func (s *Store) updateApp(ctx context.Context, key AppKey, fields Fields, by Actor, expected expectedVersion) (App, bool, error) {
	p := &appPatch{Item: groupcommit.Item[AppKey]{Ctx: ctx, Key: key}, fields: fields, by: by, expected: expected}
	var err error
	if isDryRun(ctx) {
		err = s.dryRunPatch(p)
	} else {
		err = s.writeByGroupCommit(p)
	}
	if err != nil {
		if inDoubt := (*inDoubtError)(nil); errors.As(err, &inDoubt) {
			return s.resolvePatchInDoubt(p, inDoubt)
		}
		return App{}, false, s.translate("update app", err)
	}
	// The statement does not return what was sent with it.
	p.app.ClientID, p.app.ID = key.ClientID, key.ID
	return p.app, p.changed, nil
}

// auditColumns returns the columns that every update of an app or a client sets. The history is made from them.
func (s *Store) auditColumns(by Actor, at clause.Expr) map[string]any {
	return s.withFeedPosition(map[string]any{
		"actor_id": by.ID, "actor_name": by.Name, "request_id": by.RequestID, "updated_at": at,
	})
}

// withFeedPosition adds the column from which a change gets its position in the change feed. SQLite numbers the changes themselves.
func (s *Store) withFeedPosition(columns map[string]any) map[string]any {
	if s.writer.Name() == postgres.Name {
		columns["position"] = gorm.Expr("greatest(position, (SELECT change_position()))")
	}
	return columns
}

// AddApp gives a client a catalog app. NotFoundError names the client; ReferenceError says that there is no such catalog
// app; ConflictError carries the id of the app that the client has for it already; ClientSuspendedError names the client.
func (s *Store) AddApp(ctx context.Context, clientID, catalogAppID uuid.UUID, fields Fields, by Actor) (App, error) {
	app := App{
		ClientID: clientID, ID: uuid.New(), CatalogAppID: catalogAppID, Version: 1,
		ActorID: by.ID, ActorName: by.Name, RequestID: by.RequestID,
	}
	app.set(fields)
	added := func(db *gorm.DB) (bool, error) { // the history outlives the app
		var n int64
		err := tenant.Of(db, clientID).Model(&AppChange{}).Where("app_id = ?", app.ID).Count(&n).Error
		return n > 0, err
	}
	err := s.retryIfRenamed(func() error {
		return s.inTx(ctx, clientShare(clientID), added, func(tx *gorm.DB) error {
			// An import locks the client. Wait for it here, before this transaction has any lock that the import could wait for.
			if err := lockClient(tx, clientID, "KEY SHARE"); err != nil {
				return err
			}
			// The lock keeps the name from changing until the row that repeats it is there. Citus would lock the whole table, on one machine
			// for all, and such locks deadlock: there the name is checked afterwards.
			q, distributed := tx, s.db.Distributed()
			if !distributed {
				q = tx.Clauses(clause.Locking{Strength: "SHARE"})
			}
			var entry CatalogApp
			err := q.Where("id = ?", catalogAppID).Take(&entry).Error
			if errors.Is(err, gorm.ErrRecordNotFound) {
				return &ReferenceError{Field: "catalog_app_id"}
			}
			if err != nil {
				return err
			}
			app.NameKey = entry.NameKey
			app.CreatedAt = s.now() // after all waiting
			app.UpdatedAt = app.CreatedAt
			err = tenant.Of(tx, clientID).Create(&app).Error
			if foreignKeyViolation(err) { // the entry was deleted since it was read
				return &ReferenceError{Field: "catalog_app_id"}
			}
			if err != nil || !distributed {
				return err
			}
			return checkNotRenamed(tx.Where("id = ?", app.ID), clientID)
		})
	})
	if uniqueViolation(err) {
		var have App
		err := s.tenant(ctx, clientID).Where("catalog_app_id = ?", catalogAppID).Take(&have).Error
		if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
			return App{}, s.translate("add app", err)
		}
		return App{}, &ConflictError{Field: "catalog_app_id", ID: have.ID}
	}
	if err != nil {
		return App{}, s.translate("add app", err)
	}
	return s.addCatalogAfterWrite(ctx, app)
}

// errRenamed rolls back a transaction that has added apps: a catalog app was renamed after its name was read and before the row that
// repeats the name was there.
var errRenamed = errors.New("a catalog app has changed in between")

// retryIfRenamed runs add, which adds apps, until it does not fail with errRenamed, at most ten times.
func (s *Store) retryIfRenamed(add func() error) error {
	for range 10 {
		if err := add(); !errors.Is(err, errRenamed) {
			return err
		}
	}
	return &UnavailableError{reason: ReasonConflict, cause: errRenamed}
}

// checkNotRenamed returns errRenamed unless the apps of the client that q selects, which this transaction has added, have the names of
// their catalog apps. The foreign key has locked these names on the machine of the client: a change that began before has ended, and a
// later one finds the new rows.
func checkNotRenamed(q *gorm.DB, client uuid.UUID) error {
	var renamed int64
	err := tenant.Of(q, client).Model(&App{}).Where("name_key <> (SELECT name_key FROM catalog_apps WHERE id = apps.catalog_app_id)").
		Count(&renamed).Error
	if err == nil && renamed > 0 {
		err = errRenamed
	}
	return err
}

// RemoveApp takes an app from its client. Its history stays. NotFoundError names the app or the client; PreconditionError
// says that the app has none of the tags in match, ClientSuspendedError that the client is suspended.
func (s *Store) RemoveApp(ctx context.Context, key AppKey, by Actor, match *IfMatch) error {
	// Each round removes the app, or finds that the app or the catalog has changed since it was read.
	for range 10 {
		var expected expectedVersion
		if match != nil {
			seen, revision, err := s.readForUpdate(ctx, key)
			if err != nil {
				return err
			}
			if err := match.Check(seen.ETag()); err != nil {
				return err
			}
			expected = expectedVersion{row: seen.Version, catalog: revision}
		}
		removed, err := s.removeApp(ctx, key, by, expected)
		if match != nil && postgres.LockTimeout(err) { // another transaction holds the row or changes the catalog
			if err := s.awaitAppLocks(ctx, key); err != nil {
				return s.translate("remove app", err)
			}
			continue
		}
		if removed || err != nil {
			return err
		}
		if match == nil {
			if _, err := s.getAppToWrite(ctx, key); err != nil {
				return err
			}
			// The client was activated in between.
		}
	}
	return &UnavailableError{reason: ReasonConflict, cause: fmt.Errorf("app %s changes too often", key.ID)}
}

func (s *Store) removeApp(ctx context.Context, key AppKey, by Actor, expected expectedVersion) (removed bool, err error) {
	// The trigger takes the author of the removal from the row.
	set := s.auditColumns(by, s.monotonicUpdatedAt(s.now()))
	set["version"] = gorm.Expr("version + 1")
	var last []App // as the removal left it, for the trigger
	committed := func(db *gorm.DB) (bool, error) { return by.madeVersions(db, key.ClientID, last) }
	err = s.inTx(ctx, clientShare(key.ClientID), committed, func(tx *gorm.DB) error {
		if expected.catalog != 0 {
			if err := setShortLockTimeout(tx); err != nil {
				return err
			}
			if err := s.lockCatalogShared(tx, revisionLock, key.ClientID); err != nil {
				return err
			}
		}
		last = nil
		res := expected.selectApp(tx, key).Model(&last).Clauses(returnVersions).Updates(set)
		if removed = res.RowsAffected == 1; !removed {
			return res.Error
		}
		return tenant.Of(tx, key.ClientID).Where("id = ?", key.ID).Delete(&App{}).Error
	})
	return removed && err == nil, s.translate("remove app", err)
}

// missingApp tells an app that is not there from a client that is not there.
func (s *Store) missingApp(ctx context.Context, key AppKey) error {
	if _, err := s.GetClient(ctx, key.ClientID); err != nil {
		return err
	}
	return &NotFoundError{Kind: KindApp, ID: key.ID}
}

// addCatalogAfterWrite is withCatalog for an app that was just written: its write must not look like a failure.
func (s *Store) addCatalogAfterWrite(ctx context.Context, app App) (App, error) {
	complete, err := s.withCatalog(ctx, app)
	if err == nil {
		return complete, nil
	}
	return s.addCatalogPastDeadline(ctx, app)
}

// addCatalogPastDeadline tries again after the caller's deadline. It is a function of its own so that the usual path allocates no closure.
func (s *Store) addCatalogPastDeadline(ctx context.Context, app App) (complete App, err error) {
	err = s.finishAfterCommit(ctx, func(ctx context.Context) error {
		complete, err = s.withCatalog(ctx, app)
		return err
	})
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		err = &InDoubtError{cause: err} // it was written: any other error would say that it was not
	}
	return complete, err
}

func (s *Store) withCatalog(ctx context.Context, app App) (App, error) {
	entry, err := s.entryOf(ctx, app.CatalogAppID)
	if err != nil {
		return App{}, err
	}
	// A row keeps the key that it was sorted by, even when its catalog app has been renamed since it was read.
	if app.Catalog = entry; app.NameKey == "" {
		app.NameKey = entry.NameKey
	}
	return app, nil
}

// AppFilter selects apps of a client. The zero value selects all of them; what is set combines with AND.
type AppFilter struct {
	Query      string // part of the name
	CategoryID *uuid.UUID
	VendorID   *uuid.UUID
	Type       *string
	IsFavorite *bool
	IsApproved *bool
}

// No index serves the order by updated_at: it would cost each patch more than such a list costs. The client's apps are
// read and the first of them kept.
var appListing = listing[App]{
	Keys: map[Column]sortKey[App]{
		ColumnCanonicalName: keyset.TextKey("name_key", func(a App) string { return a.NameKey }),
		ColumnCreatedAt:     keyset.TimeKey("created_at", func(a App) time.Time { return a.CreatedAt }),
		ColumnUpdatedAt:     keyset.TimeKey("updated_at", func(a App) time.Time { return a.UpdatedAt }),
	},
	TieColumn:       "id",
	TieBreaker:      func(a App) string { return a.ID.String() },
	ValidTieBreaker: keyset.IsID,
}

// ListApps returns one page of a client's apps, or NotFoundError for the client.
func (s *Store) ListApps(ctx context.Context, clientID uuid.UUID, f AppFilter, p Page) (List[App], error) {
	if err := s.checkNotDeleting(ctx, clientID); err != nil {
		return List[App]{}, err
	}
	list, err := s.listApps(ctx, clientID, f, p)
	if errors.Is(err, errNoEntry) {
		list, err = s.listApps(ctx, clientID, f, p) // an app has been removed since it was read
	}
	return list, err
}

func (s *Store) listApps(ctx context.Context, clientID uuid.UUID, f AppFilter, p Page) (List[App], error) {
	q, err := s.filterByCatalog(ctx, selectApps(s.tenant(ctx, clientID), f), clientID, CatalogFilter{f.Query, f.CategoryID, f.VendorID, f.Type})
	if err != nil {
		return List[App]{}, err
	}
	var total func() (int64, error)
	var known *int64
	if f == (AppFilter{}) {
		known = new(int64(-1))
		total = func() (int64, error) {
			if *known >= 0 {
				return *known, nil
			}
			return s.countApps(ctx, clientID)
		}
	}
	listing := appListing
	listing.Find = func(q *gorm.DB, apps *[]App) error {
		*apps = make([]App, 0, min(p.Size, 50)+1) // which most pages fill
		return s.apps.find(clientID, q, apps, known)
	}
	list, err := listing.Page(ctx, q, p, total)
	if err != nil {
		return List[App]{}, s.translate("list apps", err)
	}
	if list.Total == 0 {
		if _, err := s.GetClient(ctx, clientID); err != nil {
			return List[App]{}, err
		}
	}
	for i := range list.Rows {
		if list.Rows[i], err = s.withCatalog(ctx, list.Rows[i]); err != nil {
			return List[App]{}, err
		}
	}
	return list, nil
}

// selectApps selects by what the apps have themselves.
func selectApps(q *gorm.DB, f AppFilter) *gorm.DB {
	if f.IsFavorite != nil {
		q = q.Where("is_favorite = ?", *f.IsFavorite)
	}
	if f.IsApproved != nil {
		q = q.Where("is_approved = ?", *f.IsApproved)
	}
	return q
}

// filterByCatalog keeps the apps whose catalog app is selected. The few that a search usually finds are found in the snapshot,
// once that is as new as the database, and looked up by an index; when there are many, the database filters the client's
// apps as it reads them in order.
func (s *Store) filterByCatalog(ctx context.Context, q *gorm.DB, clientID uuid.UUID, f CatalogFilter) (*gorm.DB, error) {
	if f == (CatalogFilter{}) {
		return q, nil
	}
	catalog, err := s.refreshCatalog(ctx)
	if err != nil {
		return nil, err
	}
	if ids, ok := catalog.matchingIDs(f); ok {
		// The limit, which no client reaches, keeps what follows from leading the planner to another index.
		matching := whereIn(s.tenant(ctx, clientID).Model(&App{}), "catalog_app_id", ids).Limit(maxLookups)
		return q.Table("(?) AS these", matching), nil
	}
	return s.filterByCatalogInSQL(q, f), nil
}

// filterByCatalogInSQL keeps the apps whose catalog app is selected, checking each app as it is read in order. Given a list of ids
// instead, SQLite would look up all of them.
func (s *Store) filterByCatalogInSQL(q *gorm.DB, f CatalogFilter) *gorm.DB {
	const has = "EXISTS (SELECT 1 FROM catalog_apps AS c WHERE c.id = apps.catalog_app_id AND "
	q = s.contains(q, f.Query)
	if f.VendorID != nil {
		q = q.Where(has+"c.vendor_id = ?)", *f.VendorID)
	}
	if f.Type != nil {
		q = q.Where(has+"c.type = ?)", *f.Type)
	}
	if f.CategoryID != nil {
		q = q.Where("EXISTS (SELECT 1 FROM catalog_app_categories AS c "+
			"WHERE c.catalog_app_id = apps.catalog_app_id AND c.category_id = ?)", *f.CategoryID)
	}
	return q
}

// sumTotal adds up what triggers have counted.
const sumTotal = "CAST(coalesce(sum(total), 0) AS bigint)"

// countApps is how many apps a client has, as triggers have counted them.
func (s *Store) countApps(ctx context.Context, clientID uuid.UUID) (apps int64, err error) {
	err = s.retryInRLS(ctx, func() error {
		return s.tenant(ctx, clientID).Table("client_app_counts").Select(sumTotal).Take(&apps).Error
	})
	return apps, err
}

// retryInRLS retries a read that the pool does not retry, because row-level security runs it in a transaction.
func (s *Store) retryInRLS(ctx context.Context, do func() error) error {
	if !s.rls {
		return do()
	}
	return s.retry(ctx, do)
}

// contains selects rows whose folded name has the text in it, literally and without regard to case.
func (s *Store) contains(q *gorm.DB, text string) *gorm.DB {
	if text == "" {
		return q
	}
	return q.Where(s.db.Position()+"(name_key, ?) > 0", casefold.Name(text))
}

var changeListing = listing[AppChange]{
	Keys: map[Column]sortKey[AppChange]{
		ColumnVersion: keyset.IntKey("version", func(c AppChange) int64 { return c.Version }),
	},
	TieColumn:       "field",
	TieBreaker:      func(c AppChange) string { return c.Field },
	ValidTieBreaker: isFieldName,
}

// isFieldName says whether a text can be the name of a field, of this version or a later one.
func isFieldName(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// ListAppChanges returns one page of an app's history, newest first; the page's order is set here. The history outlives
// the app: NotFoundError says that the client does not have it and that nothing of its history is kept, or that there is no such client.
func (s *Store) ListAppChanges(ctx context.Context, key AppKey, p Page) (List[AppChange], error) {
	if err := s.checkNotDeleting(ctx, key.ClientID); err != nil {
		return List[AppChange]{}, err
	}
	if key.ID == uuid.Nil { // under which the history of the client itself is kept
		return List[AppChange]{}, s.missingApp(ctx, key)
	}
	p.SortBy, p.Desc = ColumnVersion, true
	var list List[AppChange]
	err := s.retryInRLS(ctx, func() (err error) {
		q := s.tenant(ctx, key.ClientID).Where("app_id = ?", key.ID).Session(&gorm.Session{})
		list, err = changeListing.Page(ctx, q, p, func() (int64, error) { return s.countAppChanges(key, q) })
		return err
	})
	if err != nil {
		return List[AppChange]{}, s.translate("list app changes", err)
	}
	if list.Total == 0 {
		_, err = s.GetApp(ctx, key) // it may be there, and its history pruned
	}
	return list, err
}

// appChangeCount is how many changes an app has from one version to another. Nothing is ever added between them.
type appChangeCount struct{ First, Last, Count int64 }

// longHistory is the number of changes from which on an app's count is cached, and maxCachedCounts for how many apps.
const (
	longHistory     = 1000
	maxCachedCounts = 10_000
)

// countAppChanges counts the changes of an app, of a long history only those that are new. When old ones were pruned, it counts anew.
func (s *Store) countAppChanges(key AppKey, q *gorm.DB) (int64, error) {
	known, _ := s.appChangeCounts.GetIfPresent(key)
	var now appChangeCount
	err := q.Model(&AppChange{}).Select("coalesce(min(version), 0) AS first, coalesce(max(version), 0) AS last").Find(&now).Error
	if err != nil {
		return 0, err
	}
	if now.First != known.First || now.Last < known.Last {
		known = appChangeCount{}
	}
	err = q.Model(&AppChange{}).Where("version > ? AND version <= ?", known.Last, now.Last).Count(&now.Count).Error
	if now.Count += known.Count; err == nil && now.Count >= longHistory {
		s.appChangeCounts.Set(key, now)
	}
	return now.Count, err
}
