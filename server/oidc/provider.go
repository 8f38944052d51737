// Package oidc accepts the access tokens of an identity provider: it fetches the provider's keys (OpenID Connect Discovery 1.0),
// verifies a token's signature and reads its claims (RFC 7519, RFC 9068).
package oidc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
)

// Config selects the identity provider. The zero value accepts no tokens of a provider.
type Config struct {
	Issuer       string        // URL of the identity provider, exactly as in the claim iss; "" for none
	Audience     string        // required value of the claim aud; must be set with Issuer
	Scopes       []string      // the existing scopes; others in a token are ignored
	ScopeClaim   string        // claim with the scopes. Default scope
	ClientsClaim string        // claim with the ids of the clients, or *. Default client_ids
	Timeout      time.Duration // of a request to the provider. Default 5 s
}

// Bounds of tokens and of the cache.
const (
	maxJWT       = 16 << 10         // bytes; the head of a request has at most 64 KiB
	jwtCacheSize = 10_000           // verified tokens in the cache
	jwtCacheTTL  = 15 * time.Minute // how long a token is cached before its key is checked again
	jwtLeeway    = time.Minute      // how far the provider's clock may be off
)

// Provider accepts the access tokens of an identity provider.
type Provider struct {
	cfg      Config
	keys     *keySet
	clock    func() time.Time
	verified *otter.Cache[[sha256.Size]byte, *Claims]
}

// CheckIssuer refuses a URL that is not https, except on loopback, or cannot be an issuer.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not the URL of an issuer such as https://login.example.com", issuer)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("issuer %q must begin with https://", issuer)
	}
	return nil
}

// New returns nil without an issuer. It sends no request to the provider, which may be down: the first token does. maxWaiting bounds
// how many requests may wait for the provider at once.
func New(cfg Config, maxWaiting int, log *slog.Logger, clock func() time.Time) (*Provider, error) {
	if cfg.Issuer == "" && cfg.Audience == "" {
		return nil, nil //nolint:nilnil // nil is a server without a provider
	}
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("an issuer and an audience come together")
	}
	if err := CheckIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.ScopeClaim == "" {
		cfg.ScopeClaim = "scope"
	}
	if cfg.ClientsClaim == "" {
		cfg.ClientsClaim = "client_ids"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	cache, err := otter.New(&otter.Options[[sha256.Size]byte, *Claims]{
		MaximumSize:      jwtCacheSize,
		ExpiryCalculator: otter.ExpiryWriting[[sha256.Size]byte, *Claims](jwtCacheTTL),
	})
	if err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, keys: newKeySet(cfg, maxWaiting, log, clock), clock: clock, verified: cache}, nil
}

// LooksLikeJWT distinguishes a JWT from the server's own tokens and from other texts: it has a JSON object in base64 and two
// dots.
func LooksLikeJWT(secret string) bool {
	return strings.HasPrefix(secret, "eyJ") && strings.Count(secret, ".") == 2
}

// Authenticate returns the claims of a provider's token, which the caller must not change. Verified tokens are cached, so that a
// token is verified once in 15 minutes. For an invalid token the error is ErrMalformed, ErrSignature, ErrClaims or ErrExpired; an
// UnavailableError means that it cannot be verified now.
func (p *Provider) Authenticate(ctx context.Context, jwt string) (*Claims, error) {
	if len(jwt) > maxJWT {
		return nil, ErrMalformed
	}
	hash := sha256.Sum256([]byte(jwt))
	claims, ok := p.verified.GetIfPresent(hash)
	if !ok {
		var err error
		if claims, err = p.verify(ctx, jwt); err != nil {
			return nil, err
		}
	}
	if !p.clock().Before(claims.ExpiresAt) {
		return nil, ErrExpired
	}
	if !ok {
		p.verified.Set(hash, claims)
	}
	return claims, nil
}

// verify checks the signature, and then the claims.
func (p *Provider) verify(ctx context.Context, jwt string) (*Claims, error) {
	payload, err := p.keys.verify(ctx, jwt)
	if err != nil {
		return nil, err
	}
	return p.parseClaims(payload)
}
