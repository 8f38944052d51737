package main

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// token is a cached token, kept for as long as the server keeps one.
type token struct {
	id    id
	name  string
	until time.Time
}

// actor is the author of a write, with the request id.
type actor struct {
	*token

	requestID string
}

const tokenTTL = 10 * time.Second

var unauthorized = refuse(http.StatusUnauthorized, "unauthorized", "Authentication required", "")

// authenticate only accepts tokens for all clients with the scopes of apps.
func (s *server) authenticate(r *http.Request) (*token, *refusal) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, unauthorized
	}
	now := time.Now()
	if known, ok := s.tokens.Load(secret); ok && now.Before(known.(*token).until) { //nolint:errcheck,forcetypeassert // ours
		return known.(*token), nil //nolint:errcheck,forcetypeassert // ours
	}
	t := &token{until: now.Add(tokenTTL)}
	hash := sha256.Sum256([]byte(secret))
	err := s.db.QueryRow(r.Context(), `SELECT id, name FROM tokens WHERE hash = $1 AND all_clients AND revoked_at IS NULL
		AND (expires_at IS NULL OR expires_at > now()) AND scopes LIKE '%apps:read%' AND scopes LIKE '%apps:write%'`,
		hash[:]).Scan((*[16]byte)(&t.id), &t.name)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, unauthorized
	}
	if err != nil {
		return nil, internal(err)
	}
	s.tokens.Store(secret, t)
	return t, nil
}
