package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// A token's claims decide what it may do.
func TestJWTGrants(t *testing.T) {
	t.Parallel()
	own, other := storetest.ClientID.String(), storetest.OtherClientID.String()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		for name, g := range map[string]struct {
			changed                          map[string]any
			read, write, other, create, list int
		}{
			"as it is":               {nil, 200, 200, 403, 403, 403},
			"no scope":               {map[string]any{"scope": nil}, 403, 403, 403, 403, 403},
			"scope null":             {map[string]any{"scope": json.RawMessage("null")}, 403, 403, 403, 403, 403},
			"foreign scopes":         {map[string]any{"scope": "openid profile APPS:READ apps:readx"}, 403, 403, 403, 403, 403},
			"reading":                {map[string]any{"scope": "apps:read"}, 200, 403, 403, 403, 403},
			"writing":                {map[string]any{"scope": "apps:write"}, 403, 200, 403, 403, 403},
			"scopes in a list":       {map[string]any{"scope": []string{"apps:read", "clients:read"}}, 200, 403, 403, 403, 200},
			"no clients":             {map[string]any{"client_ids": nil}, 403, 403, 403, 403, 403},
			"an empty list":          {map[string]any{"client_ids": []string{}}, 403, 403, 403, 403, 403},
			"the other client":       {map[string]any{"client_ids": other}, 403, 403, 200, 403, 403},
			"both":                   {map[string]any{"client_ids": own + " " + other}, 200, 200, 200, 403, 403},
			"upper case":             {map[string]any{"client_ids": strings.ToUpper(own)}, 200, 200, 403, 403, 403},
			"all":                    {map[string]any{"client_ids": "*", "scope": "apps:read clients:write clients:read"}, 200, 403, 200, 201, 200},
			"all, in a list":         {map[string]any{"client_ids": []string{"*"}}, 200, 200, 200, 403, 403},
			"some may not make more": {map[string]any{"scope": "clients:write"}, 403, 403, 403, 403, 403},
			"several audiences":      {map[string]any{"aud": []string{"x", audience}}, 200, 200, 403, 403, 403},
		} {
			client := clientWith(s, i.token(t, g.changed))
			for what, r := range map[string]struct {
				request servertest.Request
				want    int
			}{
				"reads":   {servertest.Request{Method: http.MethodGet, Target: appPath}, g.read},
				"writes":  {servertest.Request{Method: http.MethodPatch, Target: appPath, Body: `{"is_favorite":true}`}, g.write},
				"other":   {servertest.Request{Method: http.MethodGet, Target: otherPath}, g.other},
				"creates": {servertest.Request{Method: http.MethodPost, Target: "/v2/clients", Body: `{"name":"x"}`}, g.create},
				"lists":   {servertest.Request{Method: http.MethodGet, Target: "/v2/clients"}, g.list},
			} {
				got := client.Send(t, r.request)
				if got.Status != r.want || r.want == 403 && got.Body != forbidden+"\n" {
					t.Errorf("%s: %s: answered %d %s, want %d", name, what, got.Status, got.Body, r.want)
				}
			}
		}
	})
}

// Every invalid token gets the same 401; the log has the reason.
func TestJWTRefused(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		at := storetest.Now.Unix()
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		foreign := &jose.JSONWebKey{Key: private, KeyID: "first", Algorithm: "ES256"}
		type refused struct{ token, reason string }
		cases := map[string]refused{
			"no signature":          {unsigned(t, `{"alg":"none","kid":"first"}`, i.claims(nil)) + ".", "malformed"},
			"None":                  {unsigned(t, `{"alg":"None","kid":"first"}`, i.claims(nil)) + ".", "malformed"},
			"a key with the id":     {signed(t, jose.ES256, foreign, nil, i.claims(nil)), "signature"},
			"a key in the header":   {signed(t, jose.ES256, foreign, map[string]any{"jwk": foreign.Public()}, i.claims(nil)), "signature"},
			"a key by its address":  {signed(t, jose.ES256, foreign, map[string]any{"jku": i.URL + "/keys"}, i.claims(nil)), "signature"},
			"for logging out":       {signed(t, jose.ES256, i.key, map[string]any{"typ": "logout+jwt"}, i.claims(nil)), "malformed"},
			"critical extension":    {signed(t, jose.ES256, i.key, map[string]any{"crit": []string{"x"}, "x": 1}, i.claims(nil)), "signature"},
			"changed":               {changedPayload(i.token(t, nil), i.claims(map[string]any{"client_ids": "*"})), "signature"},
			"no JSON in its head":   {"eyJ.eyJ.x", "malformed"},
			"huge":                  {i.token(t, map[string]any{"x": strings.Repeat("x", 16<<10)}), "malformed"},
			"encrypted":             {"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..a.b.c", "malformed"},
			"claims are a list":     {signedText(t, i.key, `[1]`), "claims"},
			"claims are no JSON":    {signedText(t, i.key, `x`), "claims"},
			"claims of other kinds": {signedText(t, i.key, `{"exp":"soon"}`), "claims"},
		}
		for name, secret := range publicForms(t, i) {
			cases["HS256 with the public key as "+name] = refused{hmacSigned(t, secret, i.claims(nil)), "malformed"}
		}
		for name, changed := range map[string]map[string]any{
			"another issuer":        {"iss": "https://login.example.com"},
			"issuer with a slash":   {"iss": i.URL + "/"},
			"no issuer":             {"iss": nil},
			"another audience":      {"aud": "https://other.example.com"},
			"audience that begins":  {"aud": audience + "/v2"},
			"other audiences":       {"aud": []string{"a", "b"}},
			"no audience":           {"aud": nil},
			"no audiences":          {"aud": []string{}},
			"no subject":            {"sub": nil},
			"a subject with NUL":    {"sub": "a\x00b"},
			"a subject of lines":    {"sub": "a\nb"},
			"a long subject":        {"sub": strings.Repeat("x", 256)},
			"no expiry":             {"exp": nil},
			"an expiry never":       {"exp": 1e300},
			"not yet":               {"nbf": at + 61},
			"scope is a number":     {"scope": 1},
			"scopes are numbers":    {"scope": []int{1}},
			"a malformed client id": {"client_ids": "1"},
			"* among others":        {"client_ids": []string{storetest.ClientID.String(), "*"}},
			"* before others":       {"client_ids": "* " + storetest.ClientID.String()},
			"clients in an object":  {"client_ids": map[string]any{}},
			"another spelling":      {"client_ids": "{" + storetest.ClientID.String() + "}"},
		} {
			cases[name] = refused{i.token(t, changed), "claims"}
		}
		for name, exp := range map[string]any{"expired": at - 60, "expired long ago": 1, "expired in fractions": float64(at) - 60.5} {
			cases[name] = refused{i.token(t, map[string]any{"exp": exp}), "expired"}
		}
		for name, r := range cases {
			before := len(failures(t, s))
			got := clientWith(s, r.token).Patch(t, appPath, `{"is_favorite":true}`)
			if got.Status != 401 || got.Body != unauthorized+"\n" || got.Header.Get("WWW-Authenticate") != challenge(s) {
				t.Errorf("%s: answered %d %s", name, got.Status, got.Body)
			}
			lines := failures(t, s)[before:]
			if len(lines) != 1 || lines[0]["reason"] != r.reason {
				t.Errorf("%s: logged %v, want %s", name, lines, r.reason)
			}
		}
		if got := s.Get(t, appPath); got.Body != asSeeded+"\n" {
			t.Errorf("the app was changed: %s", got.Body)
		}
		if n := i.keyFetches(); n != 1 {
			t.Errorf("%d requests to the provider", n)
		}
	})
}

// The provider's clock may differ by a minute. A token expires while it is in use.
func TestJWTTimes(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		at := storetest.Now.Unix()
		for name, changed := range map[string]map[string]any{
			"just expired": {"exp": at - 59}, "not quite yet": {"nbf": at + 60}, "fractions": {"exp": float64(at) + 0.5, "nbf": 0.1},
		} {
			if got := clientWith(s, i.token(t, changed)).Get(t, appPath); got.Status != 200 {
				t.Errorf("%s: answered %d %s", name, got.Status, got.Body)
			}
		}
		client := clientWith(s, i.token(t, nil))
		for after, want := range map[time.Duration]int{0: 200, 359 * time.Second: 200, 360 * time.Second: 401, time.Hour: 401} {
			s.SetTime(storetest.Now.Add(after))
			if got := client.Get(t, appPath); got.Status != want {
				t.Errorf("answered %d after %v, want %d", got.Status, after, want)
			}
		}
	})
}

// Without an issuer only the server's own tokens are valid. With an issuer they are still valid.
func TestJWTNotConfigured(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s := servertest.New(t, storetest.SQLite(t))
	if got := clientWith(s, i.token(t, nil)).Get(t, appPath); got.Status != 401 || got.Body != unauthorized+"\n" {
		t.Errorf("answered %d %s", got.Status, got.Body)
	}
	s = servertest.New(t, storetest.SQLite(t), withIssuer(i))
	if got := s.Get(t, appPath); got.Status != 200 || i.keyFetches() != 0 {
		t.Errorf("answered %d, and %d requests to the provider", got.Status, i.keyFetches())
	}
	for _, bad := range []oidc.Config{
		{Issuer: i.URL}, {Audience: audience}, {Issuer: "http://login.example.com", Audience: audience}, {Issuer: "login", Audience: audience},
	} {
		if _, err := server.New(server.Config{Store: s.Store, Logger: s.Log.Logger(), OIDC: bad}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// Providers have different names for claims and different signature algorithms.
func TestJWTOtherProviders(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i.publish(
		json.RawMessage(`{"kty":"new","kid":"a"}`), json.RawMessage(`{"kty":"oct","kid":"secret","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}`),
		jose.JSONWebKey{Key: key.Public(), KeyID: "enc", Use: "enc"}, jose.JSONWebKey{Key: key.Public(), KeyID: "rsa"},
	)
	s := servertest.New(t, storetest.SQLite(t), withIssuer(i), func(c *server.Config) {
		c.OIDC.ScopeClaim, c.OIDC.ClientsClaim = "scp", "https://apps.example.com/clients"
	})
	claims := i.claims(map[string]any{"scp": []string{"apps:read"}, "https://apps.example.com/clients": storetest.ClientID.String(), "client_ids": "*"})
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.RS512, jose.PS256} {
		for kid, want := range map[string]int{"rsa": 200, "": 200, "enc": 401, "a": 401} {
			token := signed(t, algorithm, jose.JSONWebKey{Key: key, KeyID: kid}, map[string]any{"typ": "at+jwt"}, claims)
			client := clientWith(s, token)
			if got := client.Get(t, appPath); got.Status != want {
				t.Errorf("%s, key %q: answered %d %s, want %d", algorithm, kid, got.Status, got.Body, want)
			}
			if got := client.Get(t, otherPath); want == 200 && got.Status != 403 {
				t.Errorf("%s, key %q: answered %d for another client", algorithm, kid, got.Status)
			}
		}
	}
	token := hmacSigned(t, []byte("secretsecretsecretsecretsecretse"), claims)
	if got := clientWith(s, token).Get(t, appPath); got.Status != 401 {
		t.Errorf("a token with a published secret: answered %d", got.Status)
	}
}

func unsigned(t *testing.T, header string, claims any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
}

func hmacSigned(t *testing.T, secret []byte, claims any) string {
	t.Helper()
	text := unsigned(t, `{"alg":"HS256","kid":"first"}`, claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func signedText(t *testing.T, key *jose.JSONWebKey, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// changedPayload returns a token with other claims under the original signature.
func changedPayload(token string, claims any) string {
	parts := strings.Split(token, ".")
	payload, _ := json.Marshal(claims)
	parts[1] = base64.RawURLEncoding.EncodeToString(payload)
	return strings.Join(parts, ".")
}

// publicForms returns the public key in the encodings that a vulnerable verifier might use as an HMAC secret.
func publicForms(t *testing.T, i *issuer) map[string]([]byte) {
	t.Helper()
	public := i.key.Public()
	der, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JSON": text,
	}
}
