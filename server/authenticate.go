package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/server/telemetry"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/store/apitoken"
)

// authenticate returns the token of the request. Missing, malformed, unknown, expired and revoked tokens get the same error.
func (s *Server) authenticate(r *http.Request) (*store.Token, error) {
	secret, ok := bearer(r.Header.Values("Authorization"))
	if ok && s.provider != nil && oidc.LooksLikeJWT(secret) {
		return s.authenticateJWT(r, secret)
	}
	if !ok || !apitoken.WellFormed(secret) && (s.demoToken == "" || secret != s.demoToken) {
		return nil, s.notAuthenticated(r, secret, nil)
	}
	token, err := s.store.Authenticate(r.Context(), secret)
	if errors.Is(err, store.ErrUnknownToken) {
		return nil, s.notAuthenticated(r, secret, err)
	}
	return token, err
}

// authenticateJWT authenticates an access token of the identity provider.
func (s *Server) authenticateJWT(r *http.Request, jwt string) (*store.Token, error) {
	claims, err := s.provider.Authenticate(r.Context(), jwt)
	for _, refusal := range []error{oidc.ErrMalformed, oidc.ErrSignature, oidc.ErrClaims, oidc.ErrExpired} {
		if errors.Is(err, refusal) {
			return nil, s.notAuthenticated(r, jwt, err)
		}
	}
	if err != nil {
		return nil, err
	}
	return &store.Token{
		ID: claims.ID, Name: claims.Subject, Scopes: claims.Scopes, ExpiresAt: &claims.ExpiresAt,
		AllClients: claims.AllClients, ClientIDs: claims.ClientIDs, FromProvider: true,
	}, nil
}

// notAuthenticated logs why a request is not authenticated, and returns the 401 that does not reveal it.
func (s *Server) notAuthenticated(r *http.Request, secret string, reason error) error {
	failure := telemetry.AuthFailure{Reason: authFailureReason(r, reason), TokenPrefix: apitoken.Prefix(secret)}
	if errors.Is(reason, oidc.ErrClaims) { // the provider has signed these claims, so its operator needs the detail
		failure.Detail = reason
	}
	s.observer.AuthenticationFailed(r, &requestStateOf(r.Context()).observed, failure)
	return errUnauthorized()
}

func authFailureReason(r *http.Request, err error) string {
	switch {
	case strings.Join(r.Header.Values("Authorization"), "") == "":
		return "missing"
	case errors.Is(err, store.ErrRevokedToken):
		return "revoked"
	case errors.Is(err, store.ErrReplacedSecret):
		return "replaced"
	case errors.Is(err, store.ErrExpiredToken), errors.Is(err, oidc.ErrExpired):
		return "expired"
	case errors.Is(err, store.ErrUnknownToken):
		return "unknown"
	case errors.Is(err, oidc.ErrSignature):
		return "signature"
	case errors.Is(err, oidc.ErrClaims):
		return "claims"
	}
	return "malformed"
}

// bearer reads the credentials (RFC 6750, 2.1). The scheme has any letter case. Two Authorization headers count as none.
func bearer(headers []string) (string, bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, secret, ok := strings.Cut(headers[0], " ")
	return strings.TrimLeft(secret, " "), ok && strings.EqualFold(scheme, "Bearer")
}
