package servertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const problemType = "application/problem+json"

// Problem is the body of an error as problem details (RFC 9457).
type Problem struct {
	Type     string            `json:"type"`
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail"`
	Instance string            `json:"instance"`
	Code     string            `json:"code"`
	Errors   []json.RawMessage `json:"errors"`
	Details  *ErrorDetails     `json:"details"`
}

// checkProblem checks the members that only problem details have, and converts the rest to an Error.
func checkProblem(response *Response) (same Error, errs []error) {
	var p Problem
	if err := decodeExactly(response.Body, &p); err != nil {
		return same, []error{err}
	}
	for _, member := range []struct {
		what      string
		got, want any
	}{
		{"type", p.Type, "/docs/problems/" + p.Code},
		{"title in lower case", strings.ToLower(p.Title), strings.ReplaceAll(p.Code, "_", " ")},
		{"status", p.Status, response.Status},
		{"instance", p.Instance, "urn:request:" + response.Header.Get("X-Request-Id")},
	} {
		if member.got != member.want {
			errs = append(errs, fmt.Errorf("%s of the problem is %v, want %v", member.what, member.got, member.want))
		}
	}
	same.Error.Code, same.Error.Message, same.Error.Details = p.Code, p.Detail, p.Details
	if p.Details != nil && p.Details.Errors != nil || strings.Contains(response.Body, `"details":{}`) {
		errs = append(errs, fmt.Errorf("the details of the problem have errors, or nothing"))
	}
	if p.Errors != nil {
		details := ErrorDetails{Errors: p.Errors}
		if p.Details != nil {
			details = *p.Details
			details.Errors = p.Errors
		}
		same.Error.Details = &details
	}
	return same, errs
}

// SendBoth sends a request and, if the response is an error, sends it again for problem details and checks that both say the same. It
// returns the first response.
func (c *Client) SendBoth(t testing.TB, r Request) *Response {
	t.Helper()
	plain := c.Send(t, r)
	if plain.Status < http.StatusBadRequest || plain.Header.Get("Content-Type") == problemType {
		return plain
	}
	r.Header = append(slices.Clone(r.Header), "Accept: "+acceptProblem(plain.Status))
	problem := c.Send(t, r)
	if err := SameError(plain, problem); err != nil {
		t.Errorf("%s %s %v %s: %v\nplain: %d %v %s\nproblem: %d %v %s", r.Method, r.Target, r.Header, r.Body, err,
			plain.Status, plain.Header, plain.Body, problem.Status, problem.Header, problem.Body)
	}
	return plain
}

// acceptProblem returns what to add to the Accept header of a request so that its error comes as problem details. A request that got
// 406 gets it again.
func acceptProblem(status int) string {
	if status == http.StatusNotAcceptable {
		return problemType + ", */*;q=0"
	}
	return problemType
}

// SameError returns how an error and the same error as problem details differ in what they say.
func SameError(plain, problem *Response) error {
	if plain.Status != problem.Status {
		return fmt.Errorf("status %d, as a problem %d", plain.Status, problem.Status)
	}
	if got := problem.Header.Get("Content-Type"); got != problemType {
		return fmt.Errorf("the problem has the type %q", got)
	}
	first, second := comparableHeader(plain.Header), comparableHeader(problem.Header)
	if !reflect.DeepEqual(first, second) {
		return fmt.Errorf("headers differ: %v, as a problem %v", first, second)
	}
	if plain.Body == "" || problem.Body == "" { // of HEAD
		if plain.Body != problem.Body {
			return fmt.Errorf("only one has a body")
		}
		return nil
	}
	var want Error
	if err := decodeExactly(plain.Body, &want); err != nil {
		return err
	}
	got, errs := checkProblem(problem)
	if len(errs) > 0 {
		return errs[0]
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("the contents differ: %+v, as a problem %+v", want, got)
	}
	return nil
}

// comparableHeader returns the headers without those that differ between an error and the same error as problem details, such as how
// much of the rate limit is left.
func comparableHeader(header http.Header) http.Header {
	header = maps.Clone(header)
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Date", "X-Request-Id", "Ratelimit"} {
		delete(header, name)
	}
	return header
}
