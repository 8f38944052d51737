package wellknown

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// securityTextValidity is the shortest validity of security.txt: it expires at the midnight after. RFC 9116, 2.5.5 recommends less than
// a year, so that nobody uses an outdated contact.
const securityTextValidity = 180 * 24 * time.Hour

// CheckContact refuses what is not an https, mailto or tel URI (RFC 9116, 2.5.3).
func CheckContact(text string) error {
	u, err := url.Parse(text)
	good := err == nil && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	switch {
	case good && u.Scheme == "https" && u.Host != "" && u.User == nil:
	case good && u.Scheme == "mailto" && strings.Contains(u.Opaque, "@"):
	case good && u.Scheme == "tel" && u.Opaque != "":
	default:
		return fmt.Errorf("%q is not a contact such as mailto:security@example.com, https://example.com/report or tel:+1-201-555-0123", text)
	}
	return nil
}

// securityText serves security.txt. Canonical is the configured URL: one taken from the request could be that of a copy.
func (s *Site) securityText(w http.ResponseWriter, _ *http.Request) {
	const day = 24 * time.Hour
	expires := s.cfg.Clock().UTC().Add(securityTextValidity).Truncate(day).Add(day)
	var text strings.Builder
	fmt.Fprintf(&text, "Contact: %s\nExpires: %s\nPreferred-Languages: en\n", s.cfg.SecurityContact, expires.Format(time.RFC3339))
	if s.cfg.PublicURL != "" {
		fmt.Fprintf(&text, "Canonical: %s\n", s.cfg.PublicURL+securityPath)
	}
	send(w, "text/plain; charset=utf-8", []byte(text.String()))
}
