package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// deprecation is what every answer of a deprecated operation says: since when it is deprecated (RFC 9745) and until when
// it works (RFC 8594). nil for all other operations.
func deprecation(o *openapi3.Operation) (map[string]string, error) {
	if !o.Deprecated {
		return nil, nil
	}
	since, err := dateOf(o, "x-deprecated-on")
	if err != nil {
		return nil, err
	}
	until, err := dateOf(o, "x-sunset")
	if err != nil {
		return nil, err
	}
	if !since.Before(until) {
		return nil, fmt.Errorf("operation %s must be deprecated before its sunset", o.OperationID)
	}
	return map[string]string{
		"Deprecation": fmt.Sprintf("@%d", since.Unix()),
		"Sunset":      until.Format(http.TimeFormat),
	}, nil
}

func dateOf(o *openapi3.Operation, extension string) (time.Time, error) {
	text, _ := o.Extensions[extension].(string)
	date, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("operation %s is deprecated and needs a date as %s: %w", o.OperationID, extension, err)
	}
	return date, nil
}
