package server_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// providerCaller returns a client with a token of the identity provider that has all scopes and covers these clients.
func providerCaller(t *testing.T, s *servertest.Server, i *issuer, changed map[string]any) *servertest.Client {
	t.Helper()
	claims := map[string]any{"scope": strings.Join(server.Scopes(), " "), "client_ids": "*"}
	maps.Copy(claims, changed)
	return clientWith(s, i.token(t, claims))
}

// TestJWTMakesNoTokens creates and rotates tokens with a token of an identity provider, which may do everything else. The answer is 403,
// whether the request is good or not, and nothing is written.
func TestJWTMakesNoTokens(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		f := newFixture(t, s)
		secret, own := s.NewToken(t, store.Token{Name: "own", Scopes: "apps:read", ClientIDs: []uuid.UUID{storetest.ClientID}})
		before := f.content(t)
		create := `{"name":"x","scopes":["apps:read"],"client_ids":["` + clientID + `"]}`
		for name, changed := range map[string]map[string]any{
			"all clients":  nil,
			"the client":   {"client_ids": clientID},
			"no client":    {"client_ids": nil},
			"only tokens":  {"scope": "tokens:read tokens:write"},
			"reads tokens": {"scope": "tokens:read"},
		} {
			caller := providerCaller(t, s, i, changed)
			for _, r := range []servertest.Request{
				{Target: tokensPath, Body: create},
				{Target: tokensPath, Body: `{"name":"x","scopes":["apps:read"],"all_clients":true,"expires_at":"2026-02-24T15:01:00Z"}`},
				{Target: tokensPath, Body: `{}`},
				{Target: tokensPath + "/" + own.ID.String() + "/rotate", Body: `{"overlap_seconds":60}`},
				{Target: tokensPath + "/" + own.ID.String() + "/rotate"},
				{Target: tokensPath + "/" + nilID + "/rotate"},
				{Target: tokensPath + "/" + s.Actor.ID.String() + "/rotate"},
			} {
				r.Method = http.MethodPost
				if got := caller.Send(t, r); got.Status != http.StatusForbidden || got.Body != forbidden+"\n" {
					t.Errorf("%s: %s %s: %d %s", name, r.Target, r.Body, got.Status, got.Body)
				}
			}
		}
		if after := f.content(t); after != before {
			t.Errorf("written: %s", after)
		}
		if got := (&servertest.Client{URL: s.URL, Token: secret}).Get(t, appPath); got.Status != http.StatusOK {
			t.Errorf("the secret that was not replaced: %d", got.Status)
		}
	})
}

// TestJWTReadsAndRevokesTokens lists, gets and revokes tokens with a token of an identity provider. It sees the tokens whose clients its
// claims cover, and revokes those of them whose scopes it has. Its own expiry, in five minutes, does not matter.
func TestJWTReadsAndRevokesTokens(t *testing.T) {
	t.Parallel()
	eachIssuer(t, func(t *testing.T, s *servertest.Server, i *issuer) {
		own, other := storetest.ClientID, storetest.OtherClientID
		made, secrets := map[string]store.Token{}, map[string]*servertest.Client{}
		for name, token := range map[string]store.Token{
			"own":    {Scopes: "apps:read", ClientIDs: []uuid.UUID{own}},
			"wide":   {Scopes: "apps:read catalog:read", ClientIDs: []uuid.UUID{own}},
			"other":  {Scopes: "apps:read", ClientIDs: []uuid.UUID{other}},
			"both":   {Scopes: "apps:read", ClientIDs: []uuid.UUID{own, other}},
			"all":    {Scopes: "apps:read", AllClients: true},
			"nobody": {Scopes: "apps:read"},
		} {
			token.Name = name
			secret, stored := s.NewToken(t, token)
			made[name], secrets[name] = stored, &servertest.Client{URL: s.URL, Token: secret}
		}
		path := func(name string) string { return tokensPath + "/" + made[name].ID.String() }
		const scopes = "tokens:read tokens:write apps:read"
		for _, c := range []struct {
			what    string
			changed map[string]any
			sees    []string // sorted
		}{
			{"one client", map[string]any{"scope": scopes, "client_ids": clientID}, []string{"own", "wide"}},
			{"both clients", map[string]any{"scope": scopes, "client_ids": []string{clientID, otherClientID}}, []string{"both", "other", "own", "wide"}},
			{"no client", map[string]any{"scope": scopes, "client_ids": nil}, nil},
			{"all clients", map[string]any{"scope": scopes}, []string{"all", "both", "everything", "nobody", "other", "own", "wide"}},
		} {
			caller := providerCaller(t, s, i, c.changed)
			var listed []string
			list := call[gen.TokenList](t, caller, http.MethodGet, tokensPath, "", http.StatusOK)
			for _, token := range list.Data {
				listed = append(listed, token.Name)
			}
			slices.Sort(listed)
			if !slices.Equal(listed, c.sees) || list.TotalCount != int64(len(c.sees)) {
				t.Errorf("%s: sees %v of %d, want %v", c.what, listed, list.TotalCount, c.sees)
			}
			for name, token := range made {
				got := caller.Get(t, path(name))
				if !slices.Contains(c.sees, name) {
					if got.Status != http.StatusNotFound || got.Body != noToken(token.ID.String())+"\n" {
						t.Errorf("%s: %s: %d %s", c.what, name, got.Status, got.Body)
					}
					if got := caller.Send(t, servertest.Request{Method: http.MethodDelete, Target: path(name)}); got.Status != http.StatusNotFound {
						t.Errorf("%s: revoke %s: %d %s", c.what, name, got.Status, got.Body)
					}
				} else if got.Status != http.StatusOK {
					t.Errorf("%s: %s: %d %s", c.what, name, got.Status, got.Body)
				}
			}
		}
		for name, c := range secrets {
			if got := c.Get(t, tokensPath); got.Status != http.StatusForbidden {
				t.Errorf("%s is not good any more: %d", name, got.Status)
			}
		}

		caller := providerCaller(t, s, i, map[string]any{"scope": scopes, "client_ids": clientID})
		if got := caller.Send(t, servertest.Request{Method: http.MethodDelete, Target: path("wide")}); got.Status != http.StatusForbidden || got.Body != forbidden+"\n" {
			t.Errorf("a token with more scopes: %d %s", got.Status, got.Body)
		}
		reader := providerCaller(t, s, i, map[string]any{"scope": "tokens:read apps:read", "client_ids": clientID})
		if got := reader.Send(t, servertest.Request{Method: http.MethodDelete, Target: path("own")}); got.Status != http.StatusForbidden {
			t.Errorf("without tokens:write: %d %s", got.Status, got.Body)
		}
		call[struct{}](t, caller, http.MethodDelete, path("own"), "", http.StatusNoContent)
		call[struct{}](t, caller, http.MethodDelete, path("own"), "", http.StatusNoContent) // again
		for name, want := range map[string]int{"own": http.StatusUnauthorized, "wide": http.StatusOK, "other": http.StatusForbidden} {
			if got := secrets[name].Get(t, appPath); got.Status != want {
				t.Errorf("%s: %d, want %d", name, got.Status, want)
			}
		}
		if read := call[gen.Token](t, caller, http.MethodGet, path("own"), "", http.StatusOK); read.RevokedAt == nil {
			t.Errorf("%+v", read)
		}
		logged := 0
		for _, line := range s.Log.Lines(t) {
			if line["msg"] != "token revoked" {
				continue
			}
			logged++
			if by := line["actor"].(map[string]any); by["name"] != "robot@example.com" {
				t.Errorf("revoked by %v", by)
			}
		}
		if logged != 1 {
			t.Errorf("%d revocations are logged", logged)
		}
	})
}
