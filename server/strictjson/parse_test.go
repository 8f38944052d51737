package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzParse compares Parse with encoding/json: both give the same value for a text that Parse accepts, and a text that Parse
// calls no JSON is invalid for both.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `null`, `true`, `false`, `nul`, `truetrue`, `0`, `-0`, `-`, `00`, `1.`, `.1`, `1e`, `1e+`, `1.5`, `-1.5e-3`, `1E400`,
		`1e-400`, `50.0`, `5e1`, `500e-1`, `50.00000000000000000001`, `999999999999999999`, `1000000000000000000`, `9223372036854775808`,
		`0.1e1`, `0e99999999999`, `1e99999999999`, `123456789012345678901234567890e-20`, `""`, `"a"`, `"\n"`, `"\u0041"`, `"\ud83d\ude00"`,
		`"\ud83d"`, `"\ude00\ud83d"`, `"\u12"`, `"\x"`, `"` + "\x1f" + `"`, `"` + "\x7f" + `"`, `"` + "\xff" + `"`, `"\u0000"`, `"`, `"\`,
		`[]`, `[`, `]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `{}`, `{`, `{"a":1}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a"}`, `{a:1}`, `{"a":{"b":[{}]}}`,
		`{"a":1,"b":{"c":1,"c":2}}`, `{"bb":{"a":1,"b":[{"c":"\u0041\n","":-1.5e3}]},"c":[[],{},"x",null,true]}`, `{"bb":"\ud800"}`, `{"bb":01}`,
		`{"bb":{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"10":1,"9":1}}`, `{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"1":0}`,
		`{"bb":{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"10":1,"11":1,"10":1}}`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"":{"":1}}`, `{} {}`, `{}x`, "\ufeff{}", " \t\r\n{} \t\r\n", `{"is_favorite":true,"license_count":5e1}`,
		strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := Parse(body, Options{})
		checkOptions(t, body, doc, err)
		if err != nil {
			var syntax SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("the error is a %T: %v", err, err)
			}
			if strings.HasPrefix(err.Error(), "is not valid JSON") && json.Valid(body) {
				t.Errorf("encoding/json accepts the text, Parse: %v", err)
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("Parse accepts the text, encoding/json: %v", err)
		}
		if _, err := decoder.Token(); err != io.EOF {
			t.Errorf("Parse accepts text after the value: %v", err)
		}
		if !equalJSON(doc.Value, want) {
			t.Errorf("read as %#v, want %#v", doc.Value, want)
		}
		object, _ := doc.Value.(map[string]any)
		if len(doc.Keys) != len(object) {
			t.Errorf("%d keys of %d", len(doc.Keys), len(object))
		}
		for _, key := range doc.Keys {
			if _, ok := object[key]; !ok {
				t.Errorf("key %q is not in the object", key)
			}
		}
	})
}

// checkOptions parses the text again with a bound on its values and with Keep. Neither may change the errors or the values that
// are kept.
func checkOptions(t *testing.T, body []byte, whole Document, refused error) {
	t.Helper()
	for what, keep := range map[string]func(string) bool{
		"nothing": func(string) bool { return false },
		"some":    func(name string) bool { return len(name)%2 == 1 },
	} {
		doc, err := Parse(body, Options{MaxNodes: whole.Nodes, Keep: keep})
		if fmt.Sprint(err) != fmt.Sprint(refused) {
			t.Fatalf("keeping %s: %v, keeping all: %v", what, err, refused)
		}
		if err != nil {
			continue
		}
		if doc.Nodes != whole.Nodes || !slices.Equal(doc.Keys, whole.Keys) {
			t.Errorf("keeping %s: %d nodes and %q, keeping all: %d and %q", what, doc.Nodes, doc.Keys, whole.Nodes, whole.Keys)
		}
		want := whole.Value
		if object, ok := want.(map[string]any); ok {
			object = maps.Clone(object)
			maps.DeleteFunc(object, func(name string, _ any) bool { return !keep(name) })
			if doc.Dropped != (len(object) < len(whole.Keys)) {
				t.Errorf("keeping %s: dropped is %t", what, doc.Dropped)
			}
			want = object
		}
		if !reflect.DeepEqual(doc.Value, want) {
			t.Errorf("keeping %s: %#v, want %#v", what, doc.Value, want)
		}
	}
	if refused == nil && whole.Nodes > 1 {
		if _, err := Parse(body, Options{MaxNodes: whole.Nodes - 1}); err == nil {
			t.Errorf("a text of %d nodes was accepted with a bound of %d", whole.Nodes, whole.Nodes-1)
		}
	}
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

// equalNumber wants an int64 if the text is an integer that fits, and otherwise a float64 close to it that is an integer exactly
// if the text is. Exponents beyond exact arithmetic are checked only for the type.
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
