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

// A new key of the provider is good within ten seconds, the old one as long as it is published, and fifteen minutes more.
func TestJWTKeysRotate(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		status := func(token string) int { return caller(s, token).Get(t, appPath).Status }
		first := i.all["first"]
		by := func(key *jose.JSONWebKey, sub string) string {
			return signed(t, jose.ES256, key, nil, i.claims(map[string]any{"sub": sub, "exp": storetest.Now.Unix() + 7200}))
		}
		if got := status(by(first, "a")); got != 200 {
			t.Errorf("answered %d", got)
		}
		i.rotate(t, "second")
		later(s, 10*time.Second)
		for sub, key := range map[string]*jose.JSONWebKey{"b": i.key, "c": first} {
			if got := status(by(key, sub)); got != 200 {
				t.Errorf("answered %d to a token of %s", got, key.KeyID)
			}
		}
		i.publish(i.key.Public())
		later(s, 15*time.Minute-time.Second)
		if got := status(by(first, "d")); got != 200 {
			t.Errorf("answered %d after the old key was withdrawn", got)
		}
		later(s, time.Second)
		if got := status(by(first, "e")); got != 401 {
			t.Errorf("answered %d a quarter of an hour after the old key was withdrawn", got)
		}
		if got := status(by(i.key, "e")); got != 200 {
			t.Errorf("answered %d to the new key", got)
		}
	})
}

// Made-up key ids do not make the server flood the provider, nor do bad signatures.
func TestJWTKeysAreNotAskedForTooOften(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i))
	good := caller(s, i.token(t, nil))
	for n := range 300 {
		key := *i.key
		key.KeyID = fmt.Sprint("random", n)
		if got := caller(s, signed(t, jose.ES256, &key, nil, i.claims(nil))).Get(t, appPath).Status; got != 401 {
			t.Fatalf("answered %d", got)
		}
		if n%50 == 0 && good.Get(t, appPath).Status != 200 {
			t.Error("a good token was refused meanwhile")
		}
		later(s, 100*time.Millisecond)
	}
	if n := i.questions(); n < 2 || n > 4 { // thirty seconds
		t.Errorf("the provider was asked %d times", n)
	}
}

// While the provider is away, the server starts, serves tokens of its own, and tells callers with others to come again: they
// may be good. When it is back, they are served.
func TestJWTProviderIsDown(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		i.breakDown(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) })
		client := caller(s, i.token(t, nil))
		for _, wait := range []string{"10", "7"} {
			got := client.Patch(t, appPath, `{"is_favorite":true}`)
			if got.Status != 503 || got.Header.Get("Retry-After") != wait || !strings.Contains(got.Body, `"code":"unavailable"`) {
				t.Errorf("answered %d %v %s, want to be told %s", got.Status, got.Header, got.Body, wait)
			}
			later(s, 3*time.Second)
		}
		if got := s.Get(t, appPath); got.Status != 200 || got.Body != asSeeded+"\n" {
			t.Errorf("a token of ours: answered %d %s", got.Status, got.Body)
		}
		if lines := failures(t, s); len(lines) > 0 {
			t.Errorf("logged as failures to authenticate: %v", lines)
		}
		i.breakDown(nil)
		later(s, 4*time.Second)
		if got := client.Get(t, appPath); got.Status != 200 {
			t.Errorf("answered %d when the provider was back", got.Status)
		}
	})
}

// Keys that are known serve for a day without the provider.
func TestJWTKeysOutliveTheProvider(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i))
	status := func(sub string) int {
		return caller(s, i.token(t, map[string]any{"sub": sub, "exp": storetest.Now.Unix() + 200_000})).Get(t, appPath).Status
	}
	if got := status("a"); got != 200 {
		t.Errorf("answered %d", got)
	}
	i.breakDown(http.NotFound)
	for _, step := range []struct {
		sub  string
		wait time.Duration
		want int
	}{{"b", time.Hour, 200}, {"c", 23*time.Hour - time.Second, 200}, {"d", 11 * time.Second, 503}} {
		later(s, step.wait)
		if got := status(step.sub); got != step.want {
			t.Errorf("answered %d to %s, want %d", got, step.sub, step.want)
		}
	}
}

// What a provider says that is not as it should be is as if it said nothing.
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
			if got := caller(s, token).Get(t, appPath); got.Status != 503 {
				t.Errorf("answered %d %s", got.Status, got.Body)
			}
		})
	}
}

// A provider that does not answer keeps a quarter of the places at most: the rest of its callers are told so at once, and
// those with tokens of ours notice nothing.
func TestJWTProviderHangs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i), func(c *server.Config) {
		c.MaxInFlight, c.OIDC.Timeout = 12, 30*time.Second
	})
	client := caller(s, i.token(t, nil))
	end := make(chan struct{})
	i.breakDown(func(http.ResponseWriter, *http.Request) {
		<-end
		i.breakDown(nil)
		panic(http.ErrAbortHandler)
	})
	answers := make(chan *servertest.Response)
	for range 8 {
		go func() { answers <- client.Get(t, appPath) }()
	}
	for range 5 { // who had waited in vain would be told to come when the provider is asked again
		if got := <-answers; got.Status != 503 || got.Header.Get("Retry-After") != "1" {
			t.Errorf("answered %d %v to one too many", got.Status, got.Header)
		}
	}
	if got := s.Get(t, appPath).Status; got != 200 {
		t.Errorf("answered %d to a token of ours", got)
	}
	close(end)
	for range 3 {
		if got := (<-answers).Status; got != 503 && got != 200 {
			t.Errorf("answered %d", got)
		}
	}
}

// A token is verified once, and then costs neither a signature nor a question.
func TestJWTIsRemembered(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i))
	token := i.token(t, map[string]any{"exp": storetest.Now.Unix() + 200_000})
	client := caller(s, token)
	if got := client.Get(t, appPath).Status; got != 200 {
		t.Errorf("answered %d", got)
	}
	i.breakDown(http.NotFound)
	later(s, 25*time.Hour) // when no key would be left to verify it with
	if got := client.Get(t, appPath).Status; got != 200 {
		t.Errorf("answered %d to a token that was verified before", got)
	}
	if got := caller(s, changedPayload(token, i.claims(nil))).Get(t, appPath).Status; got == 200 {
		t.Errorf("answered %d to one that was not", got)
	}
}
