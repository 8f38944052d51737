package client

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// StatusError is a response that is neither 2xx nor 304. Its Code tells programs what happened, and Details what it is
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

// ForeignError is a 2xx response that is no JSON: something between has answered, and not the server.
type ForeignError struct {
	Status      int
	ContentType string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("a response with status %d and type %q is not the API's", e.Status, e.ContentType)
}

// maxErrorBody is more than any error of the API has. What stands before the API may answer anything.
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
		kind := response.Header.Get("Content-Type")
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			_ = response.Body.Close() // nobody reads it
			return nil, &ForeignError{Status: response.StatusCode, ContentType: kind}
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
		// Not the API's: a proxy's page, say.
		body.Error = ErrorBody{Message: http.StatusText(response.StatusCode)}
	}
	return nil, &StatusError{ErrorBody: body.Error, Status: response.StatusCode, Header: response.Header}
}
