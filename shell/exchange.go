package shell

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// headerTimeout bounds the wait for the header of an answer. A body may take as long as it comes.
	headerTimeout = 2 * time.Minute
	// maxWait bounds what Retry-After may ask for.
	maxWait = time.Minute
	// maxErrorBody bounds the body of an error, in bytes.
	maxErrorBody = 1 << 20
)

// requestSender sends requests with the token, retries after 429 and 503, and shows requests and answers with --verbose.
type requestSender struct {
	client    *http.Client
	token     string
	userAgent string
	retries   int
	verbose   io.Writer // nil: silent
}

func (s *shell) newSender() (*requestSender, error) {
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	if s.flags.retries < 0 || s.flags.retries > 20 {
		return nil, fmt.Errorf("%w: --retries must be 0 to 20", ErrUsage)
	}
	transport, _ := http.DefaultTransport.(*http.Transport)
	transport = transport.Clone()
	transport.ResponseHeaderTimeout = headerTimeout
	e := &requestSender{token: token, userAgent: "clientapps/" + s.Version, retries: s.flags.retries, client: &http.Client{
		Transport: transport,
		// A redirect could carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if s.flags.verbose {
		e.verbose = s.Stderr
	}
	return e, nil
}

// do sends a request and returns a success, or 304. Any other answer is a *ResponseError.
func (e *requestSender) do(r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", e.userAgent)
	if e.token != "" {
		r.Header.Set("Authorization", "Bearer "+e.token)
	}
	for attempt := 0; ; attempt++ {
		e.showRequest(r)
		response, err := e.client.Do(r)
		if err != nil {
			return nil, err
		}
		e.showResponse(response)
		if response.StatusCode < 300 || response.StatusCode == http.StatusNotModified {
			return response, nil
		}
		refused := newResponseError(response)
		if attempt == e.retries || !refused.transient() || r.Body != nil && r.GetBody == nil {
			return nil, refused
		}
		if err := sleep(r.Context(), refused.wait(attempt)); err != nil {
			return nil, err
		}
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// ResponseError is a refusal by the server, or by something in front of it.
type ResponseError struct {
	Status        int
	Code, Message string // Code is "" if the body is not the API's
	Fields        []FieldError
	RequestID     string

	retryAfter string
}

// FieldError is what a refusal says of one field, or of one line of a file.
type FieldError struct {
	Field   string `json:"field"`
	Pointer string `json:"pointer"`
	Line    int    `json:"line"`
	Message string `json:"message"`
}

func newResponseError(response *http.Response) *ResponseError {
	defer response.Body.Close()
	e := &ResponseError{
		Status: response.StatusCode, Message: http.StatusText(response.StatusCode),
		RequestID: response.Header.Get("X-Request-Id"), retryAfter: response.Header.Get("Retry-After"),
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorBody)) // the status says enough
	var body struct {
		Error struct {
			Code, Message string
			Details       struct {
				FieldError

				Errors []FieldError
			}
		}
	}
	if json.Unmarshal(text, &body) == nil && body.Error.Code != "" {
		e.Code, e.Message, e.Fields = body.Error.Code, body.Error.Message, body.Error.Details.Errors
		if one := body.Error.Details.FieldError; len(e.Fields) == 0 && one.Message != "" {
			e.Fields = []FieldError{one}
		}
	}
	return e
}

// Error describes the refusal in one line, and each field in one more.
func (e *ResponseError) Error() string {
	text := strconv.Itoa(e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	text += ": " + e.Message
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	for _, f := range e.Fields {
		place := f.Field
		switch {
		case f.Line > 0:
			place = strings.TrimSpace(fmt.Sprintf("line %d %s", f.Line, f.Field))
		case f.Field == "" || strings.Count(f.Pointer, "/") > 1:
			place = f.Pointer
		}
		text += "\n  " + place + ": " + f.Message
	}
	return printable(text)
}

// transient reports whether the same request may succeed later, and had no effect.
func (e *ResponseError) transient() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
}

// wait returns how long to wait before the next attempt: what the server asks for, or else a second, two, four …, and then up to a
// quarter more by chance, so that many callers do not come back at once.
func (e *ResponseError) wait(attempt int) time.Duration {
	d := time.Second << min(attempt, 5)
	if seconds, err := strconv.ParseUint(e.retryAfter, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	}
	d = min(d, maxWait)
	return d + rand.N(d/4+50*time.Millisecond) //nolint:gosec // spreads the load, hides nothing
}

func (e *requestSender) showRequest(r *http.Request) {
	if e.verbose == nil {
		return
	}
	_, _ = fmt.Fprintf(e.verbose, "> %s %s\n", r.Method, r.URL)
	header := r.Header.Clone()
	if header.Get("Authorization") != "" {
		header.Set("Authorization", "Bearer ***")
	}
	showHeader(e.verbose, "> ", header)
	if r.GetBody == nil || !strings.HasSuffix(header.Get("Content-Type"), "json") {
		return
	}
	if body, err := r.GetBody(); err == nil {
		text, _ := io.ReadAll(io.LimitReader(body, maxErrorBody))
		_, _ = fmt.Fprintf(e.verbose, ">\n> %s\n", printable(string(text)))
	}
}

func (e *requestSender) showResponse(response *http.Response) {
	if e.verbose == nil {
		return
	}
	_, _ = fmt.Fprintf(e.verbose, "< %s %s\n", response.Proto, response.Status)
	showHeader(e.verbose, "< ", response.Header)
}

func showHeader(w io.Writer, prefix string, header http.Header) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			_, _ = fmt.Fprintf(w, "%s%s: %s\n", prefix, name, printable(value))
		}
	}
}

// printable replaces characters that could steer the terminal or reorder its text. Line feeds stay.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c)) {
			return unicode.ReplacementChar
		}
		return c
	}, text)
}
