package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"

	"github.com/clientapps/clientapps/webhook/egress"
)

// Outcome classifies the result of an attempt, for metrics.
type Outcome string

// The outcomes of attempts.
const (
	Success     Outcome = "success"    // any 2xx
	StatusError Outcome = "status"     // another status than those below
	Redirect    Outcome = "redirect"   // any 3xx
	Gone        Outcome = "gone"       // 410: the receiver wants no more
	Timeout     Outcome = "timeout"    // no answer in time
	Connection  Outcome = "connection" // refused, reset, closed, or not HTTP
	DNS         Outcome = "dns"        // the name was not resolved
	TLS         Outcome = "tls"        // no valid certificate, or no TLS
	Address     Outcome = "address"    // refused by package egress
	Secret      Outcome = "secret"     // the server cannot read the webhook's secret, and has sent nothing
	Canceled    Outcome = "canceled"   // the caller's context ended: neither a success nor a failure of the receiver
)

// Outcomes returns all outcomes.
func Outcomes() []string {
	return []string{
		string(Success), string(StatusError), string(Redirect), string(Gone), string(Timeout), string(Connection), string(DNS),
		string(TLS), string(Address), string(Secret), string(Canceled),
	}
}

// The texts of attempts without an answer. Errors of net and net/http contain addresses and are not shown.
const (
	errorAddress     = "The address of the receiver is not allowed"
	errorSecret      = "The server cannot read the secret of the webhook"
	errorCanceled    = "The attempt was canceled"
	errorTimeout     = "The receiver did not answer within %v seconds"
	errorDNS         = "The name of the receiver could not be resolved"
	errorCertificate = "The certificate of the receiver is not valid"
	errorTLS         = "The TLS handshake with the receiver failed"
	errorConnection  = "The connection failed"
)

func failure(outcome Outcome, text string) Result { return Result{Outcome: outcome, Error: text} }

// connectFailure returns the result of an attempt without an answer. ctx is the caller's context, attemptCtx has the timeout too.
func (s *Sender) connectFailure(ctx, attemptCtx context.Context, trace *connectTrace, err error) Result {
	var (
		invalid    *tls.CertificateVerificationError
		unresolved *net.DNSError
		network    net.Error
	)
	switch {
	case ctx.Err() != nil:
		return failure(Canceled, errorCanceled)
	case errors.Is(err, egress.ErrAddress):
		return failure(Address, errorAddress)
	case attemptCtx.Err() != nil:
		return failure(Timeout, fmt.Sprintf(errorTimeout, s.config.Timeout.Seconds()))
	case errors.As(err, &unresolved):
		return failure(DNS, errorDNS)
	case errors.As(err, &invalid):
		return failure(TLS, errorCertificate)
	case errors.As(err, &network) && network.Timeout():
		return failure(Timeout, fmt.Sprintf(errorTimeout, s.config.Timeout.Seconds()))
	case isTLSAlert(err), trace.handshakeFailed.Load() && !isDisconnect(err):
		return failure(TLS, errorTLS)
	}
	return failure(Connection, errorConnection)
}

// isTLSAlert reports whether one of the peers ended TLS with an alert. With TLS 1.3 that may come after the handshake.
func isTLSAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// isDisconnect reports whether the peer or the network ended a connection.
func isDisconnect(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &errno)
}

// connectTrace records whether the TLS handshake of an attempt failed, since most errors of crypto/tls have no type.
type connectTrace struct {
	handshakeFailed atomic.Bool // dialing may outlast the attempt
}

func (t *connectTrace) withTrace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err != nil {
				t.handshakeFailed.Store(true)
			}
		},
	})
}
