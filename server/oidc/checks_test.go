package oidc

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// slowKey is a key whose signature checks end when the test allows it.
type slowKey struct {
	running, most atomic.Int64
	begun         chan struct{}
	end           chan struct{}
}

func (k *slowKey) VerifyPayload([]byte, []byte, jose.SignatureAlgorithm) error {
	now := k.running.Add(1)
	for most := k.most.Load(); now > most; most = k.most.Load() {
		if k.most.CompareAndSwap(most, now) {
			break
		}
	}
	k.begun <- struct{}{}
	<-k.end
	k.running.Add(-1)
	return errors.New("not signed")
}

// TestSignatureChecksAreBounded sends more bad signatures at once than the queue holds. The checks use at most half of the
// processors. A token beyond the queue is refused at once, a client that disconnects stops waiting, and afterwards the queue is
// empty again.
func TestSignatureChecksAreBounded(t *testing.T) {
	t.Parallel()
	key := &slowKey{begun: make(chan struct{}, 2*maxSignatureQueue), end: make(chan struct{})}
	keys := &cachedKeys{keys: []jose.JSONWebKey{{Key: key, KeyID: "first"}}}
	jws, err := jose.ParseSignedCompact("eyJhbGciOiJFUzI1NiIsImtpZCI6ImZpcnN0In0.e30.AAAA", joseAlgorithms)
	if err != nil {
		t.Fatal(err)
	}
	checks, atOnce := newSignatureChecks(), max(1, runtime.GOMAXPROCS(0)/2)
	var all sync.WaitGroup
	for range maxSignatureQueue + atOnce {
		all.Go(func() {
			if _, known, err := checks.run(t.Context(), keys, jws); !known || !errors.Is(err, ErrSignature) {
				t.Errorf("%v, %v", known, err)
			}
		})
	}
	for len(checks.queue) < cap(checks.queue) {
		runtime.Gosched()
	}
	for range atOnce {
		<-key.begun
	}
	_, _, err = checks.run(t.Context(), keys, jws)
	if refused := (*UnavailableError)(nil); !errors.As(err, &refused) || refused.Reason != ReasonSignatures || refused.RetryAfter <= 0 {
		t.Errorf("beyond the queue: %v", err)
	}
	close(key.end)
	all.Wait()
	if most := key.most.Load(); most != int64(atOnce) {
		t.Errorf("%d checks at once, not %d", most, atOnce)
	}
	if _, known, err := checks.run(t.Context(), keys, jws); !known || !errors.Is(err, ErrSignature) {
		t.Errorf("afterwards: %v, %v", known, err)
	}

	for range atOnce { // all processors of the checks are busy
		checks.running <- struct{}{}
	}
	disconnected, disconnect := context.WithCancel(t.Context())
	disconnect()
	if _, _, err := checks.run(disconnected, keys, jws); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has disconnected: %v", err)
	}
}
