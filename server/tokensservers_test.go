package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// newQuickServer starts a server that caches tokens, and keeps when they were used, for a moment only.
func newQuickServer(t *testing.T, databaseURL string) *servertest.Server {
	t.Helper()
	return servertest.New(t, databaseURL, func(c *server.Config) {
		c.Store = storetest.Open(t, databaseURL, func(s *store.Config) {
			s.Clock, s.TokenCacheTTL, s.TokenUsageInterval = c.Clock, 50*time.Millisecond, 20*time.Millisecond
		})
	})
}

// TestTokensOfTwoServers rotates, revokes and uses a token on one server. The other server honors the change when it has forgotten the
// token, and shows the use.
func TestTokensOfTwoServers(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		here, there := newQuickServer(t, url), newQuickServer(t, url)
		token := call[gen.TokenWithSecret](t, here.Client, http.MethodPost, tokensPath,
			`{"name":"sync","scopes":["apps:read"],"client_ids":["`+clientID+`"]}`, http.StatusCreated)
		path := tokensPath + "/" + token.ID.String()
		status := func(s *servertest.Server, secret string) int {
			t.Helper()
			return (&servertest.Client{URL: s.URL, Token: secret}).Get(t, appPath).Status
		}
		want := func(what, secret string, want int, servers ...*servertest.Server) {
			t.Helper()
			for _, s := range servers {
				if got := status(s, secret); got != want {
					t.Errorf("%s: %d, want %d", what, got, want)
				}
			}
		}
		refusedSoon := func(secret string) {
			t.Helper()
			eventually(t, func() bool { return status(there, secret) == http.StatusUnauthorized })
		}
		rotate := func() string {
			t.Helper()
			rotated := call[gen.TokenWithSecret](t, here.Client, http.MethodPost, path+"/rotate", `{"overlap_seconds":60}`, http.StatusOK)
			here.Log.Forbid(rotated.Secret)
			there.Log.Forbid(rotated.Secret)
			return rotated.Secret
		}
		first := token.Secret
		here.Log.Forbid(first)
		there.Log.Forbid(first)
		want("a new token", first, http.StatusOK, here, there)
		second := rotate()
		want("the new secret", second, http.StatusOK, here, there)
		want("the old secret in the overlap", first, http.StatusOK, here, there)
		third := rotate()
		want("the first secret after the second rotation", first, http.StatusUnauthorized, here)
		refusedSoon(first)
		want("the second secret in the overlap", second, http.StatusOK, here, there)
		want("the third secret", third, http.StatusOK, here, there)
		here.Clock.Advance(time.Minute)
		there.Clock.Advance(time.Minute)
		want("the second secret behind the overlap", second, http.StatusUnauthorized, here)
		refusedSoon(second)
		want("the third secret behind the overlap", third, http.StatusOK, here, there)

		there.Clock.Advance(5*time.Minute + time.Second)
		want("on the server that is ahead", third, http.StatusOK, there)
		const used = "2026-02-24T15:06:00.000Z"
		eventually(t, func() bool {
			read := call[gen.Token](t, here.Client, http.MethodGet, path, "", http.StatusOK)
			return read.LastUsedAt != nil && *read.LastUsedAt == used
		})
		want("on the server that is behind", third, http.StatusOK, here) // which writes no earlier use over a later one

		call[struct{}](t, here.Client, http.MethodDelete, path, "", http.StatusNoContent)
		want("revoked", third, http.StatusUnauthorized, here)
		refusedSoon(third)
		if read := call[gen.Token](t, there.Client, http.MethodGet, path, "", http.StatusOK); read.RevokedAt == nil || read.LastUsedAt == nil || *read.LastUsedAt != used {
			t.Errorf("the other server shows %+v", read)
		}
	})
}
