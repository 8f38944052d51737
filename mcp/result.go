package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// success is the result of a tool whose answer is JSON. Its text is the same, for clients that do not read structured content.
func success(answer json.RawMessage) *sdk.CallToolResult {
	return &sdk.CallToolResult{
		Content: []sdk.Content{&sdk.TextContent{Text: string(answer)}}, StructuredContent: answer,
	}
}

// failure is an error of the API as a tool returns it: the error in the contract's form, and some headers of the answer.
type failure struct {
	Error      json.RawMessage `json:"error"`
	Status     int             `json:"status"`
	RequestID  string          `json:"request_id"`
	RetryAfter int             `json:"retry_after,omitempty"` // in seconds
}

// newFailure reads an answer that is no success.
func newFailure(a *answer) (*failure, error) {
	f := &failure{Status: a.status, RequestID: a.header.Get(requestIDHeader)}
	if err := json.Unmarshal(a.body, f); err != nil || f.Error == nil {
		return nil, &internalError{fmt.Errorf("the API answered %d without an error: %w", a.status, err)}
	}
	f.RetryAfter, _ = strconv.Atoi(a.header.Get("Retry-After"))
	return f, nil
}

// refuse returns the failure of a call that the API has not seen, because of one of its arguments.
func refuse(ctx context.Context, argument, message string) *failure {
	f := &failure{Status: http.StatusBadRequest, RequestID: callerOf(ctx).Header.Get(requestIDHeader)}
	f.Error = encode(map[string]any{
		"code": "invalid_request", "message": message, "details": map[string]any{"field": argument},
	})
	return f
}

func (f *failure) result() *sdk.CallToolResult {
	text := encode(f)
	return &sdk.CallToolResult{
		IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: string(text)}}, StructuredContent: text,
	}
}

// toResult returns the result of a tool for an answer of the API.
func (a *answer) toResult() (*sdk.CallToolResult, error) {
	if !a.ok() {
		return a.toFailure()
	}
	if !json.Valid(a.body) {
		return nil, &internalError{fmt.Errorf("the API answered %d without JSON", a.status)}
	}
	return success(a.body), nil
}

func (a *answer) toFailure() (*sdk.CallToolResult, error) {
	f, err := newFailure(a)
	if err != nil {
		return nil, err
	}
	return f.result(), nil
}

// encode returns the JSON of a value without the escapes for HTML. The value comes from JSON, so encoding never fails.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSpace(b.Bytes())
}
