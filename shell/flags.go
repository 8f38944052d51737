package shell

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/spf13/cobra"

	"github.com/clientapps/clientapps/operations"
)

// argumentFlag is the flag of an argument. It implements pflag.Value, and refuses what the schema does not allow.
type argumentFlag struct {
	argument *operations.Argument
	texts    []string
	value    any
}

func (f *argumentFlag) String() string { return "" } // an argument without a value is not sent; the server knows the default

// Set takes the next value of a list, and otherwise the only one.
func (f *argumentFlag) Set(text string) (err error) {
	if !f.argument.TakesList() {
		if f.texts != nil {
			return fmt.Errorf("is given twice")
		}
		f.texts = []string{text}
		f.value, err = f.argument.ParseText(text)
		return err
	}
	if items := operations.Items(f.argument.Schema); !strings.HasPrefix(text, "[") && !isFreeText(items) {
		f.texts = append(f.texts, strings.Split(text, ",")...)
	} else {
		f.texts = append(f.texts, text)
	}
	f.value, err = f.argument.ParseList(f.texts)
	return err
}

// isFreeText reports whether a value may have a comma in it.
func isFreeText(schema *openapi3.Schema) bool {
	return operations.Type(schema) == openapi3.TypeString && operations.Enum(schema) == nil && schema.Format != "uuid" && schema.Pattern == ""
}

// Type returns the kind of value that the help shows.
func (f *argumentFlag) Type() string {
	schema, list := f.argument.Schema, f.argument.TakesList()
	if list {
		schema = operations.Items(schema)
	}
	kind := operations.Type(schema)
	switch {
	case operations.Enum(schema) != nil:
		kind = "value"
	case kind == openapi3.TypeBoolean:
		kind = "true|false"
	case kind == openapi3.TypeString && schema.Format != "" && !strings.Contains(schema.Format, "-"):
		kind = schema.Format
	case kind == openapi3.TypeString:
		kind = "text"
	case kind != openapi3.TypeInteger && kind != openapi3.TypeNumber:
		kind = "JSON"
	}
	if list {
		kind += "..."
	}
	if operations.Nullable(f.argument.Schema) {
		kind += "|null"
	}
	return kind
}

// boolean reports whether the flag may stand alone, for true.
func (f *argumentFlag) boolean() bool {
	return operations.Type(f.argument.Schema) == openapi3.TypeBoolean
}

// completions returns the values that a shell can complete.
func (f *argumentFlag) completions() []string {
	schema := f.argument.Schema
	if f.argument.TakesList() {
		schema = operations.Items(schema)
	}
	var all []string
	for _, v := range operations.Enum(schema) {
		if v != nil {
			all = append(all, fmt.Sprint(v))
		}
	}
	if operations.Type(schema) == openapi3.TypeBoolean {
		all = []string{"true", "false"}
	}
	if operations.Nullable(f.argument.Schema) {
		all = append(all, "null")
	}
	return all
}

// usage describes the argument in one line: what it means, and what it may be.
func (f *argumentFlag) usage() string {
	a := f.argument
	// The library takes what stands in backquotes for the kind of value.
	text := strings.Join(strings.Fields(strings.ReplaceAll(a.Description, "`", "")), " ")
	schema := a.Schema
	if a.TakesList() {
		schema = operations.Items(schema)
	}
	var notes []string
	if a.Required {
		notes = append(notes, "required")
	}
	if values := operations.Enum(schema); values != nil {
		notes = append(notes, strings.Join(f.completions(), ", "))
	}
	notes = append(notes, bounds(a.Schema)...)
	if schema != a.Schema {
		for _, bound := range bounds(schema) {
			notes = append(notes, "each "+bound)
		}
	}
	if a.Schema.Default != nil {
		notes = append(notes, fmt.Sprintf("default %v", a.Schema.Default))
	}
	if len(notes) == 0 {
		return text
	}
	return strings.TrimSpace(text + " (" + strings.Join(notes, "; ") + ")")
}

// bounds describes the limits of a schema.
func bounds(schema *openapi3.Schema) (all []string) {
	number := func(f float64) string {
		b, _ := json.Marshal(f) // not NaN: it came from JSON
		return string(b)
	}
	switch {
	case schema.Min != nil && schema.Max != nil:
		all = append(all, number(*schema.Min)+" to "+number(*schema.Max))
	case schema.Min != nil:
		all = append(all, "at least "+number(*schema.Min))
	case schema.Max != nil:
		all = append(all, "at most "+number(*schema.Max))
	}
	if schema.MaxLength != nil && schema.Format != "uuid" && schema.Format != "date-time" {
		all = append(all, fmt.Sprintf("%d to %d characters", schema.MinLength, *schema.MaxLength))
	}
	if schema.MaxItems != nil {
		all = append(all, fmt.Sprintf("%d to %d of them", schema.MinItems, *schema.MaxItems))
	}
	return all
}

// addFlags adds the flags of the operation's arguments, and those that the operation has because of its body or its answer.
func (c *call) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	for _, a := range c.op.Arguments {
		name := FlagName(a)
		flag := &argumentFlag{argument: a}
		c.arguments[name] = flag
		flags.Var(flag, name, flag.usage())
		if a.Required && a.In != "body" {
			_ = command.MarkFlagRequired(name) // it is there
		}
		if values := flag.completions(); values != nil {
			_ = command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		} else {
			_ = command.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
		}
	}
	if b := c.op.Body; b != nil {
		what := "the JSON body, instead of flags for its properties"
		if b.Schema == nil {
			what = "the body (required; " + strings.Join(b.MediaTypes, " or ") + ", by the name of the file)"
		}
		flags.StringVar(&c.flags.body, "body", "", "`file` with "+what+"; - is standard input")
		_ = command.MarkFlagFilename("body")
		if len(b.MediaTypes) > 1 {
			flags.StringVar(&c.flags.contentType, "content-type", "", "media `type` of the body: "+strings.Join(b.MediaTypes, ", "))
			_ = command.RegisterFlagCompletionFunc("content-type", cobra.FixedCompletions(b.MediaTypes, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if c.isPaged() {
		flags.BoolVar(&c.all, "all", false, "fetch all pages from this one on")
	}
	if c.isFeed() || c.isStream() {
		flags.BoolVar(&c.follow, "follow", false, "go on with what comes later, until interrupted")
	}
}

// reserved are the flags that do not come from the contract.
var reserved = []string{"url", "token", "output", "verbose", "retries", "spec", "help", "body", "content-type", "all", "follow"}

// FlagName returns the name of an argument's flag. One with a reserved name has its place in front: --body-url.
func FlagName(a *operations.Argument) string {
	name := kebabCase(a.Name)
	if slices.Contains(reserved, name) {
		return a.In + "-" + name
	}
	return name
}
