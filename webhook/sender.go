// Package webhook delivers changes to the receivers that clients have named. Deliveries are signed as Standard Webhooks 1.0.0 says, and
// repeated until they arrive.
package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/clientapps/clientapps/webhook/egress"
)

const (
	defaultTimeout   = 10 * time.Second
	maxResponseBytes = 64 << 10
	userAgent        = "clientapps-webhook"
)

// Message is what one attempt sends.
type Message struct {
	URL     string
	ID      string // the same in each attempt
	Body    []byte // JSON
	Secrets [][]byte
}

// Result is the result of one attempt.
type Result struct {
	Outcome    Outcome
	Status     int           // 0: no answer
	Duration   time.Duration // of the whole attempt
	RetryAfter time.Duration // what the receiver asked for, at most an hour
	Error      string        // a sentence without names, addresses and URLs; empty after success
}

// SenderConfig configures a Sender.
type SenderConfig struct {
	Policy  egress.Policy
	Timeout time.Duration    // for the whole attempt; 0: 10 s
	Clock   func() time.Time // must be set
}

// Sender makes attempts. It is safe for concurrent use.
type Sender struct {
	config    SenderConfig
	transport *http.Transport
}

// NewSender returns a sender. Close it after use.
func NewSender(config SenderConfig) *Sender {
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	return &Sender{config, egress.NewTransport(config.Policy)}
}

// Close closes the connections that no attempt uses.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send makes one attempt. It ends within the timeout, or earlier when ctx ends: see Canceled.
func (s *Sender) Send(ctx context.Context, m Message) Result {
	started := s.config.Clock()
	result := s.send(ctx, m, started)
	result.Duration = max(s.config.Clock().Sub(started), 0)
	return result
}

func (s *Sender) send(ctx context.Context, m Message, now time.Time) Result {
	// The policy may have changed since the URL was accepted.
	if egress.CheckURL(m.URL, s.config.Policy.AllowLoopback) != nil {
		return failure(Address, errorAddress)
	}
	trace := &connectTrace{}
	attemptCtx, cancel := context.WithTimeout(trace.withTrace(ctx), s.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(attemptCtx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return failure(Address, errorAddress)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", userAgent)
	// Lets the transport repeat the request when a connection that it reuses turns out to be closed. An empty list is not sent.
	request.Header["Idempotency-Key"] = nil
	sign(request.Header, m.ID, now, m.Body, m.Secrets)

	// The transport itself, and not a http.Client: it follows no redirects.
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return s.connectFailure(ctx, attemptCtx, trace, err)
	}
	defer response.Body.Close()
	// Reading the body makes the connection reusable. After a switch of protocols (101), reading would never end.
	if response.StatusCode >= http.StatusOK {
		_, _ = io.CopyN(io.Discard, response.Body, maxResponseBytes)
	}
	return responseResult(response, now)
}

// responseResult returns the result of an attempt that got a response.
func responseResult(response *http.Response, now time.Time) Result {
	status := response.StatusCode
	result := Result{Status: status, Outcome: StatusError, Error: fmt.Sprintf("The receiver answered %d", status)}
	switch {
	case status >= 200 && status < 300:
		return Result{Status: status, Outcome: Success}
	case status == http.StatusGone:
		result.Outcome = Gone
	case status >= 300 && status < 400:
		result.Outcome = Redirect
		result.Error += ". Redirects are not followed"
	}
	result.RetryAfter = parseRetryAfter(response.Header.Get("Retry-After"), now)
	return result
}
