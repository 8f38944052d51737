package oidc

import (
	"errors"
	"time"
)

// The reasons why a token is refused.
var (
	ErrMalformed = errors.New("malformed")
	ErrSignature = errors.New("not signed by a key of the issuer")
	ErrClaims    = errors.New("claims refused")
	ErrExpired   = errors.New("expired")
)

// The reasons of an UnavailableError.
const (
	ReasonProvider   = "provider"   // the provider does not answer, or too many requests wait for it
	ReasonSignatures = "signatures" // too many tokens wait for a signature check
)

// UnavailableError reports that a token cannot be verified now.
type UnavailableError struct {
	Reason     string
	RetryAfter time.Duration // at least one second

	cause error
}

// Error implements error.
func (e *UnavailableError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.cause }
