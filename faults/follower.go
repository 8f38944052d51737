package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// Follower keeps a copy of all apps by following the feed of changes, by pages or as a stream, through all faults.
type Follower struct {
	appCopy

	Stream bool
	Paused func() bool // while it returns true, the follower reads nothing; may be nil

	addr, token string
	client      http.Client
	cursor      string
}

// NewFollower returns a follower that begins with the oldest change.
func NewFollower(name, addr, token string, stream bool) *Follower {
	return &Follower{appCopy: newAppCopy(name), Stream: stream, addr: addr, token: token}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		switch {
		case f.Paused != nil && f.Paused():
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

// read sends one request and reads its answer. After a failure the next request resumes at the cursor. A refusal other than 429 and 503
// is recorded as a problem.
func (f *Follower) read(ctx context.Context, path string, readBody func(io.Reader) (bool, error)) {
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
		_, _ = readBody(response.Body)
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
		f.apply(c)
	}
	f.cursor = page.Next
	return page.HasMore, nil
}

// readStream reads events until the stream ends, or breaks in the middle of one, or the follower is paused.
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
				f.apply(c)
			}
			if id != "" {
				f.cursor = id
			}
			id, data, name = "", "", ""
			if f.Paused != nil && f.Paused() {
				return true, nil
			}
		}
	}
	return true, lines.Err()
}
