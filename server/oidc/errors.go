package oidc

import (
	"errors"
	"time"
)

// Why a token is refused.
var (
	ErrMalformed = errors.New("malformed")
	ErrSignature = errors.New("not signed by a key of the issuer")
	ErrClaims    = errors.New("claims refused")
	ErrExpired   = errors.New("expired")
)

// The reasons of an UnavailableError.
const (
	ReasonProvider   = "provider"   // the provider cannot be asked, or too many wait for it
	ReasonSignatures = "signatures" // too many tokens wait for their signature to be checked
)

// UnavailableError says that it cannot be told now whether a token is good.
type UnavailableError struct {
	Reason     string
	RetryAfter time.Duration // at least a second

	cause error
}

// Error implements error.
func (e *UnavailableError) Error() string { return e.cause.Error() }

// Unwrap returns what has happened.
func (e *UnavailableError) Unwrap() error { return e.cause }
