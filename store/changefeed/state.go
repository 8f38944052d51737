package changefeed

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Expressions are those of a database, as store documents them.
type Expressions interface {
	ChangeHorizon() string
	ChangeEnd() string
	ChangesKept() string
	DatabaseID() string
}

// State is what the database knows of its change feed at one moment.
type State struct {
	Incarnation int64
	Nonce       *string // nil while a new incarnation begins
	Horizon     int64   // each change before it is committed, and each that commits later is behind it
	End         int64   // no change has this position yet, or a later one

	Distributed bool // there is no feed

	PrunedPosition int64     // changes before it are no longer kept
	PrunedRevision int64     // nor are changes of the catalog before this revision
	PrunedBefore   time.Time // nor are some of either that are older than this

	DatabaseID string // of the database that the incarnation began in
	Here       string // of this one
}

// TableName implements gorm's Tabler.
func (State) TableName() string { return "change_feed" }

// Read returns the state in the snapshot of the transaction.
func Read(tx *gorm.DB, of Expressions) (state State, err error) {
	err = tx.Select(fmt.Sprintf("*, %s AS horizon, %s AS \"end\", %s AS here", of.ChangeHorizon(), of.ChangeEnd(), of.DatabaseID())).
		Take(&state).Error
	if err == nil && state.Distributed {
		err = ErrDistributed
	}
	return state, err
}

// Kept returns about how many changes are kept.
func Kept(db *gorm.DB, of Expressions) (n int64, err error) {
	err = db.Model(&State{}).Select(of.ChangesKept()).Limit(1).Scan(&n).Error
	return n, err
}

// Good reports whether cursors can be given out: the incarnation is that of this database, and has begun.
func (s State) Good() bool { return s.Nonce != nil && s.DatabaseID == s.Here }

// Forgets reports whether changes since a time may no longer be kept.
func (s State) Forgets(since time.Time) bool {
	return since.Before(s.PrunedBefore) && s.PrunedBefore.After(time.Unix(0, 0)) // otherwise nothing was pruned
}

// Prune says that changes before the key, changes of the catalog before the revision, and some that are older than a time, are no longer
// kept. What was said before is not taken back.
func Prune(tx *gorm.DB, position, revision int64, before time.Time) error {
	feed := tx.Model(&State{}).Where("id = 1").Session(&gorm.Session{})
	return errors.Join(
		feed.Where("pruned_position < ?", position).Update("pruned_position", position).Error,
		feed.Where("pruned_revision < ?", revision).Update("pruned_revision", revision).Error,
		feed.Where("pruned_before < ?", before).Update("pruned_before", before).Error,
	)
}

// Begin makes a new incarnation, with which all cursors expire, unless another server has made it since the state was read. Finish has
// to be called when the writers of the old one have ended.
func Begin(db *gorm.DB, old State) error {
	q := db.Model(&State{}).Where("id = 1 AND incarnation = ? AND (nonce IS NOT NULL OR database_id <> ?)", old.Incarnation, old.Here)
	return q.Updates(map[string]any{"incarnation": gorm.Expr("incarnation + 1"), "database_id": old.Here, "nonce": nil}).Error
}

// Finish ends what Begin began: from now on there are cursors.
func Finish(db *gorm.DB) error {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	return db.Model(&State{}).Where("id = 1 AND nonce IS NULL").Updates(map[string]any{"nonce": hex.EncodeToString(raw[:])}).Error
}

// ErrDistributed says that a database which is distributed over several machines has no feed.
var ErrDistributed = errors.New("a database that is distributed by client has no change feed")

// ErrExpired says that a cursor is of another incarnation, or that changes behind it are no longer kept.
var ErrExpired = errors.New("the cursor has expired")
