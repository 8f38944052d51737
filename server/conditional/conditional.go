// Package conditional formats entity tags and evaluates If-Match and If-None-Match (RFC 9110, 8.8.3 and 13.1). The tag of a
// compressed representation counts as the tag of the object.
package conditional

import (
	"strings"

	"github.com/clientapps/clientapps/server/transport"
)

// Strong returns a strong entity tag for an opaque text without quotes.
func Strong(opaque string) string { return `"` + opaque + `"` }

// Weak returns a weak entity tag (RFC 9110, 8.8.1).
func Weak(opaque string) string { return "W/" + Strong(opaque) }

// NoneMatch evaluates If-None-Match with the weak comparison. It returns false if the current tag matches: a read then gets 304.
func NoneMatch(header, current string) bool {
	if header == "*" {
		return false
	}
	current = withoutGzipSuffix(strings.TrimPrefix(current, "W/"))
	for _, tag := range splitTags(header) {
		if withoutGzipSuffix(strings.TrimPrefix(tag, "W/")) == current {
			return false
		}
	}
	return true
}

// ParseIfMatch returns the opaque texts in If-Match. The comparison is strong, so weak tags never match and are left out.
func ParseIfMatch(header string) []string {
	var all []string
	for _, tag := range splitTags(header) {
		if !strings.HasPrefix(tag, "W/") {
			all = append(all, opaque(tag))
		}
	}
	return all
}

// ParseIfNoneMatch returns the opaque texts in If-None-Match. The comparison is weak.
func ParseIfNoneMatch(header string) []string {
	var all []string
	for _, tag := range splitTags(header) {
		all = append(all, opaque(strings.TrimPrefix(tag, "W/")))
	}
	return all
}

// opaque returns the text between the quotes of a strong tag.
func opaque(tag string) string { return strings.Trim(withoutGzipSuffix(tag), `"`) }

// withoutGzipSuffix returns the tag without the suffix of its content coding.
func withoutGzipSuffix(tag string) string {
	return strings.Replace(tag, transport.GzipSuffix+`"`, `"`, 1)
}

// splitTags splits a list of entity tags. A tag may contain commas between its quotes. It ignores what follows the last tag.
func splitTags(header string) []string {
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
