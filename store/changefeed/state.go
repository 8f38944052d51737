package changefeed

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Expressions returns SQL expressions that differ between databases; package store documents them.
type Expressions interface {
	ChangeHorizon() string
	ChangeEnd() string
	ChangesKept() string
	DatabaseID() string
}

// State is the state of the change feed in one snapshot of the database.
type State struct {
	Incarnation int64
	Nonce       *string // nil while a new incarnation begins
	Horizon     int64   // all changes before this position are committed; those that commit later have this position or a later one
	End         int64   // no change has this position yet, or a later one

	Distributed bool // there is no feed

	PrunedPosition int64     // changes before it are no longer kept
	PrunedRevision int64     // nor are changes of the catalog before this revision
	PrunedBefore   time.Time // nor are some of either that are older than this

	DatabaseID        string // of the database that the incarnation began in
	CurrentDatabaseID string `gorm:"column:here"` // of the database that was read
}

// TableName implements gorm's Tabler.
func (State) TableName() string { return "change_feed" }

// Read returns the state in the snapshot of the transaction.
func Read(tx *gorm.DB, exprs Expressions) (state State, err error) {
	err = tx.Select(fmt.Sprintf("*, %s AS horizon, %s AS \"end\", %s AS here", exprs.ChangeHorizon(), exprs.ChangeEnd(), exprs.DatabaseID())).
		Take(&state).Error
	if err == nil && state.Distributed {
		err = ErrDistributed
	}
	return state, err
}

// CountKept returns approximately how many changes are kept.
func CountKept(db *gorm.DB, exprs Expressions) (n int64, err error) {
	err = db.Model(&State{}).Select(exprs.ChangesKept()).Limit(1).Scan(&n).Error
	return n, err
}

// HasIncarnation reports whether cursors can be issued: the incarnation of the feed is that of this database, and has begun.
func (s State) HasIncarnation() bool { return s.Nonce != nil && s.DatabaseID == s.CurrentDatabaseID }

// MayHavePruned reports whether changes since a time may have been pruned.
func (s State) MayHavePruned(since time.Time) bool {
	return since.Before(s.PrunedBefore) && s.PrunedBefore.After(time.Unix(0, 0)) // otherwise nothing was pruned
}

// MarkPruned records that changes before the position, changes of the catalog before the revision, and some that are older than a time,
// are no longer kept. It never moves one of these marks back.
func MarkPruned(tx *gorm.DB, position, revision int64, before time.Time) error {
	feed := tx.Model(&State{}).Where("id = 1").Session(&gorm.Session{})
	return errors.Join(
		feed.Where("pruned_position < ?", position).Update("pruned_position", position).Error,
		feed.Where("pruned_revision < ?", revision).Update("pruned_revision", revision).Error,
		feed.Where("pruned_before < ?", before).Update("pruned_before", before).Error,
	)
}

// BeginIncarnation begins a new incarnation of the feed, unless another server has done so since the state was read. All cursors expire.
// Call FinishIncarnation when the writers of the old one have ended.
func BeginIncarnation(db *gorm.DB, old State) error {
	current := old.CurrentDatabaseID
	q := db.Model(&State{}).Where("id = 1 AND incarnation = ? AND (nonce IS NOT NULL OR database_id <> ?)", old.Incarnation, current)
	return q.Updates(map[string]any{"incarnation": gorm.Expr("incarnation + 1"), "database_id": current, "nonce": nil}).Error
}

// FinishIncarnation finishes what BeginIncarnation began: from now on cursors can be issued.
func FinishIncarnation(db *gorm.DB) error {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	return db.Model(&State{}).Where("id = 1 AND nonce IS NULL").Updates(map[string]any{"nonce": hex.EncodeToString(raw[:])}).Error
}

// ErrDistributed says that a database which is distributed over several machines has no feed.
var ErrDistributed = errors.New("a database that is distributed by client has no change feed")

// ErrExpired says that a cursor is of another incarnation, or that changes behind it are no longer kept.
var ErrExpired = errors.New("the cursor has expired")
