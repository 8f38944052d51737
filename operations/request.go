package operations

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Request returns the request of an operation to the server at base, which is the URL of the paths of the document. Values are those
// of package encoding/json, by the names of arguments; an argument without a value is left out. Without a value for any property
// the JSON body is {} if the operation needs one, and left out otherwise. The error names an argument that is unknown, or is a
// *MissingError.
func (op *Operation) Request(ctx context.Context, base *url.URL, values map[string]any) (*http.Request, error) {
	body, err := op.encodeBody(values)
	if err != nil {
		return nil, err
	}
	r, err := op.RequestWithBody(ctx, base, values, nil)
	if err != nil || body == nil {
		return r, err
	}
	r.Header.Set("Content-Type", op.Body.JSON)
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, err = r.GetBody()
	return r, err
}

// MissingError reports that a required argument has no value.
type MissingError struct{ Argument *Argument }

func (e *MissingError) Error() string { return e.Argument.Name + " is missing" }

// encodeBody returns the JSON body that has the values of properties, or nil if the request has none.
func (op *Operation) encodeBody(values map[string]any) ([]byte, error) {
	object := map[string]any{}
	for _, a := range op.Arguments {
		v, given := values[a.Name]
		switch {
		case a.In != inBody:
		case given:
			object[a.Field] = v
		case a.Required:
			return nil, &MissingError{a}
		}
	}
	if op.Body == nil || op.Body.Schema == nil || len(object) == 0 && !op.Body.Required {
		return nil, nil
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// RequestWithBody is Request with a body that the caller has made, or nil. The caller sets its Content-Type.
func (op *Operation) RequestWithBody(ctx context.Context, base *url.URL, values map[string]any, body io.Reader) (*http.Request, error) {
	for name := range values {
		if op.Argument(name) == nil {
			return nil, fmt.Errorf("%s has no %s", op.ID, name)
		}
	}
	path, query, header := op.Path, url.Values{}, http.Header{}
	for _, a := range op.Arguments {
		if a.In == inBody {
			continue
		}
		v, given := values[a.Name]
		if !given || v == nil {
			if a.Required {
				return nil, &MissingError{a}
			}
			continue
		}
		texts := a.valueTexts(v)
		switch a.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+a.Field+"}", pathSegment(strings.Join(texts, ",")))
		case "query":
			query[a.Field] = texts
		case "header":
			header.Set(a.Field, strings.Join(texts, ","))
		}
	}
	target := *base
	target.RawPath = strings.TrimSuffix(base.EscapedPath(), "/") + path
	unescaped, err := url.PathUnescape(target.RawPath)
	if err != nil {
		return nil, err
	}
	target.Path, target.RawQuery = unescaped, query.Encode()
	r, err := http.NewRequestWithContext(ctx, op.Method, target.String(), body)
	if err != nil {
		return nil, err
	}
	for name, list := range header {
		r.Header[name] = list
	}
	return r, nil
}

// pathSegment escapes a value of a path, . and .. too, which are otherwise taken for folders.
func pathSegment(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// valueTexts returns a value as the texts of a parameter: one, or one for each item of an array that is exploded.
func (a *Argument) valueTexts(v any) []string {
	list, isList := v.([]any)
	if !isList {
		return []string{valueText(v)}
	}
	valueTexts := []string{}
	for _, item := range list {
		valueTexts = append(valueTexts, valueText(item))
	}
	if s, err := a.parameter.SerializationMethod(); err == nil && s.Explode {
		return valueTexts
	}
	return []string{strings.Join(valueTexts, ",")}
}

func valueText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v) // it came from JSON
	return string(b)
}

// Argument returns the argument of this name, or nil.
func (op *Operation) Argument(name string) *Argument {
	for _, a := range op.Arguments {
		if a.Name == name {
			return a
		}
	}
	return nil
}
