package main

import "testing"

func TestScanPatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		body  string
		set   fields
		count int32 // -1: null
		fails bool
	}{
		{`{}`, 0, -1, false},
		{` { "license_count" : 50 } `, setLicenses, 50, false},
		{`{"license_count":5e1}`, setLicenses, 50, false},
		{`{"license_count":null,"is_favorite":true}`, setLicenses | setFavorite, -1, false},
		{`{"is_approved":false}`, setApproved, -1, false},
		{`{"license_count":1.5}`, 0, 0, true},
		{`{"license_count":-1}`, 0, 0, true},
		{`{"license_count":2147483648}`, 0, 0, true},
		{`{"license_count":"5"}`, 0, 0, true},
		{`{"is_favorite":null}`, 0, 0, true},
		{`{"is_favorite":true,"is_favorite":true}`, 0, 0, true},
		{`{"is_favorite":true} x`, 0, 0, true},
		{`{"is_favorite":true,}`, 0, 0, true},
		{`{"name":"x"}`, 0, 0, true},
		{`[]`, 0, 0, true},
		{``, 0, 0, true},
	} {
		c, refused := scanPatch([]byte(test.body))
		if (refused != nil) != test.fails {
			t.Errorf("%s: refused with %v", test.body, refused)
			continue
		}
		count := int32(-1)
		if c.licenses != nil {
			count = *c.licenses
		}
		if !test.fails && (c.set != test.set || count != test.count) {
			t.Errorf("%s: got %b and %d", test.body, c.set, count)
		}
	}
}
