package egress

import (
	"net/netip"
	"testing"
)

func TestAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		addrs   []string
		allowed bool
	}{
		"public":             {[]string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "223.255.255.255", "2606:4700::1111", "2a00::1"}, true},
		"unspecified":        {[]string{"0.0.0.0", "::"}, false},
		"this network":       {[]string{"0.0.0.1", "0.255.255.255"}, false},
		"loopback":           {[]string{"127.0.0.1", "127.1.2.3", "127.255.255.255", "::1"}, false},
		"private":            {[]string{"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fd12:3456::1"}, false},
		"shared":             {[]string{"100.64.0.1", "100.127.255.255"}, false},
		"link-local":         {[]string{"169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1"}, false},
		"site-local":         {[]string{"fec0::1"}, false},
		"multicast":          {[]string{"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"}, false},
		"metadata":           {[]string{"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "168.63.129.16", "100.100.100.200", "192.0.0.192"}, false},
		"protocol":           {[]string{"192.0.0.1", "192.0.0.255", "2001::1", "2001:1ff:ffff::1", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1"}, false},
		"documentation":      {[]string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"}, false},
		"benchmarks":         {[]string{"198.18.0.1", "198.19.255.255", "2001:2::1"}, false},
		"reserved":           {[]string{"240.0.0.1", "255.255.255.254", "255.255.255.255"}, false},
		"outside 2000::/3":   {[]string{"100::1", "200::1", "1fff::1", "4000::1", "5f00::1"}, false},
		"zone":               {[]string{"2606:4700::1111%1", "::1%lo"}, false},
		"mapped public":      {[]string{"::ffff:1.1.1.1"}, true},
		"mapped":             {[]string{"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:168.63.129.16", "::ffff:0.0.0.0"}, false},
		"compatible public":  {[]string{"::1.1.1.1"}, true},
		"compatible":         {[]string{"::127.0.0.1", "::10.0.0.1", "::169.254.169.254", "::0.0.0.2"}, false},
		"translated":         {[]string{"::ffff:0:127.0.0.1", "::ffff:0:1.1.1.1"}, false},
		"NAT64 public":       {[]string{"64:ff9b::1.1.1.1"}, true},
		"NAT64":              {[]string{"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::100.100.100.200", "64:ff9b::168.63.129.16", "64:ff9b::1:0:0"}, false},
		"NAT64 of a network": {[]string{"64:ff9b:1::1.1.1.1", "64:ff9b:1:fffe::127.0.0.1"}, false},
		"6to4 public":        {[]string{"2002:101:101::1"}, true},
		"6to4":               {[]string{"2002:7f00:1::1", "2002:a00:1::", "2002:a9fe:a9fe::1", "2002:a83f:8110::1", "2002:c0a8:1::1"}, false},
		"Teredo":             {[]string{"2001:0:101:101::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, addr := range c.addrs {
				for _, port := range []uint16{443, 8443} {
					if got := allowed(netip.AddrPortFrom(netip.MustParseAddr(addr), port)); got != c.allowed {
						t.Errorf("%s at port %d: %v, want %v", addr, port, got, c.allowed)
					}
				}
				for _, port := range []uint16{0, 1, 22, 80, 442, 444, 5432, 8080, 8444} {
					if allowed(netip.AddrPortFrom(netip.MustParseAddr(addr), port)) {
						t.Errorf("%s at port %d is allowed", addr, port)
					}
				}
			}
		})
	}
	if allowed(netip.AddrPortFrom(netip.Addr{}, 443)) {
		t.Error("no address is allowed")
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		network, address string
		public, loopback bool // whether it is allowed without and with loopback
	}{
		{"tcp4", "1.1.1.1:443", true, true},
		{"tcp6", "[2606:4700::1111]:8443", true, true},
		{"tcp4", "1.1.1.1:80", false, false},
		{"tcp4", "10.0.0.1:443", false, false},
		{"tcp4", "127.0.0.1:443", false, true},
		{"tcp4", "127.8.9.10:5432", false, true},
		{"tcp6", "[::1]:80", false, true},
		{"tcp6", "[::ffff:127.0.0.1]:80", false, true},
		{"tcp6", "[64:ff9b::7f00:1]:443", false, false},
		{"tcp6", "[2002:7f00:1::1]:443", false, false},
		{"tcp6", "[fe80::1%eth0]:443", false, false},
		{"tcp4", "0.0.0.0:443", false, false},
		{"tcp6", "[::]:443", false, false},
		{"udp4", "1.1.1.1:443", false, false},
		{"udp4", "127.0.0.1:443", false, false},
		{"unix", "/run/docker.sock", false, false},
		{"tcp4", "example.com:443", false, false},
		{"tcp4", "", false, false},
	} {
		for allowLoopback, want := range map[bool]bool{false: c.public, true: c.loopback} {
			err := Policy{AllowLoopback: allowLoopback}.control(t.Context(), c.network, c.address, nil)
			if (err == nil) != want {
				t.Errorf("%s %s, loopback %v: %v, want allowed: %v", c.network, c.address, allowLoopback, err, want)
			}
		}
	}
}
