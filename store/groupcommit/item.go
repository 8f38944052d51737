// Package groupcommit lets writes that wait at the same moment share one transaction, and so one round trip and one flush of
// the database's log. Each keeps its own result.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
)

// ErrFull is the result of a write that was not queued: too many wait, or the group is closing.
var ErrFull = errors.New("too many writes wait, or the store is closing")

// PanicError is the result of writes whose function panicked. Whether they were committed is not known.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Item is what a Group knows of a write. Types of writes embed it. Only the function that writes an item touches it between
// Do's call and return.
type Item[K comparable] struct {
	Ctx context.Context // of the caller
	Key K               // of the row: no two items of one key are written at once
	Err error           // the result

	// Locked says that the item was not written because another transaction holds its row. The function that writes a batch sets it.
	Locked bool
	// Brief asks the function that writes a batch not to wait long for a locked row, though the item is alone in the batch.
	Brief bool

	done     chan struct{} // closed with the answer; nil for a caller who writes
	taken    bool          // by a transaction: it cannot be canceled any more
	answered bool
}

// Base returns the item itself: what embeds an Item is a Write.
func (i *Item[K]) Base() *Item[K] { return i }

// Answer releases the caller. A function that writes a batch may call it before it returns; the item must not be touched
// afterwards.
func (i *Item[K]) Answer() {
	if i.answered = true; i.done != nil {
		close(i.done)
	}
}

// Write is a pointer to what embeds an Item.
type Write[K comparable] interface {
	comparable
	Base() *Item[K]
}
