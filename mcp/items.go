package mcp

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/clientapps/clientapps/operations"
)

// maxRead is how many objects are read for a preview of one call, each with a request of its own.
const maxRead = 20

// The properties of an item, and of the answer, by the conventions of the contract.
const (
	itemID        = "id"
	itemCondition = "if_match"
	succeeded     = "succeeded"
)

// items describes the argument of an operation that writes several objects, each with a condition of its own.
type items struct {
	argument string
	read     *operations.Operation // reads one object
	id       string                // the argument of read
}

// itemsOf returns nil for an operation that has no such argument, or whose objects cannot be read one by one.
func itemsOf(doc *operations.Document, op *operations.Operation) *items {
	for _, a := range op.Arguments {
		if a.In != "body" || operations.Type(a.Schema) != openapi3.TypeArray {
			continue
		}
		has := func(name string) bool {
			return slices.ContainsFunc(operations.Properties(operations.Items(a.Schema)), func(p operations.Property) bool { return p.Name == name })
		}
		read := findRead(doc, func(path string) bool {
			last, ok := strings.CutPrefix(path, op.Path+"/")
			return ok && strings.HasPrefix(last, "{") && !strings.Contains(last, "/")
		})
		if has(itemID) && has(itemCondition) && read != nil {
			last := read.Path[strings.LastIndex(read.Path, "{")+1:]
			return &items{argument: a.Name, read: read, id: strings.TrimSuffix(last, "}")}
		}
	}
	return nil
}

// list returns the items of a call; nil if they are none, which the API refuses.
func (i *items) list(values map[string]any) []any {
	list, _ := values[i.argument].([]any)
	return list
}

// withTags returns the items, each with the tag at its place as its condition, unless it has one or the tag is "".
func (i *items) withTags(values map[string]any, tags []string) []any {
	list := slices.Clone(i.list(values))
	for n, v := range list {
		item, ok := v.(map[string]any)
		if _, has := item[itemCondition]; !ok || has || n >= len(tags) || tags[n] == "" {
			continue
		}
		item = maps.Clone(item)
		item[itemCondition] = tags[n]
		list[n] = item
	}
	return list
}

// previewItems answers what the write of several objects would do. Up to maxRead of them are read before.
func (t *tool) previewItems(ctx context.Context, values map[string]any) (*sdk.CallToolResult, error) {
	arguments := maps.Clone(values)
	before, tags, err := t.readItems(ctx, values)
	if err != nil {
		return failureResult(nil, err)
	}
	if tags != nil {
		arguments[t.items.argument] = t.items.withTags(values, tags)
	}
	dryRunAnswer, err := t.sendDryRun(ctx, arguments)
	if err != nil || !dryRunAnswer.ok() {
		return failureResult(dryRunAnswer, err)
	}
	p := preview{}
	if before != nil {
		changes := t.items.differences(values, before, dryRunAnswer.object())
		p.Changes = &changes
	}
	return p.result(t, values, dryRunAnswer, tags)
}

// readItems reads the objects of a call, with their entity tags. It returns nothing if there are too many, or one cannot be read that
// would be written: a preview must show all changes or none.
func (t *tool) readItems(ctx context.Context, values map[string]any) (before []map[string]any, tags []string, err error) {
	list := t.items.list(values)
	if len(list) > maxRead {
		return nil, nil, nil
	}
	for _, v := range list {
		item, _ := v.(map[string]any)
		id, _ := item[itemID].(string)
		if id == "" {
			return nil, nil, nil // the API refuses it
		}
		path := pathValues(t.items.read, values)
		path[t.items.id] = id
		a, err := t.api.do(ctx, t.items.read, path)
		if err != nil {
			return nil, nil, &internalError{err}
		}
		switch {
		case a.ok():
			before, tags = append(before, a.object()), append(tags, a.etag())
		case a.status == http.StatusNotFound:
			before, tags = append(before, nil), append(tags, "")
		case a.isTransient():
			return nil, nil, &transientError{a}
		default:
			return nil, nil, nil
		}
	}
	return before, tags, nil
}

// differences returns what the items that would succeed change.
func (i *items) differences(values map[string]any, before []map[string]any, answer map[string]any) []change {
	done, _ := answer[succeeded].([]any)
	changes := []change{}
	for n, v := range i.list(values) {
		item, _ := v.(map[string]any)
		id, _ := item[itemID].(string)
		if n >= len(before) || !slices.ContainsFunc(done, func(v any) bool { s, _ := v.(string); return strings.EqualFold(s, id) }) {
			continue
		}
		for _, field := range slices.Sorted(maps.Keys(item)) {
			if field != itemID && field != itemCondition && !equal(before[n][field], item[field]) {
				changes = append(changes, change{ID: id, Field: field, Before: before[n][field], After: item[field]})
			}
		}
	}
	return changes
}
