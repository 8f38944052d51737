package client_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/client"
)

// A loop gets what is there and what comes, for one client and for all, each change with a cursor to go on from.
func TestFollow(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	app := newApp(t, c, organization)
	patch := func(favorite bool) {
		if _, err := c.UpdateAppWithResponse(t.Context(), organization, app, nil, client.AppPatch{IsFavorite: &favorite}); err != nil {
			t.Error(err)
		}
	}
	cursor := ""
	follow := func(clientID *uuid.UUID, number int, during func(n int)) (got []string) {
		for followed, err := range client.Follow(t.Context(), c, clientID, cursor) {
			if err != nil {
				t.Fatal(err)
			}
			cursor = followed.Cursor
			if change := followed.Change; change.ClientID == organization {
				got = append(got, fmt.Sprintf("%s %s", change.Field, *change.NewValue))
				during(len(got))
			}
			if len(got) == number {
				break
			}
		}
		return got
	}
	got := follow(&organization, 4, func(n int) {
		if n == 3 {
			patch(true)
		}
	})
	if want := "client,client_name,app,is_favorite"; fieldsOf(got) != want || got[3] != "is_favorite true" {
		t.Errorf("followed %q, want %s", got, want)
	}
	patch(false)
	if got := follow(&organization, 1, func(int) {}); got[0] != "is_favorite false" {
		t.Errorf("after the cursor: %q", got)
	}
	end, err := c.ListAllChangesWithResponse(t.Context(), &client.ListAllChangesParams{Since: new("2099-12-31T23:59:59Z")})
	if err != nil {
		t.Fatal(err)
	}
	patch(true)
	cursor = end.JSON200.NextCursor
	if got := follow(nil, 1, func(int) {}); got[0] != "is_favorite true" {
		t.Errorf("from the end of all: %q", got)
	}
}

func fieldsOf(changes []string) string {
	var fields []string
	for _, change := range changes {
		field, _, _ := strings.Cut(change, " ")
		fields = append(fields, field)
	}
	return strings.Join(fields, ",")
}

// Connections that break within an event cost nothing.
func TestFollowConnectsAgain(t *testing.T) {
	t.Parallel()
	plain := newClient(t, token)
	organization := newOrganization(t, plain)
	app := newApp(t, plain, organization)
	if _, err := plain.UpdateAppWithResponse(t.Context(), organization, app, nil, client.AppPatch{IsFavorite: new(true), IsApproved: new(true)}); err != nil {
		t.Fatal(err)
	}
	var sent []string
	c := newClient(t, token, client.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header.Get("Last-Event-ID"))
		response, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && len(sent) < 3 {
			response.Body = &afterOneEvent{body: response.Body}
		}
		return response, err
	})}))
	want := []client.ChangeField{"client", "client_name", "app", "is_approved", "is_favorite"}
	var fields []client.ChangeField
	cursors := []string{""}
	for followed, err := range client.Follow(t.Context(), c, &organization, "") {
		if err != nil {
			t.Fatal(err)
		}
		fields, cursors = append(fields, followed.Change.Field), append(cursors, followed.Cursor)
		if len(fields) == len(want) {
			break
		}
	}
	if !reflect.DeepEqual(fields, want) || !reflect.DeepEqual(sent, cursors[:3]) {
		t.Errorf("followed %v by requests after %q; the cursors were %q", fields, sent, cursors)
	}
}

// afterOneEvent breaks a stream in its second event.
type afterOneEvent struct {
	body io.ReadCloser
	part io.Reader
}

func (a *afterOneEvent) Read(p []byte) (int, error) {
	if a.part == nil {
		var text strings.Builder
		lines := bufio.NewScanner(a.body)
		for ended := false; !ended && lines.Scan(); {
			ended = lines.Text() == ""
			text.WriteString(lines.Text() + "\n")
		}
		lines.Scan()
		text.WriteString(lines.Text() + "\nevent: cha")
		a.part = strings.NewReader(text.String())
	}
	n, err := a.part.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (a *afterOneEvent) Close() error { return a.body.Close() }

// What no later attempt would change ends the loop with an error.
func TestFollowIsRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	// As the server makes it, but of a database that it is not on.
	position := "0123456789abcdef\x007"
	sum := sha256.Sum256([]byte("changes\n/v2/changes\n\x00" + position))
	expired := base64.RawURLEncoding.EncodeToString(append(sum[:8], position...))
	for _, test := range []struct {
		c        *client.ClientWithResponses
		clientID *uuid.UUID
		cursor   string
		code     client.ErrorCode
	}{
		{c, nil, expired, client.ErrorCodeCursorExpired},
		{c, &contoso, expired, client.ErrorCodeInvalidRequest}, // a cursor of another feed
		{c, &slack, "", client.ErrorCodeNotFound},
		{newClient(t, "unknown"), nil, "", client.ErrorCodeUnauthorized},
	} {
		var codes []client.ErrorCode
		for followed, err := range client.Follow(t.Context(), test.c, test.clientID, test.cursor) {
			var refused *client.StatusError
			if !errors.As(err, &refused) {
				t.Fatalf("%s: yielded %v, %v", test.code, followed, err)
			}
			codes = append(codes, refused.Code)
		}
		if !reflect.DeepEqual(codes, []client.ErrorCode{test.code}) {
			t.Errorf("refused with %q, want %q", codes, test.code)
		}
	}
}

// The end of the context ends the loop without an error, while it reads and while it waits.
func TestFollowIsCanceled(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]*client.ClientWithResponses{
		"while it reads": newClient(t, token),
		"while it waits": newClient(t, token, client.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("not sent")
		})})),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		for _, err := range client.Follow(ctx, c, nil, "") {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if time.Since(began) > 10*time.Second {
			t.Errorf("%s: ended after %s", what, time.Since(began))
		}
	}
}

// How long Follow waits before each attempt, by a clock of the test.
func TestFollowPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const position = "id: AAAA\n\n"
		silent := func(r *http.Request) io.ReadCloser { // sends a position and nothing more
			reader, writer := io.Pipe()
			context.AfterFunc(r.Context(), func() { _ = writer.CloseWithError(r.Context().Err()) })
			go func() { _, _ = writer.Write([]byte(position)) }()
			return reader
		}
		type answer struct {
			status     int // 0: none
			kind       string
			body       string // "": as silent
			retryAfter string
			min, max   time.Duration // until the next attempt
		}
		const stream, text = "text/event-stream; charset=utf-8", "application/json"
		unavailable, expired := `{"error":{"code":"unavailable","message":"x"}}`, `{"error":{"code":"cursor_expired","message":"x"}}`
		answers := []answer{
			{min: time.Second / 2, max: time.Second},
			{min: time.Second, max: 2 * time.Second},
			{503, text, unavailable, "7", 9 * time.Second, 11 * time.Second},
			{502, "text/html", "<html>", "", 4 * time.Second, 8 * time.Second},
			{429, text, unavailable, "", 8 * time.Second, 16 * time.Second},
			{500, text, unavailable, "", 15 * time.Second, 30 * time.Second},
			{504, "text/html", "<html>", "Fri, 01 Jan 1999 00:00:00 GMT", 15 * time.Second, 30 * time.Second},
			{200, stream, position, "", time.Second / 2, time.Second},
			{200, stream, ": nothing\n\n", "", time.Second, 2 * time.Second},
			{200, stream, position + "event: error\ndata: " + expired + "\n\n", "", time.Second / 2, time.Second},
			{200, stream, "", "", 45*time.Second + time.Second/2, 46 * time.Second},
			{status: 410, kind: text, body: expired},
		}
		var at atomic.Int64 // of answers
		var began time.Time
		c := newClient(t, token, client.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			n := int(at.Add(1)) - 1
			if n > 0 {
				if waited := time.Since(began); waited < answers[n-1].min || waited > answers[n-1].max {
					t.Errorf("attempt %d came after %s, want %s to %s", n, waited, answers[n-1].min, answers[n-1].max)
				}
			}
			began = time.Now()
			a := answers[n]
			if a.status == 0 {
				return nil, errors.New("not sent")
			}
			response := &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {a.kind}}, Body: io.NopCloser(strings.NewReader(a.body))}
			if a.retryAfter != "" {
				response.Header.Set("Retry-After", a.retryAfter)
			}
			if a.body == "" {
				response.Body = silent(r)
			}
			return response, nil
		})}))
		for followed, err := range client.Follow(t.Context(), c, nil, "") {
			if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || refused.Status != 410 {
				t.Errorf("yielded %v, %v", followed, err)
			}
		}
		if int(at.Load()) != len(answers) {
			t.Errorf("%d attempts, want %d", at.Load(), len(answers))
		}
	})
}

// What is not a stream of changes ends the loop too.
func TestFollowForeign(t *testing.T) {
	t.Parallel()
	for kind, body := range map[string]string{
		"text/html": "<html>", "application/json": "{}", "text/event-stream": "id: AAAA\nevent: change\ndata: {\"id\":\n\n",
	} {
		c := newClient(t, token, client.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}))
		number := 0
		for _, err := range client.Follow(t.Context(), c, nil, "") {
			number++
			var foreign *client.ForeignError
			if isForeign := errors.As(err, &foreign); err == nil || isForeign != (kind != "text/event-stream") {
				t.Errorf("%s: %v", kind, err)
			}
		}
		if number != 1 {
			t.Errorf("%s: yielded %d times", kind, number)
		}
	}
}
