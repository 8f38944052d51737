package server_test

import (
	"strings"
	"testing"
)

// The examples of the reference page, verbatim.
const (
	toggleFavorite = `curl -X PATCH "https://api.example.com/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890" \
-H "Authorization: Bearer YOUR_API_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"is_favorite": true
}'`

	setLicenseCount = `curl -X PATCH "https://api.example.com/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890" \
-H "Authorization: Bearer YOUR_API_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"license_count": 50
}'`

	clearLicenseCount = `curl -X PATCH "https://api.example.com/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890" \
-H "Authorization: Bearer YOUR_API_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"license_count": null
}'`

	approve = `curl -X PATCH "https://api.example.com/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890" \
-H "Authorization: Bearer YOUR_API_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"is_approved": true
}'`

	updateMultiple = `curl -X PATCH "https://api.example.com/v2/clients/aa7cf840-9ca9-46a3-9778-9015d6580d50/apps/f1a2b3c4-d5e6-7890-abcd-ef1234567890" \
-H "Authorization: Bearer YOUR_API_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"is_favorite": true,
"is_approved": true,
"license_count": 50
}'`

	exampleApp = `{
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
"categories": [
{ "id": "a7b8c9d0-e1f2-3456-abcd-789012345678", "name": "Communication" }
],
"created_at": "2025-06-15T10:00:00.000Z",
"updated_at": "2026-02-10T09:15:00.000Z"
},
"is_favorite": true,
"is_approved": true,
"license_count": 50,
"created_at": "2026-01-15T10:00:00.000Z",
"updated_at": "2026-02-24T15:00:00.000Z"
}`

	invalidFieldType = `{
"error": {
"code": "invalid_request",
"message": "is_favorite must be a boolean value"
}
}`

	readOnlyField = `{
"error": {
"code": "invalid_request",
"message": "Field 'catalog_app' cannot be updated via this endpoint",
"details": {
"field": "catalog_app",
"reason": "Managed through the Catalog Apps domain"
}
}
}`
)

// curl is a parsed command line of the page.
type curl struct {
	method, url string
	header      []string
	data        string
}

func parseCurl(t *testing.T, command string) curl {
	t.Helper()
	words := shellWords(t, command)
	if words[0] != "curl" {
		t.Fatalf("not a curl command: %s", command)
	}
	var c curl
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "-X":
			i++
			c.method = words[i]
		case "-H":
			i++
			c.header = append(c.header, words[i])
		case "-d":
			i++
			c.data = words[i]
		default:
			c.url = words[i]
		}
	}
	return c
}

// shellWords splits a command like a shell, as far as the page needs it: both kinds of quotes, and continued lines.
func shellWords(t *testing.T, command string) []string {
	t.Helper()
	var words []string
	for rest := strings.ReplaceAll(command, "\\\n", " "); ; {
		rest = strings.TrimLeft(rest, " \n")
		if rest == "" {
			return words
		}
		end := " "
		if quote := rest[:1]; quote == `"` || quote == "'" {
			end, rest = quote, rest[1:]
		}
		word, after, ended := strings.Cut(rest, end)
		rest = after
		if !ended && end != " " || strings.ContainsAny(word, "\\$`") {
			t.Fatalf("not a word that the page has: %s", word)
		}
		words = append(words, word)
	}
}
