package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/clientapps/clientapps/client"
)

// script is a server in memory that gives one answer after the other, the last for ever. With it time need not pass: see synctest.
type script struct {
	answers []func(http.ResponseWriter)
	bodies  []string
	at      []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	s.bodies, s.at = append(s.bodies, string(body)), append(s.at, time.Now())
	w := httptest.NewRecorder()
	s.answers[min(len(s.bodies), len(s.answers))-1](w)
	response := w.Result()
	response.Request = r
	return response, r.Context().Err()
}

// waits returns how long it took from each request to the next.
func (s *script) waits() (between []time.Duration) {
	for i := range s.at[1:] {
		between = append(between, s.at[i+1].Sub(s.at[i]))
	}
	return between
}

// scripted returns a client of such a server.
func scripted(t *testing.T, answers ...func(http.ResponseWriter)) (*client.ClientWithResponses, *script) {
	t.Helper()
	s := &script{answers: answers}
	c, err := client.New("http://api.invalid/v2", token, client.WithHTTPClient(&http.Client{Transport: s}))
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

func answer(status int, mediaType, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", mediaType)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// busy is the API's 503, and limited its 429.
func busy(retryAfter string) func(http.ResponseWriter) {
	return answer(503, "application/json", `{"error":{"code":"unavailable","message":"x"}}`, "Retry-After", retryAfter)
}

func limited(retryAfter string) func(http.ResponseWriter) {
	return answer(429, "application/json", `{"error":{"code":"rate_limited","message":"x"}}`, "Retry-After", retryAfter)
}

var found = answer(200, "application/json", `{"id":"f1a2b3c4-d5e6-7890-abcd-ef1234567890"}`)

func patchSlack(ctx context.Context, c *client.ClientWithResponses, editors ...client.RequestEditorFn) error {
	patch := client.AppPatch{LicenseCount: nullable.NewNullableWithValue[int32](50)}
	_, err := c.UpdateAppWithResponse(ctx, contoso, slack, nil, patch, editors...)
	return err
}

// A write is sent again, as it was, after at least Retry-After, and not much later.
func TestRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, busy("2"), limited("1"), busy("0"), found)
		if err := patchSlack(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if want := slices.Repeat([]string{`{"license_count":50}`}, 4); !slices.Equal(s.bodies, want) {
			t.Errorf("sent %q", s.bodies)
		}
		for i, wait := range s.waits() {
			asked := []time.Duration{2 * time.Second, time.Second, 0}[i]
			pause := 500 * time.Millisecond << i
			if wait < asked+pause/2 || wait >= asked+pause {
				t.Errorf("wait %d is %v", i, wait)
			}
		}
	})
}

// After the last attempt the refusal is returned.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, limited("1"))
		err := patchSlack(t.Context(), c)
		if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || refused.Status != 429 || len(s.bodies) != 1+client.MaxRetries {
			t.Errorf("%v after %d requests", err, len(s.bodies))
		}
	})
}

// What may have been done, cannot be sent again, or should not be, is sent once.
func TestNoRetry(t *testing.T) {
	t.Parallel()
	read := func(ctx context.Context, c *client.ClientWithResponses, editors ...client.RequestEditorFn) error {
		_, err := c.GetAppWithResponse(ctx, contoso, slack, nil, editors...)
		return err
	}
	page := func(status int, header ...string) func(http.ResponseWriter) {
		return answer(status, "text/html", "<html>", header...)
	}
	for name, once := range map[string]struct {
		send  func(context.Context, *client.ClientWithResponses, ...client.RequestEditorFn) error
		first func(http.ResponseWriter)
		sent  int
	}{
		"success":                    {patchSlack, found, 1},
		"too long":                   {patchSlack, busy("31"), 1},
		"just not too long":          {patchSlack, busy("30"), 2},
		"a date":                     {patchSlack, busy("Sat, 01 Jan 2000 00:00:02 GMT"), 2}, // where synctest begins
		"no Retry-After":             {patchSlack, answer(503, "application/json", `{"error":{"code":"unavailable","message":"x"}}`), 1},
		"another error":              {patchSlack, answer(500, "application/json", `{"error":{"code":"outcome_unknown","message":"x"}}`, "Retry-After", "1"), 1},
		"a write, and a proxy's 503": {patchSlack, page(503, "Retry-After", "1"), 1},
		"a read, and a proxy's 503":  {read, page(503, "Retry-After", "1"), 2},
		"a read, and a proxy's 502":  {read, page(502, "Retry-After", "1"), 1},
		"a proxy says not when":      {read, page(503), 1},
		"it was asked for once": {func(ctx context.Context, c *client.ClientWithResponses, _ ...client.RequestEditorFn) error {
			return patchSlack(ctx, c, client.NoRetry)
		}, busy("1"), 1},
		"a body that can be read once": {func(ctx context.Context, c *client.ClientWithResponses, _ ...client.RequestEditorFn) error {
			_, err := c.ImportAppsWithBodyWithResponse(ctx, contoso, client.NDJSON, struct{ io.Reader }{strings.NewReader("{}\n")})
			return err
		}, busy("1"), 1},
		"a body that can be read again": {func(ctx context.Context, c *client.ClientWithResponses, _ ...client.RequestEditorFn) error {
			_, err := c.ImportAppsWithBodyWithResponse(ctx, contoso, client.NDJSON, strings.NewReader("{}\n"))
			return err
		}, busy("1"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := scripted(t, once.first, found)
				err := once.send(t.Context(), c)
				if good := once.sent == 2 || name == "success"; len(s.bodies) != once.sent || (err == nil) != good {
					t.Errorf("%d requests, %v", len(s.bodies), err)
				}
			})
		})
	}
}

// A client can be made that never sends again.
func TestNoRetryForAll(t *testing.T) {
	t.Parallel()
	s := &script{answers: []func(http.ResponseWriter){busy("1"), found}}
	c, err := client.New("http://api.invalid/v2", token, client.WithRequestEditorFn(client.NoRetry), client.WithHTTPClient(&http.Client{Transport: s}))
	if err != nil {
		t.Fatal(err)
	}
	if err := patchSlack(t.Context(), c); err == nil || len(s.bodies) != 1 {
		t.Errorf("%d requests, %v", len(s.bodies), err)
	}
}

// A context ends the wait, and a deadline that comes before the wait is over makes it needless.
func TestContextEndsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		c, s := scripted(t, busy("5"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := patchSlack(ctx, c)
		if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || len(s.bodies) != 1 || time.Since(begun) != 0 {
			t.Errorf("a deadline: %v after %d requests and %v", err, len(s.bodies), time.Since(begun))
		}
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		time.AfterFunc(time.Second, cancel)
		err = patchSlack(ctx, c)
		if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || !errors.Is(err, context.Canceled) || len(s.bodies) != 2 || time.Since(begun) != time.Second {
			t.Errorf("canceled: %v after %d requests and %v", err, len(s.bodies), time.Since(begun))
		}
	})
}

// Follow has waits of its own, between one connection and the next.
func TestFollowIsNotRetriedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, busy("1"), busy("1"), busy("1"), answer(404, "application/json", `{"error":{"code":"not_found","message":"x"}}`))
		for _, err := range client.Follow(t.Context(), c, nil, "") {
			if err == nil {
				t.Error("a change")
			}
		}
		for i, wait := range s.waits() {
			if pause := time.Second << i; wait < time.Second+pause/2 || wait >= time.Second+pause {
				t.Errorf("wait %d is %v", i, wait)
			}
		}
		if len(s.at) != 4 {
			t.Errorf("%d requests", len(s.at))
		}
	})
}

// An export that was refused has not begun.
func TestExportIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, busy("1"), answer(200, client.NDJSON, `{"canonical_name":"Slack"}`+"\n"))
		var names []string
		for row, err := range client.ExportApps(t.Context(), c, contoso, nil) {
			names = append(names, fmt.Sprint(row.CanonicalName, err))
		}
		if !slices.Equal(names, []string{"Slack<nil>"}) || len(s.at) != 2 {
			t.Errorf("%q after %d requests", names, len(s.at))
		}
	})
}

// The server allows one test of a webhook in ten seconds. Its 429 is returned at once when there is no time to wait.
func TestRetryOfARealRefusal(t *testing.T) {
	t.Parallel()
	c := newClient(t, token)
	organization := newOrganization(t, c)
	hook, err := c.CreateWebhookWithResponse(t.Context(), client.WebhookCreate{ClientID: nullable.NewNullableWithValue(organization), URL: "http://127.0.0.1:9/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.TestWebhookWithResponse(t.Context(), hook.JSON201.ID); err != nil {
		t.Fatal(err)
	}
	bounded, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, first := c.TestWebhookWithResponse(bounded, hook.JSON201.ID)
	_, second := c.TestWebhookWithResponse(t.Context(), hook.JSON201.ID, client.NoRetry)
	for _, err := range []error{first, second} {
		if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || refused.Code != client.ErrorCodeRateLimited {
			t.Errorf("%v", err)
		}
	}
}
