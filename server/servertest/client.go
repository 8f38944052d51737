package servertest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Client sends requests to a server at URL and checks every response: against the contract, if the contract has the path and the
// method, and against the rules for all responses.
type Client struct {
	URL   string
	Token string // the bearer token unless the request has an Authorization header; "" for none
}

// Request is one request on the wire.
type Request struct {
	Method  string
	Target  string   // path and query, sent byte for byte
	Header  []string // "Name: value", repeatable. "Name:" removes a header that the client would set
	Body    string   // application/json, or application/x-ndjson for an import, unless Header has a Content-Type
	Chunked bool     // sends no Content-Length
}

// Response is a response.
type Response struct {
	Status int
	Header http.Header
	Body   string // decompressed
}

// transport is shared, so that parallel tests do not run out of ports. It does not decompress.
var transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}

// Get sends a GET without extra headers.
func (c *Client) Get(t testing.TB, target string) *Response {
	t.Helper()
	return c.Send(t, Request{Method: http.MethodGet, Target: target})
}

// Patch sends a PATCH with a body of application/json.
func (c *Client) Patch(t testing.TB, target, body string, header ...string) *Response {
	t.Helper()
	return c.Send(t, Request{Method: http.MethodPatch, Target: target, Header: header, Body: body})
}

// Send sends a request and returns the checked response. Any goroutine may call it: if the request fails, it reports a test error
// and returns a zero Response.
func (c *Client) Send(t testing.TB, r Request) *Response {
	t.Helper()
	request, err := c.build(r)
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.Target, err)
		return &Response{}
	}
	received, err := transport.RoundTrip(request.WithContext(t.Context()))
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.Target, err)
		return &Response{}
	}
	defer func() { _ = received.Body.Close() }()
	body, err := read(received)
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.Target, err)
		return &Response{}
	}
	response := &Response{Status: received.StatusCode, Header: received.Header, Body: string(body)}
	for _, err := range append(checkRules(request, response), checkContract(request, r.Target, response)...) {
		t.Errorf("%s %s answered %d: %v\nheader: %v\nbody: %s", r.Method, r.Target, response.Status, err, response.Header, body)
	}
	return response
}

// read returns the whole body, decompressed. Of a stream, which has no end, it returns the first event.
func read(received *http.Response) ([]byte, error) {
	if received.Header.Get("Content-Type") == "text/event-stream" {
		return readEvent(bufio.NewReader(received.Body))
	}
	body, err := io.ReadAll(received.Body)
	if err != nil || received.Header.Get("Content-Encoding") != "gzip" || len(body) == 0 {
		return body, err
	}
	plain, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}

// readEvent reads up to an empty line. HEAD has nothing to read.
func readEvent(from *bufio.Reader) (event []byte, err error) {
	for !bytes.HasSuffix(event, []byte("\n\n")) {
		line, err := from.ReadBytes('\n')
		if event = append(event, line...); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return event, err
		}
	}
	return event, nil
}

func (c *Client) build(r Request) (*http.Request, error) {
	base, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	var body io.Reader = strings.NewReader(r.Body)
	if r.Chunked {
		body = struct{ io.Reader }{body}
	}
	request, err := http.NewRequest(r.Method, c.URL, body) //nolint:noctx // Send adds the context
	if err != nil {
		return nil, err
	}
	path, query, hasQuery := strings.Cut(r.Target, "?")
	// Opaque keeps the path byte for byte, including escapes.
	request.URL = &url.URL{Scheme: base.Scheme, Host: base.Host, Opaque: path, RawQuery: query, ForceQuery: hasQuery}
	request.Header["User-Agent"] = nil
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if r.Body != "" {
		request.Header.Set("Content-Type", mediaType(path))
	}
	seen := map[string]bool{}
	for _, line := range r.Header {
		name, value, _ := strings.Cut(line, ":")
		name = http.CanonicalHeaderKey(name)
		if !seen[name] {
			seen[name] = true
			request.Header.Del(name)
		}
		if value != "" {
			request.Header.Add(name, strings.TrimPrefix(value, " "))
		}
	}
	return request, nil
}

// mediaType returns the type of a body.
func mediaType(path string) string {
	if strings.HasSuffix(path, "/import") {
		return "application/x-ndjson"
	}
	return "application/json"
}
