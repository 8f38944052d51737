package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxURLBytes = 2048

// The rules of URLs. No message contains the URL, which may contain a secret.
var (
	errURLLength   = errors.New("url must have at most 2048 bytes")
	errURLControl  = errors.New("url must be UTF-8 text without control characters")
	errURLSyntax   = errors.New("url must be an absolute URL with a host")
	errURLScheme   = errors.New("url must begin with https://")
	errURLFragment = errors.New("url must not have a fragment")
	errURLUser     = errors.New("url must not have a user name or password")
	errURLPort     = errors.New("url must have port 443 or 8443, or none")
	errURLAnyPort  = errors.New("url must have a port between 1 and 65535, or none")
	errURLHost     = errors.New("the host of url must be a full domain name in ASCII, or an IP address in its usual form")
	errURLAddress  = errors.New("the host of url must be a public address")
)

// CheckURL checks a URL before anything connects to it. With allowLoopback it may also be http or https to localhost, 127.0.0.0/8
// or [::1] at any port. What a name resolves to is checked when connecting.
func CheckURL(raw string, allowLoopback bool) error {
	switch {
	case len(raw) > maxURLBytes:
		return errURLLength
	case !utf8.ValidString(raw) || strings.ContainsFunc(raw, unicode.IsControl):
		return errURLControl
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil: // url.Parse's own error contains the URL
		return errURLSyntax
	case u.Scheme != "https" && (!allowLoopback || u.Scheme != "http"):
		return errURLScheme
	case u.Hostname() == "":
		return errURLSyntax
	case u.User != nil:
		return errURLUser
	case strings.Contains(raw, "#"): // an empty fragment too
		return errURLFragment
	}
	addr, err := literalAddr(u)
	if err != nil {
		return err
	}
	if allowLoopback && (addr.IsLoopback() || strings.EqualFold(u.Hostname(), "localhost")) {
		return checkAnyPort(u)
	}
	return checkPublic(u, addr)
}

// checkPublic checks a URL outside loopback. addr is its host if that is an address.
func checkPublic(u *url.URL, addr netip.Addr) error {
	port := u.Port()
	switch {
	case u.Scheme != "https":
		return errURLScheme
	case strings.HasSuffix(u.Host, ":") || port != "" && port != strconv.Itoa(portHTTPS) && port != strconv.Itoa(portHTTPSAlt):
		return errURLPort
	case addr.IsValid():
		if !allowed(netip.AddrPortFrom(addr, portHTTPS)) {
			return errURLAddress
		}
	case !isDomainName(u.Hostname()):
		return errURLHost
	}
	return nil
}

func checkAnyPort(u *url.URL) error {
	if port, err := strconv.ParseUint(u.Port(), 10, 16); strings.HasSuffix(u.Host, ":") || u.Port() != "" && (err != nil || port == 0) {
		return errURLAnyPort
	}
	return nil
}

// literalAddr returns the address that the host is written as, or no address if it is a name. It refuses IPv6 with a zone and
// IPv4-mapped IPv6.
func literalAddr(u *url.URL) (netip.Addr, error) {
	addr, err := netip.ParseAddr(u.Hostname())
	bracketed := strings.HasPrefix(u.Host, "[")
	switch {
	case err != nil && bracketed:
		return netip.Addr{}, errURLHost
	case err != nil:
		return netip.Addr{}, nil //nolint:nilerr // a name
	case addr.Is6() != bracketed || addr.Zone() != "" || addr.Is4In6():
		return netip.Addr{}, errURLHost
	}
	return addr, nil
}

// isDomainName reports whether a host is a name of the internet: at least two labels (RFC 1123, 2.1), the last beginning with a
// letter. So it is none of the spellings that some resolvers read as an IPv4 address: 2130706433, 127.1, 0x7f.0x1.
func isDomainName(host string) bool {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool { return !isLetter(r) && (r < '0' || r > '9') && r != '-' }) {
			return false
		}
	}
	return len(host) <= 253 && len(labels) > 1 && isLetter(rune(labels[len(labels)-1][0]))
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
