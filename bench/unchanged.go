package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/clientapps/clientapps/bench/dataset"
	"github.com/clientapps/clientapps/bench/load"
)

// unchangedApps is the number of apps of the loads that change nothing. With fewer, requests for the same app would wait for each other.
const unchangedApps = 1000

// unchanged sends requests that change nothing. form prepares an app and returns the request for it; no other load may run meanwhile.
func unchanged(prepare func(ctx context.Context, c *contender, path string) (load.Form, error),
) func(context.Context, *harness, *contender, int) (load.Result, error) {
	prepared := map[string][]load.Form{} // by contender: the round that warms up prepares
	return func(ctx context.Context, h *harness, c *contender, seed int) (load.Result, error) {
		for n := len(prepared[c.name]); n < unchangedApps; n++ {
			f, err := prepare(ctx, c, "/v2/clients/"+dataset.ClientID(n%c.size.Ordinary())+"/apps/"+dataset.AppID(n))
			if err != nil {
				return load.Result{}, err
			}
			prepared[c.name] = append(prepared[c.name], f)
		}
		return h.plan(c, prepared[c.name]).Wrk(ctx, h.dir, defaultConnections, h.slice, seed)
	}
}

// prepareNoop patches an app, and returns the same request once more.
func prepareNoop(ctx context.Context, c *contender, path string) (load.Form, error) {
	f := load.Form{Weight: 1, Method: http.MethodPatch, Path: path, Body: `{"is_favorite":true,"license_count":50}`}
	a, err := c.send(ctx, f.Method, f.Path, f.Body)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", f.Path, a.status, a.body)
	}
	return f, err
}

// prepareConditionalGet returns a conditional GET with the tag that an app has now.
func prepareConditionalGet(ctx context.Context, c *contender, path string) (load.Form, error) {
	f := load.Form{Weight: 1, Method: http.MethodGet, Path: path}
	for _, want := range []int{http.StatusOK, http.StatusNotModified} {
		r, err := c.request(ctx, f.Method, f.Path, "")
		if err != nil {
			return f, err
		}
		if f.ETag != "" {
			r.Header.Set("If-None-Match", f.ETag)
		}
		answer, err := http.DefaultClient.Do(r) //nolint:gosec // to ourselves
		if err != nil {
			return f, err
		}
		f.ETag = answer.Header.Get("ETag")
		if err := answer.Body.Close(); err != nil {
			return f, err
		}
		if answer.StatusCode != want || f.ETag == "" {
			return f, fmt.Errorf("%s: %d with the tag %q, want %d", f.Path, answer.StatusCode, f.ETag, want)
		}
	}
	return f, nil
}
