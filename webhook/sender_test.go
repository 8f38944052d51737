package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/clientapps/clientapps/webhook"
	"github.com/clientapps/clientapps/webhook/egress"
)

var (
	now     = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	payload = []byte(`{"type":"ping"}`)
	discard = log.New(io.Discard, "", 0)
)

const (
	longTimeout  = time.Minute            // for receivers that answer or fail
	shortTimeout = 300 * time.Millisecond // for those that do neither
)

// newSender makes a sender that may call loopback.
func newSender(t *testing.T, timeout time.Duration, policy egress.Policy) *webhook.Sender {
	t.Helper()
	policy.AllowLoopback = true
	sender := webhook.NewSender(webhook.SenderConfig{Policy: policy, Timeout: timeout, Clock: func() time.Time { return now }})
	t.Cleanup(sender.Close)
	return sender
}

func message(url string) webhook.Message {
	return webhook.Message{URL: url, ID: "msg_1", Body: payload, Secrets: [][]byte{[]byte("secret")}}
}

// check compares a result. Its text must be the wanted one, which has neither an address nor a name.
func check(t *testing.T, got webhook.Result, outcome webhook.Outcome, status int, text string) {
	t.Helper()
	if got.Outcome != outcome || got.Status != status || got.Error != text {
		t.Errorf("%s, %d, %q; want %s, %d, %q", got.Outcome, got.Status, got.Error, outcome, status, text)
	}
	if !slices.Contains(webhook.Outcomes(), string(got.Outcome)) {
		t.Errorf("%s is not among the outcomes", got.Outcome)
	}
	for _, private := range []string{"127.0.0.1", "localhost", "http:", "https:", "example", "secret"} {
		if strings.Contains(got.Error, private) {
			t.Errorf("%q has %s", got.Error, private)
		}
	}
}

// listen runs a receiver beneath HTTP and returns its address. A connection is closed when handle returns, or the test ends.
func listen(t *testing.T, handle func(conn net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ended := make(chan struct{})
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			handled := make(chan struct{})
			running.Go(func() {
				defer close(handled)
				handle(conn)
			})
			running.Go(func() {
				select {
				case <-ended:
				case <-handled:
				}
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		close(ended)
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return listener.Addr().String()
}

// readRequest reads one request, and ignores what else the connection sends.
func readRequest(conn net.Conn) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, _ = io.Copy(io.Discard, request.Body)
	}
}

// readUntilClosed reads until the connection is closed.
func readUntilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// writeUntilClosed writes a text until the connection is closed.
func writeUntilClosed(conn net.Conn, text string, pause time.Duration) {
	for {
		if _, err := io.WriteString(conn, text); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// answers makes a receiver that reads a request and answers with a text.
func answers(text string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		_, _ = io.WriteString(conn, text)
	}
}

// answersAndWaits is the same, and leaves the connection open.
func answersAndWaits(text string) func(net.Conn) {
	return func(conn net.Conn) {
		answers(text)(conn)
		readUntilClosed(conn)
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	secrets := [][]byte{webhook.NewSecret(), webhook.NewSecret()}
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(body, payload) || r.Method != http.MethodPost || r.URL.RequestURI() != "/a?b=c" {
			t.Errorf("%s %s %s, %v", r.Method, r.URL, body, err)
		}
		for _, secret := range secrets {
			verifier, err := standardwebhooks.NewWebhookRaw(secret)
			if err != nil {
				t.Error(err)
			} else if err := verifier.VerifyIgnoringTimestamp(body, r.Header); err != nil {
				t.Error(err)
			}
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "User-Agent": "clientapps-webhook", "Content-Length": "15", "Webhook-Id": "msg_1",
			"Webhook-Timestamp": "1795953600", "Webhook-Signature": r.Header.Get("Webhook-Signature"),
		} {
			if got := r.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s is %v, want %s", name, got, want)
			}
		}
		if len(r.Header) != 6 {
			t.Errorf("there are other headers: %v", r.Header)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	m := message(server.URL + "/a?b=c")
	m.Secrets = secrets
	check(t, newSender(t, longTimeout, egress.Policy{}).Send(t.Context(), m), webhook.Success, http.StatusAccepted, "")
	if requests.Load() != 1 {
		t.Errorf("%d requests", requests.Load())
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		outcome    webhook.Outcome
		waits      time.Duration
	}{
		"200":                          {status: 200, outcome: webhook.Success},
		"201":                          {status: 201, outcome: webhook.Success},
		"204":                          {status: 204, outcome: webhook.Success},
		"299":                          {status: 299, outcome: webhook.Success},
		"200 with Retry-After":         {status: 200, retryAfter: "60", outcome: webhook.Success},
		"304":                          {status: 304, outcome: webhook.Redirect},
		"400":                          {status: 400, outcome: webhook.StatusError},
		"410":                          {status: 410, outcome: webhook.Gone},
		"429 with seconds":             {status: 429, retryAfter: "120", outcome: webhook.StatusError, waits: 2 * time.Minute},
		"429 with a date":              {status: 429, retryAfter: now.Add(time.Minute).Format(http.TimeFormat), outcome: webhook.StatusError, waits: time.Minute},
		"429 with nonsense":            {status: 429, retryAfter: "soon", outcome: webhook.StatusError},
		"500":                          {status: 500, outcome: webhook.StatusError},
		"503 with a day":               {status: 503, retryAfter: "86400", outcome: webhook.StatusError, waits: time.Hour},
		"a status that does not exist": {status: 999, outcome: webhook.StatusError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.WriteHeader(c.status)
			}))
			t.Cleanup(server.Close)
			text := ""
			if c.outcome != webhook.Success {
				text = fmt.Sprintf("The receiver answered %d", c.status)
			}
			if c.outcome == webhook.Redirect {
				text += ". Redirects are not followed"
			}
			got := newSender(t, longTimeout, egress.Policy{}).Send(t.Context(), message(server.URL))
			check(t, got, c.outcome, c.status, text)
			if got.RetryAfter != c.waits {
				t.Errorf("asks to wait for %v, want %v", got.RetryAfter, c.waits)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(other.Close)
	for _, location := range []string{other.URL, "//" + strings.TrimPrefix(other.URL, "http://"), "/elsewhere", "", "http://[", "%zz"} {
		for _, status := range []int{300, 301, 302, 303, 307, 308} {
			t.Run(fmt.Sprintf("%d to %q", status, location), func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int32
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					requests.Add(1)
					w.Header().Set("Location", location)
					w.WriteHeader(status)
				}))
				t.Cleanup(server.Close)
				got := newSender(t, longTimeout, egress.Policy{}).Send(t.Context(), message(server.URL))
				check(t, got, webhook.Redirect, status, fmt.Sprintf("The receiver answered %d. Redirects are not followed", status))
				if requests.Load() != 1 {
					t.Errorf("%d requests", requests.Load())
				}
			})
		}
	}
}

func TestReceiversThatMisbehave(t *testing.T) {
	t.Parallel()
	const (
		late   = "The receiver did not answer within 0.3 seconds"
		broken = "The connection failed"
	)
	for name, c := range map[string]struct {
		receiver func(net.Conn)
		timeout  time.Duration
		outcome  webhook.Outcome
		status   int
		text     string
	}{
		"reads nothing":          {func(net.Conn) { time.Sleep(2 * shortTimeout) }, shortTimeout, webhook.Timeout, 0, late},
		"never answers":          {readUntilClosed, shortTimeout, webhook.Timeout, 0, late},
		"ends its head too late": {answersAndWaits("HTTP/1.1 200 OK\r\nA: b\r\n"), shortTimeout, webhook.Timeout, 0, late},
		"sends its head slowly":  {func(conn net.Conn) { readRequest(conn); writeUntilClosed(conn, "H", 10*time.Millisecond) }, shortTimeout, webhook.Timeout, 0, late},
		"closes at once":         {func(net.Conn) {}, longTimeout, webhook.Connection, 0, broken},
		"closes after reading":   {readRequest, longTimeout, webhook.Connection, 0, broken},
		"resets":                 {func(conn net.Conn) { readRequest(conn); _ = conn.(*net.TCPConn).SetLinger(0) }, longTimeout, webhook.Connection, 0, broken},
		"closes within its head": {answers("HTTP/1.1 200 OK\r\nContent-"), longTimeout, webhook.Connection, 0, broken},
		"does not speak HTTP":    {answers("220 127.0.0.1 ESMTP\r\n"), longTimeout, webhook.Connection, 0, broken},
		"sends a malformed head": {answers("HTTP/1.1 200 OK\r\n127.0.0.1\r\n\r\n"), longTimeout, webhook.Connection, 0, broken},
		"sends a malformed size": {answers("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), longTimeout, webhook.Connection, 0, broken},
		"sends an endless line": {func(conn net.Conn) {
			readRequest(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nA: ")
			writeUntilClosed(conn, strings.Repeat("a", 1000), 0)
		}, longTimeout, webhook.Connection, 0, broken},
		"sends an endless head": {func(conn net.Conn) {
			readRequest(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			writeUntilClosed(conn, "A: b\r\n", 0)
		}, longTimeout, webhook.Connection, 0, broken},
		"sends endless hints":     {func(conn net.Conn) { readRequest(conn); writeUntilClosed(conn, "HTTP/1.1 103 Early Hints\r\n\r\n", 0) }, longTimeout, webhook.Connection, 0, broken},
		"hints, then answers":     {answers("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), longTimeout, webhook.Success, 200, ""},
		"promises more":           {answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), longTimeout, webhook.Success, 200, ""},
		"promises more and waits": {answersAndWaits("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), 3 * time.Second, webhook.Success, 200, ""},
		"promises less":           {answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nlong"), longTimeout, webhook.Success, 200, ""},
		"breaks its chunks":       {answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), longTimeout, webhook.Success, 200, ""},
		"fails and breaks":        {answers("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nshort"), longTimeout, webhook.StatusError, 500, "The receiver answered 500"},
		"sends an endless body": {func(conn net.Conn) {
			answers("HTTP/1.1 200 OK\r\n\r\n")(conn)
			writeUntilClosed(conn, strings.Repeat("a", 1000), 0)
		}, longTimeout, webhook.Success, 200, ""},
		"sends its body slowly": {func(conn net.Conn) {
			answers("HTTP/1.1 200 OK\r\n\r\n")(conn)
			writeUntilClosed(conn, "a", 10*time.Millisecond)
		}, 3 * time.Second, webhook.Success, 200, ""},
		"answers without reading": {func(conn net.Conn) {
			// What comes before the first byte of a request is no answer to it.
			_, _ = conn.Read(make([]byte, 1))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			readUntilClosed(conn)
		}, longTimeout, webhook.Success, 200, ""},
		"says an odd status": {answers("HTTP/1.1 000 Zero\r\n\r\n"), longTimeout, webhook.StatusError, 0, "The receiver answered 0"},
		"switches protocols": {answersAndWaits("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n"), longTimeout, webhook.StatusError, 101, "The receiver answered 101"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "http://" + listen(t, c.receiver)
			check(t, newSender(t, c.timeout, egress.Policy{}).Send(t.Context(), message(url)), c.outcome, c.status, c.text)
		})
	}
}

func TestNoReceiver(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, newSender(t, longTimeout, egress.Policy{}).Send(t.Context(), message(url)), webhook.Connection, 0, "The connection failed")
}

func TestUnresolvedName(t *testing.T) {
	t.Parallel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no DNS server at 127.0.0.1")
	}}
	got := newSender(t, longTimeout, egress.Policy{Resolver: resolver}).Send(t.Context(), message("https://hooks.example.com/"))
	check(t, got, webhook.DNS, 0, "The name of the receiver could not be resolved")
}

func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	sender := webhook.NewSender(webhook.SenderConfig{Clock: func() time.Time { return now }})
	t.Cleanup(sender.Close)
	for _, url := range []string{
		"http://127.0.0.1:1/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "https://localhost/", "file:///etc/passwd", "", ":",
		"https://[64:ff9b::7f00:1]/",
	} {
		check(t, sender.Send(t.Context(), message(url)), webhook.Address, 0, "The address of the receiver is not allowed")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	const invalid, failed = "The certificate of the receiver is not valid", "The TLS handshake with the receiver failed"
	for name, c := range map[string]struct {
		configure func(*tls.Config)
		untrusted bool
		host      string
		outcome   webhook.Outcome
		status    int
		text      string
	}{
		"valid":               {outcome: webhook.Success, status: 200},
		"HTTP/2":              {configure: func(c *tls.Config) { c.NextProtos = []string{"h2"} }, outcome: webhook.Success, status: 200},
		"unknown issuer":      {untrusted: true, outcome: webhook.TLS, text: invalid},
		"another name":        {host: "localhost", outcome: webhook.TLS, text: invalid},
		"too old":             {configure: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, outcome: webhook.TLS, text: failed},
		"wants a certificate": {configure: func(c *tls.Config) { c.MaxVersion, c.ClientAuth = tls.VersionTLS12, tls.RequireAnyClientCert }, outcome: webhook.TLS, text: failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if (name == "HTTP/2") != (r.ProtoMajor == 2) {
					t.Errorf("answers %s", r.Proto)
				}
				_, _ = io.Copy(w, r.Body)
			}))
			server.Config.ErrorLog = discard
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS10}
			if c.configure != nil {
				c.configure(server.TLS)
			}
			server.EnableHTTP2 = name == "HTTP/2"
			server.StartTLS()
			t.Cleanup(server.Close)
			policy := egress.Policy{}
			if !c.untrusted {
				policy.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			}
			url := server.URL
			if c.host != "" {
				url = strings.Replace(url, "127.0.0.1", c.host, 1)
			}
			check(t, newSender(t, longTimeout, policy).Send(t.Context(), message(url)), c.outcome, c.status, c.text)
		})
	}
}

func TestNoTLS(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		receiver func(net.Conn)
		timeout  time.Duration
		outcome  webhook.Outcome
		text     string
	}{
		"plain HTTP": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			readUntilClosed(conn)
		}, longTimeout, webhook.TLS, "The TLS handshake with the receiver failed"},
		"closes at once":          {func(net.Conn) {}, longTimeout, webhook.Connection, "The connection failed"},
		"closes in the handshake": {func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }, longTimeout, webhook.Connection, "The connection failed"},
		"never answers":           {readUntilClosed, shortTimeout, webhook.Timeout, "The receiver did not answer within 0.3 seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "https://" + listen(t, c.receiver)
			check(t, newSender(t, c.timeout, egress.Policy{}).Send(t.Context(), message(url)), c.outcome, 0, c.text)
		})
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url := "http://" + listen(t, func(conn net.Conn) {
		readRequest(conn)
		cancel()
		readUntilClosed(conn)
	})
	sender := newSender(t, longTimeout, egress.Policy{})
	check(t, sender.Send(ctx, message(url)), webhook.Canceled, 0, "The attempt was canceled")
	check(t, sender.Send(ctx, message(url)), webhook.Canceled, 0, "The attempt was canceled")
}

// A receiver may close a connection that is kept for the next message: that is no failure of the next message.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	var connections atomic.Int32
	url := "http://" + listen(t, func(conn net.Conn) {
		number := connections.Add(1)
		answers(answer)(conn)
		readRequest(conn)
		if number > 1 {
			answers(answer)(conn) // the first one closes instead
		}
	})
	sender := newSender(t, longTimeout, egress.Policy{})
	for range 2 {
		check(t, sender.Send(t.Context(), message(url)), webhook.Success, 200, "")
	}
	if got := connections.Load(); got != 2 {
		t.Errorf("%d connections", got)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	var ticks atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ticks.Add(int64(time.Second)) }))
	t.Cleanup(server.Close)
	sender := webhook.NewSender(webhook.SenderConfig{
		Policy: egress.Policy{AllowLoopback: true},
		Clock:  func() time.Time { return now.Add(time.Duration(ticks.Load())) },
	})
	t.Cleanup(sender.Close)
	if got := sender.Send(t.Context(), message(server.URL)); got.Duration != time.Second {
		t.Errorf("took %v", got.Duration)
	}
}

// Not parallel: it looks at all goroutines.
func TestNoGoroutineRemains(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	sender := newSender(t, shortTimeout, egress.Policy{})
	for _, receiver := range []func(net.Conn){
		readUntilClosed,
		func(net.Conn) {},
		func(conn net.Conn) {
			answers("HTTP/1.1 200 OK\r\n\r\n")(conn)
			writeUntilClosed(conn, strings.Repeat("a", 1000), 0)
		},
		answersAndWaits("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
		answersAndWaits("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n"),
	} {
		address := listen(t, receiver)
		sender.Send(t.Context(), message("http://"+address))
		sender.Send(t.Context(), message("https://"+address))
	}
	sender.Send(t.Context(), message(server.URL))
	sender.Close()
	buffer := make([]byte, 1<<20)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		stacks := string(buffer[:runtime.Stack(buffer, true)])
		if !strings.Contains(stacks, "net/http.(*persistConn)") && !strings.Contains(stacks, "net/http.(*Transport)") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a connection of the sender is still there:\n%s", stacks)
		}
	}
}
