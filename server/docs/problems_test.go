package docs

import "testing"

// A code that the contract does not explain makes the server not start.
func TestCodesWithoutAnExplanation(t *testing.T) {
	t.Parallel()
	contract := func(codes string) []byte { return []byte(`{"components":{"schemas":{"ErrorCode":{` + codes + `}}}}`) }
	good := `"enum":["not_found"],"x-enumStatuses":{"not_found":404},"x-enumDescriptions":{"not_found":"See ` + "`Allow`" + `."}`
	if all, err := readProblems(contract(good)); err != nil || len(all) != 1 || len(all[0].Description) != 3 || all[0].Title != "Not found" {
		t.Errorf("%+v, %v", all, err)
	}
	for name, text := range map[string][]byte{
		"no contract":                []byte("x"),
		"no codes":                   contract(""),
		"no description":             contract(`"enum":["a","b"],"x-enumStatuses":{"a":404,"b":404},"x-enumDescriptions":{"a":"x"}`),
		"an empty description":       contract(`"enum":["a"],"x-enumStatuses":{"a":404},"x-enumDescriptions":{"a":" "}`),
		"no status":                  contract(`"enum":["a"],"x-enumDescriptions":{"a":"x"}`),
		"a status that HTTP has not": contract(`"enum":["a"],"x-enumStatuses":{"a":499},"x-enumDescriptions":{"a":"x"}`),
		"half a code mark":           contract(`"enum":["a"],"x-enumStatuses":{"a":404},"x-enumDescriptions":{"a":"x` + "`y" + `"}`),
	} {
		if all, err := readProblems(text); err == nil {
			t.Errorf("%s: %+v", name, all)
		}
	}
}
