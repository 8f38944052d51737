package server

import (
	"net/http"
	"strings"

	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/store"
)

// entityTag makes a strong entity tag (RFC 9110, 8.8.3) of an opaque text without quotes.
func entityTag(opaque string) string { return `"` + opaque + `"` }

// uncoded is the tag of an object, whatever the coding it was sent in: conditions are about the object.
func uncoded(tag string) string { return strings.Replace(tag, transport.GzipSuffix+`"`, `"`, 1) }

// noneMatch is the weak comparison of If-None-Match (RFC 9110, 13.1.2) with the current tag.
func noneMatch(header, current string) bool {
	if header == "*" {
		return true
	}
	for _, tag := range entityTags(header) {
		if uncoded(strings.TrimPrefix(tag, "W/")) == uncoded(current) {
			return true
		}
	}
	return false
}

// toMatch is the strong comparison of If-Match (RFC 9110, 13.1.1): weak tags drop out. nil binds the write to nothing:
// no header, or "*", which every existing object matches.
func toMatch(header *string) *store.Match {
	if header == nil || *header == "*" {
		return nil
	}
	match := &store.Match{}
	for _, tag := range entityTags(*header) {
		if !strings.HasPrefix(tag, "W/") {
			match.Tags = append(match.Tags, strings.Trim(uncoded(tag), `"`))
		}
	}
	return match
}

// entityTags splits a list of entity tags. A comma may stand inside a tag's quotes.
func entityTags(header string) []string {
	var tags []string
	for header != "" {
		open := strings.IndexByte(header, '"')
		if open < 0 {
			break
		}
		end := strings.IndexByte(header[open+1:], '"')
		if end < 0 {
			break
		}
		end += open + 2
		tags = append(tags, strings.TrimLeft(header[:end], ", \t"))
		header = header[end:]
	}
	return tags
}

// joinHeader reads a list header that may come on several lines (RFC 9110, 5.3).
func joinHeader(h http.Header, name string) string {
	return strings.Join(h.Values(name), ", ")
}
