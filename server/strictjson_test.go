package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"strings"
	"testing"
)

// FuzzParseStrict compares with encoding/json: what the strict reader takes, that one takes too, and as the same value;
// what the strict reader calls no JSON is none.
func FuzzParseStrict(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `null`, `true`, `false`, `nul`, `truetrue`, `0`, `-0`, `-`, `00`, `1.`, `.1`, `1e`, `1e+`, `1.5`, `-1.5e-3`, `1E400`,
		`1e-400`, `50.0`, `5e1`, `500e-1`, `50.00000000000000000001`, `999999999999999999`, `1000000000000000000`, `9223372036854775808`,
		`0.1e1`, `0e99999999999`, `1e99999999999`, `123456789012345678901234567890e-20`, `""`, `"a"`, `"\n"`, `"\u0041"`, `"\ud83d\ude00"`,
		`"\ud83d"`, `"\ude00\ud83d"`, `"\u12"`, `"\x"`, `"` + "\x1f" + `"`, `"` + "\x7f" + `"`, `"` + "\xff" + `"`, `"\u0000"`, `"`, `"\`,
		`[]`, `[`, `]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `{}`, `{`, `{"a":1}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a"}`, `{a:1}`, `{"a":{"b":[{}]}}`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"":{"":1}}`, `{} {}`, `{}x`, "\ufeff{}", " \t\r\n{} \t\r\n", `{"is_favorite":true,"license_count":5e1}`,
		strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := parseStrict(body)
		if err != nil {
			var syntax syntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("a %T: %v", err, err)
			}
			if strings.HasPrefix(err.Error(), "Request body is not valid JSON") && json.Valid(body) {
				t.Errorf("%v, but it is", err)
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("taken, but %v", err)
		}
		if _, err := decoder.Token(); err != io.EOF {
			t.Errorf("taken, but there is more: %v", err)
		}
		if !equalJSON(doc.value, want) {
			t.Errorf("read as %#v, want %#v", doc.value, want)
		}
		object, _ := doc.value.(map[string]any)
		if len(doc.keys) != len(object) {
			t.Errorf("%d keys of %d", len(doc.keys), len(object))
		}
		for _, key := range doc.keys {
			if _, ok := object[key]; !ok {
				t.Errorf("key %q is not in the object", key)
			}
		}
	})
}

func equalJSON(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for key, value := range want {
			if have, ok := got[key]; !ok || !equalJSON(have, value) {
				return false
			}
		}
		return true
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for i, value := range want {
			if !equalJSON(got[i], value) {
				return false
			}
		}
		return true
	case json.Number:
		return equalNumber(got, want.String())
	}
	return got == want
}

// equalNumber wants an int64 where the text means an integer that fits, and otherwise a float64 that is near and as little
// an integer as the text. The widest exponents are beyond exact arithmetic: of them it wants the kind alone.
func equalNumber(got any, text string) bool {
	if mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e"); len(strings.TrimLeft(exponent, "+-0")) > 4 {
		if strings.Trim(mantissa, "-0.") == "" {
			return got == int64(0)
		}
		near, ok := got.(float64)
		return ok && (near != math.Trunc(near)) == strings.HasPrefix(exponent, "-")
	}
	f, err := json.Number(text).Float64()
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return false
	}
	switch n := got.(type) {
	case int64:
		return exact.IsInt() && exact.Num().Cmp(big.NewInt(n)) == 0
	case float64:
		if exact.IsInt() {
			tooWide := new(big.Int).Abs(exact.Num()).Cmp(big.NewInt(1e18)) >= 0
			return tooWide && n == math.Trunc(n) && (n == f || err != nil && math.Abs(n) == math.MaxFloat64)
		}
		return n != math.Trunc(n) && (n == f || f == math.Trunc(f))
	}
	return false
}
