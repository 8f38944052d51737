package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// StatusError is an error of the API. Code is never empty; programs should use it. Details has more, such as the field.
type StatusError struct {
	ErrorBody

	Status int
	Header http.Header // X-Request-Id is in the server's log too; 429 and 503 have Retry-After
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
	if id := e.Header.Get("X-Request-Id"); id != "" {
		text += " (request " + id + ")"
	}
	return text
}

// ForeignError is an answer from something other than the API, such as a proxy whose server is down. It is a 2xx response that has a
// body other than JSON, than a stream for Follow or than NDJSON for an export, or any other response without the API's error body.
type ForeignError struct {
	Status int
	Header http.Header // see Content-Type; Retry-After may be set
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("a response with status %d and type %q is not the API's", e.Status, e.Header.Get("Content-Type"))
}

// maxErrorBody is in bytes, and more than any error of the API has. A proxy may answer with more.
const maxErrorBody = 1 << 20

// checkingDoer turns error responses into Go errors.
type checkingDoer struct{ requests, exports HttpRequestDoer }

func (c checkingDoer) Do(r *http.Request) (*http.Response, error) {
	wantType, doer := "application/json", c.requests
	switch r.Header.Get("Accept") {
	case eventStream:
		wantType = eventStream
	case NDJSON:
		wantType, doer = NDJSON, c.exports
	}
	response, err := doer.Do(r)
	if err != nil {
		return nil, err
	}
	switch {
	case response.StatusCode == http.StatusNoContent, response.StatusCode == http.StatusNotModified, isDeleting(r, response):
		return response, nil
	case response.StatusCode/100 == 2:
		if !isType(response.Header.Get("Content-Type"), wantType) {
			_ = response.Body.Close()
			return nil, &ForeignError{Status: response.StatusCode, Header: response.Header}
		}
		response.Header.Set("Content-Type", wantType) // the generated code compares it exactly
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	if err != nil {
		return nil, fmt.Errorf("read the body of a %s response: %w", response.Status, err)
	}
	body, err := parseError(response.Header.Get("Content-Type"), text)
	if err != nil || body.Code == "" {
		return nil, &ForeignError{Status: response.StatusCode, Header: response.Header}
	}
	return nil, &StatusError{ErrorBody: body, Status: response.StatusCode, Header: response.Header}
}

// parseError reads either form of an error. This client does not ask for problem details, but a RequestEditorFn may.
func parseError(mediaType string, text []byte) (ErrorBody, error) {
	if !isType(mediaType, "application/problem+json") {
		var body Error
		err := json.Unmarshal(text, &body)
		return body.Error, err
	}
	var problem Problem
	err := json.Unmarshal(text, &problem)
	body := ErrorBody{Code: problem.Code, Message: problem.Detail, Details: problem.Details}
	if problem.Errors != nil {
		if body.Details == nil {
			body.Details = &ErrorDetails{}
		}
		body.Details.Errors = problem.Errors
	}
	return body, err
}

// isDeleting reports whether the answer is the 202 of an object that is being deleted, which has no body.
func isDeleting(r *http.Request, response *http.Response) bool {
	return r.Method == http.MethodDelete && response.StatusCode == http.StatusAccepted && response.Header.Get("Content-Type") == ""
}

// isType reports whether a media type has this name. Proxies may change its case and add parameters.
func isType(mediaType, want string) bool {
	name, _, _ := strings.Cut(mediaType, ";")
	return strings.EqualFold(strings.TrimSpace(name), want)
}
