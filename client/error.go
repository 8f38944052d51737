package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
		if kind := response.Header.Get("Content-Type"); kind != "application/json" {
			return nil, errors.Join(fmt.Errorf("a %s response of type %q is not the API's", response.Status, kind), response.Body.Close())
		}
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
