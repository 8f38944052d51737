package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// event is a block of a stream.
type event struct{ id, name, data string }

// stream is a stream that a test reads.
type stream struct {
	*http.Response

	events chan event // closed at the end
}

// openStream opens a stream and reads it until the test ends, or close is called.
func openStream(t *testing.T, c *servertest.Client, target string, header ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	request.Header.Set("Accept-Encoding", "gzip")
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%s: %d %s", target, response.StatusCode, got)
	}
	s := &stream{response, make(chan event, 10_000)}
	go func() {
		defer close(s.events)
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				s.events <- e
				e = event{}
			}
		}
	}()
	return s
}

// next returns the next event, or fails after some time. Positions without an event are skipped.
func (s *stream) next(t *testing.T) event {
	t.Helper()
	for timeout := time.After(time.Minute); ; {
		select {
		case e, ok := <-s.events:
			if !ok {
				t.Fatal("the stream has ended")
			}
			if e.name != "" {
				return e
			}
		case <-timeout:
			t.Fatal("no event")
		}
	}
}

// change returns the next event, which is a change.
func (s *stream) change(t *testing.T) (gen.Change, string) {
	t.Helper()
	e := s.next(t)
	var c gen.Change
	if e.name != "change" || e.id == "" {
		t.Fatalf("%+v is no change", e)
	}
	decodeJSON(t, e.data, &c)
	return c, e.id
}

// wantEnd checks that a stream ends, with an error if code is not empty.
func (s *stream) wantEnd(t *testing.T, code string) {
	t.Helper()
	if code != "" {
		var body gen.Error
		if e := s.next(t); e.name != "error" || e.id != "" || json.Unmarshal([]byte(e.data), &body) != nil || string(body.Error.Code) != code {
			t.Errorf("%+v, want the error %s", e, code)
		}
	}
	for timeout := time.After(time.Minute); ; {
		select {
		case e, ok := <-s.events:
			if !ok {
				return
			}
			if e.name != "" {
				t.Errorf("%+v instead of the end", e)
			}
		case <-timeout:
			t.Fatal("the stream does not end")
		}
	}
}

// A stream sends the existing changes, then new ones, and resumes after a disconnect. Its cursors are those of the list.
func TestChangeStream(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		feed := clientPath + "/changes"
		all := awaitChanges(t, s.Client, feed, "", 3)
		st := openStream(t, s.Client, feed+"/stream")
		for _, want := range all {
			if got, _ := st.change(t); summary(got) != summary(want) || got.ID != want.ID {
				t.Errorf("%s, want %s", summary(got), summary(want))
			}
		}
		s.Patch(t, appPath, `{"is_favorite":true,"is_approved":true}`)
		first, id := st.change(t)
		second, _ := st.change(t)
		wantChanges(t, []gen.Change{first, second}, `aa7c f1a2 a1b2 is_approved false true by everything`, `aa7c f1a2 a1b2 is_favorite false true by everything`)
		_ = st.Body.Close()
		// Last-Event-ID takes precedence over since.
		for _, c := range []struct {
			target string
			header []string
		}{
			{feed + "/stream", []string{"Last-Event-ID: " + id}},
			{feed + "/stream?since=2026-01-01T00:00:00Z", []string{"Last-Event-ID: " + id}},
			{feed + "/stream?cursor=" + id, nil},
		} {
			again := openStream(t, s.Client, c.target, c.header...)
			if got, _ := again.change(t); got.ID != second.ID {
				t.Errorf("%s goes on with %s", c.target, summary(got))
			}
		}
		wantChanges(t, awaitChanges(t, s.Client, feed, "cursor="+id, 1), summary(second))
		// Filters, and the feed of all clients.
		marks := openStream(t, s.Client, "/v2/changes/stream?"+feedEnd+"&field=is_favorite&client_id="+otherClientID)
		s.Patch(t, appPath, `{"is_favorite":false}`)
		s.Patch(t, otherClientPath+"/apps/b2a2b3c4-d5e6-7890-abcd-ef1234567890", `{"is_approved":true,"is_favorite":true}`)
		got, _ := marks.change(t)
		wantChanges(t, []gen.Change{got}, `bb7c b2a2 a1b2 is_favorite false true by everything`)
	})
}

// A request that is refused before the stream begins gets an ordinary error response.
func TestStreamsAreRefused(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		path := clientPath + "/changes/stream"
		_, end := follow(t, s.Client, clientPath+"/changes", feedEnd)
		other := withToken(t, s, store.Token{Name: "other", Scopes: "apps:read", ClientIDs: []uuid.UUID{id(otherClientID)}})
		for _, c := range []struct {
			client *servertest.Client
			target string
			header []string
			status int
		}{
			{s.Client, path + "?cursor=AAECAwQFBgc", nil, 400},
			{s.Client, path, []string{"Last-Event-ID: AAECAwQFBgc"}, 400},
			{s.Client, path + "?page_size=1", nil, 400},
			{s.Client, path + "?field=app&cursor=" + end, nil, 400},
			{s.Client, path + "?since=2026-01-01T00:00:00Z&cursor=" + end, nil, 400},
			{&servertest.Client{URL: s.URL}, path, nil, 401},
			{other, path, nil, 403},
			{other, "/v2/changes/stream?client_id=" + clientID, nil, 403},
			{s.Client, "/v2/clients/" + nilID + "/changes/stream", nil, 404},
			{s.Client, path, []string{"Accept: application/json"}, 406},
			{s.Client, "/v2/changes/stream?cursor=" + feedCursor("changes\n/v2/changes\n", "0123456789abcdef", "7"), nil, 410},
			{s.Client, path + "?cursor=" + feedCursor("changes\n"+clientPath+"/changes\n", "0123456789abcdef", "7"), nil, 410},
		} {
			got := c.client.Send(t, servertest.Request{Method: "GET", Target: c.target, Header: c.header})
			if got.Status != c.status || got.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %v: %d %s, want %d", c.target, c.header, got.Status, got.Body, c.status)
			}
		}
		// HEAD gets only the header of a stream.
		head := s.Send(t, servertest.Request{Method: "HEAD", Target: path})
		if head.Status != http.StatusOK || head.Header.Get("Content-Type") != "text/event-stream" || head.Body != "" {
			t.Errorf("HEAD: %d %v %q", head.Status, head.Header, head.Body)
		}
	})
}

// A stream ends with an error when its token is revoked or its client is deleted.
func TestStreamsEnd(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		secret, token := s.NewToken(t, store.Token{Name: "reader", Scopes: "apps:read", AllClients: true})
		reader := &servertest.Client{URL: s.URL, Token: secret}
		revoked := openStream(t, reader, "/v2/changes/stream?"+feedEnd)
		deleted := openStream(t, s.Client, clientPath+"/changes/stream?"+feedEnd)
		filtered := openStream(t, s.Client, clientPath+"/changes/stream?field=is_favorite&"+feedEnd)
		if got := s.Send(t, servertest.Request{Method: "DELETE", Target: "/v2/tokens/" + token.ID.String()}); got.Status != http.StatusNoContent {
			t.Fatal(got.Status, got.Body)
		}
		s.Patch(t, clientPath, `{"status":"suspended"}`)
		if got, _ := deleted.change(t); string(got.Field) != "client_status" {
			t.Error(summary(got))
		}
		if got := s.Send(t, servertest.Request{Method: "DELETE", Target: clientPath}); got.Status != http.StatusNoContent {
			t.Fatal(got.Status, got.Body)
		}
		deleted.wantEnd(t, "not_found")
		filtered.wantEnd(t, "not_found")
		for range 2 { // the changes of the client come first, if they are quick enough
			if e := revoked.next(t); e.name == "error" {
				if !strings.Contains(e.data, "unauthorized") {
					t.Errorf("%+v", e)
				}
				return
			}
		}
		revoked.wantEnd(t, "unauthorized")
	})
}

// A stream without changes sends its position, so that a reader that reconnects later resumes there.
func TestStreamHeartbeat(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		st := openStream(t, s.Client, clientPath+"/changes/stream?"+feedEnd)
		positions := map[string]bool{}
		// Transactions of other databases may hold the position for a while.
		for i, end := 0, time.Now().Add(time.Minute); i < 6 || len(positions) < 2 && time.Now().Before(end); i++ {
			s.Patch(t, otherClientPath+"/apps/b2a2b3c4-d5e6-7890-abcd-ef1234567890", fmt.Sprintf(`{"license_count":%d}`, i))
			select {
			case e := <-st.events:
				if e.name != "" || e.id == "" {
					t.Errorf("%+v is not a position", e)
				}
				positions[e.id] = true
			case <-time.After(time.Minute):
				t.Fatal("no heartbeat")
			}
			time.Sleep(300 * time.Millisecond)
		}
		if len(positions) < 2 {
			t.Errorf("the position does not move: %v", positions)
		}
		for cursor := range positions {
			wantChanges(t, awaitChanges(t, s.Client, clientPath+"/changes", "cursor="+cursor, 0))
		}
	}, func(cfg *server.Config) { cfg.Heartbeat = 200 * time.Millisecond })
}

// Streams have a limit of their own, of which one token may use half.
func TestMaxStreams(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		path := "/v2/changes/stream?" + feedEnd
		first, second := openStream(t, s.Client, path), openStream(t, s.Client, path)
		if got := s.SendBoth(t, servertest.Request{Method: http.MethodGet, Target: path}); got.Status != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
			t.Errorf("a third stream of the token: %d %s", got.Status, got.Body)
		}
		other := withToken(t, s, store.Token{Name: "other", Scopes: "apps:read", AllClients: true})
		openStream(t, other, path)
		openStream(t, other, path)
		third := withToken(t, s, store.Token{Name: "third", Scopes: "apps:read", AllClients: true})
		if got := third.SendBoth(t, servertest.Request{Method: http.MethodGet, Target: path}); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("one more stream: %d %s", got.Status, got.Body)
		}
		if got := s.Get(t, appPath); got.Status != http.StatusOK {
			t.Errorf("a request beside them: %d", got.Status)
		}
		_, _ = first.Body.Close(), second.Body.Close()
		eventually(t, func() bool { return third.Get(t, path).Status == http.StatusOK }) // when the two have ended
	}, func(cfg *server.Config) { cfg.MaxStreams, cfg.MaxInFlight = 4, 2 })
}

// Many streams see the same changes, in the same order.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		const streams, patches = 30, 40
		var all []*stream
		for range streams {
			all = append(all, openStream(t, s.Client, "/v2/changes/stream?"+feedEnd))
		}
		var writing sync.WaitGroup
		for _, path := range []string{appPath, otherClientPath + "/apps/b2a2b3c4-d5e6-7890-abcd-ef1234567890"} {
			writing.Go(func() {
				for i := range patches {
					s.Patch(t, path, fmt.Sprintf(`{"license_count":%d}`, i))
				}
			})
		}
		writing.Wait()
		var want []string
		for i, one := range all {
			var got []string
			for range 2 * patches {
				change, _ := one.change(t)
				got = append(got, change.ID.String())
			}
			if want == nil {
				want = got
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("stream %d saw other changes, or in another order", i)
			}
		}
	})
}

// At shutdown a stream just ends, before the requests in flight do.
func TestStreamsEndAtShutdown(t *testing.T) {
	t.Parallel()
	r := run(t, time.Minute, func(c *server.Config) { c.DrainDelay = 100 * time.Millisecond })
	st := openStream(t, r.client, clientPath+"/changes/stream?"+feedEnd)
	r.stop()
	st.wantEnd(t, "")
	if err := <-r.stopped; err != nil {
		t.Error(err)
	}
}

// A transaction that has written and does not end holds the feed up, for its cluster, and the metric says for how long.
func TestOpenTransactionHoldsTheFeedUp(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, storetest.Postgres(t))
	awaitChanges(t, s.Client, clientPath+"/changes", "", 3)
	tx, err := storetest.SQL(t, s.DatabaseURL).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	s.Patch(t, appPath, `{"is_favorite":true}`)
	held, cursor := follow(t, s.Client, clientPath+"/changes", "")
	lag := time.Duration(0)
	for hour := time.Duration(1); hour < 100 && lag < time.Hour; hour++ { // older transactions of other tests end meanwhile
		s.SetTime(storetest.Now.Add(hour * time.Hour))
		_, _ = follow(t, s.Client, clientPath+"/changes", "")
		lag = s.Store.Stats().Changes.Lag
	}
	if len(held) != 3 || lag < time.Hour {
		t.Errorf("%d changes, and a lag of %s", len(held), lag)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantChanges(t, awaitChanges(t, s.Client, clientPath+"/changes", "cursor="+cursor, 1), `aa7c f1a2 a1b2 is_favorite false true by everything`)
}
