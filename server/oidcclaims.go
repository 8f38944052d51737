package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/uuid"

	"github.com/clientapps/clientapps/store"
)

// token is what the claims of a verified token stand for: who, until when, with which scopes, for which clients. What is
// granted by no claim is not granted; a claim that cannot be read spoils the token.
func (p *provider) token(verified *oidc.IDToken) (*store.Token, error) {
	var times struct {
		Expires   *float64 `json:"exp"`
		NotBefore float64  `json:"nbf"`
	}
	var all map[string]json.RawMessage
	if err := verified.Claims(&times); err != nil {
		return nil, fmt.Errorf("%w: %w", errJWTClaims, err)
	}
	if err := verified.Claims(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", errJWTClaims, err)
	}
	if times.Expires == nil || !plausible(*times.Expires) || !plausible(times.NotBefore) {
		return nil, fmt.Errorf("%w: exp or nbf is missing or no date", errJWTClaims)
	}
	expires := date(*times.Expires).Add(jwtLeeway)
	if now := p.clock(); !now.Before(expires) {
		return nil, store.ErrExpiredToken
	} else if now.Before(date(times.NotBefore).Add(-jwtLeeway)) {
		return nil, fmt.Errorf("%w: not valid yet", errJWTClaims)
	}
	if !usableSubject(verified.Subject) {
		return nil, fmt.Errorf("%w: sub is missing, too long or not printable", errJWTClaims)
	}
	scopes, err := words(all[p.cfg.ScopeClaim])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errJWTClaims, p.cfg.ScopeClaim, err)
	}
	token := &store.Token{ID: subjectID(verified), Name: verified.Subject, ExpiresAt: &expires}
	token.Scopes = strings.Join(slices.DeleteFunc(scopes, func(s string) bool { return !slices.Contains(Scopes(), s) }), " ")
	if err := p.grantClients(token, all[p.cfg.ClientsClaim]); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errJWTClaims, p.cfg.ClientsClaim, err)
	}
	return token, nil
}

// grantClients reads the ids of the clients that a token covers. A * stands alone, for all of them.
func (p *provider) grantClients(token *store.Token, claim json.RawMessage) error {
	ids, err := words(claim)
	if err != nil {
		return err
	}
	if len(ids) == 1 && ids[0] == "*" {
		token.AllClients = true
		return nil
	}
	for _, text := range ids {
		id, err := uuid.Parse(text)
		if err != nil || len(text) != len(id.String()) {
			return fmt.Errorf("%.50q is not the id of a client", text)
		}
		token.ClientIDs = append(token.ClientIDs, id)
	}
	return nil
}

// subjectID is the id of a provider's subject, the same on every server and for each of its tokens: the limits, the log and
// the history go by it. It is a UUID of version 5, and no token of ours has one.
func subjectID(verified *oidc.IDToken) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(verified.Issuer+"\x00"+verified.Subject))
}

// usableSubject holds a subject to what OpenID Connect Core 1.0, 2 allows, and to what may stand in a history: no control
// characters, which a database may not even store.
func usableSubject(subject string) bool {
	return subject != "" && len(subject) <= 255 && !strings.ContainsFunc(subject, func(r rune) bool {
		return !unicode.IsPrint(r) || r == unicode.ReplacementChar
	})
}

// words reads a claim that is a list, or a text with spaces between: providers differ. A missing claim has none.
func words(claim json.RawMessage) ([]string, error) {
	if len(claim) == 0 {
		return nil, nil
	}
	var list []string
	if claim[0] == '[' {
		err := json.Unmarshal(claim, &list)
		return list, err
	}
	var text *string
	if err := json.Unmarshal(claim, &text); err != nil || text == nil {
		return nil, err
	}
	return strings.Fields(*text), nil
}

// plausible keeps dates to those that a time.Time can have, up to the year 5138.
func plausible(seconds float64) bool { return seconds >= 0 && seconds < 1e11 }

func date(seconds float64) time.Time { return time.UnixMilli(int64(seconds * 1000)).UTC() }
