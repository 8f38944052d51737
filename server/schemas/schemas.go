// Package schemas has the contract's schemas of what clients write, for request bodies, imported files and the command line.
package schemas

import (
	"errors"
	"reflect"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/server/strictjson"
	"github.com/clientapps/clientapps/server/validate"
)

// MaxNodes bounds the values and names of a request body or an import row: twenty times what a thousand ids need.
const MaxNodes = 20_000

// NewBody prepares a schema of the contract, with the contract's own formats. target is as for validate.NewBody.
func NewBody(schema *openapi3.Schema, target reflect.Type) (*validate.Body, error) {
	return validate.NewBody(schema, target, MaxNodes, Formats)
}

// CheckName validates a name that does not come from a request body, by the contract's rules for names.
func CheckName(field, name string) error {
	c, err := readComponents()
	if err != nil {
		return err
	}
	body, err := c.object(map[string]openapi3.Schema{field: c.property("ClientCreate", "name")})
	if err != nil {
		return err
	}
	if fieldError, invalid := body.Check(field, name); invalid {
		return errors.New(fieldError.Message)
	}
	if !strictjson.IsText(name) {
		return errors.New(field + " must be UTF-8 text without noncharacters")
	}
	return nil
}
