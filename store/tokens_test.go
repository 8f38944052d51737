package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// newToken stores a token for the page's client and returns it with its secret.
func newToken(t *testing.T, s *store.Store, change func(*store.Token)) (store.Token, string) {
	t.Helper()
	secret, err := apitoken.New()
	if err != nil {
		t.Fatal(err)
	}
	token := store.Token{Name: "test", Scopes: "apps:read apps:write", ClientIDs: []uuid.UUID{storetest.ClientID}}
	if change != nil {
		change(&token)
	}
	token, err = s.CreateToken(t.Context(), nil, secret, token)
	if err != nil {
		t.Fatal(err)
	}
	return token, secret
}

func TestAuthenticate(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		made, secret := newToken(t, s, nil)
		for range 2 { // first from the table, then from the cache
			token, err := s.Authenticate(t.Context(), secret)
			if err != nil || token.ID != made.ID || token.Name != "test" {
				t.Fatalf("%+v, %v", token, err)
			}
			if !token.HasScope("apps:read") || !token.HasScope("apps:write") || token.HasScope("apps") || token.HasScope("apps:read apps:write") || token.HasScope("") {
				t.Errorf("scopes %q", token.Scopes)
			}
			if !token.Covers(storetest.ClientID) || token.Covers(storetest.OtherClientID) || token.Covers(uuid.Nil) {
				t.Errorf("covers %v", token.ClientIDs)
			}
			if _, err := s.Authenticate(t.Context(), secret+"x"); !errors.Is(err, store.ErrUnknownToken) {
				t.Errorf("another secret: %v", err)
			}
		}
		if rows := dump(t, url, "tokens", "token_clients"); strings.Contains(rows, secret) || strings.Contains(rows, secret[5:20]) {
			t.Errorf("the secret is stored:\n%s", rows)
		}
	})
}

func TestTokenForAllClients(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		_, secret := newToken(t, s, func(token *store.Token) { token.AllClients, token.ClientIDs = true, nil })
		token, err := s.Authenticate(t.Context(), secret)
		if err != nil || !token.Covers(storetest.OtherClientID) || !token.Covers(uuid.New()) {
			t.Errorf("%+v, %v", token, err)
		}
	})
}

func TestTokenExpiresWhileRemembered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := storetest.Open(t, url, withClock(clock), func(cfg *store.Config) { cfg.TokenCacheTTL = time.Hour })
		if err := s.Seed(t.Context(), storetest.Page()); err != nil {
			t.Fatal(err)
		}
		end := storetest.Now.Add(time.Minute)
		_, secret := newToken(t, s, func(token *store.Token) { token.ExpiresAt = &end })
		for _, c := range []struct {
			at   time.Time
			good bool
		}{{storetest.Now, true}, {end.Add(-time.Millisecond), true}, {end, false}, {end.Add(time.Hour), false}} {
			clock.Advance(c.at.Sub(clock.Now()))
			if _, err := s.Authenticate(t.Context(), secret); (err == nil) != c.good {
				t.Errorf("%v: %v", c.at, err)
			}
		}
	})
}

func TestRevokedToken(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		other := storetest.Open(t, url, func(cfg *store.Config) { cfg.TokenCacheTTL = 50 * time.Millisecond })
		made, secret := newToken(t, s, nil)
		for _, server := range []*store.Store{s, other} {
			if _, err := server.Authenticate(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if _, err := s.RevokeToken(t.Context(), nil, made.ID, false); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Authenticate(t.Context(), secret); !errors.Is(err, store.ErrUnknownToken) {
			t.Errorf("on the server that revoked it: %v", err)
		}
		eventually(t, "a refusal by the other server", func() bool {
			_, err := other.Authenticate(t.Context(), secret)
			return errors.Is(err, store.ErrUnknownToken)
		})
		var missing *store.NotFoundError
		if _, err := s.RevokeToken(t.Context(), nil, uuid.New(), false); !errors.As(err, &missing) || missing.Kind != store.KindToken {
			t.Errorf("unknown id: %v", err)
		}
	})
}

// eventually waits until another part of the program has done something.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	if !storetest.Poll(done) {
		t.Fatalf("after a minute there is still not %s", what)
	}
}

func TestCreateTokenForUnknownClient(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		before := dump(t, url, "tokens", "token_clients")
		nobody := uuid.New()
		_, err := s.CreateToken(t.Context(), nil, "secret", store.Token{Name: "x", Scopes: "apps:read", ClientIDs: []uuid.UUID{storetest.ClientID, nobody}})
		var missing *store.ReferenceError
		if !errors.As(err, &missing) || missing.Field != "client_ids" || missing.ID != nobody {
			t.Errorf("%v", err)
		}
		if after := dump(t, url, "tokens", "token_clients"); after != before {
			t.Errorf("written:\n%s", after)
		}
	})
}

func TestAllTokens(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		first, _ := newToken(t, s, nil)
		second, _ := newToken(t, s, func(token *store.Token) {
			token.ClientIDs = []uuid.UUID{storetest.OtherClientID, storetest.ClientID}
		})
		if _, err := s.RevokeToken(t.Context(), nil, second.ID, false); err != nil {
			t.Fatal(err)
		}
		tokens, err := s.AllTokens(t.Context())
		if err != nil || len(tokens) != 2 {
			t.Fatalf("%+v, %v", tokens, err)
		}
		for _, token := range tokens {
			if (token.RevokedAt != nil) != (token.ID == second.ID) || (len(token.ClientIDs) == 1) != (token.ID == first.ID) {
				t.Errorf("%+v", token)
			}
		}
	})
}
