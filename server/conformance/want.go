package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/servertest"
)

// Want is the answer that the contract requires. Empty fields are not checked.
type Want struct {
	Status  []int
	Field   string            // details.field; "-" for no details
	Message string            // the whole message
	Reason  string            // details.reason
	Pointer string            // of the first of details.errors
	Line    int               // of the first of details.errors
	ID      [2]string         // a member of details and its value
	Header  map[string]string // "" for a header that must be absent
}

// accepted is the answer to a valid request: success, or a conflict with the stored data.
func accepted(op *Operation) Want { return Want{Status: []int{op.Success, 404, 409}} }

func refused(field, message string) Want {
	return Want{Status: []int{400}, Field: field, Message: message}
}

// Check returns an error that says how the response differs from w.
func (w Want) Check(r *servertest.Response) error {
	if !slices.Contains(w.Status, r.Status) {
		return fmt.Errorf("status %d, want %v", r.Status, w.Status)
	}
	for name, want := range w.Header {
		if got := r.Header.Get(name); got != want {
			return fmt.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if w.Field == "" && w.Message == "" && w.ID[0] == "" && w.Pointer == "" && w.Line == 0 {
		return nil
	}
	var body struct {
		Error struct {
			Message string
			Details map[string]any
		}
	}
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		return err
	}
	details := body.Error.Details
	switch {
	case w.Message != "" && body.Error.Message != w.Message:
		return fmt.Errorf("message %q, want %q", body.Error.Message, w.Message)
	case w.Field == "-" && details != nil:
		return fmt.Errorf("details %v, want none", details)
	case w.Field != "" && w.Field != "-" && details["field"] != w.Field:
		return fmt.Errorf("details.field %v, want %q", details["field"], w.Field)
	case w.Reason != "" && details["reason"] != w.Reason:
		return fmt.Errorf("details.reason %v, want %q", details["reason"], w.Reason)
	case w.Pointer != "" && first(details)["pointer"] != w.Pointer:
		return fmt.Errorf("the first of details.errors is %v, want the pointer %q", first(details), w.Pointer)
	case w.Line != 0 && first(details)["line"] != float64(w.Line):
		return fmt.Errorf("the first of details.errors is %v, want line %d", first(details), w.Line)
	case w.ID[0] != "" && details[w.ID[0]] != w.ID[1]:
		return fmt.Errorf("details.%s %v, want %q", w.ID[0], details[w.ID[0]], w.ID[1])
	}
	return nil
}

// first returns the first of the errors.
func first(details map[string]any) map[string]any {
	if all, ok := details["errors"].([]any); ok && len(all) > 0 {
		e, _ := all[0].(map[string]any)
		return e
	}
	return nil
}

// violationMessage returns the message that the contract prescribes for an invalid value, or "" if it prescribes none.
func violationMessage(name string, schema *openapi3.Schema, text string) string {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return ""
	}
	orNull := ""
	if schema.Nullable {
		orNull = " or null"
	}
	number, isNumber := value.(float64)
	_, isString := value.(string)
	must, hasText := schema.Extensions["x-must-be"].(string)
	switch {
	case len(schema.Enum) > 0:
		words := make([]string, len(schema.Enum))
		for i, word := range schema.Enum {
			words[i] = fmt.Sprint(word)
		}
		return name + " must be one of " + strings.Join(words, ", ")
	case schema.Type.Is("boolean"):
		return name + " must be a boolean value" + orNull
	case schema.Type.Is("integer") && (!isNumber || number != float64(int64(number))):
		return name + " must be an integer" + orNull
	case schema.Type.Is("integer"):
		return fmt.Sprintf("%s must be between %.0f and %.0f", name, *schema.Min, *schema.Max)
	case schema.Type.Is("string") && !isString:
		return name + " must be a string" + orNull
	case schema.Type.Is("string") && hasText:
		return name + " must be " + must
	}
	return ""
}
