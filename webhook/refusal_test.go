package webhook

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/clientapps/clientapps/webhook/egress"
)

// TestAddressRefusedWhenConnecting has the transport refuse what the check of the URL accepted, as when a name resolves to
// another address since then.
func TestAddressRefusedWhenConnecting(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") }))
	t.Cleanup(server.Close)
	sender := NewSender(SenderConfig{Clock: func() time.Time { return start }})
	t.Cleanup(sender.Close)
	sender.config.Policy = egress.Policy{AllowLoopback: true}
	got := sender.Send(t.Context(), Message{URL: server.URL, ID: "msg_1", Secrets: [][]byte{NewSecret()}})
	if got.Outcome != Address || got.Error != "The address of the receiver is not allowed" {
		t.Errorf("%s, %q", got.Outcome, got.Error)
	}
}

func TestDefaultTimeout(t *testing.T) {
	t.Parallel()
	attempt, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	got := NewSender(SenderConfig{}).connectFailure(t.Context(), attempt, &connectTrace{}, errors.New("at 127.0.0.1"))
	if got.Outcome != Timeout || got.Error != "The receiver did not answer within 10 seconds" {
		t.Errorf("%s, %q", got.Outcome, got.Error)
	}
}
