package server_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/storetest"
)

// modelToken is what a simple model knows of a token: its rights as sets.
type modelToken struct {
	id      string
	client  *servertest.Client
	scopes  map[string]bool
	all     bool
	clients map[string]bool
	expires time.Time // zero: never
	creator string
	revoked bool
}

// sees: whose clients it covers; of tokens without clients itself, what it has made, and with all clients every one.
func (m *modelToken) sees(o *modelToken) bool {
	switch {
	case m.all:
		return true
	case o.all:
		return false
	case len(o.clients) == 0:
		return o.id == m.id || o.creator == m.id
	}
	for id := range o.clients {
		if !m.clients[id] {
			return false
		}
	}
	return true
}

// has: every scope and every client of the other, and it does not end before.
func (m *modelToken) has(o *modelToken) bool {
	for scope := range o.scopes {
		if !m.scopes[scope] {
			return false
		}
	}
	for id := range o.clients {
		if !m.all && !m.clients[id] {
			return false
		}
	}
	return (m.all || !o.all) && (m.expires.IsZero() || !o.expires.IsZero() && !o.expires.After(m.expires))
}

// tokenModel is all tokens of a server that the test knows.
type tokenModel struct {
	*servertest.Server

	random *rand.Rand
	tokens []*modelToken
}

var (
	modelScopes  = []string{"apps:read", "apps:write", "tokens:read", "tokens:write"}
	modelClients = []string{clientID, otherClientID, "cc7cf840-9ca9-46a3-9778-9015d6580d50"}
)

func (m *tokenModel) pick() *modelToken { return m.tokens[m.random.IntN(len(m.tokens))] }

// some returns a random subset.
func (m *tokenModel) some(of []string) map[string]bool {
	found := map[string]bool{}
	for _, v := range of {
		if m.random.IntN(2) == 0 {
			found[v] = true
		}
	}
	return found
}

// draw returns a token with random rights.
func (m *tokenModel) draw() *modelToken {
	token := &modelToken{scopes: m.some(modelScopes), clients: map[string]bool{}}
	if m.random.IntN(3) > 0 { // so that many tokens can call the operations
		token.scopes["tokens:read"], token.scopes["tokens:write"] = true, true
	}
	if len(token.scopes) == 0 {
		token.scopes["apps:read"] = true
	}
	if token.all = m.random.IntN(4) == 0; !token.all {
		token.clients = m.some(modelClients)
	}
	if m.random.IntN(2) == 0 {
		token.expires = storetest.Now.Add(time.Duration(1+m.random.IntN(3)) * time.Hour)
	}
	return token
}

func jsonList(set map[string]bool) string {
	return `["` + strings.Join(slices.Sorted(maps.Keys(set)), `","`) + `"]`
}

func (m *modelToken) body() string {
	body := `{"name":"model","scopes":` + jsonList(m.scopes)
	switch {
	case m.all:
		body += `,"all_clients":true`
	case len(m.clients) == 0:
		body += `,"client_ids":[]`
	default:
		body += `,"client_ids":` + jsonList(m.clients)
	}
	if !m.expires.IsZero() {
		body += `,"expires_at":"` + m.expires.Format(time.RFC3339) + `"`
	}
	return body + "}"
}

// TestNobodyGetsMoreThanHeHas creates, reads, lists, rotates and revokes tokens at random, as tokens with random rights, and compares
// each answer with a model.
func TestNobodyGetsMoreThanHeHas(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		third := store.Client{ID: id(modelClients[2]), Name: "Fabrikam", Status: "active", CreatedAt: storetest.Now, UpdatedAt: storetest.Now}
		if err := s.Store.Seed(t.Context(), store.Dataset{Clients: []store.Client{third}}); err != nil {
			t.Fatal(err)
		}
		m := &tokenModel{Server: s, random: rand.New(rand.NewPCG(seed, 1))}
		author := &modelToken{id: s.Actor.ID.String(), client: s.Client, all: true, scopes: map[string]bool{}}
		for scope := range strings.FieldsSeq(s.Actor.Scopes) { // more than any drawn token has
			author.scopes[scope] = true
		}
		m.tokens = append(m.tokens, author)
		for range 12 { // by the operator
			m.add(t, m.draw())
		}
		counts := map[string]int{}
		for range 400 {
			by, target := m.pick(), m.pick()
			what := [...]string{"create", "create", "get", "list", "rotate", "revoke"}[m.random.IntN(6)]
			want, got := m.step(t, what, by, target)
			counts[fmt.Sprint(what, " ", want)]++
			if got.Status != want {
				t.Fatalf("%s by %+v of %+v: %d %s, want %d", what, by, target, got.Status, got.Body, want)
			}
			if want == http.StatusForbidden && got.Body != forbidden+"\n" {
				t.Errorf("%s: %s", what, got.Body)
			}
		}
		t.Log(counts)
	})
}

// add stores a token as the command does.
func (m *tokenModel) add(t *testing.T, token *modelToken) {
	t.Helper()
	row := store.Token{Name: "model", Scopes: strings.Join(slices.Sorted(maps.Keys(token.scopes)), " "), AllClients: token.all}
	for client := range token.clients {
		row.ClientIDs = append(row.ClientIDs, id(client))
	}
	if !token.expires.IsZero() {
		row.ExpiresAt = &token.expires
	}
	secret, stored := m.NewToken(t, row)
	token.id, token.client = stored.ID.String(), &servertest.Client{URL: m.URL, Token: secret}
	m.tokens = append(m.tokens, token)
}

// step sends one request, and applies it to the model if it succeeds.
func (m *tokenModel) step(t *testing.T, what string, by, target *modelToken) (want int, got *servertest.Response) {
	t.Helper()
	scope := "tokens:write"
	if what == "get" || what == "list" {
		scope = "tokens:read"
	}
	allowed := http.StatusOK
	switch {
	case by.revoked:
		allowed = http.StatusUnauthorized
	case !by.scopes[scope]:
		allowed = http.StatusForbidden
	}
	path := tokensPath + "/" + target.id
	switch what {
	case "create":
		return m.create(t, by, allowed)
	case "list":
		return allowed, m.list(t, by, allowed)
	case "get":
		if want = allowed; want == http.StatusOK && !by.sees(target) {
			want = http.StatusNotFound
		}
		return want, by.client.Get(t, path)
	}
	switch want = allowed; {
	case want != http.StatusOK:
	case !by.sees(target):
		want = http.StatusNotFound
	case !by.has(target):
		want = http.StatusForbidden
	case what == "rotate" && target.revoked:
		want = http.StatusConflict
	}
	if what == "rotate" {
		if got = by.client.Send(t, servertest.Request{Method: http.MethodPost, Target: path + "/rotate"}); got.Status == http.StatusOK {
			target.client = m.client(t, got)
		}
		return want, got
	}
	if want == http.StatusOK {
		want = http.StatusNoContent
	}
	keep := m.random.IntN(2) == 0
	if got = by.client.Send(t, servertest.Request{Method: http.MethodDelete, Target: fmt.Sprintf("%s?keep_created=%t", path, keep)}); got.Status == http.StatusNoContent {
		m.revoke(target, keep)
	}
	if len(slices.DeleteFunc(slices.Clone(m.tokens), func(t *modelToken) bool { return t.revoked })) < 5 {
		for range 5 {
			m.add(t, m.draw())
		}
	}
	return want, got
}

func (m *tokenModel) revoke(token *modelToken, keep bool) {
	token.revoked = true
	for _, child := range m.tokens {
		if !keep && child.creator == token.id {
			m.revoke(child, false)
		}
	}
}

func (m *tokenModel) create(t *testing.T, by *modelToken, allowed int) (want int, got *servertest.Response) {
	t.Helper()
	token := m.draw()
	switch want = allowed; {
	case want != http.StatusOK:
	case by.has(token):
		want = http.StatusCreated
	default:
		want = http.StatusForbidden
	}
	got = by.client.Send(t, servertest.Request{Method: http.MethodPost, Target: tokensPath, Body: token.body()})
	if got.Status == http.StatusCreated {
		token.creator = by.id
		token.id = strings.TrimPrefix(got.Header.Get("Location"), tokensPath+"/")
		token.client = m.client(t, got)
		m.tokens = append(m.tokens, token)
	}
	return want, got
}

// list checks that by sees just the tokens that it may.
func (m *tokenModel) list(t *testing.T, by *modelToken, allowed int) *servertest.Response {
	t.Helper()
	got := by.client.Get(t, tokensPath+"?page_size=500")
	if allowed != http.StatusOK || got.Status != allowed {
		return got
	}
	var page gen.TokenList
	decodeJSON(t, got.Body, &page)
	var seen, want []string
	for _, token := range page.Data {
		seen = append(seen, token.ID.String())
	}
	for _, token := range m.tokens {
		if by.sees(token) {
			want = append(want, token.id)
		}
	}
	slices.Sort(seen)
	if slices.Sort(want); !slices.Equal(seen, want) || page.TotalCount != int64(len(want)) {
		t.Errorf("%+v sees %v, want %v", by, seen, want)
	}
	return got
}

// client returns a client with the secret of an answer.
func (m *tokenModel) client(t *testing.T, got *servertest.Response) *servertest.Client {
	t.Helper()
	var token gen.TokenWithSecret
	decodeJSON(t, got.Body, &token)
	m.Log.Forbid(token.Secret)
	return &servertest.Client{URL: m.URL, Token: token.Secret}
}
