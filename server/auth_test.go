package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// The targets of a request. The answers 401 and 403 must not reveal which of them exist.
var targets = map[string]string{
	"an app":              appPath,
	"an unknown app":      "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/00000000-0000-0000-0000-000000000000",
	"an unknown client":   "/v2/clients/00000000-0000-0000-0000-000000000000/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890",
	"another client":      otherPath,
	"a malformed app":     "/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/1",
	"a malformed client":  "/v2/clients/1/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890",
	"an unknown argument": appPath + "?x=%zz",
}

// The answer to every kind of invalid token is the same, with every method and whatever exists.
func TestUnauthorized(t *testing.T) {
	var all []scenario
	add := func(name, as string, header ...string) {
		for place, target := range targets {
			if len(header) > 0 && target != appPath {
				continue // the cases without a header cover the other targets
			}
			for _, method := range []string{http.MethodGet, http.MethodPatch} {
				all = append(all, scenario{
					name: name + ", " + method + " " + place, as: as, method: method, target: target, header: header,
					body: `{"is_favorite":true}`, status: 401, want: unauthorized,
					headers: []string{"WWW-Authenticate: Bearer", "ETag:"},
				})
			}
		}
	}
	for _, as := range []string{"anonymous", "unknown", "expired", "expiring now", "revoked"} {
		add(as, as)
	}
	for _, value := range []string{
		"", "Bearer", "Bearer ", "{everything}", "Bearer{everything}", "Basic {everything}", "Basic ZGVtbzpkZW1v",
		"Token {everything}", "Bearer {everything}x", "Bearer x{everything}", "Bearer capp_", "Bearer x", "Bearer demo-token",
		`Bearer "{everything}"`, "Bearer {everything} {everything}", "Bearer {everything}, Bearer {everything}",
		"Bearer Bearer {everything}", "Bearer\t{everything}", "Bearer: {everything}", "Bearer token={everything}",
	} {
		add("Authorization: "+value, "anonymous", "Authorization: "+value)
	}
	add("two headers", "anonymous", "Authorization: Bearer {everything}", "Authorization: Bearer {everything}")
	add("two headers, one good", "anonymous", "Authorization: Bearer {everything}", "Authorization: Basic eDp5")
	add("another header", "anonymous", "X-Api-Key: {everything}", "Proxy-Authorization: Bearer {everything}")
	all = append(all, scenario{
		name: "in the query", as: "anonymous", method: http.MethodGet, target: appPath + "?access_token=x",
		status: 401, want: unauthorized,
	})
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "bEARER ", "Bearer   "} {
		all = append(all, scenario{
			name: "accepted: " + scheme, as: "anonymous", method: http.MethodGet, header: []string{"Authorization: " + scheme + "{client}"},
			status: 200, want: asSeeded, headers: []string{"WWW-Authenticate:"},
		})
	}
	scenarios(t, all)
}

// A token without permission always gets the same 403, which reveals nothing.
func TestForbidden(t *testing.T) {
	var all []scenario
	for place, target := range targets {
		for _, as := range []string{"reader", "scopeless"} {
			all = append(all, scenario{
				name: as + " patches " + place, as: as, target: target, body: `{"is_favorite":true}`,
				status: 403, want: forbidden, headers: []string{"WWW-Authenticate:"},
			})
		}
		for _, as := range []string{"writer", "scopeless"} {
			all = append(all, scenario{
				name: as + " reads " + place, as: as, method: http.MethodGet, target: target,
				status: 403, want: forbidden, headers: []string{"WWW-Authenticate:"},
			})
		}
	}
	const other = "/v2/clients/bb7cf840-9ca9-46a3-9778-9015d6580d50/apps/"
	for _, target := range []string{
		otherPath, other + appID, other + nilID, other + "1",
		pathOf("00000000-0000-0000-0000-000000000000", appID),
		pathOf("1", appID),
		pathOf("aa7cf840-9ca9-46a3-9778-9015d6580d5", appID),
		pathOf("aa7cf840-9ca9-46a3-9778-9015d6580d500", appID),
		pathOf("aa7cf8409ca946a397789015d6580d50", appID),
		pathOf("{aa7cf840-9ca9-46a3-9778-9015d6580d50}", appID),
		pathOf("urn:uuid:aa7cf840-9ca9-46a3-9778-9015d6580d50", appID),
		pathOf("%20", appID),
		pathOf("aa7cf840-9ca9-46a3-9778-9015d6580d50%2F", appID),
	} {
		for _, method := range []string{http.MethodGet, http.MethodPatch} {
			all = append(all, scenario{
				name: method + " " + target, as: "client", method: method, target: target, body: `{"is_favorite":true}`,
				status: 403, want: forbidden,
			})
		}
	}
	scenarios(t, append(all,
		scenario{
			name: "reader reads", as: "reader", method: http.MethodGet,
			status: 200, want: asSeeded,
		},
		scenario{
			name: "writer patches", as: "writer", body: `{"is_favorite":true}`,
			status: 200, want: app(true, false, "null", now), writes: []string{"is_favorite: false -> true"},
		},
		scenario{
			name: "a token for several clients", as: "both", body: `{"is_favorite":true}`,
			status: 200, want: app(true, false, "null", now), writes: []string{"is_favorite: false -> true"},
		},
	))
}

// A token expires or is revoked while it is in use.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		expires := storetest.Now.Add(time.Hour)
		secret, _ := s.NewToken(t, store.Token{Name: "short", Scopes: "apps:read", AllClients: true, ExpiresAt: &expires})
		short := &servertest.Client{URL: s.URL, Token: secret}
		for _, at := range []struct {
			time   time.Time
			status int
		}{{expires.Add(-time.Millisecond), 200}, {expires, 401}, {expires.Add(time.Hour), 401}} {
			s.SetTime(at.time)
			if got := short.Get(t, appPath).Status; got != at.status {
				t.Errorf("status %d at %s, want %d", got, at.time, at.status)
			}
		}
		if got := s.Get(t, appPath).Status; got != 200 {
			t.Errorf("status %d before the token was revoked", got)
		}
		if _, err := s.Store.RevokeToken(t.Context(), nil, s.Actor.ID, false); err != nil {
			t.Fatal(err)
		}
		if got := s.Get(t, appPath); got.Status != 401 || got.Body != unauthorized+"\n" {
			t.Errorf("answered %d %s after the token was revoked", got.Status, got.Body)
		}
	})
}

// The demo token is not shaped like other tokens and is valid only on a server that is configured with it.
func TestDemoToken(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		for demo, want := range map[string]int{"": 401, "demo": 401, "demo-token": 200} {
			s := servertest.New(t, url, func(c *server.Config) { c.DemoToken = demo })
			err := s.Store.Seed(t.Context(), store.Dataset{Tokens: []store.Token{{
				ID: storetest.VendorID, Name: "demo", Hash: apitoken.Hash("demo-token"), AllClients: true, Scopes: "apps:read",
				CreatedAt: storetest.Now,
			}}})
			if err != nil {
				t.Fatal(err)
			}
			client := &servertest.Client{URL: s.URL, Token: "demo-token"}
			if got := client.Get(t, appPath).Status; got != want {
				t.Errorf("status %d, want %d where the demo token is %q", got, want, demo)
			}
		}
	})
}
