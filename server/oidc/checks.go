package oidc

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// maxSignatureQueue is how many tokens may wait for their signature to be checked, besides those that are. A check takes some
// 0.1 ms, so the last of them waits for about a tenth of a second.
const maxSignatureQueue = 1024

// signatureChecks bounds what the signatures of tokens that are not remembered cost: anybody can send a token that names a key
// of the provider and is signed by nobody. Half of the processors check them, whatever comes; the other half is for those
// whose token is known. Whoever waits is served in turn.
type signatureChecks struct {
	queue   chan struct{} // who waits or is being checked
	running chan struct{}
}

func newSignatureChecks() signatureChecks {
	atOnce := max(1, runtime.GOMAXPROCS(0)/2)
	return signatureChecks{queue: make(chan struct{}, maxSignatureQueue+atOnce), running: make(chan struct{}, atOnce)}
}

// run verifies a token's signature by these keys. known says that one of them may be meant; then the error is ErrSignature
// unless it has signed. UnavailableError says that too many wait.
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
