package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

const audience = "https://apps.example.com"

// issuer is an identity provider on loopback with discovery, keys and simulated failures.
type issuer struct {
	URL string

	mu    sync.Mutex
	keys  []any            // the key set
	found map[string]any   // the discovery document
	fail  http.HandlerFunc // answers every request, if set
	asked int              // the number of requests for the keys
	key   *jose.JSONWebKey // signs tokens
	all   map[string]*jose.JSONWebKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{all: map[string]*jose.JSONWebKey{}}
	s := httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(s.Close)
	i.URL = s.URL
	i.found = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
	i.rotate(t, "first")
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	fail := i.fail
	keys, found := map[string]any{"keys": i.keys}, i.found
	if r.URL.Path == "/keys" {
		i.asked++
	}
	i.mu.Unlock()
	var answer any
	switch {
	case fail != nil:
		fail(w, r)
		return
	case r.URL.Path == "/.well-known/openid-configuration":
		answer = found
	case r.URL.Path == "/keys":
		answer = keys
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// rotate makes a new key and signs with it from now on. The old keys are still published.
func (i *issuer) rotate(t *testing.T, id string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := &jose.JSONWebKey{Key: private, KeyID: id, Algorithm: "ES256", Use: "sig"}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.all[id] = key, key
	i.keys = append(i.keys, key.Public())
}

// publish replaces the key set.
func (i *issuer) publish(keys ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// failWith makes fail answer every request; nil ends the failure.
func (i *issuer) failWith(fail http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fail = fail
}

func (i *issuer) keyFetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// claims returns the claims of a valid token for the reference page's client. changed replaces some of them; nil removes one.
func (i *issuer) claims(changed map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "robot@example.com", "exp": storetest.Now.Unix() + 300,
		"scope": "openid apps:read apps:write", "client_ids": []string{storetest.ClientID.String()},
	}
	maps.Copy(c, changed)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs a valid token with the changed claims.
func (i *issuer) token(t *testing.T, changed map[string]any) string {
	t.Helper()
	i.mu.Lock()
	key := i.key
	i.mu.Unlock()
	return signed(t, jose.ES256, key, nil, i.claims(changed))
}

// signed signs a JWT with extra header members.
func signed(t *testing.T, algorithm jose.SignatureAlgorithm, key any, header, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for name, value := range header {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// withIssuer configures the server to accept the issuer's tokens.
func withIssuer(i *issuer) func(*server.Config) {
	return func(c *server.Config) { c.OIDC = oidc.Config{Issuer: i.URL, Audience: audience} }
}

// challenge is the WWW-Authenticate header of a server with an identity provider.
func challenge(s *servertest.Server) string {
	return `Bearer resource_metadata="` + s.URL + `/.well-known/oauth-protected-resource/v2"`
}

// clientWith returns a client with this token, which must not appear in the log.
func clientWith(s *servertest.Server, token string) *servertest.Client {
	s.Log.Forbid(token)
	return &servertest.Client{URL: s.URL, Token: token}
}

// eachIssuer runs the test on both databases, each time with its own provider.
func eachIssuer(t *testing.T, test func(t *testing.T, s *servertest.Server, i *issuer)) {
	t.Helper()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		i := newIssuer(t)
		test(t, servertest.New(t, url, withIssuer(i)), i)
	})
}
