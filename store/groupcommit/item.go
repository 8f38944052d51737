// Package groupcommit lets concurrent requests share one transaction: writes, and so one round trip and one flush of the database's log, or
// reads, and so one round trip. Each request has its own result.
package groupcommit

import (
	"context"
	"errors"
	"fmt"
)

// ErrFull is the result of an item that was not queued: too many wait, or the group is closing.
var ErrFull = errors.New("too many requests wait, or the store is closing")

// PanicError is the result of items whose function panicked. Writes may or may not have been committed.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Item is the part of a write or a read that a Group uses. Types of requests embed it. While Do runs, and after it for an item whose context
// has ended, only the function that serves the item may access it.
type Item[K comparable] struct {
	Ctx context.Context // of the caller
	Key K               // of the row; two writes of one key are never in flight at once
	Err error           // the result

	// Locked means that the item was not written because another transaction has locked its row. The function that writes a batch sets it.
	Locked bool
	// Brief means that the function that writes a batch must not wait long for a locked row, although the item is alone in the batch.
	Brief bool

	done     chan struct{} // closed when the item is answered; nil if the caller of Do writes it
	taken    bool          // by a transaction, so it cannot be canceled
	answered bool
}

// Base returns the item itself, so that a pointer to a type that embeds Item is a Request.
func (i *Item[K]) Base() *Item[K] { return i }

// Answer lets the call of Do return. A function that writes a batch may call it before it returns, and must not access the item
// afterwards.
func (i *Item[K]) Answer() {
	if i.answered = true; i.done != nil {
		close(i.done)
	}
}

// Request is a pointer to a type that embeds Item.
type Request[K comparable] interface {
	comparable
	Base() *Item[K]
}
