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
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/tenant"
)

// ID names the change. It is derived from what makes the change unique, and so needs no place in the table.
func (c AppChange) ID() uuid.UUID {
	return uuid.NewSHA1(c.ClientID, fmt.Appendf(nil, "%s:%d:%s", c.AppID, c.Version, c.Field))
}

// ChangeFilter selects changes of a feed: those that have all that is set.
type ChangeFilter struct {
	ClientID *uuid.UUID
	AppID    *uuid.UUID
	Fields   []string // empty: all
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

// PositionAfter returns the position behind change i of the list.
func (l ChangeList) PositionAfter(i int) Position {
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

// selectChanges selects the changes.
func (c changeScope) selectChanges(tx *gorm.DB) *gorm.DB {
	tx = c.clients(tx)
	if id := c.filter.ClientID; id != nil {
		tx = tx.Where("client_id = ?", *id)
	}
	if id := c.filter.AppID; id != nil {
		tx = tx.Where("app_id = ?", *id)
	}
	switch fields := c.filter.Fields; len(fields) {
	case 0:
	case 1:
		tx = tx.Where("field = ?", fields[0])
	default:
		tx = whereIn(tx, "field", fields)
	}
	return tx
}

// contains is the same condition in memory.
func (c changeScope) contains(change *AppChange) bool {
	f := c.filter
	return (c.client == nil || *c.client == change.ClientID) && (c.by == nil || c.by.Covers(change.ClientID)) &&
		(f.ClientID == nil || *f.ClientID == change.ClientID) && (f.AppID == nil || *f.AppID == change.AppID) &&
		(len(f.Fields) == 0 || slices.Contains(f.Fields, change.Field))
}

// isSparse reports whether most changes may be of other scopes.
func (c changeScope) isSparse() bool {
	return c.filter.AppID == nil &&
		(c.client != nil || c.by != nil && !c.by.AllClients || c.filter.ClientID != nil || len(c.filter.Fields) > 0)
}

const (
	// sparseScanLimit is how many changes of all scopes are scanned for one page of a sparse scope.
	sparseScanLimit = 20_000
	// maxTimeSkew is by how much the time of a change can be later than that of one that follows it in the feed. It covers how long
	// transactions last, and how much the clocks of servers differ.
	maxTimeSkew = 10 * time.Minute

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
			if s.changeLag.Observe(state, s.now()); !state.HasIncarnation() {
				return errNewIncarnation
			}
			return read(tx, state)
		})
	}
	err := s.withIncarnation(ctx, once)
	if errors.Is(err, ErrCursorExpired) {
		return err
	}
	return s.translate("list changes", err)
}

// withIncarnation runs once. If that fails with errNewIncarnation, it begins a new incarnation of the feed and runs once again. A
// distributed database has no feed: UnavailableError.
func (s *Store) withIncarnation(ctx context.Context, once func() error) error {
	err := once()
	if errors.Is(err, errNewIncarnation) {
		if err = s.renewChanges(ctx, false); err == nil {
			err = once()
		}
	}
	if errors.Is(err, changefeed.ErrDistributed) {
		return &UnavailableError{cause: err}
	}
	return err
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
	case from.After != nil && positionExpired(state, from.After, after):
		return list, ErrCursorExpired
	case from.Since != nil:
		if after, err = s.keySince(tx, state, *from.Since); err != nil {
			return list, err
		}
	}
	if after.Position < state.PrunedPosition {
		after = changefeed.Before(state.PrunedPosition) // behind the deletions of clients that are kept
	}
	q, end, err := s.changesAfter(tx, state, scope, after, sparseScanLimit)
	if err != nil {
		return list, err
	}
	next := changefeed.Before(state.Horizon)
	if end != nil {
		next, list.More = *end, true
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

// positionExpired reports whether what follows a position is not known.
func positionExpired(state changefeed.State, p *Position, key changefeed.Key) bool {
	return p.SortKey != *state.Nonce || key.Position > state.End || key.Position < state.PrunedPosition
}

// changesAfter selects the changes of a scope behind a key, up to end if that is not nil. If the scope is sparse, they are those among
// the next scanLimit changes of all scopes; 0 is no limit.
func (s *Store) changesAfter(
	tx *gorm.DB, state changefeed.State, scope changeScope, after changefeed.Key, scanLimit int,
) (q *gorm.DB, end *changefeed.Key, err error) {
	if after.Position < state.PrunedPosition {
		after = changefeed.Before(state.PrunedPosition) // behind the deletions of clients that are kept
	}
	if err := forceCustomPlans(tx); err != nil {
		return nil, nil, err
	}
	if scanLimit > 0 && scope.isSparse() {
		if end, err = keyAfter(committedAfter(changeScope{}.selectChanges(tx), after, state.Horizon), scanLimit); err != nil {
			return nil, nil, err
		}
	}
	if s.rls && scope.client != nil {
		if err := tenant.LimitTx(tx, *scope.client, s.db.Distributed()); err != nil { // after statements on rows of other clients
			return nil, nil, err
		}
	}
	if q = committedAfter(scope.selectChanges(tx), after, state.Horizon); end != nil {
		q = compareKey(q, "<", *end)
	}
	return q, end, nil
}

// deletesClient reports whether a change is all that stays of a client.
func (c AppChange) deletesClient() bool { return c.Field == "client" && c.NewValue == "null" }

func (c AppChange) key() changefeed.Key {
	return changefeed.Key{
		Position: c.Position, ClientID: c.ClientID, AppID: c.AppID, Version: c.Version, Field: c.Field,
	}
}

// committedAfter selects the changes behind a key that no other can come before any more.
func committedAfter(q *gorm.DB, k changefeed.Key, horizon int64) *gorm.DB {
	// SQLite, where the position is the key of the table, needs both bounds of it by themselves.
	return compareKey(q, ">", k).Where("position >= ? AND position < ?", k.Position, horizon)
}

// compareKey compares rows with a key. It is a row comparison, so that all of it can be the range of an index.
func compareKey(q *gorm.DB, operator string, k changefeed.Key) *gorm.DB {
	return q.Where("("+changeOrder+") "+operator+" (?, ?, ?, ?, ?)", k.Position, k.ClientID, k.AppID, k.Version, k.Field)
}

// forceCustomPlans makes PostgreSQL plan the statements of the transaction for their values, since which index is best depends on how
// many changes the client has. It also keeps PostgreSQL from reading and sorting all changes, however few they seem to be.
func forceCustomPlans(tx *gorm.DB) error {
	if tx.Name() != postgres.Name {
		return nil
	}
	return tx.Exec("SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true), " +
		"set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)").Error
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
		q := changeScope{}.selectChanges(tx).Select(changeOrder+", changed_at").Where("position >= ? AND position < ?", position, state.Horizon)
		if err := q.Order(changeOrder).Limit(1).Find(&first).Error; err != nil || len(first) == 0 {
			return state.Horizon, time.Time{}, err
		}
		if first[0].Position == 0 { // changes without a position are in no order of time: none is left out
			return 0, s.now(), nil
		}
		return first[0].Position, first[0].ChangedAt, nil
	})
	return changefeed.Before(position), err
}

// positionSince returns a position before all changes since a time; end is the end of the feed. first returns the first change at a
// position or behind it, or end. Positions grow with time, but for maxTimeSkew, so positionSince searches by halves.
func (s *Store) positionSince(
	state changefeed.State, since time.Time, end int64, first func(position int64) (int64, time.Time, error),
) (int64, error) {
	if state.MayHavePruned(since) {
		return 0, ErrCursorExpired
	}
	if since.After(s.now()) {
		return end, nil
	}
	since = since.Add(-maxTimeSkew)
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

// RenewHistory makes all cursors of all feeds expire. It is for a database that was replaced by an older state of itself where the server
// cannot notice: a copied SQLite file, a snapshot of a disk.
func (s *Store) RenewHistory(ctx context.Context) error {
	return s.translate("renew the history", s.renewChanges(ctx, true))
}

// renewChanges begins a new incarnation of the feed if the database is another than the one that the incarnation began in, or if force
// is set. All cursors expire.
func (s *Store) renewChanges(ctx context.Context, force bool) error {
	db := s.writer.WithContext(ctx)
	state, err := changefeed.Read(s.reader.WithContext(ctx), s.db)
	if err == nil && (force || state.DatabaseID != state.CurrentDatabaseID) {
		err = changefeed.BeginIncarnation(db, state)
	}
	if err == nil {
		err = s.db.AwaitWriters(ctx, "apps", "clients") // whose changes are of the old incarnation
	}
	if err == nil {
		err = changefeed.FinishIncarnation(db)
	}
	return err
}
