package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// A new key is accepted within ten seconds. A withdrawn key is refused after fifteen minutes.
func TestJWTKeysRotate(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		status := func(token string) int { return clientWith(s, token).Get(t, appPath).Status }
		first := i.all["first"]
		by := func(key *jose.JSONWebKey, sub string) string {
			return signed(t, jose.ES256, key, nil, i.claims(map[string]any{"sub": sub, "exp": storetest.Now.Unix() + 7200}))
		}
		if got := status(by(first, "a")); got != 200 {
			t.Errorf("answered %d", got)
		}
		i.rotate(t, "second")
		s.Clock.Advance(10 * time.Second)
		for sub, key := range map[string]*jose.JSONWebKey{"b": i.key, "c": first} {
			if got := status(by(key, sub)); got != 200 {
				t.Errorf("answered %d to a token of %s", got, key.KeyID)
			}
		}
		i.publish(i.key.Public())
		s.Clock.Advance(15*time.Minute - time.Second)
		if got := status(by(first, "d")); got != 200 {
			t.Errorf("answered %d after the old key was withdrawn", got)
		}
		s.Clock.Advance(time.Second)
		if got := status(by(first, "e")); got != 401 {
			t.Errorf("answered %d a quarter of an hour after the old key was withdrawn", got)
		}
		if got := status(by(i.key, "e")); got != 200 {
			t.Errorf("answered %d to the new key", got)
		}
	})
}

// Random key ids and bad signatures do not make the server flood the provider with requests.
func TestJWTKeysAreNotAskedForTooOften(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i))
	good := clientWith(s, i.token(t, nil))
	for n := range 300 {
		key := *i.key
		key.KeyID = fmt.Sprint("random", n)
		if got := clientWith(s, signed(t, jose.ES256, &key, nil, i.claims(nil))).Get(t, appPath).Status; got != 401 {
			t.Fatalf("answered %d", got)
		}
		if n%50 == 0 && good.Get(t, appPath).Status != 200 {
			t.Error("a good token was refused meanwhile")
		}
		s.Clock.Advance(100 * time.Millisecond)
	}
	if n := i.keyFetches(); n < 2 || n > 4 { // in thirty seconds
		t.Errorf("%d requests to the provider", n)
	}
}

// While the provider is unreachable, the server starts and serves its own tokens. The provider's tokens get 503 with Retry-After,
// since they may be valid. When the provider is back, they are served.
func TestJWTProviderIsDown(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		i.failWith(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) })
		client := clientWith(s, i.token(t, nil))
		for _, wait := range []string{"10", "7"} {
			got := client.Patch(t, appPath, `{"is_favorite":true}`)
			if got.Status != 503 || got.Header.Get("Retry-After") != wait || !strings.Contains(got.Body, `"code":"unavailable"`) {
				t.Errorf("answered %d %v %s, want Retry-After %s", got.Status, got.Header, got.Body, wait)
			}
			s.Clock.Advance(3 * time.Second)
		}
		if got := s.Get(t, appPath); got.Status != 200 || got.Body != asSeeded+"\n" {
			t.Errorf("the server's own token: answered %d %s", got.Status, got.Body)
		}
		if lines := failures(t, s); len(lines) > 0 {
			t.Errorf("logged as failures to authenticate: %v", lines)
		}
		i.failWith(nil)
		s.Clock.Advance(4 * time.Second)
		if got := client.Get(t, appPath); got.Status != 200 {
			t.Errorf("answered %d when the provider was back", got.Status)
		}
	})
}

// Cached keys are used for a day while the provider is unreachable.
func TestJWTKeysOutliveTheProvider(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i))
	status := func(sub string) int {
		return clientWith(s, i.token(t, map[string]any{"sub": sub, "exp": storetest.Now.Unix() + 200_000})).Get(t, appPath).Status
	}
	if got := status("a"); got != 200 {
		t.Errorf("answered %d", got)
	}
	i.failWith(http.NotFound)
	for _, step := range []struct {
		sub  string
		wait time.Duration
		want int
	}{{"b", time.Hour, 200}, {"c", 23*time.Hour - time.Second, 200}, {"d", 11 * time.Second, 503}} {
		s.Clock.Advance(step.wait)
		if got := status(step.sub); got != step.want {
			t.Errorf("answered %d to %s, want %d", got, step.sub, step.want)
		}
	}
}

// An invalid answer of the provider is treated like no answer.
func TestJWTProviderIsOdd(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]func(i *issuer){
		"another issuer":     func(i *issuer) { i.found["issuer"] = "https://login.example.com" },
		"no issuer":          func(i *issuer) { delete(i.found, "issuer") },
		"no keys' address":   func(i *issuer) { delete(i.found, "jwks_uri") },
		"keys without TLS":   func(i *issuer) { i.found["jwks_uri"] = "http://login.example.com/keys" },
		"keys in a file":     func(i *issuer) { i.found["jwks_uri"] = "file:///etc/passwd" },
		"keys that are gone": func(i *issuer) { i.found["jwks_uri"] = i.URL + "/gone" },
		"no keys":            func(i *issuer) { i.keys = []any{} },
		"too many keys":      func(i *issuer) { i.keys = make([]any, 101) },
		"private keys":       func(i *issuer) { i.keys = []any{i.key} },
		"no end":             func(i *issuer) { i.found["x"] = strings.Repeat("x", 1<<20) },
		"a redirect": func(i *issuer) {
			i.fail = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			token := i.token(t, nil)
			odd(i)
			s := servertest.New(t, storetest.SQLite(t), withIssuer(i))
			if got := clientWith(s, token).Get(t, appPath); got.Status != 503 {
				t.Errorf("answered %d %s", got.Status, got.Body)
			}
		})
	}
}

// An unresponsive provider occupies at most a quarter of the places: its other tokens get 503 at once, and the server's own
// tokens are not delayed.
func TestJWTProviderHangs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i), func(c *server.Config) {
		c.MaxInFlight, c.OIDC.Timeout = 12, 30*time.Second
	})
	client := clientWith(s, i.token(t, nil))
	end := make(chan struct{})
	i.failWith(func(http.ResponseWriter, *http.Request) {
		<-end
		i.failWith(nil)
		panic(http.ErrAbortHandler)
	})
	answers := make(chan *servertest.Response)
	for range 8 {
		go func() { answers <- client.Get(t, appPath) }()
	}
	for range 5 { // a request that had waited would get the Retry-After of the next fetch
		if got := <-answers; got.Status != 503 || got.Header.Get("Retry-After") != "1" {
			t.Errorf("request beyond the places: answered %d %v", got.Status, got.Header)
		}
	}
	if got := s.Get(t, appPath).Status; got != 200 {
		t.Errorf("the server's own token: answered %d", got)
	}
	close(end)
	for range 3 {
		if got := (<-answers).Status; got != 503 && got != 200 {
			t.Errorf("answered %d", got)
		}
	}
}

// A token is verified once. Later requests with it need no signature check and no request to the provider.
func TestJWTIsRemembered(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i))
	token := i.token(t, map[string]any{"exp": storetest.Now.Unix() + 200_000})
	client := clientWith(s, token)
	if got := client.Get(t, appPath).Status; got != 200 {
		t.Errorf("answered %d", got)
	}
	i.failWith(http.NotFound)
	s.Clock.Advance(25 * time.Hour) // beyond the time that cached keys are used
	if got := client.Get(t, appPath).Status; got != 200 {
		t.Errorf("a token that was verified before: answered %d", got)
	}
	if got := clientWith(s, changedPayload(token, i.claims(nil))).Get(t, appPath).Status; got == 200 {
		t.Errorf("a token that was not verified before: answered %d", got)
	}
}
