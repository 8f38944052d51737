package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Follower keeps a copy of all apps by following the feed of changes, by pages or as a stream, through all faults.
type Follower struct {
	Name   string
	Stream bool
	Off    func() bool // while it is true, the follower is away; may be nil

	addr, token string
	client      http.Client

	mu       sync.Mutex
	cursor   string
	apps     map[App]*state
	changes  int
	problems []string
}

// NewFollower returns a follower that begins with the oldest change.
func NewFollower(name, addr, token string, stream bool) *Follower {
	return &Follower{Name: name, Stream: stream, addr: addr, token: token, apps: map[App]*state{}}
}

// feedChange is the part of a change that a follower needs.
type feedChange struct {
	Client string          `json:"client_id"`
	App    *string         `json:"app_id"`
	Field  string          `json:"field"`
	Old    json.RawMessage `json:"old_value"`
	New    json.RawMessage `json:"new_value"`
}

// apply takes a change over into the copy. A change that does not begin where the one before ended was preceded by one that is missing,
// or is there twice.
func (f *Follower) apply(c feedChange, cursor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursor = cursor
	f.changes++
	if c.App == nil {
		return
	}
	app := App{Client: c.Client, ID: *c.App}
	s := f.apps[app]
	if s == nil {
		s = &state{licenses: "null", favorite: "false", approved: "false"}
		f.apps[app] = s
	}
	value := map[string]*string{"license_count": &s.licenses, "is_favorite": &s.favorite, "is_approved": &s.approved}[c.Field]
	if value == nil {
		return // the app was added
	}
	if *value != string(c.Old) {
		f.problem("%v: %s changes from %s, but it was %s", app, c.Field, c.Old, *value)
	}
	*value = string(c.New)
}

func (f *Follower) problem(format string, args ...any) {
	if len(f.problems) < 20 {
		f.problems = append(f.problems, f.Name+": "+fmt.Sprintf(format, args...))
	}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		switch {
		case f.Off != nil && f.Off():
			pause(ctx, backoff)
			continue
		case f.Stream:
			f.read(ctx, "/v2/changes/stream", f.readStream)
		default:
			f.read(ctx, "/v2/changes", func(body io.Reader) (bool, error) { return f.readPage(body) })
		}
		pause(ctx, backoff)
	}
}

// CatchUp reads pages until there is no more.
func (f *Follower) CatchUp(ctx context.Context) error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		last := false
		f.read(ctx, "/v2/changes", func(body io.Reader) (bool, error) {
			before := f.changes
			more, err := f.readPage(body)
			last = err == nil && !more && f.changes == before
			return more, err
		})
		if last {
			return nil
		}
		pause(ctx, backoff)
	}
	return errors.New(f.Name + " does not come to the end of the feed")
}

// read sends one request and reads its answer. Failures are no problem: it goes on where it was. A refusal other than 429 and 503 is.
func (f *Follower) read(ctx context.Context, path string, take func(io.Reader) (bool, error)) {
	if f.cursor != "" {
		path += "?cursor=" + f.cursor
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.addr+path, http.NoBody)
	if err != nil {
		f.problem("%v", err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+f.token)
	response, err := f.client.Do(request)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
		_, _ = take(response.Body)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
	default:
		f.problem("%s: %s", path, response.Status)
	}
}

func (f *Follower) readPage(body io.Reader) (more bool, err error) {
	var page struct {
		Data    []feedChange `json:"data"`
		Next    string       `json:"next_cursor"`
		HasMore bool         `json:"has_more"`
	}
	if err := json.NewDecoder(body).Decode(&page); err != nil {
		return true, err
	}
	for _, c := range page.Data {
		f.apply(c, page.Next)
	}
	f.cursor = page.Next
	return page.HasMore, nil
}

// readStream reads events until the stream ends, or breaks in the middle of one, or the follower goes away.
func (f *Follower) readStream(body io.Reader) (bool, error) {
	id, data, name := "", "", ""
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if name == "change" {
				var c feedChange
				if err := json.Unmarshal([]byte(data), &c); err != nil {
					f.problem("%s: %v", data, err)
				}
				f.apply(c, id)
			} else if id != "" {
				f.cursor = id
			}
			id, data, name = "", "", ""
			if f.Off != nil && f.Off() {
				return true, nil
			}
		}
	}
	return true, lines.Err()
}

// Compare returns how many apps the copy has in another state than the database, and what was wrong on the way.
func (f *Follower) Compare(ctx context.Context, w *Fixture) (apart int, problems []string, err error) {
	db, err := w.open()
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = db.Close() }()
	_, states, err := readHistory(ctx, db, &Comparison{})
	if err != nil {
		return 0, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	problems = f.problems
	for app, want := range states {
		got := f.apps[app]
		if got == nil || got.licenses != want.licenses || got.favorite != want.favorite || got.approved != want.approved {
			apart++
			problems = append(problems, fmt.Sprintf("%s: %v is %+v in the copy, and %+v", f.Name, app, got, want))
		}
	}
	for app := range f.apps {
		if states[app] == nil {
			apart++
			problems = append(problems, fmt.Sprintf("%s: %v is in the copy alone", f.Name, app))
		}
	}
	return apart, problems, nil
}
