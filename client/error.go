package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// StatusError is an error of the API. Its Code, which is never empty, tells programs what happened, and Details what it is
// about.
type StatusError struct {
	ErrorBody

	Status int
	Header http.Header // X-Request-Id names the request in the server's log; Retry-After comes with 429 and 503
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message)
	if id := e.Header.Get("X-Request-Id"); id != "" {
		text += " (request " + id + ")"
	}
	return text
}

// ForeignError is an answer that is not the API's: something between has answered, such as a proxy whose server is away. It
// is a 2xx response that is no JSON, or any other without the API's error body.
type ForeignError struct {
	Status int
	Header http.Header // Content-Type tells what has come; Retry-After may be there
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("a response with status %d and type %q is not the API's", e.Status, e.Header.Get("Content-Type"))
}

// maxErrorBody is more than any error of the API has, in bytes. What stands before the API may answer anything.
const maxErrorBody = 1 << 20

// checked makes Go errors of responses that report one.
type checked struct{ HttpRequestDoer }

func (c checked) Do(r *http.Request) (*http.Response, error) {
	response, err := c.HttpRequestDoer.Do(r)
	if err != nil {
		return nil, err
	}
	switch {
	case response.StatusCode == http.StatusNoContent, response.StatusCode == http.StatusNotModified:
		return response, nil
	case response.StatusCode/100 == 2:
		if !isJSON(response.Header.Get("Content-Type")) {
			_ = response.Body.Close() // nobody reads it
			return nil, &ForeignError{Status: response.StatusCode, Header: response.Header}
		}
		response.Header.Set("Content-Type", "application/json") // the generated code looks for it, letter by letter
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	if err != nil {
		return nil, fmt.Errorf("read the body of a %s response: %w", response.Status, err)
	}
	var body Error
	if err := json.Unmarshal(text, &body); err != nil || body.Error.Code == "" {
		return nil, &ForeignError{Status: response.StatusCode, Header: response.Header}
	}
	return nil, &StatusError{ErrorBody: body.Error, Status: response.StatusCode, Header: response.Header}
}

// isJSON tells whether a media type is application/json, in any letter case, with any parameters: proxies write it in their
// own way.
func isJSON(mediaType string) bool {
	name, _, _ := strings.Cut(mediaType, ";")
	return strings.EqualFold(strings.TrimSpace(name), "application/json")
}
