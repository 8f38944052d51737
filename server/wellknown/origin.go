package wellknown

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
)

// authority matches a host name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. It matches nothing that would
// end a quoted string of a header or a URL in angle brackets.
var authority = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// CheckPublicURL refuses what is not a scheme, a host and perhaps a port. The documents have fixed paths, so a path is refused too.
func CheckPublicURL(text string) error {
	scheme, host, _ := strings.Cut(text, "://")
	if scheme != "https" && scheme != "http" || !authority.MatchString(host) {
		return fmt.Errorf("%q is not a URL such as https://apps.example.com, without a path", text)
	}
	return nil
}

// origin returns the scheme, host and port by which the caller reaches the server: the configured ones, or those of the request. It
// ignores X-Forwarded-Host and X-Forwarded-Proto, which anybody can send: behind a proxy that terminates TLS the public URL must be
// configured. Without a usable Host, as in HTTP/1.0, it returns the address that received the request.
func (s *Site) origin(r *http.Request) string {
	if s.cfg.PublicURL != "" {
		return s.cfg.PublicURL
	}
	scheme, host := "http://", r.Host
	if r.TLS != nil {
		scheme = "https://"
	}
	if !authority.MatchString(host) {
		host = "localhost"
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
			host = local.String()
		}
	}
	return scheme + host
}
