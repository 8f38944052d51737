package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/keyset"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// ID names the change. It is derived from what makes the change unique, and so needs no place in the table.
func (c AppChange) ID() uuid.UUID {
	return uuid.NewSHA1(c.ClientID, fmt.Appendf(nil, "%s:%d:%s", c.AppID, c.Version, c.Field))
}

var changeListing = listing[AppChange]{
	Keys: map[Column]sortKey[AppChange]{
		ColumnVersion: keyset.IntKey("version", func(c AppChange) int64 { return c.Version }),
	},
	Tie:  "field",
	Of:   func(c AppChange) string { return c.Field },
	Tied: isFieldName,
}

// isFieldName says whether a text can be the name of a field, of this version or a later one.
func isFieldName(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// ListAppChanges returns one page of an app's history, newest first; the page's order is set here. The history outlives
// the app: NotFoundError says that the client has never had it, or that there is no such client.
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
		list, err = changeListing.Page(ctx, q, p, func() (int64, error) { return s.countChanges(key, q) })
		return err
	})
	if err != nil {
		return List[AppChange]{}, s.translate("list app changes", err)
	}
	if list.Total == 0 {
		return List[AppChange]{}, s.missingApp(ctx, key)
	}
	return list, nil
}

// changeCount is how many changes an app has from one version to another. Nothing is ever added between them.
type changeCount struct{ First, Last, Count int64 }

// longHistory is from how many changes on an app's count is remembered, and rememberedCounts for how many apps.
const (
	longHistory      = 1000
	rememberedCounts = 10_000
)

// countChanges counts the changes of an app, of a long history only those that are new. When old ones were pruned, it counts anew.
func (s *Store) countChanges(key AppKey, q *gorm.DB) (int64, error) {
	known, _ := s.changeCounts.GetIfPresent(key)
	var now changeCount
	err := q.Model(&AppChange{}).Select("coalesce(min(version), 0) AS first, coalesce(max(version), 0) AS last").Scan(&now).Error
	if err != nil {
		return 0, err
	}
	if now.First != known.First || now.Last < known.Last {
		known = changeCount{}
	}
	err = q.Model(&AppChange{}).Where("version > ? AND version <= ?", known.Last, now.Last).Count(&now.Count).Error
	if now.Count += known.Count; err == nil && now.Count >= longHistory {
		s.changeCounts.Set(key, now)
	}
	return now.Count, err
}

// ChangeFilter selects changes of a feed: those that have all that is set.
type ChangeFilter struct {
	ClientID *uuid.UUID
	AppID    *uuid.UUID
	Field    string
}

// ChangeStart says where to begin in a feed: after a position, which a ChangeList has as Next; with the changes since a time, and perhaps
// some earlier ones; or, if neither is set, with the oldest change that is kept.
type ChangeStart struct {
	After *Position
	Since *time.Time
}

// ChangeList is a part of a feed, in its order. It may have fewer changes than were asked for, or none, while there are more.
type ChangeList struct {
	Rows []AppChange
	Next Position
	More bool // otherwise Next is the end of the feed at this moment
}

// Behind returns the position behind a change of the list.
func (l ChangeList) Behind(i int) Position {
	return Position{SortKey: l.Next.SortKey, TieBreaker: l.Rows[i].key().String()}
}

// ErrCursorExpired says that what follows a position is no longer known: it was pruned, or the database is another than the one that the
// position is of, or an older state of it.
var ErrCursorExpired = changefeed.ErrExpired

// ListChanges returns the changes of one client's apps and of the client itself, oldest first, at most size. Whoever goes on at Next gets
// each change once, the changes of an app in the order of their versions, and misses none.
//
// Errors are NotFoundError, ErrCursorExpired, and ErrPosition for a position of another kind.
func (s *Store) ListChanges(ctx context.Context, clientID uuid.UUID, f ChangeFilter, from ChangeStart, size int) (ChangeList, error) {
	if err := s.checkNotDeleting(ctx, clientID); err != nil {
		return ChangeList{}, err
	}
	list, err := s.readChanges(ctx, changeScope{client: &clientID, filter: f}, from, size)
	if err == nil && (len(list.Rows) == 0 || slices.ContainsFunc(list.Rows, AppChange.deletesClient)) {
		_, err = s.GetClient(ctx, clientID)
	}
	return list, err
}

// ListAllChanges is ListChanges for the clients that the token covers.
func (s *Store) ListAllChanges(ctx context.Context, by *Token, f ChangeFilter, from ChangeStart, size int) (ChangeList, error) {
	return s.readChanges(ctx, changeScope{by: by, filter: f}, from, size)
}

// changeScope is whose changes a feed has: of one client, or of those that a token covers. The zero value has all.
type changeScope struct {
	client *uuid.UUID
	by     *Token
	filter ChangeFilter
}

// clients selects rows of the clients, in any of their tables.
func (c changeScope) clients(tx *gorm.DB) *gorm.DB {
	if c.client != nil {
		return tenant.Of(tx, *c.client)
	}
	tx = tenant.CrossTenant(tx, "a token follows the changes of all clients that it covers")
	if c.by != nil && !c.by.AllClients {
		column := "client_id"
		if tx.Name() != postgres.Name {
			column = "+client_id" // SQLite would sort the whole history of these clients for each page
		}
		tx = whereIn(tx, column, append([]uuid.UUID{}, c.by.ClientIDs...))
	}
	return tx
}

// of selects the changes.
func (c changeScope) of(tx *gorm.DB) *gorm.DB {
	tx = c.clients(tx)
	if id := c.filter.ClientID; id != nil {
		tx = tx.Where("client_id = ?", *id)
	}
	if id := c.filter.AppID; id != nil {
		tx = tx.Where("app_id = ?", *id)
	}
	if c.filter.Field != "" {
		tx = tx.Where("field = ?", c.filter.Field)
	}
	return tx
}

// has is the same condition in memory.
func (c changeScope) has(change *AppChange) bool {
	f := c.filter
	return (c.client == nil || *c.client == change.ClientID) && (c.by == nil || c.by.Covers(change.ClientID)) &&
		(f.ClientID == nil || *f.ClientID == change.ClientID) && (f.AppID == nil || *f.AppID == change.AppID) &&
		(f.Field == "" || f.Field == change.Field)
}

// isSparse reports whether most changes may be of other scopes.
func (c changeScope) isSparse() bool {
	return c.filter.AppID == nil && (c.client != nil || c.by != nil && !c.by.AllClients || c.filter != ChangeFilter{})
}

const (
	// sparseChanges is how many changes are looked at for one page of a scope that has few of them.
	sparseChanges = 20_000
	// changedLate bounds by how much a change can be later than one that comes after it in a feed: how long transactions last, and how
	// much the clocks of servers differ.
	changedLate = 10 * time.Minute

	changeOrder = "position, client_id, app_id, version, field"
)

// errNewIncarnation says that there are no cursors until renewChanges has been called.
var errNewIncarnation = errors.New("the incarnation of the change feed is of another database")

func (s *Store) readChanges(ctx context.Context, scope changeScope, from ChangeStart, size int) (list ChangeList, err error) {
	after, err := parseChangePosition(from.After)
	if err != nil {
		return ChangeList{}, err
	}
	err = s.readFeed(ctx, func(tx *gorm.DB, state changefeed.State) (err error) {
		list, err = s.changesIn(tx, state, scope, from, after, size)
		return err
	})
	return list, err
}

// readFeed runs read in a snapshot in which there are cursors.
func (s *Store) readFeed(ctx context.Context, read func(tx *gorm.DB, state changefeed.State) error) error {
	once := func() error {
		return s.inSnapshot(ctx, func(tx *gorm.DB) error {
			state, err := changefeed.Read(tx, s.db)
			if err != nil {
				return err
			}
			if s.changeLag.Note(state, s.now()); !state.Good() {
				return errNewIncarnation
			}
			return read(tx, state)
		})
	}
	err := once()
	if errors.Is(err, errNewIncarnation) {
		if err = s.renewChanges(ctx, false); err == nil {
			err = once()
		}
	}
	switch {
	case errors.Is(err, ErrCursorExpired):
		return err
	case errors.Is(err, changefeed.ErrDistributed):
		return &UnavailableError{cause: err}
	}
	return s.translate("list changes", err)
}

// parseChangePosition returns the key of a position, or ErrPosition.
func parseChangePosition(p *Position) (changefeed.Key, error) {
	if p == nil {
		return changefeed.Key{}, nil
	}
	key, err := changefeed.Parse(p.TieBreaker)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrPosition, err)
	}
	return key, err
}

// changesIn reads one page in a snapshot, in which the horizon is known.
func (s *Store) changesIn(
	tx *gorm.DB, state changefeed.State, scope changeScope, from ChangeStart, after changefeed.Key, size int,
) (list ChangeList, err error) {
	switch {
	case from.After != nil && (from.After.SortKey != *state.Nonce || after.Position > state.End || after.Position < state.PrunedPosition):
		return list, ErrCursorExpired
	case from.Since != nil:
		if after, err = s.keySince(tx, state, *from.Since); err != nil {
			return list, err
		}
	}
	end, next := (*changefeed.Key)(nil), changefeed.Before(state.Horizon)
	if scope.isSparse() {
		if err := planAnew(tx); err != nil {
			return list, err
		}
		if end, err = keyAfter(committedBehind(changeScope{}.of(tx), after, state.Horizon), sparseChanges); err != nil {
			return list, err
		}
	}
	if s.rls && scope.client != nil {
		if err := tenant.Enter(tx, *scope.client); err != nil { // after statements on rows of other clients
			return list, err
		}
	}
	q := committedBehind(scope.of(tx), after, state.Horizon)
	if end != nil {
		q, next, list.More = compareKey(q, "<", *end), *end, true
	}
	if err := q.Order(changeOrder).Limit(size + 1).Find(&list.Rows).Error; err != nil {
		return list, err
	}
	if len(list.Rows) > size {
		list.Rows = list.Rows[:size]
		next, list.More = list.Rows[size-1].key(), true
	}
	if next.Compare(after) < 0 { // the horizon has not moved
		next = after
	}
	list.Next = Position{SortKey: *state.Nonce, TieBreaker: next.String()}
	return list, addCatalogIDs(scope.clients(tx).Session(&gorm.Session{}), list.Rows)
}

// deletesClient reports whether a change is all that stays of a client.
func (c AppChange) deletesClient() bool { return c.Field == "client" && c.NewValue == "null" }

func (c AppChange) key() changefeed.Key {
	return changefeed.Key{
		Position: c.Position, ClientID: c.ClientID, AppID: c.AppID, Version: c.Version, Field: c.Field,
	}
}

// committedBehind selects the changes behind a key that no other can come before any more.
func committedBehind(q *gorm.DB, k changefeed.Key, horizon int64) *gorm.DB {
	// SQLite, where the position is the key of the table, needs both bounds of it by themselves.
	return compareKey(q, ">", k).Where("position >= ? AND position < ?", k.Position, horizon)
}

// compareKey is a row comparison, so that all of it can be the range of an index.
func compareKey(q *gorm.DB, how string, k changefeed.Key) *gorm.DB {
	return q.Where("("+changeOrder+") "+how+" (?, ?, ?, ?, ?)", k.Position, k.ClientID, k.AppID, k.Version, k.Field)
}

// planAnew makes PostgreSQL plan the statements of the transaction for their values: which index is best depends on how many changes the
// client has.
func planAnew(tx *gorm.DB) error {
	if tx.Name() != postgres.Name {
		return nil
	}
	return tx.Exec("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)").Error
}

// keyAfter returns the key before all fields of the nth change, or nil if there are not so many.
func keyAfter(q *gorm.DB, n int) (*changefeed.Key, error) {
	var rows []AppChange
	const order = "position, client_id, app_id, version" // that of the index
	err := q.Select(order).Order(order).Offset(n - 1).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	key := rows[0].key()
	return &key, nil
}

// keySince returns a key before all changes since a time.
func (s *Store) keySince(tx *gorm.DB, state changefeed.State, since time.Time) (changefeed.Key, error) {
	position, err := s.positionSince(state, since, state.Horizon, func(position int64) (int64, time.Time, error) {
		var first []AppChange
		q := changeScope{}.of(tx).Select(changeOrder+", changed_at").Where("position >= ? AND position < ?", position, state.Horizon)
		if err := q.Order(changeOrder).Limit(1).Find(&first).Error; err != nil || len(first) == 0 {
			return state.Horizon, time.Time{}, err
		}
		return first[0].Position, first[0].ChangedAt, nil
	})
	return changefeed.Before(position), err
}

// positionSince returns a position before all changes since a time; end is the end of the feed. first returns the first change at a
// position or behind it, or end. Positions grow with time, but for changedLate, so positionSince searches by halves.
func (s *Store) positionSince(
	state changefeed.State, since time.Time, end int64, first func(position int64) (int64, time.Time, error),
) (int64, error) {
	if state.Forgets(since) {
		return 0, ErrCursorExpired
	}
	if since.After(s.now()) {
		return end, nil
	}
	since = since.Add(-changedLate)
	low, high := int64(0), end
	for low < high {
		middle := low + (high-low)/2
		position, changedAt, err := first(middle)
		if err != nil {
			return 0, err
		}
		if position >= high || !changedAt.Before(since) {
			high = middle
		} else {
			low = position + 1
		}
	}
	return low, nil
}

// addCatalogIDs adds the catalog apps of changes that were made before there was a column for them, as far as they are known: from the
// apps, or from the changes that say that an app was added or removed.
func addCatalogIDs(clients *gorm.DB, rows []AppChange) error {
	var ids []uuid.UUID
	for _, c := range rows {
		if c.CatalogAppID == nil && c.AppID != uuid.Nil {
			ids = append(ids, c.AppID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var apps []App
	if err := whereIn(clients.Select("id, catalog_app_id"), "id", ids).Find(&apps).Error; err != nil {
		return err
	}
	var changes []AppChange
	if err := whereIn(clients.Where("field = 'app'"), "app_id", ids).Find(&changes).Error; err != nil {
		return err
	}
	known := map[uuid.UUID]uuid.UUID{}
	for _, c := range changes {
		for _, value := range []string{c.OldValue, c.NewValue} {
			if id, err := uuid.Parse(strings.Trim(value, `"`)); err == nil {
				known[c.AppID] = id
			}
		}
	}
	for _, app := range apps {
		known[app.ID] = app.CatalogAppID
	}
	for i := range rows {
		if id, ok := known[rows[i].AppID]; ok {
			rows[i].CatalogAppID = &id
		}
	}
	return nil
}

// CatalogChangeList is a part of the feed of the catalog, in its order.
type CatalogChangeList struct {
	Rows []CatalogChange
	Next Position
	More bool // otherwise Next is the end of the feed at this moment
}

// catalogChangeSpace is the name space of the ids of changes.
var catalogChangeSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("clientapps:catalog-change"))

// ID names the change, as AppChange.ID does.
func (c CatalogChange) ID() uuid.UUID {
	return uuid.NewSHA1(catalogChangeSpace, []byte(c.key().String()))
}

func (c CatalogChange) key() changefeed.CatalogKey {
	return changefeed.CatalogKey{Revision: c.Revision, Entity: c.Entity, EntityID: c.EntityID, Field: c.Field}
}

const catalogChangeOrder = "revision, entity, entity_id, field"

// ListCatalogChanges returns the changes of the catalog, oldest first, at most size. Whoever goes on at Next gets each change once and
// misses none. What was there before the catalog had a history has no changes from then.
//
// Errors are ErrCursorExpired, and ErrPosition for a position of another kind.
func (s *Store) ListCatalogChanges(ctx context.Context, from ChangeStart, size int) (list CatalogChangeList, err error) {
	var after changefeed.CatalogKey
	if from.After != nil {
		if after, err = changefeed.ParseCatalogKey(from.After.TieBreaker); err != nil {
			return CatalogChangeList{}, fmt.Errorf("%w: %w", ErrPosition, err)
		}
	}
	err = s.readFeed(ctx, func(tx *gorm.DB, state changefeed.State) (err error) {
		list, err = s.catalogChangesIn(tx, state, from, after, size)
		return err
	})
	return list, err
}

// catalogChangesIn reads one page in a snapshot. It has the changes of all revisions up to the present one, and of no others.
func (s *Store) catalogChangesIn(
	tx *gorm.DB, state changefeed.State, from ChangeStart, after changefeed.CatalogKey, size int,
) (list CatalogChangeList, err error) {
	present, err := catalogRevision(tx)
	if err != nil {
		return list, err
	}
	next := changefeed.BeforeRevision(present + 1)
	switch {
	case from.After != nil && (from.After.SortKey != *state.Nonce || after.Compare(next) > 0):
		return list, ErrCursorExpired
	case from.Since != nil:
		if after, err = s.revisionSince(tx, state, *from.Since, present+1); err != nil {
			return list, err
		}
	}
	q := tx.Where("("+catalogChangeOrder+") > (?, ?, ?, ?)", after.Revision, after.Entity, after.EntityID, after.Field)
	// SQLite searches by a bound of the first column alone.
	q = q.Where("revision >= ? AND revision <= ?", after.Revision, present).Order(catalogChangeOrder).Limit(size + 1)
	if err := q.Find(&list.Rows).Error; err != nil {
		return list, err
	}
	if len(list.Rows) > size {
		list.Rows = list.Rows[:size]
		next, list.More = list.Rows[size-1].key(), true
	}
	list.Next = Position{SortKey: *state.Nonce, TieBreaker: next.String()}
	return list, nil
}

// revisionSince returns a key before all changes of the catalog since a time.
func (s *Store) revisionSince(tx *gorm.DB, state changefeed.State, since time.Time, end int64) (changefeed.CatalogKey, error) {
	revision, err := s.positionSince(state, since, end, func(revision int64) (int64, time.Time, error) {
		var first []CatalogChange
		q := tx.Select("revision, changed_at").Where("revision >= ? AND revision < ?", revision, end)
		if err := q.Order("revision").Limit(1).Find(&first).Error; err != nil || len(first) == 0 {
			return end, time.Time{}, err
		}
		return first[0].Revision, first[0].ChangedAt, nil
	})
	return changefeed.BeforeRevision(revision), err
}

// renewChanges begins a new incarnation of the feed if the database is another than the one that the incarnation began in, or if force
// is set. All cursors expire.
func (s *Store) renewChanges(ctx context.Context, force bool) error {
	db := s.write.WithContext(ctx)
	state, err := changefeed.Read(s.read.WithContext(ctx), s.db)
	if err == nil && (force || state.DatabaseID != state.Here) {
		err = changefeed.Begin(db, state)
	}
	if err == nil {
		err = s.db.AwaitWriters(ctx, "apps", "clients") // whose changes are of the old incarnation
	}
	if err == nil {
		err = changefeed.Finish(db)
	}
	return err
}
