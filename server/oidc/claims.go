package oidc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/server/strictjson"
)

// Claims is the identity and the permissions of a token.
type Claims struct {
	ID         uuid.UUID // of the subject, the same for all of its tokens
	Subject    string
	Scopes     string // the known scopes, separated by spaces
	AllClients bool
	ClientIDs  []uuid.UUID // empty with AllClients
	ExpiresAt  time.Time
}

// parseClaims reads the claims of a verified token. A missing claim grants nothing; a malformed claim makes the token invalid.
// All checks use this one parsed object.
func (p *Provider) parseClaims(payload []byte) (*Claims, error) {
	claims, err := strictObject(payload, "iss", "sub", "aud", "exp", "nbf", "iat", p.cfg.ScopeClaim, p.cfg.ClientsClaim)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if claims["iss"] != p.cfg.Issuer {
		return nil, fmt.Errorf("%w: iss is another, or missing", ErrClaims)
	}
	if !hasAudience(claims["aud"], p.cfg.Audience) {
		return nil, fmt.Errorf("%w: aud has others, is missing or cannot be read", ErrClaims)
	}
	expires, err := p.expiry(claims)
	if err != nil {
		return nil, err
	}
	subject, _ := claims["sub"].(string)
	if !usableSubject(subject) {
		return nil, fmt.Errorf("%w: sub is missing, too long or not printable", ErrClaims)
	}
	scopes, err := stringList(claims[p.cfg.ScopeClaim])
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrClaims, p.cfg.ScopeClaim, err)
	}
	granted := &Claims{ID: subjectID(p.cfg.Issuer, subject), Subject: subject, ExpiresAt: expires}
	granted.Scopes = strings.Join(slices.DeleteFunc(scopes, func(s string) bool { return !slices.Contains(p.cfg.Scopes, s) }), " ")
	if err := granted.grantClients(claims[p.cfg.ClientsClaim]); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrClaims, p.cfg.ClientsClaim, err)
	}
	return granted, nil
}

// strictObject parses a JSON object of a JWT with the strict parser, which refuses duplicate names. It also refuses names that
// differ from the known names only in letter case: encoding/json, and so most JWT libraries, would match them, and take the last
// of several.
func strictObject(text []byte, names ...string) (map[string]any, error) {
	doc, err := strictjson.Parse(text, strictjson.Options{})
	if err != nil {
		return nil, err
	}
	object, ok := doc.Value.(map[string]any)
	if !ok {
		return nil, errors.New("no object")
	}
	for name := range object {
		for _, exact := range names {
			if name != exact && strings.EqualFold(name, exact) {
				return nil, fmt.Errorf("%.50q is not %s", name, exact)
			}
		}
	}
	return object, nil
}

// hasAudience reports whether aud, a string or a list of strings (RFC 7519, 4.1.3), contains the audience.
func hasAudience(claim any, audience string) bool {
	if text, ok := claim.(string); ok {
		return text == audience
	}
	list, err := stringList(claim)
	return err == nil && slices.Contains(list, audience)
}

// expiry returns the time when a token expires. It fails if the token is not valid yet. The clocks may differ by jwtLeeway.
func (p *Provider) expiry(claims map[string]any) (time.Time, error) {
	for _, name := range []string{"exp", "nbf", "iat"} {
		if claim, has := claims[name]; has && !isNumericDate(claim) || !has && name == "exp" {
			return time.Time{}, fmt.Errorf("%w: %s is missing or no date", ErrClaims, name)
		}
	}
	now, expires := p.clock(), numericDate(claims["exp"]).Add(jwtLeeway)
	if !now.Before(expires) {
		return time.Time{}, ErrExpired
	}
	if from, has := claims["nbf"]; has && now.Before(numericDate(from).Add(-jwtLeeway)) {
		return time.Time{}, fmt.Errorf("%w: not valid yet", ErrClaims)
	}
	return expires, nil
}

// grantClients sets the clients that a token covers. A single * means all clients.
func (c *Claims) grantClients(claim any) error {
	ids, err := stringList(claim)
	if err != nil {
		return err
	}
	if len(ids) == 1 && ids[0] == "*" {
		c.AllClients = true
		return nil
	}
	for _, text := range ids {
		id, err := uuid.Parse(text)
		if err != nil || len(text) != len(id.String()) {
			return fmt.Errorf("%.50q is not the id of a client", text)
		}
		c.ClientIDs = append(c.ClientIDs, id)
	}
	return nil
}

// subjectID returns the id of a provider's subject, which is the same on every server and for all of its tokens. The rate limit,
// the log and the history use it. It is a UUID of version 5; the server's own tokens have none of version 5.
func subjectID(issuer, subject string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(issuer+"\x00"+subject))
}

// usableSubject reports whether a subject is valid by OpenID Connect Core 1.0, 2, and has no control characters, which some
// databases cannot store.
func usableSubject(subject string) bool {
	return subject != "" && len(subject) <= 255 && !strings.ContainsFunc(subject, func(r rune) bool {
		return !unicode.IsPrint(r) || r == unicode.ReplacementChar
	})
}

// stringList reads a claim that is a list of strings or a string with spaces: providers differ. A missing claim and null are empty.
func stringList(claim any) ([]string, error) {
	switch c := claim.(type) {
	case nil:
		return nil, nil
	case string:
		return strings.Fields(c), nil
	case []any:
		list := make([]string, 0, len(c))
		for _, item := range c {
			text, ok := item.(string)
			if !ok {
				return nil, errors.New("not a list of texts")
			}
			list = append(list, text)
		}
		return list, nil
	}
	return nil, errors.New("neither a text nor a list")
}

// isNumericDate reports whether a claim is a NumericDate (RFC 7519, 2) up to the year 5138. The strict parser returns 0.5 for a
// fraction that no float64 can hold, which is refused here.
func isNumericDate(claim any) bool {
	switch n := claim.(type) {
	case int64:
		return n >= 0 && n < 1e11
	case float64:
		return n >= 0 && n < 1e11 && n != 0.5
	}
	return false
}

// numericDate converts a claim that isNumericDate accepts.
func numericDate(claim any) time.Time {
	if n, whole := claim.(int64); whole {
		return time.Unix(n, 0).UTC()
	}
	n, _ := claim.(float64)
	return time.UnixMilli(int64(n * 1000)).UTC()
}
