package server

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

	"github.com/clientapps/clientapps/store"
)

// OIDC says whose access tokens are accepted beside our own. The zero value accepts none.
type OIDC struct {
	Issuer       string        // URL of the identity provider, exactly as in the claim iss; "" for none
	Audience     string        // what the claim aud must have; must be set with Issuer
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

// Why a token of the provider was refused, for the audit log.
var (
	errMalformedJWT = errors.New("malformed")
	errJWTSignature = errors.New("not signed by a key of the issuer")
	errJWTClaims    = errors.New("claims refused")
)

// provider accepts the access tokens of an identity provider.
type provider struct {
	cfg      OIDC
	keys     *keySet
	clock    func() time.Time
	verified *otter.Cache[[sha256.Size]byte, *store.Token]
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

// newProvider returns nil where there is none. It asks the provider nothing: that may be down, and is asked when the first
// of its tokens comes. waiting bounds how many requests may wait for it at once.
func newProvider(cfg OIDC, waiting int, log *slog.Logger, clock func() time.Time) (*provider, error) {
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
	cache, err := otter.New(&otter.Options[[sha256.Size]byte, *store.Token]{
		MaximumSize:      jwtCached,
		ExpiryCalculator: otter.ExpiryWriting[[sha256.Size]byte, *store.Token](jwtTTL),
	})
	if err != nil {
		return nil, err
	}
	return &provider{cfg: cfg, keys: newKeySet(cfg, waiting, log, clock), clock: clock, verified: cache}, nil
}

// looksLikeJWT tells a JWT from our own tokens, and from what is nobody's: a JSON object in base64, and two dots.
func looksLikeJWT(secret string) bool {
	return strings.HasPrefix(secret, "eyJ") && strings.Count(secret, ".") == 2
}

// authenticate returns what a token of the provider stands for. Who was verified is remembered, so a token costs its
// verification once in jwtTTL. The error is one of those above or store.ErrExpiredToken when the token is refused, and
// errUnavailable when the provider would have to be asked and cannot be.
func (p *provider) authenticate(ctx context.Context, jwt string) (*store.Token, error) {
	if len(jwt) > maxJWT {
		return nil, errMalformedJWT
	}
	hash := sha256.Sum256([]byte(jwt))
	token, ok := p.verified.GetIfPresent(hash)
	if !ok {
		var err error
		if token, err = p.verify(ctx, jwt); err != nil {
			return nil, err
		}
	}
	if !p.clock().Before(*token.ExpiresAt) {
		return nil, store.ErrExpiredToken
	}
	if !ok {
		p.verified.Set(hash, token)
	}
	return token, nil
}

// verify looks at the signature, and then at the claims that it vouches for.
func (p *provider) verify(ctx context.Context, jwt string) (*store.Token, error) {
	payload, err := p.keys.verify(ctx, jwt)
	if err != nil {
		return nil, err
	}
	return p.token(payload)
}
