package server

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/strictjson"
	"github.com/clientapps/clientapps/server/validate"
)

// checkParams validates path, header and query parameters, and the Accept header.
func (op *operation) checkParams(r *http.Request, pathValue func(string) string) error {
	query, err := op.parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	var input *openapi3filter.RequestValidationInput // created only if the validator is needed
	for _, p := range op.params {
		if triviallyValid(r, pathValue, p, query) {
			continue
		}
		if input == nil {
			input = op.validatorInput(r, pathValue, query)
		}
		if p.In == openapi3.ParameterInHeader && len(r.Header.Values(p.Name)) > 1 {
			r.Header.Set(p.Name, joinHeader(r.Header, p.Name))
		}
		if err := openapi3filter.ValidateParameter(r.Context(), input, p); err != nil {
			return paramError(p, err)
		}
		if p.In == openapi3.ParameterInQuery && !canonicallySpelled(p.Schema.Value, query.Get(p.Name)) {
			return paramError(p, nil)
		}
	}
	if err := op.refuseConditions(r.Header); err != nil {
		return err
	}
	accepted := r.Header.Values("Accept")
	if !slices.ContainsFunc(op.responseTypes, func(media string) bool { return accepts(accepted, media) }) {
		return &Error{
			Status: http.StatusNotAcceptable, Code: gen.ErrorCodeNotAcceptable, Message: "Responses are " + strings.Join(op.responseTypes, " or "),
		}
	}
	return nil
}

// refuseConditions refuses conditional headers on operations that do not support them, instead of ignoring them.
func (op *operation) refuseConditions(header http.Header) error {
	for _, name := range op.unsupportedConditions {
		if header[name] != nil {
			return errCondition(name) // in a function of its own, since here a pointer to name would make every write allocate
		}
	}
	return nil
}

func errCondition(name string) error {
	return invalidRequest(name+" is for operations on what has an ETag", &gen.ErrorDetails{Field: &name})
}

// canonicallySpelled refuses spellings that the validator accepts: 1, t and True for a boolean; 050 and +50 for a number.
func canonicallySpelled(schema *openapi3.Schema, value string) bool {
	switch {
	case schema.Type.Is("boolean"):
		return value == "true" || value == "false"
	case schema.Type.Is("integer"):
		n, err := strconv.ParseInt(value, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == value
	}
	return true
}

// triviallyValid reports that a parameter is valid without calling the validator: it is absent and optional, or a path parameter
// with the format uuid and a valid UUID.
func triviallyValid(r *http.Request, pathValue func(string) string, p *openapi3.Parameter, query url.Values) bool {
	switch p.In {
	case openapi3.ParameterInPath:
		_, ok := validate.ParseUUID(pathValue(p.Name))
		return ok && p.Schema.Value.Format == "uuid"
	case openapi3.ParameterInHeader:
		return !p.Required && len(r.Header[http.CanonicalHeaderKey(p.Name)]) == 0
	}
	return !p.Required && !query.Has(p.Name)
}

func (op *operation) validatorInput(r *http.Request, pathValue func(string) string, query url.Values) *openapi3filter.RequestValidationInput {
	input := &openapi3filter.RequestValidationInput{
		Request: r, QueryParams: query, PathParams: map[string]string{},
		Options: &openapi3filter.Options{SkipSettingDefaults: true},
	}
	for _, p := range op.params {
		if p.In == openapi3.ParameterInPath {
			input.PathParams[p.Name] = pathValue(p.Name)
		}
	}
	return input
}

// parseQuery refuses what net/url and echo ignore: bad escapes, unknown names, a second value.
func (op *operation) parseQuery(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalidRequest("The query string is malformed", nil)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		field := strictjson.ShortName(name)
		switch {
		case !op.queryNames[name]:
			return nil, invalidRequest(fmt.Sprintf("Unknown query parameter '%s'", field), &gen.ErrorDetails{Field: &field})
		case len(query[name]) > 1:
			return nil, invalidRequest(name+" must be given once", &gen.ErrorDetails{Field: &field})
		case !strictjson.IsText(query.Get(name)):
			return nil, invalidRequest(name+" must be UTF-8 text without noncharacters", &gen.ErrorDetails{Field: &field})
		}
	}
	return query, nil
}

func paramError(p *openapi3.Parameter, err error) error {
	message := validate.Message(p.Name, p.Schema.Value, err)
	if p.Schema.Value.Type.Is("boolean") {
		message = p.Name + " must be true or false"
	}
	if errors.Is(err, openapi3filter.ErrInvalidRequired) {
		message = p.Name + " is required"
	}
	return invalidRequest(message, &gen.ErrorDetails{Field: &p.Name})
}

// accepts evaluates Accept for the media type of a success. A header that names problem details, which only errors have, and does not
// mention the media type of a success, accepts it too. A malformed or empty header accepts everything.
func accepts(headers []string, media string) bool {
	if len(headers) == 0 || len(headers) == 1 && (headers[0] == "" || headers[0] == "*/*" || headers[0] == media) {
		return true
	}
	if strings.TrimSpace(strings.Join(headers, "")) == "" {
		return true
	}
	success, err := preferenceFor(headers, media)
	if err != nil || success.rank != rankNone {
		return err != nil || success.q > 0
	}
	problem, _ := preferenceFor(headers, mediaTypeProblem)
	return problem.rank == rankExact && problem.q > 0
}

// wantsProblem reports whether Accept names problem details, and does not rank them behind JSON. Wildcards mean JSON.
func wantsProblem(headers []string) bool {
	problem, err := preferenceFor(headers, mediaTypeProblem)
	if err != nil || problem.rank != rankExact || problem.q == 0 {
		return false
	}
	plain, _ := preferenceFor(headers, mediaTypeJSON)
	return problem.q >= plain.q
}

// preference is the result of Accept for a media type. It is zero for a type that no range matches.
type preference struct {
	rank int // of the most specific range that matches
	q    float64
}

// The ranks of media ranges, from no match to the most specific.
const (
	rankNone = iota
	rankAnyType
	rankAnySubtype
	rankExact
)

// preferenceFor evaluates Accept (RFC 9110, 12.5.1) for a media type: the most specific matching range decides. It fails when the header
// is malformed.
func preferenceFor(headers []string, media string) (best preference, err error) {
	kind, _, _ := strings.Cut(media, "/")
	ranges := []string{rankAnyType: "*/*", rankAnySubtype: kind + "/*", rankExact: media}
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		mediaRange, params, err := mime.ParseMediaType(part)
		if err != nil {
			return preference{}, err
		}
		if rank := slices.Index(ranges, mediaRange); rank > best.rank {
			best = preference{rank, weight(params["q"])}
		}
	}
	return best, nil
}

// weight returns the q of a media range: 1 if it is absent or no weight.
func weight(q string) float64 {
	w, err := strconv.ParseFloat(q, 64)
	if err == nil && w >= 0 && w <= 1 {
		return w
	}
	return 1
}
