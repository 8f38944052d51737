package egress_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/clientapps/clientapps/webhook/egress"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	const none = ""
	for raw, refusal := range map[string]string{
		"https://hooks.example.com":                              none,
		"https://hooks.example.com/a?b=c&d":                      none,
		"HTTPS://Hooks.Example.COM:443/":                         none,
		"https://hooks.example.com:8443/":                        none,
		"https://xn--bcher-kva.example/":                         none,
		"https://1.example.com/":                                 none,
		"https://1.1.1.1/":                                       none,
		"https://[2606:4700::1111]:8443/":                        none,
		"https://a.example/" + strings.Repeat("a", 2048-18):      none,
		"https://a.example/" + strings.Repeat("a", 2049-18):      "2048 bytes",
		"https://" + strings.Repeat("a", 63) + ".example/":       none,
		"https://" + strings.Repeat("a", 64) + ".example/":       "the host",
		"https://" + strings.Repeat("abcdefg.", 31) + "example/": "the host",
		"":                                  "begin with https",
		"hooks.example.com":                 "begin with https",
		"//hooks.example.com/":              "begin with https",
		"http://hooks.example.com/":         "begin with https",
		"ftp://hooks.example.com/":          "begin with https",
		"file:///etc/passwd":                "begin with https",
		"unix:///run/docker.sock":           "begin with https",
		"https:":                            "with a host",
		"https://":                          "with a host",
		"https:///path":                     "with a host",
		"https://:443/":                     "with a host",
		"https:hooks.example.com":           "with a host",
		"https://hooks.example.com:x/":      "with a host",
		"https://hooks.example.com/%zz":     "with a host",
		"https://user@hooks.example.com/":   "user name",
		"https://u:p@hooks.example.com/":    "user name",
		"https://@hooks.example.com/":       "user name",
		"https://example.com:443@10.0.0.1/": "user name",
		"https://hooks.example.com/#a":      "fragment",
		"https://hooks.example.com/#":       "fragment",
		"https://hooks.example.com:/":       "port 443 or 8443",
		"https://hooks.example.com:80/":     "port 443 or 8443",
		"https://hooks.example.com:0443/":   "port 443 or 8443",
		"https://hooks.example.com:65979/":  "port 443 or 8443",
		"https://hooks.example.com/\r\nA:b": "control characters",
		"https://hooks.example.com/\x00":    "control characters",
		"https://hooks.example.com/\u0085":  "control characters",
		"https://hooks.example.com/\xff":    "control characters",

		// Names.
		"https://localhost/":              "the host",
		"https://intranet/":               "the host",
		"https://hooks.example.com./":     "the host",
		"https://hooks..example.com/":     "the host",
		"https://.example.com/":           "the host",
		"https://-a.example.com/":         "the host",
		"https://a-.example.com/":         "the host",
		"https://a_b.example.com/":        "the host",
		"https://bücher.example/":         "the host",
		"https://ⓔxample.com/":            "the host",
		"https://１２７.0.0.1/":              "the host",
		"https://127。0。0。1/":              "the host",
		"https://a%20b.example.com/":      "with a host",
		"https://%31%32%37.0.0.1/":        "with a host",
		"https://good.example\\@10.0.0.1": "with a host",
		"https://a b.example/":            "with a host",

		// Odd spellings of addresses.
		"https://2130706433/":            "the host",
		"https://0x7f000001/":            "the host",
		"https://0x7f.1/":                "the host",
		"https://127.1/":                 "the host",
		"https://127.0.1/":               "the host",
		"https://0177.0.0.1/":            "the host",
		"https://127.0.0.01/":            "the host",
		"https://127.0.0.0x1/":           "the host",
		"https://127.0.0.1./":            "the host",
		"https://1.1.1.1./":              "the host",
		"https://1.1.1.256/":             "the host",
		"https://1.1.1.1.1/":             "the host",
		"https://127.0.0.1.nip.io/":      none, // a name: checked when connecting
		"https://[::ffff:1.1.1.1]/":      "the host",
		"https://[::ffff:7f00:1]/":       "the host",
		"https://[fe80::1%25eth0]/":      "the host",
		"https://[2606:4700::1111%251]/": "the host",
		"https://2606:4700::1111/":       "with a host",
		"https://[1.1.1.1]/":             "with a host",
		"https://[hooks.example.com]/":   "with a host",
		"https://[]/":                    "with a host",

		// Addresses.
		"https://0.0.0.0/":             "public address",
		"https://127.0.0.1/":           "public address",
		"https://10.0.0.1/":            "public address",
		"https://169.254.169.254/":     "public address",
		"https://168.63.129.16/":       "public address",
		"https://100.100.100.200/":     "public address",
		"https://192.0.0.192/":         "public address",
		"https://[fd00:ec2::254]/":     "public address",
		"https://[::]/":                "public address",
		"https://[::1]/":               "public address",
		"https://[0:0:0:0:0:0:0:1]/":   "public address",
		"https://[::127.0.0.1]/":       "public address",
		"https://[64:ff9b::a00:1]/":    "public address",
		"https://[2002:a00:1::1]/":     "public address",
		"https://[2001:0:101:101::1]/": "public address",
	} {
		err := egress.CheckURL(raw, false)
		if refusal == none {
			if err != nil {
				t.Errorf("%s: %v", raw, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), refusal) {
			t.Errorf("%q: %v, want %s", raw, err, refusal)
		}
		if u, parseErr := url.Parse(raw); err != nil && parseErr == nil && len(u.Hostname()) > 4 && strings.Contains(err.Error(), u.Hostname()) {
			t.Errorf("%q: the message has the host: %v", raw, err)
		}
	}
}

func TestCheckURLOnLoopback(t *testing.T) {
	t.Parallel()
	for raw, ok := range map[string]bool{
		"http://localhost":             true,
		"http://LOCALHOST:8080/":       true,
		"https://localhost:1/":         true,
		"http://127.0.0.1:65535/a":     true,
		"http://127.255.0.9/":          true,
		"http://[::1]:9000/":           true,
		"https://hooks.example.com/":   true,
		"http://localhost:0/":          false,
		"http://localhost:65536/":      false,
		"http://localhost:/":           false,
		"http://localhost./":           false,
		"http://u@localhost/":          false,
		"http://localhost/#a":          false,
		"ftp://localhost/":             false,
		"http://127.1/":                false,
		"http://2130706433/":           false,
		"http://[::ffff:127.0.0.1]/":   false,
		"http://[::1%25lo]/":           false,
		"http://10.0.0.1/":             false,
		"https://10.0.0.1/":            false,
		"http://hooks.example.com/":    false,
		"https://hooks.example.com:1/": false,
		"https://[64:ff9b::7f00:1]/":   false,
	} {
		if err := egress.CheckURL(raw, true); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted: %v", raw, err, ok)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://hooks.example.com:8443/a?b", "https://1.1.1.1", "https://[2606:4700::1111]:443/", "https://u:p@a.example/#f",
		"http://127.0.0.1:80", "https://0x7f.1/", "https://[fe80::1%25eth0]/", "https://a.example:/", "https://a%2eb.example/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if egress.CheckURL(raw, false) != nil {
			return
		}
		if egress.CheckURL(raw, true) != nil {
			t.Error("loopback makes it invalid")
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if port := u.Port(); u.Scheme != "https" || u.Hostname() == "" || u.User != nil || port != "" && port != "443" && port != "8443" {
			t.Errorf("accepted %q", raw)
		}
	})
}
