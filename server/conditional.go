package server

import (
	"net/http"
	"strings"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/store"
)

// entityTag makes a strong entity tag (RFC 9110, 8.8.3) of an opaque text without quotes.
func entityTag(opaque string) string { return `"` + opaque + `"` }

// weakTag makes a weak one (RFC 9110, 8.8.1).
func weakTag(opaque string) string { return "W/" + entityTag(opaque) }

// uncoded returns the tag without the suffix of its content coding: conditions are about the object.
func uncoded(tag string) string { return strings.Replace(tag, transport.GzipSuffix+`"`, `"`, 1) }

// noneMatch is the weak comparison of If-None-Match (RFC 9110, 13.1.2) with the current tag.
func noneMatch(header, current string) bool {
	if header == "*" {
		return true
	}
	current = uncoded(strings.TrimPrefix(current, "W/"))
	for _, tag := range entityTags(header) {
		if uncoded(strings.TrimPrefix(tag, "W/")) == current {
			return true
		}
	}
	return false
}

// conditions reads If-Match and If-None-Match of a write (RFC 9110, 13.1). If-Match compares strongly, so that weak tags never match;
// If-None-Match compares weakly. It returns nil for no condition: no header, or If-Match: *, which every existing object matches.
func conditions(ifMatch, ifNoneMatch *string) *store.IfMatch {
	anyTag := ifMatch == nil || *ifMatch == "*"
	if anyTag && ifNoneMatch == nil {
		return nil // most writes: nothing is allocated
	}
	match := store.IfMatch{Any: anyTag}
	if !match.Any {
		for _, tag := range entityTags(*ifMatch) {
			if !strings.HasPrefix(tag, "W/") {
				match.Tags = append(match.Tags, opaque(tag))
			}
		}
	}
	if ifNoneMatch != nil {
		match.Never = *ifNoneMatch == "*"
		for _, tag := range entityTags(*ifNoneMatch) {
			match.Except = append(match.Except, opaque(strings.TrimPrefix(tag, "W/")))
		}
	}
	return &match
}

// opaque returns the text between the quotes of a strong tag.
func opaque(tag string) string { return strings.Trim(uncoded(tag), `"`) }

// refuseConditions refuses conditional headers on operations that do not support them, instead of ignoring them.
func (op *operation) refuseConditions(header http.Header) error {
	for _, name := range op.noConditions {
		if header[name] != nil {
			return errCondition(name) // not here, where a pointer to the name would be allocated for every write
		}
	}
	return nil
}

func errCondition(name string) error {
	return invalidRequest(name+" is for operations on what has an ETag", &gen.ErrorDetails{Field: &name})
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

// joinHeader joins the lines of a list header (RFC 9110, 5.3).
func joinHeader(h http.Header, name string) string {
	return strings.Join(h.Values(name), ", ")
}
