package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Followed is a change, and the cursor behind it. A caller keeps the cursor together with what it makes of the change.
type Followed struct {
	Change Change
	Cursor string
}

const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// idleTimeout is how long a stream may send nothing before Follow connects again. The server sends at least every 15 seconds.
	idleTimeout = 45 * time.Second
	// maxStreamLine is in bytes. The longest lines are cursors, of at most 16 KiB, and changes.
	maxStreamLine = 1 << 20
	eventStream   = "text/event-stream"
)

// Follow yields the changes of a client, or with a nil clientID those of all clients that the token covers: those after the
// cursor, or from the oldest one on with an empty cursor, and then each change when it comes, until ctx ends.
//
//	for followed, err := range client.Follow(ctx, c, nil, cursor) {
//
// To begin at the end, take NextCursor from ListChangesWithResponse, or from ListAllChangesWithResponse when clientID is nil, with
// Since in the future and without filters.
//
// Follow reads the stream of server-sent events, and connects again, behind the last change, whenever the connection ends or cannot
// be made, and when the answer is 429 or 5xx, whoever sent it. Before that it waits for as long as Retry-After says, and then for a
// second, or twice as long after each failure in a row, up to 30 seconds; less up to half of it, by chance. A timeout of the
// http.Client, such as DefaultTimeout, ends a connection too, so Follow connects again that often. No change is missed or repeated.
//
// Any other refusal is yielded as the last pair: a *StatusError such as 401, 403, 404 or 410 cursor_expired, or a *ForeignError.
// The end of ctx ends the loop without an error. c must come from New.
func Follow(ctx context.Context, c *ClientWithResponses, clientID *UUID, cursor string) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		cursor, pause := cursor, firstPause // for each loop over the result
		for {
			s := changeStream{cursor: cursor}
			err := s.read(ctx, c, clientID, yield)
			wait, reconnect := shouldReconnect(err)
			switch {
			case s.stopped || ctx.Err() != nil:
				return
			case !reconnect:
				yield(Followed{}, err)
				return
			}
			if cursor = s.cursor; s.received {
				pause = firstPause
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait + pause/2 + rand.N(pause/2)): //nolint:gosec // spreads the load, hides nothing
			}
			pause = min(2*pause, maxPause)
		}
	}
}

// errUnreadable means that an event is not in the form of the contract.
var errUnreadable = errors.New("read a change")

// shouldReconnect reports whether to connect again after a connection has ended, with an error or nil, and the minimum wait.
func shouldReconnect(err error) (wait time.Duration, reconnect bool) {
	var refused *StatusError
	var foreign *ForeignError
	var status int
	var header http.Header
	switch {
	case errors.Is(err, errUnreadable):
		return 0, false
	case errors.As(err, &refused):
		status, header = refused.Status, refused.Header
	case errors.As(err, &foreign):
		status, header = foreign.Status, foreign.Header
	default:
		return 0, true
	}
	return retryAfter(header), status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// retryAfter returns how long a header asks to wait: in seconds, or until a time, which only proxies send.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0) //nolint:forbidigo // a client has no other clock
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// changeStream is one connection.
type changeStream struct {
	cursor   string // behind what was read
	received bool   // an event or a position was read
	stopped  bool   // by the caller
}

// read yields the changes of one connection until it ends.
func (s *changeStream) read(ctx context.Context, c *ClientWithResponses, clientID *UUID, yield func(Followed, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idleTimer := time.AfterFunc(idleTimeout, cancel)
	defer idleTimer.Stop()
	response, err := s.open(ctx, c, clientID)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxStreamLine)
	var e event
	for lines.Scan() {
		if !e.add(lines.Text()) {
			continue
		}
		if e.kind == "error" {
			return nil // the next answer says with a status what is wrong
		}
		if e.id != "" {
			s.cursor, s.received = e.id, true
		}
		if e.kind == "change" {
			followed := Followed{Cursor: s.cursor}
			if err := json.Unmarshal([]byte(e.data), &followed.Change); err != nil {
				return fmt.Errorf("%w: %w", errUnreadable, err)
			}
			idleTimer.Stop() // the caller may take its time
			if s.stopped = !yield(followed, nil); s.stopped {
				return nil
			}
		}
		idleTimer.Reset(idleTimeout)
		e = event{}
	}
	return lines.Err()
}

// open sends the request of a stream, which is that of the list but for its path and headers.
func (s *changeStream) open(ctx context.Context, c *ClientWithResponses, clientID *UUID) (*http.Response, error) {
	toStream := func(_ context.Context, r *http.Request) error {
		r.URL = r.URL.JoinPath("stream")
		r.Header.Set("Accept", eventStream)
		if s.cursor != "" {
			r.Header.Set("Last-Event-ID", s.cursor)
		}
		return nil
	}
	if clientID != nil {
		return c.ListChanges(ctx, *clientID, nil, toStream)
	}
	return c.ListAllChanges(ctx, nil, toStream)
}

// event is a server-sent event (the HTML Standard, 9.2.6).
type event struct{ id, kind, data string }

// add adds a line, and reports whether it was the empty one that ends the event. One without data is only a position: no kind.
func (e *event) add(line string) (ended bool) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		e.id = value
	case "event":
		e.kind = value
	case "data":
		e.data += value // the server sends one line
	case "":
		return line == ""
	}
	return false
}
