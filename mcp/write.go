package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"strconv"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/clientapps/clientapps/operations"
)

// preview is the answer of a tool that has written nothing.
type preview struct {
	Written bool `json:"written"` // false
	// What would change. nil if the objects are not known as they are: there is none yet, or the token cannot read it.
	Changes      *[]change       `json:"changes,omitempty"`
	Result       json.RawMessage `json:"result"` // the answer that the write would have
	Confirmation string          `json:"confirmation"`
}

// change is what would change of one property of an object.
type change struct {
	ID     any    `json:"id,omitempty"` // of the object, where there are several
	Field  string `json:"field"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// preview answers what the write would do.
func (t *tool) preview(ctx context.Context, values map[string]any) (*sdk.CallToolResult, error) {
	if t.items != nil {
		return t.previewItems(ctx, values)
	}
	asked := maps.Clone(values)
	before, tag, err := t.readObject(ctx, values)
	if err != nil {
		return failed(nil, err)
	}
	if tag != "" {
		asked[t.ifMatch] = tag // if it changes meanwhile, what is shown would be of two moments
	}
	tried, err := t.try(ctx, asked)
	if err != nil || !tried.ok() {
		return failed(tried, err)
	}
	p := preview{}
	if before != nil {
		changes := t.differences(before, tried.object())
		p.Changes = &changes
	}
	if t.ifMatch != "" && tag == "" {
		tag = tried.etag()
	}
	return p.result(t, values, tried, []string{tag})
}

// readObject returns the object that would be written, and its entity tag. It returns nothing if it cannot be read: the dry run
// says why, or the token may write what it may not read.
func (t *tool) readObject(ctx context.Context, values map[string]any) (object map[string]any, tag string, err error) {
	if t.read == nil {
		return nil, "", nil
	}
	a, err := t.api.do(ctx, t.read, pathValues(t.read, values))
	if err != nil {
		return nil, "", &faultError{err}
	}
	switch {
	case a.ok():
		return a.object(), a.etag(), nil
	case a.passing():
		return nil, "", &passingError{a}
	}
	return nil, "", nil
}

// passing reports whether the same request may be answered otherwise soon: too many requests, or a server that cannot.
func (a *answer) passing() bool {
	return a.status == http.StatusTooManyRequests || a.status >= http.StatusInternalServerError
}

// passingError is the answer to a read that may succeed soon. A preview without it would show and guard less than it could.
type passingError struct{ answer *answer }

func (e *passingError) Error() string { return "the API answers " + strconv.Itoa(e.answer.status) }

// pathValues returns the values of an operation's path.
func pathValues(op *operations.Operation, values map[string]any) map[string]any {
	of := map[string]any{}
	for _, a := range op.Arguments {
		if v, ok := values[a.Name]; ok && a.In == "path" {
			of[a.Name] = v
		}
	}
	return of
}

// try makes a dry run.
func (t *tool) try(ctx context.Context, values map[string]any) (*answer, error) {
	asked := maps.Clone(values)
	asked[dryRun] = true
	a, err := t.api.do(ctx, t.op, asked)
	if err != nil {
		return nil, &faultError{err}
	}
	return a, nil
}

// failed returns the result of a dry run that was refused, or that there was not because of an error.
func failed(a *answer, err error) (*sdk.CallToolResult, error) {
	if passing := (*passingError)(nil); errors.As(err, &passing) {
		return passing.answer.toFailure()
	}
	if err != nil {
		return nil, err
	}
	return a.toFailure()
}

// differences returns the properties that differ, in the order of the contract's names. Times are left out: those of a dry run are
// examples.
func (t *tool) differences(before, after map[string]any) []change {
	changes := []change{}
	for _, p := range operations.Properties(t.op.Answer) {
		if p.Schema.Format != "date-time" && !equal(before[p.Name], after[p.Name]) {
			changes = append(changes, change{Field: p.Name, Before: before[p.Name], After: after[p.Name]})
		}
	}
	return changes
}

// equal compares two JSON values. The same number may be written in two ways.
func equal(a, b any) bool {
	x, isNumber := a.(json.Number)
	y, areNumbers := b.(json.Number)
	if isNumber && areNumbers {
		f, err := x.Float64()
		g, other := y.Float64()
		return err == nil && other == nil && f == g
	}
	return reflect.DeepEqual(a, b)
}

// previewText comes before the JSON of a preview, for those who read texts alone.
const previewText = "Nothing was written yet. To write this, call the tool again with the same arguments and this confirmation."

func (p preview) result(t *tool, values map[string]any, tried *answer, tags []string) (*sdk.CallToolResult, error) {
	if !json.Valid(tried.body) {
		return nil, &faultError{errors.New("the API answered a dry run without JSON")}
	}
	p.Result, p.Confirmation = tried.body, newConfirmation(t.op, values, tags)
	result := success(encode(p))
	result.Content = append([]sdk.Content{&sdk.TextContent{Text: previewText}}, result.Content...)
	return result, nil
}

// confirm writes, if the confirmation is for these arguments. The API refuses the write (412) if the object is no longer as it was.
func (t *tool) confirm(ctx context.Context, values map[string]any, given any) (*sdk.CallToolResult, error) {
	tags, problem := readConfirmation(t.op, values, given)
	if problem != "" {
		return refuse(ctx, confirmation, problem).result(), nil
	}
	asked := maps.Clone(values)
	switch {
	case t.items != nil:
		asked[t.items.argument] = t.items.withTags(values, tags)
	case t.ifMatch != "" && len(tags) == 1 && tags[0] != "":
		asked[t.ifMatch] = tags[0]
	}
	a, err := t.api.do(ctx, t.op, asked)
	if err != nil {
		return nil, &faultError{err}
	}
	return a.toResult()
}
