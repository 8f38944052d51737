package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is the response to a request, or the lack of one.
type answer struct {
	status  int // 0: the connection ended without an answer
	header  http.Header
	body    string
	took    time.Duration
	closing bool // the answer has Connection: close
	err     error
}

func (a answer) class() string {
	switch {
	case a.unsent():
		return "unreachable"
	case a.status == 0:
		return "none"
	}
	return strconv.Itoa(a.status)
}

// unsent reports whether the connection to the server failed.
func (a answer) unsent() bool {
	dial := (*net.OpError)(nil)
	return errors.As(a.err, &dial) && dial.Op == "dial"
}

func (a answer) outcome() Outcome {
	switch {
	case a.unsent():
		return Refused
	case a.status == 0, a.status == http.StatusInternalServerError:
		return InDoubt
	case a.status < http.StatusMultipleChoices:
		return Acknowledged
	}
	return Refused
}

// problem describes an answer that took too long, or an error that violates the contract. It returns "" for a good answer.
func (a answer) problem() string {
	switch {
	case errors.Is(a.err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", AnswerTimeout)
	case a.status < http.StatusBadRequest:
		return ""
	}
	var refusal struct {
		Error struct{ Code, Message string }
	}
	codes := map[int]string{
		409: "conflict", 412: "precondition_failed", 429: "rate_limited", 500: "outcome_unknown", 503: "unavailable",
	}
	err := json.Unmarshal([]byte(a.body), &refusal)
	if err != nil || refusal.Error.Code != codes[a.status] || refusal.Error.Message == "" || a.header.Get("X-Request-Id") == "" {
		return fmt.Sprintf("answered %d %s", a.status, a.body)
	}
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
		return "503 without Retry-After"
	}
	return ""
}

// API sends requests to a server or a balancer.
type API struct {
	Base  string // http://host:port
	Token string

	client *http.Client
}

// NewAPI returns a client with its own connections. It closes idle connections before servers do, as docs/rollout.md advises.
func NewAPI(addr, token string, connections int) *API {
	return &API{Base: "http://" + addr, Token: token, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, IdleConnTimeout: 400 * time.Millisecond,
	}}}
}

// send sends a request and reads the answer. net/http never repeats it, since its body cannot be read twice.
func (a *API) send(ctx context.Context, method, path, body, id string, header ...string) answer {
	ctx, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, a.Base+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return answer{err: err}
	}
	r.ContentLength = int64(len(body))
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Authorization", "Bearer "+a.Token)
	r.Header.Set("Content-Type", "application/json")
	if id != "" {
		r.Header.Set("X-Request-Id", id)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	begin := time.Now()
	response, err := a.client.Do(r)
	if err != nil {
		return answer{took: time.Since(begin), err: err}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{took: time.Since(begin), err: err}
	}
	return answer{
		status: response.StatusCode, header: response.Header, body: string(text), took: time.Since(begin), closing: response.Close,
	}
}

// Close closes idle connections.
func (a *API) Close() { a.client.CloseIdleConnections() }
