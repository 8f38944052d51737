// Package conditional writes entity tags and compares them with If-Match and If-None-Match (RFC 9110, 8.8.3 and 13.1). Tags of compressed
// representations count as the tags of the object: conditions are about the object.
package conditional

import (
	"strings"

	"github.com/clientapps/clientapps/server/transport"
)

// Strong makes a strong entity tag of an opaque text without quotes.
func Strong(opaque string) string { return `"` + opaque + `"` }

// Weak makes a weak one (RFC 9110, 8.8.1).
func Weak(opaque string) string { return "W/" + Strong(opaque) }

// NoneMatch is the weak comparison of If-None-Match with the current tag: false means 304 for a reader.
func NoneMatch(header, current string) bool {
	if header == "*" {
		return false
	}
	current = uncoded(strings.TrimPrefix(current, "W/"))
	for _, tag := range split(header) {
		if uncoded(strings.TrimPrefix(tag, "W/")) == current {
			return false
		}
	}
	return true
}

// OfIfMatch returns the opaque texts that If-Match names. It compares strongly, so that weak tags never match and are left out.
func OfIfMatch(header string) []string {
	var all []string
	for _, tag := range split(header) {
		if !strings.HasPrefix(tag, "W/") {
			all = append(all, opaque(tag))
		}
	}
	return all
}

// OfIfNoneMatch returns the opaque texts that If-None-Match names. It compares weakly.
func OfIfNoneMatch(header string) []string {
	var all []string
	for _, tag := range split(header) {
		all = append(all, opaque(strings.TrimPrefix(tag, "W/")))
	}
	return all
}

// opaque returns the text between the quotes of a strong tag.
func opaque(tag string) string { return strings.Trim(uncoded(tag), `"`) }

// uncoded returns the tag without the suffix of its content coding.
func uncoded(tag string) string { return strings.Replace(tag, transport.GzipSuffix+`"`, `"`, 1) }

// split splits a list of entity tags. A comma may stand inside a tag's quotes. What follows the last tag is ignored.
func split(header string) []string {
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
