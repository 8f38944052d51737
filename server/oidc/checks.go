package oidc

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxSignatureQueue bounds the tokens that wait for a signature check. A check takes about 0.1 ms, so the last one waits for
// about a tenth of a second.
const maxSignatureQueue = 1024

// signatureChecks bounds the CPU time for signatures of tokens that are not cached: anybody can send a token that names a key of
// the provider and has a bad signature. The checks use at most half of the processors, in the order of arrival. The other half
// serves cached tokens.
type signatureChecks struct {
	queue   chan struct{} // waiting or running
	running chan struct{}
}

func newSignatureChecks() signatureChecks {
	maxRunning := max(1, runtime.GOMAXPROCS(0)/2)
	return signatureChecks{queue: make(chan struct{}, maxSignatureQueue+maxRunning), running: make(chan struct{}, maxRunning)}
}

// run verifies a token's signature with these keys. known reports that a key may be the signing one; if none fits, the error is
// ErrSignature. If the queue is full, the error is an UnavailableError.
func (c signatureChecks) run(ctx context.Context, keys *cachedKeys, jws *jose.JSONWebSignature) (payload []byte, known bool, err error) {
	select {
	case c.queue <- struct{}{}:
		defer func() { <-c.queue }()
	default:
		return nil, false, &UnavailableError{
			Reason: ReasonSignatures, RetryAfter: time.Second, cause: errors.New("too many tokens wait for their signature to be checked"),
		}
	}
	select {
	case c.running <- struct{}{}:
		defer func() { <-c.running }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if payload, known = keys.verify(jws); known && payload == nil {
		err = ErrSignature
	}
	return payload, known, err
}
