package faults

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// WebhookSettings let a server deliver to a Receiver. All servers of a database need the same.
func WebhookSettings() []string {
	return []string{
		"CLIENTAPPS_WEBHOOK_ALLOW_PRIVATE=true",
		"CLIENTAPPS_WEBHOOK_KEY=" + base64.StdEncoding.EncodeToString([]byte("the key of the test, not secret!")),
	}
}

// Receiver keeps a copy of all apps from the deliveries of a webhook, through all faults. Now and then it fails.
type Receiver struct {
	api    *API
	server http.Server
	ended  chan struct{} // closed when the server has ended
	id     string        // of the webhook
	secret []byte

	mu         sync.Mutex
	copy       appCopy
	deliveries map[string]*delivery // by webhook-id
	attempts   int
	repeated   int       // attempts of deliveries that were in the copy already
	faultCount int       // so far
	nextFault  time.Time // zero: none, until a delivery succeeds
	faultsOff  bool      // no more faulty handlings
}

// delivery is what is known of a webhook-id.
type delivery struct {
	sum    [sha256.Size]byte // of the body
	copied bool              // its changes are in the copy
}

// handling is how the receiver treats an attempt.
type handling struct {
	copied bool          // the changes go into the copy
	wait   time.Duration // before the answer
	status int           // 0: the connection is closed without an answer
}

// faultyHandlings are used in turn. The server waits for an answer for ten seconds.
var faultyHandlings = []handling{
	{false, 0, http.StatusInternalServerError},
	{true, 0, http.StatusInternalServerError},
	{false, 0, 0},
	{true, 0, 0},
	{true, 2 * time.Second, http.StatusNoContent},
	{true, 11 * time.Second, http.StatusNoContent},
}

// faultInterval is how long a receiver works without a fault. The next attempt comes five seconds after one that failed.
const faultInterval = 4 * time.Second

// NewReceiver starts a receiver, and makes a webhook that delivers all changes to it, from the oldest on. addr is a server's or a
// balancer's.
func NewReceiver(ctx context.Context, addr, token string) (*Receiver, error) {
	r := &Receiver{api: NewAPI(addr, token, 1), copy: newAppCopy("webhook"), deliveries: map[string]*delivery{}, ended: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ended by Close
	if err != nil {
		return nil, err
	}
	r.server = http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(r.ended)
		_ = r.server.Serve(listener) // ended by Close
	}()
	body := fmt.Sprintf(`{"client_id":null,"url":"http://%s/","since":"2000-01-01T00:00:00Z"}`, listener.Addr())
	var created struct{ ID, Secret string }
	a := r.api.send(ctx, http.MethodPost, "/v2/webhooks", body, "")
	if a.status != http.StatusCreated || json.Unmarshal([]byte(a.body), &created) != nil {
		r.Close()
		return nil, fmt.Errorf("create a webhook: %d %s: %w", a.status, a.body, a.err)
	}
	r.id = created.ID
	if r.secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(created.Secret, "whsec_")); err != nil {
		r.Close()
	}
	return r, err
}

// ServeHTTP receives an attempt.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, 1<<20))
	if err != nil {
		panic(http.ErrAbortHandler) // the server was killed
	}
	m := r.receive(request.Header, body)
	pause(request.Context(), m.wait)
	if m.status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(m.status)
}

// receive records an attempt, and returns how to answer it. Attempts may overlap when a server takes over a webhook from another.
func (r *Receiver) receive(header http.Header, body []byte) handling {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts++
	if err := r.verify(header, body); err != nil {
		r.copy.problem("%v: %s", err, body)
		return handling{status: http.StatusUnauthorized}
	}
	id, sum := header.Get("webhook-id"), sha256.Sum256(body)
	d := r.deliveries[id]
	switch {
	case d == nil:
		d = &delivery{sum: sum}
		r.deliveries[id] = d
	case d.sum != sum:
		r.copy.problem("%s came with another body: %s", id, body)
	}
	m := r.nextHandling()
	switch {
	case !m.copied:
	case d.copied:
		r.repeated++
	default:
		d.copied = true
		r.apply(body)
	}
	return m
}

// nextHandling returns how the next attempt is treated.
func (r *Receiver) nextHandling() handling {
	switch now := time.Now(); {
	case r.faultsOff:
	case r.nextFault.IsZero():
		r.nextFault = now.Add(faultInterval)
	case now.After(r.nextFault):
		r.nextFault = time.Time{}
		r.faultCount++
		return faultyHandlings[(r.faultCount-1)%len(faultyHandlings)]
	}
	return handling{copied: true, status: http.StatusNoContent}
}

// verify checks the signature as Standard Webhooks describes it.
func (r *Receiver) verify(header http.Header, body []byte) error {
	timestamp := header.Get("webhook-timestamp")
	if header.Get("webhook-signature") != sign(r.secret, header.Get("webhook-id"), timestamp, body) {
		return errors.New("the signature is wrong")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age.Abs() > 5*time.Minute {
		return fmt.Errorf("the time %s is wrong", timestamp)
	}
	return nil
}

func sign(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body) // never fails
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// apply copies the changes of a delivery.
func (r *Receiver) apply(body []byte) {
	var message struct {
		Type string
		Data struct {
			Client  string `json:"client_id"`
			Changes []feedChange
		}
	}
	err := json.Unmarshal(body, &message)
	foreign := func(c feedChange) bool { return c.Client != message.Data.Client }
	if n := len(message.Data.Changes); err != nil || message.Type != "app.changed" || n == 0 || n > 100 ||
		slices.ContainsFunc(message.Data.Changes, foreign) {
		r.copy.problem("not a delivery: %s", body)
	}
	for _, change := range message.Data.Changes {
		r.copy.apply(change)
	}
}

// catchUpTimeout bounds CatchUp. A delivery has changes of one client, which alternate here: with a few changes each, it takes a while.
const catchUpTimeout = 20 * time.Minute

// CatchUp returns when everything is delivered. The receiver injects no more faults.
func (r *Receiver) CatchUp(ctx context.Context) error {
	r.mu.Lock()
	r.faultsOff = true
	r.mu.Unlock()
	var a answer
	for end := time.Now().Add(catchUpTimeout); time.Now().Before(end); pause(ctx, time.Second) {
		var hook struct {
			Status string
			Behind int
		}
		a = r.api.send(ctx, http.MethodGet, r.path(), "", "")
		switch {
		case a.status != http.StatusOK || json.Unmarshal([]byte(a.body), &hook) != nil:
		case hook.Status == "disabled":
			return fmt.Errorf("the webhook is disabled: %s", a.body)
		case hook.Status == "failing": // its next attempt may be an hour away
			a = r.api.send(ctx, http.MethodPatch, r.path(), `{"status":"active"}`, "")
		case hook.Behind == 0:
			return nil
		}
	}
	return fmt.Errorf("the webhook does not catch up within %v: %d %s: %w", catchUpTimeout, a.status, a.body, a.err)
}

func (r *Receiver) path() string { return "/v2/webhooks/" + r.id }

// Compare returns how the copy is at odds with the database, and what was wrong on the way.
func (r *Receiver) Compare(ctx context.Context, fixture *Fixture) (problems []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, problems, err = r.copy.Compare(ctx, fixture)
	return problems, err
}

// Deliveries returns how many deliveries and changes are in the copy, how many attempts came, and how many of those repeated a delivery
// that was in the copy already.
func (r *Receiver) Deliveries() (deliveries, changes, attempts, repeated int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.deliveries {
		if d.copied {
			deliveries++
		}
	}
	return deliveries, r.copy.changes, r.attempts, r.repeated
}

// Close ends the receiver.
func (r *Receiver) Close() {
	_ = r.server.Close()
	<-r.ended
	r.api.Close()
}
