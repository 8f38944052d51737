// Package oidc accepts the access tokens of an identity provider: it gets the provider's keys (OpenID Connect Discovery 1.0),
// checks a token's signature and reads its claims (RFC 7519, RFC 9068).
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

// Config says whose access tokens are accepted. The zero value accepts none.
type Config struct {
	Issuer       string        // URL of the identity provider, exactly as in the claim iss; "" for none
	Audience     string        // what the claim aud must have; must be set with Issuer
	Scopes       []string      // those that exist; a token's others are left out
	ScopeClaim   string        // claim that has the scopes. Default scope
	ClientsClaim string        // claim that has the ids of the clients, or *. Default client_ids
	Timeout      time.Duration // how long the provider may take to answer. Default 5 s
}

// Bounds of what is accepted and remembered.
const (
	maxJWT    = 16 << 10         // bytes; the head of a request has 64 KiB in all
	jwtCached = 10_000           // tokens that were verified
	jwtTTL    = 15 * time.Minute // how long without another look at the provider's keys
	jwtLeeway = time.Minute      // how far the provider's clock may be off
)

// Provider accepts the access tokens of an identity provider.
type Provider struct {
	cfg      Config
	keys     *keySet
	clock    func() time.Time
	verified *otter.Cache[[sha256.Size]byte, *Claims]
}

// CheckIssuer refuses what cannot be the URL of an identity provider: it must be https, but on loopback.
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

// New returns nil where there is no provider. It asks the provider nothing: that may be down, and is asked when the first
// of its tokens comes. waiting bounds how many requests may wait for it at once.
func New(cfg Config, waiting int, log *slog.Logger, clock func() time.Time) (*Provider, error) {
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
		MaximumSize:      jwtCached,
		ExpiryCalculator: otter.ExpiryWriting[[sha256.Size]byte, *Claims](jwtTTL),
	})
	if err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, keys: newKeySet(cfg, waiting, log, clock), clock: clock, verified: cache}, nil
}

// LooksLikeJWT tells a JWT from our own tokens, and from what is nobody's: a JSON object in base64, and two dots.
func LooksLikeJWT(secret string) bool {
	return strings.HasPrefix(secret, "eyJ") && strings.Count(secret, ".") == 2
}

// Authenticate returns what a token of the provider stands for, for nobody to write into. Who was verified is remembered, so a
// token costs its verification once in 15 minutes. A token that is refused is ErrMalformed, ErrSignature, ErrClaims or
// ErrExpired; UnavailableError says that nobody can tell now.
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

// verify looks at the signature, and then at the claims that it vouches for.
func (p *Provider) verify(ctx context.Context, jwt string) (*Claims, error) {
	payload, err := p.keys.verify(ctx, jwt)
	if err != nil {
		return nil, err
	}
	return p.read(payload)
}
