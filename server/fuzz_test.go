package server_test

import (
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// fuzzApp has the patchable fields of an app and the time of its last change.
type fuzzApp struct {
	IsFavorite   bool   `json:"is_favorite"`
	IsApproved   bool   `json:"is_approved"`
	LicenseCount *int32 `json:"license_count"`
	UpdatedAt    string `json:"updated_at"`
}

// FuzzPatchBody sends arbitrary bytes as a patch. The answer is 200 or 400, never 5xx. After 200 the app reads as patched says,
// after 400 it is unchanged. The client checks every answer against the contract.
func FuzzPatchBody(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, ` { } `, `null`, `[]`, `{`, `{"is_favorite":true}`, `{"is_favorite":null}`, `{"is_favorite":"true"}`, `{"is_approved":false}`,
		`{"license_count":50}`, `{"license_count":null}`, `{"license_count":0}`, `{"license_count":-0}`, `{"license_count":50.0}`,
		`{"license_count":5e1}`, `{"license_count":1e400}`, `{"license_count":-1.5}`, `{"license_count":2147483647}`,
		`{"license_count":2147483648}`, `{"license_count":50.00000000000000000001}`, `{"license_count":"50"}`,
		`{"is_favorite":true,"is_approved":true,"license_count":50}`, `{"is_favorite":true,"is_favorite":false}`,
		`{"LICENSE_COUNT":5}`, `{"id":"x"}`, `{"catalog_app":{}}`, `{"nope":1,"is_favorite":1,"a/b~":2}`, `{"is_favorite":true} x`,
		"\ufeff{}", `{"\u0069s_favorite":true}`, `{"'":1,"%!s":2,"\ud83d\ude00":3}`, `{"":{"":[{}]}}`, `{"sql":1,"goroutine":2}`,
		`{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	s := servertest.New(f, storetest.SQLite(f))
	f.Fuzz(func(t *testing.T, body []byte, merge bool) {
		media := "Content-Type: application/json"
		if merge {
			media = "Content-Type: application/merge-patch+json"
		}
		before := s.Get(t, appPath)
		s.Clock.Advance(time.Millisecond)
		r := s.Patch(t, appPath, string(body), media)
		after := s.Get(t, appPath)
		switch r.Status {
		case http.StatusOK:
			if after.Body != r.Body {
				t.Errorf("%q: answered %s, the app reads %s", body, r.Body, after.Body)
			}
			if got, want := decodeApp(t, after.Body), patched(t, decodeApp(t, before.Body), body, s.Clock.Now()); !got.equal(want) {
				t.Errorf("%q: the app is %+v, was %s, want %+v", body, got, before.Body, want)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if after.Body != before.Body {
				t.Errorf("%q was refused, but the app is %s, was %s", body, after.Body, before.Body)
			}
		default:
			t.Errorf("%q answered %d %s", body, r.Status, r.Body)
		}
	})
}

func decodeApp(t *testing.T, body string) (app fuzzApp) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &app); err != nil {
		t.Fatal(err)
	}
	return app
}

func (a fuzzApp) equal(b fuzzApp) bool {
	return a.IsFavorite == b.IsFavorite && a.IsApproved == b.IsApproved && a.UpdatedAt == b.UpdatedAt && a.sameLicenses(b)
}

func (a fuzzApp) sameLicenses(b fuzzApp) bool {
	if a.LicenseCount == nil || b.LicenseCount == nil {
		return a.LicenseCount == b.LicenseCount
	}
	return *a.LicenseCount == *b.LicenseCount
}

// patched computes the app after an accepted patch, independently of the server's code.
func patched(t *testing.T, was fuzzApp, body []byte, at time.Time) fuzzApp {
	t.Helper()
	var patch map[string]json.RawMessage
	if err := json.Unmarshal(body, &patch); err != nil {
		t.Fatalf("%q was accepted: %v", body, err)
	}
	is := was
	for name, value := range patch {
		switch text := string(value); {
		case name == "is_favorite" && (text == "true" || text == "false"):
			is.IsFavorite = text == "true"
		case name == "is_approved" && (text == "true" || text == "false"):
			is.IsApproved = text == "true"
		case name == "license_count" && text == "null":
			is.LicenseCount = nil
		case name == "license_count" && len(text) < 1000:
			n, ok := new(big.Rat).SetString(text)
			if !ok || !n.IsInt() || n.Sign() < 0 || n.Cmp(big.NewRat(1<<31-1, 1)) > 0 {
				t.Fatalf("%q was accepted", body)
			}
			licenses := int32(n.Num().Int64())
			is.LicenseCount = &licenses
		default:
			t.Fatalf("%q was accepted: %s", body, name)
		}
	}
	if is.IsFavorite != was.IsFavorite || is.IsApproved != was.IsApproved || !is.sameLicenses(was) {
		is.UpdatedAt = at.Format("2006-01-02T15:04:05.000Z")
	}
	return is
}
