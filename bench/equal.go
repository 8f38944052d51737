package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/clientapps/clientapps/bench/dataset"
)

// response is one answer of a contender, with the name of its step.
type response struct {
	what   string
	status int
	body   string
}

// checkAnswers sends the same requests to every contender and compares the answers. A contender that does less is not comparable.
func (h *harness) checkAnswers(ctx context.Context) error {
	var problems []error
	var first *contender
	var want []response
	for _, c := range h.contenders {
		if c.process == nil {
			problems = append(problems, h.checkStatement(ctx, c))
			continue
		}
		if c.name == "http" {
			continue // it has a fixed answer
		}
		got, err := c.answers(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", c.name, err))
			continue
		}
		if first == nil || c.size != first.size {
			first, want = c, got
			continue
		}
		problems = append(problems, compare(c, first, got, want))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	slog.Info("all contenders give the same answers")
	return nil
}

func compare(c, first *contender, got, want []response) error {
	var problems []error
	for i := range want {
		if c.name == "ours-unchecked" && want[i].status == http.StatusBadRequest {
			continue // it does not validate
		}
		same := got[i] == want[i]
		if _, ok := c.api.(pocketBase); ok {
			same = got[i].body == "" && got[i].status == want[i].status || sameJSON(got[i].body, want[i].body)
			if got[i].status == 0 {
				continue // PocketBase has no such request
			}
		}
		if !same {
			problems = append(problems, fmt.Errorf("%s, %s: %d %s\nbut %s: %d %s",
				want[i].what, c.name, got[i].status, got[i].body, first.name, want[i].status, want[i].body))
		}
	}
	return errors.Join(problems...)
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// answers sends a request of each kind, and checks each answer against the previous one where they must be equal.
func (c *contender) answers(ctx context.Context) ([]response, error) {
	if _, ok := c.api.(pocketBase); ok {
		return c.pocketAnswers(ctx)
	}
	const client = 1
	apps := "/v2/clients/" + dataset.ClientID(client) + "/apps"
	app := apps + "/" + dataset.AppID(client)
	unknown := apps + "/" + dataset.UnknownID()
	if _, err := c.send(ctx, "PATCH", app, `{"is_favorite":false,"is_approved":false,"license_count":null}`); err != nil {
		return nil, err
	}
	var all []response
	for _, step := range []struct {
		what, method, path, body string
		history                  int  // rows added to the history
		same                     bool // the body equals the previous one, including times
	}{
		{what: "set two fields", method: "PATCH", path: app, body: `{"is_favorite":true,"license_count":50}`, history: 2},
		{what: "read it", method: "GET", path: app, same: true},
		{what: "set them again", method: "PATCH", path: app, body: `{"license_count":50,"is_favorite":true}`, same: true},
		{what: "set nothing", method: "PATCH", path: app, body: `{}`, same: true},
		{what: "clear one", method: "PATCH", path: app, body: `{"license_count":null}`, history: 1},
		{what: "read it cleared", method: "GET", path: app, same: true},
		{what: "wrong type", method: "PATCH", path: app, body: `{"is_favorite":"yes"}`},
		{what: "a fraction", method: "PATCH", path: app, body: `{"license_count":1.5}`},
		{what: "out of range", method: "PATCH", path: app, body: `{"license_count":-1}`},
		{what: "read-only field", method: "PATCH", path: app, body: `{"catalog_app":{}}`},
		{what: "unknown field", method: "PATCH", path: app, body: `{"color":1}`},
		{what: "patch of an unknown app", method: "PATCH", path: unknown, body: `{"is_favorite":true}`},
		{what: "unknown app", method: "GET", path: unknown},
		{what: "unknown client", method: "GET", path: "/v2/clients/" + dataset.UnknownID() + "/apps"},
		{what: "page of 50", method: "GET", path: "/v2/clients/" + dataset.ClientID(2) + "/apps"},
		{what: "large client", method: "GET", path: largePage(c, 0, "")},
		{
			what: "bulk", method: "POST", path: "/v2/clients/" + dataset.ClientID(3%c.size.Ordinary()) + "/apps/favorites",
			body: bulkBody(c.size, 3%c.size.Ordinary()), history: -1,
		},
	} {
		before, err := c.history(ctx, dataset.ClientID(client))
		if err != nil {
			return nil, err
		}
		a, err := c.send(ctx, step.method, step.path, step.body)
		if err != nil {
			return nil, err
		}
		after, err := c.history(ctx, dataset.ClientID(client))
		if err != nil {
			return nil, err
		}
		if step.history >= 0 && after-before != step.history {
			return nil, fmt.Errorf("%s: %d rows of history, want %d", step.what, after-before, step.history)
		}
		if step.same && a.body != all[len(all)-1].body {
			return nil, fmt.Errorf("%s: got %s, but %s got %s", step.what, a.body, all[len(all)-1].what, all[len(all)-1].body)
		}
		a.what = step.what
		all = append(all, a)
	}
	for i := range all {
		all[i].body = masked(all[i].body)
	}
	return c.moreAnswers(ctx, app, all)
}

// moreAnswers adds the answers to a request without a token and to a request for page 200.
func (c *contender) moreAnswers(ctx context.Context, app string, all []response) ([]response, error) {
	anonymous := *c
	anonymous.token = ""
	a, err := anonymous.send(ctx, "GET", app, "")
	if err != nil {
		return nil, err
	}
	a.what = "no token"
	all = append(all, a)
	cursors, err := (&harness{}).walk(ctx, c, 200)
	if err != nil {
		return nil, err
	}
	if a, err = c.send(ctx, "GET", largePage(c, 0, cursors[0]), ""); err != nil {
		return nil, err
	}
	a.what, a.body = "page 200", masked(a.body)
	return append(all, a), nil
}

func bulkBody(size dataset.Size, client int) string {
	ids := []string{dataset.UnknownID()}
	for i := range 20 {
		ids = append(ids, dataset.AppID(client+i*size.Ordinary()))
	}
	return `{"app_ids":["` + strings.Join(append(ids, ids[1]), `","`) + `"]}`
}

var (
	appChanged = regexp.MustCompile(`"updated_at":"[^"]*"}\s*$`)
	nextCursor = regexp.MustCompile(`"next_cursor":"[^"]*"`)
)

// masked replaces what may differ: the time of a write and the text of a cursor.
func masked(body string) string {
	body = appChanged.ReplaceAllString(body, `"updated_at":"…"}`)
	return strings.TrimSpace(nextCursor.ReplaceAllString(body, `"next_cursor":"…"`))
}

// request returns a request to a contender, with its token.
func (c *contender) request(ctx context.Context, method, path, body string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body)) //nolint:gosec // to ourselves
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// send sends one request.
func (c *contender) send(ctx context.Context, method, path, body string) (response, error) {
	r, err := c.request(ctx, method, path, body)
	if err != nil {
		return response{}, err
	}
	answer, err := http.DefaultClient.Do(r) //nolint:gosec // to ourselves
	if err != nil {
		return response{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return response{status: answer.StatusCode, body: string(text)}, err
}

// checkStatement checks that pgbench writes history, evenly over the clients.
func (h *harness) checkStatement(ctx context.Context, c *contender) error {
	const client = 1
	before, err := c.history(ctx, dataset.ClientID(client))
	if err != nil {
		return err
	}
	once := *h
	once.slice = time.Second
	result, err := workloads()[0].run(ctx, &once, c, 0)
	if err != nil {
		return err
	}
	after, err := c.history(ctx, dataset.ClientID(client))
	if want := result.Requests / c.size.Ordinary() / 2; err == nil && after-before < want {
		err = fmt.Errorf("%s: %d rows of history, want at least %d", c.name, after-before, want)
	}
	return err
}
