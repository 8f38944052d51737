package server_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// The rate limit counts all tokens of one subject together, and different subjects apart.
func TestJWTIsLimitedBySubject(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		i := newIssuer(t)
		s := servertest.New(t, url, withIssuer(i), func(c *server.Config) { c.RateLimit, c.RateBurst = 1, 2 })
		expires := storetest.Now.Unix() + 600
		for _, r := range []struct {
			sub  string
			want int
		}{{"a", 200}, {"a", 200}, {"a", 429}, {"b", 200}, {"a", 429}} {
			expires++ // a different token each time
			got := clientWith(s, i.token(t, map[string]any{"sub": r.sub, "exp": expires})).Get(t, appPath)
			if got.Status != r.want {
				t.Errorf("%s: answered %d %s, want %d", r.sub, got.Status, got.Body, r.want)
			}
		}
	})
}

// The history and the log identify a subject by one id for all of its tokens, and show no token.
func TestJWTIsNamed(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		for n, body := range []string{`{"license_count":1}`, `{"license_count":2}`} {
			token := i.token(t, map[string]any{"exp": storetest.Now.Unix() + 600 + int64(n)})
			if got := clientWith(s, token).Patch(t, appPath, body); got.Status != 200 {
				t.Fatalf("answered %d %s", got.Status, got.Body)
			}
		}
		var history struct {
			Data []struct {
				Actor struct{ ID, Name string }
			}
		}
		if err := json.Unmarshal([]byte(s.Get(t, appPath+"/changes").Body), &history); err != nil {
			t.Fatal(err)
		}
		if len(history.Data) != 3 || history.Data[0] != history.Data[1] || history.Data[0].Actor.Name != "robot@example.com" {
			t.Fatalf("the history is %+v", history)
		}
		named := 0
		for _, line := range s.Log.Requests(t) {
			if line["token_id"] == history.Data[0].Actor.ID {
				named++
			}
		}
		if named != 2 {
			t.Errorf("%d lines name the caller", named)
		}
	})
}

// No token of a provider appears in the log, valid or not, wherever it was in the request.
func TestJWTIsRedacted(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		token := i.token(t, nil)
		client := clientWith(s, token)
		for _, r := range []servertest.Request{
			{Method: http.MethodGet, Target: "/" + token},
			{Method: http.MethodGet, Target: appPath + "?token=" + token},
			{Method: http.MethodGet, Target: appPath, Header: []string{"Authorization: Basic " + token}},
			{Method: http.MethodGet, Target: appPath, Header: []string{"Authorization:", "X-Forwarded-For: " + token}},
			{Method: http.MethodPatch, Target: appPath, Body: `{"` + token + `":1}`},
			{Method: http.MethodGet, Target: appPath, Header: []string{"Authorization: Bearer " + token + "x"}},
		} {
			if got := client.Send(t, r); got.Status < 400 {
				t.Errorf("%s %s: answered %d", r.Method, r.Target, got.Status)
			}
		}
	})
}
