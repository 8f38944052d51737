package shell

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/clientapps/clientapps/operations"
)

// CommandLine returns the command that calls an operation with values of its arguments, and with a body if there is one: what flags
// cannot say comes from a pipe.
func CommandLine(op *operations.Operation, values map[string]any, body any) string {
	line := "clientapps api " + kebabCase(op.ID)
	for _, a := range op.Arguments {
		v, ok := values[a.Name]
		if !ok {
			continue
		}
		name := FlagName(a)
		list, isList := v.([]any)
		switch {
		case isList && a.TakesList() && len(list) > 0:
			for _, item := range list {
				line += " --" + name + " " + Quote(flagText(item))
			}
		case v == "null" && operations.Nullable(a.Schema):
			line += " --" + name + ` '"null"'`
		default:
			line += " --" + name + " " + Quote(flagText(v))
		}
	}
	if text, isText := body.(string); isText {
		return "printf %s " + Quote(text) + " | " + line + " --body -" + contentTypeOf(op, text)
	}
	if body != nil {
		return "printf %s " + Quote(flagText(body)) + " | " + line + " --body -"
	}
	return line
}

// contentTypeOf returns the flag for a file from a pipe, whose name does not tell its type.
func contentTypeOf(op *operations.Operation, text string) string {
	if len(op.Body.MediaTypes) < 2 {
		return ""
	}
	media := mediaTypeCSV
	if strings.HasPrefix(text, "{") {
		media = mediaTypeNDJSON
	}
	return " --content-type " + media
}

func flagText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// Quote quotes a word for a POSIX shell.
func Quote(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/@,+=") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
