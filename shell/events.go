package shell

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	eventStream = "text/event-stream"
	// maxLine bounds a line of a stream, in bytes.
	maxLine = 1 << 20
	// idleTimeout is how long a stream may send nothing, not even a keep-alive, before --follow connects again.
	idleTimeout = 45 * time.Second
	// maxPause bounds the wait before --follow connects again. It begins with a second, and doubles.
	maxPause = 30 * time.Second
	// lastEventID resumes a stream behind an event (the HTML Standard, 9.2.4).
	lastEventID = "Last-Event-ID"
)

// printStream prints the data of events until the server ends the stream; with --follow it then connects again, behind the last event.
func (c *call) printStream(ctx context.Context, sender *requestSender, newRequest func() (*http.Request, error), format string) error {
	var list list = ndjsonList{c.Stdout}
	columns := c.eventColumns()
	switch {
	case columns == nil:
	case format == formatCSV:
		list = newCSVList(c.Stdout, columns)
	case format == formatTable:
		list = &tableList{w: c.Stdout, width: c.Width, columns: byImportance(columns)}
	}
	id, wait := "", time.Second
	for {
		r, err := newRequest()
		if err != nil {
			return err
		}
		r.Header.Set("Accept", eventStream)
		if id != "" {
			r.Header.Set(lastEventID, id)
		}
		last, err := c.readEvents(ctx, sender, r, list)
		if last != "" {
			id, wait = last, time.Second
		}
		var refused *ResponseError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !c.follow:
			return err
		case errors.As(err, &refused) && refused.Status < 500 && refused.Status != http.StatusTooManyRequests, errors.Is(err, errPrint):
			return err
		}
		if err != nil {
			_, _ = fmt.Fprintf(c.Stderr, "%v; connecting again\n", err)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, maxPause)
	}
}

// errPrint means that the output cannot be written, or that an event is not JSON.
var errPrint = errors.New("print an event")

// readEvents prints the events of one connection, and returns the last id.
func (c *call) readEvents(ctx context.Context, sender *requestSender, r *http.Request, list list) (id string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idleTimer := time.AfterFunc(idleTimeout, cancel)
	defer idleTimer.Stop()
	response, err := sender.do(r.WithContext(ctx))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	var kind, text string
	for lines.Scan() {
		idleTimer.Reset(idleTimeout)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "id":
			id = value
		case name == "event":
			kind = value
		case name == "data":
			text += value
		case lines.Text() != "" || text == "":
		case kind == "error":
			return id, streamError(text)
		default:
			if err := list.add([]json.RawMessage{json.RawMessage(text)}); err != nil {
				return id, errors.Join(errPrint, err)
			}
			kind, text = "", ""
		}
	}
	return id, lines.Err()
}

// streamError returns the error that a stream ended with.
func streamError(text string) error {
	var body struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		return errors.New("the stream ended with an error")
	}
	return errors.New(printable("the stream ended: " + body.Error.Code + ": " + body.Error.Message))
}

// eventColumns returns the columns of an event: those of the list that the stream belongs to, which has the path before the last
// segment. It is nil if there is none.
func (c *call) eventColumns() []column {
	path := c.op.Path[:strings.LastIndexByte(c.op.Path, '/')]
	for _, op := range c.doc.Operations {
		if op.Path == path && op.Method == http.MethodGet {
			feed := &call{shell: c.shell, op: op}
			if feed.isFeed() {
				return feed.itemColumns()
			}
		}
	}
	return nil
}
