package wellknown

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// securityTextGood is how long security.txt may be relied on, at least: it expires at the midnight after. RFC 9116 wants less than a
// year, so that nobody finds a contact that was given up long ago.
const securityTextGood = 180 * 24 * time.Hour

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

// securityText serves security.txt. It says where it is found only if that is configured: a copy elsewhere would say so too.
func (s *Site) securityText(w http.ResponseWriter, _ *http.Request) {
	const day = 24 * time.Hour
	expires := s.cfg.Clock().UTC().Add(securityTextGood).Truncate(day).Add(day)
	var text strings.Builder
	fmt.Fprintf(&text, "Contact: %s\nExpires: %s\nPreferred-Languages: en\n", s.cfg.SecurityContact, expires.Format(time.RFC3339))
	if s.cfg.PublicURL != "" {
		fmt.Fprintf(&text, "Canonical: %s\n", s.cfg.PublicURL+securityPath)
	}
	send(w, "text/plain; charset=utf-8", []byte(text.String()))
}
