package egress

import (
	"net/netip"

	"code.dny.dev/ssrf"
)

// The ports of the internet that may be called.
const (
	portHTTPS    = 443
	portHTTPSAlt = 8443
)

// guardian refuses the special-purpose addresses of the IANA registries and, of IPv6, everything outside 2000::/3. Most metadata
// services of clouds are among them: 169.254.169.254, 100.100.100.200 (Alibaba), 192.0.0.192 (Oracle), fd00:ec2::254 (AWS). That of
// Azure has a public address.
var guardian = ssrf.New(
	ssrf.WithPorts(portHTTPS, portHTTPSAlt),
	ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("168.63.129.16/32")),
)

// Forms of IPv6 that lead to the IPv4 address that they embed. NAT64 of a network's own (64:ff9b:1::/48, RFC 8215) and Teredo
// (2001::/32, RFC 4380) are refused by guardian.
var (
	ipv4Compatible = netip.MustParsePrefix("::/96")        // IPv4-compatible, RFC 4291, 2.5.5.1
	nat64          = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour      = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// allowed reports whether an address and port on the internet may be called.
func allowed(target netip.AddrPort) bool {
	addr := target.Addr()
	// guardian does not expect an address without a value.
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	return guardian.SafeAddrPort(netip.AddrPortFrom(embeddedIPv4(addr), target.Port())) == nil
}

// embeddedIPv4 returns the IPv4 address that an IPv6 address leads to, or else the address itself.
func embeddedIPv4(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	b := addr.As16()
	switch {
	case addr.Is4():
		return addr
	case ipv4Compatible.Contains(addr), nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr
}
