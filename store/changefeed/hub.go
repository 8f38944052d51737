package changefeed

import (
	"slices"
	"sort"
	"sync"
)

// Item is a change with its place.
type Item[T any] struct {
	Key   Key
	Value T
}

// Hub keeps the newest changes of a feed in memory for all followers on this server, so that the database is read once for all of them.
// Its methods are safe for concurrent use.
type Hub[T any] struct {
	size int

	mu        sync.Mutex
	followers int
	items     []Item[T] // the changes between begin and end
	begin     Key
	end       Key
	valid     bool          // begin and end are set
	changed   chan struct{} // closed when end moves
	joined    chan struct{} // has an element after the first follower has joined
}

// NewHub returns a hub that keeps at most this many changes.
func NewHub[T any](size int) *Hub[T] {
	return &Hub[T]{size: size, changed: make(chan struct{}), joined: make(chan struct{}, 1)}
}

// Join adds a follower until leave is called.
func (h *Hub[T]) Join() (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.followers++; h.followers == 1 {
		select {
		case h.joined <- struct{}{}:
		default:
		}
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.followers--
	}
}

// Followers returns the number of followers.
func (h *Hub[T]) Followers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.followers
}

// Joined returns a channel that receives when a follower joins and there was none before.
func (h *Hub[T]) Joined() <-chan struct{} { return h.joined }

// Reset drops all changes. Followers have to read the database until the next Publish.
func (h *Hub[T]) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.items, h.valid = nil, false
	h.wake()
}

// End returns the key up to which the hub knows the feed, and false if it knows nothing.
func (h *Hub[T]) End() (Key, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end, h.valid
}

// Publish adds the changes between begin and end. begin is the end of the last call: with any other begin, the hub first drops what it has.
func (h *Hub[T]) Publish(begin Key, items []Item[T], end Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.valid || h.end != begin {
		h.items, h.begin, h.valid = nil, begin, true
		h.wake() // earlier changes have to be read from the database
	}
	if h.end = end; begin == end {
		return
	}
	h.items = append(h.items, items...)
	if excess := len(h.items) - h.size; excess > 0 {
		h.begin = h.items[excess-1].Key
		h.items = slices.Clone(h.items[excess:])
	}
	if len(items) > 0 {
		h.wake()
	}
}

func (h *Hub[T]) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// After returns the changes behind a key, up to end, and a channel that is closed when there are more. known is false when the hub does
// not have all of them: they have to be read from the database. The caller must not change items.
func (h *Hub[T]) After(k Key) (items []Item[T], end Key, more <-chan struct{}, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.valid || k.Compare(h.begin) < 0 {
		return nil, Key{}, h.changed, false
	}
	if k.Compare(h.end) >= 0 {
		return nil, k, h.changed, true
	}
	first := sort.Search(len(h.items), func(i int) bool { return h.items[i].Key.Compare(k) > 0 })
	return h.items[first:len(h.items):len(h.items)], h.end, h.changed, true
}
