package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// How often the provider is asked for its keys.
const (
	minRefresh   = 10 * time.Second // between two fetches: a new key is known after at most this time
	refreshAfter = 15 * time.Minute // until the keys are fetched again: a withdrawn key is refused after at most this time
	maxStale     = 24 * time.Hour   // how long old keys are used while the provider is unreachable
)

// signingAlgorithms are the algorithms with a public key. With the others, such as none, or HMAC with the public key as its
// secret, anybody could sign.
var signingAlgorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

var joseAlgorithms = func() (algorithms []jose.SignatureAlgorithm) {
	for _, a := range signingAlgorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	return algorithms
}()

// keySet caches the provider's keys. It fetches them when a token has an unknown key id, at most once in minRefresh, so that
// random key ids do not flood the provider.
type keySet struct {
	issuer   string
	client   *http.Client
	log      *slog.Logger
	clock    func() time.Time
	cached   atomic.Pointer[cachedKeys] // never nil
	fetching chan struct{}              // held by the request that fetches
	waiting  chan struct{}              // held by requests that wait for a fetch, including the one that fetches
	checks   signatureChecks
}

// cachedKeys is the result of the last fetch.
type cachedKeys struct {
	keys      []jose.JSONWebKey
	fetchedAt time.Time // when the keys were fetched
	endedAt   time.Time // when the last fetch ended
	err       error     // of the last fetch
}

func newKeySet(cfg Config, maxWaiting int, log *slog.Logger, clock func() time.Time) *keySet {
	k := &keySet{
		issuer: cfg.Issuer, log: log, clock: clock, client: boundedClient(cfg.Timeout),
		fetching: make(chan struct{}, 1), waiting: make(chan struct{}, max(1, maxWaiting)), checks: newSignatureChecks(),
	}
	k.cached.Store(&cachedKeys{})
	return k
}

// verify returns the payload of a token that is signed with a key of the provider.
func (k *keySet) verify(ctx context.Context, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, joseAlgorithms)
	if err != nil || !unambiguousHeader(jwt) || !isAccessToken(jws) {
		return nil, ErrMalformed
	}
	cached := k.cached.Load()
	if k.clock().Sub(cached.fetchedAt) >= refreshAfter {
		if cached, err = k.refresh(ctx, cached); err != nil {
			return nil, err
		}
	}
	if payload, known, err := k.checks.run(ctx, cached, jws); known || err != nil {
		return payload, err
	}
	if cached, err = k.refresh(ctx, cached); err != nil {
		return nil, err
	}
	if payload, known, err := k.checks.run(ctx, cached, jws); known || err != nil {
		return payload, err
	}
	if cached.err != nil {
		return nil, k.unavailable(cached)
	}
	return nil, ErrSignature
}

// unambiguousHeader refuses headers that parsers read differently, as strictObject does for claims: a proxy may ignore the letter
// case of names. JWTs must not use b64 (RFC 7797, 7).
func unambiguousHeader(jwt string) bool {
	text, _, _ := strings.Cut(jwt, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	header, err := strictObject(raw, "alg", "b64", "crit", "cty", "enc", "jku", "jwk", "kid", "typ", "x5c", "x5t", "x5t#S256", "x5u", "zip")
	_, unencoded := header["b64"]
	return err == nil && !unencoded
}

// isAccessToken refuses tokens of another type (RFC 8725, 3.11; RFC 9068, 4), such as logout tokens. Many providers set the type
// JWT or none.
func isAccessToken(jws *jose.JSONWebSignature) bool {
	typ, has := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType]
	text, _ := typ.(string)
	switch strings.TrimPrefix(strings.ToLower(text), "application/") {
	case "at+jwt", "jwt":
		return true
	}
	return !has
}

// verify tries the keys that may have signed a token; known reports that there are any. The payload is nil unless one of them
// fits.
func (c *cachedKeys) verify(jws *jose.JSONWebSignature) (payload []byte, known bool) {
	header := jws.Signatures[0].Protected
	for i := range c.keys {
		key := &c.keys[i]
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		known = known || header.KeyID != "" // without a key id, any key may have signed
		if payload, err := jws.Verify(key); err == nil {
			return payload, true
		}
	}
	return nil, known
}

// refresh fetches the keys, unless they were fetched within minRefresh. While the provider cannot be reached, it keeps the old
// keys.
func (k *keySet) refresh(ctx context.Context, seen *cachedKeys) (*cachedKeys, error) {
	if !seen.endedAt.IsZero() && k.clock().Sub(seen.endedAt) < minRefresh {
		return seen, nil
	}
	select {
	case k.waiting <- struct{}{}:
		defer func() { <-k.waiting }()
	default: // requests would pile up while the provider does not answer
		return nil, &UnavailableError{Reason: ReasonProvider, RetryAfter: time.Second, cause: errors.New("too many requests wait for the identity provider")}
	}
	select {
	case k.fetching <- struct{}{}:
		defer func() { <-k.fetching }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if cached := k.cached.Load(); cached != seen {
		return cached, nil // another request has fetched the keys
	}
	next := &cachedKeys{keys: seen.keys, fetchedAt: seen.fetchedAt}
	keys, err := k.fetch(context.WithoutCancel(ctx)) // other requests wait for the result; the client has its own timeout
	next.endedAt = k.clock()
	if err != nil {
		next.err = err
		k.log.WarnContext(ctx, "identity provider cannot be asked for its keys", "issuer", k.issuer, "error", err)
		if next.endedAt.Sub(seen.fetchedAt) >= maxStale {
			next.keys = nil
		}
	} else {
		next.keys, next.fetchedAt = keys, next.endedAt
	}
	k.cached.Store(next)
	return next, nil
}

// unavailable is the error for a token that needs keys which the provider does not deliver.
func (k *keySet) unavailable(cached *cachedKeys) error {
	wait := max(time.Second, minRefresh-k.clock().Sub(cached.endedAt))
	return &UnavailableError{Reason: ReasonProvider, RetryAfter: wait, cause: cached.err}
}
