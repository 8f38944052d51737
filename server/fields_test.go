package server_test

import "testing"

// The three states of each field: absent keeps the value, null clears it, a value sets it.
func TestFields(t *testing.T) {
	scenarios(t, []scenario{
		{
			name: "favorite null", body: `{"is_favorite":null}`,
			status: 400, want: invalid("is_favorite must be a boolean value"),
		},
		{
			name: "approved null", body: `{"is_approved":null}`,
			status: 400, want: invalid("is_approved must be a boolean value"),
		},
		{
			name: "empty patch", body: `{}`,
			status: 200, want: asSeeded, headers: []string{"ETag: {etag}"},
		},
		{
			name: "empty patch of a patched app", given: `{"is_favorite":true,"is_approved":true,"license_count":7}`, body: ` { } `,
			status: 200, want: app(true, true, "7", earlier), headers: []string{"ETag: {etag}"},
		},
		{
			name: "favorite set", body: `{"is_favorite":true}`,
			status: 200, want: app(true, false, "null", now), writes: []string{"is_favorite: false -> true"},
		},
		{
			name: "favorite unset", given: `{"is_favorite":true,"is_approved":true,"license_count":7}`, body: `{"is_favorite":false}`,
			status: 200, want: app(false, true, "7", now), writes: []string{"is_favorite: true -> false"},
		},
		{
			name: "approved set", body: `{"is_approved":true}`,
			status: 200, want: app(false, true, "null", now), writes: []string{"is_approved: false -> true"},
		},
		{
			name: "approved unset", given: `{"is_favorite":true,"is_approved":true,"license_count":7}`, body: `{"is_approved":false}`,
			status: 200, want: app(true, false, "7", now), writes: []string{"is_approved: true -> false"},
		},
		{
			name: "licenses set", body: `{"license_count":50}`,
			status: 200, want: app(false, false, "50", now), writes: []string{"license_count: null -> 50"},
		},
		{
			name: "licenses changed", given: `{"is_favorite":true,"is_approved":true,"license_count":7}`, body: `{"license_count":8}`,
			status: 200, want: app(true, true, "8", now), writes: []string{"license_count: 7 -> 8"},
		},
		{
			name: "licenses cleared", given: `{"is_favorite":true,"is_approved":true,"license_count":7}`, body: `{"license_count":null}`,
			status: 200, want: app(true, true, "null", now), writes: []string{"license_count: 7 -> null"},
		},
		{
			name: "no licenses is not untracked licenses", given: `{"license_count":0}`, body: `{"license_count":null}`,
			status: 200, want: app(false, false, "null", now), writes: []string{"license_count: 0 -> null"},
		},
		{
			name: "untracked licenses is not no licenses", body: `{"license_count":0}`,
			status: 200, want: app(false, false, "0", now), writes: []string{"license_count: null -> 0"},
		},
		{
			name: "all three", body: `{"license_count":50,"is_approved":true,"is_favorite":true}`,
			status: 200, want: app(true, true, "50", now),
			writes: []string{"is_favorite: false -> true", "is_approved: false -> true", "license_count: null -> 50"},
		},
		{
			name: "only what differs is written", given: `{"is_favorite":true,"license_count":7}`,
			body:   `{"is_favorite":true,"is_approved":true,"license_count":7}`,
			status: 200, want: app(true, true, "7", now), writes: []string{"is_approved: false -> true"},
		},
		{
			name: "one bad field spoils the patch", body: `{"is_favorite":true,"is_approved":true,"license_count":-1}`,
			status: 400, want: invalid("license_count must be between 0 and 2147483647"),
		},
		{
			name: "by a token for one client", as: "client", body: `{"is_favorite":true}`,
			status: 200, want: app(true, false, "null", now), writes: []string{"is_favorite: false -> true"},
		},
	})
}

// Setting the current values again changes nothing: neither updated_at, nor the ETag, nor the history.
func TestSameValues(t *testing.T) {
	const given = `{"is_favorite":true,"is_approved":true,"license_count":50}`
	var all []scenario
	for _, body := range []string{
		given, `{"is_favorite":true}`, `{"is_approved":true}`, `{"license_count":50}`, `{"license_count":50.0}`, `{}`,
	} {
		all = append(all, scenario{
			name: body, given: given, body: body,
			status: 200, want: app(true, true, "50", earlier), headers: []string{"ETag: {etag}"},
		}, scenario{
			name: body + " with If-Match", given: given, body: body, header: []string{"If-Match: {etag}"},
			status: 200, want: app(true, true, "50", earlier), headers: []string{"ETag: {etag}"},
		})
	}
	for _, body := range []string{
		`{"is_favorite":false}`, `{"is_approved":false}`, `{"license_count":null}`,
		`{"is_favorite":false,"is_approved":false,"license_count":null}`,
	} {
		all = append(all, scenario{name: body, body: body, status: 200, want: asSeeded, headers: []string{"ETag: {etag}"}})
	}
	scenarios(t, append(all, scenario{
		name: "no licenses", given: `{"license_count":0}`, body: `{"license_count":-0}`,
		status: 200, want: app(false, false, "0", earlier), headers: []string{"ETag: {etag}"},
	}))
}
