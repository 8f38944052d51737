package server_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/clientapps/clientapps/gen"
)

// receiver receives deliveries on loopback.
type receiver struct {
	*httptest.Server

	came chan delivery

	mu     sync.Mutex
	status int
	header http.Header
	hold   chan struct{} // deliveries are answered when it is closed; nil: at once
}

// delivery is a request that a receiver got.
type delivery struct {
	id, body string
	header   http.Header
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{came: make(chan delivery, 10_000), status: http.StatusNoContent}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		status, header, hold := r.status, r.header, r.hold
		r.mu.Unlock()
		r.came <- delivery{request.Header.Get("webhook-id"), string(body), request.Header}
		if hold != nil {
			<-hold
		}
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

// answer sets the answer to later deliveries. The header is "Name: value", or missing.
func (r *receiver) answer(status int, header ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.header = status, http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.header.Set(name, value)
	}
}

// hang lets later deliveries wait for their answer until the returned function is called.
func (r *receiver) hang() (goOn func()) {
	hold := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = hold
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hold = nil
		close(hold)
	}
}

// next returns the next delivery.
func (r *receiver) next(t *testing.T) delivery {
	t.Helper()
	select {
	case d := <-r.came:
		return d
	case <-time.After(time.Minute):
		t.Fatal("nothing was delivered")
		return delivery{}
	}
}

// changes returns the next so many changes, from one delivery or several.
func (r *receiver) changes(t *testing.T, n int) (changes []gen.Change) {
	t.Helper()
	for len(changes) < n {
		changes = append(changes, r.next(t).changes(t)...)
	}
	return changes
}

func (d delivery) changes(t *testing.T) []gen.Change {
	t.Helper()
	var body gen.ChangesDelivery
	if decodeJSON(t, d.body, &body); body.Type != gen.ChangesDeliveryTypeAppChanged {
		t.Errorf("delivered %s", d.body)
	}
	for _, change := range body.Data.Changes {
		if change.ClientID != body.Data.ClientID {
			t.Errorf("a change of another client in %s", d.body)
		}
	}
	return body.Data.Changes
}

// verify lets the judge of Standard Webhooks check the signature.
func (d delivery) verify(t *testing.T, secret string) {
	t.Helper()
	judge, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := judge.VerifyIgnoringTimestamp([]byte(d.body), d.header); err != nil {
		t.Errorf("%v: %v, %s", err, d.header, d.body)
	}
}

func secretBytes(t *testing.T, secret string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(raw) != 32 {
		t.Fatalf("a secret of %d bytes, %v", len(raw), err)
	}
	return raw
}
