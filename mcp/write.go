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
	arguments := maps.Clone(values)
	before, tag, err := t.readObject(ctx, values)
	if err != nil {
		return failureResult(nil, err)
	}
	if tag != "" {
		arguments[t.ifMatch] = tag // refuses the dry run if the object changes meanwhile: the preview must not mix two versions
	}
	dryRunAnswer, err := t.sendDryRun(ctx, arguments)
	if err != nil || !dryRunAnswer.ok() {
		return failureResult(dryRunAnswer, err)
	}
	p := preview{}
	if before != nil {
		changes := t.differences(before, dryRunAnswer.object())
		p.Changes = &changes
	}
	if t.ifMatch != "" && tag == "" {
		tag = dryRunAnswer.etag()
	}
	return p.result(t, values, dryRunAnswer, []string{tag})
}

// readObject returns the object that would be written, and its entity tag. It returns nothing if it cannot be read: the dry run
// says why, or the token may write what it may not read.
func (t *tool) readObject(ctx context.Context, values map[string]any) (object map[string]any, tag string, err error) {
	if t.read == nil {
		return nil, "", nil
	}
	a, err := t.api.do(ctx, t.read, pathValues(t.read, values))
	if err != nil {
		return nil, "", &internalError{err}
	}
	switch {
	case a.ok():
		return a.object(), a.etag(), nil
	case a.isTransient():
		return nil, "", &transientError{a}
	}
	return nil, "", nil
}

// isTransient reports whether the same request may succeed soon: the answer is 429 or a server error.
func (a *answer) isTransient() bool {
	return a.status == http.StatusTooManyRequests || a.status >= http.StatusInternalServerError
}

// transientError is the answer to a read that may succeed soon. A preview without the object would be incomplete.
type transientError struct{ answer *answer }

func (e *transientError) Error() string { return "the API answers " + strconv.Itoa(e.answer.status) }

// pathValues returns the values of an operation's path.
func pathValues(op *operations.Operation, values map[string]any) map[string]any {
	path := map[string]any{}
	for _, a := range op.Arguments {
		if v, ok := values[a.Name]; ok && a.In == "path" {
			path[a.Name] = v
		}
	}
	return path
}

// sendDryRun calls the operation with dry_run.
func (t *tool) sendDryRun(ctx context.Context, values map[string]any) (*answer, error) {
	arguments := maps.Clone(values)
	arguments[dryRun] = true
	a, err := t.api.do(ctx, t.op, arguments)
	if err != nil {
		return nil, &internalError{err}
	}
	return a, nil
}

// failureResult returns the result of a preview whose dry run was refused, or was not made because of an error.
func failureResult(a *answer, err error) (*sdk.CallToolResult, error) {
	if transient := (*transientError)(nil); errors.As(err, &transient) {
		return transient.answer.toFailure()
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
	x, aIsNumber := a.(json.Number)
	y, bIsNumber := b.(json.Number)
	if aIsNumber && bIsNumber {
		f, errA := x.Float64()
		g, errB := y.Float64()
		return errA == nil && errB == nil && f == g
	}
	return reflect.DeepEqual(a, b)
}

// previewText comes before the JSON of a preview, for those who read texts alone.
const previewText = "Nothing was written yet. To write this, call the tool again with the same arguments and this confirmation."

func (p preview) result(t *tool, values map[string]any, dryRunAnswer *answer, tags []string) (*sdk.CallToolResult, error) {
	if !json.Valid(dryRunAnswer.body) {
		return nil, &internalError{errors.New("the API answered a dry run without JSON")}
	}
	p.Result, p.Confirmation = dryRunAnswer.body, newConfirmation(t.op, values, tags)
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
	arguments := maps.Clone(values)
	switch {
	case t.items != nil:
		arguments[t.items.argument] = t.items.withTags(values, tags)
	case t.ifMatch != "" && len(tags) == 1 && tags[0] != "":
		arguments[t.ifMatch] = tags[0]
	}
	a, err := t.api.do(ctx, t.op, arguments)
	if err != nil {
		return nil, &internalError{err}
	}
	return a.toResult()
}
