package server_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// The exact response bodies, without the final line break.
const (
	unauthorized  = `{"error":{"code":"unauthorized","message":"Authentication required"}}`
	forbidden     = `{"error":{"code":"forbidden","message":"Insufficient permissions for this client"}}`
	noRoute       = `{"error":{"code":"not_found","message":"No such path"}}`
	noMethod      = `{"error":{"code":"method_not_allowed","message":"Method not allowed"}}`
	notJSON       = `{"error":{"code":"not_acceptable","message":"Responses are application/json"}}`
	stale         = `{"error":{"code":"precondition_failed","message":"The object has changed since the entity tag in If-Match"}}`
	tooLarge      = `{"error":{"code":"payload_too_large","message":"Request body must not be larger than 1048576 bytes"}}`
	wrongEncoding = `{"error":{"code":"unsupported_media_type","message":"Content-Encoding must be identity"}}`
	wrongType     = `{"error":{"code":"unsupported_media_type",` +
		`"message":"Content-Type must be application/json or application/merge-patch+json"}}`
	broken  = `{"error":{"code":"internal_error","message":"Internal server error"}}`
	unknown = `{"error":{"code":"outcome_unknown",` +
		`"message":"It is not known whether the change was made. Repeat the request where the operation is idempotent"}}`
	unavailable = `{"error":{"code":"unavailable","message":"Service temporarily unavailable"}}`
)

// app returns the reference page's app with these client-specific values. licenses is JSON.
func app(favorite, approved bool, licenses, updatedAt string) string {
	return strings.NewReplacer(
		`"FAVORITE"`, strconv.FormatBool(favorite), `"APPROVED"`, strconv.FormatBool(approved), `"LICENSES"`, licenses, "UPDATED", updatedAt,
	).Replace(compactJSON(`{
		"id": "f1a2b3c4-d5e6-7890-abcd-ef1234567890",
		"catalog_app": {
			"id": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
			"canonical_name": "Slack",
			"description": "A messaging and collaboration platform for teams",
			"display_colour": "#4A154B",
			"logo": "https://cdn.example.com/logos/slack.png",
			"type": "desktop",
			"vendor": {
				"id": "f6a7b8c9-d0e1-2345-fabc-678901234567",
				"name": "Salesforce, Inc.",
				"url": "https://www.salesforce.com"
			},
			"categories": [{"id": "a7b8c9d0-e1f2-3456-abcd-789012345678", "name": "Communication"}],
			"created_at": "2025-06-15T10:00:00.000Z",
			"updated_at": "2026-02-10T09:15:00.000Z"
		},
		"is_favorite": "FAVORITE",
		"is_approved": "APPROVED",
		"license_count": "LICENSES",
		"created_at": "2026-01-15T10:00:00.000Z",
		"updated_at": "UPDATED"
	}`))
}

// asSeeded is the reference page's app before any request.
var asSeeded = app(false, false, "null", seeded)

func invalid(message string) string {
	return `{"error":{"code":"invalid_request","message":` + quote(message) + `}}`
}

func invalidField(field, message string) string {
	return `{"error":{"code":"invalid_request","message":` + quote(message) + `,"details":{"field":` + quote(field) + `}}}`
}

// nameRule follows the field's name in an error about an invalid name.
const nameRule = " must be 1 to 200 characters long, one of them visible, " +
	"without control characters, changes of direction or white space at the ends"

func readOnly(field, reason string) string {
	return `{"error":{"code":"invalid_request","message":"Field '` + field + `' cannot be updated via this endpoint",` +
		`"details":{"field":"` + field + `","reason":"` + reason + `"}}}`
}

func noApp(id string) string {
	return `{"error":{"code":"not_found","message":"App not found","details":{"app_id":"` + id + `"}}}`
}

func noClient(id string) string {
	return `{"error":{"code":"not_found","message":"Client not found","details":{"client_id":"` + id + `"}}}`
}

// compactJSON removes the white space of an expected body, which servers send without any. It keeps all other bytes.
func compactJSON(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		panic(err)
	}
	return b.String()
}

func quote(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // encoding a string cannot fail
	return strings.TrimSuffix(b.String(), "\n")
}
