package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/clientapps/clientapps/store/changefeed"
	"github.com/clientapps/clientapps/store/postgres"
	"github.com/clientapps/clientapps/store/retry"
	"github.com/clientapps/clientapps/store/tenant"
)

// PruneOptions are the options of PruneHistory.
type PruneOptions struct {
	DryRun   bool              // only counts
	Force    bool              // also what webhooks have not delivered
	Progress func(deleted int) // called after each batch; may be nil
}

// PruneResult counts what PruneHistory has deleted.
type PruneResult struct {
	Changes        int // of apps and clients
	CatalogChanges int
	HeldBack       int // webhooks that have not delivered changes which would be deleted with PruneOptions.Force
}

// ErrMayNotPrune says that the role of the database URL may not delete history.
var ErrMayNotPrune = errors.New("this role may not delete the history: use the database URL of the owner of the tables")

// pruneRows is how many changes are deleted in one transaction.
const pruneRows = 1000

// PruneHistory deletes the changes that are older than some time: of apps and clients, and of the catalog, each from the oldest in the
// order of its feed up to the first that is not older. Where the clocks of servers differ, an older change may come behind a younger one;
// it stays. The change that says that a client was deleted stays for ever: it keeps the id from being used again.
//
// Before it deletes anything, cursors and times before what stays expire, so that no follower misses a change without being told. A
// follower whose position is later goes on undisturbed. When it is interrupted, the next call deletes the rest.
//
// What a webhook has not delivered stays, and with it all that follows; not for one that is disabled. With PruneOptions.Force it goes, and
// the webhook says so.
func (s *Store) PruneHistory(ctx context.Context, olderThan time.Duration, o PruneOptions) (done PruneResult, err error) {
	if err := s.checkPrunePermission(ctx); err != nil && !o.DryRun {
		return done, err
	}
	before := s.now().Add(-olderThan)
	// So that webhooks which have nothing to deliver do not hold back what no server has marked yet.
	for more := !o.DryRun; more; {
		if _, more, err = s.markWebhooks(ctx); err != nil {
			return done, s.translate("mark webhooks", err)
		}
	}
	var mark, old pruneMark
	var held int
	err = s.readFeed(ctx, func(tx *gorm.DB, state changefeed.State) (err error) {
		old = pruneMark{state.PrunedPosition, state.PrunedRevision}
		if mark, err = findPruneMark(tx, state, before); err != nil || !o.DryRun {
			return err
		}
		counted := mark
		if !o.Force {
			held, err = counted.holdBack(tx, old)
		}
		if err == nil {
			done, err = counted.count(tx)
		}
		done.HeldBack = held
		return err
	})
	if err != nil || o.DryRun {
		return done, err
	}
	if mark != old {
		wanted := mark
		err = s.inTx(ctx, shareKey{}, nil, func(tx *gorm.DB) error {
			mark = wanted
			_, err := lockWebhookState(tx)
			if err == nil && o.Force {
				err = mark.advanceWebhooks(tx, before)
			} else if err == nil {
				held, err = mark.holdBack(tx, old)
			}
			if err != nil {
				return err
			}
			return changefeed.MarkPruned(tx, mark.position, mark.revision, before)
		})
		done.HeldBack = held
	}
	if err == nil {
		err = s.prune(ctx, mark, &done, o.Progress)
	}
	return done, s.translate("prune the history", err)
}

// checkPrunePermission returns ErrMayNotPrune if the database would refuse to delete history.
func (s *Store) checkPrunePermission(ctx context.Context) error {
	allowed := true
	if s.reader.Name() == postgres.Name {
		const query = "SELECT has_table_privilege(?, 'DELETE') AND has_table_privilege(?, 'DELETE')"
		q := s.reader.WithContext(ctx).Raw(query, "app_changes", "catalog_changes")
		if err := s.retry(ctx, func() error { return q.Scan(&allowed).Error }); err != nil {
			return s.translate("look at the rights of the role", err)
		}
	}
	if !allowed {
		return ErrMayNotPrune
	}
	return nil
}

// pruneMark is where the history that is kept begins.
type pruneMark struct {
	position int64
	revision int64
}

// findPruneMark returns the mark directly behind the last change that is to be deleted, so that it expires no more cursors than it must.
func findPruneMark(tx *gorm.DB, state changefeed.State, before time.Time) (pruneMark, error) {
	mark := pruneMark{state.PrunedPosition, state.PrunedRevision}
	var young, old []AppChange
	all := committedAfter(changeScope{}.selectChanges(tx), changefeed.Before(mark.position), state.Horizon).Session(&gorm.Session{})
	err := all.Select(changeOrder).Where("changed_at >= ?", before).Order(changeOrder).Limit(1).Find(&young).Error
	if len(young) > 0 {
		all = all.Where("position < ?", young[0].Position).Session(&gorm.Session{})
	}
	if err == nil {
		err = all.Select(changeOrder).Order(strings.ReplaceAll(changeOrder, ",", " DESC,") + " DESC").Limit(1).Find(&old).Error
	}
	if len(old) > 0 {
		mark.position = old[0].Position + 1
	}
	var youngEntries, oldEntries []CatalogChange
	catalog := tx.Select("revision").Where("revision >= ? AND revision <= (SELECT revision FROM catalog_state)", mark.revision).Session(&gorm.Session{})
	if err == nil {
		err = catalog.Where("changed_at >= ?", before).Order("revision").Limit(1).Find(&youngEntries).Error
	}
	if len(youngEntries) > 0 {
		catalog = catalog.Where("revision < ?", youngEntries[0].Revision)
	}
	if err == nil {
		err = catalog.Order("revision DESC").Limit(1).Find(&oldEntries).Error
	}
	if len(oldEntries) > 0 {
		mark.revision = oldEntries[0].Revision + 1
	}
	return mark, err
}

// prunable selects the changes of apps and clients that are behind a key and before the mark.
func (m pruneMark) prunable(tx *gorm.DB, after changefeed.Key) *gorm.DB {
	tx = tenant.CrossTenant(tx, "the history of all clients is pruned").Model(&AppChange{})
	return committedAfter(tx, after, m.position)
}

func (m pruneMark) count(tx *gorm.DB) (n PruneResult, err error) {
	var changes, entries int64
	err = errors.Join(m.prunable(tx, changefeed.Before(0)).Where("NOT ("+deletionChange+")").Count(&changes).Error,
		tx.Model(&CatalogChange{}).Where("revision < ?", m.revision).Count(&entries).Error)
	return PruneResult{Changes: int(changes), CatalogChanges: int(entries)}, err
}

// prune deletes what is before the mark.
func (s *Store) prune(ctx context.Context, m pruneMark, done *PruneResult, progress func(deleted int)) error {
	after, next := changefeed.Before(0), changefeed.Before(0)
	deleted := func(count *int, n int) {
		if *count += n; progress != nil {
			progress(done.Changes + done.CatalogChanges)
		}
	}
	err := s.inBatches(ctx, func(tx *gorm.DB) (n int, more bool, err error) {
		var rows []AppChange
		if err := m.prunable(tx, after).Select(changeOrder).Order(changeOrder).Limit(pruneRows).Find(&rows).Error; err != nil || len(rows) == 0 {
			return 0, false, err
		}
		next = rows[len(rows)-1].key()
		res := compareKey(m.prunable(tx, after), "<=", next).Where("NOT (" + deletionChange + ")").Delete(&AppChange{})
		return int(res.RowsAffected), len(rows) == pruneRows, res.Error
	}, func(n int) {
		after = next
		deleted(&done.Changes, n)
	})
	if err != nil {
		return err
	}
	return s.inBatches(ctx, func(tx *gorm.DB) (n int, more bool, err error) {
		var rows []CatalogChange
		oldest := tx.Select(catalogChangeOrder).Where("revision < ?", m.revision).Order(catalogChangeOrder).Limit(pruneRows)
		if err := oldest.Find(&rows).Error; err != nil || len(rows) == 0 {
			return 0, false, err
		}
		last := rows[len(rows)-1]
		upTo := tx.Where("revision <= ? AND ("+catalogChangeOrder+") <= (?, ?, ?, ?)", last.Revision, last.Revision, last.Entity, last.EntityID, last.Field)
		res := upTo.Delete(&CatalogChange{})
		return int(res.RowsAffected), len(rows) == pruneRows, res.Error
	}, func(n int) { deleted(&done.CatalogChanges, n) })
}

// inBatches runs batch in transactions of its own until there is no more, and committed after each. It pauses as long as each took, so
// that others hardly notice.
func (s *Store) inBatches(ctx context.Context, batch func(tx *gorm.DB) (n int, more bool, err error), committed func(n int)) error {
	for more, n := true, 0; more; {
		start := time.Now()
		err := s.inTx(ctx, shareKey{}, nil, func(tx *gorm.DB) (err error) {
			n, more, err = batch(tx)
			return err
		})
		if err != nil {
			return err
		}
		if committed(n); more && !retry.Sleep(ctx, max(time.Since(start), minPause)) {
			return ctx.Err()
		}
	}
	return nil
}

// holdBack moves the mark to before what webhooks have not delivered, but not to before what is pruned, and returns how many webhooks have
// changes before where it was.
func (m *pruneMark) holdBack(tx *gorm.DB, pruned pruneMark) (held int, err error) {
	var n int64
	var first []Webhook
	behind := webhooks(tx).Where("due_at IS NOT NULL AND position < ?", m.position).Session(&gorm.Session{})
	err = errors.Join(behind.Model(&Webhook{}).Count(&n).Error, behind.Select("position").Order("position").Limit(1).Find(&first).Error)
	if err != nil {
		return 0, err
	}
	if len(first) > 0 {
		m.position = first[0].Position
	}
	// What is not marked yet may be for those that are idle.
	enabled, err := enabledWebhooks(tx)
	if err == nil && enabled {
		var marked webhookState
		err = tx.Where("id = 1").Take(&marked).Error
		m.position = min(m.position, marked.Position)
	}
	m.position = max(m.position, pruned.position)
	return int(n), err
}

// advanceWebhooks moves webhooks that have changes before the mark to it. A batch that is fixed is still delivered.
func (m *pruneMark) advanceWebhooks(tx *gorm.DB, before time.Time) error {
	var rows []Webhook
	behind := webhooks(tx.Clauses(forNoKeyUpdate)).Select("id, batch_key").Where("due_at IS NOT NULL AND position < ?", m.position)
	if err := behind.Order("id").Find(&rows).Error; err != nil {
		return err
	}
	var lost, batched, whole []uuid.UUID // whole: the batch has all changes before the mark
	for _, w := range rows {
		if w.BatchKey == nil {
			lost = append(lost, w.ID)
			continue
		}
		key, err := changefeed.Parse(*w.BatchKey)
		if err != nil {
			return err
		}
		if key.Position < m.position {
			batched = append(batched, w.ID)
		} else {
			whole = append(whole, w.ID)
		}
	}
	key := changefeed.Before(m.position).String()
	note := "Changes before " + before.Format(time.RFC3339) + " were pruned before they were delivered"
	for _, set := range []struct {
		ids     []uuid.UUID
		columns map[string]any
	}{
		{lost, map[string]any{"lost": note}}, {batched, map[string]any{"lost": note, "batch_key": key}}, {whole, map[string]any{}},
	} {
		if len(set.ids) == 0 {
			continue
		}
		set.columns["position"], set.columns["key"] = m.position, key
		if err := whereIn(webhooks(tx).Model(&Webhook{}), "id", set.ids).Updates(set.columns).Error; err != nil {
			return err
		}
	}
	return nil
}
