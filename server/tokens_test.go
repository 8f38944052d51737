package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

const (
	tokensPath    = "/v2/tokens"
	otherClientID = "bb7cf840-9ca9-46a3-9778-9015d6580d50"
)

func noToken(id string) string {
	return `{"error":{"code":"not_found","message":"Token not found","details":{"token_id":"` + id + `"}}}`
}

// call sends a request and decodes the body of a success.
func call[T any](t *testing.T, c *servertest.Client, method, target, body string, status int) (found T) {
	t.Helper()
	got := c.Send(t, servertest.Request{Method: method, Target: target, Body: body})
	if got.Status != status {
		t.Fatalf("%s %s %s: %d %s, want %d", method, target, body, got.Status, got.Body, status)
	}
	if got.Body != "" {
		decodeJSON(t, got.Body, &found)
	}
	return found
}

func decodeJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// createToken creates a token and returns it with a client that uses it.
func createToken(t *testing.T, s *servertest.Server, by *servertest.Client, body string) (gen.TokenWithSecret, *servertest.Client) {
	t.Helper()
	token := call[gen.TokenWithSecret](t, by, http.MethodPost, tokensPath, body, http.StatusCreated)
	s.Log.Forbid(token.Secret)
	return token, &servertest.Client{URL: s.URL, Token: token.Secret}
}

// A new token is answered with its secret, is good at once, and is read back without the secret.
func TestCreateToken(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		body := `{"name":"Zoë","scopes":["tokens:read","apps:read"],"client_ids":["` + otherClientID + `","` + strings.ToUpper(clientID) + `","` + clientID +
			`"],"expires_at":"2026-02-24T18:00:00.1239+01:00"}`
		got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: tokensPath, Body: body})
		var token gen.TokenWithSecret
		if err := json.Unmarshal([]byte(got.Body), &token); err != nil || got.Status != http.StatusCreated {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		s.Log.Forbid(token.Secret)
		path := tokensPath + "/" + token.ID.String()
		if got.Header.Get("Location") != path || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("ETag") != "" {
			t.Errorf("%v", got.Header)
		}
		want := `{"id":"` + token.ID.String() + `","name":"Zoë","scopes":["apps:read","tokens:read"],"all_clients":false,"client_ids":["` + clientID + `","` +
			otherClientID + `"],"created_by":"` + s.Actor.ID.String() + `","created_at":"` + now +
			`","expires_at":"2026-02-24T17:00:00.123Z","last_used_at":null,"revoked_at":null`
		if got.Body != want+`,"secret":"`+token.Secret+"\"}\n" {
			t.Errorf("created %s, want %s", got.Body, want)
		}
		as := &servertest.Client{URL: s.URL, Token: token.Secret}
		for _, by := range []*servertest.Client{s.Client, as} {
			if read := by.Get(t, path); read.Status != http.StatusOK || read.Body != want+"}\n" || read.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v %s, want %s", read.Status, read.Header, read.Body, want)
			}
		}
		if got := as.Get(t, clientPath+"/apps"); got.Status != http.StatusOK {
			t.Errorf("the token reads apps: %d", got.Status)
		}
		if got := as.Get(t, "/v2/catalog-apps"); got.Status != http.StatusForbidden {
			t.Errorf("the token reads the catalog: %d", got.Status)
		}
		_, none := createToken(t, s, s.Client, `{"name":"none","scopes":["apps:read","tokens:read"],"client_ids":[]}`)
		if got := none.Get(t, clientPath+"/apps"); got.Status != http.StatusForbidden {
			t.Errorf("a token for no client reads apps: %d", got.Status)
		}
		if list := call[gen.TokenList](t, none, http.MethodGet, tokensPath, "", http.StatusOK); list.TotalCount != 1 || list.Data[0].Name != "none" {
			t.Errorf("a token for no client sees %+v", list)
		}
	})
}

// What a schema cannot say of a new token is 400 with the name of the field.
func TestInvalidTokens(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s)
		before := f.content(t)
		const either = "either client_ids or an all_clients that is true is needed"
		const past = "expires_at must be a timestamp in the future or null"
		for body, want := range map[string]string{
			`"scopes":["apps:read"]`:                                                                          invalidField("client_ids", either),
			`"scopes":["apps:read"],"all_clients":false`:                                                      invalidField("client_ids", either),
			`"scopes":["apps:read"],"all_clients":true,"client_ids":[]`:                                       invalidField("client_ids", either),
			`"scopes":["apps:read","apps:read"],"all_clients":true`:                                           invalidField("scopes", "scopes must be an array of different items"),
			`"scopes":[],"all_clients":true`:                                                                  invalidField("scopes", "scopes must be an array of 1 to 16 items"),
			`"scopes":["apps:read"],"client_ids":["` + nilID + `"]`:                                           invalidField("client_ids", "client_ids does not exist"),
			`"scopes":["apps:read"],"all_clients":true,"expires_at":"2026-02-24T15:00:00Z"`:                   invalidField("expires_at", past),
			`"scopes":["apps:read"],"all_clients":true,"expires_at":"2026-02-24T15:00:00.000999Z"`:            invalidField("expires_at", past),
			`"scopes":["apps:read"],"all_clients":true,"expires_at":"2027-02-29T15:00:00Z"`:                   invalidField("expires_at", past),
			`"scopes":["apps:read"],"all_clients":true,"expires_at":"9999-12-31T23:59:59-01:00"`:              invalidField("expires_at", past),
			`"scopes":["apps:read"],"all_clients":true,"expires_at":"tomorrow"`:                               invalidField("expires_at", past),
			`"scopes":["apps:read"],"all_clients":true,"expires_at":"2027-01-01T00:00:00Z","dry_run":true`:    invalidField("dry_run", "Unknown field 'dry_run'"),
			`"scopes":["apps:read"],"client_ids":["` + strings.Repeat(clientID+`","`, 1000) + clientID + `"]`: invalidField("client_ids", "client_ids must be an array of 0 to 1000 items"),
		} {
			got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: tokensPath, Body: `{"name":"x",` + body + `}`})
			if got.Status != http.StatusBadRequest || got.Body != want+"\n" {
				t.Errorf("%.200s: %d %s", body, got.Status, got.Body)
			}
		}
		got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: tokensPath + "?dry_run=true", Body: `{"name":"x","scopes":["apps:read"],"all_clients":true}`})
		if got.Status != http.StatusBadRequest {
			t.Errorf("a dry run: %d", got.Status)
		}
		if after := f.content(t); after != before {
			t.Errorf("written: %s", after)
		}
	})
}

// Rotation answers a new secret; the old one is good for the overlap. Then revocation ends both, and there is no rotation any more.
func TestRotateAndRevokeToken(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		token, first := createToken(t, s, s.Client, `{"name":"sync","scopes":["apps:read","tokens:write"],"client_ids":["`+clientID+`"]}`)
		path := tokensPath + "/" + token.ID.String()
		rotate := func(by *servertest.Client, body string) *servertest.Client {
			t.Helper()
			got := by.Send(t, servertest.Request{Method: http.MethodPost, Target: path + "/rotate", Body: body})
			var rotated gen.TokenWithSecret
			if err := json.Unmarshal([]byte(got.Body), &rotated); err != nil || got.Status != http.StatusOK || got.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
			}
			s.Log.Forbid(rotated.Secret)
			secret := rotated.Secret
			if rotated.Secret = token.Secret; !equalJSON(t, rotated, token) || secret == token.Secret {
				t.Errorf("rotated: %s", got.Body)
			}
			return &servertest.Client{URL: s.URL, Token: secret}
		}
		good := func(what string, clients map[*servertest.Client]bool) {
			t.Helper()
			for client, good := range clients {
				if got := client.Get(t, clientPath+"/apps"); (got.Status == http.StatusOK) != good || !good && got.Body != unauthorized+"\n" {
					t.Errorf("%s: %d %s", what, got.Status, got.Body)
				}
			}
		}
		second := rotate(first, `{"overlap_seconds":60}`) // by itself
		good("in the overlap", map[*servertest.Client]bool{first: true, second: true})
		s.Clock.Advance(time.Minute)
		good("behind the overlap", map[*servertest.Client]bool{first: false, second: true})
		third := rotate(s.Client, "") // no body
		good("without an overlap", map[*servertest.Client]bool{second: false, third: true})
		fourth := rotate(third, `{}`)
		if got := fourth.Send(t, servertest.Request{Method: http.MethodDelete, Target: path}); got.Status != http.StatusNoContent {
			t.Errorf("a token revokes itself: %d %s", got.Status, got.Body)
		}
		good("revoked", map[*servertest.Client]bool{third: false, fourth: false})
		for range 2 {
			call[struct{}](t, s.Client, http.MethodDelete, path, "", http.StatusNoContent)
		}
		got := s.Send(t, servertest.Request{Method: http.MethodPost, Target: path + "/rotate"})
		want := `{"error":{"code":"conflict","message":"The token is revoked","details":{"token_id":"` + token.ID.String() + `"}}}`
		if got.Status != http.StatusConflict || got.Body != want+"\n" {
			t.Errorf("rotation of a revoked token: %d %s", got.Status, got.Body)
		}
		if read := call[gen.Token](t, s.Client, http.MethodGet, path, "", http.StatusOK); read.RevokedAt == nil || *read.RevokedAt != "2026-02-24T15:01:00.000Z" {
			t.Errorf("%+v", read)
		}
		for method, target := range map[string]string{"GET": tokensPath + "/" + nilID, "DELETE": tokensPath + "/" + nilID, "POST": tokensPath + "/" + nilID + "/rotate"} {
			if got := s.Send(t, servertest.Request{Method: method, Target: target}); got.Status != http.StatusNotFound || got.Body != noToken(nilID)+"\n" {
				t.Errorf("%s %s: %d %s", method, target, got.Status, got.Body)
			}
		}
	})
}

func equalJSON(t *testing.T, a, b any) bool {
	t.Helper()
	left, err := json.Marshal(a)
	right, other := json.Marshal(b)
	if err := errors.Join(err, other); err != nil {
		t.Fatal(err)
	}
	return string(left) == string(right)
}

// Revoking a token revokes what it has made, unless that is kept.
func TestRevokeCreated(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		const body = `{"name":"x","scopes":["apps:read","tokens:write"],"all_clients":true}`
		parent, as := createToken(t, s, s.Client, body)
		child, asChild := createToken(t, s, as, body)
		_, asGrandchild := createToken(t, s, asChild, body)
		status := func(want int, clients ...*servertest.Client) {
			t.Helper()
			for _, c := range clients {
				if got := c.Get(t, appPath); got.Status != want {
					t.Errorf("%d, want %d", got.Status, want)
				}
			}
		}
		call[struct{}](t, s.Client, http.MethodDelete, tokensPath+"/"+child.ID.String()+"?keep_created=true", "", http.StatusNoContent)
		status(http.StatusOK, as, asGrandchild)
		status(http.StatusUnauthorized, asChild)
		call[struct{}](t, s.Client, http.MethodDelete, tokensPath+"/"+parent.ID.String()+"?keep_created=false", "", http.StatusNoContent)
		status(http.StatusUnauthorized, as, asChild, asGrandchild)
	})
}

// Each change of a token is logged with its author.
func TestTokenChangesAreLogged(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		token, as := createToken(t, s, s.Client, `{"name":"parent","scopes":["tokens:write"],"all_clients":true}`)
		child, _ := createToken(t, s, as, `{"name":"child","scopes":["tokens:write"],"all_clients":true}`)
		path := tokensPath + "/" + token.ID.String()
		for _, r := range []servertest.Request{
			{Method: http.MethodPost, Target: path + "/rotate"},
			{Method: http.MethodDelete, Target: path},
			{Method: http.MethodDelete, Target: path},
			{Method: http.MethodPost, Target: path + "/rotate"},
		} {
			r.Header = []string{"X-Request-Id: change-1"}
			s.Send(t, r)
		}
		var got []string
		for _, line := range s.Log.Lines(t) {
			if message, _ := line["msg"].(string); strings.HasPrefix(message, "token ") {
				of, by := line["token"].(map[string]any), line["actor"].(map[string]any)
				got = append(got, strings.Join([]string{
					message, of["id"].(string), of["name"].(string), by["id"].(string), by["name"].(string), line["level"].(string),
				}, " "))
				if message != "token created" && line["request_id"] != "change-1" {
					t.Errorf("%v", line)
				}
			}
		}
		own, everything := token.ID.String()+" parent ", s.Actor.ID.String()+" everything INFO"
		want := []string{
			"token created " + own + everything,
			"token created " + child.ID.String() + " child " + own + "INFO",
			"token rotated " + own + everything,
			"token revoked " + own + everything,
			"token revoked " + child.ID.String() + " child " + everything,
		}
		if !slices.Equal(got, want) {
			t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// The order of the answers behind 404: what the token has not is 403, and then comes 409.
func TestOrderOfTokenAnswers(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		_, wide := s.NewToken(t, store.Token{Name: "wide", Scopes: "apps:write", ClientIDs: []uuid.UUID{storetest.ClientID}})
		_, foreign := s.NewToken(t, store.Token{Name: "foreign", Scopes: "apps:write", ClientIDs: []uuid.UUID{storetest.OtherClientID}})
		if _, err := s.Store.RevokeToken(t.Context(), nil, wide.ID, false); err != nil {
			t.Fatal(err)
		}
		secret, _ := s.NewToken(t, store.Token{Name: "narrow", Scopes: "tokens:read tokens:write", ClientIDs: []uuid.UUID{storetest.ClientID}})
		narrow := &servertest.Client{URL: s.URL, Token: secret}
		for _, c := range []struct {
			method, target, body string
			status               int
			want                 string
		}{
			{"POST", "/" + foreign.ID.String() + "/rotate", `{"overlap_seconds":-1}`, 400, ""},
			{"POST", "/" + foreign.ID.String() + "/rotate", `{}`, 404, noToken(foreign.ID.String())},
			{"POST", "/" + wide.ID.String() + "/rotate", `{}`, 403, forbidden},
			{"DELETE", "/" + foreign.ID.String(), "", 404, noToken(foreign.ID.String())},
			{"DELETE", "/" + wide.ID.String(), "", 403, forbidden},
			{"POST", "", `{"name":"x","scopes":["apps:write"],"all_clients":true,"expires_at":"2026-01-01T00:00:00Z"}`, 400, ""},
			{"POST", "", `{"name":"x","scopes":["apps:write"],"client_ids":["` + clientID + `"]}`, 403, forbidden},
			{"POST", "", `{"name":"x","scopes":["tokens:read"],"client_ids":["` + nilID + `"]}`, 403, forbidden},
			{"GET", "/" + wide.ID.String(), "", 200, ""},
		} {
			got := narrow.Send(t, servertest.Request{Method: c.method, Target: tokensPath + c.target, Body: c.body})
			if got.Status != c.status || c.want != "" && got.Body != c.want+"\n" {
				t.Errorf("%s %s %s: %d %s", c.method, c.target, c.body, got.Status, got.Body)
			}
		}
	})
}

// A token that ends while its request is served makes nothing, and gets 401.
func TestEndedTokenMakesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s := servertest.New(t, url)
		other := storetest.Open(t, url)
		token, as := createToken(t, s, s.Client, `{"name":"x","scopes":["tokens:read","tokens:write"],"all_clients":true}`)
		as.Get(t, tokensPath) // caches it
		if _, err := other.RevokeToken(t.Context(), nil, token.ID, false); err != nil {
			t.Fatal(err)
		}
		for _, r := range []servertest.Request{
			{Method: http.MethodPost, Target: tokensPath, Body: `{"name":"x","scopes":["tokens:read"],"all_clients":true}`},
			{Method: http.MethodGet, Target: tokensPath},
		} {
			if got := as.Send(t, r); got.Status != http.StatusUnauthorized || got.Body != unauthorized+"\n" {
				t.Errorf("%s: %d %s", r.Method, got.Status, got.Body)
			}
		}
	})
}

// Pages of tokens, by creation.
func TestListTokens(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		for range 5 {
			s.Clock.Advance(time.Second)
			s.NewToken(t, store.Token{Name: "x", Scopes: strings.Join(server.Scopes(), " "), ClientIDs: []uuid.UUID{storetest.ClientID}})
			s.NewToken(t, store.Token{Name: "y", Scopes: "apps:read", ClientIDs: []uuid.UUID{storetest.OtherClientID}})
		}
		secret, _ := s.NewToken(t, store.Token{Name: "x", Scopes: "tokens:read", ClientIDs: []uuid.UUID{storetest.ClientID}})
		as := &servertest.Client{URL: s.URL, Token: secret}
		for _, order := range []string{"asc", "desc"} {
			var times []string
			for target := tokensPath + "?page_size=4&sort_by=created_at&sort_order=" + order; target != ""; {
				list := call[gen.TokenList](t, as, http.MethodGet, target, "", http.StatusOK)
				if list.TotalCount != 6 || len(list.Data) == 0 {
					t.Errorf("%d of %d", len(list.Data), list.TotalCount)
				}
				for _, token := range list.Data {
					if times = append(times, token.CreatedAt); token.Name != "x" {
						t.Errorf("it sees %+v", token)
					}
				}
				if target = ""; list.NextCursor != nil {
					target = tokensPath + "?page_size=4&sort_order=" + order + "&cursor=" + *list.NextCursor
				}
			}
			if order == "desc" {
				slices.Reverse(times)
			}
			if len(times) != 6 || !slices.IsSorted(times) {
				t.Errorf("%s: %v", order, times)
			}
		}
	})
}
