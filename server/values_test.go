package server_test

import (
	"strings"
	"testing"
)

func TestLicenseCount(t *testing.T) {
	const (
		notInteger = "license_count must be an integer or null"
		outOfRange = "license_count must be between 0 and 2147483647"
	)
	var all []scenario
	for _, value := range []string{
		"-1.5", "0.5", "49.99", "1e-400", "-1e-400", "5e-1", "50.00000000000000000001", "2147483646.5", "1.5e0",
		`"50"`, `""`, `"null"`, "true", "false", "[]", "[50]", "{}", `{"value":50}`,
	} {
		all = append(all, scenario{
			name: value, given: `{"license_count":7}`, body: `{"license_count":` + value + `}`,
			status: 400, want: invalid(notInteger),
		})
	}
	for _, value := range []string{
		"-1", "-1.0", "-2147483648", "2147483648", "2147483648.0", "4294967296", "4294967346", "9223372036854775807",
		"9223372036854775808", "18446744073709551616", "18446744073709551666", "1e400", "-1e400", "1e99999999999999999999",
		"5e10", "99999999999999999999999999999999999999999999",
	} {
		all = append(all, scenario{
			name: value, given: `{"license_count":7}`, body: `{"license_count":` + value + `}`,
			status: 400, want: invalid(outOfRange),
		})
	}
	for _, same := range [][2]string{
		{"0", "0"},
		{"-0", "0"},
		{"0.0", "0"},
		{"-0.0e0", "0"},
		{"0e400", "0"},
		{"0e-400", "0"},
		{"1", "1"},
		{"50", "50"},
		{"50.0", "50"},
		{"50.00000000000000000000", "50"},
		{"5e1", "50"},
		{"5E+1", "50"},
		{"0.5e2", "50"},
		{"500e-1", "50"},
		{"2147483647", "2147483647"},
		{"2147483647.0", "2147483647"},
		{"2.147483647e9", "2147483647"},
	} {
		all = append(all, scenario{
			name: same[0], given: `{"license_count":7}`, body: `{"license_count":` + same[0] + `}`,
			status: 200, want: app(false, false, same[1], now), writes: []string{"license_count: 7 -> " + same[1]},
		})
	}
	scenarios(t, all)
}

func TestBooleans(t *testing.T) {
	var all []scenario
	for _, field := range []string{"is_favorite", "is_approved"} {
		for _, value := range []string{
			"null", `"true"`, `"false"`, `""`, `"yes"`, "0", "1", "1.0", "-1", "1e400", "[]", "[true]", "{}", `{"value":true}`,
		} {
			all = append(all, scenario{
				name: field + " " + value, body: `{"` + field + `":` + value + `}`,
				status: 400, want: invalid(field + " must be a boolean value"),
			})
		}
	}
	scenarios(t, all)
}

// A read-only field gets an error with its reason, whatever the value, even the current one.
func TestReadOnlyFields(t *testing.T) {
	const (
		immutable = "Immutable identifier"
		catalog   = "Managed through the Catalog Apps domain"
		system    = "System-managed timestamp"
	)
	var all []scenario
	for _, field := range [][2]string{
		{"id", immutable},
		{"catalog_app", catalog},
		{"created_at", system},
		{"updated_at", system},
		{"name", catalog},
		{"canonical_name", catalog},
		{"logo", catalog},
		{"vendor", catalog},
		{"categories", catalog},
		{"description", catalog},
		{"display_colour", catalog},
		{"type", catalog},
	} {
		for _, value := range []string{`"f1a2b3c4-d5e6-7890-abcd-ef1234567890"`, `null`, `{"id":1}`, `1e400`} {
			all = append(all, scenario{
				name: field[0] + " " + value, body: `{"` + field[0] + `":` + value + `}`,
				status: 400, want: readOnly(field[0], field[1]),
			})
		}
	}
	scenarios(t, append(all, scenario{
		name: "the app as it was read", body: asSeeded,
		status: 400, want: `{"error":{"code":"invalid_request","message":"Field 'id' cannot be updated via this endpoint",` +
			`"details":{"field":"id","reason":"Immutable identifier","errors":[` +
			`{"field":"id","pointer":"/id","message":"Field 'id' cannot be updated via this endpoint"},` +
			`{"field":"catalog_app","pointer":"/catalog_app","message":"Field 'catalog_app' cannot be updated via this endpoint"},` +
			`{"field":"created_at","pointer":"/created_at","message":"Field 'created_at' cannot be updated via this endpoint"},` +
			`{"field":"updated_at","pointer":"/updated_at","message":"Field 'updated_at' cannot be updated via this endpoint"}]}}}`,
	}))
}

// Names are compared exactly: letter case, spaces and Go's field names do not match.
func TestUnknownFields(t *testing.T) {
	var all []scenario
	for _, name := range []string{
		"favourite", "LICENSE_COUNT", "License_Count", "licenseCount", "LicenseCount", "IsFavorite", "is_Favorite",
		"is_favorite ", " is_favorite", "is_favorite\x00", "ID", "Catalog_App", "version", "client_id", "catalog_app_id",
		"request_id", "actor_id", "", "/", "~", "$ref", "is_favorite\u200b", "ıs_favorite", "<b>&", "日本語",
	} {
		all = append(all, scenario{
			name: quote(name), body: `{` + quote(name) + `:true}`,
			status: 400, want: invalidField(name, "Unknown field '"+name+"'"),
		})
	}
	long := strings.Repeat("ä", 65)
	scenarios(t, append(all,
		scenario{
			name: "long names are cut", body: `{"` + long + `":1}`,
			status: 400, want: invalidField(long[:128]+"…", "Unknown field '"+long[:128]+"…'"),
		},
		scenario{
			name: "names of 64 characters are not", body: `{"` + long[:128] + `":1}`,
			status: 400, want: invalidField(long[:128], "Unknown field '"+long[:128]+"'"),
		},
	))
}

// With several bad fields the message is about the first in document order, and errors lists all of them.
func TestSeveralErrors(t *testing.T) {
	const (
		favorite = `{"field":"is_favorite","pointer":"/is_favorite","message":"is_favorite must be a boolean value"}`
		licenses = `{"field":"license_count","pointer":"/license_count","message":"license_count must be between 0 and 2147483647"}`
		name     = `{"field":"name","pointer":"/name","message":"Field 'name' cannot be updated via this endpoint"}`
		nope     = `{"field":"nope","pointer":"/nope","message":"Unknown field 'nope'"}`
	)
	several := func(message, details string, errors ...string) string {
		return `{"error":{"code":"invalid_request","message":` + quote(message) + `,"details":{` + details +
			`,"errors":[` + strings.Join(errors, ",") + `]}}}`
	}
	unknown := func(pointer, field string) string {
		return `{"field":` + quote(field) + `,"pointer":` + quote(pointer) + `,"message":` + quote("Unknown field '"+field+"'") + `}`
	}
	var many, hundred []string
	for i := range 150 {
		field := string(rune('a'+i/26)) + string(rune('a'+i%26))
		many = append(many, `"`+field+`":1`)
		hundred = append(hundred, unknown("/"+field, field))
	}
	scenarios(t, []scenario{
		{
			name: "a value first", body: `{"is_favorite":1,"name":"x","license_count":-1,"nope":1}`, status: 400,
			want: several("is_favorite must be a boolean value", `"field":"is_favorite"`, favorite, name, licenses, nope),
		},
		{
			name: "a read-only field first", body: `{"name":"x","nope":1,"license_count":-1,"is_favorite":1}`, status: 400,
			want: several("Field 'name' cannot be updated via this endpoint",
				`"field":"name","reason":"Managed through the Catalog Apps domain"`, name, nope, licenses, favorite),
		},
		{
			name: "an unknown field first", body: `{"nope":1,"is_favorite":1}`, status: 400,
			want: several("Unknown field 'nope'", `"field":"nope"`, nope, favorite),
		},
		{
			name: "good fields are not listed", body: `{"is_approved":true,"license_count":-1,"is_favorite":1}`, status: 400,
			want: several("license_count must be between 0 and 2147483647", `"field":"license_count"`, licenses, favorite),
		},
		{
			name: "one bad field among good ones", body: `{"is_approved":true,"license_count":-1,"is_favorite":true}`, status: 400,
			want: invalid("license_count must be between 0 and 2147483647"),
		},
		{
			name: "pointers are escaped", body: `{"a/b":1,"~":2,"~1":3,"/":4,"":5,"\u00e4 \"":6}`, status: 400,
			want: several("Unknown field 'a/b'", `"field":"a/b"`, unknown("/a~1b", "a/b"), unknown("/~0", "~"),
				unknown("/~01", "~1"), unknown("/~1", "/"), unknown("/", ""), unknown(`/ä "`, `ä "`)),
		},
		{
			name: "at most a hundred", body: "{" + strings.Join(many, ",") + "}", status: 400,
			want: several("Unknown field 'aa'", `"field":"aa"`, hundred[:100]...),
		},
		{
			name: "the same with merge patch", header: []string{"Content-Type: application/merge-patch+json"},
			body: `{"nope":1,"is_favorite":1}`, status: 400,
			want: several("Unknown field 'nope'", `"field":"nope"`, nope, favorite),
		},
	})
}
