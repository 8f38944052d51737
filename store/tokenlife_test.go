package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
	"github.com/clientapps/clientapps/store/storetest"
)

// authenticated returns the token of a secret as a request has it.
func authenticated(t testing.TB, s *store.Store, secret string) *store.Token {
	t.Helper()
	return must(s.Authenticate(t.Context(), secret))(t)
}

// newSecret returns a secret that no token has.
func newSecret(t testing.TB) string {
	t.Helper()
	return must(apitoken.New())(t)
}

// wantGood checks which of some secrets are good.
func wantGood(t testing.TB, s *store.Store, what string, secrets map[string]bool) {
	t.Helper()
	for secret, good := range secrets {
		if _, err := s.Authenticate(t.Context(), secret); (err == nil) != good || err != nil && !errors.Is(err, store.ErrUnknownToken) {
			t.Errorf("%s: a secret is good: %t, want %t: %v", what, err == nil, good, err)
		}
	}
}

// TestRotateToken rotates a token with overlaps. At most two secrets are good at once, also while they are cached, and none longer than
// the token.
func TestRotateToken(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock := &storetest.Clock{}
		s := openSeeded(t, url, storetest.Page(), withClock(clock), func(cfg *store.Config) { cfg.TokenCacheTTL = time.Hour })
		end := storetest.Now.Add(time.Hour)
		made, first := newToken(t, s, func(token *store.Token) { token.ExpiresAt = &end })
		rotate := func(overlap time.Duration) string {
			t.Helper()
			secret := newSecret(t)
			token := must(s.RotateToken(t.Context(), nil, made.ID, secret, overlap))(t)
			wantJSON(t, "the rotated token", withoutHashes(token), withoutHashes(made))
			return secret
		}
		wantGood(t, s, "new", map[string]bool{first: true})
		second := rotate(time.Minute)
		for range 2 { // from the table, and from the cache
			wantGood(t, s, "rotated", map[string]bool{first: true, second: true})
		}
		clock.Advance(time.Minute - time.Millisecond)
		wantGood(t, s, "before the end of the overlap", map[string]bool{first: true, second: true})
		clock.Advance(time.Millisecond)
		wantGood(t, s, "at the end of the overlap", map[string]bool{first: false, second: true})
		third := rotate(time.Minute)
		fourth := rotate(time.Minute)
		wantGood(t, s, "rotated during an overlap", map[string]bool{first: false, second: false, third: true, fourth: true})
		fifth := rotate(0)
		wantGood(t, s, "rotated without an overlap", map[string]bool{third: false, fourth: false, fifth: true})
		sixth := rotate(7 * 24 * time.Hour)
		clock.Advance(time.Hour)
		wantGood(t, s, "expired", map[string]bool{fifth: false, sixth: false})
		_, err := s.RotateToken(t.Context(), nil, made.ID, newSecret(t), 0)
		if ended := (*store.EndedTokenError)(nil); !errors.As(err, &ended) || ended.State() != "expired" || ended.ID != made.ID {
			t.Errorf("an expired token: %v", err)
		}
	})
}

// withoutHashes returns what the API shows of a token.
func withoutHashes(t store.Token) store.Token {
	t.Hash, t.PreviousHash, t.PreviousUntil = nil, nil, nil
	return t
}

// TestOtherServersFollow rotates and revokes tokens on one server. Another, which has them in its cache, follows.
func TestOtherServersFollow(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		other := storetest.Open(t, url, withClock(&storetest.Clock{}), func(cfg *store.Config) { cfg.TokenCacheTTL = 50 * time.Millisecond })
		made, secret := newToken(t, s, nil)
		authenticated(t, s, secret)
		authenticated(t, other, secret)
		next := newSecret(t)
		wantGood(t, other, "not there yet", map[string]bool{next: false})
		must(s.RotateToken(t.Context(), nil, made.ID, next, 0))(t)
		wantGood(t, s, "on the server that rotated it", map[string]bool{secret: false, next: true})
		eventually(t, "rotated on the other server", func() bool {
			_, old := other.Authenticate(t.Context(), secret)
			_, current := other.Authenticate(t.Context(), next)
			return errors.Is(old, store.ErrUnknownToken) && current == nil
		})
		must(s.RevokeToken(t.Context(), nil, made.ID, false))(t)
		wantGood(t, s, "on the server that revoked it", map[string]bool{next: false})
		eventually(t, "revoked on the other server", func() bool {
			_, err := other.Authenticate(t.Context(), next)
			return errors.Is(err, store.ErrRevokedToken)
		})
	})
}

// TestRevokeCreatedTokens revokes a token of three generations, with and without those that it has made.
func TestRevokeCreatedTokens(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		secrets := map[string]string{}
		add := func(name, creator string) store.Token {
			var by *store.Token
			if creator != "" {
				by = authenticated(t, s, secrets[creator])
			}
			secrets[name] = newSecret(t)
			return must(s.CreateToken(t.Context(), by, secrets[name], store.Token{Name: name, Scopes: "apps:read", AllClients: true}))(t)
		}
		add("stranger", "")
		root := add("root", "")
		child := add("child", "root")
		add("sibling", "root")
		add("grandchild", "child")
		revoke := func(id uuid.UUID, keep bool, want ...string) {
			t.Helper()
			var names []string
			for _, token := range must(s.RevokeToken(t.Context(), nil, id, keep))(t) {
				names = append(names, token.Name)
			}
			if slices.Sort(names); !slices.Equal(names, want) {
				t.Errorf("revoked %v, want %v", names, want)
			}
		}
		revoke(child.ID, true, "child")
		wantGood(t, s, "kept", map[string]bool{secrets["child"]: false, secrets["grandchild"]: true, secrets["root"]: true})
		revoke(child.ID, true)
		revoke(root.ID, false, "grandchild", "root", "sibling")
		revoke(root.ID, false)
		wantGood(t, s, "revoked", map[string]bool{
			secrets["stranger"]: true, secrets["root"]: false, secrets["sibling"]: false, secrets["grandchild"]: false,
		})
	})
}

// TestEndedTokenMakesNothing has a server make and rotate tokens for a token that is good in its cache alone.
func TestEndedTokenMakesNothing(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		stale := storetest.Open(t, url, withClock(&storetest.Clock{}), func(cfg *store.Config) { cfg.TokenCacheTTL = time.Hour })
		for _, end := range []func(id uuid.UUID) error{
			func(id uuid.UUID) error { return onlyErr(s.RevokeToken(t.Context(), nil, id, true)) },
			func(id uuid.UUID) error { return onlyErr(s.RotateToken(t.Context(), nil, id, newSecret(t), 0)) },
		} {
			made, secret := newToken(t, s, nil)
			target, _ := newToken(t, s, nil)
			by := authenticated(t, stale, secret)
			if err := end(made.ID); err != nil {
				t.Fatal(err)
			}
			before := dump(t, url, "tokens", "token_clients")
			if _, err := stale.CreateToken(t.Context(), by, newSecret(t), store.Token{Name: "x", Scopes: "apps:read"}); !errors.Is(err, store.ErrUnknownToken) {
				t.Errorf("create: %v", err)
			}
			wantGood(t, stale, "after the refusal", map[string]bool{secret: false})
			for _, id := range []uuid.UUID{target.ID, made.ID} {
				if _, err := stale.RotateToken(t.Context(), by, id, newSecret(t), 0); !errors.Is(err, store.ErrUnknownToken) {
					t.Errorf("rotate: %v", err)
				}
			}
			if after := dump(t, url, "tokens", "token_clients"); after != before {
				t.Errorf("written:\n%s", after)
			}
		}
	})
}

// TestCreationRacesRevocation makes tokens while their creator is revoked. None survives, not even one that a new token makes at once.
func TestCreationRacesRevocation(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string, s *store.Store) {
		other := storetest.Open(t, url, withClock(&storetest.Clock{}))
		for round := range 5 {
			root, secret := newToken(t, s, nil)
			var all sync.WaitGroup
			var mu sync.Mutex
			var made []string
			for n := range 6 {
				server := []*store.Store{s, other}[n%2]
				all.Go(func() {
					by, err := server.Authenticate(t.Context(), secret)
					for err == nil {
						next := newSecret(t)
						token := store.Token{Name: "made", Scopes: "apps:read", ClientIDs: []uuid.UUID{storetest.ClientID}}
						if _, err = server.CreateToken(t.Context(), by, next, token); err == nil {
							mu.Lock()
							made = append(made, next)
							mu.Unlock()
							by, err = server.Authenticate(t.Context(), next)
						}
					}
					if !errors.Is(err, store.ErrUnknownToken) {
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
			eventually(t, "tokens", func() bool { mu.Lock(); defer mu.Unlock(); return len(made) > 3 })
			must(s.RevokeToken(t.Context(), nil, root.ID, false))(t)
			all.Wait()
			fresh := storetest.Open(t, url, withClock(&storetest.Clock{}))
			for _, secret := range append(made, secret) {
				if _, err := fresh.Authenticate(t.Context(), secret); !errors.Is(err, store.ErrRevokedToken) {
					t.Fatalf("round %d: one of %d tokens: %v", round, len(made), err)
				}
			}
		}
	})
}

// TestVisibleTokens lists and reads tokens as each of them.
func TestVisibleTokens(t *testing.T) {
	eachDatabase(t, func(t *testing.T, _ string, s *store.Store) {
		var names []string
		byName, secrets := map[string]store.Token{}, map[string]string{}
		add := func(creator, name string, all bool, clients ...uuid.UUID) {
			var by *store.Token
			if creator != "" {
				by = authenticated(t, s, secrets[creator])
			}
			names, secrets[name] = append(names, name), newSecret(t)
			byName[name] = must(s.CreateToken(t.Context(), by, secrets[name], store.Token{Name: name, AllClients: all, ClientIDs: clients}))(t)
		}
		own, foreign := storetest.ClientID, storetest.OtherClientID
		add("", "all", true)
		add("", "own", false, own)
		add("", "foreign", false, foreign)
		add("", "both", false, foreign, own)
		add("own", "none", false)
		add("", "other none", false)
		visible := map[string][]string{
			"all": names, "own": {"own", "none"}, "foreign": {"foreign"}, "both": {"own", "foreign", "both"},
			"none": {"none"}, "other none": {"other none"},
		}
		for _, name := range names {
			by := authenticated(t, s, secrets[name])
			list := must(s.ListTokens(t.Context(), by, store.Page{Size: 50, SortBy: store.ColumnCreatedAt}))(t)
			var seen []string
			for _, token := range list.Rows {
				seen = append(seen, token.Name)
				wantJSON(t, token.Name, withoutHashes(token), withoutHashes(byName[token.Name]))
			}
			want := slices.Clone(visible[name])
			slices.Sort(want)
			if slices.Sort(seen); !slices.Equal(seen, want) || list.Total != int64(len(want)) {
				t.Errorf("%s sees %v of %d, want %v", name, seen, list.Total, want)
			}
			for _, other := range names {
				_, err := s.GetToken(t.Context(), by, byName[other].ID)
				missing := (*store.NotFoundError)(nil)
				if slices.Contains(want, other) != (err == nil) || err != nil && (!errors.As(err, &missing) || missing.Kind != store.KindToken) {
					t.Errorf("%s reads %s: %v", name, other, err)
				}
			}
		}
	})
}

// TestTokenForManyClients makes a token for a thousand clients with a handful of statements.
func TestTokenForManyClients(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		var data store.Dataset
		token := store.Token{Name: "many"}
		for n := range 1000 {
			data.Clients = append(data.Clients, client(fmt.Sprintf("Client %d", n)))
			token.ClientIDs = append(token.ClientIDs, data.Clients[n].ID, data.Clients[n].ID)
		}
		var statements []string
		var mu sync.Mutex
		s := openSeeded(t, url, data, func(cfg *store.Config) {
			check := cfg.OnStatement
			cfg.OnStatement = func(statement string) {
				check(statement)
				mu.Lock()
				defer mu.Unlock()
				statements = append(statements, statement)
			}
		})
		statements = nil
		made := must(s.CreateToken(t.Context(), nil, newSecret(t), token))(t)
		mu.Lock()
		sent := slices.DeleteFunc(slices.Clone(statements), func(statement string) bool {
			return strings.Contains(statement, "deleting_since IS NOT NULL") // the store looks for clients that are being deleted, by itself
		})
		mu.Unlock()
		if len(sent) == 0 || len(sent) > 8 {
			t.Errorf("%d statements", len(sent))
		}
		if read := must(s.GetToken(t.Context(), nil, made.ID))(t); len(read.ClientIDs) != 1000 || !slices.Equal(read.ClientIDs, made.ClientIDs) {
			t.Errorf("%d clients", len(read.ClientIDs))
		}
	})
}

// TestLastUse uses tokens on two servers. Both see the latest minute, which is written behind, and when a server closes.
func TestLastUse(t *testing.T) {
	t.Parallel()
	storetest.EachParallel(t, func(t *testing.T, url string) {
		clock, behind := &storetest.Clock{}, &storetest.Clock{}
		often := func(cfg *store.Config) {
			cfg.TokenUsageInterval, cfg.TokenCacheTTL = 20*time.Millisecond, 50*time.Millisecond
		}
		s := openSeeded(t, url, storetest.Page(), withClock(clock), often)
		other := storetest.Open(t, url, withClock(behind), often)
		made, secret := newToken(t, s, nil)
		_, unused := newToken(t, s, nil)
		lastUse := func() *time.Time { return must(other.GetToken(t.Context(), nil, made.ID))(t).LastUsedAt }
		if made.LastUsedAt != nil || lastUse() != nil {
			t.Errorf("a new token was used at %v", lastUse())
		}
		clock.Advance(90 * time.Second)
		authenticated(t, s, secret)
		want := storetest.Now.Add(time.Minute)
		eventually(t, "the first use", func() bool { at := lastUse(); return at != nil && at.Equal(want) })
		clock.Advance(10 * time.Minute)
		authenticated(t, s, secret) // cached
		want = want.Add(10 * time.Minute)
		eventually(t, "a use from the cache", func() bool { return lastUse().Equal(want) })
		authenticated(t, other, secret)
		clock.Advance(time.Minute)
		authenticated(t, s, secret)
		if err := errors.Join(other.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		again := storetest.Open(t, url)
		if at := must(again.GetToken(t.Context(), nil, made.ID))(t).LastUsedAt; !at.Equal(want.Add(time.Minute)) {
			t.Errorf("after Close: %v, want %v", at, want.Add(time.Minute))
		}
		if used := strings.Count(dump(t, url, "tokens"), "last_used_at=<nil>"); used != 1 || unused == "" {
			t.Errorf("%d tokens were never used", used)
		}
	})
}
